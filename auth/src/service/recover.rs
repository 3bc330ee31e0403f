//! Mailed secrets: verifying an address, resetting a password.
//!
//! Requests for mails are answered at once and alike, whoever they are for; a worker does the rest.

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::ids::{IdentityKind, PlayerId};
use crate::limits::{What, Who};
use crate::metrics::Metrics;
use crate::passwords::Password;
use crate::service::audit::{Event, NOBODY, Outcome, Trial};
use crate::service::caller::Caller;
use crate::service::login::SignIn;
use crate::service::register::address;
use crate::service::{Service, now};
use crate::store::{NewPassword, OneTime, Player, Purpose, Right, Status};
use crate::tokens::mailed::Mailed;

/// How long a mailed secret is good.
pub(super) const ONE_TIME: std::time::Duration = std::time::Duration::from_hours(1);

/// How many mails may wait to be written.
const QUEUE: usize = 1024;

/// Which mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// To the owner of a new account.
    VerifyEmail,
    /// To the owner of an account that somebody tried to make again.
    AlreadyRegistered,
    /// To who forgot the password.
    ResetPassword,
    /// To whose password was changed.
    PasswordChanged,
    /// To an address that is to be added to an account.
    LinkEmail,
    /// To whose account this was done.
    Changed(&'static str),
    /// To whose codes are guessed by somebody who did the first step.
    CodesGuessed,
}

impl Message {
    /// Whether it tells an owner what was done to the account: that must come, however many mails
    /// others asked for.
    const fn warns(self) -> bool {
        matches!(
            self,
            Self::PasswordChanged | Self::Changed(_) | Self::CodesGuessed
        )
    }
}

/// A mail that was asked for.
#[derive(Debug)]
struct Request {
    player: PlayerId,
    email: String,
    message: Message,
}

/// Mails that were asked for.
#[derive(Debug)]
pub(super) struct Mails {
    sender: mpsc::Sender<Request>,
    /// Taken by the writer for as long as it runs.
    receiver: Mutex<mpsc::Receiver<Request>>,
    metrics: Metrics,
}

impl Mails {
    pub(super) fn new(metrics: Metrics) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            metrics,
        }
    }

    fn push(&self, request: Request) {
        if self.sender.try_send(request).is_err() {
            self.metrics.mail_lost();
        }
    }
}

impl Service {
    /// Asks for a mail.
    pub(super) fn mail_later(&self, player: PlayerId, email: &str, message: Message) {
        self.0.mails.push(Request {
            player,
            email: email.to_owned(),
            message,
        });
    }

    /// Writes mails that were asked for until `stop`. What still waits then is asked for again by
    /// its reader.
    pub(super) async fn mail(&self, stop: CancellationToken) {
        let mut requests = self.0.mails.receiver.lock().await;
        while let Some(Some(request)) = stop.run_until_cancelled(requests.recv()).await {
            if let Err(failure) = self.write_mail(&request).await {
                tracing::warn!(%failure, "A mail was not written");
                self.metrics().mail_lost();
            }
        }
    }

    /// Makes the secret that a mail carries, if it carries one, and hands the mail on.
    ///
    /// One address gets few mails, whoever asks for them and for what. One too many is dropped in
    /// silence: who asked for it has its answer, and that must not tell what became of the mail.
    async fn write_mail(&self, request: &Request) -> Result<(), Failure> {
        let address = self.blind(IdentityKind::Email, &request.email);
        if !request.message.warns()
            && self
                .limit(What::Mail, Who::Identity(address))
                .await
                .is_err()
        {
            tracing::info!(message = ?request.message, "A mail too many for its address was dropped");
            return Ok(());
        }
        let texts = &self.parts().texts;
        let to = request.email.as_str();
        let mail = match request.message {
            Message::VerifyEmail => {
                let secret = self.one_time(request.player, Purpose::VerifyEmail).await?;
                texts.verify_email(to, &secret, ONE_TIME)
            }
            Message::ResetPassword => {
                let secret = self
                    .one_time(request.player, Purpose::ResetPassword)
                    .await?;
                texts.reset_password(to, &secret, ONE_TIME)
            }
            Message::AlreadyRegistered => texts.already_registered(to),
            Message::PasswordChanged => texts.password_changed(to),
            Message::LinkEmail => {
                let secret = self.link_secret(request.player, to).await?;
                texts.link_email(to, secret.expose(), ONE_TIME)
            }
            Message::Changed(change) => texts.sign_in_changed(to, change),
            Message::CodesGuessed => texts.codes_guessed(to),
        };
        if !self.parts().outbox.post(mail) {
            self.metrics().mail_lost();
        }
        Ok(())
    }

    async fn one_time(&self, player: PlayerId, purpose: Purpose) -> Result<String, Failure> {
        let mailed = Mailed::new(player, crate::crypto::random());
        let one_time = OneTime {
            player,
            purpose,
            hash: mailed.hash(),
            expires: now() + ONE_TIME,
        };
        self.parts().store.put_one_time(&one_time).await?;
        Ok(mailed.write())
    }

    /// Proves that the owner of an account reads its mail and knows its password; signs in.
    ///
    /// The password is looked at for who has the secret alone: to anybody else every answer is the
    /// same, whatever the account and its password are.
    pub async fn verify_email(
        &self,
        caller: &Caller,
        token: &str,
        password: &Password,
    ) -> Result<SignIn, Failure> {
        let mut trial = Trial::new(Event::Login, "mail");
        let result = self
            .login_by_mail(caller, token, password, &mut trial)
            .await;
        self.refused(caller, &trial, &result).await;
        result
    }

    async fn login_by_mail(
        &self,
        caller: &Caller,
        token: &str,
        password: &Password,
        trial: &mut Trial,
    ) -> Result<SignIn, Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let mailed = Mailed::read(token).ok_or_else(Failure::token)?;
        trial.player = mailed.player;
        let terms = self.terms(caller).await?;
        let player = self.addressee(&mailed, Purpose::VerifyEmail).await?;
        self.is_password(caller, &player, password).await?;
        let line = Self::line(
            Event::EmailVerified,
            Outcome::Success,
            player.id,
            &caller.address.to_string(),
            &serde_json::Value::Null,
        );
        let (service, id) = (self.clone(), player.id);
        let is_verified = self.change(async move {
            let (store, hash) = (&service.parts().store, mailed.hash());
            let is_verified = store.verify_email(id, &hash, now(), &line).await?;
            if is_verified {
                service.said(&line);
            }
            Ok(is_verified)
        });
        if !is_verified.await? {
            return Err(Failure::token());
        }
        self.after_first_step(caller, terms, &player, &["pwd"])
            .await
    }

    /// The account that a mailed secret is for, if it is good. It is not spent.
    async fn addressee(&self, mailed: &Mailed, purpose: Purpose) -> Result<Player, Failure> {
        let (store, hash) = (&self.parts().store, mailed.hash());
        let is_known = store.knows_one_time(mailed.player, purpose, &hash, now());
        if !is_known.await? {
            return Err(Failure::token());
        }
        self.account(mailed.player).await
    }

    /// Sends a mail that verifies or resets, if there is such an account. Says nothing about it.
    pub async fn forgot_password(&self, caller: &Caller, email: &str) -> Result<(), Failure> {
        let email = &address(email)?;
        self.limit(What::Mail, Who::Address(caller.address)).await?;
        let hash = self.blind(IdentityKind::Email, email);
        self.captcha(caller).await?;
        let player = self.known(&hash).await?;
        self.note(
            Event::PasswordForgotten,
            Outcome::Success,
            player.as_ref().map_or(NOBODY, |player| player.id),
            &caller.address.to_string(),
            &serde_json::Value::Null,
        );
        if let Some(player) = player.filter(|player| player.status == Status::Active) {
            self.mail_later(player.id, email, Message::ResetPassword);
        }
        Ok(())
    }

    /// Replaces a forgotten password; every session of the account ends.
    pub async fn reset_password(
        &self,
        caller: &Caller,
        token: &str,
        password: &Password,
    ) -> Result<(), Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let mailed = Mailed::read(token).ok_or_else(Failure::token)?;
        let player = self.addressee(&mailed, Purpose::ResetPassword).await?;
        let email = self.email(&player)?.unwrap_or_default();
        // Before the secret is spent: a password that is too weak must not cost a new mail.
        let known = Some(email.as_str()).filter(|email| !email.is_empty());
        let hash = self.parts().passwords.choose(password, known).await?;
        let new = NewPassword {
            player: player.id,
            hash,
            right: Right::Mailed(mailed.hash()),
            at: now(),
        };
        if !self.replace_password(caller, new, "mail", email).await? {
            return Err(Failure::token());
        }
        Ok(())
    }
}
