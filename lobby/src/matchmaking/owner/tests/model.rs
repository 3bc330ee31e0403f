//! The laws of a queue, whatever happens: owners die at any point, several believe to be the one,
//! answers get lost, and news come late. The live state and the store are models of what their
//! interfaces promise.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// So many players want to play together.
    Enter(u8),
    /// A ticket that waits is taken out.
    Leave(Index),
    /// A player who is asked says yes, or no.
    Answer(Index, bool),
    /// An owner hears the next news.
    Hear(Index),
    /// An owner does one of the things that it wants done.
    Do(Index, Index, Placing),
    /// An owner looks at the time.
    Tick(Index),
    /// Milliseconds go by.
    Wait(u16),
    /// An owner dies.
    Crash(Index),
    /// A lobby takes the queue over.
    TakeOver,
}

/// What a request for a server does.
#[derive(Clone, Copy, Debug)]
enum Placing {
    Works,
    NoServer,
    Refused,
    /// It works, and the answer is lost.
    WorksUnheard,
    /// Neither.
    Fails,
}

fn step() -> impl Strategy<Value = Step> {
    let placing = prop_oneof![
        3 => Just(Placing::Works),
        1 => Just(Placing::NoServer),
        1 => Just(Placing::Refused),
        1 => Just(Placing::WorksUnheard),
        1 => Just(Placing::Fails),
    ];
    let index = any::<Index>;
    prop_oneof![
        6 => (1..=2_u8).prop_map(Step::Enter),
        1 => index().prop_map(Step::Leave),
        3 => (index(), prop::bool::weighted(0.9)).prop_map(|(of, yes)| Step::Answer(of, yes)),
        8 => index().prop_map(Step::Hear),
        12 => (index(), index(), placing).prop_map(|(of, what, how)| Step::Do(of, what, how)),
        6 => index().prop_map(Step::Tick),
        2 => (0..4000_u16).prop_map(Step::Wait),
        1 => index().prop_map(Step::Crash),
        1 => Just(Step::TakeOver),
    ]
}

/// A lobby that believes to own the queue.
struct Lobby {
    owner: Owner,
    fence: u64,
    heard: usize,
    effects: Vec<Effect>,
}

struct World {
    now: Timestamp,
    rules: Queue,
    /// Whether former owners go on.
    has_stale: bool,
    // The live state.
    fence: u64,
    waiting: BTreeMap<TicketId, Ticket>,
    pending: BTreeMap<MatchId, Pending>,
    news: Vec<QueueNews>,
    // The store.
    matches: BTreeMap<MatchId, NewMatch>,
    // What is checked.
    entered: BTreeMap<TicketId, Ticket>,
    /// Tickets whose players left or declined.
    gone: BTreeSet<TicketId>,
    lobbies: Vec<Lobby>,
}

impl World {
    fn new(accept_seconds: Option<u16>, has_stale: bool) -> Self {
        let mut rules = queue(2, 2);
        rules.accept_seconds = accept_seconds;
        Self {
            now: at(0),
            rules,
            has_stale,
            fence: 0,
            waiting: BTreeMap::new(),
            pending: BTreeMap::new(),
            news: Vec::new(),
            matches: BTreeMap::new(),
            entered: BTreeMap::new(),
            gone: BTreeSet::new(),
            lobbies: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Enter(players) => self.enter(*players),
            Step::Leave(of) => self.leave(*of),
            Step::Answer(of, accepts) => self.answer(*of, *accepts),
            Step::Wait(milliseconds) => {
                let passed = SignedDuration::from_millis((*milliseconds).into());
                self.now = self.now.checked_add(passed).unwrap();
            }
            Step::TakeOver => self.take_over(),
            Step::Hear(of) if !self.lobbies.is_empty() => self.hear(of.index(self.lobbies.len())),
            Step::Tick(of) if !self.lobbies.is_empty() => self.tick(of.index(self.lobbies.len())),
            Step::Crash(of) if !self.lobbies.is_empty() => {
                let index = of.index(self.lobbies.len());
                self.lobbies.remove(index);
            }
            Step::Do(of, what, how) if !self.lobbies.is_empty() => {
                let index = of.index(self.lobbies.len());
                let count = self.lobbies[index].effects.len();
                if count > 0 {
                    self.apply(index, what.index(count), *how);
                }
            }
            Step::Hear(_) | Step::Tick(_) | Step::Crash(_) | Step::Do(..) => {}
        }
    }

    fn enter(&mut self, players: u8) {
        let number = self.entered.len() as u128 + 1;
        let ratings = vec![0.0; players.into()];
        let mut ticket = ticket(number, 0, &ratings);
        ticket.entered = self.now;
        self.entered.insert(ticket.id, ticket.clone());
        self.waiting.insert(ticket.id, ticket.clone());
        self.news.push(QueueNews::Entered(ticket));
    }

    fn leave(&mut self, of: Index) {
        if !self.waiting.is_empty() {
            let id = *of.get(&self.waiting.keys().copied().collect::<Vec<_>>());
            self.waiting.remove(&id);
            self.gone.insert(id);
            self.news.push(QueueNews::Left(id));
        }
    }

    fn answer(&mut self, of: Index, accepts: bool) {
        let players = self.pending.values().flat_map(|held| {
            let players = held.parties().flat_map(Ticket::player_ids);
            players.map(|player| (held.id, player))
        });
        let asked: Vec<(MatchId, PlayerId)> = players.collect();
        if !asked.is_empty() {
            let (id, player) = *of.get(&asked);
            self.news.push(QueueNews::Answered {
                id,
                player,
                accepts,
            });
        }
    }

    fn take_over(&mut self) {
        if !self.has_stale {
            self.lobbies.clear();
        }
        self.fence += 1;
        let loaded = Loaded {
            tickets: self.waiting.values().cloned().collect(),
            pending: self.pending.values().cloned().collect(),
            cursor: Cursor::default(),
        };
        let rules = self.rules.clone();
        let (owner, effects) = Owner::new(rules, loaded, Estimates::default(), self.now);
        self.lobbies.push(Lobby {
            owner,
            fence: self.fence,
            heard: self.news.len(),
            effects,
        });
    }

    fn handle(&mut self, index: usize, event: Event) {
        let lobby = &mut self.lobbies[index];
        lobby.effects.extend(lobby.owner.handle(self.now, event));
    }

    fn hear(&mut self, index: usize) {
        let lobby = &mut self.lobbies[index];
        if let Some(news) = self.news.get(lobby.heard).cloned() {
            lobby.heard += 1;
            self.handle(index, Event::News(news));
        }
    }

    fn tick(&mut self, index: usize) {
        let mut seed = SEED;
        seed[..6].copy_from_slice(&self.lobbies[index].fence.to_be_bytes()[2..]);
        // Two passes in one moment have seeds of their own.
        let count = self.lobbies[index].owner.held.len() + self.matches.len() + self.news.len();
        seed[6..].copy_from_slice(&u32::try_from(count << 8).unwrap().to_be_bytes());
        self.handle(index, Event::Tick(seed));
    }

    /// Does what an owner wants done. Who is no owner any more learns of it, and stops.
    fn apply(&mut self, index: usize, what: usize, how: Placing) {
        let lobby = &mut self.lobbies[index];
        let effect = lobby.effects.remove(what);
        let is_owner = lobby.fence == self.fence;
        let is_write = matches!(
            effect,
            Effect::Propose(_) | Effect::Amend(_) | Effect::Settle { .. }
        );
        if is_write && !is_owner {
            self.lobbies.remove(index);
            return;
        }
        match effect {
            Effect::Propose(pending) => {
                let ids: Vec<TicketId> = pending.parties().map(|ticket| ticket.id).collect();
                let is_away = |id: &TicketId| !self.waiting.contains_key(id);
                let missing: Vec<TicketId> = ids.iter().copied().filter(is_away).collect();
                let id = pending.id;
                if missing.is_empty() {
                    self.waiting.retain(|id, _| !ids.contains(id));
                    assert!(self.pending.insert(id, pending).is_none(), "{id} was there");
                }
                self.handle(index, Event::Proposed { id, missing });
            }
            Effect::Amend(pending) => {
                if let Some(held) = self.pending.get_mut(&pending.id) {
                    *held = pending;
                }
            }
            Effect::Settle { id, back } => {
                if let Some(pending) = self.pending.remove(&id) {
                    for ticket in pending.teams.into_iter().flatten() {
                        if back.contains(&ticket.id) {
                            self.news.push(QueueNews::Entered(ticket.clone()));
                            self.waiting.insert(ticket.id, ticket);
                        } else if !self.is_matched(ticket.id) {
                            self.gone.insert(ticket.id);
                        }
                    }
                }
                self.handle(index, Event::Settled(id));
            }
            Effect::Place(wanted) => {
                let id = wanted.id;
                let outcome = self.place(wanted, how);
                self.handle(index, Event::Placed { id, outcome });
            }
            Effect::Withdraw { ticket, reason } => {
                panic!("{} was sent away: {reason:?}", ticket.id)
            }
            Effect::Ask(_) | Effect::Gone { .. } | Effect::Returned(_) => {}
        }
    }

    fn place(&mut self, wanted: NewMatch, how: Placing) -> Result<(), Unplaced> {
        let unheard = || Err(Unplaced::Unavailable(String::new()));
        if self.matches.contains_key(&wanted.id) {
            return match how {
                Placing::Fails | Placing::WorksUnheard => unheard(),
                Placing::Works | Placing::NoServer | Placing::Refused => Ok(()),
            };
        }
        match how {
            Placing::NoServer => return Err(Unplaced::NoServer),
            Placing::Refused => return Err(Unplaced::Refused(String::new())),
            Placing::Fails => return unheard(),
            Placing::Works | Placing::WorksUnheard => {}
        }
        let seats = |made: &NewMatch| -> Vec<PlayerId> {
            made.teams
                .iter()
                .flatten()
                .map(|seat| seat.player)
                .collect()
        };
        let mut busy = seats(&wanted);
        busy.retain(|player| {
            let mut matches = self.matches.values();
            matches.any(|made| seats(made).contains(player))
        });
        if !busy.is_empty() {
            assert!(self.has_stale, "A ticket was in two matches: {busy:?}");
            return Err(Unplaced::Busy(busy));
        }
        self.matches.insert(wanted.id, wanted);
        if matches!(how, Placing::WorksUnheard) {
            return unheard();
        }
        Ok(())
    }

    fn is_matched(&self, id: TicketId) -> bool {
        let of: Vec<PlayerId> = self.entered[&id].player_ids().collect();
        let teams = self.matches.values().flat_map(|made| &made.teams);
        teams.flatten().any(|seat| of.contains(&seat.player))
    }

    fn check(&self) {
        for (id, ticket) in &self.entered {
            let held = self.pending.values().flat_map(Pending::parties);
            let all = self.waiting.values().chain(held);
            // As it was, and whole: its age with it.
            let there: Vec<&Ticket> = all.filter(|other| other.id == *id).collect();
            assert!(there.iter().all(|same| *same == ticket), "{id} changed");
            assert!(there.len() <= 1, "{id} is there twice");
            let is_gone = self.gone.contains(id);
            assert!(
                there.len() == 1 || is_gone || self.is_matched(*id),
                "{id} was lost"
            );
            assert!(!is_gone || there.is_empty(), "{id} came back");
            for team in self.matches.values().flat_map(|made| &made.teams) {
                let is_of = |seat: &&NewSeat| ticket.player_ids().any(|it| it == seat.player);
                let count = team.iter().filter(is_of).count();
                assert!(
                    count == 0 || count == ticket.players.len(),
                    "{id} was split"
                );
            }
        }
    }

    /// Everything works from now on, and everybody accepts.
    fn come_to_rest(&mut self) {
        self.lobbies.clear();
        self.take_over();
        for _ in 0..120 {
            while self.lobbies[0].heard < self.news.len() {
                self.hear(0);
            }
            while let Some(effect) = self.lobbies[0].effects.first() {
                if let Effect::Ask(pending) = effect.clone() {
                    for player in pending.parties().flat_map(Ticket::player_ids) {
                        self.news.push(QueueNews::Answered {
                            id: pending.id,
                            player,
                            accepts: true,
                        });
                    }
                }
                self.apply(0, 0, Placing::Works);
            }
            self.tick(0);
            self.step(&Step::Wait(1000));
        }
        let Lobby { owner, effects, .. } = &self.lobbies[0];
        assert_eq!(effects, &[]);
        assert_eq!(
            (owner.pending(), self.pending.len()),
            (0, 0),
            "A match is stuck"
        );
        assert_eq!(owner.waiting(), self.waiting.len());
        for id in self.waiting.keys() {
            assert!(owner.pool.get(*id).is_some(), "{id} is not in the pool");
        }
        let players: usize = self.waiting.values().map(|it| it.players.len()).sum();
        assert!(players < 4, "{players} players could play");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_ticket_is_lost_doubled_split_or_made_younger(
        steps in prop::collection::vec(step(), 0..160),
        asks in any::<bool>(),
        has_stale in any::<bool>(),
    ) {
        let mut world = World::new(asks.then_some(5), has_stale);
        world.take_over();
        for step in &steps {
            world.step(step);
            world.check();
        }
        world.come_to_rest();
        world.check();
    }
}
