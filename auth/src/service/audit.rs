//! The audit log: every attempt to sign in and everything that changes an account, with who and
//! from where, and never a secret.
//!
//! What a call changed is committed with the change. What it only attempted goes through a bounded
//! queue, in batches, so that a flood of attempts cannot hold up calls; what does not fit is
//! counted, and the process's own log has it all the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::{Code, Failure};
use crate::ids::{IdentityHash, IdentityKind, PlayerId};
use crate::limits::{What, Who};
use crate::metrics::Metrics;
use crate::service::caller::Caller;
use crate::service::{Service, now};
use crate::store::{Audit, Store};

/// How many lines may wait.
const QUEUE: usize = 4096;

/// How many lines are written at once.
const BATCH: usize = 256;

/// How long a line waits for others.
const LINGER: Duration = Duration::from_millis(200);

/// How often a batch is tried.
const TRIES: u32 = 5;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An account was made, or tried to be.
    Register,
    /// Somebody signed in, or tried to.
    Login,
    /// A second step was tried.
    SecondStep,
    /// A password was asked for again before a change, and was wrong.
    Confirm,
    /// Sessions were ended.
    Logout,
    /// A spent refresh token came back from somebody else.
    RefreshReuse,
    /// A player came back to a game server.
    Reconnect,
    /// A device signed in for the first time.
    NewDevice,
    /// A live session is used from another address.
    AddressChanged,
    /// A live session is used from another device.
    DeviceChanged,
    /// A mail address was verified.
    EmailVerified,
    /// A new password was chosen.
    PasswordChanged,
    /// A reset was asked for.
    PasswordForgotten,
    /// A second factor was set up or removed.
    FactorChanged,
    /// A passkey was added or removed.
    PasskeyChanged,
    /// A way to sign in was added or removed.
    IdentityChanged,
    /// An account was allowed, forbidden or given other rights.
    AccountChanged,
    /// An account was deleted.
    AccountDeleted,
}

impl Event {
    /// As in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::SecondStep => "second_step",
            Self::Confirm => "confirm",
            Self::Logout => "logout",
            Self::RefreshReuse => "refresh_reuse",
            Self::Reconnect => "reconnect",
            Self::NewDevice => "new_device",
            Self::AddressChanged => "address_changed",
            Self::DeviceChanged => "device_changed",
            Self::EmailVerified => "email_verified",
            Self::PasswordChanged => "password_changed",
            Self::PasswordForgotten => "password_forgotten",
            Self::FactorChanged => "factor_changed",
            Self::PasskeyChanged => "passkey_changed",
            Self::IdentityChanged => "identity_changed",
            Self::AccountChanged => "account_changed",
            Self::AccountDeleted => "account_deleted",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked for.
    Success,
    /// Refused.
    Failure,
    /// Something that an owner or operator should look at.
    Suspicious,
}

impl Outcome {
    /// As in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Suspicious => "suspicious",
        }
    }
}

/// Lines on their way to the store.
#[derive(Debug)]
pub(super) struct AuditLog {
    store: Arc<dyn Store>,
    metrics: Metrics,
    sender: mpsc::Sender<Audit>,
    /// Taken by the writer for as long as it runs.
    receiver: Mutex<mpsc::Receiver<Audit>>,
}

impl AuditLog {
    pub(super) fn new(store: Arc<dyn Store>, metrics: Metrics) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self {
            store,
            metrics,
            sender,
            receiver: Mutex::new(receiver),
        }
    }

    fn push(&self, line: Audit) {
        if self.sender.try_send(line).is_err() {
            self.metrics.audit_lost(1);
        }
    }

    /// Writes lines until `stop`, and then what still waits.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let mut receiver = self.receiver.lock().await;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let came = tokio::select! {
                came = receiver.recv_many(&mut batch, BATCH) => came,
                () = stop.cancelled() => break,
            };
            if came == 0 {
                return;
            }
            if came < BATCH {
                tokio::select! {
                    () = tokio::time::sleep(LINGER) => {}
                    () = stop.cancelled() => {}
                }
                while batch.len() < BATCH
                    && let Ok(line) = receiver.try_recv()
                {
                    batch.push(line);
                }
            }
            self.write(&mut batch).await;
        }
        while let Ok(line) = receiver.try_recv() {
            batch.push(line);
        }
        if !batch.is_empty() {
            self.write(&mut batch).await;
        }
    }

    async fn write(&self, batch: &mut Vec<Audit>) {
        for attempt in 0..TRIES {
            match self.store.audit(batch).await {
                Ok(()) => {
                    batch.clear();
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, attempt, "The audit log cannot be written");
                    tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                }
            }
        }
        self.metrics.audit_lost(batch.len());
        batch.clear();
    }
}

/// An attempt to prove who one is, as far as it came: what its line says when it is refused.
#[derive(Debug)]
pub(super) struct Trial {
    event: Event,
    by: &'static str,
    /// Whose account it is about, where the line may say so.
    pub(super) player: PlayerId,
    /// What the account is found by, whether there is one or not.
    pub(super) account: Option<IdentityHash>,
}

impl Trial {
    /// An attempt by a password, a device, … of nobody whom we know yet.
    pub(super) const fn new(event: Event, by: &'static str) -> Self {
        Self {
            event,
            by,
            player: NOBODY,
            account: None,
        }
    }
}

/// Whether a failure refuses the caller; the others say that it asked wrongly, or that we cannot
/// answer.
const fn refuses(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidCredentials
            | Code::InvalidToken
            | Code::InvalidDpopProof
            | Code::CaptchaRequired
            | Code::Throttled
            | Code::Forbidden
            | Code::Expired
            | Code::ProviderFailed
    )
}

/// Enough of a hash to find the lines of one account or device; neither of them, without the key.
pub(super) fn short(hash: &IdentityHash) -> String {
    Uuid::from_slice(&hash.0[..16])
        .map(|id| id.simple().to_string())
        .unwrap_or_default()
}

impl Service {
    /// Writes down that an attempt was refused; one that succeeded is written with its session.
    pub(super) async fn refused<Output: Sync>(
        &self,
        caller: &Caller,
        trial: &Trial,
        outcome: &Result<Output, Failure>,
    ) {
        let Err(failure) = outcome else {
            return;
        };
        if !refuses(failure.code) {
            return;
        }
        // Whoever is over a rate may call as often as it likes, and must not fill the log.
        let limits = &self.parts().limits;
        if failure.code == Code::Throttled
            && limits
                .check_here(What::Line, Who::Address(caller.address))
                .await
                .is_err()
        {
            return;
        }
        let device = caller.client.device_id.as_deref();
        let device = device.map(|id| short(&self.blind(IdentityKind::Device, id)));
        self.note(
            trial.event,
            Outcome::Failure,
            trial.player,
            &caller.address.to_string(),
            &serde_json::json!({
                "by": trial.by,
                "reason": failure.code.name(),
                "account": trial.account.as_ref().map(short),
                "device": device,
            }),
        );
    }

    /// A line of the audit log. Say it ([`Service::said`]) when it is committed.
    pub(super) fn line(
        event: Event,
        outcome: Outcome,
        player: PlayerId,
        ip: &str,
        detail: &serde_json::Value,
    ) -> Audit {
        let at = now();
        let seconds = u64::try_from(at.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(at.subsec_nanosecond()).unwrap_or_default();
        Audit {
            id: Uuid::new_v7(uuid::Timestamp::from_unix(
                uuid::NoContext,
                seconds,
                nanoseconds,
            )),
            player,
            at,
            event: event.name().to_owned(),
            outcome: outcome.name().to_owned(),
            ip: ip.to_owned(),
            detail: if detail.is_null() {
                serde_json::json!({})
            } else {
                detail.clone()
            },
        }
    }

    /// Says a line in the process's own log, and counts it.
    pub(super) fn said(&self, line: &Audit) {
        tracing::info!(
            target: "audit",
            event = line.event,
            outcome = line.outcome,
            user_id = %line.player,
            ip = line.ip,
            detail = %line.detail,
            "Audit"
        );
        self.metrics().audited(&line.event, &line.outcome);
    }

    /// Writes a line that no change carries.
    pub(super) fn note(
        &self,
        event: Event,
        outcome: Outcome,
        player: PlayerId,
        ip: &str,
        detail: &serde_json::Value,
    ) {
        let line = Self::line(event, outcome, player, ip, detail);
        self.said(&line);
        self.0.audit.push(line);
    }
}

/// The player of lines about no account.
pub(super) const NOBODY: PlayerId = PlayerId(Uuid::nil());
