use super::*;

fn moment(tick: u32, fraction: u8) -> Moment {
    Moment {
        tick: Tick(tick),
        fraction,
    }
}

#[test]
fn an_input_is_put_in_range() {
    let wild = Input {
        east: -128,
        north: -128,
        buttons: Buttons(0xFF),
        ..Input::default()
    };
    let tame = in_range(wild);
    assert_eq!((tame.east, tame.north, tame.buttons.0), (-127, -127, 7));
    assert_eq!(in_range(tame), tame);
}

#[test]
fn a_turn_is_the_shorter_way_round() {
    for (from, to, expected) in [
        (0, 100, 100),
        (100, 0, 100),
        (65_500, 36, 72),
        (0, 0x8000, 0x8000),
        (0x4000, 0xC001, 0x7FFF),
    ] {
        assert_eq!(turn(from, to), expected, "{from} to {to}");
    }
}

#[test]
fn a_view_never_goes_backward_nor_into_the_future() {
    let mut suspicion = Suspicion::default();
    let mut view = |last, claim| suspicion.view(Tick(100), last, claim);
    assert_eq!(view(moment(90, 10), moment(91, 5)), moment(91, 5));
    assert_eq!(view(moment(91, 5), moment(91, 4)), moment(91, 5));
    assert_eq!(view(moment(91, 5), moment(99, 1)), moment(99, 0));
    assert_eq!(suspicion.wrong_views, 2);
}

#[test]
fn snaps_onto_the_middle_raise_the_score_and_wide_shots_do_not() {
    let mut suspicion = Suspicion::default();
    suspicion.observe_shot(Some(0.0), SNAP + 1);
    suspicion.observe_shot(Some(0.3), SNAP + 1);
    suspicion.observe_shot(Some(0.0), SNAP);
    suspicion.observe_shot(None, u16::MAX);
    assert_eq!((suspicion.shots, suspicion.hits), (4, 3));
    assert_eq!((suspicion.snaps, suspicion.score), (1, 10));
}

#[test]
fn the_score_is_forgotten_with_time() {
    let mut suspicion = Suspicion::default();
    suspicion.observe(Tick(1), SPIN + 1, false);
    assert_eq!(suspicion.score, 3);
    for tick in 2..=TICK_RATE * 3 {
        suspicion.observe(Tick(tick), 0, true);
    }
    assert_eq!(
        (suspicion.score, suspicion.spins, suspicion.out_of_range),
        (0, 1, 1)
    );
}
