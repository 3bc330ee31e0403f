//! Configuration: arguments and the JSON file, validated.

use std::time::Duration;

use crate::chat::moderation::Lists;

/// What operators set, beside addresses and queues.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Regions that clients measure.
    pub regions: Vec<Region>,
    /// Global channels of the chat.
    pub channels: Vec<String>,
    /// Word lists of the moderation.
    pub lists: Lists,
    /// Shortest time between two messages of a player in a global channel.
    pub slow_mode: Duration,
    /// How long lines of the chat are kept.
    pub chat_retention: Duration,
    /// How long lines of the audit log are kept.
    pub audit_retention: Duration,
}

/// Where clients measure their latency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// "host:port" that sends datagrams back.
    pub udp_echo: Option<String>,
    /// A URL that answers GET with 204.
    pub https_echo: Option<String>,
    /// The lobby of the region, as a URL.
    pub lobby: Option<String>,
}
