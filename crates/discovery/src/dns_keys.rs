//! Keys that the DNS strategies share.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::config::{
    ConfigError, DEFAULT_POLLING_INTERVAL, Field, Fields, POLLING_INTERVAL_ALLOWED,
};

/// What key `nameserver` may hold.
pub(crate) const NAMESERVER_ALLOWED: &str = "1 to 8 addresses of name servers, separated by \
     spaces, as in 10.96.0.10, 127.0.0.1:8600 or [fd00::10]:53";

/// What key `port` may hold.
pub(crate) const PORT_ALLOWED: &str = "srv (the port of the SRV record) or epmd";

/// What a second name of a key may hold that is given by its first one too.
const EITHER: &str = "one of polling_interval and this, which mean the same";

/// How long a look-up may take where nothing else is said.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

const MAX_NAMESERVERS: usize = 8;
const DNS_PORT: u16 = 53;

/// Who is asked in place of the name servers of resolv.conf; empty by default, which changes
/// nothing. The search list stays resolv.conf's.
///
/// ```
/// use enmesh_discovery::Nameservers;
///
/// let consul: Nameservers = "127.0.0.1:8600".parse().unwrap();
/// assert_eq!(consul.addresses()[0].port(), 8600);
/// assert!(Nameservers::default().addresses().is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nameservers {
    addresses: Vec<SocketAddr>,
}

impl Nameservers {
    /// Their addresses, in the order in which they are preferred.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The value of key `nameserver`.
    pub(crate) fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        fields.parsed("nameserver", NAMESERVER_ALLOWED, Self::default())
    }

    /// What [`take`](Self::take) would take.
    pub(crate) fn pair(&self) -> Option<(&'static str, Field)> {
        let given = !self.addresses.is_empty();
        given.then(|| ("nameserver", Field::Text(self.to_string())))
    }
}

/// A text is no list of name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {NAMESERVER_ALLOWED}")]
pub struct NameserversError;

impl FromStr for Nameservers {
    type Err = NameserversError;

    fn from_str(text: &str) -> Result<Self, NameserversError> {
        let address = |word: &str| {
            let address = word.parse::<SocketAddr>();
            let alone = |_| Ok(SocketAddr::new(word.parse::<IpAddr>()?, DNS_PORT));
            address.or_else(alone)
        };
        let addresses: Vec<_> = text
            .split_whitespace()
            .take(MAX_NAMESERVERS + 1)
            .map(address)
            .collect::<Result<_, std::net::AddrParseError>>()
            .map_err(|_| NameserversError)?;
        let usable = |address: &SocketAddr| address.port() != 0 && !address.ip().is_unspecified();
        if (1..=MAX_NAMESERVERS).contains(&addresses.len()) && addresses.iter().all(usable) {
            Ok(Self { addresses })
        } else {
            Err(NameserversError)
        }
    }
}

impl fmt::Display for Nameservers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, address) in self.addresses.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{address}")?;
        }
        Ok(())
    }
}

/// Where the port of a peer's distribution comes from.
///
/// ```
/// assert_eq!(enmesh_discovery::PortFrom::default(), enmesh_discovery::PortFrom::Epmd);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortFrom {
    /// The SRV record of the peer. Where it holds epmd's port, none, or several that differ, the
    /// peer's epmd is asked after all.
    Srv,
    /// The peer's epmd, or the one port of a cluster without epmd.
    #[default]
    Epmd,
}

impl PortFrom {
    /// The value of key `port`.
    pub(crate) fn take(fields: &mut Fields, default: Self) -> Result<Self, ConfigError> {
        match fields.text("port", PORT_ALLOWED)?.as_deref() {
            None => Ok(default),
            Some("srv") => Ok(Self::Srv),
            Some("epmd") => Ok(Self::Epmd),
            Some(other) => Err(ConfigError::BadValue {
                key: "port",
                value: other.to_owned(),
                allowed: PORT_ALLOWED,
            }),
        }
    }

    /// What [`take`](Self::take) would take.
    pub(crate) fn pair(self) -> (&'static str, Field) {
        let text = match self {
            Self::Srv => "srv",
            Self::Epmd => "epmd",
        };
        ("port", Field::Text(text.to_owned()))
    }
}

/// The polling interval, under its usual name or `other`, not under both.
pub(crate) fn take_interval(
    fields: &mut Fields,
    other: Option<&'static str>,
) -> Result<Duration, ConfigError> {
    let usual = fields.duration("polling_interval", POLLING_INTERVAL_ALLOWED)?;
    let Some(other) = other else {
        return Ok(usual.unwrap_or(DEFAULT_POLLING_INTERVAL));
    };
    match (usual, fields.duration(other, POLLING_INTERVAL_ALLOWED)?) {
        (Some(_), Some(twice)) => Err(ConfigError::BadValue {
            key: other,
            value: crate::config::duration_text(twice),
            allowed: EITHER,
        }),
        (one, two) => Ok(one.or(two).unwrap_or(DEFAULT_POLLING_INTERVAL)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_server_without_a_port_is_asked_on_53() {
        let servers: Nameservers = "10.96.0.10 127.0.0.1:8600 fd00::1 [fd00::2]:54"
            .parse()
            .unwrap();
        let shown = "10.96.0.10:53 127.0.0.1:8600 [fd00::1]:53 [fd00::2]:54";
        assert_eq!(servers.to_string(), shown);
    }

    #[test]
    fn what_is_no_name_server_is_refused() {
        let many = "10.0.0.1 ".repeat(9);
        for text in [
            "",
            "dns.test",
            "10.0.0.1:0",
            "0.0.0.0",
            "10.0.0.1,10.0.0.2",
            &many,
        ] {
            assert_eq!(text.parse::<Nameservers>(), Err(NameserversError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn name_servers_are_read_back(
            addresses in prop::collection::vec((any::<IpAddr>(), 1..=u16::MAX), 1..=8)
        ) {
            let addresses: Vec<_> = addresses.into_iter().map(SocketAddr::from).collect();
            let usable = addresses.iter().all(|address| !address.ip().is_unspecified());
            let servers = Nameservers { addresses };
            let read = servers.to_string().parse();
            prop_assert_eq!(read, if usable { Ok(servers) } else { Err(NameserversError) });
        }

        #[test]
        fn any_text_gives_name_servers_or_an_error(text in ".{0,99}") {
            let _ = text.parse::<Nameservers>();
        }
    }
}
