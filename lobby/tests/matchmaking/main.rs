//! From tickets to matches, through calls and events, with lobbies that die and live state that
//! forgets.

mod entry;
mod faults;
mod journey;
mod live;
mod recording;
mod store;
mod world;
