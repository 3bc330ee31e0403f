//! Players for tests and benchmarks, and one for people.
//!
//! A [`bot::Bot`] plays over a simulated [`link`] and verifies all that it gets; a [`swarm`] drives
//! any number of them from one thread, over real sockets, on deadlines that do not wait for
//! anybody. What must hold on which network is a [`profile`], and a [`report`] says whether it did.
//! [`play`] is the same client with a person in front of it, in a terminal. A [`journey`] is the
//! whole way from an account to the result.
//!
//! Start reading at [`bot`].

pub mod allocation;
pub mod args;
pub mod behavior;
pub mod bot;
pub mod command;
pub mod flood;
pub mod journey;
pub mod link;
pub mod metrics;
pub mod play;
pub mod profile;
pub mod record;
pub mod report;
pub mod swarm;
pub mod tickets;
