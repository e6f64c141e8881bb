//! One list and the watch after it, from a client to its first failure.

use std::fmt::Debug;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use enmesh_membership::{FailureKind, SourceFailure, Update};
use futures::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::core::v1::Pod;
use kube::client::ClientBuilder;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::dispatcher::Dispatch;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::api::locate;
use super::config::{KubernetesConfig, LookupMode};
use super::failure::{Asked, Verdict, chain};
use super::naming::Naming;
use super::objects::Holder;
use super::tracker::{Event, Key, Tracker};
use super::transport::Bounds;
use crate::source::Environment;

/// How many seconds the server keeps one watch open. It is asked for, so that a server that has
/// died without a word is noticed: a watch without any event for this and five seconds is opened
/// anew.
pub(super) const WATCH_SECONDS: u32 = 40;

/// The longest that a whole list may take, all its pages together.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// How many objects come in one page of a list.
const PAGE_SIZE: u32 = 500;

type Events = Pin<Box<dyn Stream<Item = watcher::Result<Event>> + Send>>;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// Somebody must be told.
    Failed(SourceFailure, Option<Duration>),
    /// The history that we followed is gone; only a new list helps.
    Stale,
    /// We may list and not watch.
    CannotWatch,
}

/// A list and the watch after it.
pub(super) struct Session {
    events: Events,
    tracker: Tracker,
    asked: Asked,
    selector: Option<String>,
    bounds: Bounds,
    list_deadline: Option<Instant>,
    listed_at: Option<Instant>,
    silence: Dispatch,
    /// Whether somebody was told that peers are left out.
    told: bool,
}

impl Session {
    /// Finds the API server. Nothing is asked of it yet.
    pub(super) async fn open(
        config: &KubernetesConfig,
        naming: &Arc<Naming>,
        environment: &Environment,
        watch_seconds: u32,
    ) -> Result<Self, SourceFailure> {
        let mut api = locate(config, environment, naming.domain())
            .await
            .map_err(|error| SourceFailure::new(FailureKind::Other, chain(&error)))?;
        let namespace = api.default_namespace.clone();
        let token_file = api.auth_info.token_file.take();
        let token_file = token_file
            .filter(|_| api.auth_info.token.is_none())
            .map(PathBuf::from);
        let bounds = Bounds::new(token_file);
        let client = ClientBuilder::try_from(api).map_err(|error| {
            let text = format!(
                "cannot set up a client of the Kubernetes API ({})",
                chain(&error)
            );
            SourceFailure::new(FailureKind::Other, text)
        })?;
        let client = client.with_layer(&bounds).build();
        let watch = watch_config(config, watch_seconds);
        let (resource, events) = match config.lookup_mode {
            LookupMode::Pods => (Pod::RESOURCE, events::<Pod>(client, watch, naming)),
            LookupMode::Endpoints => (
                Endpoints::RESOURCE,
                events::<Endpoints>(client, watch, naming),
            ),
        };
        Ok(Self {
            events,
            tracker: Tracker::default(),
            asked: Asked {
                resource,
                namespace,
            },
            selector: selector(config),
            bounds,
            list_deadline: Some(Instant::now() + LIST_TIMEOUT),
            listed_at: None,
            silence: Dispatch::new(NoSubscriber::default()),
            told: false,
        })
    }

    /// Since when a whole list is known.
    pub(super) fn listed_at(&self) -> Option<Instant> {
        self.listed_at
    }

    /// What was asked for.
    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The next update, or why there will be none. Cancel safe: the stream keeps its place.
    pub(super) async fn next(&mut self) -> Result<Update, End> {
        loop {
            // kube logs what it also returns, a 403 at each attempt; who hears of it from us is
            // told once.
            let next = self.events.next().with_subscriber(self.silence.clone());
            let event = match self.list_deadline {
                Some(deadline) => match tokio::time::timeout_at(deadline, next).await {
                    Ok(event) => event,
                    Err(_) => return Err(End::Failed(self.asked.silent(), None)),
                },
                None => next.await,
            };
            match event {
                Some(Ok(event)) => {
                    if let Some(update) = self.handle(event) {
                        return Ok(update);
                    }
                }
                Some(Err(error)) => return Err(self.end(&error)),
                // kube's stream never ends; should it, a new list is right.
                None => return Err(End::Stale),
            }
        }
    }

    fn handle(&mut self, event: Event) -> Option<Update> {
        match event {
            Event::ListBegins => self.list_deadline = Some(Instant::now() + LIST_TIMEOUT),
            Event::ListEnds => {
                self.list_deadline = None;
                self.listed_at = Some(Instant::now());
            }
            _ => {}
        }
        let ended = event == Event::ListEnds;
        let update = self.tracker.handle(event);
        let left_out = self.tracker.take_left_out();
        if left_out > 0 && !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                left_out,
                "Kubernetes names more peers than a topology holds"
            );
        }
        if ended && self.asked.resource == "endpoints" && self.tracker.is_empty() {
            return Some(Update::Failed(self.no_endpoints()));
        }
        update
    }

    /// Unlike a Service without pods, no Service at all is most likely a mistake, and says
    /// nothing about the pods.
    fn no_endpoints(&self) -> SourceFailure {
        let namespace = &self.asked.namespace;
        let selector = self.selector.as_deref().unwrap_or("the given name");
        let text = format!(
            "no Endpoints in namespace {namespace} match {selector}: they carry the labels of the \
             Service, not those of its pods; label the Service, or use \
             kubernetes_ip_lookup_mode=pods"
        );
        SourceFailure::new(FailureKind::NotFound, text)
    }

    fn end(&self, error: &watcher::Error) -> End {
        match self.asked.verdict(error) {
            Verdict::Relist => End::Stale,
            Verdict::Poll if self.listed_at.is_some() => End::CannotWatch,
            Verdict::Poll => End::Stale,
            Verdict::Failed(failure) => End::Failed(failure, self.bounds.take_retry_after()),
        }
    }
}

fn selector(config: &KubernetesConfig) -> Option<String> {
    config
        .selector
        .clone()
        .or_else(|| config.service_name.clone())
}

fn watch_config(config: &KubernetesConfig, watch_seconds: u32) -> watcher::Config {
    let watch = watcher::Config::default()
        .timeout(watch_seconds)
        .page_size(PAGE_SIZE);
    let watch = match (&config.selector, &config.service_name) {
        (Some(selector), _) => watch.labels(selector),
        (None, Some(service)) => watch.fields(&format!("metadata.name={service}")),
        (None, None) => watch,
    };
    if config.use_cached_resources {
        watch.any_semantic()
    } else {
        watch
    }
}

fn events<K>(client: Client, watch: watcher::Config, naming: &Arc<Naming>) -> Events
where
    K: Holder
        + Resource<Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::default_namespaced(client);
    let naming = Arc::clone(naming);
    let read = move |event: watcher::Event<K>| match event {
        watcher::Event::Init => Event::ListBegins,
        watcher::Event::InitApply(object) => Event::Listed(key(&object), object.peers(&naming)),
        watcher::Event::InitDone => Event::ListEnds,
        watcher::Event::Apply(object) => Event::Applied(key(&object), object.peers(&naming)),
        watcher::Event::Delete(object) => Event::Deleted(key(&object)),
    };
    Box::pin(watcher::watcher(api, watch).map(move |event| event.map(&read)))
}

fn key<K: Resource>(object: &K) -> Key {
    Key {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}
