//! The tokens that auth makes.

pub mod access;
pub mod mailed;
pub mod reconnection;
pub mod refresh;
