//! A whole API server: built, started, and used through its handle.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{self, Access, Credentials, User};
use crate::control;
use crate::kubelet::Kubelet;
use crate::objects::Objects;
use crate::server::{Api, ApiService, Identity, Observer, Parts, read_json, serve};
use crate::status::Status;
use crate::store::{self, Retention, Store};
use crate::{Clock, Uids};

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Why the API server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory.
    #[error("the objects cannot be kept")]
    Store(#[from] store::Error),
    /// Credentials.
    #[error("credentials cannot be made")]
    Access(#[from] access::Error),
    /// An object that every API server has cannot be made.
    #[error("cannot make {object}")]
    Install {
        /// Which.
        object: String,
        /// Why.
        #[source]
        source: Status,
    },
}

/// What an API server is made of.
#[derive(Clone)]
pub struct Builder {
    clock: Clock,
    uids: Uids,
    data: Option<PathBuf>,
    retention: Retention,
    definitions: Option<Vec<CustomResourceDefinition>>,
    credentials: Option<Credentials>,
    root_certificate: Option<String>,
    template: Option<Embedded>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("data", &self.data)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Keeps the objects in a directory; without, they are gone with the process.
    #[must_use]
    pub fn data(mut self, directory: PathBuf) -> Self {
        self.data = Some(directory);
        self
    }

    /// How much history is kept.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Which CustomResourceDefinitions are installed at the start; those of Muster if this is not
    /// called.
    #[must_use]
    pub fn definitions(mut self, definitions: Vec<CustomResourceDefinition>) -> Self {
        self.definitions = Some(definitions);
        self
    }

    /// Begins with the objects and kinds of another API server, in memory: far faster than to make
    /// them, for tests that need many.
    #[must_use]
    pub fn template(mut self, template: &Embedded) -> Self {
        self.template = Some(template.clone());
        self
    }

    /// Tokens of users, and the key that signs tokens of service accounts; fresh ones that nobody
    /// knows if this is not called.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Certificate (PEM) of the authority that signed the server's own: every namespace has it in
    /// the ConfigMap `kube-root-ca.crt`. There is none if this is not called.
    #[must_use]
    pub fn root_certificate(mut self, certificate: String) -> Self {
        self.root_certificate = Some(certificate);
        self
    }

    /// Starts the API server, with its controllers as tasks of the tokio runtime that runs.
    pub fn start(self) -> Result<Embedded, Error> {
        let store = match (&self.template, &self.data) {
            (Some(template), _) => template.api.store().copy(self.retention),
            (None, Some(directory)) => Store::open(directory, self.retention)?,
            (None, None) => Store::in_memory(self.retention),
        };
        let stop = CancellationToken::new();
        let credentials = match self.credentials {
            Some(credentials) => credentials,
            None => Credentials::generate()?,
        };
        let access = Access::new(access::Settings {
            issuer: access::ISSUER.to_owned(),
            credentials,
            clock: Arc::clone(&self.clock),
            uids: Arc::clone(&self.uids),
        })?;
        let clock = Arc::clone(&self.clock);
        let api = Arc::new(Api::new(Parts {
            store,
            catalog: self
                .template
                .as_ref()
                .map(|template| template.api.catalog()),
            clock: self.clock,
            uids: self.uids,
            access,
            stop: stop.clone(),
        }));
        let embedded = Embedded {
            api,
            stop,
            tracker: TaskTracker::new(),
        };
        if self.template.is_none() {
            let definitions = self.definitions.unwrap_or_else(crds::definitions::all);
            embedded.furnish(&definitions)?;
        }
        control::spawn(
            &embedded.objects(),
            &embedded.tracker,
            &embedded.stop,
            control::Settings {
                root_certificate: self.root_certificate,
                ..control::Settings::from(clock)
            },
        );
        Ok(embedded)
    }
}

/// A running API server. It ends when [`Embedded::stop`] is called; dropping the handle alone
/// leaves its clients working.
#[derive(Clone, Debug)]
pub struct Embedded {
    api: Arc<Api>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Embedded {
    /// Begins to build one. The caller gives the time and the uids, so that tests repeat exactly.
    pub fn builder(clock: Clock, uids: Uids) -> Builder {
        Builder {
            clock,
            uids,
            data: None,
            retention: Retention::default(),
            definitions: None,
            credentials: None,
            root_certificate: None,
            template: None,
        }
    }

    /// A client in the process, without sockets, for one user.
    pub fn client(&self, user: User) -> kube::Client {
        kube::Client::new(self.service(Identity::User(user)), "default")
    }

    /// The service under [`Embedded::client`], for those who put something around it.
    pub fn service(&self, identity: Identity) -> ApiService {
        ApiService::new(Arc::clone(&self.api), identity)
    }

    /// Direct access for code that is part of the API server.
    pub fn objects(&self) -> Arc<dyn Objects> {
        Arc::clone(&self.api) as Arc<dyn Objects>
    }

    /// Adds somebody who hears of every write, while no other write can happen. It must not write.
    pub fn observe(&self, observer: Observer) {
        self.api.observe(observer);
    }

    /// Sets who runs pods, and is asked for logs and usage.
    pub fn attach(&self, kubelet: Arc<dyn Kubelet>) {
        self.api.attach(kubelet);
    }

    /// Serves over HTTP, or HTTPS if keys are given, until [`Embedded::stop`].
    pub async fn serve(
        &self,
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        identity: Identity,
    ) {
        serve(Arc::clone(&self.api), listener, tls, identity).await;
    }

    /// The version of the newest write.
    pub fn revision(&self) -> u64 {
        self.api.store().revision()
    }

    /// Forgets all history, as etcd does now and then.
    pub fn compact_now(&self) {
        let store = self.api.store();
        store.compact(store.revision());
    }

    /// Ends all watches, servers and controllers.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Makes what every API server has.
    fn furnish(&self, definitions: &[CustomResourceDefinition]) -> Result<(), Error> {
        for name in NAMESPACES {
            self.ensure("v1", "Namespace", "", name)?;
        }
        for definition in definitions {
            self.install(definition)?;
        }
        access::plant(self.api.as_ref()).map_err(|source| Error::Install {
            object: "the default roles".to_owned(),
            source,
        })?;
        // Its controller makes it too, but a moment later, when the first pod may be there.
        self.ensure("v1", "ServiceAccount", "default", "default")
    }

    /// Makes an object if it is missing.
    fn ensure(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), Error> {
        let install = |source| Error::Install {
            object: format!("{kind} {name}"),
            source,
        };
        let objects: &dyn Objects = self.api.as_ref();
        let kinds = objects.kinds();
        let found = kinds
            .named(api_version, kind)
            .ok_or_else(|| install(Status::no_such_path()))?;
        if objects.get(found, namespace, name).is_some() {
            return Ok(());
        }
        let mut object = json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": { "name": name },
        });
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = namespace.into();
        }
        objects.create(found, namespace, object).map_err(install)?;
        Ok(())
    }

    /// Installs a definition, or brings an older one up to date.
    fn install(&self, definition: &CustomResourceDefinition) -> Result<(), Error> {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let install = |source| Error::Install {
            object: format!("CustomResourceDefinition {name}"),
            source,
        };
        // Through the text, so that numbers have the form that requests give them.
        let value = serde_json::to_vec(definition)
            .map_err(|error| error.to_string())
            .and_then(|text| read_json(&text))
            .map_err(|error| install(Status::internal(error)))?;
        let objects: &dyn Objects = self.api.as_ref();
        let kinds = objects.kinds();
        let kind = kinds
            .named("apiextensions.k8s.io/v1", "CustomResourceDefinition")
            .ok_or_else(|| install(Status::no_such_path()))?;
        let changed = objects
            .change(kind, "", &name, &mut |known| {
                known["spec"] = value["spec"].clone();
            })
            .map_err(install)?;
        if changed.is_none() {
            objects.create(kind, "", value).map_err(install)?;
        }
        Ok(())
    }
}
