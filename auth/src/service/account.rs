//! What players do with their own account, and operators with any.

use access::claims::Claims;

use crate::error::{Code, Failure};
use crate::ids::{IdentityHash, IdentityKind, PlayerId};
use crate::limits::Source;
use crate::live::News;
use crate::passwords::{Password, Verdict};
use crate::service::audit::{Event, Outcome, Trial};
use crate::service::caller::Caller;
use crate::service::confirm::Confirmation;
use crate::service::keys::EMAIL;
use crate::service::recover::Message;
use crate::service::{Service, now};
use crate::store::{Audit, NewPassword, Player, Right, Status};

/// The largest JSON of a player's data.
const LARGEST_DATA: usize = 16 * 1024;

/// The most roles of a player, and the longest of them.
const MOST_ROLES: usize = 32;
const LONGEST_ROLE: usize = 64;

/// The most lines of the audit log in one answer.
const MOST_LINES: u16 = 100;

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Who.
    pub player: PlayerId,
    /// The mail address.
    pub email: Option<String>,
    /// Its owner proved to read its mail.
    pub email_verified: bool,
    /// Made by a device alone.
    pub guest: bool,
    /// A second factor is set up.
    pub totp: bool,
    /// What it signs in with.
    pub identities: Vec<IdentityKind>,
    /// What it may do.
    pub roles: Vec<String>,
    /// When it was made.
    pub created: jiff::Timestamp,
}

impl Service {
    /// The account of a token's player.
    pub async fn profile(&self, claims: &Claims) -> Result<Profile, Failure> {
        let player = self.account(claims.sub).await?;
        let identities = self.parts().store.identities(player.id).await?;
        Ok(Profile {
            player: player.id,
            email: self.email(&player)?,
            email_verified: player.email_verified,
            guest: player.guest,
            totp: player.totp.as_ref().is_some_and(|totp| totp.confirmed),
            identities: identities.iter().map(|identity| identity.kind).collect(),
            roles: player.roles,
            created: player.created,
        })
    }

    /// Replaces the password by one who knows it; other sessions end.
    pub async fn change_password(
        &self,
        caller: &Caller,
        claims: &Claims,
        current: &Password,
        new: &Password,
    ) -> Result<(), Failure> {
        let player = self.account(claims.sub).await?;
        self.confirm(caller, &player, current).await?;
        let email = self.email(&player)?.unwrap_or_default();
        let hash = self
            .parts()
            .passwords
            .choose(
                new,
                Some(&email)
                    .filter(|email| !email.is_empty())
                    .map(String::as_str),
            )
            .await?;
        let new = NewPassword {
            player: player.id,
            hash,
            right: Right::Former {
                credentials_epoch: player.credentials_epoch,
                session: claims.sid,
            },
            at: now(),
        };
        if !self.replace_password(caller, new, "owner", email).await? {
            return Err(Failure::new(
                Code::Conflict,
                "the password was changed meanwhile",
            ));
        }
        Ok(())
    }

    /// Replaces a password and tells everybody whom it concerns; false when the right to it is not
    /// good.
    pub(super) async fn replace_password(
        &self,
        caller: &Caller,
        new: NewPassword,
        by: &'static str,
        email: String,
    ) -> Result<bool, Failure> {
        let ip = caller.address.to_string();
        let service = self.clone();
        self.change(async move {
            let line = Self::line(
                Event::PasswordChanged,
                Outcome::Success,
                new.player,
                &ip,
                &serde_json::json!({ "by": by }),
            );
            let store = &service.parts().store;
            let Some(revocations) = store.replace_password(&new, &line).await? else {
                return Ok(false);
            };
            service.said(&line);
            service.tell(revocations).await;
            if !email.is_empty() {
                service.mail_later(new.player, &email, Message::PasswordChanged);
            }
            Ok(true)
        })
        .await
    }

    /// Deletes an account with everything of it but its audit log.
    pub async fn delete_account(
        &self,
        caller: &Caller,
        claims: &Claims,
        shown: &Confirmation,
    ) -> Result<(), Failure> {
        let player = self.account(claims.sub).await?;
        self.confirm_owner(caller, claims, &player, shown).await?;
        let line = Self::line(
            Event::AccountDeleted,
            Outcome::Success,
            player.id,
            &caller.address.to_string(),
            &serde_json::Value::Null,
        );
        let service = self.clone();
        self.change(async move {
            let store = &service.parts().store;
            let revocations = store.delete_player(player.id, now(), &line).await?;
            service.said(&line);
            service.tell(revocations).await;
            Ok(())
        })
        .await
    }

    /// Allows or forbids the use of an account.
    pub async fn set_status(&self, player: PlayerId, status: Status) -> Result<u32, Failure> {
        if self.parts().store.player(player).await?.is_none() {
            return Err(Failure::new(Code::NotFound, "no such account"));
        }
        let line = Self::line(
            Event::AccountChanged,
            Outcome::Success,
            player,
            "",
            &serde_json::json!({ "disabled": status == Status::Disabled }),
        );
        let store = &self.parts().store;
        let revocations = store.set_status(player, status, now(), &line).await?;
        let ended = u32::try_from(revocations.len()).unwrap_or(u32::MAX);
        self.said(&line);
        self.tell(revocations).await;
        Ok(ended)
    }

    /// Replaces what a player may do, what games know of it, or both, and tells every server. Says
    /// what they are now.
    pub async fn set_data(
        &self,
        player: PlayerId,
        roles: Option<Vec<String>>,
        data: Option<serde_json::Value>,
    ) -> Result<(Vec<String>, serde_json::Value), Failure> {
        if roles.is_none() && data.is_none() {
            return Err(Failure::field("roles", "these, or player_data, or both"));
        }
        if roles.as_ref().is_some_and(|roles| {
            roles.len() > MOST_ROLES || roles.iter().any(|role| role.len() > LONGEST_ROLE)
        }) {
            return Err(Failure::field("roles", "at most 32 roles of 64 bytes"));
        }
        if data
            .as_ref()
            .is_some_and(|data| !data.is_object() || data.to_string().len() > LARGEST_DATA)
        {
            return Err(Failure::field(
                "player_data",
                "a JSON object of at most 16 KiB",
            ));
        }
        let line = Self::line(
            Event::AccountChanged,
            Outcome::Success,
            player,
            "",
            &serde_json::json!({ "roles": roles, "data": data.is_some() }),
        );
        let store = &self.parts().store;
        let Some((roles, data)) = store
            .set_data(player, roles.as_deref(), data.as_ref(), &line)
            .await?
        else {
            return Err(Failure::new(Code::NotFound, "no such account"));
        };
        self.said(&line);
        let news = News::PlayerChanged {
            user_id: player,
            user_data: data.clone(),
            roles: roles.clone(),
        };
        // What is cached anywhere is old now.
        if let Err(error) = self.parts().live.forget_sessions(player, None).await {
            tracing::warn!(%error, "Sessions stay cached with old data for a while");
        }
        self.0.sessions.forget(player, None).await;
        // This replica hears it by that, too: once.
        if let Err(error) = self.parts().live.publish(&news).await {
            tracing::warn!(%error, "Other replicas learn of changed data when their caches end");
        }
        Ok((roles, data))
    }

    /// What the audit log says of a player before a line of it, newest first.
    pub async fn audit_of(
        &self,
        player: PlayerId,
        before: Option<uuid::Uuid>,
        limit: u16,
    ) -> Result<Vec<Audit>, Failure> {
        let limit = if limit == 0 {
            MOST_LINES
        } else {
            limit.min(MOST_LINES)
        };
        Ok(self.parts().store.audit_of(player, before, limit).await?)
    }

    /// The account of a token that is good.
    pub(super) async fn account(&self, player: PlayerId) -> Result<Player, Failure> {
        self.parts()
            .store
            .player(player)
            .await?
            .filter(|player| player.status == Status::Active)
            .ok_or_else(Failure::token)
    }

    /// Refuses unless the password is the account's.
    pub(super) async fn confirm(
        &self,
        caller: &Caller,
        player: &Player,
        password: &Password,
    ) -> Result<(), Failure> {
        let mut trial = Trial::new(Event::Confirm, "password");
        trial.player = player.id;
        let confirmed = self.is_password(caller, player, password).await;
        self.refused(caller, &trial, &confirmed).await;
        confirmed
    }

    /// As [`Service::confirm`], without a line: whoever asks writes it.
    pub(super) async fn is_password(
        &self,
        caller: &Caller,
        player: &Player,
        password: &Password,
    ) -> Result<(), Failure> {
        let account = IdentityHash(crate::crypto::named_hash("confirm", player.id.0.as_bytes()));
        let source = Source::Stranger(caller.address);
        let stored = player.password.as_deref();
        let (attempt, verdict) = self.try_password(account, source, password, stored).await?;
        if verdict == Verdict::Wrong {
            attempt.failed().await;
            return Err(Failure::credentials());
        }
        attempt.succeeded().await;
        Ok(())
    }

    /// The mail address of an account, opened.
    pub(super) fn email(&self, player: &Player) -> Result<Option<String>, Failure> {
        let Some(sealed) = &player.email else {
            return Ok(None);
        };
        let opened = self.open(EMAIL, player.id.0.as_bytes(), sealed)?;
        String::from_utf8(opened.to_vec())
            .map(Some)
            .map_err(|error| Failure::defect("a sealed address is not text", &error))
    }
}
