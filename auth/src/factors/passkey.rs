//! Passkeys: registration, and signing in with or without saying first who one is.
//!
//! A ceremony has two steps. Between them its state is with us, never with the client: the caller
//! keeps the bytes in [`crate::live`] for [`LIFETIME`], under the hash of a handle, and takes them
//! once. A passkey proves possession and, by a finger or a PIN, its owner: it counts for both
//! factors.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey as Record, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Webauthn, WebauthnBuilder,
};

use crate::Failure;
use crate::ids::PlayerId;
use crate::store::Passkey;

/// How long a ceremony may take.
pub const LIFETIME: Duration = Duration::from_mins(5);

/// The most passkeys of one account.
pub const MAX_PASSKEYS: usize = 20;

/// Why a ceremony failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The relying party is not configured as browsers want it.
    #[error("use the relying party {id}: {problem}")]
    RelyingParty {
        /// Its id: a domain.
        id: String,
        /// What is wrong.
        problem: String,
    },
    /// The account has as many as it may have.
    #[error("there are {MAX_PASSKEYS} passkeys already")]
    TooMany,
    /// What came back does not fit what was asked.
    #[error("the answer of the authenticator is not good: {0}")]
    Refused(String),
    /// The state is not that of such a ceremony.
    #[error("the state is of another ceremony")]
    State,
    /// A stored passkey cannot be read.
    #[error("a stored passkey cannot be read")]
    Stored(#[source] serde_json::Error),
    /// Something could not be written as JSON.
    #[error("write JSON")]
    Json(#[source] serde_json::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::TooMany => Self::new(
                crate::Code::Conflict,
                "there are as many passkeys as an account may have",
            ),
            Error::Refused(_) | Error::State => {
                tracing::debug!(%error, "Refused a passkey");
                Self::credentials()
            }
            Error::RelyingParty { .. } | Error::Stored(_) | Error::Json(_) => {
                tracing::error!(%error, "A passkey cannot be used");
                Self::internal()
            }
        }
    }
}

/// The first step of a ceremony.
pub struct Begun {
    /// For the client: the argument of `navigator.credentials.create` or `get`, as JSON.
    pub options: serde_json::Value,
    /// For us: see the module.
    pub state: Vec<u8>,
}

impl fmt::Debug for Begun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Begun")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A ceremony between its steps.
#[derive(Serialize, Deserialize)]
#[serde(tag = "ceremony", rename_all = "snake_case")]
enum State {
    Registration {
        player: PlayerId,
        state: PasskeyRegistration,
    },
    Known {
        player: PlayerId,
        state: PasskeyAuthentication,
    },
    Discoverable {
        state: DiscoverableAuthentication,
    },
}

/// Who an answer says it is from: not proven yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The account.
    pub player: PlayerId,
    /// The passkey's id.
    pub credential: Vec<u8>,
}

/// The relying party.
#[derive(Debug)]
pub struct Passkeys {
    webauthn: Webauthn,
}

impl Passkeys {
    /// Passkeys for a domain, which people see under a name, used from pages of these origins: at
    /// least one, each under the domain. Apps have origins of their own
    /// (`android:apk-key-hash:...`).
    pub fn new(domain: &str, name: &str, origins: &[Url]) -> Result<Self, Error> {
        let bad = |problem: String| Error::RelyingParty {
            id: domain.to_owned(),
            problem,
        };
        let (first, others) = origins
            .split_first()
            .ok_or_else(|| bad("want an origin".to_owned()))?;
        let mut builder = WebauthnBuilder::new(domain, first)
            .map_err(|error| bad(format!("{first}: {error:?}")))?
            .rp_name(name)
            .timeout(LIFETIME);
        for origin in others {
            builder = builder.append_allowed_origin(origin);
        }
        let webauthn = builder.build().map_err(|error| bad(format!("{error:?}")))?;
        Ok(Self { webauthn })
    }

    /// Begins to register a passkey for an account that is signed in. `name` is what the
    /// authenticator shows; `known` are the account's passkeys, of which none is made twice.
    pub fn begin_registration(
        &self,
        player: PlayerId,
        name: &str,
        known: &[Passkey],
    ) -> Result<Begun, Error> {
        if known.len() >= MAX_PASSKEYS {
            return Err(Error::TooMany);
        }
        let known = known.iter().map(|one| one.credential.clone()).collect();
        let (options, state) = self
            .webauthn
            .start_passkey_registration(player.0, name, name, Some(known))
            .map_err(|error| refused(&error))?;
        let mut options = serde_json::to_value(options).map_err(Error::Json)?;
        // So that the passkey can be used without a name later, where the authenticator can.
        if let Some(selection) = options.pointer_mut("/publicKey/authenticatorSelection") {
            selection["residentKey"] = "preferred".into();
        }
        begun(options, &State::Registration { player, state })
    }

    /// Ends a registration: the passkey for the table.
    pub fn finish_registration(
        &self,
        player: PlayerId,
        state: &[u8],
        answer: &serde_json::Value,
        name: &str,
        now: Timestamp,
    ) -> Result<Passkey, Error> {
        let State::Registration { player: of, state } = read(state)? else {
            return Err(Error::State);
        };
        if of != player {
            return Err(Error::State);
        }
        let answer = RegisterPublicKeyCredential::deserialize(answer)
            .map_err(|error| Error::Refused(error.to_string()))?;
        let record = self
            .webauthn
            .finish_passkey_registration(&answer, &state)
            .map_err(|error| refused(&error))?;
        Ok(Passkey {
            credential: record.cred_id().clone(),
            record: serde_json::to_string(&record).map_err(Error::Json)?,
            name: name.to_owned(),
            created: now,
            used: None,
        })
    }

    /// Begins to sign in an account that is known already, by one of its passkeys: a second step,
    /// or a confirmation of something grave. Of an account without passkeys it fails.
    pub fn begin_known(&self, player: PlayerId, known: &[Passkey]) -> Result<Begun, Error> {
        if known.is_empty() {
            // An empty list would ask for any passkey, of anybody.
            return Err(Error::Refused("the account has no passkey".to_owned()));
        }
        let records = known.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        let (options, state) = self
            .webauthn
            .start_passkey_authentication(&records)
            .map_err(|error| refused(&error))?;
        let options = serde_json::to_value(options).map_err(Error::Json)?;
        begun(options, &State::Known { player, state })
    }

    /// Begins to sign in whoever it is: the answer says who. Tells nothing of any account.
    pub fn begin_discoverable(&self) -> Result<Begun, Error> {
        let (options, state) = self
            .webauthn
            .start_discoverable_authentication()
            .map_err(|error| refused(&error))?;
        let options = serde_json::to_value(options).map_err(Error::Json)?;
        begun(options, &State::Discoverable { state })
    }

    /// Whose passkeys must be fetched before [`Self::finish`]: of the account that the ceremony
    /// began for, or that the answer names.
    pub fn claimed(&self, state: &[u8], answer: &serde_json::Value) -> Result<Claimed, Error> {
        let answer = parse(answer)?;
        let player = match read(state)? {
            State::Registration { .. } => return Err(Error::State),
            State::Known { player, .. } => player,
            State::Discoverable { .. } => answer
                .get_user_unique_id()
                .and_then(|bytes| Uuid::from_slice(bytes).ok())
                .map(PlayerId)
                .ok_or_else(|| Error::Refused("it names no account".to_owned()))?,
        };
        Ok(Claimed {
            player,
            credential: answer.raw_id,
        })
    }

    /// Ends a sign-in: the passkey that was used, for [`crate::store::Store::touch_passkey`], since
    /// its counter and the time of its use changed. `known` are the claimed account's passkeys.
    pub fn finish(
        &self,
        state: &[u8],
        answer: &serde_json::Value,
        known: &[Passkey],
        now: Timestamp,
    ) -> Result<Passkey, Error> {
        let answer = parse(answer)?;
        let used = known
            .iter()
            .find(|one| one.credential == answer.raw_id)
            .ok_or_else(|| Error::Refused("the account has no such passkey".to_owned()))?;
        let mut record = record(used)?;
        let result = match read(state)? {
            State::Registration { .. } => return Err(Error::State),
            State::Known { state, .. } => {
                self.webauthn.finish_passkey_authentication(&answer, &state)
            }
            State::Discoverable { state } => self
                .webauthn
                .finish_discoverable_authentication_v2(&answer, state, &record),
        }
        .map_err(|error| refused(&error))?;
        if !result.user_verified() {
            return Err(Error::Refused("its owner was not verified".to_owned()));
        }
        record.update_credential(&result);
        Ok(Passkey {
            record: serde_json::to_string(&record).map_err(Error::Json)?,
            used: Some(now),
            ..used.clone()
        })
    }
}

fn begun(options: serde_json::Value, state: &State) -> Result<Begun, Error> {
    Ok(Begun {
        options,
        state: serde_json::to_vec(state).map_err(Error::Json)?,
    })
}

fn read(state: &[u8]) -> Result<State, Error> {
    serde_json::from_slice(state).map_err(|_| Error::State)
}

fn record(passkey: &Passkey) -> Result<Record, Error> {
    serde_json::from_str(&passkey.record).map_err(Error::Stored)
}

fn parse(answer: &serde_json::Value) -> Result<PublicKeyCredential, Error> {
    PublicKeyCredential::deserialize(answer).map_err(|error| Error::Refused(error.to_string()))
}

fn refused(error: &webauthn_rs::prelude::WebauthnError) -> Error {
    Error::Refused(format!("{error:?}"))
}

#[cfg(test)]
mod tests;
