//! What a snapshot costs: microseconds per client, for matches of several sizes in which each
//! client sees about 48 others.
//!
//! `cargo bench -p simulation --bench snapshot`

use std::io::Write;
use std::time::{Duration, Instant};

use simulation::entity::{EntityId, PlayerSlot};
use simulation::frame::{EntityFlags, EntityState, WorldFrame, quantize_ground};
use simulation::interest::Detail;
use simulation::seeded::Random;
use simulation::snapshot::{
    Ack, ClientView, DEFAULT_BUDGET, Encoder, Header, MAX_BUDGET, OwnState, Recipient, Space,
};
use simulation::tick::Tick;

const RADIUS: f32 = 48.0;
const VISIBLE: f32 = 48.0;
const TICKS: u32 = 600;
const WARM_UP: u32 = 100;

/// Players that run in straight lines and turn now and then, spread so that each sees 48 others.
struct Players {
    half: f32,
    places: Vec<(f32, f32)>,
    speeds: Vec<(f32, f32)>,
    random: Random,
}

impl Players {
    fn new(count: u16) -> Self {
        // As many in a circle of the view radius as shall be visible.
        let area = f32::from(count) / VISIBLE * std::f32::consts::PI * RADIUS * RADIUS;
        let half = area.sqrt() / 2.0;
        let mut random = Random::new(1);
        let mut coordinate = || (f32::from(random.below(2001)) / 1000.0 - 1.0) * half;
        let places = (0..count).map(|_| (coordinate(), coordinate())).collect();
        Self {
            half,
            places,
            speeds: vec![(0.0, 0.0); usize::from(count)],
            random,
        }
    }

    fn step(&mut self, frame: &mut WorldFrame) {
        frame.tick = frame.tick.next();
        frame.entities.clear();
        for (slot, (place, speed)) in (0..).zip(self.places.iter_mut().zip(&mut self.speeds)) {
            if self.random.below(40) == 0 {
                let mut part = || [-7.0, 0.0, 0.0, 7.0][usize::from(self.random.below(4))] / 60.0;
                *speed = (part(), part());
            }
            place.0 = (place.0 + speed.0).clamp(-self.half, self.half);
            place.1 = (place.1 + speed.1).clamp(-self.half, self.half);
            frame.entities.push(EntityState {
                id: EntityId(slot),
                x: quantize_ground(place.0),
                z: quantize_ground(place.1),
                y: 0,
                yaw: (slot + self.random.below(8)) % 1024,
                health: 100,
                flags: EntityFlags::GROUNDED,
            });
        }
    }
}

struct Measured {
    publish: Duration,
    encode: Duration,
    bytes: usize,
    visible: usize,
}

fn measure(count: u16) -> Measured {
    let mut players = Players::new(count);
    let space = Space::new(count, 0);
    let mut encoder = Encoder::new(space);
    let mut views: Vec<_> = (0..count).map(|_| ClientView::new(space)).collect();
    let mut frame = WorldFrame::default();
    let mut measured = Measured {
        publish: Duration::ZERO,
        encode: Duration::ZERO,
        bytes: 0,
        visible: 0,
    };
    let mut out = [0; MAX_BUDGET];
    for tick in 1..=WARM_UP + TICKS {
        players.step(&mut frame);
        let started = Instant::now();
        encoder.publish(&frame);
        let published = Instant::now();
        let mut bytes = 0;
        for (slot, view) in (0..).zip(&mut views) {
            // Connections from 2 to 9 ticks of round trip.
            let newest = Tick(tick).before(2 + u32::from(slot % 8));
            if newest.0 > 0 {
                let earlier = u32::MAX;
                view.acknowledge(Ack { newest, earlier });
            }
            let recipient = Recipient {
                own: Some(PlayerSlot(slot)),
                center: players.places[usize::from(slot)],
                radius: RADIUS,
                always: &[],
                detail: Detail::Full,
                budget: DEFAULT_BUDGET,
                decompresses: true,
            };
            let header = Header {
                own: Some(OwnState::default()),
                ..Header::default()
            };
            bytes += encoder
                .encode(view, &recipient, &header, &mut out)
                .unwrap_or(0);
        }
        if tick > WARM_UP {
            measured.publish += published - started;
            measured.encode += published.elapsed();
            measured.bytes += bytes;
        }
    }
    measured.visible = views
        .iter()
        .map(|view| {
            let known = |slot: &u16| view.knows(EntityId(*slot));
            (0..count).filter(known).count()
        })
        .sum();
    measured
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for count in [64, 250, 500, 1000] {
        let measured = measure(count);
        let encodes = f64::from(TICKS) * f64::from(count);
        writeln!(
            out,
            "{count:4} clients, {:4.1} visible: publish {:6.1} µs per tick, encode {:5.2} µs per client, {:5.1} B",
            measured.visible as f64 / f64::from(count),
            measured.publish.as_secs_f64() * 1e6 / f64::from(TICKS),
            measured.encode.as_secs_f64() * 1e6 / encodes,
            measured.bytes as f64 / encodes,
        )?;
    }
    Ok(())
}
