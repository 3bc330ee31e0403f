//! The conformance suite: what the API server answers, as data.
//!
//! The cases in `e2e/conformance/*.yaml` are requests, one after another; the answers in
//! `e2e/conformance/answers/*.json` were recorded from a real API server, never from `embedded`.
//! Whoever serves the API must answer the same, after everything that differs from run to run
//! (uids, times, versions, generated names) has been replaced by placeholders; equal values get
//! equal placeholders, and versions keep their order.
//!
//! `cargo run -p e2e --bin conformance -- record` writes the answers anew.

mod answers;
mod case;
mod compare;
mod in_process;
mod namespaces;
mod normalize;
mod path;
mod run;
mod server;
mod session;

pub use answers::Answers;
pub use case::{Case, Ignored, Topic, topics};
pub use in_process::InProcess;
pub use run::{Outcome, Suite};
pub use server::Server;
