//! How large snapshots are, against the reference's 496 bytes for 64 entities that all move.

#![expect(clippy::unwrap_used, reason = "a failed test shall say where")]

mod crowd;

use simulation::entity::PlayerSlot;
use simulation::interest::Detail;
use simulation::snapshot::{
    Ack, ClientView, DEFAULT_BUDGET, Decoder, Encoder, Header, MAX_BUDGET, OwnState, Recipient,
    Space,
};
use simulation::tick::Tick;

use crowd::Crowd;

const CENTER: (f32, f32) = (0.0, 0.0);

const HEADER: Header = Header {
    tick: Tick(0),
    input: Some(Tick(1)),
    margin: 4,
    clock: simulation::snapshot::MatchClock {
        phase: 2,
        seconds: 100,
    },
    own: None,
};

/// The mean length of snapshots of a crowd, acknowledged after `delay` ticks, every `every`-th.
fn mean(players: u16, delay: u32, every: u32, detail: Detail) -> f64 {
    let mut crowd = Crowd::new(players, 0, 5);
    let space = Space::new(players, 0);
    let mut encoder = Encoder::new(space);
    let mut view = ClientView::new(space);
    let (mut sum, mut count) = (0, 0_u32);
    for now in 1..=1200 {
        encoder.publish(&crowd.step());
        let recipient = Recipient {
            own: Some(PlayerSlot(0)),
            center: CENTER,
            radius: 100.0,
            always: &[],
            detail,
            budget: MAX_BUDGET,
            decompresses: true,
        };
        let header = Header {
            own: Some(OwnState::default()),
            ..HEADER
        };
        let mut out = [0; MAX_BUDGET];
        let length = encoder
            .encode(&mut view, &recipient, &header, &mut out)
            .unwrap();
        if now > delay && (now - delay).is_multiple_of(every) {
            let newest = Tick(now - delay);
            let earlier = if every == 1 { u32::MAX } else { 0 };
            view.acknowledge(Ack { newest, earlier });
        }
        if now > 100 {
            sum += length;
            count += 1;
        }
    }
    f64::from(u32::try_from(sum).unwrap()) / f64::from(count)
}

#[test]
fn a_full_view_is_far_below_the_budget() {
    for (players, most) in [(16, 120.0), (33, 180.0), (64, 300.0)] {
        let length = mean(players, 6, 1, Detail::Full);
        println!("{players} players, 100 ms: {length:.0} bytes");
        assert!(length < most, "{players} players: {length} bytes");
    }
    for delay in [2, 4, 9, 15] {
        let length = mean(64, delay, 1, Detail::Full);
        println!("64 players, {delay} ticks: {length:.0} bytes");
        assert!(length < 400.0, "{delay} ticks: {length} bytes");
    }
    let plain = mean(64, 6, 5, Detail::Full);
    println!("64 players, hardly any prediction: {plain:.0} bytes");
    assert!(plain < 496.0);
    let minimal = mean(64, 6, 1, Detail::Minimal);
    println!("64 players, minimal detail: {minimal:.0} bytes");
    assert!(minimal < mean(64, 6, 1, Detail::Full));
}

#[test]
fn a_keyframe_of_64_entities_is_one_datagram() {
    let mut crowd = Crowd::new(64, 0, 5);
    let space = Space::new(64, 0);
    let mut encoder = Encoder::new(space);
    let mut frame = crowd.step();
    for _ in 0..200 {
        frame = crowd.step();
    }
    encoder.publish(&frame);
    for decompresses in [true, false] {
        let recipient = Recipient {
            own: None,
            center: CENTER,
            radius: 100.0,
            always: &[],
            detail: Detail::Full,
            budget: DEFAULT_BUDGET,
            decompresses,
        };
        let mut out = [0; MAX_BUDGET];
        let length = encoder
            .encode(&mut ClientView::new(space), &recipient, &HEADER, &mut out)
            .unwrap();
        println!("keyframe of 64, zstd {decompresses}: {length} bytes");
        let mut decoder = Decoder::default();
        decoder.decode(&out[1..length], &mut Vec::new()).unwrap();
        assert_eq!(decoder.entities().count(), 64);
    }
}

#[test]
fn a_budget_too_small_for_all_serves_each_in_turn() {
    let mut crowd = Crowd::new(64, 0, 5);
    let space = Space::new(64, 0);
    let mut encoder = Encoder::new(space);
    let mut view = ClientView::new(space);
    let mut decoder = Decoder::default();
    for now in 1..=400 {
        encoder.publish(&crowd.step());
        let recipient = Recipient {
            own: None,
            center: CENTER,
            radius: 100.0,
            always: &[],
            detail: Detail::Full,
            budget: 120,
            decompresses: true,
        };
        let mut out = [0; MAX_BUDGET];
        let length = encoder
            .encode(&mut view, &recipient, &HEADER, &mut out)
            .unwrap();
        assert!(length <= 120);
        decoder.decode(&out[1..length], &mut Vec::new()).unwrap();
        view.acknowledge(decoder.ack().unwrap());
        if now > 100 {
            assert_eq!(decoder.entities().count(), 64);
        }
        for (state, tick) in decoder.entities() {
            // What is older has not changed since, or not until lately.
            let lately = Tick(now).before(40);
            let then = encoder.frames().get(lately, state.id.0);
            assert!(
                tick > lately || then == Some(state),
                "{state:?} of {tick:?}"
            );
        }
    }
}
