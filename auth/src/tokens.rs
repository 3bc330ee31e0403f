//! The tokens that auth makes.

pub mod access;
pub mod reconnection;
pub mod refresh;
