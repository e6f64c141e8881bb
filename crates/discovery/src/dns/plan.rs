//! What is asked, and how what is found becomes names. No socket is touched here.

use std::time::Duration;

use crate::dns_keys::{LOOKUP_TIMEOUT, Nameservers, PortFrom};

/// What a strategy wants to know.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// At least one; configuration bounds how many.
    pub(crate) questions: Vec<Question>,
    /// The longest time between two rounds.
    pub(crate) interval: Duration,
    /// The longest that one look-up takes.
    pub(crate) lookup_timeout: Duration,
    /// Who is asked; none means those of resolv.conf.
    pub(crate) nameservers: Nameservers,
}

impl Plan {
    /// One question, with the usual time for it.
    pub(crate) fn of(question: Question, interval: Duration, nameservers: &Nameservers) -> Self {
        Self {
            questions: vec![question],
            interval,
            lookup_timeout: LOOKUP_TIMEOUT,
            nameservers: nameservers.clone(),
        }
    }
}

/// One DNS name, and what becomes of its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The name as it is configured.
    pub(crate) name: QueryName,
    /// The part before the `@`.
    pub(crate) basename: String,
    /// The types that are asked for.
    pub(crate) records: Records,
    /// The part behind the `@`.
    pub(crate) host_part: HostPart,
    /// Of which families the addresses of SRV targets are.
    pub(crate) families: Families,
    /// Where the port of the distribution comes from.
    pub(crate) port: PortFrom,
}

impl Question {
    /// `basename@ADDRESS` for each address of `query`.
    pub(crate) fn addresses(query: &str, basename: &str) -> Self {
        Self {
            name: QueryName::Searched(query.to_owned()),
            basename: basename.to_owned(),
            records: Records::ADDRESSES,
            host_part: HostPart::Address,
            families: Families::Both,
            port: PortFrom::Epmd,
        }
    }
}

/// A DNS name that may need to be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QueryName {
    /// The search list of resolv.conf applies, unless it ends with a dot.
    Searched(String),
    /// A name in the zone of a Kubernetes cluster, up to and with `svc`. The domain is the one
    /// given, else what the search list tells, else `cluster.local`.
    InCluster {
        /// `SERVICE.NAMESPACE.svc`.
        prefix: String,
        /// The cluster's domain, if somebody has said it.
        domain: Option<String>,
    },
}

impl QueryName {
    /// As people are told it.
    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::Searched(name) | Self::InCluster { prefix: name, .. } => name,
        }
    }
}

/// The types of records that are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) a: bool,
    pub(crate) aaaa: bool,
    pub(crate) srv: bool,
}

impl Records {
    /// The addresses of both families.
    pub(crate) const ADDRESSES: Self = Self {
        a: true,
        aaaa: true,
        srv: false,
    };

    /// Services alone.
    pub(crate) const SRV: Self = Self {
        a: false,
        aaaa: false,
        srv: true,
    };
}

/// What stands behind the `@` of a found peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostPart {
    /// Its address. The target of an SRV record is looked up.
    Address,
    /// The target of an SRV record as it stands, or the reverse name of an address.
    Hostname,
}

/// The addresses that a look-up of a host name asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    /// IPv4 and IPv6; one of them is taken.
    Both,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}
