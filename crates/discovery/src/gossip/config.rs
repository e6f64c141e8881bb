//! The keys of strategy `gossip`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use enmesh_membership::GossipAuth;

use crate::Secret;
use crate::config::{ConfigError, Field, Fields, StrategyConfig};
use crate::gossip::source::GossipSource;
use crate::source::{Source, SourceContext, SourceError};

/// libcluster's port.
const DEFAULT_PORT: u16 = 45892;

/// libcluster's group.
const GROUP: Ipv4Addr = Ipv4Addr::new(233, 252, 1, 32);

/// Its counterpart of IPv6, which libcluster does not speak: on this link, and spelling `enmesh`.
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0x656e, 0x6d65, 0x7368);

const PORT_ALLOWED: &str = "a port from 1 to 65535";
const IF_ADDR_ALLOWED: &str = "the address to listen on, 0.0.0.0 or :: for all";
const GROUP_ALLOWED: &str =
    "a multicast address of the same family as if_addr, as in 233.252.1.32 or ff12::656e:6d65:7368";
const BROADCAST_ALLOWED: &str =
    "with broadcast_only a broadcast address of IPv4, as in 192.168.1.255 or 255.255.255.255";
const INTERFACE_ALLOWED: &str =
    "the address of an interface, as in 192.168.1.7; with IPv6 its name or number, as in eth0";
const TTL_ALLOWED: &str = "how many routers a packet may pass, 0 to 255";
const BROADCAST_ONLY_ALLOWED: &str = "true or false";
const SECRET_FILE_ALLOWED: &str = "the path of a file that holds the secret alone";
const ONE_SECRET: &str = "a file where there is no key `secret` beside it";
const AUTH_ALLOWED: &str = "accept or require";
const AUTH_WITHOUT_SECRET: &str = "require only together with key `secret` or `secret_file`";

/// Strategy `gossip`: whoever sends libcluster's heartbeats to the same group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipConfig {
    /// Key `port`: where heartbeats are sent to and listened for; default 45892.
    pub port: u16,
    /// Key `if_addr`: the address to listen on; default 0.0.0.0, or `::` with a group of IPv6.
    pub if_addr: IpAddr,
    /// Key `multicast_addr`: the group, or the broadcast address with `broadcast_only`; default
    /// 233.252.1.32, or ff12::656e:6d65:7368 with an `if_addr` of IPv6.
    pub multicast_addr: IpAddr,
    /// Key `multicast_if`: the interface to send and listen on, by its address, or with IPv6 by
    /// its name or number. Without it the system's routes say which, loopback not excepted.
    pub multicast_if: Option<String>,
    /// Key `multicast_ttl`: how many routers a packet may pass, 0 to 255; default 1: none.
    pub multicast_ttl: u8,
    /// Key `broadcast_only`: whether no multicast is used at all; default false.
    pub broadcast_only: bool,
    /// Key `secret`: what packets are sealed and signed with. All nodes must have the same.
    pub secret: Option<Secret>,
    /// Key `secret_file`: a file that holds it, read once, instead of `secret`.
    pub secret_file: Option<PathBuf>,
    /// Key `auth`: whether heartbeats count that are not signed; default `accept`.
    pub auth: GossipAuth,
}

impl Default for GossipConfig {
    fn default() -> Self {
        Self {
            port: DEFAULT_PORT,
            if_addr: Ipv4Addr::UNSPECIFIED.into(),
            multicast_addr: GROUP.into(),
            multicast_if: None,
            multicast_ttl: 1,
            broadcast_only: false,
            secret: None,
            secret_file: None,
            auth: GossipAuth::default(),
        }
    }
}

impl StrategyConfig for GossipConfig {
    const NAME: &'static str = "gossip";
    const ALIASES: &'static [&'static str] = &["Cluster.Strategy.Gossip"];
    const KEYS: &'static [&'static str] = &[
        "port",
        "if_addr",
        "multicast_addr",
        "multicast_if",
        "multicast_ttl",
        "broadcast_only",
        "secret",
        "secret_file",
        "auth",
    ];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let if_addr = optional::<IpAddr>(fields, "if_addr", IF_ADDR_ALLOWED)?;
        let group = optional::<IpAddr>(fields, "multicast_addr", GROUP_ALLOWED)?;
        let is_v6 = if_addr.or(group).is_some_and(|address| address.is_ipv6());
        let (any, usual): (IpAddr, IpAddr) = if is_v6 {
            (Ipv6Addr::UNSPECIFIED.into(), GROUP_V6.into())
        } else {
            (Ipv4Addr::UNSPECIFIED.into(), GROUP.into())
        };
        let secret_file = fields.text("secret_file", SECRET_FILE_ALLOWED)?;
        Ok(Self {
            port: fields.parsed("port", PORT_ALLOWED, DEFAULT_PORT)?,
            if_addr: if_addr.unwrap_or(any),
            multicast_addr: group.unwrap_or(usual),
            multicast_if: fields.text("multicast_if", INTERFACE_ALLOWED)?,
            multicast_ttl: fields.parsed("multicast_ttl", TTL_ALLOWED, 1)?,
            broadcast_only: fields.parsed("broadcast_only", BROADCAST_ONLY_ALLOWED, false)?,
            secret: Secret::take(fields, "secret")?,
            secret_file: secret_file.map(PathBuf::from),
            auth: fields.parsed("auth", AUTH_ALLOWED, GossipAuth::default())?,
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let text = |value: &dyn ToString| Field::Text(value.to_string());
        let mut pairs = vec![
            ("port", text(&self.port)),
            ("if_addr", text(&self.if_addr)),
            ("multicast_addr", text(&self.multicast_addr)),
            ("multicast_ttl", text(&self.multicast_ttl)),
            ("broadcast_only", text(&self.broadcast_only)),
            ("auth", text(&self.auth)),
        ];
        if let Some(interface) = &self.multicast_if {
            pairs.push(("multicast_if", text(interface)));
        }
        if let Some(secret) = &self.secret {
            pairs.push(("secret", secret.field()));
        }
        if let Some(path) = &self.secret_file {
            pairs.push(("secret_file", text(&path.display())));
        }
        pairs
    }

    fn validate(&self) -> Result<(), ConfigError> {
        check(self.port != 0, "port", &self.port, PORT_ALLOWED)?;
        let group = self.multicast_addr;
        if self.broadcast_only {
            let fits = group.is_ipv4() && self.if_addr.is_ipv4() && !group.is_multicast();
            check(fits, "multicast_addr", &group, BROADCAST_ALLOWED)?;
        } else {
            let fits = group.is_multicast() && group.is_ipv4() == self.if_addr.is_ipv4();
            check(fits, "multicast_addr", &group, GROUP_ALLOWED)?;
        }
        if let Some(interface) = &self.multicast_if {
            let fits = match group {
                IpAddr::V4(_) => interface.parse::<Ipv4Addr>().is_ok(),
                IpAddr::V6(_) => is_interface_name(interface),
            };
            check(fits, "multicast_if", interface, INTERFACE_ALLOWED)?;
        }
        if let Some(secret) = &self.secret {
            secret.check("secret")?;
            if let Some(path) = &self.secret_file {
                check(false, "secret_file", &path.display(), ONE_SECRET)?;
            }
        }
        let has_secret = self.secret.is_some() || self.secret_file.is_some();
        let fits = has_secret || self.auth == GossipAuth::Accept;
        check(fits, "auth", &self.auth, AUTH_WITHOUT_SECRET)
    }

    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        let secret = match &self.secret_file {
            Some(path) => Some(Secret::read(path, "secret_file")?),
            None => self.secret.clone(),
        };
        Ok(Box::new(GossipSource::new(self, secret.as_ref(), context)))
    }
}

/// What `key` parses to, if it is given.
fn optional<T: FromStr>(
    fields: &mut Fields,
    key: &'static str,
    allowed: &'static str,
) -> Result<Option<T>, ConfigError> {
    match fields.text(key, allowed)? {
        None => Ok(None),
        Some(value) => match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(_) => Err(ConfigError::BadValue {
                key,
                value,
                allowed,
            }),
        },
    }
}

fn check(
    fits: bool,
    key: &'static str,
    value: &dyn ToString,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    if fits {
        return Ok(());
    }
    Err(ConfigError::BadValue {
        key,
        value: value.to_string(),
        allowed,
    })
}

/// Whether an interface may be called so, which also keeps the name inside of its directory.
fn is_interface_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@".contains(&byte);
    (1..=15).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}

#[cfg(test)]
mod tests;
