//! The versions of all objects and the changes between them.
//!
//! History must be cheap: a little behind the newest change, versions that were superseded are
//! packed into their JSON, and so are current ones of kinds with many objects.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::Retention;
use crate::object::Object;

/// How many changes stay as they are: watches that keep up never parse.
const FRESH: usize = 512;
/// Kinds with more objects than this do not keep the values of all of them.
const MANY: usize = 1000;

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Event {
    /// Version of the change.
    pub revision: u64,
    /// `namespace/name`, or `name` for kinds without namespaces.
    pub key: Arc<str>,
    /// As the object was; none if it was created.
    pub before: Option<Arc<Object>>,
    /// As the object is; none if it is gone.
    pub after: Option<Arc<Object>>,
    /// For a deletion the last state, with the version of the deletion.
    pub last: Option<Arc<Object>>,
}

/// History was asked for that is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The version asked for.
    pub requested: u64,
    /// The oldest that is kept.
    pub oldest: u64,
}

/// Which objects to list.
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    /// Resource.
    pub resource: &'a str,
    /// Only this namespace.
    pub namespace: Option<&'a str>,
    /// At this version instead of now.
    pub at: Option<u64>,
    /// Only keys after this one.
    pub after: Option<&'a str>,
}

/// A consistent list.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Version of the list.
    pub revision: u64,
    /// Objects with their keys, by key.
    pub objects: Vec<(Arc<str>, Arc<Object>)>,
}

/// Versions of all objects.
#[derive(Debug)]
pub(super) struct State {
    revision: u64,
    compacted: u64,
    tables: BTreeMap<Arc<str>, Table>,
    /// All changes that are kept, oldest first.
    marks: VecDeque<Mark>,
    /// How many of them are packed.
    packed: usize,
    /// Size of what is packed and was superseded.
    bytes: usize,
}

#[derive(Debug)]
struct Mark {
    revision: u64,
    time: Timestamp,
    resource: Arc<str>,
    key: Arc<str>,
    /// Size of the version that the change superseded, once that is packed.
    bytes: usize,
}

#[derive(Debug)]
struct Table {
    objects: BTreeMap<Arc<str>, Vec<Version>>,
    events: VecDeque<Arc<Event>>,
    signal: watch::Sender<u64>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            events: VecDeque::new(),
            signal: watch::channel(0).0,
        }
    }
}

impl Table {
    fn position(&self, revision: u64) -> usize {
        self.events
            .partition_point(|event| event.revision < revision)
    }

    /// The change that made a version.
    fn event(&self, revision: u64) -> Option<&Arc<Event>> {
        let event = self.events.get(self.position(revision))?;
        (event.revision == revision).then_some(event)
    }

    fn event_mut(&mut self, revision: u64) -> Option<&mut Arc<Event>> {
        let position = self.position(revision);
        let event = self.events.get_mut(position)?;
        (event.revision == revision).then_some(event)
    }

    /// Puts a version of an object in the place of what it was made of.
    fn replace(&mut self, key: &str, object: &Arc<Object>) {
        let revision = object.revision();
        let versions = self.objects.get_mut(key);
        let version = versions.and_then(|versions| {
            let position = versions.partition_point(|version| version.revision < revision);
            versions.get_mut(position)
        });
        if let Some(version) = version.filter(|version| version.revision == revision) {
            version.object = Some(Arc::clone(object));
        }
        if let Some(event) = self.event_mut(revision) {
            let mut made = Event::clone(event);
            made.after = Some(Arc::clone(object));
            *event = Arc::new(made);
        }
    }
}

fn pack(object: &Arc<Object>) -> Arc<Object> {
    if object.is_packed() {
        return Arc::clone(object);
    }
    Arc::new(object.packed())
}

#[derive(Debug)]
struct Version {
    revision: u64,
    /// None if the object was deleted at this version.
    object: Option<Arc<Object>>,
}

impl State {
    pub(super) fn new(revision: u64) -> Self {
        Self {
            revision,
            compacted: revision,
            tables: BTreeMap::new(),
            marks: VecDeque::new(),
            packed: 0,
            bytes: 0,
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn next_revision(&self) -> u64 {
        self.revision + 1
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    /// Puts an object back that an earlier process wrote.
    pub(super) fn restore(&mut self, resource: &str, key: Arc<str>, object: Arc<Object>) {
        let version = Version {
            revision: object.revision(),
            object: Some(object),
        };
        self.table(&Arc::from(resource))
            .objects
            .insert(key, vec![version]);
    }

    /// The newest versions alone, as a state of their own.
    pub(super) fn newest(&self) -> Self {
        let mut newest = Self::new(self.revision);
        for (resource, table) in &self.tables {
            for (key, versions) in &table.objects {
                if let Some(object) = versions.last().and_then(|last| last.object.clone()) {
                    newest.restore(resource, Arc::clone(key), object);
                }
            }
        }
        newest
    }

    fn table(&mut self, resource: &Arc<str>) -> &mut Table {
        self.tables.entry(Arc::clone(resource)).or_default()
    }

    pub(super) fn get(&self, resource: &str, key: &str) -> Option<Arc<Object>> {
        let versions = self.tables.get(resource)?.objects.get(key)?;
        versions.last()?.object.clone()
    }

    /// Notes a write at the next version.
    pub(super) fn record(
        &mut self,
        resource: &Arc<str>,
        key: &str,
        after: Option<Arc<Object>>,
        last: Option<Arc<Object>>,
        now: Timestamp,
    ) -> Arc<Event> {
        let revision = self.revision + 1;
        self.revision = revision;
        let table = self.table(resource);
        let key: Arc<str> = match table.objects.get_key_value(key) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(key),
        };
        let versions = table.objects.entry(Arc::clone(&key)).or_default();
        let before = versions.last().and_then(|version| version.object.clone());
        versions.push(Version {
            revision,
            object: after.clone(),
        });
        let event = Arc::new(Event {
            revision,
            key: Arc::clone(&key),
            before,
            after,
            last,
        });
        table.events.push_back(Arc::clone(&event));
        self.marks.push_back(Mark {
            revision,
            time: now,
            resource: Arc::clone(resource),
            key,
            bytes: 0,
        });
        while self.marks.len() > self.packed + FRESH {
            self.pack();
        }
        event
    }

    /// Packs what the oldest change that is not packed yet superseded.
    fn pack(&mut self) {
        let Some(mark) = self.marks.get_mut(self.packed) else {
            return;
        };
        self.packed += 1;
        let Some(table) = self.tables.get_mut(&mark.resource) else {
            return;
        };
        let Some(event) = table.event(mark.revision).cloned() else {
            return;
        };
        let mut event = Arc::unwrap_or_clone(event);
        if let Some(before) = &event.before {
            let packed = pack(before);
            mark.bytes = packed.json().len();
            table.replace(&mark.key, &packed);
            event.before = Some(packed);
        }
        event.last = event.last.as_ref().map(pack);
        self.bytes += mark.bytes;
        let many = table.objects.len() > MANY;
        if let Some(after) = event.after.as_ref().filter(|_| many) {
            let packed = pack(after);
            table.replace(&mark.key, &packed);
            event.after = Some(packed);
        }
        let event = Arc::new(event);
        if let Some(place) = table.event_mut(mark.revision) {
            *place = event;
        }
    }

    pub(super) fn list(&self, query: &Query<'_>) -> Result<Listed, Expired> {
        let revision = query.at.unwrap_or(self.revision);
        if revision < self.compacted {
            return Err(Expired {
                requested: revision,
                oldest: self.compacted,
            });
        }
        let mut objects = Vec::new();
        if let Some(table) = self.tables.get(query.resource) {
            // A namespace's keys all begin with its name and a slash, and nothing else does.
            let prefix = query.namespace.map(|name| format!("{name}/"));
            let start = match (query.after, &prefix) {
                (Some(after), _) => Bound::Excluded(after),
                (None, Some(prefix)) => Bound::Included(prefix.as_str()),
                (None, None) => Bound::Unbounded,
            };
            for (key, versions) in table.objects.range::<str, _>((start, Bound::Unbounded)) {
                if let Some(prefix) = &prefix
                    && !key.starts_with(prefix.as_str())
                {
                    break;
                }
                let version = versions
                    .iter()
                    .rev()
                    .find(|version| version.revision <= revision);
                if let Some(object) = version.and_then(|version| version.object.as_ref()) {
                    objects.push((Arc::clone(key), Arc::clone(object)));
                }
            }
        }
        Ok(Listed { revision, objects })
    }

    pub(super) fn events(
        &self,
        resource: &str,
        revision: u64,
        settled: u64,
        limit: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), Expired> {
        if revision < self.compacted {
            return Err(Expired {
                requested: revision,
                oldest: self.compacted,
            });
        }
        let complete = self.revision.min(settled).max(revision);
        let Some(table) = self.tables.get(resource) else {
            return Ok((Vec::new(), complete));
        };
        let first = table
            .events
            .partition_point(|event| event.revision <= revision);
        let events: Vec<Arc<Event>> = table
            .events
            .range(first..)
            .take_while(|event| event.revision <= settled)
            .take(limit)
            .cloned()
            .collect();
        let complete = match events.last() {
            Some(last) if events.len() == limit => last.revision,
            _ => complete,
        };
        Ok((events, complete))
    }

    pub(super) fn refresh(&mut self, resource: &str, form: &dyn Fn(&Object) -> Option<Value>) {
        let Some(table) = self.tables.get_mut(resource) else {
            return;
        };
        for versions in table.objects.values_mut() {
            let Some(object) = versions
                .last_mut()
                .and_then(|version| version.object.as_mut())
            else {
                continue;
            };
            if let Some(value) = form(object) {
                *object = Arc::new(Object::new(value, object.revision()));
            }
        }
    }

    pub(super) fn signal(&mut self, resource: &str) -> watch::Receiver<u64> {
        match self.tables.get(resource) {
            Some(table) => table.signal.subscribe(),
            None => self.table(&Arc::from(resource)).signal.subscribe(),
        }
    }

    pub(super) fn announce(&self, resource: &str, revision: u64) {
        if let Some(table) = self.tables.get(resource) {
            table.signal.send_replace(revision);
        }
    }

    /// Up to where history is to be forgotten by age and number.
    pub(super) fn forgettable(&self, now: Timestamp, retention: Retention) -> Option<u64> {
        let limit = now.as_second().saturating_sub(retention.seconds);
        let old = self
            .marks
            .front()
            .is_some_and(|mark| mark.time.as_second() < limit)
            .then(|| {
                let kept = self
                    .marks
                    .partition_point(|mark| mark.time.as_second() < limit);
                self.marks.get(kept.saturating_sub(1))
            })
            .flatten();
        // A tenth more than the limit is let in, so that not every write has to tidy up.
        let many = (self.marks.len() > retention.events + retention.events / 10)
            .then(|| self.marks.get(self.marks.len() - retention.events))
            .flatten();
        let large = (self.bytes > retention.bytes + retention.bytes / 10)
            .then(|| self.excess(retention.bytes))
            .flatten();
        old.into_iter()
            .chain(many)
            .chain(large)
            .map(|mark| mark.revision)
            .max()
    }

    /// The newest change to forget so that what is left is small enough.
    fn excess(&self, limit: usize) -> Option<&Mark> {
        let mut left = self.bytes;
        self.marks.iter().find(|mark| {
            left = left.saturating_sub(mark.bytes);
            left <= limit
        })
    }

    pub(super) fn compact(&mut self, revision: u64) {
        let revision = revision.min(self.revision);
        while let Some(mark) = self.marks.front()
            && mark.revision <= revision
        {
            let Some(mark) = self.marks.pop_front() else {
                break;
            };
            self.packed = self.packed.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(mark.bytes);
            let Some(table) = self.tables.get_mut(&mark.resource) else {
                continue;
            };
            while table
                .events
                .front()
                .is_some_and(|event| event.revision <= revision)
            {
                table.events.pop_front();
            }
            let Some(versions) = table.objects.get_mut(&mark.key) else {
                continue;
            };
            let newer = versions.partition_point(|version| version.revision <= revision);
            // The newest version at or before the point is what the object was there.
            let mut dropped = newer.saturating_sub(1);
            if newer > 0
                && versions
                    .get(newer - 1)
                    .is_some_and(|version| version.object.is_none())
            {
                dropped = newer;
            }
            versions.drain(..dropped);
            if versions.is_empty() {
                table.objects.remove(&mark.key);
            }
        }
        self.compacted = self.compacted.max(revision);
    }
}
