//! What goes out to the clients of a match: snapshots in every tick, reliable messages now and
//! then.

use netcode::{Now, RandomSource};
use simulation::arena::{ArenaConfig, Life, Player};
use simulation::level::VIEW_RADIUS;
use simulation::message::{Member, ToClient, Token, Welcome};
use simulation::snapshot::{Header, MatchClock, OwnState, Recipient};
use simulation::tick::{TICK_RATE, Tick};

use super::Match;
use crate::arena::link::{End, Outbox};
use crate::arena::sessions::State;

/// Ticks between two calls of a client's reliable channel that has nothing urgent: 15 per second.
const CHANNEL_INTERVAL: u32 = 4;

/// Most players of a score table; the best of them.
const MOST_STANDINGS: usize = 16;

/// Largest team whose members are always sent to each other.
const LARGEST_SEEN_TEAM: usize = 16;

impl<Random: RandomSource> Match<Random> {
    /// Sends what is due after a tick: a snapshot to each client, and reliable messages.
    pub fn send(&mut self, now: Now, outbox: &mut impl Outbox) {
        for client in self.clients.iter_mut().flatten() {
            if let (Some(peer), Some(echo)) = (client.peer, client.echo.take()) {
                outbox.send(peer, &echo.encode());
            }
        }
        self.send_snapshots(now, outbox);
        let tick = self.arena.tick();
        if tick.0.is_multiple_of(TICK_RATE) {
            self.tell_roster_and_score();
        }
        self.renew_tokens(now);
        self.flush_channels(now, outbox);
        while let Some(peer) = self.broken.pop() {
            // No event comes back for a connection that this side ends. It may have failed twice.
            if self.seat(peer).is_some() {
                self.lose(now, peer, End::Silence);
                self.closing.push(peer);
            }
        }
        for peer in self.closing.drain(..) {
            outbox.disconnect(peer);
        }
    }

    fn send_snapshots(&mut self, now: Now, outbox: &mut impl Outbox) {
        self.gather_teams();
        let tick = self.arena.tick();
        let rules = &self.config.arena.rules;
        let course = self.arena.course();
        let ticks = course
            .left(rules, tick)
            .unwrap_or_else(|| tick.0.saturating_sub(course.since().0));
        let seconds = u16::try_from(ticks.div_ceil(TICK_RATE)).unwrap_or(u16::MAX);
        let clock = MatchClock::new(course.phase(), seconds);
        let overview = 1.5 * self.arena.level().half();
        let seats = self.clients.len();
        for turn in 0..seats {
            // Another one is first in each tick, so that nobody is always last.
            let index = (turn + tick.0 as usize) % seats;
            let Some(client) = self.clients.get_mut(index).and_then(Option::as_deref_mut) else {
                continue;
            };
            let (Some(peer), Ok(seat)) = (client.peer, u16::try_from(index)) else {
                continue;
            };
            if let Some(acks) = client.acks.take() {
                client.view.acknowledge(acks);
            }
            let player = self
                .sessions
                .slot(seat)
                .and_then(|slot| self.arena.player(slot));
            let team = player.and_then(|player| player.team);
            let always = team
                .and_then(|team| self.teams.get(usize::from(team.0)))
                .filter(|members| members.len() <= LARGEST_SEEN_TEAM);
            let recipient = Recipient {
                own: player.map(|player| player.slot),
                center: player.map_or((0.0, 0.0), |player| {
                    (player.motion.position.x, player.motion.position.z)
                }),
                radius: if player.is_some() {
                    VIEW_RADIUS
                } else {
                    overview
                },
                always: always.map_or(&[], Vec::as_slice),
                detail: self.detail,
                budget: self.config.budget,
                decompresses: client.decompresses,
            };
            let header = Header {
                tick,
                input: client.inputs.executed(),
                margin: client.inputs.take_margin(tick.next()),
                clock,
                own: player.map(|player| own_state(player, tick)),
            };
            let payload = self.payload.as_mut_slice();
            let encoded = self
                .encoder
                .encode(&mut client.view, &recipient, &header, payload);
            if let Ok(length) = encoded
                && let Some(payload) = self.payload.get(..length)
            {
                outbox.send(peer, payload);
            }
            if let Some(probe) = client.probe(tick, seat, now.monotonic) {
                outbox.send(peer, &probe.encode());
            }
        }
    }

    fn gather_teams(&mut self) {
        for team in &mut self.teams {
            team.clear();
        }
        for player in self.arena.players() {
            let team = player
                .team
                .and_then(|team| self.teams.get_mut(usize::from(team.0)));
            if let Some(team) = team {
                team.push(simulation::entity::EntityId::player(player.slot));
            }
        }
    }

    /// Tells a client all that it needs to take part, the way back included.
    pub(super) fn welcome(&mut self, now: Now, seat: u16) {
        let Some(reconnection) = self.mint(now, seat) else {
            return;
        };
        let ArenaConfig {
            seed,
            capacity,
            props,
            rules,
        } = *self.arena.config();
        let welcome = ToClient::Welcome(Welcome {
            slot: self.sessions.slot(seat),
            tick: self.arena.tick(),
            tick_rate: TICK_RATE,
            seed,
            capacity,
            props,
            rules,
            reconnection,
        });
        self.tell(seat, &welcome, true);
    }

    /// Sends every player whose token grows old a new one.
    fn renew_tokens(&mut self, now: Now) {
        while let Some(id) = self.sessions.next_token(now.monotonic) {
            let Some(seat) = self.sessions.get(id).map(|session| session.seat) else {
                continue;
            };
            if let Some(token) = self.mint(now, seat) {
                // The one before is good for a while yet.
                self.tell(seat, &ToClient::Reconnection(token), false);
            }
        }
    }

    /// The next reconnection token of a seat.
    fn mint(&mut self, now: Now, seat: u16) -> Option<Token> {
        let id = self.in_seat(seat)?.session;
        let user_data = self.next_user_data(self.sessions.get(id)?);
        match self.minter.mint(now.unix_seconds, &user_data) {
            Ok(minted) => {
                self.sessions.remember(now.monotonic, id, minted.hash);
                Some(Token(minted.token.to_vec()))
            }
            Err(error) => {
                tracing::error!(%error, "Reconnection token was not minted");
                None
            }
        }
    }

    fn tell_roster_and_score(&mut self) {
        if std::mem::take(&mut self.is_roster_due) {
            let members = self.members();
            self.broadcast(&ToClient::Roster(members));
        }
        if std::mem::take(&mut self.is_score_due) {
            let mut standings = self.arena.standings();
            standings.truncate(MOST_STANDINGS);
            self.broadcast(&ToClient::Score(standings));
        }
    }

    fn members(&self) -> Vec<Member> {
        let members = self.sessions.iter().filter_map(|session| {
            let slot = self.sessions.slot(session.seat)?;
            let client = self.clients.get(usize::from(session.seat))?.as_ref()?;
            Some(Member {
                slot,
                team: self.arena.player(slot)?.team,
                name: client.name.clone(),
                connected: session.state != State::Lost,
            })
        });
        members.collect()
    }

    /// Queues a message for one client.
    fn tell(&mut self, seat: u16, message: &ToClient, is_urgent: bool) {
        let Some(decompresses) = self.in_seat(seat).map(|client| client.decompresses) else {
            return;
        };
        match self.messages.encode_to_client(message, decompresses) {
            Ok(encoded) => self.queue(seat, encoded, is_urgent),
            Err(error) => tracing::error!(%error, "Message was not encoded"),
        }
    }

    /// Queues a message for everybody who is connected, encoded once for each kind of build.
    pub(super) fn broadcast(&mut self, message: &ToClient) {
        // A packet more for everybody in one tick would make it the slowest of its second.
        let is_urgent = !matches!(
            message,
            ToClient::Roster(_) | ToClient::Score(_) | ToClient::Chat { .. }
        );
        for decompresses in [true, false] {
            let encoded = match self.messages.encode_to_client(message, decompresses) {
                Ok(encoded) => encoded,
                Err(error) => {
                    tracing::error!(%error, "Message was not encoded");
                    return;
                }
            };
            for seat in 0..u16::try_from(self.clients.len()).unwrap_or(u16::MAX) {
                let is_meant = self.in_seat(seat).is_some_and(|client| {
                    client.peer.is_some() && client.decompresses == decompresses
                });
                if is_meant {
                    self.queue(seat, encoded.clone(), is_urgent);
                }
            }
        }
    }

    fn queue(&mut self, seat: u16, encoded: Vec<u8>, is_urgent: bool) {
        let Some(client) = self.in_seat(seat) else {
            return;
        };
        client.is_urgent |= is_urgent;
        // A client that does not take its messages in is disconnected, and may come back.
        if client.channels.send(encoded).is_err()
            && let Some(peer) = client.peer
        {
            self.broken.push(peer);
        }
    }

    /// Sends urgent messages at once; sends others, repeats and acknowledges when it is a client's
    /// turn.
    fn flush_channels(&mut self, now: Now, outbox: &mut impl Outbox) {
        let tick = self.arena.tick().0;
        for (seat, client) in (0..).zip(&mut self.clients) {
            let Some(client) = client else {
                continue;
            };
            let is_urgent = std::mem::take(&mut client.is_urgent);
            // Not everybody in the same tick.
            let is_time = tick.wrapping_add(seat).is_multiple_of(CHANNEL_INTERVAL);
            let Some(peer) = client.peer.filter(|_| is_time || is_urgent) else {
                continue;
            };
            let flushed = client
                .channels
                .flush(now.monotonic, |payload| outbox.send(peer, payload));
            if flushed.is_err() {
                self.broken.push(peer);
            }
        }
    }
}

/// What prediction starts from. The first of the cooldowns is how many ticks the player stays
/// down, at most 255; the second counts how often it went down or started, around 256.
fn own_state(player: &Player, tick: Tick) -> OwnState {
    let down = match player.life {
        Life::Up => 0,
        Life::Down { until } => until.0.saturating_sub(tick.0),
    };
    let [turns, _] = player.turns.to_le_bytes();
    OwnState {
        movement: player.motion,
        health: player.health,
        cooldowns: [u8::try_from(down).unwrap_or(u8::MAX), turns, 0, 0],
    }
}
