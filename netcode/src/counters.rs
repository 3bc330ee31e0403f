//! What a core refused and why, for metrics and for tests.

use std::fmt;

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet changed nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Refusal {
            /// Every reason, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name of the reason, as a label of a metric.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

refusals! {
    /// No packet of its kind has this length.
    Length = "length",
    /// No such kind of packet, or not one for this side.
    Prefix = "prefix",
    /// A request of another version of the protocol.
    Version = "version",
    /// A request for another game or build.
    Protocol = "protocol",
    /// A request with a token past its expiry.
    Expired = "expired",
    /// A request with a token that lives longer than tokens may.
    Lifetime = "lifetime",
    /// A request with a token that may be older than this process, or than what it remembers.
    Predates = "predates",
    /// Too many requests from one network.
    PrefixRate = "prefix_rate",
    /// A request with a token that made a connection already.
    TokenUsed = "token_used",
    /// A request with a token that another address is presenting.
    TokenElsewhere = "token_elsewhere",
    /// No room to remember another used token.
    TokenTable = "token_table",
    /// Too many requests in all.
    TotalRate = "total_rate",
    /// A request whose token was not sealed with a live key, or was changed.
    TokenForged = "token_forged",
    /// A request whose token names an address that is not ours.
    WrongServer = "wrong_server",
    /// No room for another handshake.
    PendingTable = "pending_table",
    /// No place for another client; the client is told.
    Full = "full",
    /// The server takes no new clients; the client is told.
    Draining = "draining",
    /// The client id is connected with a newer token; the client is told.
    OlderToken = "older_token",
    /// A sealed packet from an address without a connection or a handshake.
    UnknownAddress = "unknown_address",
    /// A number that was seen, or is too old to tell.
    Replayed = "replayed",
    /// A sealed packet that is not authentic.
    Forged = "forged",
    /// A response to a challenge that was not given to this address.
    Challenge = "challenge",
    /// A packet that makes no sense in this state.
    State = "state",
    /// The caller does not take events fast enough.
    EventQueue = "event_queue",
}

/// How often each [`Refusal`] happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refused([u64; Refusal::ALL.len()]);

impl Default for Refused {
    fn default() -> Self {
        Self([0; Refusal::ALL.len()])
    }
}

impl Refused {
    /// How often this happened.
    pub fn count(&self, refusal: Refusal) -> u64 {
        self.0[refusal as usize]
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.iter().copied().zip(self.0)
    }

    /// How many packets were refused in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn add(&mut self, refusal: Refusal) {
        self.0[refusal as usize] += 1;
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let happened = self.iter().filter(|(_, count)| *count > 0);
        formatter
            .debug_map()
            .entries(happened.map(|(refusal, count)| (refusal.name(), count)))
            .finish()
    }
}

/// What a server did since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that changed nothing.
    pub refused: Refused,
    /// Challenges given.
    pub challenged: u64,
    /// Requests and responses that were answered with a denial.
    pub denied: u64,
    /// Handshakes completed.
    pub connected: u64,
    /// Handshakes given up because no response came.
    pub lapsed: u64,
    /// Clients that said goodbye.
    pub left: u64,
    /// Clients that fell silent.
    pub timed_out: u64,
    /// Clients whose place a newer connection took.
    pub replaced: u64,
    /// Clients that the game disconnected.
    pub kicked: u64,
    /// Goodbyes not repeated to the end, for want of room.
    pub goodbyes_cut: u64,
    /// Payloads opened.
    pub opened: u64,
    /// Payloads sealed.
    pub sealed: u64,
    /// Keep-alives sealed.
    pub kept_alive: u64,
}
