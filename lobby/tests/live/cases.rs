//! What every live state keeps to.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use lobby::ids::{MatchId, PlayerId, RoomId, SessionId, TicketId};
use lobby::live::{
    Channel, Cursor, Delivery, Document, Fence, Key, Live, Loaded, Owned, Pending, QueueNews,
    VALUE_LIMIT, Withdrawn, Written,
};
use lobby::matchmaking::Ticket;
use lobby::matchmaking::ticket::{Attribute, Player};
use tokio::sync::broadcast::Receiver;
use uuid::Uuid;

use crate::until;

pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// Short enough to wait for, long enough to see it alive before.
const BRIEF: Duration = Duration::from_millis(800);

pub(crate) async fn are_kept(live: &dyn Live) {
    live.ping().await.unwrap();
    documents(live).await;
    documents_end(live).await;
    of_many_writers_one_is_first(live).await;
    rates(live).await;
    sets(live).await;
    leases(live).await;
    owners_are_leaseholders(live).await;
    tickets_enter_and_leave(live).await;
    matches_take_tickets_and_give_them_back(live).await;
    former_owners_are_refused(live).await;
    no_ticket_is_in_two_matches(live).await;
    news_come_once_and_in_order(live).await;
    news_are_waited_for(live).await;
    channels(live).await;
}

fn name() -> String {
    Uuid::new_v4().to_string()
}

pub(crate) fn player() -> PlayerId {
    PlayerId(Uuid::new_v4())
}

pub(crate) fn hash() -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    hash
}

/// A ticket with everything in it that a detour through another format could change.
pub(crate) fn ticket() -> Ticket {
    Ticket {
        id: TicketId(Uuid::new_v4()),
        entered: "2026-01-01T00:00:00.123456789Z".parse().unwrap(),
        players: vec![Player {
            id: player(),
            rating: 0.1 + 0.2,
            attributes: BTreeMap::from([
                ("level".to_owned(), Attribute::Number(3.0)),
                (
                    "mode".to_owned(),
                    Attribute::Text("\"}\\ränge\n".to_owned()),
                ),
            ]),
            latencies: BTreeMap::new(),
            session: SessionId(Uuid::new_v4()),
            trace_context: String::new(),
        }],
        demands: Vec::new(),
        avoided: Vec::new(),
    }
}

pub(crate) fn pending(tickets: &[&Ticket]) -> Pending {
    Pending {
        id: MatchId(Uuid::now_v7()),
        region: "near".to_owned(),
        teams: tickets.iter().map(|&ticket| vec![ticket.clone()]).collect(),
        accept_until: None,
        accepted: Vec::new(),
        proposed_at: "2026-01-01T00:00:01Z".parse().unwrap(),
    }
}

fn keys() -> [Key; 7] {
    [
        Key::Player(player()),
        Key::Seat(player()),
        Key::Rooms(player()),
        Key::Room(RoomId(Uuid::new_v4())),
        Key::Code(name()),
        Key::Answered(hash()),
        Key::Rate(hash()),
    ]
}

async fn documents(live: &dyn Live) {
    for key in keys() {
        assert_eq!(live.read(&key).await, Ok(None));
        // What is not there is neither changed nor removed.
        let changed = live.write(&key, 1, b"early", HOUR).await;
        assert_eq!(changed, Ok(Written::Conflict(0)));
        assert_eq!(live.remove(&key, 0).await, Ok(false));
        assert_eq!(live.remove(&key, 1).await, Ok(false));
        let written = live.write(&key, 0, b"\0first\xff", HOUR).await;
        assert_eq!(written, Ok(Written::Version(1)));
        let written = live.write(&key, 1, b"", HOUR).await;
        assert_eq!(written, Ok(Written::Version(2)));
        for expected in [0, 1, 3] {
            let refused = live.write(&key, expected, b"late", HOUR).await;
            assert_eq!(refused, Ok(Written::Conflict(2)));
            assert_eq!(live.remove(&key, expected).await, Ok(false));
        }
        let document = Document {
            value: Vec::new(),
            version: 2,
        };
        assert_eq!(live.read(&key).await, Ok(Some(document)));
        assert_eq!(live.remove(&key, 2).await, Ok(true));
        assert_eq!(live.remove(&key, 2).await, Ok(false));
        assert_eq!(live.read(&key).await, Ok(None));
        // Whoever knew the former one does not change or remove the new one.
        let written = live.write(&key, 0, b"anew", Duration::MAX).await;
        assert_eq!(written, Ok(Written::Version(3)));
        for former in [1, 2] {
            assert_eq!(live.remove(&key, former).await, Ok(false));
        }
        assert_eq!(live.remove(&key, 3).await, Ok(true));
    }
    let key = Key::Code(name());
    let largest = vec![7; VALUE_LIMIT];
    live.write(&key, 0, &largest, HOUR).await.unwrap();
    assert_eq!(live.read(&key).await.unwrap().unwrap().value, largest);
    let refused = live.write(&key, 1, &vec![7; VALUE_LIMIT + 1], HOUR).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("more than 65536 bytes"), "{refused}");
}

async fn documents_end(live: &dyn Live) {
    let [brief, touched, shortened, gone, ..] = keys();
    live.touch(&[], HOUR).await.unwrap();
    live.write(&brief, 0, b"brief", BRIEF).await.unwrap();
    live.write(&touched, 0, b"touched", BRIEF).await.unwrap();
    live.write(&shortened, 0, b"shortened", HOUR).await.unwrap();
    live.touch(&[gone.clone(), touched.clone()], HOUR)
        .await
        .unwrap();
    // A write sets the end anew.
    live.write(&shortened, 1, b"shortened", BRIEF)
        .await
        .unwrap();
    for key in [&brief, &shortened] {
        until("its end", async || live.read(key).await == Ok(None)).await;
    }
    let written = live.write(&brief, 0, b"anew", HOUR).await;
    assert_eq!(written, Ok(Written::Version(1)));
    assert_eq!(live.read(&gone).await, Ok(None));
    let kept = live.read(&touched).await.unwrap().unwrap();
    assert_eq!(
        (kept.value.as_slice(), kept.version),
        (b"touched".as_slice(), 1)
    );
}

async fn of_many_writers_one_is_first(live: &dyn Live) {
    let key = Key::Seat(player());
    let writes = join_all((0..50).map(|_| live.write(&key, 0, b"seat", HOUR))).await;
    let first = writes
        .iter()
        .filter(|written| **written == Ok(Written::Version(1)));
    assert_eq!(first.count(), 1);
    let others = writes
        .iter()
        .filter(|written| **written == Ok(Written::Conflict(1)));
    assert_eq!(others.count(), 49);
}

async fn rates(live: &dyn Live) {
    let key = Key::Rate(hash());
    let answers = join_all((0..50).map(|_| live.throttle(&key, 10, HOUR))).await;
    let waits: Vec<Duration> = answers.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(waits.len(), 40);
    let near = Duration::from_mins(59);
    assert!(waits.iter().all(|wait| *wait > near && *wait <= HOUR));
    let key = Key::Rate(hash());
    assert_eq!(live.throttle(&key, 1, BRIEF).await, Ok(None));
    let wait = live.throttle(&key, 1, BRIEF).await.unwrap().unwrap();
    assert!(wait <= BRIEF, "{wait:?}");
    until("one more", async || {
        live.throttle(&key, 1, BRIEF).await == Ok(None)
    })
    .await;
}

async fn sets(live: &dyn Live) {
    let (set, other) = (name(), name());
    assert_eq!(live.marked(&set, 10).await, Ok(Vec::new()));
    live.mark(&set, "nobody", Duration::ZERO).await.unwrap();
    for (member, keep) in [
        ("first", 2 * HOUR),
        ("second", BRIEF),
        ("third", HOUR),
        ("fourth", HOUR),
    ] {
        live.mark(&set, member, keep).await.unwrap();
    }
    live.mark(&other, "other", HOUR).await.unwrap();
    assert_eq!(live.marked(&set, 2).await.unwrap(), ["fourth", "third"]);
    // Marked again, it is the last; what is over or taken out is none.
    live.mark(&set, "third", 3 * HOUR).await.unwrap();
    live.mark(&set, "fourth", Duration::ZERO).await.unwrap();
    until("a member's end", async || {
        live.marked(&set, 10).await.unwrap() == ["third", "first"]
    })
    .await;
    assert_eq!(live.marked(&other, 10).await.unwrap(), ["other"]);
    live.mark(&other, "other", BRIEF).await.unwrap();
    until("the last member's end", async || {
        live.marked(&other, 10).await.unwrap().is_empty()
    })
    .await;
}

/// A lease by either name: its taking and its giving back.
async fn is_a_lease(
    take: impl AsyncFn(Uuid, Duration) -> Option<Fence>,
    release: impl AsyncFn(Uuid),
) {
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    release(one).await;
    let first = take(one, HOUR).await.unwrap();
    assert_eq!(take(other, HOUR).await, None);
    release(other).await;
    assert_eq!(take(other, HOUR).await, None);
    assert_eq!(take(one, HOUR).await, Some(first));
    release(one).await;
    let second = take(other, BRIEF).await.unwrap();
    assert!(second > first);
    assert_eq!(take(one, HOUR).await, None);
    // It passes, and whoever takes it then has another fence, the former holder too.
    until("the lease's end", async || take(one, BRIEF).await.is_some()).await;
    let third = take(one, BRIEF).await.unwrap();
    assert!(third > second);
    let mut last = third;
    until("another fence", async || {
        take(other, HOUR).await.is_some_and(|fence| fence > third)
    })
    .await;
    for holder in [one, other, one, other, one] {
        release(other).await;
        release(one).await;
        let fence = take(holder, HOUR).await.unwrap();
        assert!(fence > last);
        last = fence;
    }
}

async fn leases(live: &dyn Live) {
    let lease = name();
    is_a_lease(
        async |holder, keep| live.lease(&lease, holder, keep).await.unwrap(),
        async |holder| live.release(&lease, holder).await.unwrap(),
    )
    .await;
    let holder = Uuid::new_v4();
    let now = live.lease(&name(), holder, HOUR).await.unwrap().unwrap();
    // A fence is a time, so that it does not go back when all is lost.
    assert!(now > Fence(1_767_225_600_000), "{now:?}");
    assert!(now < Fence(1 << 53), "{now:?}");
}

async fn owners_are_leaseholders(live: &dyn Live) {
    let queue = name();
    is_a_lease(
        async |holder, keep| live.own(&queue, holder, keep).await.unwrap(),
        async |holder| live.disown(&queue, holder).await.unwrap(),
    )
    .await;
}

pub(crate) async fn owned(live: &dyn Live, queue: &str) -> Fence {
    let fence = live.own(queue, Uuid::new_v4(), HOUR).await.unwrap();
    fence.unwrap()
}

/// What there is to hear now.
async fn heard(live: &dyn Live, queue: &str, cursor: &mut Cursor) -> Vec<QueueNews> {
    let news = live.news(queue, cursor, 100, Duration::ZERO).await;
    news.unwrap().unwrap()
}

/// Tickets in the order of their ids.
fn sorted(tickets: &[&Ticket]) -> Vec<Ticket> {
    let mut tickets: Vec<Ticket> = tickets.iter().map(|&ticket| ticket.clone()).collect();
    tickets.sort_by_key(|ticket| ticket.id);
    tickets
}

/// Everything of a queue, its tickets in the order of their ids.
pub(crate) async fn loaded(live: &dyn Live, queue: &str) -> Loaded {
    let mut loaded = live.load(queue).await.unwrap();
    loaded.tickets.sort_by_key(|ticket| ticket.id);
    loaded.pending.sort_by_key(|pending| pending.id);
    loaded
}

async fn tickets_enter_and_leave(live: &dyn Live) {
    let (queue, other) = (name(), name());
    let empty = loaded(live, &queue).await;
    assert!(empty.tickets.is_empty() && empty.pending.is_empty());
    let mut cursor = empty.cursor;
    let (one, two) = (ticket(), ticket());
    for ticket in [&one, &two, &one] {
        live.enter(&queue, ticket).await.unwrap();
    }
    let news = heard(live, &queue, &mut cursor).await;
    let entered = |ticket: &Ticket| QueueNews::Entered(ticket.clone());
    assert_eq!(news, [entered(&one), entered(&two)]);
    let both = loaded(live, &queue).await;
    assert_eq!(both.tickets, sorted(&[&one, &two]));
    assert_eq!(both.cursor, cursor);
    assert_eq!(loaded(live, &other).await.tickets, []);

    assert_eq!(live.withdraw(&other, one.id).await, Ok(Withdrawn::Unknown));
    assert_eq!(live.withdraw(&queue, one.id).await, Ok(Withdrawn::Gone));
    assert_eq!(live.withdraw(&queue, one.id).await, Ok(Withdrawn::Unknown));
    let news = heard(live, &queue, &mut cursor).await;
    assert_eq!(news, [QueueNews::Left(one.id)]);
    assert_eq!(loaded(live, &queue).await.tickets, [two]);

    let mut large = ticket();
    large.players[0].trace_context = "7".repeat(VALUE_LIMIT);
    live.enter(&queue, &large).await.unwrap_err();
}

async fn matches_take_tickets_and_give_them_back(live: &dyn Live) {
    let queue = name();
    let fence = owned(live, &queue).await;
    let [one, two, three, four] = [(); 4].map(|()| ticket());
    for ticket in [&one, &two, &three] {
        live.enter(&queue, ticket).await.unwrap();
    }
    let mut first = pending(&[&one, &two]);
    let mut cursor = loaded(live, &queue).await.cursor;

    // All or none.
    let partly = pending(&[&one, &four]);
    let refused = live.propose(&queue, fence, &partly).await;
    assert_eq!(refused, Ok(Owned::Missing(vec![four.id])));
    assert_eq!(
        loaded(live, &queue).await.tickets,
        sorted(&[&one, &two, &three])
    );

    // Whoever does not know whether it was done asks again.
    for _ in 0..2 {
        assert_eq!(live.propose(&queue, fence, &first).await, Ok(Owned::Done));
    }
    let proposed = loaded(live, &queue).await;
    assert_eq!(proposed.tickets, std::slice::from_ref(&three));
    assert_eq!(proposed.pending, std::slice::from_ref(&first));
    // It is taken: nobody puts it in again, and nobody takes it out.
    live.enter(&queue, &one).await.unwrap();
    let withdrawn = live.withdraw(&queue, one.id).await;
    assert_eq!(withdrawn, Ok(Withdrawn::Proposed(first.id)));
    let again = pending(&[&two, &three]);
    let refused = live.propose(&queue, fence, &again).await;
    assert_eq!(refused, Ok(Owned::Missing(vec![two.id])));
    assert_eq!(heard(live, &queue, &mut cursor).await, []);

    // Players answer; the owner notes it.
    let who = one.players[0].id;
    live.answer(&queue, first.id, who, true).await.unwrap();
    live.answer(&queue, again.id, who, true).await.unwrap();
    let answered = QueueNews::Answered {
        id: first.id,
        player: who,
        accepts: true,
    };
    assert_eq!(heard(live, &queue, &mut cursor).await, [answered]);
    first.accepted.push(who);
    assert_eq!(live.amend(&queue, fence, &first).await, Ok(Owned::Done));
    let amended = live.amend(&queue, fence, &again).await;
    assert_eq!(amended, Ok(Owned::Missing(Vec::new())));
    let noted = loaded(live, &queue).await.pending;
    assert_eq!(noted, std::slice::from_ref(&first));

    // One comes back as it was, the other is forgotten; nobody else is touched.
    let back = [two.id, three.id, four.id];
    for _ in 0..2 {
        let settled = live.settle(&queue, fence, first.id, &back).await;
        assert_eq!(settled, Ok(Owned::Done));
    }
    let news = heard(live, &queue, &mut cursor).await;
    assert_eq!(news, [QueueNews::Entered(two.clone())]);
    let settled = loaded(live, &queue).await;
    assert_eq!(settled.tickets, sorted(&[&two, &three]));
    assert_eq!(settled.pending, []);
    assert_eq!(live.withdraw(&queue, one.id).await, Ok(Withdrawn::Unknown));
    let proposed = live.propose(&queue, fence, &again).await;
    assert_eq!(proposed, Ok(Owned::Done));
    let settled = live.settle(&queue, fence, again.id, &[]).await;
    assert_eq!(settled, Ok(Owned::Done));
    assert_eq!(loaded(live, &queue).await.tickets, []);
}

async fn former_owners_are_refused(live: &dyn Live) {
    let queue = name();
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let ticket = ticket();
    live.enter(&queue, &ticket).await.unwrap();
    let pending = pending(&[&ticket]);
    // Nobody owns it.
    let fence = Fence(1);
    let refused = live.propose(&queue, fence, &pending).await;
    assert_eq!(refused, Ok(Owned::Fenced));
    let fence = live.own(&queue, one, HOUR).await.unwrap().unwrap();
    live.disown(&queue, one).await.unwrap();
    // He still has the last fence.
    let done = live.propose(&queue, fence, &pending).await;
    assert_eq!(done, Ok(Owned::Done));
    let later = live.own(&queue, other, HOUR).await.unwrap().unwrap();
    let refused = live.propose(&queue, fence, &pending).await;
    assert_eq!(refused, Ok(Owned::Fenced));
    let refused = live.amend(&queue, fence, &pending).await;
    assert_eq!(refused, Ok(Owned::Fenced));
    let refused = live.settle(&queue, fence, pending.id, &[]).await;
    assert_eq!(refused, Ok(Owned::Fenced));
    assert_eq!(loaded(live, &queue).await.pending.len(), 1);
    let settled = live.settle(&queue, later, pending.id, &[]).await;
    assert_eq!(settled, Ok(Owned::Done));
}

async fn no_ticket_is_in_two_matches(live: &dyn Live) {
    let queue = name();
    let fence = owned(live, &queue).await;
    let ticket = ticket();
    live.enter(&queue, &ticket).await.unwrap();
    let matches: Vec<Pending> = (0..20).map(|_| pending(&[&ticket])).collect();
    let proposed = join_all(matches.iter().map(|one| live.propose(&queue, fence, one))).await;
    let done = proposed.iter().filter(|owned| **owned == Ok(Owned::Done));
    assert_eq!(done.count(), 1);
    assert_eq!(loaded(live, &queue).await.pending.len(), 1);
}

async fn news_come_once_and_in_order(live: &dyn Live) {
    let queue = name();
    let tickets: Vec<Ticket> = (0..10).map(|_| ticket()).collect();
    let mut cursor = live.load(&queue).await.unwrap().cursor;
    let mut from_first = Cursor::default();
    for ticket in &tickets {
        live.enter(&queue, ticket).await.unwrap();
    }
    for cursor in [&mut cursor, &mut from_first] {
        let mut news = Vec::new();
        for count in [4, 4, 2, 0] {
            let some = live.news(&queue, cursor, 4, Duration::ZERO).await;
            let some = some.unwrap().unwrap();
            assert_eq!(some.len(), count);
            news.extend(some);
        }
        let entered = tickets.iter().cloned().map(QueueNews::Entered);
        assert_eq!(news, entered.collect::<Vec<_>>());
    }
    // What was never given leads nowhere.
    for text in ["nonsense", "9999999999999-7", "99"] {
        let mut cursor = Cursor(text.to_owned());
        let none = live.news(&queue, &mut cursor, 4, Duration::ZERO).await;
        assert_eq!(none, Ok(None), "{text}");
    }
}

async fn news_are_waited_for(live: &dyn Live) {
    let (queue, quiet) = (name(), name());
    let ticket = ticket();
    let mut cursor = live.load(&queue).await.unwrap().cursor;
    let mut quiet_cursor = live.load(&quiet).await.unwrap().cursor;
    let before = tokio::time::Instant::now();
    // Whoever waits for one queue holds up nobody else.
    let (heard, silence, ()) = tokio::join!(
        live.news(&queue, &mut cursor, 4, HOUR),
        live.news(&quiet, &mut quiet_cursor, 4, BRIEF),
        async {
            live.ping().await.unwrap();
            tokio::time::timeout(BRIEF, std::future::pending::<()>())
                .await
                .unwrap_err();
            live.enter(&queue, &ticket).await.unwrap();
        },
    );
    assert!(before.elapsed() >= BRIEF && before.elapsed() < HOUR);
    assert_eq!(heard.unwrap().unwrap(), [QueueNews::Entered(ticket)]);
    assert_eq!(silence.unwrap().unwrap(), []);
}

pub(crate) async fn message(deliveries: &mut Receiver<Delivery>) -> (Channel, Vec<u8>) {
    match deliveries.recv().await.unwrap() {
        Delivery::Message { channel, bytes } => (channel, bytes.to_vec()),
        Delivery::Missed => panic!("nothing was missed"),
    }
}

async fn channels(live: &dyn Live) {
    let mut deliveries = live.deliveries();
    let mut others = live.deliveries();
    let all = [
        Channel::Player(player()),
        Channel::Chat(format!("room:{}", name())),
        Channel::Presence(player()),
    ];
    for channel in &all {
        // Nobody hears it yet, and nobody does any more in the end.
        live.publish(channel, b"early").await.unwrap();
        live.subscribe(channel).await.unwrap();
        live.subscribe(channel).await.unwrap();
        live.publish(channel, b"\0heard\xff").await.unwrap();
        let heard = (channel.clone(), b"\0heard\xff".to_vec());
        assert_eq!(message(&mut deliveries).await, heard);
        assert_eq!(message(&mut others).await, heard);
    }
    live.unsubscribe(&all[0]).await.unwrap();
    live.unsubscribe(&all[0]).await.unwrap();
    live.publish(&all[0], b"late").await.unwrap();
    for number in 0..100_u8 {
        live.publish(&all[1], &[number]).await.unwrap();
    }
    for number in 0..100_u8 {
        let heard = (all[1].clone(), vec![number]);
        assert_eq!(message(&mut deliveries).await, heard);
    }
    let large = vec![7; VALUE_LIMIT + 1];
    live.publish(&all[1], &large).await.unwrap_err();
}
