//! The tokens that auth makes.

pub mod access;
pub mod reconnection;
//! The tokens of players.

