//! What every service of Muster shares. Knows nothing of Kubernetes objects or of any service.
//!
//! Start reading at [`service`], which every `main` calls.

#[cfg(feature = "admin")]
pub mod admin;
pub mod backoff;
pub mod clock;
pub mod lease;
#[cfg(feature = "serve")]
pub mod serve;
pub mod service;
pub mod shutdown;
pub mod telemetry;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "trace")]
pub mod trace;
