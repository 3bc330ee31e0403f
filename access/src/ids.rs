//! Who and which session: the ids that travel in tokens.

/// Declares an id that is a UUID and is mistaken for no other. Needs the crates `serde` and `uuid`.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])+ $name:ident) => {
        $(#[$doc])+
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize,
            ::serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub ::uuid::Uuid);

        impl ::std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0.hyphenated(), formatter)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = ::uuid::Error;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                ::uuid::Uuid::try_parse(text).map(Self)
            }
        }
    };
}

id! {
    /// A player: one account, whatever it signs in with. `user_id` in tables, `sub` in tokens.
    PlayerId
}

id! {
    /// One sign-in of a player on one device: `sid` in tokens, `session_key` where a lobby hands
    /// it to a game server.
    SessionId
}
