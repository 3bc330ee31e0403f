//! What players say to each other: so far, what may be said.

pub mod moderation;
