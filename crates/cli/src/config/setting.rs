//! The settings there are: their keys, their variables, and what they allow.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use enmesh::{Allowed, AutoConnect};
use enmesh_discovery::NameMode;

/// One setting: what it is called on each of the three roads. Its flag is the key with `-` for
/// `_` and `.`.
#[derive(Debug)]
pub(crate) struct Key {
    /// The name in the file; one in a table is written as `table.name`.
    pub(crate) name: &'static str,
    /// The environment variables, the first that is set counts.
    pub(crate) variables: &'static [&'static str],
    /// What is allowed, in words.
    pub(crate) allowed: &'static str,
}

/// The key of the topologies in the file: an array of tables.
pub(crate) const TOPOLOGY_KEY: &str = "topology";
/// The table of the cookies for single peers in the file.
pub(crate) const COOKIES_KEY: &str = "cookies";
/// Topology strings, one a line.
pub(crate) const TOPOLOGY_VARIABLE: &str = "ENMESH_TOPOLOGY";

/// Every setting with one value. `ERL_DIST_PORT` and `ERL_EPMD_PORT` are Erlang's own.
pub(crate) const KEYS: [Key; 25] = [
    Key {
        name: "name",
        variables: &["ENMESH_NAME"],
        allowed: "alive@host, as in app@10.0.0.1, at most 255 characters",
    },
    Key {
        name: "name_mode",
        variables: &["ENMESH_NAME_MODE"],
        allowed: "whole, or ip, dns, srv, hostname or pod, with the part before the @ as name",
    },
    Key {
        name: "service",
        variables: &["ENMESH_SERVICE", "SERVICE_NAME"],
        allowed: "the name of the headless Service that the pod belongs to, as in web",
    },
    Key {
        name: "cookie_file",
        variables: &["ENMESH_COOKIE_FILE"],
        allowed: "the path of a file that holds the cookie alone",
    },
    Key {
        name: "allow",
        variables: &["ENMESH_ALLOW"],
        allowed: "names of nodes (app@10.0.0.1), first parts (app@) and hosts (10.0.0.1), at least one",
    },
    Key {
        name: "visible",
        variables: &["ENMESH_VISIBLE"],
        allowed: "true or false",
    },
    Key {
        name: "listen",
        variables: &["ENMESH_LISTEN"],
        allowed: "an address of this machine, as in 0.0.0.0, 10.0.0.1 or ::",
    },
    Key {
        name: "dist_port",
        variables: &["ENMESH_DIST_PORT", "ERL_DIST_PORT"],
        allowed: "a port from 0 to 65535, 0 meaning any free one",
    },
    Key {
        name: "epmd",
        variables: &["ENMESH_EPMD"],
        allowed: "system, embedded or none",
    },
    Key {
        name: "epmd_port",
        variables: &["ENMESH_EPMD_PORT", "ERL_EPMD_PORT"],
        allowed: "a port from 1 to 65535",
    },
    Key {
        name: "net_ticktime",
        variables: &["ENMESH_NET_TICKTIME"],
        allowed: "1s to 2h, as in \"60s\"; a bare number is seconds",
    },
    Key {
        name: "net_tickintensity",
        variables: &["ENMESH_NET_TICKINTENSITY"],
        allowed: "4 to 1000",
    },
    Key {
        name: "dist_auto_connect",
        variables: &["ENMESH_DIST_AUTO_CONNECT"],
        allowed: "always, once or never",
    },
    Key {
        name: "echo",
        variables: &["ENMESH_ECHO"],
        allowed: "true or false",
    },
    Key {
        name: "tls.cert_file",
        variables: &["ENMESH_TLS_CERT_FILE"],
        allowed: "the path of our certificate in PEM, with key_file and ca_file",
    },
    Key {
        name: "tls.key_file",
        variables: &["ENMESH_TLS_KEY_FILE"],
        allowed: "the path of our certificate's private key in PEM, with cert_file and ca_file",
    },
    Key {
        name: "tls.ca_file",
        variables: &["ENMESH_TLS_CA_FILE"],
        allowed: "the path of the authorities' certificates in PEM, with cert_file and key_file",
    },
    Key {
        name: "tls.verify_client",
        variables: &["ENMESH_TLS_VERIFY_CLIENT"],
        allowed: "true or false, with cert_file, key_file and ca_file",
    },
    Key {
        name: "http.listen",
        variables: &["ENMESH_HTTP_LISTEN"],
        allowed: "an address of this machine and a port, as in 10.0.0.1:9369, [::]:9369 or \
                  127.0.0.1:0",
    },
    Key {
        name: "min_peers",
        variables: &["ENMESH_MIN_PEERS"],
        allowed: "0 to 10000",
    },
    Key {
        name: "prune",
        variables: &["ENMESH_PRUNE"],
        allowed: "never, grace or immediate",
    },
    Key {
        name: "on_leave",
        variables: &["ENMESH_ON_LEAVE"],
        allowed: "stay or disconnect",
    },
    Key {
        name: "on_event",
        variables: &["ENMESH_ON_EVENT"],
        allowed: "a command and its arguments, as a list of texts, as that list in JSON, or separated \
                  by spaces",
    },
    Key {
        name: "log_format",
        variables: &["ENMESH_LOG_FORMAT"],
        allowed: "text or json",
    },
    Key {
        name: "log_level",
        variables: &["ENMESH_LOG_LEVEL"],
        allowed: "off, error, warn, info, debug or trace",
    },
];

/// How the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("not a log format".to_owned()),
        }
    }
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

const NET_TICKTIME_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(7200);
/// No topology names more.
const MIN_PEERS_RANGE: std::ops::RangeInclusive<u32> = 0..=10_000;
const NET_TICKINTENSITY_RANGE: std::ops::RangeInclusive<u32> = 4..=1000;

/// How the name of a pod's node is made; none where it is whole as it was given.
pub(crate) fn name_mode(text: &str) -> Result<Option<NameMode>, &'static str> {
    match text {
        "whole" => Ok(None),
        text => NameMode::of_own(text)
            .map(Some)
            .map_err(|_| "no way to make our own name"),
    }
}

/// `true` or `false`; `1`, `0`, `yes` and `no` too, as people write them into Deployments.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

/// A path that is not empty.
pub(crate) fn path(text: &str) -> Result<PathBuf, &'static str> {
    match text {
        "" => Err("the path is empty"),
        path => Ok(PathBuf::from(path)),
    }
}

/// Entries of the allow-list, with commas in between. None at all is refused, for it could be
/// taken for everybody as well as for nobody.
pub(crate) fn allow(text: &str) -> Result<(Allowed, Vec<String>), String> {
    let entries: Vec<_> = text.split(',').map(str::trim).collect();
    if entries.iter().all(|entry| entry.is_empty()) {
        return Err("nobody is named; leave it out to allow everybody".to_owned());
    }
    let allowed = Allowed::parse(entries.iter().copied()).map_err(|error| error.to_string())?;
    Ok((allowed, entries.into_iter().map(str::to_owned).collect()))
}

/// A command and its arguments: a list in JSON, or words with white space in between.
pub(crate) fn command(text: &str) -> Result<Vec<String>, String> {
    let words = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|_| "not a list of texts".to_owned())?
    } else {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words),
        _ => Err("no command is named; leave it out to run none".to_owned()),
    }
}

/// The words as [`command`] reads them.
pub(crate) fn command_text(words: &[String]) -> String {
    serde_json::Value::from(words).to_string()
}

/// When signals connect nodes.
pub(crate) fn auto_connect(text: &str) -> Result<AutoConnect, String> {
    let found = [AutoConnect::Always, AutoConnect::Once, AutoConnect::Never]
        .into_iter()
        .find(|&when| auto_connect_word(when) == text);
    found.ok_or_else(|| "neither always nor once nor never".to_owned())
}

/// The word for it.
pub(crate) fn auto_connect_word(when: AutoConnect) -> &'static str {
    match when {
        AutoConnect::Always => "always",
        AutoConnect::Once => "once",
        AutoConnect::Never => "never",
    }
}

/// An address to listen on.
pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "not an IP address".to_owned())
}

/// An address and a port to listen on. An IPv6 address needs no brackets, since a manifest's
/// `$(POD_IP):9369` has none: the port comes last.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let bare = text.rsplit_once(':').and_then(|(address, port)| {
        let address: Ipv6Addr = address.parse().ok()?;
        Some(SocketAddr::new(address.into(), port.parse().ok()?))
    });
    bare.ok_or_else(|| "not an IP address and a port".to_owned())
}

/// How many peers there must be.
pub(crate) fn min_peers(text: &str) -> Result<u32, String> {
    let count = text.parse().map_err(|_| "not a whole number".to_owned())?;
    within(count, &MIN_PEERS_RANGE)
}

/// A port, 0 included.
pub(crate) fn port_or_any(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "not a port number".to_owned())
}

/// A port that is one.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    match port_or_any(text)? {
        0 => Err("0 is no port to ask at".to_owned()),
        port => Ok(port),
    }
}

/// How long a silent peer is kept; a bare number is seconds, as Erlang's `net_ticktime` is.
pub(crate) fn net_ticktime(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    within(duration, &NET_TICKTIME_RANGE)
}

/// Ticks in a `net_ticktime`.
pub(crate) fn net_tickintensity(text: &str) -> Result<u32, String> {
    let intensity = text.parse().map_err(|_| "not a whole number".to_owned())?;
    within(intensity, &NET_TICKINTENSITY_RANGE)
}

/// The least severe level that is logged.
pub(crate) fn log_level(text: &str) -> Result<tracing_subscriber::filter::LevelFilter, String> {
    match text {
        "off" | "error" | "warn" | "info" | "debug" | "trace" => {
            text.parse().map_err(|_| "not a level".to_owned())
        }
        _ => Err("not a level".to_owned()),
    }
}

fn within<T: PartialOrd>(value: T, range: &std::ops::RangeInclusive<T>) -> Result<T, String> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err("out of range".to_owned())
    }
}
