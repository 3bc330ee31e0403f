//! Measures whether the time of a refused login tells that an account exists: logins for accounts
//! that exist, that do not, and that are not verified take turns, with a hash that costs so little
//! that nothing hides behind it. Prints Welch's t of each pair; beyond 4.5 there is a difference.
//!
//! `cargo run --release -p auth --example auth-timing [tries]`

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it measures, and says where it fails"
)]

#[path = "../tests/model/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Instant;

use auth::live::Live;
use auth::live::memory::Memory;
use auth::passwords::Password;
use auth::service::register::Registered;
use auth::service::{Service, Verification};
use auth::signing::plan::Policy;
use auth::store::Store;
use auth::store::sqlite::Sqlite;

use world::{caller, parts, password, pool, signing, verify};

/// How many logins of each kind.
const TRIES: usize = 10_000;

/// Measurements above this share are left out: the machine did something else meanwhile.
const KEPT: f64 = 0.95;

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

/// The quickest of a series, in order.
fn kept(mut times: Vec<f64>, limit: f64) -> Vec<f64> {
    times.retain(|time| *time <= limit);
    times
}

/// A service with verified accounts.
async fn service_with_accounts() -> Service {
    let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory().await.unwrap());
    let live: Arc<dyn Live> = Arc::new(Memory::new(1_000_000));
    let now = runtime::clock::now();
    let signing = signing(now, &store, &live, Policy::default()).await;
    let service = async |verification| {
        let (store, live) = (Arc::clone(&store), Arc::clone(&live));
        Service::new(parts(store, live, Arc::clone(&signing), verification, pool()).await)
    };
    let lenient = service(Verification::Optional).await;
    for account in 0..ACCOUNTS {
        let email = format!("known{account}@example.com");
        let made = lenient.register(&caller(), &email, &password()).await;
        let Registered::Tokens(tokens) = made.unwrap() else {
            continue;
        };
        verify(&*store, tokens.player).await;
    }
    service(Verification::Required).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let tries = std::env::args().nth(1).map_or(TRIES, |tries| {
        tries.parse().expect("the number of logins of each kind")
    });
    let strict = service_with_accounts().await;
    for account in 0..ACCOUNTS {
        let email = format!("unverified{account}@example.com");
        strict
            .register(&caller(), &email, &password())
            .await
            .unwrap();
    }
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
        let refused = strict.login(&caller(), &email, &wrong).await;
        times[kind].push(began.elapsed().as_secs_f64() * 1e6);
        refused.unwrap_err();
    }
    let mut all = times.concat();
    all.sort_by(f64::total_cmp);
    let share = f64::from(u32::try_from(all.len()).unwrap()) * KEPT;
    let limit = all
        .iter()
        .zip(1_u32..)
        .take_while(|(_, number)| f64::from(*number) <= share)
        .last()
        .map_or(f64::MAX, |(time, _)| *time);
    let times = times.map(|times| kept(times, limit));
    for (kind, times) in KINDS.iter().zip(&times) {
        let (mean, variance, count) = mean_and_variance(times);
        println!(
            "{kind:>10}: {count} logins, {mean:.1} µs, deviation {:.1} µs",
            variance.sqrt()
        );
    }
    println!(
        "known against unknown:      t = {:+.2}",
        welch(&times[1], &times[0])
    );
    println!(
        "unverified against unknown: t = {:+.2}",
        welch(&times[2], &times[0])
    );
    println!(
        "unverified against known:   t = {:+.2}",
        welch(&times[2], &times[1])
    );
}
