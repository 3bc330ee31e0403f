//! What a client counts.

use simulation::snapshot::HashCounters;

/// Bytes of the headers of IPv4 and UDP.
const HEADERS: u64 = 28;

/// What a client counted, through all of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Statistics {
    /// Datagrams from the server.
    pub packets_down: u64,
    /// Their bytes, with the headers of IPv4 and UDP.
    pub bytes_down: u64,
    /// Datagrams to the server.
    pub packets_up: u64,
    /// Their bytes, with the headers.
    pub bytes_up: u64,
    /// Datagrams that the connection refused: doubled, forged, or of another connection.
    pub refused: u64,
    /// Payloads, messages and snapshots that could not be decoded.
    pub damaged: u64,
    /// Snapshots that build on one that this client does not have.
    pub missing_baselines: u64,
    /// Snapshots that came after a newer one, or twice.
    pub overtaken: u64,
    /// Snapshots that said by a hash what the client shows after them, and could be compared.
    pub hashes: u64,
    /// Those of them that covered what the client knew before, and not their own snapshot alone.
    pub listed_hashes: u64,
    /// Those after which the client showed something else: one end is wrong about the other.
    pub hash_mismatches: u64,
    /// How often it began to come back.
    pub reconnects: u64,
    /// How the prediction went.
    pub predictions: Predictions,
}

/// How prediction and inputs went.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Predictions {
    /// Snapshots that were newer than all before.
    pub snapshots: u64,
    /// Keyframes after the first snapshots of a connection: the server started all over.
    pub resyncs: u64,
    /// Comparisons that were equal bit for bit.
    pub exact: u64,
    /// Comparisons that were not.
    pub corrected: u64,
    /// The largest correction, in meters.
    pub worst: f32,
    /// Ticks that the server executed with this client in the match.
    pub executed: u64,
    /// Those of them for which it had no input in time.
    pub starved: u64,
}

impl Statistics {
    pub(crate) const fn received(&mut self, bytes: usize) {
        self.packets_down += 1;
        self.bytes_down += bytes as u64 + HEADERS;
    }

    pub(crate) const fn sent(&mut self, bytes: usize) {
        self.packets_up += 1;
        self.bytes_up += bytes as u64 + HEADERS;
    }

    pub(crate) const fn add_hashes(&mut self, more: HashCounters) {
        self.hashes += more.compared;
        self.listed_hashes += more.listed;
        self.hash_mismatches += more.different;
    }

    pub(crate) const fn add_predictions(&mut self, more: Predictions) {
        let sum = &mut self.predictions;
        sum.snapshots += more.snapshots;
        sum.resyncs += more.resyncs;
        sum.exact += more.exact;
        sum.corrected += more.corrected;
        sum.worst = sum.worst.max(more.worst);
        sum.executed += more.executed;
        sum.starved += more.starved;
    }
}
