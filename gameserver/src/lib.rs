//! Game servers that Muster runs.
//!
//! [`arena`] is the reference authoritative server: sealed UDP, sessions that survive a lost
//! connection, a match from its first player to its reported result. [`history`] keeps what happened
//! in it, for later. [`echo`] is the small sample
//! that obeys commands. Both speak the SDK of Agones, unmodified.
//!
//! Start reading at [`arena`].

pub mod arena;
pub mod echo;
pub mod history;
mod sdk;

pub use sdk::Error as SdkError;
