//! The live state in Valkey (or Redis 7): one node, or a cluster when more than one address is
//! given.
//!
//! Calls go by a [`Client`], which bounds them. Each call is one command or one script, and keys of
//! one call share a slot. What waits (news of queues) or is long (all of a queue) has connections of
//! its own (`readers`), and channels have another (`ears`), which [`Valkey::listen`] holds.
//!
//! What is lost when Valkey comes back empty: documents, sets, tickets and matches that are not
//! committed. Fences hold the time, so that owners from before are fenced all the same; cursors into
//! the news of before lead to `None`.

mod ears;
mod readers;
mod side;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use redis::{FromRedisValue, RedisResult, Value, cmd, pipe};
use storage::valkey::{Client, Config, Nodes, Script};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::ears::Ears;
use self::readers::Readers;
use super::{
    Channel, Cursor, Delivery, Document, Error, Fence, KEEP_LIMIT, Key, Live, Loaded, MEMBERS,
    NEWS_KEPT, Owned, PENDING_LIMIT, Pending, QueueNews, REMEMBERED, TICKETS, VALUE_LIMIT,
    Withdrawn, Written, encode, gcra,
};
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::matchmaking::Ticket;

/// How long a server is asked to wait for news at once: a server that is gone is noticed after this
/// and the limit of a call.
const BLOCK: Duration = Duration::from_secs(1);

/// How long it may take to load a queue, which may be large.
const LOAD: Duration = Duration::from_secs(10);

/// How long a fence is remembered after its lease is over. Those that are forgotten are not given
/// again, for the time went on.
const FENCE: Duration = Duration::from_hours(24);

/// How many documents are touched at once.
const TOUCHES: usize = 256;

/// The live state in Valkey.
pub struct Valkey {
    client: Client,
    limit: Duration,
    /// Where the other connections lead.
    nodes: watch::Sender<Arc<Nodes>>,
    readers: Readers,
    ears: Ears,
    scripts: Scripts,
}

/// What takes more than one command, and lets nothing come between.
struct Scripts {
    write: Script,
    remove: Script,
    throttle: Script,
    mark: Script,
    marked: Script,
    lease: Script,
    release: Script,
    enter: Script,
    withdraw: Script,
    answer: Script,
    propose: Script,
    amend: Script,
    settle: Script,
}

/// A script of a queue, behind what these share.
macro_rules! of_queue {
    ($file:literal) => {
        Script::new(concat!(
            include_str!("valkey/queue.lua"),
            include_str!($file)
        ))
    };
}

impl Scripts {
    fn new() -> Self {
        Self {
            write: Script::new(include_str!("valkey/write.lua")),
            remove: Script::new(include_str!("valkey/remove.lua")),
            throttle: Script::new(include_str!("valkey/throttle.lua")),
            mark: Script::new(include_str!("valkey/mark.lua")),
            marked: Script::new(include_str!("valkey/marked.lua")),
            lease: Script::new(include_str!("valkey/lease.lua")),
            release: Script::new(include_str!("valkey/release.lua")),
            enter: of_queue!("valkey/enter.lua"),
            withdraw: of_queue!("valkey/withdraw.lua"),
            answer: of_queue!("valkey/answer.lua"),
            propose: of_queue!("valkey/propose.lua"),
            amend: of_queue!("valkey/amend.lua"),
            settle: of_queue!("valkey/settle.lua"),
        }
    }
}

impl fmt::Debug for Valkey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Valkey")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl From<storage::valkey::Error> for Error {
    fn from(error: storage::valkey::Error) -> Self {
        Self(error.0)
    }
}

impl Valkey {
    /// Connects when it is first called, inside a tokio runtime; fails for bad addresses alone.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(config)?,
            limit: config.limit,
            nodes: watch::Sender::new(Arc::new(config.nodes.clone())),
            readers: Readers::new(),
            ears: Ears::new(config.limit),
            scripts: Scripts::new(),
        })
    }

    /// Uses other nodes, or the same ones by another password, from the next call on. What is under
    /// way ends where it began.
    pub fn renew(&self, nodes: &Nodes) -> Result<(), Error> {
        self.client.renew(nodes)?;
        self.nodes.send_replace(Arc::new(nodes.clone()));
        Ok(())
    }

    /// Hears channels until it is stopped. Without it, nothing is heard and subscribing fails.
    /// [`Delivery::Missed`] tells when channels are heard, the first time and after each loss.
    pub async fn listen(&self, stop: &CancellationToken) {
        self.ears.listen(self.nodes.subscribe(), stop).await;
    }

    /// Runs a script within the bounds of a call.
    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, Error> {
        let work = self.client.run(script, keys, arguments);
        Ok(self.client.within(work).await?)
    }

    /// Runs a script of a queue.
    async fn run_in<T: FromRedisValue>(
        &self,
        queue: &str,
        script: &Script,
        arguments: &[&[u8]],
    ) -> Result<T, Error> {
        let keys = Place::ALL.map(|place| place.key(queue));
        let keys = keys.each_ref().map(String::as_str);
        let kept = NEWS_KEPT.to_string();
        let arguments: Vec<&[u8]> = std::iter::once(kept.as_bytes())
            .chain(arguments.iter().copied())
            .collect();
        self.run(script, &keys, &arguments).await
    }

    /// Runs a script of a queue's owner.
    async fn run_owned(
        &self,
        queue: &str,
        script: &Script,
        arguments: &[&[u8]],
    ) -> Result<Owned, Error> {
        let answer: Vec<String> = self.run_in(queue, script, arguments).await?;
        let mut words = answer.into_iter();
        match words.next().as_deref() {
            Some("done") => Ok(Owned::Done),
            Some("fenced") => Ok(Owned::Fenced),
            Some("missing") => {
                let missing = words.map(|word| word.parse()).collect::<Result<_, _>>();
                Ok(Owned::Missing(missing.map_err(|_| senseless())?))
            }
            _ => Err(senseless()),
        }
    }

    async fn take_lease(
        &self,
        key: &str,
        holder: Uuid,
        keep: Duration,
    ) -> Result<Option<Fence>, Error> {
        let arguments = [
            holder.to_string(),
            millis(keep).to_string(),
            millis(FENCE).to_string(),
        ];
        let arguments = arguments.each_ref().map(String::as_bytes);
        let fence: Option<u64> = self.run(&self.scripts.lease, &[key], &arguments).await?;
        Ok(fence.map(Fence))
    }

    async fn release_lease(&self, key: &str, holder: Uuid) -> Result<(), Error> {
        let holder = holder.to_string();
        self.run(&self.scripts.release, &[key], &[holder.as_bytes()])
            .await
    }
}

/// The keys of a queue, which share its slot, in the order in which scripts take them.
#[derive(Clone, Copy)]
enum Place {
    Owner,
    Tickets,
    Taken,
    Matches,
    Rosters,
    News,
}

impl Place {
    const ALL: [Self; 6] = [
        Self::Owner,
        Self::Tickets,
        Self::Taken,
        Self::Matches,
        Self::Rosters,
        Self::News,
    ];

    fn key(self, queue: &str) -> String {
        let part = match self {
            Self::Owner => "owner",
            Self::Tickets => "tickets",
            Self::Taken => "taken",
            Self::Matches => "matches",
            Self::Rosters => "rosters",
            Self::News => "news",
        };
        format!("lobby:queue:{{{queue}}}:{part}")
    }
}

/// The keys of a set: when its members end, and when they were marked.
fn set_keys(set: &str) -> [String; 2] {
    ["ends", "marked"].map(|part| format!("lobby:set:{{{set}}}:{part}"))
}

/// Where in a queue's stream somebody is: when it began, and which number was read last.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Position {
    began: u64,
    number: u64,
}

impl Position {
    /// Before the first of whatever stream comes.
    const START: Self = Self {
        began: 0,
        number: 0,
    };

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::START);
        }
        let (began, number) = text.split_once('-')?;
        Some(Self {
            began: began.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    /// Whether this is what comes after `seen`.
    fn follows(self, seen: Self) -> bool {
        if seen == Self::START {
            self.number == 0
        } else {
            self.began == seen.began && self.number == seen.number + 1
        }
    }

    /// Whether a stream whose last news is here may have what comes after `seen`.
    fn continues(self, seen: Self) -> bool {
        seen == Self::START || self.began == seen.began && self.number >= seen.number
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.began, self.number)
    }
}

/// News with their ids, as the server tells them.
type Entries = Vec<(String, Vec<Vec<u8>>)>;

/// Entries of streams by their keys; of none if nothing came.
type Streams = Option<Vec<(String, Entries)>>;

/// News that follow on what was seen, and the last of them. None when some are missing.
fn follow(mut seen: Position, entries: Entries) -> Option<(Vec<QueueNews>, Position)> {
    let mut news = Vec::new();
    for (id, fields) in entries {
        let position = Position::parse(&id)?;
        if !position.follows(seen) {
            return None;
        }
        seen = position;
        news.extend(fields.get(1).and_then(|text| decode(text)));
    }
    Some((news, seen))
}

/// What somebody wrote down. What is not understood is of a newer version, whose lobbies will own
/// the queue.
fn decode<T: serde::de::DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_slice(text)
        .inspect_err(|error| tracing::warn!(%error, "Did not understand what a queue holds"))
        .ok()
}

fn senseless() -> Error {
    Error("an answer without sense".to_owned())
}

/// A span as the server takes it: at least a millisecond.
fn millis(keep: Duration) -> u64 {
    let millis = keep.min(KEEP_LIMIT).as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX).max(1)
}

#[async_trait]
impl Live for Valkey {
    async fn ping(&self) -> Result<(), Error> {
        let _: Value = self.client.call(&cmd("PING")).await?;
        Ok(())
    }

    async fn read(&self, key: &Key) -> Result<Option<Document>, Error> {
        let mut get = cmd("HMGET");
        get.arg(key.to_string()).arg("version").arg("value");
        let (version, value): (Option<u64>, Option<Vec<u8>>) = self.client.call(&get).await?;
        let document = version.zip(value);
        Ok(document.map(|(version, value)| Document { value, version }))
    }

    async fn write(
        &self,
        key: &Key,
        expected: u64,
        value: &[u8],
        keep: Duration,
    ) -> Result<Written, Error> {
        Error::check(value, VALUE_LIMIT)?;
        let (expected, keep) = (expected.to_string(), millis(keep).to_string());
        let arguments = [expected.as_bytes(), value, keep.as_bytes()];
        let key = key.to_string();
        let (written, version): (bool, u64) =
            self.run(&self.scripts.write, &[&key], &arguments).await?;
        Ok(if written {
            Written::Version(version)
        } else {
            Written::Conflict(version)
        })
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        let (key, expected) = (key.to_string(), expected.to_string());
        let remembered = millis(REMEMBERED).to_string();
        let arguments = [expected.as_bytes(), remembered.as_bytes()];
        self.run(&self.scripts.remove, &[&key], &arguments).await
    }

    async fn touch(&self, keys: &[Key], keep: Duration) -> Result<(), Error> {
        for some in keys.chunks(TOUCHES) {
            // They are in different slots; one connection takes them one behind the other.
            let touches = some.iter().map(async |key| -> RedisResult<()> {
                let mut expire = cmd("PEXPIRE");
                expire.arg(key.to_string()).arg(millis(keep));
                self.client.execute(&expire).await
            });
            self.client.within(try_join_all(touches)).await?;
        }
        Ok(())
    }

    async fn throttle(
        &self,
        key: &Key,
        burst: u32,
        period: Duration,
    ) -> Result<Option<Duration>, Error> {
        let (burst, period) = gcra::parts(burst, period);
        let (burst, period) = (burst.to_string(), period.to_string());
        let arguments = [burst.as_bytes(), period.as_bytes()];
        let key = key.to_string();
        let wait: u64 = self
            .run(&self.scripts.throttle, &[&key], &arguments)
            .await?;
        Ok(Some(Duration::from_micros(wait)).filter(|wait| !wait.is_zero()))
    }

    async fn mark(&self, set: &str, member: &str, keep: Duration) -> Result<(), Error> {
        Error::check(member.as_bytes(), VALUE_LIMIT)?;
        let keep = if keep.is_zero() { 0 } else { millis(keep) };
        let (keep, most) = (keep.to_string(), MEMBERS.to_string());
        let arguments = [member.as_bytes(), keep.as_bytes(), most.as_bytes()];
        let keys = set_keys(set);
        let keys = keys.each_ref().map(String::as_str);
        let has_room: bool = self.run(&self.scripts.mark, &keys, &arguments).await?;
        has_room.then_some(()).ok_or_else(|| Error::full("the set"))
    }

    async fn marked(&self, set: &str, limit: usize) -> Result<Vec<String>, Error> {
        if limit == 0 {
            // The server takes none for all.
            return Ok(Vec::new());
        }
        let limit = limit.to_string();
        let keys = set_keys(set);
        let keys = keys.each_ref().map(String::as_str);
        self.run(&self.scripts.marked, &keys, &[limit.as_bytes()])
            .await
    }

    async fn lease(
        &self,
        name: &str,
        holder: Uuid,
        keep: Duration,
    ) -> Result<Option<Fence>, Error> {
        self.take_lease(&format!("lobby:lease:{{{name}}}"), holder, keep)
            .await
    }

    async fn release(&self, name: &str, holder: Uuid) -> Result<(), Error> {
        self.release_lease(&format!("lobby:lease:{{{name}}}"), holder)
            .await
    }

    async fn own(&self, queue: &str, holder: Uuid, keep: Duration) -> Result<Option<Fence>, Error> {
        self.take_lease(&Place::Owner.key(queue), holder, keep)
            .await
    }

    async fn disown(&self, queue: &str, holder: Uuid) -> Result<(), Error> {
        self.release_lease(&Place::Owner.key(queue), holder).await
    }

    async fn enter(&self, queue: &str, ticket: &Ticket) -> Result<(), Error> {
        let text = encode(ticket, VALUE_LIMIT)?;
        let (id, most) = (ticket.id.to_string(), TICKETS.to_string());
        let arguments = [id.as_bytes(), &text, most.as_bytes()];
        let has_room: bool = self.run_in(queue, &self.scripts.enter, &arguments).await?;
        has_room
            .then_some(())
            .ok_or_else(|| Error::full("the queue"))
    }

    async fn withdraw(&self, queue: &str, ticket: TicketId) -> Result<Withdrawn, Error> {
        let id = ticket.to_string();
        let news = encode(&QueueNews::Left(ticket), VALUE_LIMIT)?;
        let script = &self.scripts.withdraw;
        let answer: Option<String> = self.run_in(queue, script, &[id.as_bytes(), &news]).await?;
        match answer.as_deref() {
            None => Ok(Withdrawn::Unknown),
            Some("gone") => Ok(Withdrawn::Gone),
            Some(id) => {
                let id = id.parse().map_err(|_| senseless())?;
                Ok(Withdrawn::Proposed(id))
            }
        }
    }

    async fn answer(
        &self,
        queue: &str,
        id: MatchId,
        player: PlayerId,
        accepts: bool,
    ) -> Result<(), Error> {
        let answered = QueueNews::Answered {
            id,
            player,
            accepts,
        };
        let (id, news) = (id.to_string(), encode(&answered, VALUE_LIMIT)?);
        self.run_in(queue, &self.scripts.answer, &[id.as_bytes(), &news])
            .await
    }

    async fn load(&self, queue: &str) -> Result<Loaded, Error> {
        let mut commands = pipe();
        commands
            .atomic()
            .cmd("HVALS")
            .arg(Place::Tickets.key(queue))
            .cmd("HVALS")
            .arg(Place::Matches.key(queue))
            .cmd("XREVRANGE")
            .arg(Place::News.key(queue))
            .arg(&["+", "-", "COUNT", "1"]);
        let (tickets, pending, last): (Vec<Vec<u8>>, Vec<Vec<u8>>, Entries) =
            self.readers.read(&self.nodes, &commands, LOAD).await?;
        // As many as there may be take long enough to hold others up.
        let decoded = tokio::task::spawn_blocking(move || Loaded {
            tickets: tickets.iter().filter_map(|text| decode(text)).collect(),
            pending: pending.iter().filter_map(|text| decode(text)).collect(),
            cursor: Cursor(
                last.into_iter()
                    .map(|(id, _)| id)
                    .next()
                    .unwrap_or_default(),
            ),
        });
        decoded.await.map_err(|error| Error(error.to_string()))
    }

    async fn news(
        &self,
        queue: &str,
        cursor: &mut Cursor,
        limit: usize,
        patience: Duration,
    ) -> Result<Option<Vec<QueueNews>>, Error> {
        let Some(seen) = Position::parse(&cursor.0) else {
            return Ok(None);
        };
        let key = Place::News.key(queue);
        let began = Instant::now();
        loop {
            let left = patience.saturating_sub(began.elapsed()).min(BLOCK);
            let mut commands = pipe();
            commands
                .cmd("XREVRANGE")
                .arg(&key)
                .arg(&["+", "-", "COUNT", "1"])
                .cmd("XREAD")
                .arg("COUNT")
                .arg(limit.max(1));
            if !left.is_zero() {
                commands.arg("BLOCK").arg(millis(left));
            }
            commands.arg("STREAMS").arg(&key).arg(seen.to_string());
            let limit = left + self.limit;
            let (last, streams): (Entries, Streams) =
                self.readers.read(&self.nodes, &commands, limit).await?;
            // A stream that is gone has no last, and is at the start again.
            let last = last.first().map_or("", |(id, _)| id);
            if !Position::parse(last).is_some_and(|last| last.continues(seen)) {
                return Ok(None);
            }
            match streams.into_iter().flatten().next() {
                Some((_, entries)) => {
                    return Ok(follow(seen, entries).map(|(news, seen)| {
                        cursor.0 = seen.to_string();
                        news
                    }));
                }
                None if began.elapsed() >= patience => return Ok(Some(Vec::new())),
                None => {}
            }
        }
    }

    async fn propose(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error> {
        let text = encode(pending, PENDING_LIMIT)?;
        let (fence, id) = (fence.0.to_string(), pending.id.to_string());
        let tickets: Vec<String> = pending.tickets().map(|id| id.to_string()).collect();
        let arguments: Vec<&[u8]> = [fence.as_bytes(), id.as_bytes(), &text]
            .into_iter()
            .chain(tickets.iter().map(String::as_bytes))
            .collect();
        self.run_owned(queue, &self.scripts.propose, &arguments)
            .await
    }

    async fn amend(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error> {
        let text = encode(pending, PENDING_LIMIT)?;
        let (fence, id) = (fence.0.to_string(), pending.id.to_string());
        let arguments = [fence.as_bytes(), id.as_bytes(), &text];
        self.run_owned(queue, &self.scripts.amend, &arguments).await
    }

    async fn settle(
        &self,
        queue: &str,
        fence: Fence,
        id: MatchId,
        back: &[TicketId],
    ) -> Result<Owned, Error> {
        let arguments: Vec<String> = [fence.0.to_string(), id.to_string()]
            .into_iter()
            .chain(back.iter().map(TicketId::to_string))
            .collect();
        let arguments: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
        self.run_owned(queue, &self.scripts.settle, &arguments)
            .await
    }

    async fn subscribe(&self, channel: &Channel) -> Result<(), Error> {
        self.ears.wish(channel, true).await
    }

    async fn unsubscribe(&self, channel: &Channel) -> Result<(), Error> {
        self.ears.wish(channel, false).await
    }

    async fn publish(&self, channel: &Channel, bytes: &[u8]) -> Result<(), Error> {
        Error::check(bytes, VALUE_LIMIT)?;
        let mut publish = cmd("SPUBLISH");
        publish.arg(channel.to_string()).arg(bytes);
        let _: i64 = self.client.call(&publish).await?;
        Ok(())
    }

    fn deliveries(&self) -> broadcast::Receiver<Delivery> {
        self.ears.deliveries()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> (String, Vec<Vec<u8>>) {
        let news = QueueNews::Left(TicketId(Uuid::from_u128(1)));
        let text = serde_json::to_vec(&news).unwrap();
        (id.to_owned(), vec![b"news".to_vec(), text])
    }

    #[test]
    fn addresses_decide() {
        let bad = Config::new(vec!["http://host".to_owned()]);
        assert!(Valkey::new(&bad).is_err());
    }

    #[test]
    fn spans_fit_the_server() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        assert_eq!(millis(Duration::MAX), 315_360_000_000);
    }

    #[test]
    fn news_follow_without_a_gap() {
        let (news, seen) = follow(Position::START, vec![entry("7-0"), entry("7-1")]).unwrap();
        assert_eq!((news.len(), seen.to_string().as_str()), (2, "7-1"));
        // One of a newer version is skipped, and its number counts.
        let mut unknown = entry("7-2");
        unknown.1[1] = b"{}".to_vec();
        let (news, seen) = follow(seen, vec![unknown, entry("7-3")]).unwrap();
        assert_eq!((news.len(), seen.to_string().as_str()), (1, "7-3"));
        for (seen, next) in [("", "7-1"), ("7-3", "7-5"), ("7-3", "8-0"), ("7-3", "8-4")] {
            let seen = Position::parse(seen).unwrap();
            assert!(follow(seen, vec![entry(next)]).is_none(), "{next}");
        }
    }
}
