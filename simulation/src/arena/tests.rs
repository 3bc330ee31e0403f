use super::*;
use crate::combat::{DAMAGE, FIRE_TICKS};
use crate::input::Buttons;
use crate::rules::Winner;

const ONE: PlayerSlot = PlayerSlot(0);
const OTHER: PlayerSlot = PlayerSlot(1);

fn config() -> ArenaConfig {
    ArenaConfig {
        seed: 1,
        capacity: 8,
        props: 0,
        rules: Rules {
            countdown_ticks: 1,
            respawn_ticks: 40,
            score_limit: 2,
            ..Rules::default()
        },
    }
}

/// Two players on a free place, three meters from each other, in a match that is played.
fn duel(teams: [Option<Team>; 2]) -> Arena {
    let mut arena = Arena::new(&config());
    let start = arena.level.spawns()[0];
    for ((slot, team), east) in [ONE, OTHER].into_iter().zip(teams).zip([0.0, 3.0]) {
        arena.add_player(slot, team).unwrap();
        let place = start + Vec2::new(east - 1.5, 0.0);
        arena.player_mut(slot).unwrap().motion = MoveState::standing(place);
    }
    let nothing = Inputs::new(8);
    while arena.course.phase() != Phase::Playing {
        arena.step(&nothing);
    }
    arena
}

fn fire(arena: &Arena, slot: PlayerSlot, aim: u16) -> Inputs {
    let mut inputs = Inputs::new(8);
    let input = Input {
        aim,
        buttons: Buttons::FIRE,
        view: arena.tick().before(1),
        ..Input::default()
    };
    inputs.set(slot, Some(input));
    inputs
}

fn count(arena: &Arena, wanted: impl Fn(&Event) -> bool) -> usize {
    arena.events().iter().filter(|event| wanted(event)).count()
}

#[test]
fn shots_take_hit_points_at_the_cadence_of_the_server() {
    let mut arena = duel([None; 2]);
    let mut shots = 0;
    for _ in 0..3 * FIRE_TICKS {
        arena.step(&fire(&arena, ONE, 0));
        shots += count(&arena, |event| matches!(event, Event::Shot { .. }));
    }
    assert_eq!(shots, 3);
    assert_eq!(arena.player(OTHER).unwrap().health, FULL - 3 * DAMAGE);
}

const FULL: u8 = crate::combat::FULL_HEALTH;

#[test]
fn who_is_down_starts_again_after_a_while_and_the_score_ends_the_match() {
    let mut arena = duel([None; 2]);
    let mut downs = Vec::new();
    for _ in 0..400 {
        // The one keeps its aim on wherever the other is.
        let away = arena.player(OTHER).unwrap().motion.position
            - arena.player(ONE).unwrap().motion.position;
        let mut inputs = fire(&arena, ONE, 0);
        if away.length() > 4.0 {
            let place = arena.player(ONE).unwrap().motion.position.xz() + Vec2::new(3.0, 0.0);
            let other = arena.player_mut(OTHER).unwrap();
            other.motion = MoveState::standing(place);
            inputs.clear();
        }
        arena.step(&inputs);
        for event in arena.events() {
            match event {
                Event::Down { .. } => downs.push(arena.tick()),
                Event::Spawned { slot } => {
                    assert_eq!(
                        (*slot, downs.last().unwrap().after(40)),
                        (OTHER, arena.tick())
                    );
                    assert_eq!(arena.player(OTHER).unwrap().health, FULL);
                }
                _ => {}
            }
        }
    }
    assert_eq!(downs.len(), 2);
    let result = arena.result().unwrap();
    assert_eq!(result.reason, EndReason::ScoreLimit);
    assert_eq!(result.winner, Winner::Player(ONE));
    assert_eq!(result.duration_ticks, downs[1].0 - 2);
    let scores: Vec<_> = result
        .standings
        .iter()
        .map(|one| (one.slot, one.score, one.downs))
        .collect();
    assert_eq!(scores, [(ONE, 2, 0), (OTHER, 0, 2)]);
}

#[test]
fn two_who_bring_each_other_down_in_one_tick_both_score() {
    let mut arena = duel([None; 2]);
    for slot in [ONE, OTHER] {
        arena.player_mut(slot).unwrap().health = 1;
    }
    let mut inputs = fire(&arena, ONE, 0);
    inputs.set(OTHER, fire(&arena, OTHER, 0x8000).get(OTHER));
    arena.step(&inputs);
    assert_eq!(
        count(&arena, |event| matches!(event, Event::Down { .. })),
        2
    );
    assert!(
        arena
            .players()
            .all(|player| player.score == 1 && !player.is_up())
    );
}

#[test]
fn friends_cannot_be_hit() {
    let mut arena = duel([Some(Team(1)); 2]);
    arena.step(&fire(&arena, ONE, 0));
    assert_eq!(arena.player(OTHER).unwrap().health, FULL);
    assert_eq!(arena.player(ONE).unwrap().suspicion.shots, 1);
}

#[test]
fn a_shot_meets_the_past_as_far_as_it_may_be_rewound() {
    for (limit, health) in [(REWIND_LIMIT, FULL - DAMAGE), (2, FULL)] {
        let mut arena = duel([None; 2]);
        arena.set_rewind(ONE, limit).unwrap();
        let seen = arena.tick();
        // The other is elsewhere for eight ticks.
        let away = arena.level.spawns()[1];
        arena.player_mut(OTHER).unwrap().motion = MoveState::standing(away);
        for _ in 0..8 {
            arena.step(&Inputs::new(8));
        }
        let mut inputs = fire(&arena, ONE, 0);
        let input = inputs.get(ONE).unwrap();
        inputs.set(
            ONE,
            Some(Input {
                view: seen,
                ..input
            }),
        );
        arena.step(&inputs);
        assert_eq!(arena.player(OTHER).unwrap().health, health, "{limit}");
    }
}

#[test]
fn who_is_lost_stays_and_does_nothing() {
    let mut arena = duel([None; 2]);
    arena.set_lost(ONE, true).unwrap();
    let mut inputs = fire(&arena, ONE, 0);
    let input = inputs.get(ONE).unwrap();
    inputs.set(ONE, Some(Input { east: 127, ..input }));
    let before = arena.player(ONE).unwrap().motion;
    arena.step(&inputs);
    assert_eq!(arena.player(ONE).unwrap().motion, before);
    assert_eq!(
        count(&arena, |event| matches!(event, Event::Shot { .. })),
        0
    );
}

#[test]
fn commands_that_do_not_fit_change_nothing() {
    let mut arena = duel([None; 2]);
    let hash = arena.hash();
    let beyond = PlayerSlot(8);
    for (command, error) in [
        (
            Command::Join {
                slot: ONE,
                team: None,
            },
            Error::SlotTaken(ONE),
        ),
        (
            Command::Join {
                slot: beyond,
                team: None,
            },
            Error::NoSuchSlot(beyond),
        ),
        (
            Command::Leave {
                slot: PlayerSlot(5),
            },
            Error::SlotEmpty(PlayerSlot(5)),
        ),
        (
            Command::Lost {
                slot: beyond,
                lost: true,
            },
            Error::NoSuchSlot(beyond),
        ),
    ] {
        assert_eq!(arena.apply(command), Err(error));
    }
    assert_eq!(arena.hash(), hash);
}

#[test]
fn a_frame_is_in_the_order_of_ids_and_says_what_is_seen() {
    let mut arena = Arena::new(&ArenaConfig {
        props: 5,
        ..config()
    });
    for slot in [ONE, PlayerSlot(6), OTHER] {
        arena.add_player(slot, None).unwrap();
    }
    arena.step(&Inputs::new(8));
    let mut frame = WorldFrame::default();
    arena.frame(&mut frame);
    let ids: Vec<_> = frame.entities.iter().map(|entity| entity.id.0).collect();
    assert_eq!(ids, [0, 1, 6, 1_024, 1_025, 1_026, 1_027, 1_028]);
    let seen = frame.entities[0];
    let place = arena.player(ONE).unwrap().motion.position;
    assert!((seen.position() - place).length() < 0.02);
    assert_eq!((frame.tick, seen.health), (Tick(1), FULL));
}

#[test]
fn who_left_is_in_the_result_but_not_in_the_arena() {
    let mut arena = duel([None; 2]);
    arena.remove_player(ONE).unwrap();
    assert!(arena.player(ONE).is_none());
    let standings = arena.standings();
    assert!(
        standings
            .iter()
            .any(|standing| standing.slot == ONE && standing.left)
    );
}

#[test]
fn a_team_keeps_the_score_of_everybody_who_left() {
    let mut arena = duel([Some(Team(0)), Some(Team(1))]);
    let leaves = 3 * arena.config().capacity;
    for _ in 0..leaves {
        arena.player_mut(ONE).unwrap().score = 1;
        arena.remove_player(ONE).unwrap();
        arena.add_player(ONE, Some(Team(0))).unwrap();
    }
    assert!(arena.departed.len() <= usize::from(arena.config().capacity));
    let expected = (leaves, Winner::Team(Team(0)));
    assert_eq!(leader(arena.all_standings()), expected);
}

#[test]
fn it_says_how_long_it_was_played_before_and_after_its_end() {
    let mut arena = duel([None; 2]);
    let before = arena.played_ticks();
    arena.step(&Inputs::new(8));
    assert_eq!(arena.played_ticks(), before + 1);
    arena.finish(EndReason::TimeLimit);
    arena.step(&Inputs::new(8));
    assert_eq!(arena.played_ticks(), before + 1);
}

#[test]
fn a_player_pushes_props_and_is_not_slowed_by_them() {
    let mut arena = Arena::new(&ArenaConfig {
        props: 4,
        ..config()
    });
    arena.add_player(ONE, None).unwrap();
    let home = arena.props.centers()[0];
    let start = MoveState::standing(home.xz() - Vec2::new(1.5, 0.0));
    arena.player_mut(ONE).unwrap().motion = start;
    let input = Input {
        east: 127,
        ..Input::default()
    };
    let mut inputs = Inputs::new(8);
    inputs.set(ONE, Some(input));
    let mut predicted = start;
    for _ in 0..30 {
        arena.step(&inputs);
        predicted = crate::mover::step(&arena.level, &predicted, &input);
    }
    assert!(arena.props.centers()[0].x > home.x + 0.5);
    assert_eq!(arena.player(ONE).unwrap().motion, predicted);
}

#[test]
fn props_fall_asleep() {
    let mut arena = Arena::new(&ArenaConfig {
        props: 10,
        ..config()
    });
    for _ in 0..120 {
        arena.step(&Inputs::new(8));
    }
    assert_eq!(arena.awake_props(), 0);
}
