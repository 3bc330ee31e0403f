//! Who plays with whom: tickets wait in a pool under the rules of a queue, and passes over the pool
//! propose matches. Who calls it, and how a proposal becomes a match:
//! `docs/adr/0026-tickets-and-matches.md`.
//!
//! What holds for every proposal, whatever the rules:
//!
//! - each ticket accepts all others of its match, and is accepted by them: rules bind both ways;
//! - a party is one ticket and stays together, in one team;
//! - no ticket is in two proposals, for proposed ones leave the pool;
//! - what a ticket accepts only widens while it waits;
//! - who has waited past the last widening goes first wherever a match with him is possible.

pub mod estimate;
pub mod explain;
pub mod limit;
pub mod matchmaker;
pub mod owner;
pub mod pool;
pub mod queue;
pub mod recorder;
pub mod replay;
pub mod teams;
pub mod ticket;

mod lane;
mod pass;

pub use self::owner::Owner;
pub use self::pass::{Proposal, Quality};
pub use self::pool::Pool;
pub use self::queue::Queue;
pub use self::ticket::Ticket;
