//! Validation in the process of a game server: [`access::Verifier`].

use std::error::Error;
use std::time::{Duration, Instant};

use access::claims::{Claims, LIFETIME, TYPE};
use access::jwk::PublicKey;
use access::{KeySet, PlayerId, Revocation, SessionId, Verifier};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::load::Load;
use crate::process::Process;
use crate::report::{Report, p99};

/// Validations in a second of one core.
const GOAL: f64 = 20_000.0;

/// Longest time of 99 of 100, in milliseconds.
const GOAL_P99: f64 = 1.0;

/// Revocations of others that a verifier knows.
const REVOCATIONS: usize = 10_000;

/// Tokens that come again and again.
const REPEATED: usize = 1000;

/// Tokens that are made for each second in which every token comes for the first time.
const COLD: usize = 20_000;

const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "game";

/// A verifier, and a key whose tokens it accepts.
struct Bench {
    verifier: Verifier,
    key: Ed25519KeyPair,
    id: String,
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        let key = Ed25519KeyPair::generate().unwrap();
        let public = PublicKey::ed25519(key.public_key().as_ref()).unwrap();
        let id = public.thumbprint().to_owned();
        let verifier = Verifier::new(ISSUER, AUDIENCE);
        verifier.set_keys(KeySet::from_iter([public]));
        let now = runtime::clock::now();
        for _ in 0..REVOCATIONS {
            let revocation = Revocation {
                player: PlayerId(Uuid::new_v4()),
                session: Some(SessionId(Uuid::new_v4())),
                at: now,
            };
            verifier.revoke(now, revocation);
        }
        Self {
            verifier,
            key,
            id,
            now,
        }
    }

    fn token(&self) -> String {
        let header = json!({ "alg": "EdDSA", "typ": TYPE, "kid": self.id });
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: PlayerId(Uuid::new_v4()),
            aud: vec![AUDIENCE.to_owned()],
            exp: (self.now + LIFETIME).as_second(),
            iat: self.now.as_second(),
            jti: Uuid::new_v4(),
            sid: SessionId(Uuid::new_v4()),
            cnf: None,
            roles: Vec::new(),
        };
        let sign = |bytes: &[u8]| -> Result<_, Box<dyn Error>> {
            Ok(self.key.sign(bytes).as_ref().try_into()?)
        };
        access::jws::encode(&header, &claims, sign).unwrap()
    }

    fn tokens(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.token()).collect()
    }

    /// Validates one token after the other.
    fn run<'token>(&self, tokens: impl Iterator<Item = &'token String>) -> Load {
        let before = Process::own().cpu();
        let began = Instant::now();
        let times = tokens
            .map(|token| {
                let start = Instant::now();
                self.verifier
                    .verify(runtime::clock::now(), token, None)
                    .unwrap();
                start.elapsed()
            })
            .collect();
        Load {
            times,
            took: began.elapsed(),
            cpu: vec![Process::own().cpu() - before],
        }
    }
}

/// Tokens that come for the first time, and tokens that come again.
pub(crate) fn measure(report: &mut Report, span: Duration) {
    let bench = Bench::new();
    let seconds = usize::try_from(span.as_secs()).unwrap();
    let cold = bench.tokens(COLD * seconds);
    tell(report, "every token new", bench.run(cold.iter()));
    let again = &cold[..REPEATED];
    let repeats = again.iter().cycle().take(COLD * seconds * 10);
    tell(report, "1,000 tokens again and again", bench.run(repeats));
}

fn tell(report: &mut Report, what: &str, mut load: Load) {
    report.at_least(
        format!("local validation, {what}: in a second of CPU"),
        load.per_core(),
        GOAL,
    );
    let what = format!("local validation, {what}: p99");
    report.at_most(what, p99(&mut load.times), GOAL_P99, "ms");
}
