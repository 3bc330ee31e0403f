//! Signing in: password, device, second step.
//!
//! Nothing tells whether an account exists: an unknown name costs the same look-ups and the same
//! hash as a known one, and gets the same answer.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use storage::Confidential;
use uuid::Uuid;

use crate::error::Failure;
use crate::ids::{IdentityHash, IdentityKind, PlayerId};
use crate::limits::{Attempt, Source, What, Who};
use crate::live::Key;
use crate::passwords::{Password, Verdict};
use crate::service::audit::{Event, Trial};
use crate::service::caller::{Caller, Terms};
use crate::service::register::address;
use crate::service::sessions::Tokens;
use crate::service::{Service, Verification, now};
use crate::store::{Device, Identity, NewPlayer, Player, Status};

/// How long a second step may take.
const SECOND_STEP: Duration = Duration::from_mins(5);

/// How many codes may be tried in one login.
const SECOND_STEP_TRIES: u32 = 5;

/// What became of a login.
#[derive(Debug)]
pub enum SignIn {
    /// Done.
    Tokens(Box<Tokens>),
    /// A second step is asked for.
    Challenge(Challenge),
}

/// A second step that is asked for.
#[derive(Clone)]
pub struct Challenge {
    /// To be shown with the code.
    pub handle: Confidential,
    /// How the step can be done.
    pub methods: &'static [&'static str],
    /// How long it may take.
    pub lifetime: Duration,
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Challenge")
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

/// What is remembered between the first step and the second.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    player: PlayerId,
    /// As it was at the first step, which a password that was replaced since would void.
    credentials_epoch: i64,
    key: Option<String>,
    methods: Vec<String>,
}

impl Service {
    /// Signs in by mail address and password.
    pub async fn login(
        &self,
        caller: &Caller,
        email: &str,
        password: &Password,
    ) -> Result<SignIn, Failure> {
        let mut trial = Trial::new(Event::Login, "password");
        let result = self
            .login_by_password(caller, email, password, &mut trial)
            .await;
        self.metrics().logged_in("password", result.is_ok());
        self.refused(caller, &trial, &result).await;
        result
    }

    async fn login_by_password(
        &self,
        caller: &Caller,
        email: &str,
        password: &Password,
        trial: &mut Trial,
    ) -> Result<SignIn, Failure> {
        let email = &address(email)?;
        // Hashes are dear: one network gets no more of them than its share.
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let terms = self.terms(caller).await?;
        let hash = self.blind(IdentityKind::Email, email);
        trial.account = Some(hash);
        let found = self.known(&hash).await?;
        let device = self.device(caller)?;
        let known_device = self.known_device(found.as_ref(), device.as_ref()).await?;
        let source = source(caller.address, device.as_ref(), known_device.as_ref());
        self.captcha(caller).await?;
        let stored = found.as_ref().and_then(|player| player.password.as_deref());
        let (attempt, verdict) = self.try_password(hash, source, password, stored).await?;
        let usable = found.filter(|player| {
            player.status == Status::Active
                && (player.email_verified || self.settings().verification == Verification::Optional)
        });
        let (Some(player), Verdict::Right { rehashed }) = (usable, verdict) else {
            attempt.failed().await;
            return Err(Failure::credentials());
        };
        attempt.succeeded().await;
        if let Some(new) = rehashed {
            // Another login may have been quicker, or a new password: then no session is opened.
            self.parts()
                .store
                .set_password(player.id, player.password.as_deref(), &new)
                .await?;
        }
        self.after_first_step(caller, terms, &player, &["pwd"])
            .await
    }

    /// Checks a password as an attempt to guess it, which is taken back when nothing was learned of
    /// it: who finds us busy did not fail.
    pub(super) async fn try_password(
        &self,
        account: IdentityHash,
        source: Source<'_>,
        password: &Password,
        stored: Option<&str>,
    ) -> Result<(Attempt<'_>, Verdict), Failure> {
        let parts = self.parts();
        let live = parts.live.as_ref();
        let attempt = parts.limits.begin(live, account, source).await?;
        match parts.passwords.verify(password, stored).await {
            Ok(verdict) => Ok((attempt, verdict)),
            Err(failure) => {
                attempt.abandoned().await;
                Err(failure)
            }
        }
    }

    /// Signs in a device without a name; makes a guest of it the first time.
    pub async fn login_by_device(&self, caller: &Caller) -> Result<SignIn, Failure> {
        let mut trial = Trial::new(Event::Login, "device");
        let result = self.device_login(caller, &mut trial).await;
        self.metrics().logged_in("device", result.is_ok());
        self.refused(caller, &trial, &result).await;
        result
    }

    async fn device_login(&self, caller: &Caller, trial: &mut Trial) -> Result<SignIn, Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let terms = self.terms(caller).await?;
        let device = self
            .device(caller)?
            .ok_or_else(|| Failure::field("device_id", "missing"))?;
        let player = match self.known(&device.hash).await? {
            Some(player) => {
                trial.player = player.id;
                // The id alone is a password that many programs read: once a key came with it, the
                // key must come always.
                let known = self
                    .parts()
                    .store
                    .device(player.id, &device.hash)
                    .await?
                    .and_then(|known| known.key);
                if player.status != Status::Active || (known.is_some() && known != device.key) {
                    return Err(Failure::credentials());
                }
                player
            }
            None => self.guest(caller, device.hash, &device.sealed).await?,
        };
        let methods: &[&str] = if device.key.is_some() {
            &["hwk"]
        } else {
            &["device"]
        };
        self.after_first_step(caller, terms, &player, methods).await
    }

    async fn guest(
        &self,
        caller: &Caller,
        hash: IdentityHash,
        label: &[u8],
    ) -> Result<Player, Failure> {
        self.limit(What::Register, Who::Address(caller.address))
            .await?;
        self.captcha(caller).await?;
        let id = PlayerId(Uuid::new_v4());
        let new = NewPlayer {
            id,
            identity: Identity {
                kind: IdentityKind::Device,
                hash,
                label: label.to_vec(),
            },
            email: None,
            email_verified: false,
            password: None,
            guest: true,
            at: now(),
            lines: Self::registration(caller, id, IdentityKind::Device),
        };
        self.make_player(&new).await?;
        // Whoever was first: a retry of the same call may have been.
        self.known(&hash).await?.ok_or_else(Failure::credentials)
    }

    /// Opens the session, or asks for the second step that the account wants.
    pub(super) async fn after_first_step(
        &self,
        caller: &Caller,
        terms: Terms,
        player: &Player,
        methods: &[&str],
    ) -> Result<SignIn, Failure> {
        if player.totp.as_ref().is_none_or(|totp| !totp.confirmed) {
            let tokens = self.open_session(caller, terms, player, methods).await?;
            return Ok(SignIn::Tokens(Box::new(tokens)));
        }
        let pending = Pending {
            player: player.id,
            credentials_epoch: player.credentials_epoch,
            key: terms.key,
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
        };
        let handle = crate::crypto::handle();
        let bytes = serde_json::to_vec(&pending)
            .map_err(|error| Failure::defect("a login cannot be written", &error))?;
        let key = Key::Step(crate::crypto::named_hash(
            "login",
            handle.expose().as_bytes(),
        ));
        self.parts().live.put(&key, &bytes, SECOND_STEP).await?;
        Ok(SignIn::Challenge(Challenge {
            handle,
            methods: &["totp", "recovery_code"],
            lifetime: SECOND_STEP,
        }))
    }

    /// Does the second step of a login.
    pub async fn second_step(
        &self,
        caller: &Caller,
        handle: &str,
        code: &str,
    ) -> Result<Tokens, Failure> {
        let mut trial = Trial::new(Event::SecondStep, "code");
        let result = self.do_second_step(caller, handle, code, &mut trial).await;
        self.metrics().logged_in("second_step", result.is_ok());
        self.refused(caller, &trial, &result).await;
        result
    }

    async fn do_second_step(
        &self,
        caller: &Caller,
        handle: &str,
        code: &str,
        trial: &mut Trial,
    ) -> Result<Tokens, Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let terms = self.terms(caller).await?;
        let live = self.parts().live.as_ref();
        let hash = crate::crypto::named_hash("login", handle.as_bytes());
        let Some(bytes) = live.get(&Key::Step(hash)).await? else {
            return Err(Failure::credentials());
        };
        let pending: Pending = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::defect("a login cannot be read", &error))?;
        trial.player = pending.player;
        let tries = live.count(&Key::Failures(hash), SECOND_STEP).await?;
        if tries > SECOND_STEP_TRIES || pending.key != terms.key {
            live.forget(&Key::Step(hash)).await?;
            return Err(Failure::credentials());
        }
        let store = &self.parts().store;
        let Some(player) = store.player(pending.player).await?.filter(|player| {
            player.status == Status::Active && player.credentials_epoch == pending.credentials_epoch
        }) else {
            return Err(Failure::credentials());
        };
        self.is_code(caller, &player, code).await?;
        // Good once, whoever else has the handle.
        if live.take(&Key::Step(hash)).await?.is_none() {
            return Err(Failure::credentials());
        }
        let mut methods: Vec<&str> = pending.methods.iter().map(String::as_str).collect();
        methods.push("otp");
        self.open_session(caller, terms, &player, &methods).await
    }

    /// The account of an identity, at the same cost when there is none.
    pub(super) async fn known(&self, hash: &IdentityHash) -> Result<Option<Player>, Failure> {
        let id = self.parts().store.player_by(hash).await?;
        // A look for somebody who cannot be: the answer takes as long as one for somebody.
        let player = self
            .parts()
            .store
            .player(id.unwrap_or_else(|| PlayerId(Uuid::new_v4())))
            .await?;
        Ok(player)
    }

    /// The device, if the account knows it; looked for in nobody's account when there is none.
    pub(super) async fn known_device(
        &self,
        found: Option<&Player>,
        device: Option<&Device>,
    ) -> Result<Option<Device>, Failure> {
        let Some(device) = device else {
            return Ok(None);
        };
        let owner = found.map_or_else(|| PlayerId(Uuid::new_v4()), |player| player.id);
        Ok(self.parts().store.device(owner, &device.hash).await?)
    }
}

/// Where a sign-in comes from, as far as it is proved: of a device that its account knows, the key
/// that it had before. The caller's proof was checked, or the device has no key.
pub(super) fn source<'device>(
    address: IpAddr,
    device: Option<&'device Device>,
    known: Option<&Device>,
) -> Source<'device> {
    match (device, known) {
        (Some(device), Some(known)) if device.key.is_some() && device.key == known.key => {
            Source::KnownDevice(&device.hash.0)
        }
        (Some(device), Some(_)) => Source::ClaimedDevice(address, &device.hash.0),
        _ => Source::Stranger(address),
    }
}
