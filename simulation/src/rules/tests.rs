use super::*;

const RULES: Rules = Rules {
    min_players: 2,
    wait_ticks: 10,
    countdown_ticks: 5,
    time_limit_ticks: 20,
    score_limit: 3,
    abandon_ticks: 4,
    respawn_ticks: Rules::SHORTEST_RESPAWN,
    late_join: true,
};

/// Runs a match in which `players(tick)` are there and `leading(tick)` is the highest score, and
/// tells when it goes on to what.
fn course(players: impl Fn(u32) -> u16, leading: impl Fn(u32) -> u16) -> Vec<(u32, Phase)> {
    let mut course = Course::new(Tick(0));
    (1..60)
        .filter_map(|tick| {
            let facts = Facts {
                tick: Tick(tick),
                players: players(tick),
                leading: leading(tick),
            };
            course.step(&RULES, &facts).map(|phase| (tick, phase))
        })
        .collect()
}

#[test]
fn a_match_starts_with_its_players_and_ends_with_its_time() {
    let ended = Phase::Ended(EndReason::TimeLimit);
    let expected = [(3, Phase::Countdown), (8, Phase::Playing), (28, ended)];
    assert_eq!(course(|tick| if tick < 3 { 1 } else { 2 }, |_| 0), expected);
}

#[test]
fn the_deadline_starts_it_with_whoever_is_there() {
    let ended = Phase::Ended(EndReason::TimeLimit);
    let expected = [(10, Phase::Countdown), (15, Phase::Playing), (35, ended)];
    assert_eq!(course(|_| 1, |_| 0), expected);
}

#[test]
fn the_deadline_ends_it_if_nobody_is_there() {
    let expected = [(10, Phase::Ended(EndReason::Abandoned))];
    assert_eq!(course(|_| 0, |_| 0), expected);
}

#[test]
fn a_countdown_without_players_is_called_off() {
    let players = |tick| if tick == 1 || tick > 4 { 2 } else { 0 };
    let phases: Vec<_> = course(players, |_| 0).into_iter().take(4).collect();
    let expected = [
        (1, Phase::Countdown),
        (2, Phase::WaitingForPlayers),
        (5, Phase::Countdown),
        (10, Phase::Playing),
    ];
    assert_eq!(phases, expected);
}

#[test]
fn the_score_ends_it() {
    let ended = Phase::Ended(EndReason::ScoreLimit);
    let expected = [(1, Phase::Countdown), (6, Phase::Playing), (9, ended)];
    assert_eq!(course(|_| 2, |tick| if tick < 9 { 2 } else { 3 }), expected);
}

#[test]
fn it_is_abandoned_only_if_they_stay_away() {
    let ended = Phase::Ended(EndReason::Abandoned);
    let start = [(1, Phase::Countdown), (6, Phase::Playing)];
    let players = |tick| u16::from(!(8..11).contains(&tick) && tick < 15) * 2;
    let expected: Vec<_> = start.into_iter().chain([(18, ended)]).collect();
    assert_eq!(course(players, |_| 0), expected);
}

#[test]
fn the_leader_is_a_player_or_the_sum_of_a_team() {
    let standing = |slot, team: Option<u8>, score| Standing {
        slot: PlayerSlot(slot),
        team: team.map(Team),
        score,
        downs: 0,
        left: false,
    };
    let of = |standings: &[Standing]| leader(standings.iter().copied());
    let team = [
        standing(0, Some(1), 2),
        standing(1, None, 3),
        standing(2, Some(1), 2),
    ];
    assert_eq!(of(&team), (4, Winner::Team(Team(1))));
    let player = [standing(0, Some(1), 2), standing(1, None, 3)];
    assert_eq!(of(&player), (3, Winner::Player(PlayerSlot(1))));
    let tie = [standing(0, None, 3), standing(1, None, 3)];
    assert_eq!(of(&tie), (3, Winner::Nobody));
    assert_eq!(of(&[standing(0, None, 0)]), (0, Winner::Nobody));
    let left = |standing| Standing {
        left: true,
        ..standing
    };
    let gone = [left(standing(0, None, 9)), standing(0, None, 1)];
    assert_eq!(of(&gone), (1, Winner::Player(PlayerSlot(0))));
    let tied = [left(standing(0, None, 1)), standing(1, None, 1)];
    assert_eq!(of(&tied), (1, Winner::Player(PlayerSlot(1))));
    let team = [left(standing(0, Some(1), 5)), standing(1, None, 3)];
    assert_eq!(of(&team), (5, Winner::Team(Team(1))));
}
