//! Sockets of this process.

/// Every session that has a socket here, or had one a moment ago.
#[derive(Clone, Debug, Default)]
pub struct Sessions {}
