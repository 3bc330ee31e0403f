//! Nothing that comes over the wire makes a decoder panic: random bytes, damaged datagrams, and
//! the corpus of the fuzzer.

#![expect(clippy::unwrap_used, reason = "a failed test shall say where")]

mod crowd;

use std::path::Path;

use proptest::prelude::*;
use simulation::entity::PlayerSlot;
use simulation::inputs::InputPacket;
use simulation::interest::Detail;
use simulation::message::{Messages, decode_to_server};
use simulation::payload::{Probe, split};
use simulation::snapshot::event::{EncodedEvent, WireEvent};
use simulation::snapshot::{ClientView, Decoder, Encoder, Header, OwnState, Recipient, Space};

use crowd::Crowd;

/// Gives bytes to every decoder.
fn decode_all(decoder: &mut Decoder, messages: &mut Messages, bytes: &[u8]) {
    let mut events = Vec::new();
    let known = decoder.entities().count();
    if decoder.decode(bytes, &mut events).is_err() {
        assert!(events.is_empty());
        assert_eq!(decoder.entities().count(), known);
    }
    let _ = InputPacket::decode(bytes);
    let _ = decode_to_server(bytes);
    let _ = messages.decode_to_client(bytes);
    if let Some((_, rest)) = split(bytes) {
        let _ = Probe::decode(rest);
    }
}

/// The datagrams of a short match, without the payload kind.
fn datagrams(seed: u64) -> Vec<Vec<u8>> {
    let mut crowd = Crowd::new(24, 6, seed);
    let space = Space::new(24, 6);
    let mut encoder = Encoder::new(space);
    let mut view = ClientView::new(space);
    let mut decoder = Decoder::default();
    let mut out = [0; 1200];
    let mut datagrams = Vec::new();
    // The last but five has a hash, as the first has.
    for tick in 1..=70_u16 {
        let frame = crowd.step();
        encoder.publish(&frame);
        let event = WireEvent::Hit {
            by: PlayerSlot(tick),
            target: PlayerSlot(2),
            health: 3,
        };
        view.push_event(EncodedEvent::new(frame.tick, &event));
        let recipient = Recipient {
            own: Some(PlayerSlot(0)),
            center: (0.0, 0.0),
            radius: 30.0,
            always: &[],
            detail: Detail::Full,
            budget: 900,
            decompresses: true,
        };
        let header = Header {
            own: Some(OwnState::default()),
            ..Header::default()
        };
        let length = encoder
            .encode(&mut view, &recipient, &header, &mut out)
            .unwrap();
        datagrams.push(out[1..length].to_vec());
        decoder.decode(&out[1..length], &mut Vec::new()).unwrap();
        if tick > 3 {
            view.acknowledge(decoder.ack().unwrap());
        }
    }
    datagrams
}

proptest! {
    #[test]
    fn random_bytes_are_decoded_or_refused(
        all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8),
    ) {
        let (mut decoder, mut messages) = (Decoder::default(), Messages::default());
        for bytes in &all {
            decode_all(&mut decoder, &mut messages, bytes);
        }
    }

    #[test]
    fn damaged_datagrams_are_decoded_or_refused(
        seed in 0_u64..8,
        damage in prop::collection::vec((0_usize..70, any::<prop::sample::Index>(), 1_u8..), 1..60),
        cut in prop::option::of((0_usize..70, any::<prop::sample::Index>())),
    ) {
        let mut all = datagrams(seed);
        for (datagram, place, change) in damage {
            let length = all[datagram].len();
            all[datagram][place.index(length)] ^= change;
        }
        if let Some((datagram, place)) = cut {
            let length = all[datagram].len();
            all[datagram].truncate(place.index(length));
        }
        let (mut decoder, mut messages) = (Decoder::default(), Messages::default());
        for bytes in &all {
            decode_all(&mut decoder, &mut messages, bytes);
        }
    }
}

#[test]
fn the_corpus_is_decoded_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 8, "only {} files", paths.len());
    let (mut decoder, mut messages) = (Decoder::default(), Messages::default());
    for path in paths {
        decode_all(&mut decoder, &mut messages, &std::fs::read(path).unwrap());
    }
}

/// Names of files say what is in them; a change of the format must not make them lie.
#[cfg(feature = "compression")]
#[test]
fn the_notice_in_the_corpus_is_one() {
    let bytes = include_bytes!("corpus/message-notice-zstd");
    let message = Messages::default().decode_to_client(bytes).unwrap();
    let expected = simulation::message::ToClient::Notice("again ".repeat(500));
    assert_eq!(message, expected);
}
