//! One list and the watch after it, from a client to its first failure.

use std::fmt::Debug;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use enmesh_membership::{FailureKind, SourceFailure};
use futures::{Stream, StreamExt as _};
use http::Uri;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Endpoints, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::dispatcher::Dispatch;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::api::locate;
use super::client::client;
use super::config::KubernetesConfig;
use super::failure::{Asked, Verdict, chain};
use super::follower::Plan;
use super::lookup::Lookup;
use super::objects::Holder;
use super::selection::Selection;
use super::tracker::Event;
use super::transport::Bounds;

/// How many seconds the server keeps one watch open: as long as kube allows, so that an idle node
/// asks once in five minutes. That the server is alive is known from the connection.
pub(super) const WATCH_SECONDS: u32 = 290;

/// The longest that a whole list may take, all its pages together.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// How many objects come in one page of a list.
const PAGE_SIZE: u32 = 500;

/// How many slices come in one page: each has up to 1,000 endpoints, 100 unless somebody set it.
const SLICES_PER_PAGE: u32 = 25;

type Events = Pin<Box<dyn Stream<Item = watcher::Result<Event>> + Send>>;

/// What a session is to ask for.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) lookup: Lookup,
    /// None is the one that the account or the kubeconfig's context names.
    pub(super) namespace: Option<String>,
    /// Whether a list without any object says that nobody is there.
    pub(super) empty_is_an_answer: bool,
    /// Whether a watch follows the list.
    pub(super) may_watch: bool,
}

/// What a session has to say.
#[derive(Debug)]
pub(super) enum Said {
    /// What the API told.
    Event(Event),
    /// There is no object at all, which proves nothing of the pods; with what may be wrong.
    Nothing(SourceFailure),
}

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// Somebody must be told.
    Failed(SourceFailure, Option<Duration>),
    /// The history that we followed is gone, or was never whole; only a new list helps.
    Stale,
    /// We may list and not watch.
    CannotWatch,
    /// The list is read, and no watch was to follow it.
    Listed,
    /// The connection broke off under a watch; somebody must be told if it does so again.
    Cut(SourceFailure),
}

/// A list and the watch after it.
pub(super) struct Session {
    events: Events,
    asked: Asked,
    empty_is_an_answer: bool,
    may_watch: bool,
    bounds: Bounds,
    list_deadline: Option<Instant>,
    listed_at: Option<Instant>,
    /// How many objects the list that is being read has so far.
    objects: usize,
    whole: Whole,
    silence: Dispatch,
}

/// Whether the watch adds to a list that was worth something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    Yes,
    /// The list was empty: as soon as an object comes, all that was known before is to be checked
    /// against a new list.
    NotUntilListed,
    ListNow,
}

impl Session {
    /// Finds the API server. Nothing is asked of it yet, but a command that the kubeconfig names may
    /// be run, so this may take long; dropping it does not end the command.
    pub(super) async fn open(plan: Arc<Plan>, question: Question) -> Result<Self, SourceFailure> {
        let (config, namespace) = (&plan.config, question.namespace.as_deref());
        let mut api = locate(config, &plan.environment, namespace, &plan.domain)
            .await
            .map_err(|error| SourceFailure::new(FailureKind::Other, chain(&error)))?;
        let namespace = api.default_namespace.clone();
        let token_file = api.auth_info.token_file.take();
        let token_file = token_file
            .filter(|_| api.auth_info.token.is_none())
            .map(PathBuf::from);
        let bounds = Bounds::new(token_file.clone());
        let server = address(&api.cluster_url);
        let client = client(api, &bounds).await.map_err(|error| {
            let text = format!(
                "cannot set up a client of the Kubernetes API ({})",
                chain(&error)
            );
            SourceFailure::new(FailureKind::Other, text)
        })?;
        let lookup = question.lookup;
        let selection = Selection::new(config, lookup);
        let watch = watch_config(config, lookup, &selection, plan.watch_seconds);
        Ok(Self {
            events: match lookup {
                Lookup::Slices => events::<EndpointSlice>(client, watch),
                Lookup::Endpoints => events::<Endpoints>(client, watch),
                Lookup::Pods => events::<Pod>(client, watch),
            },
            asked: Asked {
                server,
                token_file,
                lookup,
                namespace,
                selection,
            },
            empty_is_an_answer: question.empty_is_an_answer,
            may_watch: question.may_watch,
            bounds,
            list_deadline: Some(Instant::now() + LIST_TIMEOUT),
            listed_at: None,
            objects: 0,
            whole: Whole::Yes,
            silence: Dispatch::new(NoSubscriber::default()),
        })
    }

    /// Since when a whole list is known.
    pub(super) fn listed_at(&self) -> Option<Instant> {
        self.listed_at
    }

    /// Whether a watch follows the list.
    pub(super) fn may_watch(&self) -> bool {
        self.may_watch
    }

    /// What was asked for.
    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// What comes next, or why there will be nothing. Cancel safe: the stream keeps its place.
    pub(super) async fn next(&mut self) -> Result<Said, End> {
        if self.whole == Whole::ListNow {
            return Err(End::Stale);
        }
        // kube asks for the watch when its stream is next looked at.
        if !self.may_watch && self.listed_at.is_some() {
            return Err(End::Listed);
        }
        // kube logs what it also returns, a 403 at each attempt; who hears of it from us is told
        // once.
        let next = self.events.next().with_subscriber(self.silence.clone());
        let event = match self.list_deadline {
            Some(deadline) => match tokio::time::timeout_at(deadline, next).await {
                Ok(event) => event,
                Err(_) => return Err(End::Failed(self.asked.silent(), None)),
            },
            None => next.await,
        };
        match event {
            Some(Ok(event)) => Ok(self.handle(event)),
            Some(Err(error)) => Err(self.end(&error)),
            // kube's stream never ends; should it, a new list is right.
            None => Err(End::Stale),
        }
    }

    fn handle(&mut self, event: Event) -> Said {
        match event {
            Event::ListBegins => {
                self.list_deadline = Some(Instant::now() + LIST_TIMEOUT);
                self.objects = 0;
            }
            Event::Listed(..) => self.objects += 1,
            Event::ListEnds => {
                self.list_deadline = None;
                self.listed_at = Some(Instant::now());
                if self.objects == 0 && !self.empty_is_an_answer {
                    self.whole = Whole::NotUntilListed;
                    return Said::Nothing(self.asked.nothing());
                }
                self.whole = Whole::Yes;
            }
            Event::Applied(..) | Event::Deleted(_) if self.whole == Whole::NotUntilListed => {
                self.whole = Whole::ListNow;
            }
            Event::Applied(..) | Event::Deleted(_) => {}
        }
        Said::Event(event)
    }

    fn end(&self, error: &watcher::Error) -> End {
        match self.asked.verdict(error) {
            Verdict::Relist => {
                let asked = &self.asked;
                tracing::debug!(
                    namespace = asked.namespace,
                    resource = asked.lookup.resource(),
                    "our place in the API's history is gone (410), so everything is listed anew"
                );
                End::Stale
            }
            Verdict::Poll if self.listed_at.is_some() => End::CannotWatch,
            Verdict::Poll => End::Stale,
            Verdict::Cut(failure) => End::Cut(failure),
            Verdict::Failed(failure) => End::Failed(failure, self.bounds.take_retry_after()),
        }
    }
}

/// The server without what an address may hold beside it, such as a password.
fn address(server: &Uri) -> String {
    let (scheme, host) = (server.scheme_str(), server.host());
    let port = server.port_u16();
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "{}://{}{port}",
        scheme.unwrap_or("https"),
        host.unwrap_or_default()
    )
}

fn watch_config(
    config: &KubernetesConfig,
    lookup: Lookup,
    selection: &Selection,
    watch_seconds: u32,
) -> watcher::Config {
    let mut watch = watcher::Config::default()
        .timeout(watch_seconds)
        .page_size(match lookup {
            Lookup::Slices => SLICES_PER_PAGE,
            Lookup::Endpoints | Lookup::Pods => PAGE_SIZE,
        });
    watch.label_selector.clone_from(&selection.labels);
    watch.field_selector.clone_from(&selection.fields);
    if config.use_cached_resources {
        // The cache answers with the whole list, and kube leaves the version out beside a limit.
        watch.page_size = None;
        watch.any_semantic()
    } else {
        watch
    }
}

fn events<K>(client: Client, watch: watcher::Config) -> Events
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
    let read = |event: watcher::Event<K>| match event {
        watcher::Event::Init => Event::ListBegins,
        watcher::Event::InitApply(object) => Event::Listed(name(&object), object.seen()),
        watcher::Event::InitDone => Event::ListEnds,
        watcher::Event::Apply(object) => Event::Applied(name(&object), object.seen()),
        watcher::Event::Delete(object) => Event::Deleted(name(&object)),
    };
    Box::pin(watcher::watcher(api, watch).map(move |event| event.map(read)))
}

fn name<K: Resource>(object: &K) -> Arc<str> {
    object.name_any().into()
}
