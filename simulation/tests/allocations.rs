//! In the steady state, encoding for every client of a match allocates nothing.

#![expect(clippy::unwrap_used, reason = "a failed test shall say where")]

mod crowd;

use simulation::entity::{EntityId, PlayerSlot};
use simulation::frame::WorldFrame;
use simulation::input::Input;
use simulation::inputs::{Arrival, InputBuffer, InputPacket};
use simulation::interest::Detail;
use simulation::snapshot::event::{EncodedEvent, WireEvent};
use simulation::snapshot::{
    Ack, ClientView, DEFAULT_BUDGET, Encoder, Header, MAX_BUDGET, Recipient, Space,
};
use simulation::tick::Tick;

use crowd::Crowd;

const CLIENTS: u16 = 64;

/// One tick of the server for all clients: inputs in, snapshots out.
fn serve(
    frame: &WorldFrame,
    encoder: &mut Encoder,
    clients: &mut [(ClientView, InputBuffer)],
) -> usize {
    let now = frame.tick;
    let mut bytes = 0;
    encoder.publish(frame);
    let event = EncodedEvent::new(
        now,
        &WireEvent::Spawned {
            slot: PlayerSlot(1),
        },
    );
    for (slot, (view, inputs)) in (0..).map(PlayerSlot).zip(clients) {
        // Every client is another number of ticks behind, and every seventh snapshot is lost.
        let newest = now.before(2 + u32::from(slot.0 % 12));
        if newest.0 > 0 && !newest.0.is_multiple_of(7) {
            let earlier = 0x7efd_fbf7;
            view.acknowledge(Ack { newest, earlier });
        }
        let mut packet = InputPacket::new(now.after(2), None);
        packet.push_older(Input::default());
        let arrival = Arrival {
            next: now,
            quarters: 2,
        };
        inputs.receive(&packet, arrival);
        inputs.take(now);
        if now.0.is_multiple_of(5) {
            view.push_event(event);
        }
        let center = frame.entities[usize::from(slot.0)].position();
        let recipient = Recipient {
            own: Some(slot),
            center: (center.x, center.z),
            radius: 48.0,
            always: &[EntityId(3), EntityId(9)],
            detail: Detail::Full,
            budget: if slot.0 % 2 == 0 { DEFAULT_BUDGET } else { 100 },
            decompresses: true,
        };
        let header = Header {
            input: inputs.executed(),
            margin: inputs.take_margin(now.next()),
            ..Header::default()
        };
        let mut out = [0; MAX_BUDGET];
        bytes += encoder.encode(view, &recipient, &header, &mut out).unwrap();
    }
    bytes
}

#[test]
fn a_steady_tick_for_64_clients_allocates_nothing() {
    let mut crowd = Crowd::new(CLIENTS, 40, 3);
    let space = Space::new(CLIENTS, 40);
    let mut encoder = Encoder::new(space);
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|_| (ClientView::new(space), InputBuffer::default()))
        .collect();
    let mut bytes = 0;
    for tick in 1..=600 {
        let frame = crowd.step();
        assert_eq!(frame.tick, Tick(tick));
        let measured = allocation_counter::measure(|| {
            bytes += serve(&frame, &mut encoder, &mut clients);
        });
        // The first keyframes make the compressor allocate its memory.
        if tick > 60 {
            assert_eq!(measured.count_total, 0, "in tick {tick}");
        }
    }
    assert!(bytes > 600 * 64 * 50);
}
