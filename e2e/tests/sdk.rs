//! Unmodified clients against the SDK server in local mode: no cluster is needed.
//!
//! Each makes every core call. The SDK server records them as in Agones' own conformance test, and
//! fails at its end if one was missing or carried the wrong value.

#[path = "sdk/node.rs"]
mod node;
#[path = "sdk/rest.rs"]
mod rest;
#[path = "sdk/rust.rs"]
mod rust;
#[path = "sdk/sample.rs"]
mod sample;
#[path = "sdk/server.rs"]
mod server;
