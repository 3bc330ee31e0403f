//! What a service needs to accept a player's access token without asking anybody.
//!
//! Auth makes tokens ([`claims`]) with these parts; every other service only checks them: a
//! [`verify::Verifier`] knows the keys ([`keys`]) and what was revoked ([`revocations`]), and
//! [`follow`] keeps it current. A token that is bound to a key comes with a proof ([`dpop`]).
//!
//! Start reading at [`verify`].

pub mod claims;
pub mod dpop;
pub mod follow;
pub mod ids;
pub mod jwk;
pub mod jws;
pub mod keys;
pub mod nonces;
pub mod revocations;
pub mod verify;

mod repeats;
mod strict;

pub use claims::Claims;
pub use ids::{PlayerId, SessionId};
pub use keys::KeySet;
pub use revocations::Revocation;
pub use verify::{Refusal, Verifier};
