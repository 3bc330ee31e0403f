//! What services with databases share: secrets that change without a restart, PostgreSQL with a
//! replica, SQLite for one process, and Valkey.
//!
//! Which tables, keys and messages there are is each service's own; here is how they are reached,
//! what bounds a call, and what its failure means.
//!
//! Start reading at [`start`].

pub mod confidential;
pub mod postgres;
pub mod secrets;
pub mod sql;
pub mod sqlite;
pub mod start;
pub mod valkey;

pub use confidential::Confidential;
