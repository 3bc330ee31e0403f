use super::super::pass::tests::{at, queue, ticket};
use super::*;
use crate::live::Cursor;

mod model;

const SEED: Seed = [7; 10];

/// An owner of a queue of one against one, and what it wants done.
struct Desk {
    owner: Owner,
    effects: Vec<Effect>,
    ticks: u8,
}

impl Desk {
    fn new(accept_seconds: Option<u16>) -> Self {
        Self::loaded(accept_seconds, Loaded::default(), 0)
    }

    fn loaded(accept_seconds: Option<u16>, loaded: Loaded, second: i64) -> Self {
        let mut queue = queue(2, 1);
        queue.accept_seconds = accept_seconds;
        let (owner, effects) = Owner::new(queue, loaded, Estimates::default(), at(second));
        Self {
            owner,
            effects,
            ticks: 0,
        }
    }

    fn handle(&mut self, second: i64, event: Event) -> &mut Self {
        self.effects.extend(self.owner.handle(at(second), event));
        self
    }

    fn enter(&mut self, second: i64, id: u128) -> &mut Self {
        let entered = QueueNews::Entered(ticket(id, second, &[0.0]));
        self.handle(second, Event::News(entered))
    }

    fn tick(&mut self, second: i64) -> &mut Self {
        self.ticks += 1;
        self.handle(second, Event::Tick([self.ticks; 10]))
    }

    fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The match that is to be proposed.
    fn proposed(&mut self) -> Pending {
        match &self.take()[..] {
            [Effect::Propose(pending)] => pending.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Two players in a match that is proposed as of second 0.
    fn pair(&mut self) -> Pending {
        let pending = self.enter(0, 1).enter(0, 2).tick(0).proposed();
        self.done(0, pending.id);
        pending
    }

    fn done(&mut self, second: i64, id: MatchId) -> &mut Self {
        let missing = Vec::new();
        self.handle(second, Event::Proposed { id, missing })
    }

    fn placed(&mut self, second: i64, id: MatchId, outcome: Result<(), Unplaced>) -> &mut Self {
        self.handle(second, Event::Placed { id, outcome })
    }

    fn answer(&mut self, second: i64, id: MatchId, ticket: u128, accepts: bool) -> &mut Self {
        let player = player(ticket);
        let answered = QueueNews::Answered {
            id,
            player,
            accepts,
        };
        self.handle(second, Event::News(answered))
    }

    fn wakes(&mut self) -> Option<i64> {
        let origin = at(0).as_millisecond();
        self.owner.wakes().map(|at| at.as_millisecond() - origin)
    }
}

fn id(ticket: u128) -> TicketId {
    TicketId(uuid::Uuid::from_u128(ticket))
}

fn player(ticket: u128) -> PlayerId {
    PlayerId(uuid::Uuid::from_u128(ticket * 100))
}

/// Effects in few words.
fn brief(effects: &[Effect]) -> Vec<String> {
    let number = |ticket: &Ticket| ticket.id.0.as_u128();
    let line = |effect: &Effect| match effect {
        Effect::Propose(pending) => format!("propose {}", pending.parties().count()),
        Effect::Amend(pending) => format!("amend {}", pending.accepted.len()),
        Effect::Ask(_) => "ask".to_owned(),
        Effect::Place(_) => "place".to_owned(),
        Effect::Settle { back, .. } => {
            let mut back: Vec<u128> = back.iter().map(|id| id.0.as_u128()).collect();
            back.sort_unstable();
            format!("settle {back:?}")
        }
        Effect::Withdraw { ticket, reason } => {
            format!("withdraw {} {}", number(ticket), reason.name())
        }
        Effect::Gone { ticket, reason } => format!("gone {} {}", number(ticket), reason.name()),
        Effect::Returned(ticket) => format!("returned {}", number(ticket)),
    };
    let mut lines: Vec<String> = effects.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn a_match_is_proposed_placed_and_settled() {
    let mut desk = Desk::new(None);
    desk.enter(0, 1).enter(4, 2);
    assert!(desk.wakes().unwrap() < 0, "A pass is wanted at once");
    let pending = desk.tick(4).proposed();
    assert_eq!(desk.owner.waiting(), 0);
    let Effect::Place(wanted) = &desk.done(5, pending.id).take()[0] else {
        panic!("It is not placed");
    };
    assert_eq!(
        (wanted.id, &wanted.region[..], &wanted.queue[..]),
        (pending.id, "eu", "test")
    );
    let players: Vec<PlayerId> = wanted.teams.iter().flatten().map(|it| it.player).collect();
    assert_eq!(players.len(), 2);
    assert!(players.contains(&player(1)) && players.contains(&player(2)));
    let why = desk.owner.explain(id(1), at(5));
    assert!(
        matches!(
            why,
            Some(Why::InMatch {
                stage: "placing",
                ..
            })
        ),
        "{why:?}"
    );
    desk.placed(6, pending.id, Ok(()));
    let told = ["gone 1 matched", "gone 2 matched", "settle []"];
    assert_eq!(brief(&desk.take()), told);
    desk.handle(6, Event::Settled(pending.id));
    assert_eq!(brief(&desk.take()), [""; 0]);
    assert_eq!((desk.owner.pending(), desk.wakes()), (0, None));
    // One waited for six seconds, the next one for two.
    assert_eq!(
        desk.owner.estimates().of(1),
        Some(Duration::from_secs_f64(5.6))
    );
}

#[test]
fn ids_of_a_pass_differ_and_are_in_order_of_time() {
    let ids: BTreeSet<MatchId> = (0..1000)
        .map(|index| match_id(at(0), SEED, index))
        .collect();
    assert_eq!(ids.len(), 1000);
    assert!(ids.iter().all(|id| id.0.get_version_num() == 7));
    assert!(ids.iter().all(|id| *id < match_id(at(1), SEED, 0)));
}

#[test]
fn who_left_before_the_proposal_is_missed_and_the_others_wait_on() {
    let mut desk = Desk::new(None);
    let pending = desk.enter(0, 1).enter(0, 2).tick(0).proposed();
    desk.handle(1, Event::News(QueueNews::Left(id(1))));
    let missing = vec![id(1)];
    desk.handle(
        1,
        Event::Proposed {
            id: pending.id,
            missing,
        },
    );
    assert_eq!(brief(&desk.take()), [""; 0]);
    let why = desk.owner.explain(id(2), at(3));
    let Some(Why::Waits(explanation)) = why else {
        panic!("{why:?}");
    };
    assert_eq!(explanation.waited, Duration::from_secs(3));
    assert_eq!(desk.owner.explain(id(1), at(3)), None);
    // Who left after the proposal was looked at, and before the owner heard of it, left too.
    let pending = desk.enter(1, 3).tick(1).proposed();
    desk.handle(1, Event::News(QueueNews::Left(id(3))));
    let missing = vec![id(2)];
    desk.handle(
        1,
        Event::Proposed {
            id: pending.id,
            missing,
        },
    );
    assert_eq!((desk.owner.waiting(), desk.owner.pending()), (0, 0));
}

#[test]
fn all_players_are_asked_and_accept() {
    let mut desk = Desk::new(Some(20));
    let pending = desk.pair();
    assert_eq!(pending.accept_until, Some(at(20)));
    assert_eq!(brief(&desk.take()), ["ask"]);
    assert_eq!(desk.wakes(), Some(20_000));
    desk.answer(1, pending.id, 1, true)
        .answer(1, pending.id, 1, true);
    assert_eq!(brief(&desk.take()), ["amend 1"]);
    desk.answer(2, pending.id, 9, true);
    assert_eq!(brief(&desk.take()), [""; 0]);
    desk.answer(2, pending.id, 2, true);
    assert_eq!(brief(&desk.take()), ["amend 2", "place"]);
    // The time to answer is over without harm.
    desk.tick(20);
    assert_eq!(brief(&desk.take()), [""; 0]);
}

#[test]
fn who_declines_or_is_late_leaves_and_the_others_return_with_their_age() {
    let mut desk = Desk::new(Some(20));
    let pending = desk.pair();
    desk.take();
    desk.answer(1, pending.id, 1, true)
        .answer(2, pending.id, 2, false);
    assert_eq!(brief(&desk.take()), ["amend 1", "settle [1]"]);
    desk.handle(2, Event::Settled(pending.id));
    assert_eq!(brief(&desk.take()), ["gone 2 declined", "returned 1"]);
    // It comes back through the news, as it was.
    let back = ticket(1, 0, &[0.0]);
    desk.handle(2, Event::News(QueueNews::Entered(back)));
    let Some(Why::Waits(explanation)) = desk.owner.explain(id(1), at(9)) else {
        panic!("It does not wait");
    };
    assert_eq!(explanation.waited, Duration::from_secs(9));

    let pending = desk.enter(9, 3).tick(9).proposed();
    desk.done(9, pending.id).answer(10, pending.id, 3, true);
    desk.tick(28);
    assert_eq!(brief(&desk.take()), ["amend 1", "ask"]);
    desk.tick(29);
    assert_eq!(brief(&desk.take()), ["settle [3]"]);
    desk.handle(29, Event::Settled(pending.id));
    assert_eq!(brief(&desk.take()), ["gone 1 declined", "returned 3"]);
}

#[test]
fn a_match_without_a_server_is_tried_again_and_given_up_after_a_while() {
    let mut desk = Desk::new(None);
    let pending = desk.pair();
    assert_eq!(brief(&desk.take()), ["place"]);
    desk.placed(0, pending.id, Err(Unplaced::NoServer));
    assert_eq!(brief(&desk.take()), [""; 0]);
    assert_eq!(desk.wakes(), Some(250));
    // Another match of the region waits: one is enough to find out.
    let other = desk.enter(0, 3).enter(0, 4).tick(0).proposed();
    desk.done(0, other.id);
    assert_eq!(brief(&desk.take()), [""; 0]);
    let mut tries = 0;
    for second in 1..10 {
        desk.tick(second);
        let effects = desk.take();
        assert!(effects.len() <= 1, "{effects:?}");
        if let [Effect::Place(wanted)] = &effects[..] {
            tries += 1;
            desk.placed(second, wanted.id, Err(Unplaced::NoServer));
        }
    }
    assert!((4..=8).contains(&tries), "{tries}");
    for second in 10..13 {
        desk.tick(second);
        if let Some(Effect::Place(wanted)) = desk.effects.pop_if(is_place) {
            desk.placed(second, wanted.id, Err(Unplaced::NoServer));
        }
    }
    assert_eq!(brief(&desk.take()), ["settle [1, 2]", "settle [3, 4]"]);
    desk.handle(13, Event::Settled(pending.id));
    // Nobody was asked, nobody is told: they wait as before.
    assert_eq!(brief(&desk.take()), [""; 0]);
    // With a server the region is as any other.
    let back = [1, 2].map(|id| QueueNews::Entered(ticket(id, 0, &[0.0])));
    for news in back {
        desk.handle(13, Event::News(news));
    }
    let again = desk.tick(13).proposed();
    desk.done(13, again.id).tick(15);
    assert_eq!(brief(&desk.take()), ["place"]);
    desk.placed(15, again.id, Ok(())).take();
    let next = desk.enter(15, 5).enter(15, 6).tick(15).proposed();
    desk.done(15, next.id);
    assert_eq!(brief(&desk.take()), ["place"]);
}

fn is_place(effect: &mut Effect) -> bool {
    matches!(effect, Effect::Place(_))
}

#[test]
fn a_match_that_may_have_a_server_is_never_given_up() {
    let mut desk = Desk::new(None);
    let pending = desk.pair();
    desk.take();
    let away = || Err(Unplaced::Unavailable("away".to_owned()));
    let mut second = 0;
    for expected in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
        desk.placed(second, pending.id, away());
        let due = desk.wakes().unwrap();
        assert_eq!(due - second * 1000, expected);
        desk.tick(second).answer(second, pending.id, 1, false);
        assert_eq!(brief(&desk.take()), [""; 0]);
        second += 10;
        desk.tick(second);
        assert_eq!(brief(&desk.take()), ["place"]);
    }
    let why = desk.owner.explain(id(1), at(second));
    assert!(
        matches!(why, Some(Why::InMatch { attempts: 8, .. })),
        "{why:?}"
    );
    // Now it is known that it has none, who wanted to leave may.
    desk.placed(second, pending.id, Err(Unplaced::NoServer));
    assert_eq!(brief(&desk.take()), ["settle [2]"]);
    desk.handle(second, Event::Settled(pending.id));
    assert_eq!(brief(&desk.take()), ["gone 1 left"]);
}

#[test]
fn tickets_of_players_in_other_matches_are_dropped() {
    let mut desk = Desk::new(None);
    let pending = desk.pair();
    desk.take();
    desk.placed(1, pending.id, Err(Unplaced::Busy(vec![player(2)])));
    assert_eq!(brief(&desk.take()), ["settle [1]"]);
    desk.handle(1, Event::Settled(pending.id));
    assert_eq!(brief(&desk.take()), ["gone 2 failed"]);

    let pending = desk.enter(2, 5).enter(2, 6).tick(2).proposed();
    desk.done(2, pending.id).take();
    desk.placed(2, pending.id, Err(Unplaced::Busy(vec![player(9)])));
    assert_eq!(brief(&desk.take()), ["settle []"]);
}

#[test]
fn a_refused_request_returns_the_tickets_and_slows_the_region_down() {
    let mut desk = Desk::new(None);
    let pending = desk.pair();
    desk.take();
    desk.placed(0, pending.id, Err(Unplaced::Refused("no".to_owned())));
    assert_eq!(brief(&desk.take()), ["settle [1, 2]"]);
    desk.handle(0, Event::Settled(pending.id));
    let next = desk.enter(0, 3).enter(0, 4).tick(0).proposed();
    desk.done(0, next.id);
    assert_eq!(brief(&desk.take()), [""; 0]);
    desk.tick(1);
    assert_eq!(brief(&desk.take()), ["place"]);
}

#[test]
fn matches_are_placed_a_few_at_once_and_passes_wait_for_them() {
    let mut desk = Desk::new(None);
    for ticket in 1..=400 {
        desk.enter(0, ticket);
    }
    let proposals = desk.tick(0).take();
    assert_eq!(proposals.len(), 200);
    for effect in &proposals {
        if let Effect::Propose(pending) = effect {
            desk.done(0, pending.id);
        }
    }
    let mut placing = desk.take();
    assert_eq!(placing.len(), PLACING);
    desk.enter(1, 1001).enter(1, 1002).tick(1);
    assert_eq!((desk.take(), desk.wakes()), (Vec::new(), None));
    let mut placed = 0;
    while let Some(effect) = placing.pop() {
        if let Effect::Place(wanted) = effect {
            placed += 1;
            desk.placed(1, wanted.id, Ok(()));
            placing.extend(desk.effects.extract_if(.., is_place));
        }
    }
    assert_eq!(placed, 200);
    desk.take();
    assert!(desk.wakes().unwrap() < 0);
    desk.tick(1).proposed();
}

#[test]
fn a_new_owner_goes_on_where_the_old_one_was() {
    let mut old = Desk::new(Some(20));
    let mut pending = old.pair();
    let loaded = |pending: &Pending| Loaded {
        tickets: vec![ticket(3, 0, &[0.0])],
        pending: vec![pending.clone()],
        cursor: Cursor::default(),
    };
    // Answers that were not noted are lost, and the time begins anew.
    pending.accepted.push(player(1));
    let mut desk = Desk::loaded(Some(20), loaded(&pending), 60);
    assert_eq!(brief(&desk.take()), ["amend 1", "ask"]);
    assert_eq!(desk.owner.waiting(), 1);
    desk.answer(79, pending.id, 2, true);
    assert_eq!(brief(&desk.take()), ["amend 2", "place"]);
    // It may have a server: nobody leaves, and no lack of servers ends it.
    pending.accepted.push(player(2));
    let mut desk = Desk::loaded(Some(20), loaded(&pending), 60);
    assert_eq!(brief(&desk.take()), ["place"]);
    desk.answer(60, pending.id, 1, false);
    assert_eq!(brief(&desk.take()), [""; 0]);
    desk.placed(61, pending.id, Ok(()));
    assert!(brief(&desk.take()).contains(&"settle []".to_owned()));
    // The queue asks nobody any more.
    pending.accepted.clear();
    let mut desk = Desk::loaded(None, loaded(&pending), 60);
    assert_eq!(brief(&desk.take()), ["place"]);
}

#[test]
fn who_leaves_a_match_that_looks_for_a_server_is_let_go() {
    let mut desk = Desk::new(None);
    let pending = desk.pair();
    desk.placed(0, pending.id, Err(Unplaced::NoServer)).take();
    desk.answer(0, pending.id, 1, false);
    assert_eq!(brief(&desk.take()), ["settle [2]"]);
    desk.handle(0, Event::Settled(pending.id));
    assert_eq!(brief(&desk.take()), ["gone 1 left"]);
}

#[test]
fn tickets_that_no_queue_admits_or_that_are_too_many_are_sent_away() {
    let mut desk = Desk::new(None);
    let mut stranger = ticket(1, 0, &[0.0]);
    stranger.players[0].attributes.clear();
    desk.handle(0, Event::News(QueueNews::Entered(stranger)));
    assert_eq!(brief(&desk.take()), ["withdraw 1 failed"]);
    for id in 0..TICKETS {
        desk.enter(0, 1000 + id as u128);
    }
    assert_eq!(desk.take(), []);
    desk.enter(0, 2);
    assert_eq!(brief(&desk.take()), ["withdraw 2 full"]);
}

#[test]
fn a_sweep_goes_round_the_old_ones() {
    let mut desk = Desk::new(None);
    for (second, id) in [(0, 1), (1, 2), (50, 3), (2, 4)] {
        desk.enter(second, id);
    }
    let mut sweep = || {
        let swept = desk.owner.sweep(at(30), 2);
        swept
            .into_iter()
            .map(|(id, players)| (id.0.as_u128(), players))
            .collect::<Vec<_>>()
    };
    assert_eq!(sweep(), [(1, vec![player(1)]), (2, vec![player(2)])]);
    assert_eq!(sweep(), [(4, vec![player(4)])]);
    assert_eq!(sweep().len(), 2);
}
