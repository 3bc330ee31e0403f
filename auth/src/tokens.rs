//! The tokens that auth makes.

pub mod access;
