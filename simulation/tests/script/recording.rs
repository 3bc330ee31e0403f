//! The match that is recorded for the tests: players come and go, and one loses its connection.

use simulation::arena::{Arena, Command};
use simulation::entity::PlayerSlot;
use simulation::replay::Recorder;
use simulation::rules::Phase;

use crate::script::{Script, config, team};

/// What is written where a server writes its build.
pub(crate) const BUILD: u64 = 0x0A12_3A00;
/// How long the match is.
pub(crate) const TICKS: u32 = 600;

/// Plays the match anew. Returns its log and the hash after every tick.
pub(crate) fn record(seed: u64) -> (Vec<u8>, Vec<u64>) {
    let mut arena = Arena::new(&config(seed, 16, 24));
    let mut recorder = Recorder::new(BUILD, &arena);
    let mut script = Script::new(seed, 16);
    let mut hashes = Vec::new();
    for tick in 0..TICKS {
        for command in commands(tick) {
            arena.apply(command).unwrap();
            recorder.command(command);
        }
        let inputs = script.inputs(&arena).clone();
        arena.step(&inputs);
        hashes.push(arena.hash());
        recorder.tick(&inputs, arena.hash());
    }
    assert_eq!(arena.course().phase(), Phase::Playing);
    (recorder.bytes().to_vec(), hashes)
}

/// What happens before a tick besides inputs.
fn commands(tick: u32) -> Vec<Command> {
    let slot = PlayerSlot(3);
    match tick {
        0 => (0..8)
            .map(PlayerSlot)
            .map(|slot| Command::Join {
                slot,
                team: team(slot.0),
            })
            .collect(),
        60 => vec![Command::Rewind { slot, ticks: 6 }],
        120 => vec![Command::Lost { slot, lost: true }],
        180 => vec![
            Command::Lost { slot, lost: false },
            Command::Join {
                slot: PlayerSlot(12),
                team: None,
            },
        ],
        300 => vec![Command::Leave { slot }],
        303 => vec![Command::Join { slot, team: None }],
        _ => Vec::new(),
    }
}
