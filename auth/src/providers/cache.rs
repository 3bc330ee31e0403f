//! A document of a provider that is kept while it is fresh, and a while longer when the provider
//! is away.
//!
//! Whatever callers want, the provider is asked at most once in [`PAUSE`]: neither an attacker's
//! invented key ids nor an outage may turn our load into the provider's.

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::Error;

/// Between two questions, at least.
const PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// How long a document is good after its freshness ended, while the provider does not answer.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// What to do about a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// The one at hand is the answer, be it what the caller wants or not.
    Use,
    /// Ask the provider.
    Fetch,
    /// There is none, and the provider was asked a moment ago.
    Refuse,
}

/// The times that a decision depends on.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// When the provider was last asked.
    asked: Option<Timestamp>,
    /// Until when the document at hand is fresh.
    fresh: Option<Timestamp>,
}

impl Times {
    fn is_usable(self, now: Timestamp) -> bool {
        self.fresh.is_some_and(|fresh| now < later(fresh, STALE))
    }

    /// `enough`: the document at hand has what the caller looks for.
    fn decide(self, now: Timestamp, enough: bool) -> Decision {
        let asked_lately = self
            .asked
            // A clock that was set back must not keep us from asking.
            .is_some_and(|asked| asked <= now && now < later(asked, PAUSE));
        if enough && self.fresh.is_some_and(|fresh| now < fresh) {
            Decision::Use
        } else if !asked_lately {
            Decision::Fetch
        } else if self.is_usable(now) {
            Decision::Use
        } else {
            Decision::Refuse
        }
    }
}

/// A while later; without an error at the end of time.
fn later(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

struct State<T> {
    times: Times,
    held: Option<Arc<T>>,
}

/// A document with its freshness.
pub(super) struct Cached<T> {
    /// Held while the provider is asked: who comes meanwhile waits for the one answer.
    state: Mutex<State<T>>,
}

impl<T> fmt::Debug for Cached<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cached").finish_non_exhaustive()
    }
}

impl<T> Cached<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                times: Times::default(),
                held: None,
            }),
        }
    }

    /// The document; asks the provider if there is none that is fresh and `enough`.
    ///
    /// What is returned may still not be enough: then the provider does not have it either, or
    /// was asked a moment ago.
    pub(super) async fn get(
        &self,
        enough: impl Fn(&T) -> bool,
        fetch: impl AsyncFnOnce() -> Result<(T, SignedDuration), Error>,
    ) -> Result<Arc<T>, Error> {
        let mut state = self.state.lock().await;
        let now = runtime::clock::now();
        let has = state.held.as_deref().is_some_and(enough);
        match (state.times.decide(now, has), &state.held) {
            (Decision::Use, Some(held)) => Ok(Arc::clone(held)),
            (Decision::Use | Decision::Refuse, _) => Err(Error::Unreachable(
                "it failed a moment ago and is not asked again yet".into(),
            )),
            (Decision::Fetch, _) => {
                state.times.asked = Some(now);
                match fetch().await {
                    Ok((document, fresh)) => {
                        let document = Arc::new(document);
                        state.times.fresh = Some(later(now, fresh));
                        state.held = Some(Arc::clone(&document));
                        Ok(document)
                    }
                    Err(error) => match &state.held {
                        Some(held) if state.times.is_usable(now) => {
                            tracing::warn!(%error, "Kept a provider's older document");
                            Ok(Arc::clone(held))
                        }
                        Some(_) | None => Err(error),
                    },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    #[test]
    fn the_provider_is_asked_seldom_and_used_long() {
        let day = STALE.as_secs();
        for (name, asked, fresh, now, enough, decision) in [
            ("nothing at hand", None, None, 0, false, Decision::Fetch),
            ("fresh", Some(0), Some(300), 5, true, Decision::Use),
            (
                "fresh at the end",
                Some(0),
                Some(300),
                299,
                true,
                Decision::Use,
            ),
            (
                "no longer fresh",
                Some(0),
                Some(300),
                300,
                true,
                Decision::Fetch,
            ),
            (
                "unknown key",
                Some(0),
                Some(300),
                11,
                false,
                Decision::Fetch,
            ),
            (
                "unknown key again",
                Some(0),
                Some(300),
                9,
                false,
                Decision::Use,
            ),
            ("failed just now", Some(0), None, 9, false, Decision::Refuse),
            (
                "failed a while ago",
                Some(0),
                None,
                10,
                false,
                Decision::Fetch,
            ),
            (
                "stale, failed",
                Some(400),
                Some(300),
                401,
                true,
                Decision::Use,
            ),
            (
                "too stale",
                Some(400 + day),
                Some(300),
                401 + day,
                true,
                Decision::Refuse,
            ),
            (
                "clock set back",
                Some(1_000),
                None,
                0,
                false,
                Decision::Fetch,
            ),
        ] {
            let times = Times {
                asked: asked.map(at),
                fresh: fresh.map(at),
            };
            assert_eq!(times.decide(at(now), enough), decision, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_costs_one_question_in_the_pause_and_keeps_what_was_known() {
        let _clock = runtime::clock::virtual_time(at(0));
        let cached = Cached::new();
        let hour = SignedDuration::from_hours(1);
        let down = async || Err(Error::Unreachable("down".into()));
        let first = cached.get(|_| true, async || Ok((1, hour))).await;
        assert_eq!(*first.unwrap(), 1);
        tokio::time::advance(std::time::Duration::from_hours(2)).await;
        assert_eq!(*cached.get(|_| true, down).await.unwrap(), 1);
        // Asked a moment ago: this would panic if it asked again.
        let again = cached.get(|_| true, async || panic!("asked")).await;
        assert_eq!(*again.unwrap(), 1);
        tokio::time::advance(std::time::Duration::from_hours(24)).await;
        cached.get(|_| true, down).await.unwrap_err();
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        let back = cached.get(|_| true, async || Ok((2, hour))).await;
        assert_eq!(*back.unwrap(), 2);
    }
}
