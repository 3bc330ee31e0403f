//! What others see of a player: offline, online, away, in a queue or in a match.
//!
//! The lobby that has a player's socket is the one writer. It hears what its player is told, so it
//! knows of tickets and matches without asking; what it makes of that, and when others hear of it, is
//! decided here. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proto::muster::lobby::v1 as wire;
use wire::event::Event;
use wire::presence::Status;
use wire::{r#match, queue_state};

use crate::ids::PlayerId;

/// Between two publications about one player: what changes meanwhile is told in one.
pub const PACE: Duration = Duration::from_millis(250);

/// A player's presence as it is on the wire.
pub fn presence(player: PlayerId, status: Status) -> wire::Presence {
    wire::Presence {
        player_id: player.to_string(),
        status: status.into(),
    }
}

/// What is known of a player who has a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Standing {
    is_away: bool,
    has_ticket: bool,
    /// The match; without an id where only the fact was told.
    playing: Option<String>,
}

impl Standing {
    /// What others see: what keeps the player most from answering.
    fn status(&self) -> Status {
        if self.playing.is_some() {
            Status::InMatch
        } else if self.has_ticket {
            Status::InQueue
        } else if self.is_away {
            Status::Away
        } else {
            Status::Online
        }
    }

    /// Learns from what the player is told.
    fn hear(&mut self, player: PlayerId, event: &Event) {
        match event {
            Event::Queue(queue) => self.hear_queue(queue),
            Event::MatchReady(ready) => {
                let id = ready.r#match.as_ref().map(|played| played.match_id.clone());
                self.playing = Some(id.unwrap_or_default());
                self.has_ticket = false;
            }
            Event::MatchChanged(changed) => {
                if let Some(played) = &changed.r#match {
                    self.hear_match(played);
                }
            }
            Event::State(state) => self.know(state),
            Event::Presences(presences) => {
                let own = player.to_string();
                for presence in &presences.presences {
                    if presence.player_id == own {
                        self.note(presence.status());
                    }
                }
            }
            Event::RoomChanged(_)
            | Event::Invited(_)
            | Event::Proposed(_)
            | Event::ChatMessage(_)
            | Event::ChatDelivered(_)
            | Event::Moving(_) => {}
        }
    }

    fn hear_queue(&mut self, queue: &wire::QueueState) {
        use queue_state::Status::{Proposed, Waiting};
        self.has_ticket = matches!(queue.status(), Waiting | Proposed);
    }

    fn hear_match(&mut self, played: &wire::Match) {
        if played.status() == r#match::Status::Started {
            self.playing = Some(played.match_id.clone());
        } else {
            // The end of a former match says nothing about the present one.
            let is_this = |id: &mut String| id.is_empty() || *id == played.match_id;
            self.playing.take_if(is_this);
        }
    }

    /// Takes the state as it is.
    fn know(&mut self, state: &wire::State) {
        self.has_ticket = false;
        if let Some(queue) = &state.queue {
            self.hear_queue(queue);
        }
        self.playing = None;
        if let Some(played) = &state.r#match {
            self.hear_match(played);
        }
    }

    /// What somebody says of the player; ends of tickets and matches are told by events.
    fn note(&mut self, status: Status) {
        match status {
            Status::Online => self.is_away = false,
            Status::Away => self.is_away = true,
            Status::InQueue => self.has_ticket = true,
            Status::InMatch => {
                self.playing.get_or_insert_default();
            }
            Status::Offline => {}
        }
    }
}

/// The players who have a socket at this lobby, or had one a moment ago, and what is to be told of
/// them when.
#[derive(Debug, Default)]
pub struct Tracker {
    players: BTreeMap<PlayerId, Tracked>,
    /// When to look at whom.
    due: BTreeSet<(Timestamp, PlayerId)>,
}

#[derive(Debug)]
struct Tracked {
    /// None without a socket.
    standing: Option<Standing>,
    /// What others were told.
    told: Status,
    /// From when on they may be told something else.
    free_at: Timestamp,
}

impl Tracker {
    /// A player has a socket here, or has none any more.
    pub fn connection(&mut self, now: Timestamp, player: PlayerId, is_connected: bool) {
        let tracked = self.players.entry(player).or_insert_with(|| Tracked {
            standing: None,
            told: Status::Offline,
            free_at: now,
        });
        if !is_connected {
            tracked.standing = None;
        } else if tracked.standing.is_none() {
            tracked.standing = Some(Standing::default());
        }
        self.schedule(now, player);
    }

    /// Another lobby has the player now: it tells others what is so.
    pub fn hand_over(&mut self, player: PlayerId) {
        if let Some(tracked) = self.players.remove(&player) {
            self.due.remove(&(tracked.free_at, player));
        }
    }

    /// A player with a socket here is told this.
    pub fn hear(&mut self, now: Timestamp, player: PlayerId, event: &Event) {
        let tracked = self.players.get_mut(&player);
        if let Some(standing) = tracked.and_then(|tracked| tracked.standing.as_mut()) {
            let before = standing.status();
            standing.hear(player, event);
            if standing.status() != before {
                self.schedule(now, player);
            }
        }
    }

    /// What is to be published now.
    pub fn due(&mut self, now: Timestamp) -> Vec<(PlayerId, Status)> {
        let mut told = Vec::new();
        while let Some((at, player)) = self.due.first().copied() {
            if at > now {
                break;
            }
            self.due.pop_first();
            let Some(tracked) = self.players.get_mut(&player) else {
                continue;
            };
            let status = tracked.status();
            if status != tracked.told {
                tracked.told = status;
                tracked.free_at = now + signed(PACE);
                told.push((player, status));
            }
            if tracked.standing.is_some() {
                continue;
            }
            if tracked.free_at <= now {
                self.players.remove(&player);
            } else {
                // Forgotten only then: who comes back before is not told of too soon.
                self.due.insert((tracked.free_at, player));
            }
        }
        told
    }

    /// When something may be due.
    pub fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    fn schedule(&mut self, now: Timestamp, player: PlayerId) {
        if let Some(tracked) = self.players.get(&player) {
            self.due.insert((tracked.free_at.max(now), player));
        }
    }
}

impl Tracked {
    fn status(&self) -> Status {
        let standing = self.standing.as_ref();
        standing.map_or(Status::Offline, Standing::status)
    }
}

fn signed(span: Duration) -> SignedDuration {
    SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const PLAYER: PlayerId = PlayerId(Uuid::from_u128(1));

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + milliseconds).unwrap()
    }

    fn queue(status: queue_state::Status) -> Event {
        Event::Queue(wire::QueueState {
            status: status.into(),
            ..wire::QueueState::default()
        })
    }

    fn played(id: &str, status: r#match::Status) -> wire::Match {
        wire::Match {
            match_id: id.to_owned(),
            status: status.into(),
            ..wire::Match::default()
        }
    }

    fn changed(id: &str, status: r#match::Status) -> Event {
        Event::MatchChanged(wire::MatchChanged {
            r#match: Some(played(id, status)),
        })
    }

    fn ready(id: &str) -> Event {
        Event::MatchReady(wire::MatchReady {
            r#match: Some(played(id, r#match::Status::Started)),
            ..wire::MatchReady::default()
        })
    }

    fn says(status: Status) -> Event {
        Event::Presences(wire::Presences {
            presences: vec![presence(PLAYER, status)],
        })
    }

    #[test]
    fn a_player_is_seen_by_what_the_player_is_told() {
        use queue_state::Status::{Matched, None, Proposed, Waiting};
        let other = Event::Presences(wire::Presences {
            presences: vec![presence(PlayerId(Uuid::from_u128(2)), Status::Away)],
        });
        let state = Event::State(wire::State {
            queue: Some(wire::QueueState {
                status: Waiting.into(),
                ..wire::QueueState::default()
            }),
            ..wire::State::default()
        });
        let mut standing = Standing::default();
        for (event, expected) in [
            (says(Status::Away), Status::Away),
            (other, Status::Away),
            (queue(Waiting), Status::InQueue),
            (queue(Proposed), Status::InQueue),
            (queue(None), Status::Away),
            (says(Status::Online), Status::Online),
            (queue(Waiting), Status::InQueue),
            (queue(Matched), Status::Online),
            (ready("one"), Status::InMatch),
            // The end of another match than the one that is played.
            (changed("zero", r#match::Status::Ended), Status::InMatch),
            (changed("one", r#match::Status::Ended), Status::Online),
            (changed("two", r#match::Status::Started), Status::InMatch),
            (changed("two", r#match::Status::Lost), Status::Online),
            (says(Status::InMatch), Status::InMatch),
            (state, Status::InQueue),
        ] {
            standing.hear(PLAYER, &event);
            assert_eq!(standing.status(), expected, "after {event:?}");
        }
    }

    #[test]
    fn changes_in_quick_succession_are_told_in_one() {
        use queue_state::Status::{None, Waiting};
        let mut tracker = Tracker::default();
        tracker.connection(at(0), PLAYER, true);
        assert_eq!(tracker.due(at(0)), [(PLAYER, Status::Online)]);
        for offset in [10, 20, 30] {
            tracker.hear(at(offset), PLAYER, &queue(Waiting));
            tracker.hear(at(offset), PLAYER, &queue(None));
            tracker.hear(at(offset), PLAYER, &queue(Waiting));
            assert_eq!(tracker.due(at(offset)), []);
        }
        assert_eq!(tracker.next(), Some(at(250)));
        assert_eq!(tracker.due(at(250)), [(PLAYER, Status::InQueue)]);
        // What came and went between is nobody's news.
        tracker.hear(at(260), PLAYER, &queue(None));
        tracker.hear(at(270), PLAYER, &queue(Waiting));
        assert_eq!(tracker.due(at(500)), []);
        assert_eq!(tracker.next(), Option::None);
    }

    #[test]
    fn who_is_gone_is_told_offline_once_and_forgotten() {
        let mut tracker = Tracker::default();
        tracker.connection(at(0), PLAYER, true);
        tracker.hear(at(0), PLAYER, &says(Status::Away));
        assert_eq!(tracker.due(at(0)), [(PLAYER, Status::Away)]);
        // A socket that breaks and comes back at once: nobody hears of it.
        tracker.connection(at(10), PLAYER, false);
        tracker.connection(at(20), PLAYER, true);
        tracker.hear(at(20), PLAYER, &says(Status::Away));
        assert_eq!(tracker.due(at(250)), []);
        tracker.connection(at(300), PLAYER, false);
        assert_eq!(tracker.due(at(300)), [(PLAYER, Status::Offline)]);
        tracker.hear(at(310), PLAYER, &ready("one"));
        assert_eq!(tracker.due(at(600)), []);
        assert!(tracker.players.is_empty() && tracker.next().is_none());
    }

    proptest! {
        /// Whatever happens: others end up knowing what is so, and hear of nobody more often than
        /// the pace allows.
        #[test]
        fn others_are_told_what_is_so_at_a_bounded_pace(
            steps in prop::collection::vec((0_i64..300, 0_u128..3, 0_usize..6), 1..60),
        ) {
            use queue_state::Status::{None, Waiting};
            let mut tracker = Tracker::default();
            let mut seen: BTreeMap<PlayerId, (Timestamp, Status)> = BTreeMap::new();
            let mut elapsed = 0;
            let mut publish = |tracker: &mut Tracker, now| {
                for (player, status) in tracker.due(now) {
                    let before = seen.insert(player, (now, status));
                    if let Some((last, before)) = before {
                        assert!(now >= last + signed(PACE) && before != status);
                    }
                }
                seen.clone()
            };
            let mut standings: BTreeMap<PlayerId, Status> = BTreeMap::new();
            for (wait, player, step) in steps {
                elapsed += wait;
                let (now, player) = (at(elapsed), PlayerId(Uuid::from_u128(player)));
                match step {
                    0 | 1 => tracker.connection(now, player, step == 0),
                    2 => tracker.hear(now, player, &queue(Waiting)),
                    3 => tracker.hear(now, player, &queue(None)),
                    4 => tracker.hear(now, player, &ready("one")),
                    _ => tracker.hear(now, player, &changed("one", r#match::Status::Ended)),
                }
                if let Some(tracked) = tracker.players.get(&player) {
                    standings.insert(player, tracked.status());
                }
                publish(&mut tracker, now);
            }
            let mut seen = BTreeMap::new();
            while let Some(next) = tracker.next() {
                seen = publish(&mut tracker, next);
            }
            for (player, (_, status)) in seen {
                prop_assert_eq!(standings.get(&player), Some(&status));
            }
        }
    }
}
