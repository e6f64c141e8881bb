//! Which names the nodes have, and where their ports come from.

use std::fmt;
use std::str::FromStr;

use crate::config::ConfigError;

pub(super) const MODE: &str = "mode";
pub(super) const MODE_ALLOWED: &str =
    "ip, dns, srv, hostname, pod, template (with name_template), ask, epmd or auto";
pub(super) const PORT: &str = "port";
pub(super) const PORT_ALLOWED: &str = "a port from 1 to 65535, the name of a port as in dist, the beginning of names as in dist-*, \
     annotation:KEY, or epmd";

/// The longest name of a port, of a container's port and of a Service's alike, in bytes.
const MAX_PORT_NAME: usize = 63;
/// The longest key of an annotation, in bytes: 253 of the prefix, a slash, 63 of the name.
const MAX_ANNOTATION_KEY: usize = 317;

/// Which names the nodes have. The address to dial is the pod's in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameMode {
    /// `ip`: `base@10.1.2.3`.
    #[default]
    Ip,
    /// `dns`: `base@10-1-2-3.NAMESPACE.pod.DOMAIN`.
    Dns,
    /// `srv`: `base@10-1-2-3.SERVICE.NAMESPACE.svc.DOMAIN`, as the targets of SRV records; a pod
    /// that has a host name has it instead of the address.
    Srv,
    /// `hostname`: `base@HOSTNAME.SERVICE.NAMESPACE.svc.DOMAIN`.
    Hostname,
    /// `pod`: `base@POD` where our own name is short,
    /// `base@POD.SERVICE.NAMESPACE.svc.DOMAIN` where it is long.
    Pod,
    /// `template`: as the key `name_template` says.
    Template,
    /// `ask`: whatever the node tells when it is asked, as [`probe`](crate::probe) does.
    Ask,
    /// `epmd`: every name that the pod's epmd lists, at a host part like our own; several nodes
    /// in one pod, with whatever names, are found. Remote shells (`rem-…`) are left out.
    Epmd,
    /// `auto`: hosts of the same form as our own host part: an address, or one of the names above.
    Auto,
}

impl NameMode {
    const TABLE: [(Self, &'static str); 9] = [
        (Self::Auto, "auto"),
        (Self::Ip, "ip"),
        (Self::Dns, "dns"),
        (Self::Srv, "srv"),
        (Self::Hostname, "hostname"),
        (Self::Pod, "pod"),
        (Self::Template, "template"),
        (Self::Ask, "ask"),
        (Self::Epmd, "epmd"),
    ];
}

impl FromStr for NameMode {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let found = Self::TABLE.iter().find(|(_, name)| *name == text);
        found
            .map(|(mode, _)| *mode)
            .ok_or_else(|| ConfigError::BadValue {
                key: MODE,
                value: text.to_owned(),
                allowed: MODE_ALLOWED,
            })
    }
}

impl fmt::Display for NameMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::TABLE.iter().find(|(mode, _)| mode == self);
        f.write_str(found.map_or("", |(_, name)| name))
    }
}

/// Where the ports of the nodes come from.
///
/// ```
/// use enmesh_discovery::PortSource;
///
/// assert_eq!("9100".parse(), Ok(PortSource::Fixed(9100)));
/// assert_eq!("dist-*".parse(), Ok(PortSource::NamedLike("dist-".to_owned())));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortSource {
    /// `epmd`: nothing is said of the port, and whoever dials asks the pod's epmd (or takes the
    /// port that all nodes share, where the member runs without epmd).
    #[default]
    Epmd,
    /// A number: all have this port.
    Fixed(u16),
    /// A name: the port of this name, of a container or of the Service.
    Named(String),
    /// A name and a star: every port whose name begins like this is a node of its own.
    NamedLike(String),
    /// `annotation:KEY`: the number in this annotation of the pod.
    Annotation(String),
}

impl FromStr for PortSource {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_name = |name: &str| name.len() <= MAX_PORT_NAME && name.chars().all(fits);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let annotation = text.strip_prefix("annotation:");
        match (text, annotation, text.strip_suffix('*')) {
            ("epmd", ..) => Some(Self::Epmd),
            _ if digits => text.parse().ok().filter(|port| *port > 0).map(Self::Fixed),
            (_, Some(key), _) => {
                let fits = |c: char| fits(c) || c == '/';
                let good = (1..=MAX_ANNOTATION_KEY).contains(&key.len()) && key.chars().all(fits);
                good.then(|| Self::Annotation(key.to_owned()))
            }
            (_, None, Some(begin)) => is_name(begin).then(|| Self::NamedLike(begin.to_owned())),
            ("", ..) => None,
            (name, None, None) => is_name(name).then(|| Self::Named(name.to_owned())),
        }
        .ok_or_else(|| ConfigError::BadValue {
            key: PORT,
            value: text.to_owned(),
            allowed: PORT_ALLOWED,
        })
    }
}

impl fmt::Display for PortSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epmd => f.write_str("epmd"),
            Self::Fixed(port) => port.fmt(f),
            Self::Named(name) => f.write_str(name),
            Self::NamedLike(begin) => write!(f, "{begin}*"),
            Self::Annotation(key) => write!(f, "annotation:{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_port_is_a_number_a_name_an_annotation_or_epmd() {
        for (text, port) in [
            ("epmd", PortSource::Epmd),
            ("1", PortSource::Fixed(1)),
            ("65535", PortSource::Fixed(65_535)),
            ("dist", PortSource::Named("dist".to_owned())),
            ("dist-*", PortSource::NamedLike("dist-".to_owned())),
            (
                "annotation:example.org/dist-port",
                PortSource::Annotation("example.org/dist-port".to_owned()),
            ),
        ] {
            assert_eq!(text.parse(), Ok(port), "{text}");
        }
        for text in [
            "",
            "0",
            "65536",
            "annotation:",
            "a b",
            "a*b",
            "annotation:a b",
        ] {
            assert!(text.parse::<PortSource>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_a_port_is_written_as_it_was(text in ".{0,40}|annotation:[a-z/]{0,9}|[a-z]{1,9}[*]?") {
            if let Ok(port) = text.parse::<PortSource>()
                && !matches!(port, PortSource::Fixed(_))
            {
                prop_assert_eq!(port.to_string(), text);
            }
        }
    }
}
