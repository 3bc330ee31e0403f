//! Signing in at a provider: by a browser that comes back with a code, or by a ticket that the
//! provider's library gave to the game.
//!
//! A browser cannot hand tokens to a game. So the game begins, gets a handle, a secret and an
//! address to open, and fetches the result with both when the browser has come back. Only who began
//! has the secret; the browser brings the code alone.

use std::net::IpAddr;
use std::time::Duration;

use storage::Confidential;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::{Code, Failure};
use crate::ids::PlayerId;
use crate::limits::{What, Who};
use crate::live::Key;
use crate::providers::pending::{self, Pending, Returned};
use crate::providers::{self, Credential, Subject};
use crate::service::audit::{Event, Trial};
use crate::service::caller::{Caller, Terms};
use crate::service::keys::{EMAIL, LABEL};
use crate::service::login::SignIn;
use crate::service::{Service, now};
use crate::store::{Identity, NewPlayer, Status};

/// How long a code that came back waits for who began.
const RETURNED: Duration = Duration::from_mins(5);

/// How long a provider may take to answer, however much it is asked: less than a request may.
const ANSWER: Duration = Duration::from_secs(10);

/// How much of a provider's reason is written into the log, in characters.
const LONGEST_REASON: usize = 64;

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

/// What came back from a provider: a code, or none where it gave none, and its name.
pub(super) type CameBack = (Option<Confidential>, Option<String>);

/// What a browser brought back.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Brought {
    /// None where the provider gave none.
    code: Option<String>,
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
        let url = in_time(chosen.begin(begun.redirect())).await?;
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

    /// Takes what a browser brought back: a code and the name of the provider, or why there is no
    /// code. Says where the browser goes then; who began is told of a refusal, too.
    pub async fn returned_elsewhere(
        &self,
        address: IpAddr,
        state: &str,
        came: Result<(String, Option<String>), String>,
    ) -> Result<Option<String>, Failure> {
        self.limit(What::Return, Who::Address(address)).await?;
        let (code, issuer) = match came {
            Ok((code, issuer)) => (Some(code), issuer),
            Err(reason) => {
                // What the provider says is for the log: a page must not repeat what a link may
                // hold, and the log no more of it than a provider says.
                let reason: String = reason.chars().take(LONGEST_REASON).collect();
                tracing::info!(reason, "A provider sent a browser back without a code");
                (None, None)
            }
        };
        let is_code = code.is_some();
        if code.as_ref().is_some_and(|code| code.len() > LONGEST) || state.len() > LONGEST {
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
        if is_code {
            Ok(return_to)
        } else {
            Err(incomplete())
        }
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
        let mut trial = Trial::new(Event::Login, "provider");
        let result = match self.came_back(caller, handle, code).await {
            // Asking early is no attempt.
            Err(failure) if failure.code == Code::NotFound => return Err(failure),
            Err(failure) => Err(failure),
            Ok(came) => {
                self.finish_at_provider(caller, provider, handle, secret, came, &mut trial)
                    .await
            }
        };
        self.metrics().logged_in("provider", result.is_ok());
        self.refused(caller, &trial, &result).await;
        result
    }

    /// What came back from a provider: what the client caught itself, or what the browser brought.
    /// `NotFound` while it has not come back. Asking for that has a rate of its own: who asks every
    /// second must still be able to sign in then.
    pub(super) async fn came_back(
        &self,
        caller: &Caller,
        handle: &str,
        caught: Option<(Confidential, Option<String>)>,
    ) -> Result<CameBack, Failure> {
        if let Some((code, issuer)) = caught {
            return Ok((Some(code), issuer));
        }
        self.limit(What::Return, Who::Address(caller.address))
            .await?;
        pending::slot(handle).map_err(|_| Failure::token())?;
        let live = self.parts().live.as_ref();
        let bytes = live.get(&brought_key(handle)).await?.ok_or_else(|| {
            Failure::new(
                Code::NotFound,
                "the browser has not come back; ask again shortly",
            )
        })?;
        let brought: Brought = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::defect("a code cannot be read", &error))?;
        Ok((brought.code.map(Confidential::new), brought.issuer))
    }

    async fn finish_at_provider(
        &self,
        caller: &Caller,
        provider: &str,
        handle: &str,
        secret: &str,
        came: CameBack,
        trial: &mut Trial,
    ) -> Result<SignIn, Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let terms = self.terms(caller).await?;
        let subject = self
            .subject_of_code(provider, handle, secret, came, terms.key.as_deref())
            .await?;
        self.enter(caller, terms, &subject, trial).await
    }

    /// Who came back from a provider to who began with this key.
    pub(super) async fn subject_of_code(
        &self,
        provider: &str,
        handle: &str,
        secret: &str,
        (code, issuer): CameBack,
        key: Option<&str>,
    ) -> Result<Subject, Failure> {
        let chosen = self.parts().providers.get(provider).ok_or_else(unknown)?;
        let live = self.parts().live.as_ref();
        let slot = pending::slot(handle).map_err(|_| Failure::token())?;
        let bytes = live.get(&slot).await?.ok_or_else(Failure::token)?;
        let returned = Returned {
            provider,
            client: secret,
            key,
        };
        // Before it is taken: who saw the handle and has no secret must not be able to end it.
        let resumed = Pending::from_bytes(&bytes)
            .and_then(|pending| pending.resume(now(), &returned))
            .map_err(|refusal| {
                tracing::info!(%refusal, "Sign-in at a provider refused");
                Failure::token()
            })?;
        if live.take(&slot).await?.is_none() {
            return Err(Failure::token());
        }
        live.forget(&brought_key(handle)).await?;
        let code = code.ok_or_else(incomplete)?;
        in_time(chosen.finish(&resumed.credential(code, issuer))).await
    }

    /// Signs in by a ticket of a provider.
    pub async fn login_by_ticket(
        &self,
        caller: &Caller,
        provider: &str,
        ticket: &str,
    ) -> Result<SignIn, Failure> {
        let mut trial = Trial::new(Event::Login, "ticket");
        let result = self
            .ticket_login(caller, provider, ticket, &mut trial)
            .await;
        self.metrics().logged_in("ticket", result.is_ok());
        self.refused(caller, &trial, &result).await;
        result
    }

    async fn ticket_login(
        &self,
        caller: &Caller,
        provider: &str,
        ticket: &str,
        trial: &mut Trial,
    ) -> Result<SignIn, Failure> {
        self.limit(What::Login, Who::Address(caller.address))
            .await?;
        let terms = self.terms(caller).await?;
        let subject = self.subject_of_ticket(provider, ticket).await?;
        self.enter(caller, terms, &subject, trial).await
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
        in_time(chosen.finish(&credential)).await
    }

    /// Signs in who proved an account elsewhere; makes an account the first time.
    ///
    /// Never joins an account of the same mail address: whoever made that one may be somebody else.
    async fn enter(
        &self,
        caller: &Caller,
        terms: Terms,
        subject: &Subject,
        trial: &mut Trial,
    ) -> Result<SignIn, Failure> {
        let value = subject.identity();
        let hash = self.blind(subject.kind, &value);
        trial.account = Some(hash);
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
                lines: Self::registration(caller, id, subject.kind),
            };
            self.make_player(&new).await?;
            // Whoever was first: a retry of the same call may have been.
            self.known(&hash).await?.ok_or_else(Failure::credentials)?
        };
        trial.player = player.id;
        if player.status != Status::Active {
            return Err(Failure::credentials());
        }
        self.after_first_step(caller, terms, &player, &["fed"])
            .await
    }
}

/// What a provider says, if it says it in time. One question may be several: what it is, its keys,
/// and whose code it is.
async fn in_time<Output>(
    asked: impl Future<Output = Result<Output, providers::Error>>,
) -> Result<Output, Failure> {
    let answer = tokio::time::timeout(ANSWER, asked).await;
    let late = |_| Err(providers::Error::Unreachable("no answer in time".into()));
    Ok(answer.unwrap_or_else(late)?)
}

fn incomplete() -> Failure {
    Failure::new(
        Code::ProviderFailed,
        "the sign-in was not completed; begin again",
    )
}

fn unknown() -> Failure {
    Failure::new(Code::NotFound, "no such provider")
}

fn brought_key(state: &str) -> Key {
    Key::Step(crate::crypto::named_hash("brought", state.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_hangs_is_given_up_before_the_request_is() {
        let began = tokio::time::Instant::now();
        let hangs = std::future::pending::<Result<(), providers::Error>>();
        let failure = in_time(hangs).await.unwrap_err();
        assert_eq!(failure.code, Code::ProviderFailed);
        assert_eq!(began.elapsed(), ANSWER);
    }
}
