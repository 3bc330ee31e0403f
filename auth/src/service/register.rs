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
use crate::store::{Identity, NewPlayer};

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
        };
        let made = self.make(caller, new, email.clone()).await?;
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
    async fn make(&self, caller: &Caller, new: NewPlayer, email: String) -> Result<bool, Failure> {
        let (service, ip) = (self.clone(), caller.address.to_string());
        self.change(async move {
            let made = service.parts().store.create_player(&new).await?;
            let (who, outcome, message) = if made {
                (new.id, Outcome::Success, Message::VerifyEmail)
            } else {
                (NOBODY, Outcome::Failure, Message::AlreadyRegistered)
            };
            service.note(
                Event::Register,
                outcome,
                who,
                &ip,
                &serde_json::json!({ "identity": "email" }),
            );
            // Where the answer says that the address is taken, nobody needs a mail to know it.
            if made || service.settings().verification == Verification::Required {
                service.mail_later(who, &email, message);
            }
            Ok(made)
        })
        .await
    }
}

/// A mail address in its one form; whether there is such a one, only a mail can tell.
pub(super) fn address(text: &str) -> Result<String, Failure> {
    blind::email(text).ok_or_else(|| Failure::field("email", "an address like ada@example.com"))
}
