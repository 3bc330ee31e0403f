//! What players say to each other: where ([`channel`]), how much ([`permit`]), what
//! ([`moderation`]), and for how long it is kept ([`retention`]).
//!
//! The calls are in [`crate::service::chat`].

pub mod channel;
pub mod moderation;
pub mod permit;
pub mod retention;
