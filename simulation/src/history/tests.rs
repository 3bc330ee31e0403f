use proptest::prelude::*;

use super::*;

const SLOT: PlayerSlot = PlayerSlot(1);

fn moment(tick: u32, fraction: u8) -> Moment {
    Moment {
        tick: Tick(tick),
        fraction,
    }
}

/// Someone who walks east by a meter per tick, in slot 1 of 4.
fn walker(ticks: std::ops::RangeInclusive<u8>) -> History {
    let mut history = History::new(4);
    for tick in ticks {
        history.start(Tick(tick.into()));
        history.record(SLOT, Vec3::new(tick.into(), 0.0, 2.0));
    }
    history
}

#[test]
fn a_position_lies_between_two_ticks() {
    let history = walker(1..=40);
    let east = |tick, fraction| {
        history
            .position(SLOT, moment(tick, fraction))
            .map(|at| at.x)
    };
    assert_eq!(east(30, 0), Some(30.0));
    assert_eq!(east(30, 64), Some(30.25));
    assert_eq!(east(40, 64), Some(40.0));
    assert_eq!(history.position(PlayerSlot(2), moment(30, 0)), None);
    assert_eq!(history.position(PlayerSlot(9), moment(30, 0)), None);
}

#[test]
fn whoever_is_gone_is_not_hit_where_they_were() {
    let mut history = walker(1..=10);
    history.forget(SLOT);
    assert!((1..=10).all(|tick| history.position(SLOT, moment(tick, 0)).is_none()));
}

#[test]
fn whoever_goes_down_stays_where_they_were_seen_last() {
    let mut history = walker(1..=10);
    history.start(Tick(11));
    assert_eq!(
        history.position(SLOT, moment(10, 200)).map(|at| at.x),
        Some(10.0)
    );
    assert_eq!(history.position(SLOT, moment(11, 0)), None);
}

proptest! {
    #[test]
    fn a_rewind_stays_within_its_bounds(now in 1..10_000_u32, tick: u32, fraction: u8, limit: u8) {
        let bounded = History::bound(Tick(now), moment(tick, fraction), limit);
        let back = Tick(now).since(bounded.tick);
        prop_assert!((1..=i64::from(REWIND_LIMIT).max(1)).contains(&back), "{back}");
        prop_assert!(back <= i64::from(limit).max(1));
        prop_assert!(back > 1 || bounded.fraction == 0);
    }

    #[test]
    fn the_nearest_crossing_is_the_nearest_circle(
        players in prop::collection::vec((-20.0..20.0_f32, -20.0..20.0_f32), 64),
        aim: u16,
        after in -1.0..10.0_f32,
    ) {
        let mut history = History::new(64);
        history.start(Tick(1));
        for (slot, (x, z)) in (0..).zip(&players) {
            history.record(PlayerSlot(slot), Vec3::new(*x, 0.0, *z));
        }
        let toward = crate::combat::direction(aim);
        let ray = Ray {
            origin: Vec3::Y,
            direction: Vec3::new(toward.x, 0.0, toward.y),
            length: 48.0,
        };
        let crossing = history.first_crossing(&ray, moment(1, 0), after, |slot| slot.0 % 2 == 0);
        // Small steps along the ray until one is in a circle.
        let step = 1.0 / 32.0;
        let brute = (0..1_536_u16)
            .map(|count| f32::from(count) * step)
            .filter(|distance| *distance > after + step)
            .find(|distance| {
                (0..64).step_by(2).any(|slot| {
                    let at = history.position(PlayerSlot(slot), moment(1, 0));
                    at.is_some_and(|at| (at.xz() - ray.at(*distance).xz()).length() < RADIUS - 1e-3)
                })
            });
        match (crossing, brute) {
            // A circle that `after` lies in was passed over; its inside is not a crossing.
            (Some(crossing), Some(brute)) => prop_assert!(
                crossing.distance <= brute + step || brute < after + 2.0 * RADIUS
            ),
            (None, Some(brute)) => prop_assert!(brute < after + 2.0 * RADIUS, "{brute}"),
            (_, None) => {}
        }
        if let Some(crossing) = crossing {
            let on = ray.at(crossing.distance).xz();
            prop_assert!((on - crossing.feet.xz()).length() <= RADIUS + 1e-2);
        }
    }
}
