//! The limits over memory in virtual time, and without Valkey.

use super::*;
use crate::error::Code;
use crate::live::valkey::Valkey;

const OWNER: IdentityHash = IdentityHash([1; 32]);

fn stranger(number: u8) -> Source<'static> {
    Source::Stranger(IpAddr::from([192, 0, 2, number]))
}

fn time() -> runtime::clock::Guard {
    runtime::clock::virtual_time("2026-01-01T00:00:00Z".parse().unwrap())
}

/// Valkey that refuses connections: nothing listens on this port.
fn away() -> Valkey {
    Valkey::new(&storage::valkey::Config::new(vec![
        "redis://127.0.0.1:1".to_owned(),
    ]))
    .unwrap()
}

fn retry_after<T>(answer: Result<T, Failure>) -> Option<Duration> {
    let failure = answer.err()?;
    assert_eq!(failure.code, Code::Throttled);
    failure.retry_after
}

/// Fails as often as it is let; returns how often, and the wait in the end.
async fn fail(
    limits: &Limits,
    live: &dyn Live,
    account: IdentityHash,
    source: Source<'_>,
) -> (u32, Duration) {
    let mut failures = 0;
    loop {
        match limits.begin(live, account, source).await {
            Ok(attempt) => {
                attempt.failed().await;
                failures += 1;
            }
            Err(failure) => return (failures, retry_after(Err::<(), _>(failure)).unwrap()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_failure_after_the_fifth_doubles_the_wait() {
    let _time = time();
    let (limits, live) = (Limits::new(Config::default()), Memory::new(1000));
    let (failures, mut wait) = fail(&limits, &live, OWNER, stranger(1)).await;
    assert_eq!(failures, 5);
    let mut waits = vec![wait.as_secs()];
    for _ in 0..12 {
        // A moment too early is too early, and does not lengthen the wait.
        let moment = Duration::from_millis(1);
        tokio::time::advance(wait.saturating_sub(moment)).await;
        let answer = limits.begin(&live, OWNER, stranger(1)).await;
        assert_eq!(retry_after(answer), Some(moment));
        tokio::time::advance(moment).await;
        let failures;
        (failures, wait) = fail(&limits, &live, OWNER, stranger(1)).await;
        assert_eq!(failures, 1);
        waits.push(wait.as_secs());
    }
    assert_eq!(
        waits,
        [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
    );
    tokio::time::advance(Policy::default().window).await;
    assert_eq!(fail(&limits, &live, OWNER, stranger(1)).await.0, 5);
}

#[tokio::test(start_paused = true)]
async fn success_starts_anew() {
    let _time = time();
    let (limits, live) = (Limits::new(Config::default()), Memory::new(1000));
    for _ in 0..20 {
        for _ in 0..4 {
            let attempt = limits.begin(&live, OWNER, stranger(1)).await;
            attempt.unwrap().failed().await;
        }
        let attempt = limits.begin(&live, OWNER, stranger(1)).await;
        attempt.unwrap().succeeded().await;
    }
    let wait = fail(&limits, &live, OWNER, stranger(1)).await.1;
    tokio::time::advance(wait).await;
    let attempt = limits.begin(&live, OWNER, stranger(1)).await;
    attempt.unwrap().succeeded().await;
    assert_eq!(fail(&limits, &live, OWNER, stranger(1)).await.0, 5);
}

#[tokio::test(start_paused = true)]
async fn an_attacker_elsewhere_does_not_keep_the_owner_out() {
    let _time = time();
    let (limits, live) = (Limits::new(Config::default()), Memory::new(1000));
    for number in 0..200 {
        assert_eq!(fail(&limits, &live, OWNER, stranger(number)).await.0, 5);
    }
    for owner in [
        stranger(250),
        Source::KnownDevice(b"laptop"),
        Source::Passkey(b"laptop"),
    ] {
        let attempt = limits.begin(&live, OWNER, owner).await;
        attempt.unwrap().succeeded().await;
    }
    // Nor does a success of the owner help the attacker.
    assert_eq!(fail(&limits, &live, OWNER, stranger(7)).await.0, 0);
    // Each has failures of its own, of this account alone.
    assert_eq!(
        fail(&limits, &live, OWNER, Source::KnownDevice(b"laptop"))
            .await
            .0,
        5
    );
    assert_eq!(
        fail(&limits, &live, OWNER, Source::Passkey(b"laptop"))
            .await
            .0,
        5
    );
    assert_eq!(
        fail(&limits, &live, OWNER, Source::KnownDevice(b"phone"))
            .await
            .0,
        5
    );
    let other = IdentityHash([2; 32]);
    assert_eq!(
        fail(&limits, &live, other, Source::KnownDevice(b"laptop"))
            .await
            .0,
        5
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_taken_back_has_not_failed() {
    let _time = time();
    let (limits, live) = (Limits::new(Config::default()), Memory::new(1000));
    for _ in 0..20 {
        let attempt = limits.begin(&live, OWNER, stranger(1)).await;
        attempt.unwrap().abandoned().await;
    }
    let second = Duration::from_secs(1);
    let failed = fail(&limits, &live, OWNER, stranger(1)).await;
    assert_eq!(failed, (5, second));
    tokio::time::advance(second).await;
    let attempt = limits.begin(&live, OWNER, stranger(1)).await;
    attempt.unwrap().abandoned().await;
    // Its turn is the next one's, and what failed before it stays.
    let failed = fail(&limits, &live, OWNER, stranger(1)).await;
    assert_eq!(failed, (1, second * 2));
}

#[tokio::test(start_paused = true)]
async fn a_device_without_proof_is_of_its_network_and_counts_for_itself() {
    let _time = time();
    let (limits, live) = (Limits::new(Config::default()), Memory::new(1000));
    let place = IpAddr::from([192, 0, 2, 1]);
    let claimed = |id| Source::ClaimedDevice(place, id);
    assert_eq!(fail(&limits, &live, OWNER, claimed(b"laptop")).await.0, 5);
    // Neither the device itself nor its network pays for that.
    for source in [
        Source::KnownDevice(b"laptop"),
        Source::Stranger(place),
        claimed(b"phone"),
        Source::ClaimedDevice(IpAddr::from([192, 0, 2, 2]), b"laptop"),
    ] {
        assert_eq!(fail(&limits, &live, OWNER, source).await.0, 5);
    }
    // It is blocked with its network.
    spray(&limits, &live, claimed(b"tablet")).await;
    assert!(limits.begin(&live, OWNER, claimed(b"watch")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_has_failed() {
    let _time = time();
    let (limits, live) = (Limits::new(Config::default()), Memory::new(1000));
    let mut open = Vec::new();
    while let Ok(attempt) = limits.begin(&live, OWNER, stranger(1)).await {
        open.push(attempt);
    }
    assert_eq!(open.len(), 5);
}

/// Fails at many accounts from one place; returns at how many it could.
async fn spray(limits: &Limits, live: &dyn Live, source: Source<'_>) -> usize {
    for number in 0..300_u16 {
        let mut account = [9; 32];
        account[..2].copy_from_slice(&number.to_be_bytes());
        match limits.begin(live, IdentityHash(account), source).await {
            Ok(attempt) => attempt.failed().await,
            Err(failure) => {
                assert_eq!(failure.retry_after, Some(Duration::from_mins(15)));
                return number.into();
            }
        }
    }
    300
}

#[tokio::test(start_paused = true)]
async fn a_network_that_fails_everywhere_is_blocked_for_a_while() {
    let _time = time();
    let config = Config {
        carriers: vec!["100.64.0.0/10".parse().unwrap()],
        v4_prefix: 24,
        ..Config::default()
    };
    let (limits, live) = (Limits::new(config), Memory::new(1000));
    assert_eq!(spray(&limits, &live, stranger(1)).await, 101);
    // Its neighbors are in the same network; others are not, and carriers never are.
    assert!(limits.begin(&live, OWNER, stranger(2)).await.is_err());
    let carrier = Source::Stranger(IpAddr::from([100, 64, 0, 1]));
    assert_eq!(spray(&limits, &live, carrier).await, 300);
    let v6 = |text: &str| Source::Stranger(text.parse().unwrap());
    assert_eq!(spray(&limits, &live, v6("2001:db8::1")).await, 101);
    assert!(
        limits
            .begin(&live, OWNER, v6("2001:db8::ffff:1"))
            .await
            .is_err()
    );
    assert!(
        limits
            .begin(&live, OWNER, v6("2001:db8:0:1::1"))
            .await
            .is_ok()
    );
    // A device that the account knows is let in from there.
    let device = Source::KnownDevice(b"laptop");
    assert!(limits.begin(&live, OWNER, device).await.is_ok());
    tokio::time::advance(Duration::from_mins(15)).await;
    assert!(limits.begin(&live, OWNER, stranger(2)).await.is_ok());
    // Failures decay, one in thirty seconds.
    assert_eq!(spray(&limits, &live, stranger(1)).await, 31);
}

#[tokio::test(start_paused = true)]
async fn rates_are_counted_by_what_and_who() {
    let _time = time();
    let config = Config {
        carriers: vec!["100.64.0.0/10".parse().unwrap()],
        ..Config::default()
    };
    let (limits, live) = (Limits::new(config), Memory::new(1000));
    let passes = async |what, who| {
        let mut passed = 0;
        while limits.check(&live, what, who).await.is_ok() {
            passed += 1;
        }
        passed
    };
    let address = |text: &str| Who::Address(text.parse().unwrap());
    let player = PlayerId(uuid::Uuid::from_u128(1));
    assert_eq!(passes(What::Register, address("192.0.2.1")).await, 5);
    assert_eq!(passes(What::Register, address("::ffff:192.0.2.1")).await, 0);
    assert_eq!(passes(What::Register, address("192.0.2.2")).await, 5);
    assert_eq!(passes(What::Login, address("192.0.2.1")).await, 10);
    assert_eq!(passes(What::Refresh, Who::Player(player)).await, 20);
    assert_eq!(passes(What::Reconnect, Who::Player(player)).await, 10);
    assert_eq!(passes(What::Validate, address("192.0.2.1")).await, 1000);
    assert_eq!(passes(What::Mail, Who::Identity(OWNER)).await, 3);
    assert_eq!(passes(What::Code, Who::Identity(OWNER)).await, 100);
    assert_eq!(passes(What::Return, address("192.0.2.1")).await, 60);
    assert_eq!(passes(What::Line, address("192.0.2.1")).await, 1);
    assert_eq!(passes(What::Register, address("2001:db8::1")).await, 5);
    assert_eq!(passes(What::Register, address("2001:db8::2")).await, 0);
    assert_eq!(passes(What::Register, address("100.64.0.1")).await, 500);
    let answer = limits.check(&live, What::Mail, Who::Identity(OWNER)).await;
    assert_eq!(retry_after(answer), Some(Duration::from_mins(5)));
    tokio::time::advance(Duration::from_mins(5)).await;
    assert_eq!(passes(What::Mail, Who::Identity(OWNER)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn replicas_count_together_what_each_alone_would_let_pass() {
    let _time = time();
    let live = Memory::new(1000);
    let replicas = [
        Limits::new(Config::default()),
        Limits::new(Config::default()),
    ];
    let who = Who::Identity(OWNER);
    let mut passed = 0;
    for turn in 0..20 {
        let replica = &replicas[turn % 2];
        passed += u32::from(replica.check(&live, What::Login, who).await.is_ok());
    }
    assert_eq!(passed, 10);
    assert_eq!(fail(&replicas[0], &live, OWNER, stranger(1)).await.0, 5);
    assert_eq!(fail(&replicas[1], &live, OWNER, stranger(1)).await.0, 0);
}

#[tokio::test]
async fn without_valkey_each_replica_decides_alone() {
    // Real time passes here, and must not be long enough for a turn.
    let mut config = Config::default();
    config.lockout.first = Duration::from_mins(15);
    let (limits, live) = (Limits::new(config.clone()), away());
    let who = Who::Identity(OWNER);
    for _ in 0..5 {
        limits.check(&live, What::Register, who).await.unwrap();
    }
    assert!(limits.check(&live, What::Register, who).await.is_err());
    assert_eq!(fail(&limits, &live, OWNER, stranger(1)).await.0, 5);
    // What was counted with Valkey counts without.
    let (limits, memory) = (Limits::new(config), Memory::new(1000));
    assert_eq!(fail(&limits, &memory, OWNER, stranger(2)).await.0, 5);
    assert_eq!(fail(&limits, &live, OWNER, stranger(2)).await.0, 0);
    // And what succeeded with Valkey is forgotten without.
    for attempt in 0..5 {
        let begun = limits.begin(&memory, OWNER, stranger(3)).await.unwrap();
        if attempt == 4 {
            begun.succeeded().await;
        }
    }
    assert_eq!(fail(&limits, &live, OWNER, stranger(3)).await.0, 5);
}
