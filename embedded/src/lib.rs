//! A Kubernetes API server in the process: for `muster dev`, and as the laboratory in which the
//! operator and the allocator are proven.
//!
//! Start reading at [`Embedded`], then [`server`], then [`store`].

pub mod access;
pub mod control;
pub mod embedded;
pub mod faults;
pub mod kinds;
pub mod kubelet;
pub mod merge;
pub mod node;
pub mod object;
pub mod objects;
pub mod present;
pub mod schema;
pub mod server;
pub mod status;
pub mod store;

use std::sync::Arc;

pub use self::embedded::{Builder, Embedded, Error};

/// Tells the time. The caller gives it, so that tests can make time.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// Makes uids; every call gives another.
pub type Uids = Arc<dyn Fn() -> String + Send + Sync>;
