//! The life of the process.

/// Runs the lobby.
pub async fn run() {}
