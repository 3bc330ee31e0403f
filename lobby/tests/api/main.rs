//! The way in, over real sockets: sessions, calls and events, HTTP, and how each ends.

mod client;
mod documents;
mod ends;
mod hello;
mod http;
mod resume;
mod talk;
mod world;
