//! What stands between a player who wants to play and a match: so far, the decisions, and nothing
//! that serves them.
//!
//! [`matchmaking`] decides who plays with whom, [`ratings`] how good they are, [`chat`] what they
//! may say. All of it is pure: it reads no clock, draws no random number and knows neither sockets
//! nor databases.

pub mod chat;
pub mod matchmaking;
pub mod ratings;
