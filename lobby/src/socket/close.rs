//! Why the lobby ends a socket: codes for clients, who decide by them what to do.

/// The code of who says goodbye.
pub const NORMAL: u16 = 1000;

/// A reason to end a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// For clients.
    pub code: u16,
    /// For a person who reads a log.
    pub reason: &'static str,
    /// For metrics.
    pub name: &'static str,
}

/// Declares reasons, and a list of them for documents.
macro_rules! closes {
    ($($(#[$doc:meta])+ $constant:ident = $code:literal, $name:literal, $reason:literal;)+) => {
        $(
            $(#[$doc])+
            pub const $constant: Close = Close { code: $code, reason: $reason, name: $name };
        )+

        /// All of them.
        pub const ALL: &[Close] = &[$($constant),+];
    };
}

closes! {
    /// The lobby ends. Connect again; the event Moving before says where.
    MOVING = 1001, "moving", "the lobby ends: connect again";
    /// Messages are text in one subprotocol and binary in the other.
    KIND = 1003, "kind", "the subprotocol has no messages of this kind";
    /// The message is too large, or no message.
    MALFORMED = 1008, "malformed", "messages are of at most 16 KiB";
    /// There was no Hello in time, or it was refused: the answer before says why.
    SIGN_IN = 4000, "sign_in", "sign in with Hello";
    /// The player has a newer session. Do not connect again by yourself.
    REPLACED = 4001, "replaced", "the player has a newer session";
    /// The session goes on over another socket.
    RESUMED = 4002, "resumed", "the session goes on over another socket";
    /// Events were not read as fast as they came. Connect again.
    SLOW = 4003, "slow", "events were not read in time";
    /// Calls came faster than allowed, and went on.
    FLOOD = 4004, "flood", "too many calls";
    /// The access was revoked. Sign in anew at auth.
    REVOKED = 4005, "revoked", "the access was revoked";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_code_and_a_name_of_its_own() {
        let codes: BTreeSet<u16> = ALL.iter().map(|close| close.code).collect();
        let names: BTreeSet<&str> = ALL.iter().map(|close| close.name).collect();
        assert_eq!((codes.len(), names.len()), (ALL.len(), ALL.len()));
        // A close frame holds 123 bytes of text.
        assert!(ALL.iter().all(|close| close.reason.len() <= 123));
    }
}
