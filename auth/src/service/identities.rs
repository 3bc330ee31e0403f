//! The ways into an account: more than one, so that a guest becomes somebody and a lost device is
//! not a lost account.
//!
//! Another account elsewhere is proved as in a sign-in ([`super::elsewhere`]). A mail address is
//! proved by a code that is mailed to it and comes back by a call of the account's owner, together
//! with a password: neither who has the mail alone nor who has the token alone joins the two. What
//! a call answers does not tell whether an address is taken.

use access::claims::Claims;
use storage::Confidential;

use crate::error::{Code, Failure};
use crate::ids::{IdentityHash, IdentityKind, PlayerId};
use crate::limits::{What, Who};
use crate::passwords::Password;
use crate::service::audit::{Event, NOBODY, Outcome};
use crate::service::caller::Caller;
use crate::service::confirm::Confirmation;
use crate::service::keys::{EMAIL, LABEL};
use crate::service::recover::{Message, ONE_TIME};
use crate::service::register::address;
use crate::service::{Service, now};
use crate::store::{Audit, Identity, Linked, NewAddress, OneTime, Purpose, Removed};

/// What owners are told, by the address that the account had before.
const ADDED: &str = "A way to sign in was added";

/// As [`ADDED`].
const REMOVED: &str = "A way to sign in was removed";

/// A way to sign in, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayIn {
    /// Which.
    pub hash: IdentityHash,
    /// Of what kind.
    pub kind: IdentityKind,
    /// What its owner recognizes it by; none for a device, whose id is a password.
    pub label: Option<String>,
}

/// What proves an account elsewhere.
#[derive(Debug)]
pub enum Elsewhere<'call> {
    /// What the provider's library gave to the game.
    Ticket(&'call str),
    /// A sign-in that was begun, and perhaps the code that the client caught itself.
    Begun {
        /// Which.
        handle: &'call str,
        /// Kept by who began.
        secret: &'call str,
        /// The code and its issuer.
        code: Option<(Confidential, Option<String>)>,
    },
}

impl Service {
    /// The ways into an account, oldest first.
    pub async fn identities(&self, claims: &Claims) -> Result<Vec<WayIn>, Failure> {
        let player = self.account(claims.sub).await?;
        let identities = self.parts().store.identities(player.id).await?;
        identities
            .into_iter()
            .map(|identity| {
                Ok(WayIn {
                    hash: identity.hash,
                    kind: identity.kind,
                    label: self.label(&identity)?,
                })
            })
            .collect()
    }

    fn label(&self, identity: &Identity) -> Result<Option<String>, Failure> {
        if identity.kind == IdentityKind::Device {
            return Ok(None);
        }
        let opened = self.open(LABEL, &identity.hash.0, &identity.label)?;
        String::from_utf8(opened.to_vec())
            .map(Some)
            .map_err(|error| Failure::defect("a sealed label is not text", &error))
    }

    /// Adds an account elsewhere, which signs in from then on.
    pub async fn link_elsewhere(
        &self,
        caller: &Caller,
        claims: &Claims,
        shown: &Confirmation,
        provider: &str,
        proof: Elsewhere<'_>,
    ) -> Result<(), Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let player = self.account(claims.sub).await?;
        self.confirm_owner(caller, claims, &player, shown).await?;
        let subject = match proof {
            Elsewhere::Ticket(ticket) => self.subject_of_ticket(provider, ticket).await?,
            Elsewhere::Begun {
                handle,
                secret,
                code,
            } => {
                let key = claims.cnf.as_ref().map(|cnf| cnf.jkt.as_str());
                let came = self.came_back(caller, handle, code).await?;
                self.subject_of_code(provider, handle, secret, came, key)
                    .await?
            }
        };
        let value = subject.identity();
        let hash = self.blind(subject.kind, &value);
        let identity = Identity {
            kind: subject.kind,
            hash,
            label: self.seal(LABEL, &hash.0, value.as_bytes())?,
        };
        let line = identity_line(caller, player.id, "added", subject.kind);
        let (service, at) = (self.clone(), now());
        self.change(async move {
            let store = &service.parts().store;
            if !store.add_identity(player.id, &identity, at, &line).await? {
                // Who is told has proved that account: it tells nothing of anybody else.
                return Err(taken());
            }
            service.said(&line);
            service.tell_owner(&player, ADDED);
            Ok(())
        })
        .await
    }

    /// Sends a code to an address that is to be added, or tells its owner that it has an account.
    pub async fn send_link_code(
        &self,
        caller: &Caller,
        claims: &Claims,
        email: &str,
    ) -> Result<(), Failure> {
        let email = &address(email)?;
        self.limit(What::Mail, Who::Address(caller.address)).await?;
        let hash = self.blind(IdentityKind::Email, email);
        let player = self.account(claims.sub).await?;
        match self.parts().store.player_by(&hash).await? {
            None => self.mail_later(player.id, email, Message::LinkEmail),
            Some(_) => self.mail_later(NOBODY, email, Message::AlreadyRegistered),
        }
        Ok(())
    }

    /// Adds an address whose mail the owner has read, with a password.
    pub async fn link_address(
        &self,
        caller: &Caller,
        claims: &Claims,
        shown: &Confirmation,
        (email, token): (&str, &str),
        password: &Password,
    ) -> Result<(), Failure> {
        let email = &address(email)?;
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let player = self.account(claims.sub).await?;
        self.confirm_owner(caller, claims, &player, shown).await?;
        let password = self.parts().passwords.choose(password, Some(email)).await?;
        let hash = self.blind(IdentityKind::Email, email);
        let new = NewAddress {
            identity: Identity {
                kind: IdentityKind::Email,
                hash,
                label: self.seal(LABEL, &hash.0, email.as_bytes())?,
            },
            email: self.seal(EMAIL, player.id.0.as_bytes(), email.as_bytes())?,
            password,
            secret: link_hash(token, email),
            at: now(),
        };
        let line = identity_line(caller, player.id, "added", IdentityKind::Email);
        let service = self.clone();
        self.change(async move {
            let store = &service.parts().store;
            match store.link_address(player.id, &new, &line).await? {
                Linked::Done => {}
                Linked::Taken => return Err(taken()),
                Linked::Void => return Err(Failure::token()),
            }
            service.said(&line);
            service.tell_owner(&player, ADDED);
            Ok(())
        })
        .await
    }

    /// Removes a way in; never the last one.
    pub async fn unlink(
        &self,
        caller: &Caller,
        claims: &Claims,
        shown: &Confirmation,
        hash: &IdentityHash,
    ) -> Result<(), Failure> {
        let player = self.account(claims.sub).await?;
        let store = &self.parts().store;
        let identities = store.identities(player.id).await?;
        let Some(identity) = identities.iter().find(|known| known.hash == *hash) else {
            return Err(missing());
        };
        self.confirm_owner(caller, claims, &player, shown).await?;
        let line = identity_line(caller, player.id, "removed", identity.kind);
        let (service, hash) = (self.clone(), *hash);
        self.change(async move {
            let store = &service.parts().store;
            match store.remove_identity(player.id, &hash, &line).await? {
                Removed::Done => {}
                Removed::Missing => return Err(missing()),
                Removed::Last => {
                    return Err(Failure::new(
                        Code::Conflict,
                        "it is the only way into the account; add another one first",
                    ));
                }
            }
            service.said(&line);
            service.tell_owner(&player, REMOVED);
            Ok(())
        })
        .await
    }

    /// The code that a mail carries to an address that is to be added: of this address alone.
    pub(super) async fn link_secret(
        &self,
        player: PlayerId,
        email: &str,
    ) -> Result<Confidential, Failure> {
        let secret = crate::crypto::handle();
        let one_time = OneTime {
            player,
            purpose: Purpose::LinkEmail,
            hash: link_hash(secret.expose(), email),
            expires: now() + ONE_TIME,
        };
        self.parts().store.put_one_time(&one_time).await?;
        Ok(secret)
    }
}

fn identity_line(
    caller: &Caller,
    player: PlayerId,
    change: &'static str,
    kind: IdentityKind,
) -> Audit {
    Service::line(
        Event::IdentityChanged,
        Outcome::Success,
        player,
        &caller.address.to_string(),
        &serde_json::json!({ change: kind.name() }),
    )
}

fn taken() -> Failure {
    Failure::new(
        Code::Conflict,
        "it belongs to an account already, or the account has an address",
    )
}

fn missing() -> Failure {
    Failure::new(Code::NotFound, "no such way to sign in")
}

/// The code and the address in one: neither is good with another one. The address is last and has no
/// zero, so that no two pairs spell the same.
fn link_hash(secret: &str, email: &str) -> [u8; 32] {
    let both = [secret.as_bytes(), b"\0", email.as_bytes()].concat();
    crate::crypto::named_hash("link", &both)
}
