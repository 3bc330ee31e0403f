//! Servers that tests, benchmarks and tools start: a PostgreSQL and a Valkey of their own.
//!
//! Each has its data in a new folder, is reached by nobody else, and is gone when its value is
//! dropped. The programs are those that the machine has installed; nothing is downloaded. A failure
//! is an error of I/O that says what is missing or what the server said: tests unwrap it.
//!
//! Nothing here knows what the servers are used for: tables, keys and clients are of the crates that
//! test with them. No program that is released depends on this crate.

pub mod postgres;
pub mod valkey;

mod process;
