//! Numbers for operators.

/// Counters and gauges of calls and sockets.
#[derive(Clone, Debug, Default)]
pub struct Metrics {}
