//! Auth: accounts, tokens and sessions of players.
//!
//! What a call means is decided in [`service`]; what must not be lost is in the [`store`], what
//! must be quick is in [`live`]. A call is answered only when the store has it: a service, a cache
//! or the whole of Valkey may be lost at any moment.
//!
//! Start reading at [`service`].

pub mod args;
pub mod assemble;
pub mod backup;
pub mod captcha;
pub mod config;
pub mod crypto;
pub mod edge;
pub mod error;
pub mod factors;
pub mod grpc;
pub mod http;
pub mod ids;
pub mod limits;
pub mod live;
pub mod maintenance;
pub mod metrics;
pub mod notify;
pub mod outward;
pub mod passwords;
pub mod providers;
pub mod run;
pub mod secrets;
pub mod service;
pub mod signing;
pub mod store;
pub mod tokens;

pub use error::{Code, Failure};
pub use run::run;
