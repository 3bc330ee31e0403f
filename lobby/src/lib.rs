//! The lobby: parties, matchmaking, chat, and the way into a match.
//!
//! What a call means is decided in [`service`]. What must not be lost is in the [`store`], what must
//! be quick is [`live`]; each piece of state belongs to exactly one of them
//! (`docs/adr/0026-tickets-and-matches.md`). [`matchmaking`], [`ratings`], [`rooms`] and the
//! moderation of [`chat`] are pure.
//!
//! Start reading at [`service`].

pub mod accounts;
pub mod args;
pub mod assemble;
pub mod chat;
pub mod config;
pub mod console;
pub mod documents;
pub mod echo;
pub mod edge;
pub mod error;
pub mod http;
pub mod ids;
pub mod live;
pub mod matches;
pub mod matchmaking;
pub mod metrics;
pub mod presence;
pub mod rates;
pub mod ratings;
pub mod rooms;
pub mod run;
pub mod servers;
pub mod service;
pub mod sessions;
pub mod socket;
pub mod store;
pub mod upstream;

pub use error::{Code, Failure};
pub use run::run;
