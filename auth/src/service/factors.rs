//! Second factors and passkeys of an account.

use std::time::Duration;

use access::claims::Claims;
use storage::Confidential;
use zeroize::Zeroizing;

use crate::error::{Code, Failure};
use crate::factors::passkey::{self, Passkeys};
use crate::factors::{base32, recovery, totp};
use crate::ids::{IdentityHash, PlayerId};
use crate::limits::{Source, What, Who};
use crate::live::Key;
use crate::service::audit::{Event, Outcome, Trial};
use crate::service::caller::Caller;
use crate::service::confirm::Confirmation;
use crate::service::keys::TOTP;
use crate::service::login::source;
use crate::service::recover::Message;
use crate::service::sessions::Tokens;
use crate::service::{Service, now};
use crate::store::{Audit, Passkey, Player, Status, Totp};

/// How often an owner is told at most that somebody guesses codes.
const DAY: Duration = Duration::from_hours(24);

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

impl Service {
    /// Begins to set up an authenticator; it counts when a first code was good.
    pub async fn enroll_totp(
        &self,
        caller: &Caller,
        claims: &Claims,
        shown: &Confirmation,
    ) -> Result<Enrollment, Failure> {
        let player = self.account(claims.sub).await?;
        if player.totp.as_ref().is_some_and(|totp| totp.confirmed) {
            return Err(Failure::new(
                Code::Conflict,
                "an authenticator is set up; remove it first",
            ));
        }
        self.confirm_owner(caller, claims, &player, shown).await?;
        let label = self
            .email(&player)?
            .unwrap_or_else(|| player.id.to_string());
        let secret = Zeroizing::new(crate::crypto::random::<{ totp::SECRET_BYTES }>());
        let sealed = self.seal(TOTP, player.id.0.as_bytes(), secret.as_slice())?;
        let random: Vec<[u8; recovery::CODE_BYTES]> = (0..recovery::CODES)
            .map(|_| crate::crypto::random())
            .collect();
        let random: [[u8; recovery::CODE_BYTES]; recovery::CODES] =
            random.try_into().map_err(|_| Failure::internal())?;
        let codes = recovery::codes(&random);
        let hashes: Vec<[u8; 32]> = codes
            .iter()
            .filter_map(|code| recovery::hash(player.id, code))
            .collect();
        let totp = Totp {
            secret: sealed,
            confirmed: false,
            last_step: 0,
        };
        self.parts()
            .store
            .set_totp(player.id, Some(&totp), &hashes, None)
            .await?;
        Ok(Enrollment {
            uri: totp::uri(&secret, &self.parts().texts.game, &label),
            secret: base32::encode(secret.as_slice()),
            recovery_codes: codes.iter().map(|code| code.as_str().to_owned()).collect(),
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
        let line = factor_line(caller, player.id, "totp added");
        let (service, code) = (self.clone(), code.to_owned());
        self.change(async move {
            if !service.spend_totp(&player, &code, Some(&line)).await? {
                return Err(Failure::credentials());
            }
            service.said(&line);
            service.tell_owner(&player, "An authenticator was set up");
            Ok(())
        })
        .await
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
        let (service, caller, code) = (self.clone(), caller.clone(), code.to_owned());
        self.change(async move {
            service.try_code(&caller, &player, &code).await?;
            let line = factor_line(&caller, player.id, "totp removed");
            let store = &service.parts().store;
            store.set_totp(player.id, None, &[], Some(&line)).await?;
            service.said(&line);
            service.tell_owner(&player, "The authenticator was removed");
            Ok(())
        })
        .await
    }

    /// Spends a code of the authenticator or a recovery code, or refuses and writes that down.
    pub(super) async fn try_code(
        &self,
        caller: &Caller,
        player: &Player,
        code: &str,
    ) -> Result<(), Failure> {
        let mut trial = Trial::new(Event::SecondStep, "code");
        trial.player = player.id;
        let confirmed = self.is_code(caller, player, code).await;
        self.refused(caller, &trial, &confirmed).await;
        confirmed
    }

    /// As [`Service::try_code`], without a line: whoever asks writes it.
    ///
    /// Wrong ones are counted for each place, which a right password does not take back, and for
    /// the account, wherever they come from: a code is short, and who knows the password may ask
    /// for any number of second steps. A new password begins anew, so that whoever guesses does not
    /// keep the owner out.
    pub(super) async fn is_code(
        &self,
        caller: &Caller,
        player: &Player,
        code: &str,
    ) -> Result<(), Failure> {
        let parts = self.parts();
        let epoch = player.credentials_epoch.to_be_bytes();
        let id = [player.id.0.as_bytes(), epoch.as_slice()].concat();
        let account = IdentityHash(crate::crypto::named_hash("codes", &id));
        let device = self.device(caller)?;
        let known = self.known_device(Some(player), device.as_ref()).await?;
        let source = source(caller.address, device.as_ref(), known.as_ref());
        let live = parts.live.as_ref();
        let attempt = parts.limits.begin(live, account, source).await?;
        if let Err(failure) = self.limit(What::Code, Who::Identity(account)).await {
            attempt.abandoned().await;
            self.warn_of_guesses(caller, player, account).await?;
            return Err(failure);
        }
        match self.spend_code(player, code).await {
            Ok(true) => {
                attempt.succeeded().await;
                Ok(())
            }
            Ok(false) => {
                attempt.failed().await;
                Err(Failure::credentials())
            }
            Err(failure) => {
                attempt.abandoned().await;
                Err(failure)
            }
        }
    }

    /// Tells the owner and the audit log, once in a day, that somebody guesses codes.
    async fn warn_of_guesses(
        &self,
        caller: &Caller,
        player: &Player,
        account: IdentityHash,
    ) -> Result<(), Failure> {
        let told = Key::Once(crate::crypto::named_hash("told of guesses", &account.0));
        if !self.parts().live.once(&told, DAY).await? {
            return Ok(());
        }
        self.note(
            Event::SecondStep,
            Outcome::Suspicious,
            player.id,
            &caller.address.to_string(),
            &serde_json::json!({ "refused": "too many codes" }),
        );
        if let Some(email) = self.email(player)? {
            self.mail_later(player.id, &email, Message::CodesGuessed);
        }
        Ok(())
    }

    async fn spend_code(&self, player: &Player, code: &str) -> Result<bool, Failure> {
        if self.spend_totp(player, code, None).await? {
            return Ok(true);
        }
        let Some(hash) = recovery::hash(player.id, code) else {
            return Ok(false);
        };
        let store = &self.parts().store;
        Ok(store.spend_recovery(player.id, &hash, now()).await?)
    }

    async fn spend_totp(
        &self,
        player: &Player,
        code: &str,
        line: Option<&Audit>,
    ) -> Result<bool, Failure> {
        let Some(totp) = &player.totp else {
            return Ok(false);
        };
        let secret = self.open(TOTP, player.id.0.as_bytes(), &totp.secret)?;
        let Ok(secret) = <&[u8; totp::SECRET_BYTES]>::try_from(secret.as_slice()) else {
            return Err(Failure::internal());
        };
        let Some(step) = totp::verify(secret, code, now()) else {
            return Ok(false);
        };
        Ok(self.parts().store.spend_totp(player.id, step, line).await?)
    }

    /// Begins to add a passkey: options for `navigator.credentials.create`, and a handle.
    pub async fn begin_passkey(
        &self,
        caller: &Caller,
        claims: &Claims,
        shown: &Confirmation,
    ) -> Result<(serde_json::Value, Confidential), Failure> {
        let player = self.account(claims.sub).await?;
        // A passkey stands for both steps from then on.
        self.confirm_owner(caller, claims, &player, shown).await?;
        let present = self.parts().store.passkeys(player.id).await?;
        let name = self
            .email(&player)?
            .unwrap_or_else(|| player.id.to_string());
        let passkeys = self.passkey_party()?;
        let begun = passkeys.begin_registration(player.id, &name, &present)?;
        let handle = self.keep_ceremony(&begun.state).await?;
        Ok((begun.options, handle))
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
        let player = self.account(claims.sub).await?;
        let state = self.take_ceremony(handle).await?;
        let passkeys = self.passkey_party()?;
        let passkey = passkeys.finish_registration(claims.sub, &state, response, name, now())?;
        let line = passkey_line(caller, player.id, &serde_json::json!({ "added": name }));
        let service = self.clone();
        self.change(async move {
            let store = &service.parts().store;
            if !store.add_passkey(player.id, &passkey, &line).await? {
                return Err(Failure::new(Code::Conflict, "the passkey was added before"));
            }
            service.said(&line);
            service.tell_owner(&player, "A passkey was added");
            Ok(())
        })
        .await
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
        let player = self.account(claims.sub).await?;
        let line = passkey_line(caller, player.id, &serde_json::json!({ "removed": true }));
        let (service, credential) = (self.clone(), credential.to_owned());
        self.change(async move {
            let store = &service.parts().store;
            if !store.remove_passkey(player.id, &credential, &line).await? {
                return Err(Failure::new(Code::NotFound, "no such passkey"));
            }
            service.said(&line);
            service.tell_owner(&player, "A passkey was removed");
            Ok(())
        })
        .await
    }

    /// Begins to sign in by a passkey: options for `navigator.credentials.get`, and a handle.
    pub async fn begin_passkey_login(
        &self,
        caller: &Caller,
    ) -> Result<(serde_json::Value, Confidential), Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let begun = self.passkey_party()?.begin_discoverable()?;
        let handle = self.keep_ceremony(&begun.state).await?;
        Ok((begun.options, handle))
    }

    /// Signs in by a passkey: knowing and having in one, so that no second step is asked for.
    pub async fn finish_passkey_login(
        &self,
        caller: &Caller,
        handle: &str,
        response: &serde_json::Value,
    ) -> Result<Tokens, Failure> {
        let mut trial = Trial::new(Event::Login, "passkey");
        let result = self
            .passkey_login(caller, handle, response, &mut trial)
            .await;
        self.metrics().logged_in("passkey", result.is_ok());
        self.refused(caller, &trial, &result).await;
        result
    }

    async fn passkey_login(
        &self,
        caller: &Caller,
        handle: &str,
        response: &serde_json::Value,
        trial: &mut Trial,
    ) -> Result<Tokens, Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let terms = self.terms(caller).await?;
        let state = self.take_ceremony(handle).await?;
        let parts = self.parts();
        let claimed = self.passkey_party()?.claimed(&state, response)?;
        trial.player = claimed.player;
        let source = Source::Passkey(&claimed.credential);
        let account = IdentityHash(crate::crypto::named_hash(
            "passkey",
            claimed.player.0.as_bytes(),
        ));
        let attempt = parts
            .limits
            .begin(parts.live.as_ref(), account, source)
            .await?;
        let present = match parts.store.passkeys(claimed.player).await {
            Ok(present) => present,
            Err(error) => {
                attempt.abandoned().await;
                return Err(error.into());
            }
        };
        let passkey = match self
            .passkey_party()?
            .finish(&state, response, &present, now())
        {
            Ok(passkey) => passkey,
            Err(error) => {
                attempt.failed().await;
                return Err(error.into());
            }
        };
        attempt.succeeded().await;
        let player = self
            .parts()
            .store
            .player(claimed.player)
            .await?
            .filter(|player| player.status == Status::Active)
            .ok_or_else(Failure::credentials)?;
        // Its owner may have removed it since it was read.
        if !parts.store.touch_passkey(player.id, &passkey).await? {
            return Err(Failure::credentials());
        }
        self.open_session(caller, terms, &player, &["hwk", "user"])
            .await
    }

    fn passkey_party(&self) -> Result<&Passkeys, Failure> {
        self.parts()
            .passkeys
            .as_ref()
            .ok_or_else(|| Failure::new(Code::NotFound, "this service has no passkeys"))
    }

    async fn keep_ceremony(&self, state: &[u8]) -> Result<Confidential, Failure> {
        let handle = crate::crypto::handle();
        let live = &self.parts().live;
        live.put(&ceremony_key(handle.expose()), state, passkey::LIFETIME)
            .await?;
        Ok(handle)
    }

    async fn take_ceremony(&self, handle: &str) -> Result<Vec<u8>, Failure> {
        let taken = self.parts().live.take(&ceremony_key(handle)).await?;
        taken.ok_or_else(Failure::credentials)
    }
}

fn passkey_line(caller: &Caller, player: PlayerId, detail: &serde_json::Value) -> Audit {
    let ip = caller.address.to_string();
    Service::line(Event::PasskeyChanged, Outcome::Success, player, &ip, detail)
}

fn factor_line(caller: &Caller, player: PlayerId, what: &str) -> Audit {
    Service::line(
        Event::FactorChanged,
        Outcome::Success,
        player,
        &caller.address.to_string(),
        &serde_json::json!({ "change": what }),
    )
}

fn ceremony_key(handle: &str) -> Key {
    Key::Step(crate::crypto::named_hash("ceremony", handle.as_bytes()))
}
