//! Measures over PostgreSQL and Valkey whether the time of a refused login tells that an account
//! exists: logins for accounts that exist, that do not, and that are not verified take turns.
//! Prints Welch's t of each pair, and fails where one is beyond 4.5: there is a difference then.
//!
//! Passwords are hashed as cheaply as the profiles that may be chosen allow. `--cheapest` takes a
//! hash that nobody may choose, so that nothing hides behind it, and shows what is left.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it measures, and says where it fails"
)]

#[path = "../tests/model/world.rs"]
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use auth::live::Live;
use auth::live::valkey::Valkey;
use auth::passwords::breached::Unlisted;
use auth::passwords::kdf::Profile;
use auth::passwords::{self, Password, Passwords};
use auth::service::register::Registered;
use auth::service::{Parts, Service, Verification};
use auth::signing::plan::Policy;
use auth::store::Store;
use auth::store::postgres::Postgres;
use clap::Parser;
use storage::{postgres, valkey};

use world::{caller, parts, password, pool, signing, verify};

/// Measures refused logins.
#[derive(Debug, Parser)]
struct Args {
    /// How many logins of each kind.
    #[arg(long, default_value_t = 10_000)]
    tries: usize,
    /// Hashes with next to no cost.
    #[arg(long)]
    cheapest: bool,
}

/// Beyond it a difference is no chance.
const DIFFERENT: f64 = 4.5;

/// The slowest are left out, all but so many of 100: the machine did something else meanwhile.
const KEPT: usize = 95;

/// Kinds of accounts.
const KINDS: [&str; 3] = ["unknown", "known", "unverified"];

/// Accounts of each kind.
const ACCOUNTS: usize = 100;

fn mean_and_variance(times: &[f64]) -> (f64, f64, f64) {
    let count = f64::from(u32::try_from(times.len()).unwrap());
    let mean = times.iter().sum::<f64>() / count;
    let squares = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
    (mean, squares / (count - 1.0), count)
}

/// Welch's t of two series.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let (mean, variance, count) = mean_and_variance(one);
    let (other_mean, other_variance, other_count) = mean_and_variance(other);
    (mean - other_mean) / (variance / count + other_variance / other_count).sqrt()
}

/// The quickest of all, in order.
fn kept(times: [Vec<f64>; 3]) -> [Vec<f64>; 3] {
    let mut all = times.concat();
    all.sort_by(f64::total_cmp);
    let limit = all[all.len() * KEPT / 100];
    times.map(|mut times| {
        times.retain(|time| *time <= limit);
        times
    })
}

/// A service with accounts of each kind.
async fn service(store: Arc<dyn Store>, live: Arc<dyn Live>, profile: Option<Profile>) -> Service {
    let now = runtime::clock::now();
    let signing = signing(now, &store, &live, Policy::default()).await;
    let service = async |verification| {
        let (store, live, pool) = (Arc::clone(&store), Arc::clone(&live), pool());
        let signing = Arc::clone(&signing);
        let parts = parts(store, live, signing, verification, Arc::clone(&pool)).await;
        let passwords = profile.map(|profile| {
            let config = passwords::Config {
                former: Vec::new(),
                profile,
                pepper: None,
            };
            Passwords::new(config, pool, Arc::new(Unlisted)).unwrap()
        });
        Service::new(match passwords {
            Some(passwords) => Parts { passwords, ..parts },
            None => parts,
        })
    };
    let lenient = service(Verification::Optional).await;
    let strict = service(Verification::Required).await;
    for account in 0..ACCOUNTS {
        let email = format!("known{account}@example.com");
        let made = lenient.register(&caller(), &email, &password()).await;
        if let Registered::Tokens(tokens) = made.unwrap() {
            verify(&*store, tokens.player).await;
        }
        let email = format!("unverified{account}@example.com");
        let made = strict.register(&caller(), &email, &password()).await;
        made.unwrap();
    }
    strict
}

/// Microseconds of logins by kind.
async fn measure(service: &Service, tries: usize) -> [Vec<f64>; 3] {
    let wrong = Password::new("not the password of anybody").unwrap();
    let mut times: [Vec<f64>; 3] = Default::default();
    let mut order = 0x2545_f491_4f6c_dd1d_u64;
    for number in 0..tries * KINDS.len() {
        // In no order that anything else could follow.
        order ^= order << 13;
        order ^= order >> 7;
        order ^= order << 17;
        let kind = usize::try_from(order % 3).unwrap();
        let email = format!("{}{}@example.com", KINDS[kind], number % ACCOUNTS);
        let began = Instant::now();
        let refused = service.login(&caller(), &email, &wrong).await;
        times[kind].push(began.elapsed().as_secs_f64() * 1e6);
        refused.unwrap_err();
    }
    times
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let postgres = testing::postgres::Server::start().unwrap();
    let cache = testing::valkey::Server::start().unwrap();
    let url = postgres.url("postgres").parse().unwrap();
    let store = Postgres::new(postgres::Config::new(url)).unwrap();
    store.migrate(None).await.unwrap();
    let live = Valkey::new(&valkey::Config::new(vec![cache.url()])).unwrap();
    let profile = Profile::Scrypt {
        log_n: 14,
        block: 8,
        lanes: 1,
    };
    let profile = (!args.cheapest).then_some(profile);
    let service = service(Arc::new(store), Arc::new(live), profile).await;
    let times = kept(measure(&service, args.tries).await);
    for (kind, times) in KINDS.iter().zip(&times) {
        let (mean, variance, count) = mean_and_variance(times);
        println!(
            "{kind:>10}: {count} logins, {mean:.1} µs, deviation {:.1} µs",
            variance.sqrt()
        );
    }
    let mut is_alike = true;
    for (one, other) in [(1, 0), (2, 0), (2, 1)] {
        let t = welch(&times[one], &times[other]);
        println!("{} against {}: t = {t:+.2}", KINDS[one], KINDS[other]);
        is_alike &= t.abs() < DIFFERENT;
    }
    if is_alike {
        ExitCode::SUCCESS
    } else {
        println!("the time tells");
        ExitCode::FAILURE
    }
}
