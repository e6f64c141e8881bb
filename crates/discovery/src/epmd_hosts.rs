//! What the epmds of several hosts list, asked side by side and again and again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use enmesh_epmd::EpmdError;
use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{FailureKind, Sighting, Update};
use futures::StreamExt as _;

use crate::failure::failed;
use crate::pace::Pace;
use crate::source::{MAX_PEERS_PER_UPDATE, SourceContext};

/// The largest number of hosts of one topology.
pub(crate) const MAX_HOSTS: usize = 1_024;

/// How many epmds are asked at once; the others wait for their turn.
const MAX_ASKED_AT_ONCE: usize = 64;

/// The longest that one host may take, the look-up of its addresses included.
const HOST_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that one of a host's addresses may take.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// How many hosts a failure names.
const MAX_SHOWN: usize = 3;

/// The name that every host has for itself.
const LOCALHOST: &str = "localhost";

/// What `elixir --remsh` and the `remote` command of a release call their nodes. Such a shell is
/// somebody's visit to one node and no member of the cluster.
const SHELL_PREFIX: &str = "rem-";

/// Whether a name that an epmd lists is that of a remote shell.
pub(crate) fn is_remote_shell(alive: &str) -> bool {
    alive.starts_with(SHELL_PREFIX)
}

/// Why a host gave no list.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("its name has no address")]
    NoAddress,
    #[error("no answer within {HOST_TIMEOUT:?}")]
    TimedOut,
    #[error(transparent)]
    Epmd(#[from] EpmdError),
    /// An epmd that was just restarted knows nobody until the nodes have registered again.
    #[error("it suddenly knows no node; was its epmd restarted?")]
    ForgotEverybody,
}

impl AskError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoAddress => FailureKind::NotFound,
            Self::TimedOut | Self::Epmd(EpmdError::TimedOut { .. }) => FailureKind::TimedOut,
            Self::Epmd(EpmdError::Malformed { .. } | EpmdError::TooLong { .. }) => {
                FailureKind::Malformed
            }
            Self::Epmd(_) => FailureKind::Unreachable,
            Self::ForgotEverybody => FailureKind::Empty,
        }
    }
}

/// The names and ports of one epmd.
type Listing = Vec<(String, u16)>;

/// Asks the epmds of a list of hosts at each interval. A host that gives no answer takes nothing
/// from the others, and keeps what it last said.
#[derive(Debug)]
pub(crate) struct EpmdHosts {
    book: Book,
    epmd_port: u16,
    pace: Pace,
    /// Whether one whole round is enough.
    once: bool,
    /// All that was asked for has been said, and nothing is to be asked again.
    finished: bool,
    unsaid: VecDeque<Update>,
}

impl EpmdHosts {
    /// `interval` is the time between two rounds; without one, the first round that every host
    /// answers is the last.
    pub(crate) fn new(context: &SourceContext, interval: Option<Duration>) -> Self {
        Self {
            book: Book::new(context.own().clone()),
            epmd_port: context.epmd_port(),
            pace: Pace::new(interval.unwrap_or_default(), context),
            once: interval.is_none(),
            finished: false,
            unsaid: VecDeque::new(),
        }
    }

    /// The next thing to say of the hosts that `list` gives; it is asked anew for each round.
    /// Cancel safe: a round that is broken off is begun again.
    pub(crate) async fn next(
        &mut self,
        mut list: impl FnMut() -> Result<Vec<String>, Update>,
    ) -> Update {
        loop {
            if let Some(update) = self.unsaid.pop_front() {
                return update;
            }
            if self.finished {
                std::future::pending::<()>().await;
            }
            self.pace.wait().await;
            let hosts = match list() {
                Ok(hosts) => hosts,
                Err(update) => {
                    self.pace.went(false);
                    return update;
                }
            };
            let answers = ask_all(hosts, self.epmd_port).await;
            self.read(answers);
        }
    }

    fn read(&mut self, answers: Vec<(String, Result<Listing, AskError>)>) {
        let answered = answers.iter().any(|(_, answer)| answer.is_ok());
        let complete = answers.iter().all(|(_, answer)| answer.is_ok());
        // Without an interval there is nothing but the back-off to wait for those that are missing.
        self.pace.went(answered && !self.once);
        self.finished = complete && self.once;
        self.unsaid.extend(self.book.read(answers));
    }
}

/// What each host last said, and what was made of it.
#[derive(Debug)]
struct Book {
    own: NodeName,
    hosts: BTreeMap<String, Heard>,
    /// The peers that were said last.
    said: BTreeMap<NodeName, u16>,
}

#[derive(Debug, Default)]
struct Heard {
    peers: BTreeMap<NodeName, u16>,
    /// Whether an empty answer was doubted already.
    doubted: bool,
}

impl Book {
    fn new(own: NodeName) -> Self {
        Self {
            own,
            hosts: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    /// Takes one round of answers, one for each host.
    fn read(&mut self, answers: Vec<(String, Result<Listing, AskError>)>) -> Vec<Update> {
        let asked = answers.len();
        self.hosts
            .retain(|host, _| answers.iter().any(|(other, _)| other == host));
        let mut failures = Vec::new();
        let mut silent = 0;
        for (host, answer) in answers {
            let heard = self.hosts.get(&host);
            match answer.and_then(|names| self.hear(&host, heard, names)) {
                Ok(peers) => {
                    let doubted = false;
                    self.hosts.insert(host, Heard { peers, doubted });
                }
                Err(error) => {
                    match self.hosts.get_mut(&host) {
                        Some(heard) => heard.doubted = matches!(error, AskError::ForgotEverybody),
                        None => silent += 1,
                    }
                    failures.push((host, error));
                }
            }
        }
        let mut updates: Vec<_> = self.peers(failures.is_empty(), silent == 0).collect();
        updates.extend(failure(asked, &failures));
        updates
    }

    /// The peers that `names` make on `host`.
    fn hear(
        &self,
        host: &str,
        heard: Option<&Heard>,
        names: Listing,
    ) -> Result<BTreeMap<NodeName, u16>, AskError> {
        let host = match host {
            LOCALHOST => self.own.host().as_str(),
            host => host,
        };
        let peers: BTreeMap<_, _> = names
            .into_iter()
            .filter(|(alive, _)| !is_remote_shell(alive))
            .filter_map(|(alive, port)| Some((NodeName::new(&alive, host).ok()?, port)))
            .filter(|(name, _)| *name != self.own)
            .collect();
        let knew_some = heard.is_some_and(|heard| !heard.peers.is_empty() && !heard.doubted);
        if peers.is_empty() && knew_some {
            return Err(AskError::ForgotEverybody);
        }
        Ok(peers)
    }

    /// What there is to say of the peers. With failures nothing that was said is repeated, lest
    /// the topology seem to recover; where a host has never answered, nothing is the whole.
    fn peers(&mut self, all_answered: bool, whole: bool) -> impl Iterator<Item = Update> + use<> {
        let now: BTreeMap<_, _> = self
            .hosts
            .values()
            .flat_map(|heard| &heard.peers)
            .map(|(name, port)| (name.clone(), *port))
            .take(MAX_PEERS_PER_UPDATE)
            .collect();
        if !all_answered && now == self.said {
            return None.into_iter();
        }
        let gone = self.said.keys().filter(|name| !now.contains_key(*name));
        let gone = gone.cloned().collect();
        let present = now.iter().map(|(name, port)| sighting(name, *port));
        let present = present.collect();
        self.said = now;
        let update = if whole {
            Update::Snapshot(present)
        } else {
            Update::Changed { present, gone }
        };
        Some(update).into_iter()
    }
}

/// A node that was started anew has another port, and may be dialled at once.
fn sighting(name: &NodeName, port: u16) -> Sighting {
    let peer = PeerAddr::new(name.clone()).with_port(port);
    Sighting::from(peer).with_life(port.into())
}

fn failure(asked: usize, failures: &[(String, AskError)]) -> Option<Update> {
    let (_, first) = failures.first()?;
    let mut text = format!("{} of {asked} hosts gave no list: ", failures.len());
    for (place, (host, error)) in failures.iter().enumerate() {
        match place {
            0 => {}
            MAX_SHOWN => {
                text.push_str(", …");
                break;
            }
            _ => text.push_str(", "),
        }
        text.push_str(&format!("{host}: {error}"));
    }
    text.push_str("; is the host up, does an epmd run there and is its port open?");
    Some(failed(first.kind(), text))
}

async fn ask_all(hosts: Vec<String>, epmd_port: u16) -> Vec<(String, Result<Listing, AskError>)> {
    let questions = hosts.into_iter().map(|host| async move {
        let asking = tokio::time::timeout(HOST_TIMEOUT, ask(&host, epmd_port));
        let answer = asking.await.unwrap_or(Err(AskError::TimedOut));
        (host, answer)
    });
    let questions = futures::stream::iter(questions);
    questions.buffered(MAX_ASKED_AT_ONCE).collect().await
}

/// The list of the first of the host's addresses that gives one.
async fn ask(host: &str, epmd_port: u16) -> Result<Listing, AskError> {
    let addresses = tokio::net::lookup_host((host, epmd_port)).await;
    let addresses = addresses.map_err(|_| AskError::NoAddress)?;
    let mut last = AskError::NoAddress;
    for address in addresses {
        match enmesh_epmd::names(address, ADDRESS_TIMEOUT).await {
            Ok(names) => return Ok(names),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests;
