//! What a service needs to accept a player's access token without asking anybody.
//!
//! Auth makes tokens ([`claims`]) with these parts; every other service only checks them.
//!
//! Start reading at [`claims`].

pub mod claims;
pub mod ids;

pub use ids::{PlayerId, SessionId};
