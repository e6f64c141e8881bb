//! The look-ups themselves, through hickory-resolver.

use std::time::Duration;

use enmesh_membership::FailureKind;
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::answer::{Addresses, Answer, Asked, Asker, FollowUps, Followed, Reading, Service, Why};
use super::plan::{Families, Plan, Question};
use super::records;
use super::search::candidates;

/// The longest that one round takes, all questions with their follow-ups together, unless a single
/// look-up may take longer. Whoever asks once hears in this time what is wrong.
const ROUND_TIMEOUT: Duration = Duration::from_secs(12);

/// How many follow-ups of one question are asked at once, and how many of all together. Questions
/// do not wait for each other: one that nobody answers would keep the others from being asked.
const FOLLOW_UPS_AT_ONCE: usize = 16;
const FOLLOW_UPS_IN_ALL: usize = 64;

/// The longest chain of aliases before an SRV record that is followed.
const MAX_ALIASES: usize = 8;

/// How many times the resolver asks within one look-up: the first time, and once more for a
/// packet that was lost.
const TRIES: u32 = 2;

/// Gives the name servers and the search list.
pub(super) type Setup =
    Box<dyn Fn() -> Result<(ResolverConfig, ResolverOpts), NetError> + Send + Sync>;

/// The name servers and the search list of the system.
pub(super) fn system_setup() -> Result<(ResolverConfig, ResolverOpts), NetError> {
    hickory_resolver::system_conf::read_system_conf()
}

/// Asks all questions of a plan, and stays with the names of the search list that answered.
pub(super) struct Lookups {
    questions: Vec<Asking>,
    lookup_timeout: Duration,
    setup: Setup,
    resolver: Option<Resolver>,
}

/// The resolver, and what completes names.
#[derive(Clone)]
struct Resolver {
    resolver: TokioResolver,
    search: Vec<Name>,
    ndots: usize,
    /// Who is asked, for texts.
    servers: String,
}

/// A question, and what it has taught.
struct Asking {
    question: Question,
    /// The candidate that answered first. What other names say while it is silent, empty or gone
    /// removes nobody: a wildcard further down the search list answers for every name.
    answered: Option<Name>,
    /// Whether there ever was an address of our own family.
    had_ours: bool,
}

impl Lookups {
    pub(super) fn new(plan: &Plan, setup: Setup) -> Self {
        let questions = plan.questions.iter().map(|question| Asking {
            question: question.clone(),
            answered: None,
            had_ours: false,
        });
        Self {
            questions: questions.collect(),
            lookup_timeout: plan.lookup_timeout,
            setup,
            resolver: None,
        }
    }

    /// The readings of all questions, in their order.
    pub(super) async fn round(&mut self, asker: &Asker) -> Vec<Reading> {
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(text) => {
                let failed = Reading {
                    peers: Vec::new(),
                    ttl: None,
                    missing: Some(Why::new(FailureKind::Other, text)),
                };
                return vec![failed; self.questions.len()];
            }
        };
        let client = Client {
            resolver: &resolver,
            lookup_timeout: self.lookup_timeout,
            round_ends: Instant::now() + ROUND_TIMEOUT.max(self.lookup_timeout),
            follow_ups: Semaphore::new(FOLLOW_UPS_IN_ALL),
        };
        let questions = self.questions.iter_mut();
        let mut readings = join_all(questions.map(|asking| asking.read(&client, asker))).await;
        let missing = readings
            .iter_mut()
            .filter_map(|reading| reading.missing.as_mut());
        missing.for_each(|why| why.blame(&resolver.servers));
        if readings.iter().any(|reading| reading.missing.is_some()) {
            // The system's configuration may have changed under us, as it does with a network.
            self.resolver = None;
        }
        readings
    }

    fn resolver(&mut self) -> Result<Resolver, String> {
        if let Some(ready) = &self.resolver {
            return Ok(ready.clone());
        }
        let unusable = |error: NetError| format!("the DNS configuration cannot be used: {error}");
        let (config, mut options) = (self.setup)().map_err(unusable)?;
        // The TTL decides here when to ask again, so a second cache would only make it longer.
        options.cache_size = 0;
        options.timeout = options.timeout.min(self.lookup_timeout / TRIES);
        let (search, ndots) = (config.search().to_vec(), options.ndots);
        let servers = config.name_servers().iter();
        let servers: Vec<_> = servers.map(|server| server.ip.to_string()).collect();
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = Resolver {
            resolver: builder.build().map_err(unusable)?,
            search,
            ndots,
            servers: servers.join(" and "),
        };
        self.resolver = Some(resolver.clone());
        Ok(resolver)
    }
}

impl Asking {
    async fn read(&mut self, client: &Client<'_>, asker: &Asker) -> Reading {
        let (asked, stand_in) = self.ask(client, asker).await;
        let follow_ups = self.question.follow_ups(&asked, asker);
        let followed = client.follow(self.question.families, follow_ups).await;
        let mut reading = self.question.read(&asked, &followed, asker);
        let missing = stand_in.or_else(|| self.lost_family(&asked, asker));
        reading.missing = reading.missing.or(missing);
        reading
    }

    /// Asks one candidate after the other until one has an answer; with it comes what is to be
    /// said where that one stands in for another.
    async fn ask(&mut self, client: &Client<'_>, asker: &Asker) -> (Asked, Option<Why>) {
        let candidates = candidates(
            &self.question.name,
            &client.resolver.search,
            client.resolver.ndots,
        );
        // Where the search list has changed, the name may be out of reach.
        let known = self.answered.take_if(|known| candidates.contains(known));
        self.answered.clone_from(&known);
        let others = candidates
            .iter()
            .filter(|name| Some(*name) != known.as_ref());
        let mut last = Asked::default();
        let mut absent = false;
        for name in known.iter().chain(others) {
            let mut asked = client.ask_all(&self.question, name, asker).await;
            let stand_in = known.as_ref().filter(|known| *known != name);
            if asked.found_any() {
                let stand_in = stand_in.map(|known| {
                    let text = format!("{known} has no more records, and {name} has some");
                    Why::new(FailureKind::NotFound, text)
                });
                self.answered.get_or_insert_with(|| name.clone());
                return (asked, stand_in);
            }
            // While it fails, no other name is put in its place.
            if known.as_ref() == Some(name) && asked.failed_any() {
                return (asked, None);
            }
            if absent {
                asked.after_absent_names(self.question.name.shown());
            }
            absent |= asked.is_absent();
            last = worse(last, asked);
        }
        (last, None)
    }

    /// What is to be said where only the other family has addresses any more: our own peers have
    /// not become those.
    fn lost_family(&mut self, asked: &Asked, asker: &Asker) -> Option<Why> {
        let v4 = asker.is_v4()?;
        let ours = asked.of_family(v4)?;
        self.had_ours |= matches!(ours, Answer::Found { .. });
        let is_empty = matches!(ours, Answer::NoData | Answer::NoName);
        let has_others = matches!(asked.of_family(!v4), Some(Answer::Found { .. }));
        (self.had_ours && is_empty && has_others).then(|| {
            let name = self.question.name.shown();
            let text = format!("{name} has only addresses of the other family any more");
            Why::new(FailureKind::Empty, text)
        })
    }
}

/// Of two answerless rounds the one that says more: a failure, then an empty name, then none.
fn worse(one: Asked, other: Asked) -> Asked {
    let weight = |asked: &Asked| {
        if asked.failed_any() {
            2
        } else {
            usize::from(asked.is_name())
        }
    };
    if weight(&other) > weight(&one) {
        other
    } else {
        one
    }
}

/// Asks within the bounds of one round.
struct Client<'a> {
    resolver: &'a Resolver,
    lookup_timeout: Duration,
    round_ends: Instant,
    follow_ups: Semaphore,
}

impl Client<'_> {
    /// Asks for all types of a question together, except that addresses of the family that we do
    /// not have are asked for only where there are none of ours.
    async fn ask_all(&self, question: &Question, name: &Name, asker: &Asker) -> Asked {
        let records = question.records;
        let v4 = || self.ask(name, RecordType::A, records::address);
        let v6 = || self.ask(name, RecordType::AAAA, records::address);
        let addresses = async {
            match asker.is_v4().filter(|_| records.a && records.aaaa) {
                None => futures::join!(wanted(records.a, v4), wanted(records.aaaa, v6)),
                Some(true) => match v4().await {
                    found @ Answer::Found { .. } => (Some(found), None),
                    other => (Some(other), Some(v6().await)),
                },
                Some(false) => match v6().await {
                    found @ Answer::Found { .. } => (None, Some(found)),
                    other => (Some(v4().await), Some(other)),
                },
            }
        };
        let ((a, aaaa), srv) =
            futures::join!(addresses, wanted(records.srv, || self.ask_srv(name)));
        Asked { a, aaaa, srv }
    }

    async fn ask<T>(
        &self,
        name: &Name,
        kind: RecordType,
        pick: fn(&RData) -> Option<T>,
    ) -> Answer<T> {
        let ends = self.round_ends.min(Instant::now() + self.lookup_timeout);
        match timeout_at(ends, self.resolver.resolver.lookup(name.clone(), kind)).await {
            Ok(Ok(lookup)) => records::read(name, &lookup, pick),
            Ok(Err(error)) => records::read_error(name, kind, &error),
            Err(_) => records::no_answer_in_time(name, kind),
        }
    }

    /// The resolver takes an SRV record's target for the next name of a chain, so that it loses
    /// its way behind an alias: aliases are followed here.
    async fn ask_srv(&self, name: &Name) -> Answer<Service> {
        let mut name = name.clone();
        let mut shortest = Duration::MAX;
        for _ in 0..MAX_ALIASES {
            let answer = match self.ask(&name, RecordType::SRV, records::service).await {
                Answer::Found { records, ttl } => {
                    let ttl = ttl.min(shortest);
                    return Answer::Found { records, ttl };
                }
                // Whoever does not answer would not tell the alias either.
                Answer::Failed(why) if why.kind == FailureKind::TimedOut => {
                    return Answer::Failed(why);
                }
                answer => answer,
            };
            match self.ask(&name, RecordType::CNAME, records::alias).await {
                Answer::Found { mut records, ttl } => {
                    shortest = shortest.min(ttl);
                    name = records.swap_remove(0);
                }
                _ => return answer,
            }
        }
        let text = format!("the aliases before {name} do not end");
        Answer::Failed(Why::new(FailureKind::Malformed, text))
    }

    /// Looks up what is needed to name the peers.
    async fn follow(&self, families: Families, follow_ups: FollowUps) -> Followed {
        let targets = stream::iter(follow_ups.targets).map(async |target| {
            let _turn = self.follow_ups.acquire().await;
            let addresses = self.ask_target(families, &target).await;
            (target, addresses)
        });
        let addresses = stream::iter(follow_ups.addresses).map(async |ip| {
            let _turn = self.follow_ups.acquire().await;
            let mut name = Name::from(ip);
            name.set_fqdn(true);
            let answer = self
                .ask(&name, RecordType::PTR, records::reverse_name)
                .await;
            (ip, answer)
        });
        Followed {
            targets: targets.buffer_unordered(FOLLOW_UPS_AT_ONCE).collect().await,
            addresses: addresses
                .buffer_unordered(FOLLOW_UPS_AT_ONCE)
                .collect()
                .await,
        }
    }

    async fn ask_target(&self, families: Families, target: &str) -> Addresses {
        // Targets are whole names: the search list is not for them.
        let Ok(mut name) = Name::from_ascii(target) else {
            return Addresses::default();
        };
        name.set_fqdn(true);
        let (a, aaaa) = futures::join!(
            wanted(families != Families::V6, || self.ask(
                &name,
                RecordType::A,
                records::address
            )),
            wanted(families != Families::V4, || self.ask(
                &name,
                RecordType::AAAA,
                records::address
            )),
        );
        Addresses { a, aaaa }
    }
}

async fn wanted<T, F: Future<Output = T>>(wanted: bool, ask: impl FnOnce() -> F) -> Option<T> {
    if wanted { Some(ask().await) } else { None }
}
