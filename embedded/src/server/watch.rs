//! The verb watch: a stream of events, read from the store's history at the watch's own pace.
//!
//! A watch keeps no queue of its own: it remembers up to which version it has told, and reads on
//! from there when the store signals. One that is too slow finds its place forgotten and ends with
//! an error event, so that it costs no memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::answer::{metadata, to_json};
use super::call::Answer;
use super::catalog::{Catalog, Served};
use super::list::{Selection, parse_version};
use super::negotiate::{Encoding, Form, Wanted};
use super::params::ListOptions;
use super::request::Request;
use super::{protobuf, tables};
use crate::Clock;
use crate::object::Object;
use crate::present::table::Include;
use crate::status::Status;
use crate::store::{Event, Expired, Query, Store};

/// Events that are read at once.
const BATCH: usize = 256;
/// Time between bookmarks.
const BOOKMARK: Duration = Duration::from_mins(1);
/// Bookmarks are also sent so long before a watch ends.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// How long a watch lasts whose client does not say.
const TIMEOUT: Duration = Duration::from_mins(45);

impl Api {
    /// `GET` of a collection with `watch`.
    pub(super) fn watch(
        &self,
        request: &Request<'_>,
        options: &ListOptions,
        wanted: Wanted,
    ) -> Result<Answer, Status> {
        let served = request.served;
        let mut selection = Selection::parse(served, options)?;
        if !request.name().is_empty() {
            selection.fields = super::fields::Fields::name(request.name());
        }
        let version = parse_version(&options.version)
            .map_err(|error| Status::new(500, "", error))?
            .unwrap_or_default();
        let initial = options.initial_events.unwrap_or(version == 0);
        let signal = self.store.signal(&served.resource);
        let now = Instant::now();
        let timeout = options
            .timeout_seconds
            .filter(|seconds| *seconds > 0)
            .map_or(TIMEOUT, Duration::from_secs);
        let mut watching = Watching {
            store: self.store.clone(),
            served: Arc::clone(served),
            namespace: (!request.namespace().is_empty())
                .then(|| format!("{}/", request.namespace())),
            selection,
            form: wanted.form,
            encoding: wanted.encoding,
            include: wanted.include,
            clock: Arc::clone(&self.clock),
            told_columns: false,
            cursor: version,
            ready: VecDeque::new(),
            signal,
            catalog: self.catalog_changes(),
            stop: self.stop.clone(),
            bookmarks: options.bookmarks,
            next_bookmark: now + BOOKMARK,
            end: now + timeout,
            ended: false,
        };
        if initial {
            watching.begin(request.namespace(), options.bookmarks);
        } else if version == 0 {
            watching.cursor = self.store.settled_revision();
        }
        Ok(Answer::Stream {
            content_type: match wanted.encoding {
                Encoding::Protobuf => protobuf::WATCH_MEDIA_TYPE,
                Encoding::Json | Encoding::Yaml => "application/json",
            },
            stream: watching.into_stream(),
        })
    }
}

/// The state of one watch.
struct Watching {
    store: Store,
    served: Arc<Served>,
    /// `namespace/`, if only one is watched.
    namespace: Option<String>,
    selection: Selection,
    form: Form,
    encoding: Encoding,
    include: Include,
    clock: Clock,
    told_columns: bool,
    /// Up to which version everything was told.
    cursor: u64,
    ready: VecDeque<Bytes>,
    signal: watch::Receiver<u64>,
    /// Changes when kinds come and go.
    catalog: watch::Receiver<Arc<Catalog>>,
    stop: CancellationToken,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    ended: bool,
}

impl Watching {
    fn into_stream(self) -> BoxStream<'static, Bytes> {
        stream::unfold(self, |mut watching| async move {
            let bytes = watching.next().await?;
            Some((bytes, watching))
        })
        .boxed()
    }

    /// Tells of everything that exists.
    fn begin(&mut self, namespace: &str, bookmark: bool) {
        let listed = self
            .store
            .list(&Query {
                resource: &self.served.resource,
                namespace: (!namespace.is_empty()).then_some(namespace),
                at: Some(self.store.settled_revision()),
                after: None,
            })
            .unwrap_or_default();
        for (_, object) in &listed.objects {
            if let Some(shown) = self.matching(object) {
                let line = self.line("ADDED", &shown);
                self.ready.push_back(line);
            }
        }
        self.cursor = listed.revision;
        if bookmark {
            let line = self.bookmark(true);
            self.ready.push_back(line);
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(first) = self.ready.pop_front() {
                return Some(self.gather(first));
            }
            if self.ended {
                return None;
            }
            self.signal.mark_unchanged();
            match self.store.events(&self.served.resource, self.cursor, BATCH) {
                Ok((events, complete)) => {
                    for event in &events {
                        self.tell(event);
                    }
                    self.cursor = complete;
                    if !self.ready.is_empty() || events.len() == BATCH {
                        continue;
                    }
                }
                Err(expired) => {
                    self.fail(expired);
                    continue;
                }
            }
            self.wait().await;
        }
    }

    /// Puts lines together that are ready, so that a burst is not a frame per event.
    fn gather(&mut self, first: Bytes) -> Bytes {
        const MOST: usize = 64 * 1024;
        if self.ready.is_empty() {
            return first;
        }
        let mut bytes = Vec::with_capacity(first.len() * 2);
        bytes.extend_from_slice(&first);
        while bytes.len() < MOST
            && let Some(line) = self.ready.pop_front()
        {
            bytes.extend_from_slice(&line);
        }
        Bytes::from(bytes)
    }

    async fn wait(&mut self) {
        let last = self.end.checked_sub(LAST_BOOKMARK).unwrap_or(self.end);
        let bookmark = if self.next_bookmark < last {
            self.next_bookmark
        } else {
            last.max(self.next_bookmark.min(last))
        };
        let bookmark_due = self.bookmarks && Instant::now() < bookmark;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => self.ended = true,
            changed = self.signal.changed() => self.ended |= changed.is_err(),
            changed = self.catalog.changed() => self.ended |= changed.is_err() || !self.is_served(),
            () = sleep_until(bookmark), if bookmark_due => {
                self.next_bookmark = Instant::now() + BOOKMARK;
                let line = self.bookmark(false);
                self.ready.push_back(line);
            }
            () = sleep_until(self.end) => self.ended = true,
        }
    }

    /// A watch of a kind that is gone, or is another now, ends.
    fn is_served(&self) -> bool {
        self.catalog
            .borrow()
            .of(&self.served.kind)
            .is_some_and(|served| Arc::ptr_eq(served, &self.served))
    }

    fn tell(&mut self, event: &Event) {
        if let Some(namespace) = &self.namespace
            && !event.key.starts_with(namespace.as_str())
        {
            return;
        }
        let before = event
            .before
            .as_ref()
            .and_then(|object| self.matching(object));
        let after = event
            .after
            .as_ref()
            .and_then(|object| self.matching(object));
        let line = match (before, after) {
            (None, None) => return,
            (None, Some(after)) => self.line("ADDED", &after),
            (Some(_), Some(after)) => self.line("MODIFIED", &after),
            (Some(before), None) => {
                let last = event.last.as_ref().map(|last| self.served.show(last));
                let last = last.unwrap_or_else(|| {
                    // It no longer matches: the last state that did, at the version of the change.
                    let mut value = Object::opened(&before).value().clone();
                    super::write::set_meta(
                        &mut value,
                        "resourceVersion",
                        event.revision.to_string().into(),
                    );
                    Arc::new(Object::new(value, event.revision))
                });
                self.line("DELETED", &last)
            }
        };
        self.ready.push_back(line);
    }

    /// An object as it is shown, if it is wanted.
    fn matching(&self, object: &Arc<Object>) -> Option<Arc<Object>> {
        let shown = self.served.show(object);
        if self.selection.is_empty() {
            return Some(shown);
        }
        let shown = Object::opened(&shown);
        self.selection
            .matches(&self.served.kind, shown.value())
            .then_some(shown)
    }

    fn line(&mut self, event: &str, object: &Arc<Object>) -> Bytes {
        match self.form {
            Form::Whole if self.encoding == Encoding::Json => line(event, object.json()),
            Form::Whole => self.write(event, object.value()),
            Form::Metadata => self.write(event, &metadata(object.value())),
            Form::Table => {
                let now = (self.clock)();
                let headers = !std::mem::replace(&mut self.told_columns, true);
                let table = tables::object(&self.served, object, self.include, headers, now);
                self.write(event, &table)
            }
        }
    }

    /// An event as the client wants it.
    fn write(&self, event: &str, object: &Value) -> Bytes {
        if self.encoding == Encoding::Protobuf
            && let Some(frame) = protobuf::frame(event, object)
        {
            return Bytes::from(frame);
        }
        line(event, &to_json(object))
    }

    fn bookmark(&self, initial_end: bool) -> Bytes {
        let kind = &self.served.kind;
        let mut object = json!({
            "kind": kind.kind,
            "apiVersion": kind.api_version(),
            "metadata": { "resourceVersion": self.cursor.to_string() },
        });
        if initial_end {
            object["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        match self.form {
            Form::Whole => {}
            Form::Metadata => object = metadata(&object),
            Form::Table => {
                object = json!({
                    "kind": "Table",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": { "resourceVersion": self.cursor.to_string() },
                    "columnDefinitions": null,
                    "rows": [{ "cells": [], "object": metadata(&object) }],
                });
            }
        }
        self.write("BOOKMARK", &object)
    }

    fn fail(&mut self, expired: Expired) {
        let status = Status::expired(format!(
            "too old resource version: {} ({})",
            expired.requested, expired.oldest
        ));
        let line = self.write("ERROR", &status.to_value());
        self.ready.push_back(line);
        self.ended = true;
    }
}

fn line(event: &str, object: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(object.len() + 40);
    bytes.extend_from_slice(b"{\"type\":\"");
    bytes.extend_from_slice(event.as_bytes());
    bytes.extend_from_slice(b"\",\"object\":");
    bytes.extend_from_slice(object);
    bytes.extend_from_slice(b"}\n");
    Bytes::from(bytes)
}
