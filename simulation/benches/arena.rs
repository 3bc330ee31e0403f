//! What a tick costs: `cargo bench -p simulation --features world`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and may fail loudly"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use glam::Vec3;
use simulation::arena::Inputs;
use simulation::combat::{Scene, Shot};
use simulation::entity::PlayerSlot;
use simulation::history::{History, Moment};
use simulation::input::Input;
use simulation::level::{Level, Ray};
use simulation::mover::{self, MoveState};
use simulation::props::Props;
use simulation::seeded::Random;
use simulation::tick::Tick;

#[path = "../tests/script/crowd.rs"]
mod crowd;
#[path = "../tests/script/mod.rs"]
mod script;

fn main() {
    movers();
    rays();
    for players in [64, 250, 500] {
        ticks(players);
    }
    sleeping();
}

/// Measures `count` calls, after as many that warm up.
fn each(name: &str, count: u32, mut call: impl FnMut()) {
    for _ in 0..count {
        call();
    }
    let start = Instant::now();
    for _ in 0..count {
        call();
    }
    let each = start.elapsed() / count;
    println!("{name:<44} {:>9.3} µs", each.as_secs_f64() * 1e6);
}

fn movers() {
    let level = Level::generate(1, 500);
    let mut random = Random::new(1);
    let mut states: Vec<_> = level
        .spawns()
        .iter()
        .copied()
        .map(MoveState::standing)
        .collect();
    let mut inputs = vec![Input::default(); states.len()];
    let mut count = 0;
    each("mover, one player", 200_000, || {
        count = (count + 1) % states.len();
        if random.below(30) == 0 {
            let [east, north, ..] = random.bits().to_le_bytes();
            (inputs[count].east, inputs[count].north) = (east.cast_signed(), north.cast_signed());
        }
        states[count] = mover::step(&level, &states[count], &inputs[count]);
    });
}

fn rays() {
    let level = Level::generate(1, 256);
    let mut random = Random::new(1);
    let mut place = || {
        let mut on = || f32::from(random.below(40_000)) / 40_000.0 * 2.0 - 1.0;
        Vec3::new(on(), 0.0, on()) * level.half()
    };
    let mut history = History::new(256);
    for tick in 1..=16 {
        history.start(Tick(tick));
        for slot in 0..256 {
            history.record(PlayerSlot(slot), place());
        }
    }
    let places: Vec<_> = (0..256).map(|_| place()).collect();
    let scene = Scene {
        level: &level,
        history: &history,
        props: &places[..100],
    };
    let moment = Moment {
        tick: Tick(8),
        fraction: 100,
    };
    let mut aim = 0_u16;
    each("shot at 256 players and 100 props", 50_000, || {
        aim = aim.wrapping_add(977);
        let feet = places[usize::from(aim % 256)];
        black_box(scene.resolve(&Shot { feet, aim, moment }, |_| true));
    });
    each("ray of 48 m through the level", 100_000, || {
        aim = aim.wrapping_add(977);
        let toward = simulation::combat::direction(aim);
        black_box(level.cast(&Ray {
            origin: places[usize::from(aim % 256)] + Vec3::Y,
            direction: Vec3::new(toward.x, 0.0, toward.y),
            length: 48.0,
        }));
    });
}

/// Whole ticks of a match with 100 props, all players moving and shooting.
fn ticks(players: u16) {
    const TICKS: usize = 1_800;
    let mut arena = crowd::full(&script::config(3, players, 100), players);
    let mut script = script::Script::new(3, players);
    let mut recorded: Vec<Inputs> = Vec::new();
    let mut ahead = crowd::full(&script::config(3, players, 100), players);
    for _ in 0..TICKS {
        recorded.push(script.inputs(&ahead).clone());
        ahead.step(recorded.last().unwrap());
    }
    let mut frame = simulation::frame::WorldFrame::default();
    let mut times = Vec::new();
    let (mut awake, mut allocations) = (0, 0);
    for inputs in &recorded {
        let mut time = Duration::ZERO;
        let measured = allocation_counter::measure(|| {
            let start = Instant::now();
            arena.step(inputs);
            arena.frame(&mut frame);
            time = start.elapsed();
        });
        allocations += measured.count_total;
        awake += arena.awake_props();
        times.push(time);
    }
    times.sort();
    let at = |share: usize| times[(TICKS - 1) * share / 1_000].as_secs_f64() * 1e6;
    println!(
        "tick, {players} players: p50 {:.0}, p99 {:.0}, max {:.0} µs; {} props awake, \
         {:.2} allocations",
        at(500),
        at(990),
        at(1_000),
        awake / TICKS,
        f64::from(u32::try_from(allocations).unwrap_or(u32::MAX)) / 1_800.0,
    );
    each("  its hash", 500, || {
        black_box(arena.hash());
    });
}

/// Props alone: asleep, and after all were kicked.
fn sleeping() {
    let level = Level::generate(1, 500);
    let mut props = Props::new(&level, 500, 200);
    for _ in 0..300 {
        props.step();
    }
    each("200 props, all asleep, one step", 500, || props.step());
    for kicked in [false, true] {
        let mut allocations = 0;
        for tick in 0..120_u16 {
            if kicked && tick % 30 == 0 {
                for index in 0..200 {
                    props.kick(index, Vec3::new(0.6, 0.4, 0.7));
                }
            }
            allocations += allocation_counter::measure(|| props.step()).count_total;
        }
        println!(
            "  allocations per step: {:.2} with {} awake",
            f64::from(u32::try_from(allocations).unwrap_or(u32::MAX)) / 120.0,
            props.awake()
        );
    }
    each("200 props, kicked every 30 steps", 600, {
        let mut tick = 0;
        move || {
            tick += 1;
            if tick % 30 == 0 {
                for index in 0..200 {
                    props.kick(index, Vec3::new(-0.6, 0.4, 0.7));
                }
            }
            props.step();
        }
    });
}
