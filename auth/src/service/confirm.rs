//! What a token alone must not do: everything by which a thief of it would take the account over.

use access::claims::Claims;
use jiff::SignedDuration;
use storage::Confidential;

use crate::error::{Code, Failure};
use crate::passwords::Password;
use crate::service::caller::Caller;
use crate::service::recover::Message;
use crate::service::{Service, now};
use crate::store::Player;

/// How long a sign-in stands for a password that the account does not have.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// What a caller shows beside its token.
#[derive(Debug, Default)]
pub struct Confirmation {
    /// The account's password.
    pub password: Option<Password>,
    /// A code of its authenticator, or a recovery code.
    pub second_step: Option<Confidential>,
}

impl Service {
    /// Refuses unless the owner itself calls: it knows the password, or has signed in just now
    /// where there is none; and it has the second factor where one is set up.
    pub(super) async fn confirm_owner(
        &self,
        caller: &Caller,
        claims: &Claims,
        player: &Player,
        shown: &Confirmation,
    ) -> Result<(), Failure> {
        let has_factor = player.totp.as_ref().is_some_and(|totp| totp.confirmed);
        // Before the password is tried: what is missing must not cost an attempt.
        if has_factor && shown.second_step.is_none() {
            return Err(Failure::field(
                "second_step",
                "a code of the authenticator, or a recovery code",
            ));
        }
        match (&player.password, &shown.password) {
            (Some(_), Some(password)) => self.confirm(caller, player, password).await?,
            (Some(_), None) => {
                return Err(Failure::field("password", "that of the account"));
            }
            (None, _) => self.signed_in_lately(claims).await?,
        }
        if let (true, Some(code)) = (has_factor, &shown.second_step) {
            self.try_code(caller, player, code.expose()).await?;
        }
        Ok(())
    }

    /// A session is as old as its sign-in, however often it was refreshed since.
    async fn signed_in_lately(&self, claims: &Claims) -> Result<(), Failure> {
        let found = self.parts().store.session(claims.sub, claims.sid).await?;
        let (session, _) = found.ok_or_else(Failure::token)?;
        if now().duration_since(session.created) <= FRESH {
            return Ok(());
        }
        Err(Failure::new(
            Code::SignInAgain,
            "this takes a sign-in within five minutes; sign in again",
        ))
    }

    /// Tells the owner by mail what was changed, where the account has an address.
    pub(super) fn tell_owner(&self, player: &Player, change: &'static str) {
        match self.email(player) {
            Ok(Some(email)) => self.mail_later(player.id, &email, Message::Changed(change)),
            Ok(None) => {}
            Err(failure) => tracing::warn!(%failure, "An owner was not told of a change"),
        }
    }
}
