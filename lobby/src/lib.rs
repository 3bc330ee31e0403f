//! What stands between a player who wants to play and a match: so far, the matchmaker's core.
//!
//! [`matchmaking`] decides who plays with whom. It is pure: it reads no clock, draws no random
//! number and knows neither sockets nor databases.

pub mod matchmaking;
