//! Logins by password, against the function alone on the same core.

use std::cell::Cell;
use std::process::Command;
use std::time::{Duration, Instant};

use auth::passwords::kdf::Profile;
use futures::future::{join, join_all};
use http::StatusCode;
use http::header::RETRY_AFTER;
use proto::muster::auth::v1 as wire;
use serde_json::{Value, json};

use crate::http::Http;
use crate::load::drive;
use crate::process::{Process, SERVICE_CORE};
use crate::report::{Report, number, p99};
use crate::world::{Replica, Session, as_service};

/// Share of the rate of hashes that logins should reach.
const SHARE: f64 = 0.95;

/// Clients that log in again and again.
const STEADY: usize = 10;

/// Clients that log in at once, each to an account of its own: tries of one account wait for each
/// other.
const CROWD: usize = 40;

/// What other calls may take meanwhile, in milliseconds: a hash takes some hundred.
const OTHERS: f64 = 50.0;

/// Between other calls.
const PERIOD: Duration = Duration::from_millis(5);

const PASSWORD: &str = "four staples, one correct horse";

/// Hashes one password after the other, and prints how many, the seconds, and the seconds of CPU.
pub(crate) fn hash_alone(span: Duration) {
    let before = Process::own().cpu();
    let began = Instant::now();
    let mut count = 0_u32;
    while began.elapsed() < span {
        let hash = Profile::DEFAULT.compute(None, b"a salt of 16 bytes", PASSWORD.as_bytes());
        std::hint::black_box(hash.unwrap());
        count += 1;
    }
    let (took, cpu) = (began.elapsed().as_secs_f64(), Process::own().cpu() - before);
    println!("{count} {took} {cpu}");
}

/// Hashes in a second, and in a second of CPU, on the core of the service.
#[derive(Clone, Copy, Debug)]
struct Alone {
    rate: f64,
    per_core: f64,
}

impl Alone {
    fn measure(span: Duration) -> Self {
        let output = Command::new("taskset")
            .args(["--cpu-list", SERVICE_CORE])
            .arg(std::env::current_exe().unwrap())
            .arg(format!("--hash={}", span.as_secs()))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers = text.split_whitespace().map(|word| word.parse().unwrap());
        let numbers: Vec<f64> = numbers.collect();
        let [count, took, cpu] = numbers[..] else {
            panic!("it printed: {text}");
        };
        Self {
            rate: count / took,
            per_core: count / cpu,
        }
    }
}

/// A client of an account.
struct Owner {
    http: Http,
    body: Value,
}

/// So many of them. Each loads at once: the service closes a connection on which nothing is said.
async fn owners(replica: &Replica, count: usize) -> Vec<Owner> {
    let mut owners = Vec::new();
    for index in 0..count {
        owners.push(Owner {
            http: replica.http().await,
            body: account(index),
        });
    }
    owners
}

/// What an account is registered and signed in by.
fn account(number: usize) -> Value {
    json!({ "email": format!("player{number}@example.com"), "password": PASSWORD })
}

/// Measures one replica.
pub(crate) async fn measure(report: &mut Report, replica: &Replica, span: Duration) {
    for number in 0..CROWD {
        let mut http = replica.http().await;
        let answer = http.post("/register", &account(number)).await;
        assert!(answer.status.is_success(), "{}", answer.body);
    }
    steady(report, replica, span * 3).await;
    crowd(report, replica).await;
}

/// The rate of ten clients.
async fn steady(report: &mut Report, replica: &Replica, span: Duration) {
    // Before and after: the machine may be quicker or slower meanwhile.
    let before = Alone::measure(span / 3);
    let mut owners = owners(replica, STEADY).await;
    let refused = Cell::new(0_u32);
    let mut load = drive(&mut owners, span, &[replica.process()], async |owner| {
        let answer = owner.http.post("/login", &owner.body).await;
        // On a busy machine ten hashes take longer than anybody waits for one.
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            refused.set(refused.get() + 1);
        } else {
            assert!(answer.status.is_success(), "{}", answer.body);
        }
    })
    .await;
    let good = 1.0 - f64::from(refused.get()) / load.calls();
    let after = Alone::measure(span / 3);
    let rate = f64::midpoint(before.rate, after.rate);
    let per_core = f64::midpoint(before.per_core, after.per_core);
    report.note(
        "the hash alone",
        format!(
            "{}/s, {} in a second of CPU",
            number(rate),
            number(per_core)
        ),
    );
    report.note(
        "password login, 10 clients: share of the hash's rate by the clock",
        number(load.rate() * good / rate),
    );
    report.at_least(
        "password login, 10 clients: share of the hash's rate for the same CPU",
        load.per_core() * good / per_core,
        SHARE,
    );
    report.note(
        "password login, 10 clients: refused",
        refused.get().to_string(),
    );
    load.tell(report, "password login, 10 clients", &["service"]);
}

/// Many clients at once, and somebody else's calls meanwhile.
async fn crowd(report: &mut Report, replica: &Replica) {
    let mut http = replica.http().await;
    let Session { access, .. } = replica.device(&mut http, "a device beside the crowd").await;
    let client = replica.grpc().await;
    let validate = async |times: &mut Vec<Duration>| {
        let start = Instant::now();
        let request = as_service(wire::ValidateRequest {
            access_token: access.clone(),
            audience: String::new(),
        });
        client.clone().validate(request).await.unwrap();
        times.push(start.elapsed());
    };
    let mut owners = owners(replica, CROWD).await;
    let (ended, mut is_ended) = tokio::sync::oneshot::channel();
    let all = async {
        let began = Instant::now();
        let answers = owners.iter_mut().map(async |owner| {
            let answer = owner.http.post("/login", &owner.body).await;
            (answer.status, answer.headers.contains_key(RETRY_AFTER))
        });
        let answers = join_all(answers).await;
        ended.send(()).ok();
        (answers, began.elapsed())
    };
    let others = async {
        let mut times = Vec::new();
        let mut ticks = tokio::time::interval(PERIOD);
        while is_ended.try_recv().is_err() {
            ticks.tick().await;
            validate(&mut times).await;
        }
        times
    };
    let ((answers, took), mut times) = join(all, others).await;
    let good = answers.iter().filter(|(status, _)| status.is_success());
    let refused = answers
        .iter()
        .filter(|(status, later)| *status == StatusCode::SERVICE_UNAVAILABLE && *later);
    let (good, refused) = (good.count(), refused.count());
    report.holds(
        "password login, 40 clients at once",
        format!(
            "{good} in, {refused} refused with 503 and Retry-After, {} else, within {} s",
            CROWD - good - refused,
            number(took.as_secs_f64())
        ),
        "every one is one or the other",
        good + refused == CROWD && good > 0,
    );
    report.at_most(
        "Validate by gRPC meanwhile: p99",
        p99(&mut times),
        OTHERS,
        "ms",
    );
}
