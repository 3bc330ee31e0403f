//! Mailed secrets: verifying an address, resetting a password.
//!
//! Requests for mails are answered at once and alike, whoever they are for; a worker does the rest.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::error::Failure;
use crate::ids::{IdentityKind, PlayerId};
use crate::limits::{What, Who};
use crate::notify::Message;
use crate::passwords::{Password, Verdict};
use crate::passwords::{Password, Verdict};
use crate::service::audit::{Event, NOBODY, Outcome};
use crate::service::caller::Caller;
use crate::service::login::SignIn;
use crate::service::register::check_email;
use crate::service::{Service, now};
use crate::store::{OneTime, Purpose, Status, Which};

/// How long a mailed secret is good.
const ONE_TIME: std::time::Duration = std::time::Duration::from_secs(3600);

/// Bytes of a mailed secret.
const SECRET: usize = 32;

/// A mailed secret, with the account that it is for: one text to follow or type in.
#[derive(Clone, Copy)]
struct Mailed {
    player: PlayerId,
    secret: [u8; SECRET],
}

impl Mailed {
    fn write(&self) -> String {
        let mut bytes = [0; 16 + SECRET];
        bytes[..16].copy_from_slice(self.player.0.as_bytes());
        bytes[16..].copy_from_slice(&self.secret);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(text: &str) -> Option<Self> {
        let mut bytes = [0; 16 + SECRET];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (length == bytes.len()).then_some(())?;
        let (player, secret) = bytes.split_at(16);
        Some(Self {
            player: PlayerId(Uuid::from_slice(player).ok()?),
            secret: secret.try_into().ok()?,
        })
    }

    fn hash(&self) -> [u8; 32] {
        crate::crypto::named_hash("mailed", &self.secret)
    }
}

impl Service {
    /// Asks for a mail: [`Service::deliver`] writes it.
    pub(super) fn mail_later(&self, player: PlayerId, email: &str, message: Message) {
        self.0.mails.push(super::Mail {
            player,
            email: email.to_owned(),
            message,
        });
    }

    /// Makes the secret that a mail carries, if it carries one, and hands the mail on.
    pub(super) async fn deliver(&self, mail: super::Mail) -> Result<(), Failure> {
        let purpose = match mail.message {
            Message::VerifyEmail => Some(Purpose::VerifyEmail),
            Message::ResetPassword => Some(Purpose::ResetPassword),
            Message::AlreadyRegistered | Message::PasswordChanged => None,
        };
        let token = match purpose {
            None => None,
            Some(purpose) => {
                let mailed = Mailed {
                    player: mail.player,
                    secret: crate::crypto::random(),
                };
                self.parts()
                    .store
                    .put_one_time(&OneTime {
                        player: mail.player,
                        purpose,
                        hash: mailed.hash(),
                        expires: now() + ONE_TIME,
                    })
                    .await?;
                Some(mailed.write())
            }
        };
        self.parts()
            .notifier
            .mail(&mail.email, mail.message, token.as_deref());
        Ok(())
    }

    /// Proves that the owner of an account reads its mail and knows its password; signs in.
    pub async fn verify_email(
        &self,
        caller: &Caller,
        token: &str,
        password: &Password,
    ) -> Result<SignIn, Failure> {
        self.limit(What::Login, Who::Address(caller.address)).await?;
        let mailed = Mailed::read(token).ok_or_else(Failure::token)?;
        let terms = self.terms(caller).await?;
        let player = self.parts().store.player(mailed.player).await?;
        let stored = player.as_ref().and_then(|player| player.password.as_deref());
        let verdict = self.parts().passwords.verify(password, stored).await?;
        let Some(player) = player.filter(|player| {
            player.status == Status::Active && verdict != Verdict::Wrong
        }) else {
            return Err(Failure::credentials());
        };
        let spent = self
            .parts()
            .store
            .spend_one_time(player.id, Purpose::VerifyEmail, &mailed.hash(), now())
            .await?;
        if !spent {
            return Err(Failure::token());
        }
        self.parts().store.verify_email(player.id).await?;
        self.note(
            Event::EmailVerified,
            Outcome::Success,
            player.id,
            &caller.address.to_string(),
            &serde_json::Value::Null,
        );
        self.after_first_step(caller, terms, &player, &["pwd"]).await
    }

    /// Sends a mail that verifies or resets, if there is such an account. Says nothing about it.
    pub async fn forgot_password(&self, caller: &Caller, email: &str) -> Result<(), Failure> {
        check_email(email)?;
        self.limit(What::Mail, Who::Address(caller.address)).await?;
        let hash = self.blind(IdentityKind::Email, email);
        // One address gets few mails, whoever asks for them.
        self.limit(What::Mail, Who::Identity(hash)).await?;
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
        self.limit(What::Login, Who::Address(caller.address)).await?;
        let mailed = Mailed::read(token).ok_or_else(Failure::token)?;
        let player = self.parts().store.player(mailed.player).await?;
        let email = match &player {
            Some(player) => self.email(player)?.unwrap_or_default(),
            None => String::new(),
        };
        // Before the secret is spent: a password that is too weak must not cost a new mail.
        let known = Some(email.as_str()).filter(|email| !email.is_empty());
        let hash = self.parts().passwords.choose(password, known).await?;
        let Some(player) = player.filter(|player| player.status == Status::Active) else {
            return Err(Failure::token());
        };
        let spent = self
            .parts()
            .store
            .spend_one_time(player.id, Purpose::ResetPassword, &mailed.hash(), now())
            .await?;
        if !spent {
            return Err(Failure::token());
        }
        let set = self
            .parts()
            .store
            .set_password(player.id, player.password.as_deref(), &hash)
            .await?;
        if !set {
            return Err(Failure::new(
                crate::Code::Conflict,
                "the password was changed meanwhile; ask for another mail",
            ));
        }
        // Whoever reads the mail owns the address.
        self.parts().store.verify_email(player.id).await?;
        let ip = caller.address.to_string();
        self.note(
            Event::PasswordChanged,
            Outcome::Success,
            player.id,
            &ip,
            &serde_json::json!({ "by": "mail" }),
        );
        self.end_sessions(player.id, Which::All, &ip).await?;
        self.mail_later(player.id, &email, Message::PasswordChanged);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailed_secret_comes_back_and_nothing_else_does() {
        let mailed = Mailed {
            player: PlayerId(Uuid::from_u128(7)),
            secret: [9; SECRET],
        };
        let read = Mailed::read(&mailed.write()).unwrap();
        assert_eq!((read.player, read.secret), (mailed.player, mailed.secret));
        let mut short = mailed.write();
        short.pop();
        assert!(Mailed::read(&short).is_none());
        assert!(Mailed::read("").is_none());
        assert!(Mailed::read(&format!("{}A", mailed.write())).is_none());
    }
}
