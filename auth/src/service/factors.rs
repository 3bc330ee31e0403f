//! Second factors and passkeys of an account.

use std::time::Duration;

use access::claims::Claims;
use serde::{Deserialize, Serialize};

use crate::error::{Code, Failure};
use crate::factors::{passkey, totp};
use crate::ids::PlayerId;
use crate::limits::{What, Who};
use crate::live::Key;
use crate::passwords::Password;
use crate::service::audit::{Event, Outcome};
use crate::service::caller::Caller;
use crate::service::sessions::Tokens;
use crate::service::{Service, now};
use crate::store::{Passkey, Player, Status, Totp};

/// How long a ceremony with an authenticator may take.
const CEREMONY: Duration = Duration::from_secs(300);

/// The most passkeys of an account.
const MOST_PASSKEYS: usize = 20;

/// An authenticator that is being set up.
#[derive(Clone)]
pub struct Enrollment {
    /// For a picture that an app scans: `otpauth://…`.
    pub uri: String,
    /// For typing in.
    pub secret: String,
    /// Each signs in once, without the authenticator. Shown now and never again.
    pub recovery_codes: Vec<String>,
}

impl std::fmt::Debug for Enrollment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Enrollment").finish_non_exhaustive()
    }
}

/// What is remembered during a ceremony.
#[derive(Serialize, Deserialize)]
struct Ceremony {
    player: Option<PlayerId>,
    state: Vec<u8>,
}

impl Service {
    /// Begins to set up an authenticator; it counts when a first code was good.
    pub async fn enroll_totp(
        &self,
        caller: &Caller,
        claims: &Claims,
        password: Option<&Password>,
    ) -> Result<Enrollment, Failure> {
        let player = self.account(claims.sub).await?;
        self.confirm_if_any(caller, &player, password).await?;
        if player.totp.as_ref().is_some_and(|totp| totp.confirmed) {
            return Err(Failure::new(
                Code::Conflict,
                "an authenticator is set up; remove it first",
            ));
        }
        let label = self.email(&player)?.unwrap_or_else(|| player.id.to_string());
        let new = totp::enroll(&self.settings().issuer, &label)?;
        let keys = self.parts().keyring.current();
        let sealed = keys.seal("users", "totp_secret", player.id.0.as_bytes(), new.secret())?;
        let recovery = totp::recovery_codes()?;
        let hashes: Vec<[u8; 32]> = recovery.iter().map(|code| totp::recovery_hash(code)).collect();
        let totp = Totp {
            secret: sealed,
            confirmed: false,
            last_step: 0,
        };
        self.parts()
            .store
            .set_totp(player.id, Some(&totp), &hashes)
            .await?;
        Ok(Enrollment {
            uri: new.uri(),
            secret: new.base32(),
            recovery_codes: recovery,
        })
    }

    /// Confirms an authenticator by its first code.
    pub async fn confirm_totp(
        &self,
        caller: &Caller,
        claims: &Claims,
        code: &str,
    ) -> Result<(), Failure> {
        self.limit(What::Login, Who::Player(claims.sub)).await?;
        let player = self.account(claims.sub).await?;
        if !self.spend_totp(&player, code).await? {
            return Err(Failure::credentials());
        }
        self.changed_factor(caller, player.id, "totp added");
        Ok(())
    }

    /// Removes the authenticator and the recovery codes.
    pub async fn remove_totp(
        &self,
        caller: &Caller,
        claims: &Claims,
        code: &str,
    ) -> Result<(), Failure> {
        self.limit(What::Login, Who::Player(claims.sub)).await?;
        let player = self.account(claims.sub).await?;
        if !self.spend_code(&player, code).await? {
            return Err(Failure::credentials());
        }
        self.parts().store.set_totp(player.id, None, &[]).await?;
        self.changed_factor(caller, player.id, "totp removed");
        Ok(())
    }

    /// Spends a code of the authenticator or a recovery code.
    pub(super) async fn spend_code(&self, player: &Player, code: &str) -> Result<bool, Failure> {
        if self.spend_totp(player, code).await? {
            return Ok(true);
        }
        let hash = totp::recovery_hash(code);
        Ok(self
            .parts()
            .store
            .spend_recovery(player.id, &hash, now())
            .await?)
    }

    async fn spend_totp(&self, player: &Player, code: &str) -> Result<bool, Failure> {
        let Some(totp) = &player.totp else {
            return Ok(false);
        };
        let keys = self.parts().keyring.current();
        let secret = keys.open("users", "totp_secret", player.id.0.as_bytes(), &totp.secret)?;
        let Some(step) = totp::matching_step(&secret, code, now()) else {
            return Ok(false);
        };
        Ok(self.parts().store.spend_totp(player.id, step).await?)
    }

    /// Begins to add a passkey: options for `navigator.credentials.create`, and a handle.
    pub async fn begin_passkey(
        &self,
        caller: &Caller,
        claims: &Claims,
        password: Option<&Password>,
    ) -> Result<(serde_json::Value, String), Failure> {
        let player = self.account(claims.sub).await?;
        self.confirm_if_any(caller, &player, password).await?;
        let present = self.parts().store.passkeys(player.id).await?;
        if present.len() >= MOST_PASSKEYS {
            return Err(Failure::new(Code::Conflict, "at most 20 passkeys"));
        }
        let name = self.email(&player)?.unwrap_or_else(|| player.id.to_string());
        let (options, state) = self.0.passkeys.begin_registration(player.id, &name, &present)?;
        let handle = self.keep_ceremony(Some(player.id), state).await?;
        Ok((options, handle))
    }

    /// Adds the passkey that the authenticator made.
    pub async fn finish_passkey(
        &self,
        caller: &Caller,
        claims: &Claims,
        handle: &str,
        name: &str,
        response: &serde_json::Value,
    ) -> Result<(), Failure> {
        if name.is_empty() || name.chars().count() > 64 {
            return Err(Failure::field("name", "1 to 64 characters"));
        }
        let ceremony = self.take_ceremony(handle).await?;
        if ceremony.player != Some(claims.sub) {
            return Err(Failure::token());
        }
        let made = self.0.passkeys.finish_registration(&ceremony.state, response)?;
        let passkey = Passkey {
            credential: made.credential,
            record: made.record,
            name: name.to_owned(),
            created: now(),
            used: None,
        };
        self.parts().store.put_passkey(claims.sub, &passkey).await?;
        self.note(
            Event::PasskeyChanged,
            Outcome::Success,
            claims.sub,
            &caller.address.to_string(),
            &serde_json::json!({ "added": name }),
        );
        Ok(())
    }

    /// The passkeys of an account.
    pub async fn passkeys(&self, claims: &Claims) -> Result<Vec<Passkey>, Failure> {
        Ok(self.parts().store.passkeys(claims.sub).await?)
    }

    /// Removes a passkey.
    pub async fn remove_passkey(
        &self,
        caller: &Caller,
        claims: &Claims,
        credential: &[u8],
    ) -> Result<(), Failure> {
        if !self
            .parts()
            .store
            .remove_passkey(claims.sub, credential)
            .await?
        {
            return Err(Failure::new(Code::NotFound, "no such passkey"));
        }
        self.note(
            Event::PasskeyChanged,
            Outcome::Success,
            claims.sub,
            &caller.address.to_string(),
            &serde_json::json!({ "removed": true }),
        );
        Ok(())
    }

    /// Begins to sign in by a passkey: options for `navigator.credentials.get`, and a handle.
    pub async fn begin_passkey_login(
        &self,
        caller: &Caller,
    ) -> Result<(serde_json::Value, String), Failure> {
        self.limit(What::Login, Who::Address(caller.address)).await?;
        let (options, state) = self.0.passkeys.begin_login()?;
        let handle = self.keep_ceremony(None, state).await?;
        Ok((options, handle))
    }

    /// Signs in by a passkey: knowing and having in one, so that no second step is asked for.
    pub async fn finish_passkey_login(
        &self,
        caller: &Caller,
        handle: &str,
        response: &serde_json::Value,
    ) -> Result<Tokens, Failure> {
        let result = self.passkey_login(caller, handle, response).await;
        self.metrics().logged_in("passkey", result.is_ok());
        result
    }

    async fn passkey_login(
        &self,
        caller: &Caller,
        handle: &str,
        response: &serde_json::Value,
    ) -> Result<Tokens, Failure> {
        self.limit(What::Login, Who::Address(caller.address)).await?;
        let terms = self.terms(caller).await?;
        let ceremony = self.take_ceremony(handle).await?;
        let claimed = passkey::claimed_player(response).ok_or_else(Failure::credentials)?;
        let present = self.parts().store.passkeys(claimed).await?;
        let used = self
            .0
            .passkeys
            .finish_login(&ceremony.state, response, &present)?;
        let player = self
            .parts()
            .store
            .player(claimed)
            .await?
            .filter(|player| player.status == Status::Active)
            .ok_or_else(Failure::credentials)?;
        let passkey = Passkey {
            used: Some(now()),
            ..used
        };
        self.parts().store.put_passkey(player.id, &passkey).await?;
        self.open_session(caller, terms, &player, &["hwk", "user"]).await
    }

    async fn confirm_if_any(
        &self,
        caller: &Caller,
        player: &Player,
        password: Option<&Password>,
    ) -> Result<(), Failure> {
        if player.password.is_none() {
            return Ok(());
        }
        let password = password
            .ok_or_else(|| Failure::field("password", "needed to change how you sign in"))?;
        self.confirm(caller, player, password).await
    }

    async fn keep_ceremony(
        &self,
        player: Option<PlayerId>,
        state: Vec<u8>,
    ) -> Result<String, Failure> {
        let handle = crate::crypto::handle();
        let bytes = serde_json::to_vec(&Ceremony { player, state })
            .map_err(|error| Failure::defect("a ceremony cannot be written", &error))?;
        let key = Key::Step(crate::crypto::named_hash("ceremony", handle.as_bytes()));
        self.parts().live.put(&key, &bytes, CEREMONY).await?;
        Ok(handle)
    }

    async fn take_ceremony(&self, handle: &str) -> Result<Ceremony, Failure> {
        let key = Key::Step(crate::crypto::named_hash("ceremony", handle.as_bytes()));
        let bytes = self
            .parts()
            .live
            .take(&key)
            .await?
            .ok_or_else(Failure::credentials)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::defect("a ceremony cannot be read", &error))
    }

    fn changed_factor(&self, caller: &Caller, player: PlayerId, what: &str) {
        self.note(
            Event::FactorChanged,
            Outcome::Success,
            player,
            &caller.address.to_string(),
            &serde_json::json!({ "change": what }),
        );
    }
}
