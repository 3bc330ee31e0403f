//! Making accounts.
//!
//! A registration answers the same whether the address was taken or not: a mail tells its owner.
//! The account is good for nothing until its owner proves to read that mail *and* knows the
//! password, so that nobody can plant an account for somebody else to verify.

use uuid::Uuid;

use crate::crypto::blind;
use crate::error::Failure;
use crate::ids::{IdentityKind, PlayerId};
use crate::limits::{What, Who};
use crate::passwords::Password;
use crate::service::audit::{Event, NOBODY, Outcome};
use crate::service::caller::Caller;
use crate::service::keys::{EMAIL, LABEL};
use crate::service::recover::Message;
use crate::service::sessions::Tokens;
use crate::service::{Service, Verification, now};
use crate::store::{Identity, NewPlayer, Registration};

/// What became of a registration.
#[derive(Debug)]
pub enum Registered {
    /// A mail is on its way, to whomever.
    Pending,
    /// The account can be used at once.
    Tokens(Box<Tokens>),
}

impl Service {
    /// Makes an account of a mail address and a password.
    pub async fn register(
        &self,
        caller: &Caller,
        email: &str,
        password: &Password,
    ) -> Result<Registered, Failure> {
        let email = &address(email)?;
        self.limit(What::Register, Who::Address(caller.address))
            .await?;
        self.captcha(caller).await?;
        let terms = self.terms(caller).await?;
        // Hashed before it is known whether the address is taken: both cost the same.
        let stored = self.parts().passwords.choose(password, Some(email)).await?;

        let player = PlayerId(Uuid::new_v4());
        let hash = self.blind(IdentityKind::Email, email);
        let new = NewPlayer {
            id: player,
            identity: Identity {
                kind: IdentityKind::Email,
                hash,
                label: self.seal(LABEL, &hash.0, email.as_bytes())?,
            },
            email: Some(self.seal(EMAIL, player.0.as_bytes(), email.as_bytes())?),
            email_verified: false,
            password: Some(stored),
            guest: false,
            at: now(),
            lines: Self::registration(caller, player, IdentityKind::Email),
        };
        let made = self.make(new, email.clone()).await?;
        match (made, self.settings().verification) {
            (_, Verification::Required) => Ok(Registered::Pending),
            (true, Verification::Optional) => {
                let Some(account) = self.parts().store.player(player).await? else {
                    return Err(Failure::credentials());
                };
                let tokens = self.open_session(caller, terms, &account, &["pwd"]).await?;
                Ok(Registered::Tokens(Box::new(tokens)))
            }
            (false, Verification::Optional) => Err(Failure::new(
                crate::Code::Conflict,
                "the address is registered; sign in or reset the password",
            )),
        }
    }

    /// Makes an account and tells the owner of its address; false when the address was taken.
    async fn make(&self, new: NewPlayer, email: String) -> Result<bool, Failure> {
        let service = self.clone();
        self.change(async move {
            let made = service.make_player(&new).await?;
            let (who, message) = if made {
                (new.id, Message::VerifyEmail)
            } else {
                (NOBODY, Message::AlreadyRegistered)
            };
            // Where the answer says that the address is taken, nobody needs a mail to know it.
            if made || service.settings().verification == Verification::Required {
                service.mail_later(who, &email, message);
            }
            Ok(made)
        })
        .await
    }
}

/// Making accounts, whatever they are made by.
impl Service {
    /// What the audit log says of a registration.
    pub(super) fn registration(
        caller: &Caller,
        player: PlayerId,
        kind: IdentityKind,
    ) -> Registration {
        let line = |outcome, player| {
            let detail = serde_json::json!({ "identity": kind.name() });
            let ip = caller.address.to_string();
            Self::line(Event::Register, outcome, player, &ip, &detail)
        };
        Registration {
            made: line(Outcome::Success, player),
            taken: line(Outcome::Failure, NOBODY),
        }
    }

    /// Makes an account; false when its identity is taken.
    pub(super) async fn make_player(&self, new: &NewPlayer) -> Result<bool, Failure> {
        let made = self.parts().store.create_player(new).await?;
        self.said(new.lines.of(made));
        Ok(made)
    }
}

/// A mail address in its one form; whether there is such a one, only a mail can tell.
pub(super) fn address(text: &str) -> Result<String, Failure> {
    blind::email(text).ok_or_else(|| Failure::field("email", "an address like ada@example.com"))
}
