//! Signing in at a provider: by a browser that comes back with a code, or by a ticket that the
//! provider's library gave to the game.
//!
//! A browser cannot hand tokens to a game. So the game begins, gets a handle, a secret and an
//! address to open, and fetches the result with both when the browser has come back. Only who began
//! has the secret; the browser brings the code alone.

use std::time::Duration;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::confidential::Confidential;
use crate::error::{Code, Failure};
use crate::ids::PlayerId;
use crate::limits::{What, Who};
use crate::live::Key;
use crate::providers::pending::{self, Pending, Returned};
use crate::providers::{Credential, Subject};
use crate::service::audit::{Event, NOBODY, Outcome};
use crate::service::caller::{Caller, Terms};
use crate::service::keys::{EMAIL, LABEL};
use crate::service::login::SignIn;
use crate::service::{Service, now};
use crate::store::{Identity, NewPlayer, Player, Status};

/// How long a code that came back waits for who began.
const RETURNED: Duration = Duration::from_mins(5);

/// The longest code, state or ticket that is looked at.
const LONGEST: usize = 16 * 1024;

/// A sign-in at a provider that was begun.
#[derive(Debug)]
pub struct Begun {
    /// To be opened in a browser.
    pub url: String,
    /// Which sign-in.
    pub handle: Confidential,
    /// Kept by who began, and shown to nobody else.
    pub secret: Confidential,
    /// How long it may take.
    pub lifetime: Duration,
}

/// A code that a browser brought back.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Brought {
    code: String,
    issuer: Option<String>,
}

impl Service {
    /// Begins to sign in at a provider by a browser.
    pub async fn begin_elsewhere(
        &self,
        caller: &Caller,
        provider: &str,
        return_to: Option<String>,
    ) -> Result<Begun, Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let terms = self.terms(caller).await?;
        let providers = &self.parts().providers;
        let chosen = providers.get(provider).ok_or_else(unknown)?;
        if return_to
            .as_ref()
            .is_some_and(|to| !providers.may_return(to))
        {
            return Err(Failure::field(
                "return_to",
                "not an address that is configured",
            ));
        }
        let random = Zeroizing::new(crate::crypto::random());
        let begun = Pending::begin(now(), provider, terms.key, return_to, &random);
        let url = chosen.begin(begun.redirect()).await?;
        let bytes = begun
            .pending
            .to_bytes()
            .map_err(|error| Failure::defect("a sign-in cannot be written", &error))?;
        self.parts()
            .live
            .put(&begun.slot, &bytes, pending::LIFETIME)
            .await?;
        Ok(Begun {
            url: url.into(),
            handle: begun.handle,
            secret: begun.client,
            lifetime: pending::LIFETIME,
        })
    }

    /// Takes the code that a browser brought back; says where the browser goes then.
    pub async fn returned_elsewhere(
        &self,
        state: &str,
        code: String,
        issuer: Option<String>,
    ) -> Result<Option<String>, Failure> {
        if code.len() > LONGEST || state.len() > LONGEST {
            return Err(Failure::field("code", "too long"));
        }
        let slot = pending::slot(state).map_err(|_| Failure::token())?;
        let live = self.parts().live.as_ref();
        let Some(bytes) = live.get(&slot).await? else {
            return Err(Failure::token());
        };
        let return_to = Pending::from_bytes(&bytes)
            .map_err(|_| Failure::token())?
            .return_to()
            .map(ToOwned::to_owned);
        let brought = serde_json::to_vec(&Brought { code, issuer })
            .map_err(|error| Failure::defect("a code cannot be written", &error))?;
        live.put(&brought_key(state), &brought, RETURNED).await?;
        Ok(return_to)
    }

    /// Finishes a sign-in at a provider: with the code that the browser brought back, or with one
    /// that the client caught itself. `NotFound` while the browser has not come back.
    pub async fn finish_elsewhere(
        &self,
        caller: &Caller,
        provider: &str,
        handle: &str,
        secret: &str,
        code: Option<(Confidential, Option<String>)>,
    ) -> Result<SignIn, Failure> {
        let result = self
            .finish_at_provider(caller, provider, handle, secret, code)
            .await;
        if result
            .as_ref()
            .map_or_else(|failure| failure.code != Code::NotFound, |_| true)
        {
            self.metrics().logged_in("provider", result.is_ok());
        }
        result
    }

    async fn finish_at_provider(
        &self,
        caller: &Caller,
        provider: &str,
        handle: &str,
        secret: &str,
        code: Option<(Confidential, Option<String>)>,
    ) -> Result<SignIn, Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let terms = self.terms(caller).await?;
        let subject = self
            .subject_of_code(provider, handle, secret, code, terms.key.as_deref())
            .await?;
        self.enter(caller, terms, &subject).await
    }

    /// Who came back from a provider to who began with this key.
    pub(super) async fn subject_of_code(
        &self,
        provider: &str,
        handle: &str,
        secret: &str,
        code: Option<(Confidential, Option<String>)>,
        key: Option<&str>,
    ) -> Result<Subject, Failure> {
        let chosen = self.parts().providers.get(provider).ok_or_else(unknown)?;
        let live = self.parts().live.as_ref();
        let slot = pending::slot(handle).map_err(|_| Failure::token())?;
        let (code, issuer) = match code {
            Some(caught) => caught,
            None => match live.get(&brought_key(handle)).await? {
                Some(bytes) => {
                    let brought: Brought = serde_json::from_slice(&bytes)
                        .map_err(|error| Failure::defect("a code cannot be read", &error))?;
                    (Confidential::new(brought.code), brought.issuer)
                }
                None => {
                    return Err(Failure::new(
                        Code::NotFound,
                        "the browser has not come back; ask again shortly",
                    ));
                }
            },
        };
        let Some(bytes) = live.take(&slot).await? else {
            return Err(Failure::token());
        };
        live.forget(&brought_key(handle)).await?;
        let returned = Returned {
            provider,
            client: secret,
            key,
        };
        let resumed = Pending::from_bytes(&bytes)
            .and_then(|pending| pending.resume(now(), &returned))
            .map_err(|refusal| {
                tracing::info!(%refusal, "Sign-in at a provider refused");
                Failure::token()
            })?;
        Ok(chosen.finish(&resumed.credential(code, issuer)).await?)
    }

    /// Signs in by a ticket of a provider.
    pub async fn login_by_ticket(
        &self,
        caller: &Caller,
        provider: &str,
        ticket: &str,
    ) -> Result<SignIn, Failure> {
        let result = self.ticket_login(caller, provider, ticket).await;
        self.metrics().logged_in("ticket", result.is_ok());
        result
    }

    async fn ticket_login(
        &self,
        caller: &Caller,
        provider: &str,
        ticket: &str,
    ) -> Result<SignIn, Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let terms = self.terms(caller).await?;
        let subject = self.subject_of_ticket(provider, ticket).await?;
        self.enter(caller, terms, &subject).await
    }

    /// Whose ticket it is.
    pub(super) async fn subject_of_ticket(
        &self,
        provider: &str,
        ticket: &str,
    ) -> Result<Subject, Failure> {
        if ticket.len() > LONGEST {
            return Err(Failure::field("ticket", "at most 16 KiB"));
        }
        let chosen = self.parts().providers.get(provider).ok_or_else(unknown)?;
        let credential = Credential::Ticket(Confidential::new(ticket));
        Ok(chosen.finish(&credential).await?)
    }

    /// Signs in who proved an account elsewhere; makes an account the first time.
    ///
    /// Never joins an account of the same mail address: whoever made that one may be somebody else.
    async fn enter(
        &self,
        caller: &Caller,
        terms: Terms,
        subject: &Subject,
    ) -> Result<SignIn, Failure> {
        let value = subject.identity();
        let hash = self.blind(subject.kind, &value);
        let player = if let Some(player) = self.known(&hash).await? {
            player
        } else {
            let id = PlayerId(Uuid::new_v4());
            let email = subject.email.as_ref();
            let new = NewPlayer {
                id,
                identity: Identity {
                    kind: subject.kind,
                    hash,
                    label: self.seal(LABEL, &hash.0, value.as_bytes())?,
                },
                email: email
                    .map(|email| self.seal(EMAIL, id.0.as_bytes(), email.address.as_bytes()))
                    .transpose()?,
                email_verified: email.is_some_and(|email| email.verified),
                password: None,
                guest: false,
                at: now(),
            };
            self.parts().store.create_player(&new).await?;
            self.note(
                Event::Register,
                Outcome::Success,
                id,
                &caller.address.to_string(),
                &serde_json::json!({ "identity": subject.kind.name() }),
            );
            // Whoever was first: a retry of the same call may have been.
            self.known(&hash).await?.ok_or_else(Failure::credentials)?
        };
        self.enter_as(caller, terms, &player, subject).await
    }

    async fn enter_as(
        &self,
        caller: &Caller,
        terms: Terms,
        player: &Player,
        subject: &Subject,
    ) -> Result<SignIn, Failure> {
        if player.status != Status::Active {
            self.note(
                Event::Login,
                Outcome::Failure,
                NOBODY,
                &caller.address.to_string(),
                &serde_json::json!({ "identity": subject.kind.name() }),
            );
            return Err(Failure::credentials());
        }
        self.after_first_step(caller, terms, player, &["fed"]).await
    }
}

fn unknown() -> Failure {
    Failure::new(Code::NotFound, "no such provider")
}

fn brought_key(state: &str) -> Key {
    Key::Step(crate::crypto::named_hash("brought", state.as_bytes()))
}
