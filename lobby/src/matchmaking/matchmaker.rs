//! The matchmaker of a lobby: owns queues for as long as nobody else does, and does what their
//! [`Owner`] decides.
//!
//! Whoever is unsure what became of a write owns the queue no more: he gives it back, and the next
//! owner, be it himself, begins with what the live state has.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::owner::{Effect, Event, Owner, Seed, Why};
use super::queue::Queue;
use super::recorder::{Limits, Recorder};
use super::replay::Recorded;
use super::ticket::Ticket;
use crate::documents;
use crate::error::{Code, Failure};
use crate::ids::{PlayerId, TicketId};
use crate::live::{self, Cursor, Fence, Key, Live, Owned, QueueNews};
use crate::service::Service;
use crate::service::matches::{NewMatch, Unplaced};
use crate::service::queues::keeper::{self, not_here};
use crate::service::queues::{WAITS_KEEP, Waits, seats};

/// How long a queue stays with an owner who is not heard of.
const LEASE: Duration = Duration::from_secs(5);

/// How often the lease is renewed, and how often a lobby without it tries to get it.
const RENEW: Duration = Duration::from_secs(1);

/// The shortest time from one pass to the next.
const PACE: Duration = Duration::from_millis(50);

/// News that are taken in at once, and how long to wait for the first.
const NEWS: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes and messages that are under way at once.
const WORKS: usize = 64;

/// How long finding a server may take until the attempt counts as failed.
const PLACE: Duration = Duration::from_secs(30);

/// Tickets whose seats are looked at in each [`RENEW`], once they are older than a seat is kept.
const SWEPT: usize = 512;

/// Questions that wait for an answer, and how long one may take.
const QUESTIONS: usize = 16;
const ANSWER: Duration = Duration::from_secs(2);

/// Somebody wants to know why a ticket waits.
#[derive(Debug)]
pub struct Question {
    ticket: TicketId,
    answer: oneshot::Sender<Option<Why>>,
}

/// Why an owner ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the lobby stops")]
    Stopped,
    #[error("another lobby owns the queue")]
    Fenced,
    #[error("its news went by too fast")]
    Behind,
    #[error("the live state failed")]
    Live(#[from] live::Error),
    #[error("a task failed")]
    Task(#[from] JoinError),
}

/// Owns queues and keeps tickets until `stop` is cancelled.
pub async fn run(service: Service, stop: CancellationToken) {
    run_recorded(service, None, stop).await;
}

/// As [`run`]; what happens in the queues that it owns is written to a directory, if there is one
/// ([`recorder`](super::recorder)).
pub async fn run_recorded(service: Service, directory: Option<PathBuf>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper::run(service.clone(), stop.clone()));
    for queue in service.parts().queues.values() {
        let recorder = directory.clone().map(|directory| {
            let limits = Limits::default();
            Recorder::start(directory, &queue.name, limits)
        });
        let serving = serve(service.clone(), queue.clone(), recorder, stop.clone());
        tasks.spawn(serving);
    }
    // All of them end when they are told to. One that ends before takes the others with it, and
    // whoever runs this sees it end.
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "A queue's task failed");
        }
        if !stop.is_cancelled() {
            return;
        }
    }
}

/// Why a ticket waits, if its queue is owned by this lobby.
pub async fn explain(
    service: &Service,
    queue: &str,
    ticket: TicketId,
) -> Result<Option<Why>, Failure> {
    if !service.parts().queues.contains_key(queue) {
        return Err(Failure::new(Code::NotFound, "there is no such queue"));
    }
    let owner = service.desk().owner(queue).ok_or_else(not_here)?;
    let (answer, answered) = oneshot::channel();
    let asked = owner.try_send(Question { ticket, answer });
    asked.map_err(|_| not_here())?;
    match timeout(ANSWER, answered).await {
        Ok(Ok(why)) => Ok(why),
        Ok(Err(_)) | Err(_) => Err(not_here()),
    }
}

/// Owns a queue whenever nobody else does.
async fn serve(
    service: Service,
    queue: Queue,
    recorder: Option<Recorder>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        // A name of its own each time: what the one before has under way is refused.
        let holder = Uuid::new_v4();
        let live = &*service.parts().live;
        match live.own(&queue.name, holder, LEASE).await {
            Ok(Some(fence)) => {
                tracing::info!(queue = queue.name, "Owning a queue");
                let right = Right { holder, fence };
                let recorder = recorder.as_ref();
                let ended = own(&service, &queue, recorder, right, &stop).await;
                service.desk().set_owner(&queue.name, None);
                let Err(ended) = ended;
                tracing::info!(queue = queue.name, reason = %ended, "Owning a queue no more");
                if let Err(error) = live.disown(&queue.name, holder).await {
                    tracing::warn!(%error, queue = queue.name, "The queue's lease has to pass");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, queue = queue.name, "A queue cannot be owned"),
        }
        stop.run_until_cancelled(tokio::time::sleep(RENEW)).await;
    }
    if let Some(recorder) = recorder {
        recorder.close().await;
    }
}

/// To decide about a queue.
#[derive(Clone, Copy, Debug)]
struct Right {
    holder: Uuid,
    fence: Fence,
}

/// A queue's owner at work.
struct Shell<'run> {
    service: &'run Service,
    queue: &'run Queue,
    recorder: Option<&'run Recorder>,
    fence: Fence,
    owner: Owner,
    /// What waits for its turn.
    effects: VecDeque<Effect>,
    works: JoinSet<Done>,
    places: JoinSet<Done>,
}

/// What became of an effect.
type Done = Result<Option<Event>, Ended>;

async fn own(
    service: &Service,
    queue: &Queue,
    recorder: Option<&Recorder>,
    Right { holder, fence }: Right,
    stop: &CancellationToken,
) -> Result<std::convert::Infallible, Ended> {
    let live = &*service.parts().live;
    let loaded = live.load(&queue.name).await?;
    let (waits, _) = documents::read::<Waits>(live, &Key::Queue(queue.name.clone())).await?;
    let (heard, mut news) = mpsc::channel(1);
    let hearing = hear(
        service.clone(),
        queue.name.clone(),
        loaded.cursor.clone(),
        heard,
    );
    let _hearing = AbortOnDropHandle::new(tokio::spawn(hearing));
    let (ask, mut questions) = mpsc::channel(QUESTIONS);
    service.desk().set_owner(&queue.name, Some(ask));
    let estimates = waits.unwrap_or_default().estimates;
    let now = runtime::clock::now();
    if let Some(recorder) = recorder {
        for ticket in &loaded.tickets {
            recorder.record(now, Recorded::Entered(ticket.clone()));
        }
    }
    let (owner, effects) = Owner::new(queue.clone(), loaded, estimates, now);
    let mut shell = Shell {
        service,
        queue,
        recorder,
        fence,
        owner,
        effects: VecDeque::new(),
        works: JoinSet::new(),
        places: JoinSet::new(),
    };
    shell.take(effects);
    let mut renew = tokio::time::interval(RENEW);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_pass = Instant::now();
    loop {
        let wake = shell.wake().map(|wake| wake.max(next_pass));
        tokio::select! {
            () = stop.cancelled() => return Err(Ended::Stopped),
            heard = news.recv() => shell.hear(heard.unwrap_or(Err(Ended::Behind))?),
            Some(done) = shell.works.join_next() => shell.done(done??),
            Some(done) = shell.places.join_next() => shell.done(done??),
            Some(question) = questions.recv() => shell.explain(question),
            _ = renew.tick() => {
                if live.own(&queue.name, holder, LEASE).await? != Some(fence) {
                    return Err(Ended::Fenced);
                }
                shell.look_after();
            }
            () = sleep_until(wake) => {
                next_pass = Instant::now() + PACE;
                shell.handle(Event::Tick(seed()));
            }
        }
        shell.begin();
    }
}

impl Shell<'_> {
    /// When a pass is wanted.
    fn wake(&mut self) -> Option<Instant> {
        let wake = self.owner.wakes()?;
        let left = wake.duration_since(runtime::clock::now());
        let left = Duration::try_from(left).unwrap_or_default();
        Some(Instant::now() + left)
    }

    fn hear(&mut self, news: Vec<QueueNews>) {
        for news in news {
            self.handle(Event::News(news));
        }
    }

    fn done(&mut self, event: Option<Event>) {
        if let Some(event) = event {
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        if let Event::Placed {
            id,
            outcome: Err(unplaced),
        } = &event
        {
            tracing::warn!(queue = self.queue.name, %id, %unplaced, "A match was not placed");
        }
        let now = runtime::clock::now();
        let happened = self.recorder.and_then(|_| happened(&event));
        let effects = self.owner.handle(now, event);
        if let Some(recorder) = self.recorder {
            let decided = effects.iter().filter_map(decided);
            for what in happened.into_iter().chain(decided) {
                recorder.record(now, what);
            }
        }
        self.take(effects);
    }

    fn explain(&self, question: Question) {
        let why = self.owner.explain(question.ticket, runtime::clock::now());
        // Who asked may have gone.
        question.answer.send(why).ok();
    }

    /// Placing begins at once: the owner bounds it. The rest waits for its turn.
    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if matches!(effect, Effect::Place(_)) {
                self.places.spawn(self.carry_out(effect));
            } else {
                self.effects.push_back(effect);
            }
        }
    }

    fn begin(&mut self) {
        while self.works.len() < WORKS
            && let Some(effect) = self.effects.pop_front()
        {
            self.works.spawn(self.carry_out(effect));
        }
    }

    fn carry_out(&self, effect: Effect) -> impl Future<Output = Done> + use<> {
        let (service, queue) = (self.service.clone(), self.queue.name.clone());
        let fence = self.fence;
        async move { carry_out(&service, &queue, fence, effect).await }
    }

    /// Says how tickets wait, and looks whether somebody keeps them.
    fn look_after(&mut self) {
        if self.works.len() >= WORKS {
            return;
        }
        let (service, queue) = (self.service.clone(), self.queue.name.clone());
        let waits = Waits {
            tickets: self.owner.waiting(),
            players: self.owner.players(),
            oldest: self.owner.oldest(),
            pending: self.owner.pending(),
            at: Some(runtime::clock::now()),
            estimates: self.owner.estimates().clone(),
        };
        let keep = SignedDuration::try_from(seats::KEEP).unwrap_or(SignedDuration::MAX);
        let before = runtime::clock::now().checked_sub(keep);
        let old = self.owner.sweep(before.unwrap_or(Timestamp::MIN), SWEPT);
        self.works.spawn(async move {
            let live = &*service.parts().live;
            let key = Key::Queue(queue.clone());
            documents::put(live, &key, &waits, WAITS_KEEP).await?;
            sweep(&service, &queue, old).await?;
            Ok(None)
        });
    }
}

/// Takes tickets out that nobody keeps.
async fn sweep(
    service: &Service,
    queue: &str,
    tickets: Vec<(TicketId, Vec<PlayerId>)>,
) -> Result<(), live::Error> {
    let live = &*service.parts().live;
    for (ticket, players) in tickets {
        for player in players {
            let Some(seats::Seat::Taken(taken)) = seats::read(live, player).await? else {
                live.withdraw(queue, ticket).await?;
                break;
            };
            if taken.ticket.id != ticket {
                live.withdraw(queue, ticket).await?;
                break;
            }
        }
    }
    Ok(())
}

async fn carry_out(service: &Service, queue: &str, fence: Fence, effect: Effect) -> Done {
    let live = &*service.parts().live;
    let told = match effect {
        Effect::Propose(pending) => {
            let id = pending.id;
            let missing = match live.propose(queue, fence, &pending).await? {
                Owned::Done => Vec::new(),
                Owned::Missing(missing) => missing,
                Owned::Fenced => return Err(Ended::Fenced),
            };
            return Ok(Some(Event::Proposed { id, missing }));
        }
        Effect::Amend(pending) => match live.amend(queue, fence, &pending).await? {
            // It was settled meanwhile.
            Owned::Done | Owned::Missing(_) => return Ok(None),
            Owned::Fenced => return Err(Ended::Fenced),
        },
        Effect::Settle { id, back } => match live.settle(queue, fence, id, &back).await? {
            Owned::Done | Owned::Missing(_) => return Ok(Some(Event::Settled(id))),
            Owned::Fenced => return Err(Ended::Fenced),
        },
        Effect::Withdraw { ticket, reason } => {
            live.withdraw(queue, ticket.id).await?;
            service.ticket_gone(queue, &ticket, reason).await
        }
        Effect::Gone { ticket, reason } => service.ticket_gone(queue, &ticket, reason).await,
        Effect::Ask(pending) => service.ask(queue, &pending).await,
        Effect::Returned(ticket) => service.ticket_returned(queue, &ticket).await,
        Effect::Place(wanted) => return Ok(Some(place(service, &wanted).await)),
    };
    // What players are told is no state of the queue: their lobbies find out.
    if let Err(error) = told {
        tracing::warn!(%error, queue, "Players were not told what became of their tickets");
    }
    Ok(None)
}

async fn place(service: &Service, wanted: &NewMatch) -> Event {
    let outcome = match timeout(PLACE, service.place(wanted)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(unplaced)) => Err(unplaced),
        Err(_) => Err(Unplaced::Unavailable("it took too long".to_owned())),
    };
    Event::Placed {
        id: wanted.id,
        outcome,
    }
}

/// Hears a queue's news from `cursor` on.
async fn hear(
    service: Service,
    queue: String,
    mut cursor: Cursor,
    heard: mpsc::Sender<Result<Vec<QueueNews>, Ended>>,
) {
    let live: &dyn Live = &*service.parts().live;
    loop {
        let news = match live.news(&queue, &mut cursor, NEWS, PATIENCE).await {
            Ok(Some(news)) if news.is_empty() => continue,
            Ok(Some(news)) => Ok(news),
            Ok(None) => Err(Ended::Behind),
            Err(error) => Err(error.into()),
        };
        let is_over = news.is_err();
        if heard.send(news).await.is_err() || is_over {
            return;
        }
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What a recording says of an event.
fn happened(event: &Event) -> Option<Recorded> {
    match event {
        Event::News(QueueNews::Entered(ticket)) => Some(Recorded::Entered(ticket.clone())),
        Event::News(QueueNews::Left(id)) => Some(Recorded::Left(*id)),
        Event::Placed {
            id,
            outcome: Ok(()),
        } => Some(Recorded::Placed(*id)),
        Event::News(QueueNews::Answered { .. })
        | Event::Tick(_)
        | Event::Proposed { .. }
        | Event::Placed { .. }
        | Event::Settled(_) => None,
    }
}

/// What a recording says of an effect.
fn decided(effect: &Effect) -> Option<Recorded> {
    let Effect::Propose(pending) = effect else {
        return None;
    };
    let teams = pending.teams.iter();
    let ids = |team: &Vec<Ticket>| team.iter().map(|ticket| ticket.id).collect();
    Some(Recorded::Proposed {
        id: pending.id,
        region: pending.region.clone(),
        teams: teams.map(ids).collect(),
    })
}

/// Without randomness ids are those of the time, and the worst is a match that is not proposed.
fn seed() -> Seed {
    let mut seed = Seed::default();
    aws_lc_rs::rand::fill(&mut seed).ok();
    seed
}
