//! Protocol definitions: the Agones SDK and allocation services as they are on the wire, and
//! Muster's own services; and the UUIDs in their messages.
//!
//! The code in `gen/` is written by `cargo xtask codegen` from `proto/**/*.proto`; never edit it.
//! Messages of the two Agones packages also implement `serde` after the protobuf JSON mapping, with
//! the options of Agones' REST gateway (field names as in the `.proto`, default values written out,
//! `int64` as strings, unknown fields ignored).
//!
//! Modules are named after the protobuf packages. The feature `codegen` leaves them out, so that the
//! generator still builds when the generated code is broken.
#![cfg(not(feature = "codegen"))]

mod secret;
mod uuid;

pub use uuid::Uuid;

/// Packages of Agones, byte for byte.
pub mod agones {
    /// `agones.dev`.
    pub mod dev {
        /// `agones.dev.sdk`: what a game server calls on localhost.
        pub mod sdk {
            include!("gen/agones.dev.sdk.rs");
            include!("gen/agones.dev.sdk.serde.rs");
        }
    }
}

/// `allocation`: what a matchmaker calls.
pub mod allocation {
    include!("gen/allocation.rs");
    include!("gen/allocation.serde.rs");
}

/// Packages of Muster.
pub mod muster {
    /// `muster.allocation`.
    pub mod allocation {
        /// `muster.allocation.v1`: allocation with request ids, players and connect tokens.
        pub mod v1 {
            include!("gen/muster.allocation.v1.rs");
        }
    }
    /// `muster.auth`.
    pub mod auth {
        /// `muster.auth.v1`: accounts, tokens and sessions.
        pub mod v1 {
            include!("gen/muster.auth.v1.rs");
        }
    }
    /// `muster.hub`.
    pub mod hub {
        /// `muster.hub.v1`: the stream between an SDK server and the operator.
        pub mod v1 {
            include!("gen/muster.hub.v1.rs");
        }
    }
    /// `muster.lobby`.
    pub mod lobby {
        /// `muster.lobby.v1`: what players' clients call, also as JSON.
        pub mod v1 {
            include!("gen/muster.lobby.v1.rs");
            include!("gen/muster.lobby.v1.serde.rs");
        }
    }
    /// `muster.sdk`.
    pub mod sdk {
        /// `muster.sdk.v1`: what a game server calls on localhost beyond the Agones SDK.
        pub mod v1 {
            include!("gen/muster.sdk.v1.rs");
        }
    }
}
