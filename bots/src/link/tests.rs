//! Tests of the simulated link.

use proptest::prelude::*;

use super::*;

const STEP: Duration = Duration::from_millis(10);

/// Sends numbered packets, one per step, and returns what came with the time.
fn run(config: LinkConfig, seed: u64, packets: u32) -> (Vec<(Duration, u32)>, LinkCounters) {
    let mut link = Link::new(config, seed);
    let mut came = Vec::new();
    for number in 0..packets + 1_000 {
        let now = STEP * number;
        if number < packets {
            let mut bytes = vec![0; 100];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            link.send(now, &bytes, false);
        }
        while let Some(bytes) = link.receive(now) {
            came.push((now, u32::from_le_bytes(bytes[..4].try_into().unwrap())));
        }
    }
    assert_eq!(link.next_due(), None);
    (came, link.counters())
}

#[test]
fn a_clean_link_delivers_at_once_and_in_order() {
    let (came, counters) = run(LinkConfig::CLEAN, 1, 50);
    let wanted: Vec<_> = (0..50).map(|number| (STEP * number, number)).collect();
    assert_eq!(came, wanted);
    assert_eq!(counters.sent, 50);
}

#[test]
fn jitter_stays_above_the_least_delay_and_has_the_asked_deviation() {
    let config = LinkConfig {
        delay: Duration::from_millis(50),
        jitter: Duration::from_millis(10),
        ..LinkConfig::CLEAN
    };
    let mut link = Link::new(config, 7);
    let mut delays = Vec::new();
    for number in 0..20_000 {
        let now = Duration::from_secs(number);
        link.send(now, &[0], false);
        let due = link.next_due().unwrap();
        link.receive(due).unwrap();
        delays.push(due.checked_sub(now).unwrap().as_secs_f64() * 1_000.0);
    }
    let mean = delays.iter().sum::<f64>() / 20_000.0;
    let variance = delays
        .iter()
        .map(|delay| (delay - mean).powi(2))
        .sum::<f64>()
        / 20_000.0;
    assert!(delays.iter().all(|delay| (50.0..=110.0).contains(delay)));
    assert!((79.0..81.0).contains(&mean), "{mean}");
    assert!((9.5..10.5).contains(&variance.sqrt()), "{variance}");
}

#[test]
fn losses_come_in_bursts_of_the_asked_length_and_share() {
    let config = LinkConfig {
        loss: Loss::bursts(0.03, 4.0),
        ..LinkConfig::CLEAN
    };
    let (came, counters) = run(config, 3, 100_000);
    let lost = counters.lost;
    assert_eq!(came.len() as u64 + lost, 100_000);
    assert!((2_600..3_400).contains(&lost), "{lost}");
    let bursts = came
        .windows(2)
        .filter(|pair| pair[1].1 - pair[0].1 > 1)
        .count() as u64;
    // Four packets on average.
    assert!(
        (lost * 10 / 44..lost * 10 / 36).contains(&bursts),
        "{bursts}"
    );
}

#[test]
fn a_rate_is_held_and_what_waits_is_bounded() {
    let config = LinkConfig {
        rate: 800_000,
        ..LinkConfig::CLEAN
    };
    let mut link = Link::new(config, 1);
    for _ in 0..1_000 {
        link.send(Duration::ZERO, &[0; 1_000], false);
    }
    assert_eq!(link.counters().overflowed, 1_000 - 262);
    // 1,000 bytes take 10 ms.
    assert_eq!(link.next_due(), Some(Duration::from_millis(10)));
    let in_a_second = (0..)
        .map_while(|_| link.receive(Duration::from_secs(1)))
        .count();
    assert_eq!(in_a_second, 100);
}

#[test]
fn blackouts_and_large_packets_are_counted_apart() {
    let mut link = Link::new(LinkConfig::CLEAN, 1);
    link.send(Duration::ZERO, &[0; 100], true);
    link.send(Duration::ZERO, &[0; 1_501], false);
    assert_eq!(link.next_due(), None);
    assert_eq!(
        link.counters(),
        LinkCounters {
            sent: 2,
            lost: 1,
            blacked_out: 1,
            ..LinkCounters::default()
        }
    );
}

#[test]
fn spikes_come_and_go() {
    let config = LinkConfig {
        spikes: Some(Spikes {
            every: Duration::from_secs(5),
            length: Duration::from_millis(300),
            delay: Duration::from_millis(200),
        }),
        ..LinkConfig::CLEAN
    };
    let mut link = Link::new(config, 1);
    for (sent, due) in [
        (0, 200),
        (299, 499),
        (300, 300),
        (4_999, 4_999),
        (5_000, 5_200),
    ] {
        link.send(Duration::from_millis(sent), &[0], false);
        assert_eq!(link.next_due(), Some(Duration::from_millis(due)));
        link.receive(Duration::from_millis(due)).unwrap();
    }
}

proptest! {
    #[test]
    fn nothing_is_made_up_and_equal_seeds_give_equal_fates(
        seed: u64,
        lost in 0.0..0.5_f64,
        duplicated in 0.0..0.5_f64,
        reordered in 0.0..0.5_f64,
    ) {
        let config = LinkConfig {
            delay: Duration::from_millis(30),
            jitter: Duration::from_millis(5),
            loss: Loss::even(lost),
            duplicated,
            reordered,
            ..LinkConfig::CLEAN
        };
        let (came, counters) = run(config, seed, 200);
        prop_assert_eq!(
            came.len() as u64,
            counters.sent - counters.lost + counters.duplicated
        );
        prop_assert!(came.iter().all(|(at, number)| *at >= STEP * *number + config.delay / 2));
        prop_assert_eq!(run(config, seed, 200).0, came);
    }
}
