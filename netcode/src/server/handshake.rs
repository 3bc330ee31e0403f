//! From a request to a connection: request, challenge, response.
//!
//! Whoever asks may be anybody, so checks come in the order of their cost: length, prefix, version,
//! protocol and expiry from the bytes alone; then the network's rate, the token's tag in the
//! ledger, the rate of all; and only then the token is opened. A request that is repeated gets its
//! challenge again without opening anything.
//!
//! A token belongs to the first address that presents it, until the handshake lapses or a
//! connection spends it. The response must return the very challenge that was given to its address,
//! so a copied request and response are of no use elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use zeroize::Zeroizing;

use super::clients::{Client, Connection, Keys};
use super::ledger::{Tag, Use};
use super::{Event, Loss, LossReason, Server, keep_alive_body, seal_for};
use crate::aead::{PacketKey, TAG_BYTES};
use crate::counters::Refusal;
use crate::packet::{CHALLENGE_BYTES, Header, Kind, Request};
use crate::replay::ReplayWindow;
use crate::token::{Error, PrivateToken};
use crate::user_data::USER_DATA_BYTES;

/// The body of a challenge: its number and the challenge token.
const BODY_BYTES: usize = 8 + CHALLENGE_BYTES;

/// A client that has not answered its challenge yet.
pub(super) struct Pending {
    tag: Tag,
    client_id: u64,
    expires: u64,
    timeout_seconds: i32,
    keys: Keys,
    user_data: [u8; USER_DATA_BYTES],
    challenge: [u8; BODY_BYTES],
    deadline: Duration,
}

impl Server {
    /// A client presents its token.
    pub(super) fn receive_request<'packet>(
        &mut self,
        from: SocketAddr,
        packet: &'packet mut [u8],
    ) -> Result<Event<'packet>, Refusal> {
        let request = Request::read(packet)?;
        if request.protocol_id != self.config.protocol_id {
            return Err(Refusal::Protocol);
        }
        self.check_expiry(request.expires)?;
        let now = self.now.monotonic;
        if !self.prefixes.take(from, self.config.prefix_rate, now) {
            return Err(Refusal::PrefixRate);
        }
        match self.ledger.find(request.tag()) {
            Some(Use::Spent) => return Err(Refusal::TokenUsed),
            Some(Use::Presented(address)) if address == from => {
                return self.challenge(from, packet);
            }
            Some(Use::Presented(_)) => return Err(Refusal::TokenElsewhere),
            None => {}
        }
        if self.ledger.is_full() {
            return Err(Refusal::TokenTable);
        }
        let has_place = self.pending.contains_key(&from);
        if !has_place && self.pending.len() >= self.config.max_pending {
            return Err(Refusal::PendingTable);
        }
        if !self.total.take(self.config.total_rate, now) {
            return Err(Refusal::TotalRate);
        }
        let tag = *request.tag();
        let expires = request.expires;
        let token = self.open(&request)?;
        let keys = Keys {
            seal: PacketKey::new(&token.server_to_client).map_err(|_| Refusal::TokenForged)?,
            open: PacketKey::new(&token.client_to_server).map_err(|_| Refusal::TokenForged)?,
        };
        if let Err(refusal) = self.check_room(token.client_id, from, expires) {
            self.counters.refused.add(refusal);
            return self.deny(&keys.seal, packet);
        }
        let challenge = self.new_challenge(&token)?;
        let pending = Pending {
            tag,
            client_id: token.client_id,
            expires,
            timeout_seconds: token.timeout_seconds,
            keys,
            user_data: token.user_data,
            challenge,
            deadline: now + self.config.handshake_timeout,
        };
        if let Some(former) = self.pending.insert(from, Box::new(pending)) {
            self.ledger.withdraw(&former.tag);
        }
        self.ledger.present(tag, from);
        self.challenge(from, packet)
    }

    fn check_expiry(&self, expires: u64) -> Result<(), Refusal> {
        let now = self.now.unix_seconds;
        if expires <= now {
            return Err(Refusal::Expired);
        }
        if expires - now > self.config.longest_lifetime.as_secs() {
            return Err(Refusal::Lifetime);
        }
        if !self.ledger.knows_all_until(expires) {
            return Err(Refusal::Predates);
        }
        Ok(())
    }

    fn open(&self, request: &Request<'_>) -> Result<PrivateToken, Refusal> {
        let open = |key| {
            PrivateToken::open(
                request.private,
                request.protocol_id,
                request.expires,
                request.nonce,
                key,
            )
        };
        let opened = match (open(&self.config.key), &self.config.other_key) {
            (Err(Error::Forged), Some(other)) => open(other),
            (opened, _) => opened,
        };
        let token = opened.map_err(|_| Refusal::TokenForged)?;
        let addresses = &self.config.addresses;
        let is_ours = addresses.is_empty()
            || token
                .servers
                .iter()
                .all(|server| addresses.contains(server));
        if is_ours {
            Ok(token)
        } else {
            Err(Refusal::WrongServer)
        }
    }

    /// Whether this client may have a place, counting the places that it would take over.
    fn check_room(&self, client_id: u64, from: SocketAddr, expires: u64) -> Result<(), Refusal> {
        if !self.is_accepting {
            return Err(Refusal::Draining);
        }
        let same_id = self.clients.by_id(client_id);
        let same_address = self.clients.by_address(&from);
        let newer = |connection| {
            self.clients
                .get(connection)
                .is_some_and(|client| client.expires > expires)
        };
        if same_id.is_some_and(newer) {
            return Err(Refusal::OlderToken);
        }
        if self.clients.is_full() && same_id.is_none() && same_address.is_none() {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    /// Seals the challenge that this handshake will get, once or often.
    ///
    /// What it says is for us alone, and we compare it by its bytes; it is sealed as the standard
    /// has it, so that it tells the client nothing.
    fn new_challenge(&mut self, token: &PrivateToken) -> Result<[u8; BODY_BYTES], Refusal> {
        let sequence = self.challenge_sequence;
        self.challenge_sequence = sequence.checked_add(1).ok_or(Refusal::State)?;
        let mut body = [0; BODY_BYTES];
        body[..8].copy_from_slice(&sequence.to_le_bytes());
        seal_challenge(
            &self.challenge_key,
            sequence,
            token.client_id,
            &token.user_data,
            &mut body[8..],
        )
        .ok_or(Refusal::State)?;
        Ok(body)
    }

    /// Writes the challenge of the handshake with `from` over its request.
    fn challenge<'packet>(
        &mut self,
        from: SocketAddr,
        packet: &'packet mut [u8],
    ) -> Result<Event<'packet>, Refusal> {
        let sequence = self.next_global()?;
        let pending = self.pending.get(&from).ok_or(Refusal::UnknownAddress)?;
        let length = self
            .sealer
            .seal(
                &pending.keys.seal,
                Kind::Challenge,
                sequence,
                &pending.challenge,
                packet,
            )
            .ok_or(Refusal::Length)?;
        self.counters.challenged += 1;
        reply(packet, length)
    }

    /// Writes a denial over what asked for a place.
    fn deny<'packet>(
        &mut self,
        key: &PacketKey,
        packet: &'packet mut [u8],
    ) -> Result<Event<'packet>, Refusal> {
        let sequence = self.next_global()?;
        let length = self
            .sealer
            .seal(key, Kind::Denied, sequence, &[], packet)
            .ok_or(Refusal::Length)?;
        self.counters.denied += 1;
        reply(packet, length)
    }

    fn next_global(&mut self) -> Result<u64, Refusal> {
        let sequence = self.global_sequence;
        self.global_sequence = sequence.checked_add(1).ok_or(Refusal::State)?;
        Ok(sequence)
    }

    /// A client answers its challenge.
    pub(super) fn receive_response<'packet>(
        &mut self,
        from: SocketAddr,
        header: &Header,
        packet: &'packet mut [u8],
    ) -> Result<Event<'packet>, Refusal> {
        let pending = self.pending.get(&from).ok_or(Refusal::UnknownAddress)?;
        let body = self
            .sealer
            .open(&pending.keys.open, header, packet)
            .map_err(|_| Refusal::Forged)?;
        if *body != pending.challenge[..] {
            return Err(Refusal::Challenge);
        }
        let (client_id, expires) = (pending.client_id, pending.expires);
        if self.losses.len() > self.clients.slots() {
            return Err(Refusal::EventQueue);
        }
        let room = self.check_room(client_id, from, expires);
        let pending = self.pending.remove(&from).ok_or(Refusal::UnknownAddress)?;
        self.ledger.withdraw(&pending.tag);
        let is_spent = room.and_then(|()| {
            let is_spent = self.ledger.spend(pending.tag, expires);
            is_spent.then_some(()).ok_or(Refusal::TokenTable)
        });
        if let Err(refusal) = is_spent {
            self.counters.refused.add(refusal);
            return self.deny(&pending.keys.seal, packet);
        }
        let displaced = [
            self.clients.by_id(client_id),
            self.clients.by_address(&from),
        ];
        for connection in displaced.into_iter().flatten() {
            self.replace(connection, from);
        }
        self.connect(from, *pending, packet)
    }

    /// Gives a client that proved itself a slot, and writes its first keep-alive.
    fn connect<'packet>(
        &mut self,
        from: SocketAddr,
        pending: Pending,
        packet: &'packet mut [u8],
    ) -> Result<Event<'packet>, Refusal> {
        let now = self.now.monotonic;
        let client_id = pending.client_id;
        let connection = self
            .clients
            .insert(Client {
                id: client_id,
                address: from,
                timeout: timeout(pending.timeout_seconds, self.config.longest_timeout),
                keys: pending.keys,
                sequence: 0,
                replay: ReplayWindow::default(),
                last_received: now,
                last_sent: now,
                is_confirmed: false,
                expires: pending.expires,
                user_data: pending.user_data,
            })
            .ok_or(Refusal::Full)?;
        self.counters.connected += 1;
        let client = self.clients.get_mut(connection).ok_or(Refusal::Full)?;
        let body = keep_alive_body(connection, self.config.max_clients);
        let length = seal_for(&self.sealer, client, Kind::KeepAlive, &body, packet)
            .ok_or(Refusal::Length)?;
        Ok(Event::Connected {
            connection,
            client_id,
            reply: packet.get(..length).ok_or(Refusal::Length)?,
        })
    }

    /// Ends a connection whose place a client at `by` takes.
    fn replace(&mut self, connection: Connection, by: SocketAddr) {
        if let Some(client) = self.clients.remove(connection) {
            self.counters.replaced += 1;
            self.losses.push_back(Loss {
                connection,
                client_id: client.id,
                reason: LossReason::Replaced,
            });
            // At its own address nobody holds the old keys any more.
            if client.address != by {
                self.say_goodbye(*client);
            }
        }
    }

    /// Gives up the handshakes whose time is over.
    pub(super) fn lapse(&mut self) {
        let now = self.now.monotonic;
        let (ledger, counters) = (&mut self.ledger, &mut self.counters);
        self.pending.retain(|_, pending| {
            let is_alive = now < pending.deadline;
            if !is_alive {
                ledger.withdraw(&pending.tag);
                counters.lapsed += 1;
            }
            is_alive
        });
    }
}

fn reply(packet: &[u8], length: usize) -> Result<Event<'_>, Refusal> {
    packet
        .get(..length)
        .map(Event::Reply)
        .ok_or(Refusal::Length)
}

/// What a token asks for, within what the server allows; nobody may be silent for ever.
fn timeout(seconds: i32, longest: Duration) -> Duration {
    u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map_or(longest, |seconds| Duration::from_secs(seconds).min(longest))
}

/// Seals a challenge token: client id, user data and zeros.
pub(crate) fn seal_challenge(
    key: &PacketKey,
    sequence: u64,
    client_id: u64,
    user_data: &[u8; USER_DATA_BYTES],
    token: &mut [u8],
) -> Option<()> {
    let mut text = Zeroizing::new([0; CHALLENGE_BYTES - TAG_BYTES]);
    text[..8].copy_from_slice(&client_id.to_le_bytes());
    text[8..8 + USER_DATA_BYTES].copy_from_slice(user_data);
    let token = token.get_mut(..CHALLENGE_BYTES)?;
    token[..text.len()].copy_from_slice(text.as_slice());
    key.seal(sequence, &[], token).ok()
}
