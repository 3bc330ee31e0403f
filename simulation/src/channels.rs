//! The reliable channel of a client, by the channels of `renet`.
//!
//! They are called a few times per second and not in every tick: they allocate, and answer every
//! packet with one of their own, acknowledgments included. So nothing is asked of them unless a
//! message is on its way in either direction, and a steady tick costs nothing here.
//!
//! What clients send is checked before `renet` sees it. Its version 2.0.1 indexes an array by the
//! number of a slice without looking at its range, and remembers any number of empty messages: a
//! player could end the process of everybody. Messages of clients are short, so nothing but short
//! messages and acknowledgments passes.

use std::time::Duration;

use crate::payload::Kind;
use renet::{ChannelConfig, ConnectionConfig, RenetClient, SendType};

/// The one channel: ordered and reliable.
const CHANNEL: u8 = 0;

/// Bytes that wait for one client, or from it, before it counts as broken.
const MEMORY: usize = 256 * 1024;

/// Time after which a message that was not acknowledged is sent again.
const RESEND: Duration = Duration::from_millis(100);

/// Bytes sent to one client at once.
const BURST: u64 = 8 * 1024;

/// Messages of a client that may wait for an earlier one.
const AHEAD: u64 = 64;

/// The kinds of renet's packets that a client has reason to send.
const SMALL: u8 = 0;
const ACK: u8 = 4;

/// What `renet` calls a connection. Server and clients use the same one.
pub fn config() -> ConnectionConfig {
    let channels = vec![ChannelConfig {
        channel_id: CHANNEL,
        max_memory_usage_bytes: MEMORY,
        send_type: SendType::ReliableOrdered {
            resend_time: RESEND,
        },
    }];
    ConnectionConfig {
        available_bytes_per_tick: BURST,
        server_channels_config: channels.clone(),
        client_channels_config: channels,
    }
}

/// A client sent bytes that no client of ours sends, or reads too slowly. It has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reliable channel is broken")]
pub struct Broken;

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It trusts nobody.
    Server,
    /// It trusts its server, which also sends long messages in slices.
    Client,
}

/// One end of the reliable channel of a connection.
#[derive(Debug)]
pub struct Channels {
    side: Side,
    renet: RenetClient,
    /// Messages taken out so far: the number of the next one.
    received: u64,
    /// When it was last told the time.
    updated: Duration,
    /// Whether there is something to acknowledge.
    owes_ack: bool,
}

impl Channels {
    /// One end of a new connection.
    pub fn new(side: Side, now: Duration) -> Self {
        let mut renet = RenetClient::new(config());
        renet.set_connected();
        Self {
            side,
            renet,
            received: 0,
            updated: now,
            owes_ack: false,
        }
    }

    /// Queues a message.
    pub fn send(&mut self, message: Vec<u8>) -> Result<(), Broken> {
        self.renet.send_message(CHANNEL, message);
        self.check()
    }

    /// Takes in what followed the kind of a payload.
    pub fn receive(&mut self, now: Duration, packet: &[u8]) -> Result<(), Broken> {
        let is_good = self.side == Side::Client || is_of_client(packet, self.received);
        if !is_good {
            return Err(Broken);
        }
        self.update(now);
        self.renet.process_packet(packet);
        // Acknowledgments are not acknowledged, or two ends would never be quiet.
        self.owes_ack |= packet.first() != Some(&ACK);
        self.check()
    }

    /// The next message, in order.
    pub fn take_message(&mut self) -> Option<renet::Bytes> {
        let message = self.renet.receive_message(CHANNEL)?;
        self.received += 1;
        Some(message)
    }

    /// Whether anything is on its way: a message, or an acknowledgment.
    pub fn is_busy(&self) -> bool {
        self.owes_ack || self.renet.channel_available_memory(CHANNEL) < MEMORY
    }

    /// Hands the payloads that are due to `send`, with their kind.
    pub fn flush(&mut self, now: Duration, mut send: impl FnMut(&[u8])) -> Result<(), Broken> {
        if !self.is_busy() {
            return Ok(());
        }
        self.update(now);
        self.owes_ack = false;
        let mut payload = Vec::new();
        for packet in self.renet.get_packets_to_send() {
            payload.clear();
            payload.push(Kind::Channels.byte());
            payload.extend_from_slice(&packet);
            send(&payload);
        }
        self.check()
    }

    fn update(&mut self, now: Duration) {
        self.renet.update(now.saturating_sub(self.updated));
        self.updated = self.updated.max(now);
    }

    fn check(&self) -> Result<(), Broken> {
        if self.renet.is_disconnected() {
            Err(Broken)
        } else {
            Ok(())
        }
    }
}

/// Whether a packet is one that clients send: short messages that are not empty and follow the
/// `received` ones closely, or acknowledgments.
fn is_of_client(packet: &[u8], received: u64) -> bool {
    match packet.split_first() {
        Some((&ACK, _)) => true,
        Some((&SMALL, rest)) => are_short_messages(Reader(rest), received) == Some(true),
        Some(_) | None => false,
    }
}

fn are_short_messages(mut reader: Reader<'_>, received: u64) -> Option<bool> {
    let _sequence = reader.varint()?;
    let is_ours = reader.byte()? == CHANNEL;
    let count = u16::from_be_bytes([reader.byte()?, reader.byte()?]);
    for _ in 0..count {
        let number = reader.varint()?;
        let length = usize::try_from(reader.varint()?).ok()?;
        if length == 0 || number >= received + AHEAD {
            return None;
        }
        reader.0 = reader.0.get(length..)?;
    }
    Some(is_ours)
}

struct Reader<'packet>(&'packet [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number of 1, 2, 4 or 8 bytes, whose first two bits say how many, as QUIC writes them.
    fn varint(&mut self) -> Option<u64> {
        let first = self.byte()?;
        let mut value = u64::from(first & 0x3f);
        for _ in 1..1_u32 << (first >> 6) {
            value = value << 8 | u64::from(self.byte()?);
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Carries everything that is due from one end to the other. Returns how many payloads.
    fn carry(now: Duration, from: &mut Channels, to: &mut Channels) -> usize {
        let mut payloads = Vec::new();
        from.flush(now, |payload| payloads.push(payload.to_vec()))
            .unwrap();
        for payload in &payloads {
            assert_eq!(payload[0], Kind::Channels.byte());
            to.receive(now, &payload[1..]).unwrap();
        }
        payloads.len()
    }

    #[test]
    fn messages_arrive_in_order_and_then_it_is_quiet() {
        let mut ends = [Side::Server, Side::Client].map(|side| Channels::new(side, Duration::ZERO));
        let [server, client] = &mut ends;
        server.send(vec![1; 40]).unwrap();
        server.send(vec![2; 900]).unwrap();
        client.send(vec![3]).unwrap();
        let mut now = Duration::ZERO;
        for _ in 0..4 {
            now += Duration::from_millis(66);
            carry(now, server, client);
            carry(now, client, server);
        }
        assert_eq!(client.take_message().unwrap().len(), 40);
        assert_eq!(client.take_message().unwrap().len(), 900);
        assert_eq!(client.take_message(), None);
        assert_eq!(server.take_message().unwrap().as_ref(), [3]);
        assert!(!server.is_busy() && !client.is_busy());
        assert_eq!(carry(now, server, client), 0);
    }

    #[test]
    fn a_lost_message_is_sent_again() {
        let [mut server, mut client] =
            [Side::Server, Side::Client].map(|side| Channels::new(side, Duration::ZERO));
        server.send(vec![7; 10]).unwrap();
        server.flush(Duration::ZERO, |_| {}).unwrap();
        assert_eq!(
            carry(Duration::from_millis(50), &mut server, &mut client),
            0
        );
        assert_eq!(
            carry(Duration::from_millis(150), &mut server, &mut client),
            1
        );
        assert_eq!(client.take_message().unwrap().len(), 10);
    }

    /// A slice that is not among its message's slices: `renet` would panic.
    #[test]
    fn a_slice_out_of_range_is_refused_before_it_does_harm() {
        let mut slice = vec![2, 0, CHANNEL, 0, 9, 2, 0x44, 0xb0];
        slice.extend_from_slice(&[0; 1200]);
        let mut server = Channels::new(Side::Server, Duration::ZERO);
        assert_eq!(server.receive(Duration::ZERO, &slice), Err(Broken));
    }

    #[test]
    fn empty_messages_and_messages_far_ahead_are_refused() {
        let mut server = Channels::new(Side::Server, Duration::ZERO);
        let empty = [SMALL, 0, CHANNEL, 0, 1, 5, 0];
        assert_eq!(server.receive(Duration::ZERO, &empty), Err(Broken));
        let ahead = [SMALL, 0, CHANNEL, 0, 1, 0x40, 64, 1, 9];
        assert_eq!(server.receive(Duration::ZERO, &ahead), Err(Broken));
        let good = [SMALL, 0, CHANNEL, 0, 1, 0x40, 63, 1, 9];
        assert_eq!(server.receive(Duration::ZERO, &good), Ok(()));
    }

    #[test]
    fn a_client_that_does_not_read_is_broken_in_the_end() {
        let mut server = Channels::new(Side::Server, Duration::ZERO);
        let sent = (0..1000).take_while(|_| server.send(vec![0; 1000]).is_ok());
        assert_eq!(sent.count(), MEMORY / 1000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..20),
            kinds in prop::collection::vec(0_u8..6, 20),
        ) {
            let mut server = Channels::new(Side::Server, Duration::ZERO);
            server.send(vec![1; 3000]).unwrap();
            for (packet, kind) in packets.iter().zip(kinds) {
                let mut packet = packet.clone();
                packet.insert(0, kind);
                let mut sent = 0;
                if server.receive(Duration::ZERO, &packet).is_err() {
                    break;
                }
                while server.take_message().is_some() {}
                server.flush(Duration::ZERO, |_| sent += 1).unwrap();
            }
        }
    }
}
