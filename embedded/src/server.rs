//! The API server: one request in, one answer out, without a socket.
//!
//! [`Api::handle`] is the whole of it. Over it are `service`, which is a client's way in inside
//! the process, and `listen`, which is that of everybody else. Requests that write hold the
//! store's write lock from reading to committing, so that writes have one order; what is answered
//! has reached the disk.

mod answer;
mod body;
mod call;
mod catalog;
mod decode;
mod delete;
mod direct;
mod fields;
mod labels;
mod list;
mod listen;
mod metrics;
mod modify;
mod negotiate;
mod params;
mod plain;
mod protobuf;
mod request;
mod route;
mod rules;
mod service;
mod subresource;
mod surroundings;
mod syntax;
mod tables;
#[cfg(test)]
mod tests;
mod watch;
mod write;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use http::header::AUTHORIZATION;
use http::{Method, Response};
use hyper::body::Bytes;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch as signal};
use tokio_util::sync::CancellationToken;

use self::answer::{refuse, write};
use self::call::{Answer, Call};
use self::catalog::{Catalog, Defined, Definitions};
use self::negotiate::{Encoding, Form, Offer, Wanted, negotiate};
use self::params::{ListOptions, WriteOptions};
use self::request::Request;
use self::route::{Route, Target, route, verb};
use crate::access::{Access, Attributes, Impersonation, User};
use crate::kinds::{Kind, Kinds, builtin};
use crate::kubelet::Kubelet;
use crate::merge::managed;
use crate::objects::Change;
use crate::status::{Details, Status, qualified};
use crate::store::{Query, Store, Writing};
use crate::{Clock, Uids};

pub(crate) use self::body::json as read_json;
pub use self::call::Payload;
pub(crate) use self::listen::serve;
pub use self::service::{ApiService, Identity};

/// Hears of every committed write, while no other write can happen.
pub type Observer = Arc<dyn Fn(&Committed<'_>) + Send + Sync>;

/// A committed write.
#[derive(Debug)]
pub struct Committed<'a> {
    /// Its version.
    pub revision: u64,
    /// What changed.
    pub change: &'a Change,
    /// Who did it.
    pub user: &'a str,
}

/// The API server.
pub struct Api {
    store: Store,
    /// The kinds as they are now; watches hear of changes.
    catalog: signal::Sender<Arc<Catalog>>,
    access: Access,
    kubelet: RwLock<Option<Arc<dyn Kubelet>>>,
    clock: Clock,
    uids: Uids,
    observers: RwLock<Vec<Observer>>,
    changes: Mutex<Vec<mpsc::Sender<Change>>>,
    /// Ends all watches.
    stop: CancellationToken,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Api")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What the API server is made of.
pub(crate) struct Parts {
    pub(crate) store: Store,
    /// The kinds of the store where they are known already; compiling their schemas takes long.
    pub(crate) catalog: Option<Arc<Catalog>>,
    pub(crate) clock: Clock,
    pub(crate) uids: Uids,
    pub(crate) access: Access,
    pub(crate) stop: CancellationToken,
}

impl Api {
    /// Puts the API server together; the kinds are those built in and those defined in the store.
    pub(crate) fn new(parts: Parts) -> Self {
        let api = Self {
            store: parts.store,
            catalog: signal::channel(parts.catalog.clone().unwrap_or_default()).0,
            access: parts.access,
            kubelet: RwLock::default(),
            clock: parts.clock,
            uids: parts.uids,
            observers: RwLock::default(),
            changes: Mutex::default(),
            stop: parts.stop,
        };
        if parts.catalog.is_none() {
            api.reload(&api.begin());
        }
        api
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn uid(&self) -> String {
        (self.uids)()
    }

    /// Five characters that make a name unique, in the alphabet of the API server, which has no
    /// vowels so that it writes no words.
    fn suffix(&self) -> String {
        const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        // FNV-1a spreads the uid's differences over all characters.
        let mut hash = self
            .uid()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        (0..5)
            .filter_map(|_| {
                let index = usize::try_from(hash % 27).ok()?;
                hash /= 27;
                ALPHABET.get(index).map(|byte| char::from(*byte))
            })
            .collect()
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Begins a write.
    pub(crate) fn begin(&self) -> Writing<'_> {
        self.store.begin(self.now())
    }

    /// Adds somebody who hears of every write.
    pub(crate) fn observe(&self, observer: Observer) {
        self.observers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(observer);
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.borrow())
    }

    fn catalog_changes(&self) -> signal::Receiver<Arc<Catalog>> {
        self.catalog.subscribe()
    }

    /// Sets who runs pods, and is asked for logs and usage.
    pub(crate) fn attach(&self, kubelet: Arc<dyn Kubelet>) {
        *self.kubelet.write().unwrap_or_else(PoisonError::into_inner) = Some(kubelet);
    }

    fn kubelet(&self) -> Option<Arc<dyn Kubelet>> {
        self.kubelet
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Makes the catalog anew from the definitions that exist. The guard proves that none changes
    /// meanwhile.
    fn reload(&self, _writing: &Writing<'_>) {
        let old = self.catalog();
        let mut kinds = Kinds::default();
        for kind in builtin::all() {
            match old.kinds.version(&kind.group, &kind.version, &kind.plural) {
                Some(known) => kinds.insert_shared(Arc::clone(known)),
                None => kinds.insert(kind),
            }
        }
        let definitions = self
            .store
            .list(&Query {
                resource: "customresourcedefinitions.apiextensions.k8s.io",
                ..Query::default()
            })
            .unwrap_or_default();
        let mut defined = Definitions::new();
        for (name, object) in definitions.objects {
            let made = Defined::read(&name, &object, old.definitions.get(&name));
            for kind in &made.kinds {
                kinds.insert_shared(Arc::clone(kind));
            }
            defined.insert(name, made);
        }
        match Catalog::new(kinds, defined, &old) {
            Ok(catalog) => {
                self.refresh(&catalog, &old);
                self.catalog.send_replace(Arc::new(catalog));
            }
            Err(error) => tracing::error!(%error, "a schema cannot be compiled"),
        }
    }

    fn tell(&self, change: &Change, revision: u64, user: &str) {
        let committed = Committed {
            revision,
            change,
            user,
        };
        let observers = self
            .observers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for observer in observers.iter() {
            observer(&committed);
        }
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|sender| sender.try_send(change.clone()).is_ok());
    }

    /// Brings the objects of kinds whose schema is new into its form. A real API server does that
    /// each time it reads one; here reading stays cheap.
    fn refresh(&self, catalog: &Catalog, old: &Catalog) {
        for served in catalog.all() {
            let Some(schema) = &served.schema else {
                continue;
            };
            let known = old.of(&served.kind);
            if known.is_some_and(|known| Arc::ptr_eq(known, served)) {
                continue;
            }
            self.store.refresh(&served.resource, &|object| {
                if !served.is_own(object) {
                    return None;
                }
                let mut value = object.value().clone();
                schema.prune(&mut value);
                schema.default(&mut value);
                (value != *object.value()).then_some(value)
            });
        }
    }

    /// Answers a request.
    pub async fn handle(
        &self,
        request: http::Request<Bytes>,
        identity: &Identity,
    ) -> Response<Payload> {
        let (parts, body) = request.into_parts();
        let user = match self.authenticate(&parts.headers, identity) {
            Ok(user) => user,
            Err(status) => return refuse(&status, Encoding::Json, Vec::new()),
        };
        let call = Call::new(parts, body, user);
        let mut encoding = Encoding::Json;
        let answer = self.answer(&call, &mut encoding).await;
        // Nobody is told what a crash could undo.
        let settled = self.store.settled(self.store.revision()).await;
        let answer = match settled {
            Ok(()) => answer,
            Err(reason) => Err(Status::internal(reason)),
        };
        let warnings = call.take_warnings();
        match answer {
            Ok((answer, wanted)) => write(answer, wanted, self.now(), warnings),
            Err(status) => refuse(&status, encoding, warnings),
        }
    }

    async fn answer(
        &self,
        call: &Call,
        encoding: &mut Encoding,
    ) -> Result<(Answer, Wanted), Status> {
        let plain = negotiate(&call.headers, Offer::Plain, None).unwrap_or_default();
        *encoding = plain.encoding;
        match route(&call.path) {
            Route::Plain => {
                self.authorize_path(call)?;
                Ok((self.plain(call)?, plain))
            }
            Route::Resource(target) => self.resource(call, &target).await,
        }
    }

    /// Who makes a request, or acts as whom.
    fn authenticate(&self, headers: &http::HeaderMap, identity: &Identity) -> Result<User, Status> {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let user = match identity {
            Identity::User(user) => user.clone(),
            Identity::BearerOr(user) if !headers.contains_key(AUTHORIZATION) => user.clone(),
            Identity::Bearer | Identity::BearerOr(_) => {
                let authorization = headers.get(AUTHORIZATION);
                let authorization = authorization.and_then(|value| value.to_str().ok());
                self.access.authenticate(self, authorization)?
            }
        };
        let mut wanted = Impersonation {
            user: text("impersonate-user"),
            uid: text("impersonate-uid"),
            ..Impersonation::default()
        };
        for (name, value) in headers {
            let value = value.to_str().unwrap_or_default().to_owned();
            if name == "impersonate-group" {
                wanted.groups.push(value);
            } else if let Some(key) = name.as_str().strip_prefix("impersonate-extra-") {
                wanted
                    .extra
                    .entry(params::decode(key))
                    .or_default()
                    .push(value);
            }
        }
        if wanted == Impersonation::default() {
            return Ok(user);
        }
        self.access.impersonate(self, &user, &wanted)
    }

    fn authorize_path(&self, call: &Call) -> Result<(), Status> {
        self.authorize(&Attributes {
            user: call.user.clone(),
            verb: call.method.as_str().to_ascii_lowercase(),
            path: call.path.clone(),
            ..Attributes::default()
        })
    }

    fn authorize(&self, attributes: &Attributes) -> Result<(), Status> {
        self.access.authorize(self, attributes)
    }

    /// Checks that the caller may do something else than what the request says.
    fn authorize_also(&self, request: &Request<'_>, verb: &str) -> Result<(), Status> {
        self.authorize(&attributes(request.call, request.target, verb))
    }

    async fn resource(&self, call: &Call, target: &Target) -> Result<(Answer, Wanted), Status> {
        let verb = verb(&call.method, target, &call.params);
        self.authorize(&attributes(call, target, verb))?;
        let catalog = self.catalog();
        let found = catalog
            .find(&target.group, &target.version, &target.resource)
            .filter(|_| !target.overlong || target.is_proxied());
        let Some(served) = found else {
            return nowhere(target).map(|answer| (answer, Wanted::default()));
        };
        if call.method == Method::HEAD {
            return Err(Status::method_not_allowed());
        }
        if let Some(warning) = &served.deprecation {
            call.warn(warning.clone());
        }
        let foreign = served.is_custom() && !served.kind.namespaced && !target.namespace.is_empty();
        if foreign {
            return nowhere(target).map(|answer| (answer, Wanted::default()));
        }
        if served.kind.namespaced
            && target.namespace.is_empty()
            && (!target.name.is_empty() || (served.is_custom() && verb == "create"))
        {
            return nowhere(target).map(|answer| (answer, Wanted::default()));
        }
        let request = Request {
            call,
            target,
            served,
        };
        let offer = match verb {
            "watch" => Offer::Watch,
            "list" | "deletecollection" => Offer::List,
            _ => Offer::Object,
        };
        let mut wanted = negotiate(&call.headers, offer, Some(served))?;
        if wanted.form == Form::Table {
            wanted.include = tables::include(call.params.get("includeObject").unwrap_or_default())?;
        }
        let answer = self.perform(&request, verb, wanted).await?;
        Ok((answer, wanted))
    }

    /// Answers a question about rights or identities.
    fn review(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let kind = &request.served.kind;
        let mut body = subresource::read(request)?;
        let options = WriteOptions::read(&request.call.params, "CreateOptions", None)?;
        let intent = write::Intent::of(self, request.call, &options, "");
        if let Some(writer) = intent.writer(kind) {
            managed::record_update(None, &mut body, &writer, &request.served.shape);
        }
        let value = self
            .access
            .review(
                self,
                &request.call.user,
                (&kind.group, &kind.plural),
                request.namespace(),
                &body,
            )
            .ok_or_else(Status::no_such_path)??;
        Ok(Answer::Value { code: 201, value })
    }

    async fn perform(
        &self,
        request: &Request<'_>,
        verb: &str,
        wanted: Wanted,
    ) -> Result<Answer, Status> {
        let kind = &request.served.kind;
        if kind.group == metrics::GROUP {
            return self.metrics(request, verb);
        }
        match request.subresource() {
            "" => {}
            "status" if kind.has_status => {}
            _ => return self.subresource(request, verb),
        }
        if !kind.verbs.iter().any(|known| known == verb) {
            // A kind that is only asked has no objects with names.
            let named = !request.name().is_empty();
            return Err(if named && REVIEWS.contains(&kind.group.as_str()) {
                Status::no_such_path()
            } else {
                Status::method_not_allowed()
            });
        }
        if REVIEWS.contains(&kind.group.as_str()) {
            return self.review(request);
        }
        let named = !request.name().is_empty();
        let custom = request.served.is_custom();
        match (verb, named) {
            ("get", true) => self.get(request).await,
            ("list", false) => {
                let options = ListOptions::read(&request.call.params, false)?;
                self.list(request, &options).await
            }
            ("watch", _) => {
                let options = ListOptions::read(&request.call.params, true)?;
                self.watch(request, &options, wanted)
            }
            ("create", false) if kind.namespaced != request.namespace().is_empty() => {
                self.create(request)
            }
            // Custom resources do not look at the name in the path.
            ("create", true) if custom && request.subresource().is_empty() => self.create(request),
            ("update" | "patch", false) if custom => {
                Err(Status::bad_request("name must be provided"))
            }
            ("update", true) => self.update(request),
            ("patch", true) => self.patch(request),
            ("delete", true) if request.subresource().is_empty() => self.delete(request),
            ("deletecollection", false) => self.delete_collection(request),
            _ => Err(refused(kind, verb)),
        }
    }
}

/// 404 of a path that names no kind: groups that are not built in answer a page, not a Status.
fn nowhere(target: &Target) -> Result<Answer, Status> {
    let built_in = builtin::all()
        .iter()
        .any(|kind| kind.group == target.group && kind.version == target.version);
    if built_in || target.group.is_empty() {
        return Err(Status::no_such_path());
    }
    Ok(no_page())
}

/// 404 as a page of text.
fn no_page() -> Answer {
    Answer::Text {
        code: 404,
        content_type: "text/plain; charset=utf-8",
        text: Bytes::from_static(b"404 page not found\n"),
    }
}

/// 405: custom resources say which verb is not supported.
fn refused(kind: &Kind, verb: &str) -> Status {
    let status = Status::method_not_allowed();
    if kind.schema.is_none() {
        return status;
    }
    Status {
        message: format!(
            "{verb} is not supported on resources of kind \"{}\"",
            qualified(&kind.plural, &kind.group)
        ),
        details: Some(Box::new(Details {
            group: kind.group.clone(),
            kind: kind.plural.clone(),
            ..Details::default()
        })),
        ..status
    }
}

/// Groups whose kinds are questions, not objects.
const REVIEWS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];

fn attributes(call: &Call, target: &Target, verb: &str) -> Attributes {
    let mut name = target.name.clone();
    if name.is_empty()
        && matches!(verb, "list" | "watch" | "deletecollection")
        && let Some(selector) = call.params.get("fieldSelector")
    {
        name = fields::required_name(selector).unwrap_or_default();
    }
    Attributes {
        user: call.user.clone(),
        verb: verb.to_owned(),
        group: target.group.clone(),
        resource: target.resource.clone(),
        subresource: target.subresource.clone(),
        namespace: target.namespace.clone(),
        name,
        path: String::new(),
    }
}
