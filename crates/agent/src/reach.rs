//! From the node's name to a link with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enmesh::{ConnectError, Cookie, Creation, DialFailure, Failure, Node, NodeName, PeerAddr};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::builder::AgentBuilder;
use crate::cookies::{Cookies, is_same};
use crate::follower::PREFIX;
use crate::waiting::Obstacle;

/// How many names an agent chooses from. A BEAM keeps every name that it ever heard, so there is a
/// bounded number of them; and enough that a second agent does not push out the first.
const MAX_NAMES: u32 = 4096;

/// The hidden node by which we talk to the one that we steer, kept as long as its cookie counts.
#[derive(Debug, Default)]
pub(crate) struct Neighbour(Option<(Node, Cookie)>);

/// A link with the node.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) neighbour: Node,
    /// Which life of the node it is.
    pub(crate) creation: Creation,
    /// By which cookie it let us in.
    pub(crate) cookie: Cookie,
}

impl Neighbour {
    /// Connects to the node: with the cookie that counts, then with the one it had before; on
    /// loopback, then at the pod's address, then where its name says.
    pub(crate) async fn reach(
        &mut self,
        settings: &AgentBuilder,
        cookies: &Cookies,
    ) -> Result<Reached, Obstacle> {
        let mut obstacle = Obstacle::Link(Failure::Untold);
        for (at, cookie) in cookies.to_try().into_iter().enumerate() {
            let neighbour = self.with_cookie(settings, &cookie).await?;
            match connect(&neighbour, settings).await {
                Ok(creation) => {
                    return Ok(Reached {
                        neighbour,
                        creation,
                        cookie,
                    });
                }
                // What the cookie that counts has come to is what is to be told.
                Err(failure) if at == 0 => obstacle = Obstacle::Link(failure),
                Err(_) => {}
            }
            if !matches!(obstacle, Obstacle::Link(failure) if is_about_cookie(failure)) {
                break;
            }
        }
        Err(obstacle)
    }

    /// Ends the link with the node, and none of that node's own.
    pub(crate) async fn end(&mut self) {
        if let Some((node, _)) = self.0.take() {
            node.shutdown().await;
        }
    }

    async fn with_cookie(
        &mut self,
        settings: &AgentBuilder,
        cookie: &Cookie,
    ) -> Result<Node, Obstacle> {
        if let Some((node, known)) = &self.0
            && is_same(known, cookie)
        {
            return Ok(node.clone());
        }
        self.end().await;
        let ourselves = |error: &dyn std::error::Error| Obstacle::Ourselves(error.to_string());
        let number = rand::random_range(0..MAX_NAMES);
        let alive = format!("{PREFIX}{number}");
        let host = settings.node.host().as_str();
        let name = NodeName::new(&alive, host).map_err(|error| ourselves(&error))?;
        // What happens to this link is ours to tell: the records of the log are about the links of
        // the node that we steer.
        let starting = settings.neighbour(name, cookie.clone()).start();
        let node = starting
            .with_subscriber(NoSubscriber::default())
            .await
            .map_err(|error| ourselves(&error))?;
        self.0 = Some((node.clone(), cookie.clone()));
        Ok(node)
    }
}

async fn connect(neighbour: &Node, settings: &AgentBuilder) -> Result<Creation, Failure> {
    let mut most_telling = Failure::Dial(DialFailure::NoSuchHost);
    for address in addresses(&settings.node, settings.pod_ip) {
        let mut peer = PeerAddr::new(settings.node.clone());
        if let Some(address) = address {
            peer = peer.with_address(address);
        }
        match neighbour.connect(peer).await {
            Ok(()) => {
                let view = neighbour.view();
                if let Some(peer) = view.peer(&settings.node) {
                    return Ok(peer.creation);
                }
                most_telling = Failure::Closed;
            }
            Err(ConnectError::Failed { failure, .. }) => {
                if weight(failure) > weight(most_telling) {
                    most_telling = failure;
                }
                // That was the node, and it would be nobody else at another address.
                if is_about_cookie(failure) {
                    break;
                }
            }
            Err(_) => most_telling = Failure::GivenUp,
        }
    }
    Err(most_telling)
}

/// Where to look for a node that runs beside us, in this order: on loopback, at the address of our
/// pod if it is known, and where its name says, for which `None` stands.
///
/// ```
/// let node = "web@10.1.2.3".parse()?;
/// let places = enmesh_agent::addresses(&node, None);
/// assert_eq!(places, [Some("127.0.0.1".parse().unwrap()), None]);
/// # Ok::<(), enmesh::NameError>(())
/// ```
pub fn addresses(node: &NodeName, pod_ip: Option<IpAddr>) -> Vec<Option<IpAddr>> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let loopback = match node.host().as_ip() {
        Some(IpAddr::V4(_)) => vec![v4],
        Some(IpAddr::V6(_)) => vec![v6],
        None => vec![v4, v6],
    };
    let near = loopback.into_iter().chain(pod_ip).map(Some);
    near.chain([None]).collect()
}

fn is_about_cookie(failure: Failure) -> bool {
    matches!(failure, Failure::WrongCookie | Failure::NotAllowed)
}

/// Which of several failures, at several addresses, says most about the node.
fn weight(failure: Failure) -> u8 {
    match failure {
        Failure::Dial(dial) => match dial {
            DialFailure::NoSuchHost => 0,
            DialFailure::Unreachable => 1,
            DialFailure::EpmdUnreachable => 2,
            DialFailure::TimedOut => 3,
            DialFailure::NotRegistered => 4,
            DialFailure::Refused => 5,
            _ => 7,
        },
        Failure::WrongName => 3,
        Failure::TimedOut | Failure::Closed | Failure::Nok => 6,
        Failure::WrongCookie | Failure::NotAllowed => 9,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(node: &str, pod_ip: Option<&str>, wanted: &[&str]) {
        let cookie = Cookie::new("c").unwrap();
        let mut settings = AgentBuilder::new(node.parse().unwrap(), cookie);
        if let Some(address) = pod_ip {
            settings = settings.pod_ip(address.parse().unwrap());
        }
        let found: Vec<_> = addresses(&settings.node, settings.pod_ip)
            .into_iter()
            .map(|it| it.map_or("name".to_owned(), |it| it.to_string()))
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_node_is_looked_for_beside_us_first() {
        check(
            "a@10.1.2.3",
            Some("10.1.2.3"),
            &["127.0.0.1", "10.1.2.3", "name"],
        );
        check("a@::5", None, &["::1", "name"]);
        check("a@web-0", None, &["127.0.0.1", "::1", "name"]);
    }
}
