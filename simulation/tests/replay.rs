//! A recorded match plays back to the same state in every tick, on every machine.
#![cfg(feature = "world")]
#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

use simulation::arena::Event;
use simulation::entity::{EntityId, MAX_PLAYERS};
use simulation::frame::WorldFrame;
use simulation::replay::{Divergence, Error, Playback, Step, replay};
use simulation::tick::Tick;

#[path = "script/crowd.rs"]
mod crowd;
#[path = "script/recording.rs"]
mod recording;
mod script;

use crowd::full;
use recording::{BUILD, TICKS, record};
use script::{Script, config};

const RECORDED: &[u8] = include_bytes!("data/match.log");

#[test]
fn the_recorded_match_plays_back_to_the_same_hashes() {
    let (arena, divergence) = replay(RECORDED).unwrap();
    assert_eq!(divergence, None);
    assert_eq!(arena.tick(), Tick(TICKS));
    assert_eq!(Playback::open(RECORDED).unwrap().header().build, BUILD);
}

#[test]
fn the_recorded_match_exercises_the_whole_simulation() {
    let mut playback = Playback::open(RECORDED).unwrap();
    let mut seen = [0; 5];
    while playback.step().unwrap() == Step::Same {
        for event in playback.arena().events() {
            let kind = match event {
                Event::Shot {
                    met: Some(EntityId(id)),
                    ..
                } if *id >= MAX_PLAYERS => 0,
                Event::Shot { .. } => 1,
                Event::Hit { .. } => 2,
                Event::Down { .. } => 3,
                Event::Spawned { .. } => 4,
                Event::Phase(_) => continue,
            };
            seen[kind] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn two_runs_give_equal_logs() {
    assert_eq!(record(11), record(11));
    assert_ne!(record(11).1, record(12).1);
}

#[test]
fn a_changed_input_diverges_and_is_found_in_its_tick() {
    let (log, hashes) = record(5);
    let mut other = log.clone();
    // The last eight bytes are the hash of the last tick.
    *other.last_mut().unwrap() ^= 1;
    let (_, divergence) = replay(&other).unwrap();
    let Divergence { tick, replayed, .. } = divergence.unwrap();
    assert_eq!((tick, Some(&replayed)), (Tick(TICKS), hashes.last()));
}

#[test]
fn a_damaged_log_is_an_error_and_never_a_panic() {
    let (log, _) = record(5);
    let short = &log[..log.len().min(3_000)];
    for length in (0..80).chain((80..short.len()).step_by(197)) {
        match replay(&short[..length]) {
            Err(Error::CutShort(_) | Error::Magic) | Ok((_, None)) => {}
            other => panic!("{length}: {:?}", other.err()),
        }
    }
    assert_eq!(replay(b"").err(), Some(Error::Magic));
    let mut other = log;
    // The hash of the level follows the magic and the build.
    other[16] ^= 1;
    assert!(matches!(replay(&other), Err(Error::OtherLevel { .. })));
}

#[test]
fn a_log_needs_few_bytes_per_player_and_tick() {
    let (log, _) = record(5);
    let per_player = log.len() / (8 * TICKS as usize);
    assert!(per_player <= 6, "{per_player} bytes");
}

#[test]
fn a_client_predicts_its_own_movement_exactly() {
    // What a client does: the same mover with its own inputs, from the last known state.
    let config = config(4, 32, 40);
    let mut arena = full(&config, 32);
    let mut script = Script::new(4, 32);
    let mut compared = 0;
    for _ in 0..400 {
        let before: Vec<_> = arena.players().copied().collect();
        let inputs = script.inputs(&arena).clone();
        arena.step(&inputs);
        for (before, after) in before.iter().zip(arena.players()) {
            let input = inputs.get(before.slot).unwrap_or_default();
            if before.is_up() && before.turns == after.turns {
                let predicted = simulation::mover::step(arena.level(), &before.motion, &input);
                assert_eq!(predicted, after.motion);
                compared += 1;
            }
        }
    }
    assert!(compared > 5_000, "{compared}");
}

#[test]
fn a_steady_tick_allocates_nothing_of_ours() {
    let mut arena = full(&config(9, 64, 0), 64);
    let mut script = Script::new(9, 64);
    let mut frame = WorldFrame::default();
    let mut allocations = 0;
    for tick in 0..240 {
        let inputs = script.inputs(&arena).clone();
        let measured = allocation_counter::measure(|| {
            arena.step(&inputs);
            arena.frame(&mut frame);
        });
        if tick >= 120 {
            allocations += measured.count_total;
        }
        assert_ne!(arena.hash(), 0);
    }
    assert_eq!(allocations, 0);
}
