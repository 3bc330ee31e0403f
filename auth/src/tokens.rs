//! The tokens of players.

pub mod reconnection;
