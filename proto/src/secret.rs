//! Messages that hold a key or a token: never shown, and keys are erased when dropped.
//!
//! What a transport has buffered meanwhile is beyond reach.

use std::fmt;

use zeroize::Zeroize as _;

use crate::muster::{allocation, auth, hub, lobby, sdk};

impl Drop for hub::v1::ConnectKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Drop for sdk::v1::ConnectKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for hub::v1::ConnectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.version, formatter)
    }
}

impl fmt::Debug for sdk::v1::ConnectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.version, formatter)
    }
}

impl fmt::Debug for allocation::v1::PlayerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PlayerToken")
            .field("player_id", &self.player_id)
            .field("session_id", &self.session_id)
            .field("expire_time", &self.expire_time)
            .finish_non_exhaustive()
    }
}

fn show(version: u32, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    formatter
        .debug_struct("ConnectKey")
        .field("version", &version)
        .finish_non_exhaustive()
}

/// Shows nothing of a message but its name: what is not secret in it is not worth a log line.
macro_rules! hidden {
    ($package:ident: $($message:ident),+ $(,)?) => {
        $(impl fmt::Debug for $package::v1::$message {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        })+
    };
}

hidden!(auth:
    Challenge,
    Device,
    IntrospectRequest,
    IssueReconnectionResponse,
    Password,
    ReconnectRequest,
    RefreshRequest,
    RegisterRequest,
    SecondStep,
    Tokens,
    ValidateRequest,
);

hidden!(lobby: Hello, MatchReady, RejoinMatch, Resume, Welcome);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let of_hub = hub::v1::ConnectKey {
            version: 3,
            key: vec![171; 32],
        };
        let of_sdk = sdk::v1::ConnectKey {
            version: 3,
            key: vec![171; 32],
        };
        let keys = hub::v1::ConnectKeys {
            boot_id: Vec::new(),
            keys: vec![of_hub],
        };
        let token = allocation::v1::PlayerToken {
            connect_token: vec![171; 2048],
            ..Default::default()
        };
        let shown = format!("{keys:?} {of_sdk:?} {token:?}");
        assert!(shown.contains("version: 3"), "{shown}");
        assert!(!shown.contains("171"), "{shown}");
    }

    #[test]
    fn a_credential_is_not_shown_even_inside_another_message() {
        let login = auth::v1::LoginRequest {
            credential: Some(auth::v1::login_request::Credential::Password(
                auth::v1::Password {
                    email: "ada@example.com".to_owned(),
                    password: "correct horse".to_owned(),
                },
            )),
            ..Default::default()
        };
        let answer = auth::v1::SignInResponse {
            outcome: Some(auth::v1::sign_in_response::Outcome::Tokens(
                auth::v1::Tokens {
                    refresh_token: "correct horse".to_owned(),
                    ..Default::default()
                },
            )),
        };
        let shown = format!("{login:?} {answer:?}");
        assert!(shown.contains("Tokens"), "{shown}");
        assert!(!shown.contains("horse"), "{shown}");
        assert!(!shown.contains("ada"), "{shown}");
    }
}
