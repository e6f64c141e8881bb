//! The flags that several commands have in common: which node is meant, how it is reached, and what is done while it runs.
//!
//! A command that means something else by one of them says so in its own words, by `mut_arg`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::merge::{Flags, Layer};

/// Which node is meant.
#[derive(Args, Debug)]
pub(crate) struct NameFlags {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "ENMESH_CONFIG")]
    config: Option<PathBuf>,
    /// Our full name, as in app@10.0.0.1.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Make the part of the name after the @ of what the pod knows of itself: ip, dns, srv, hostname
    /// or pod; --name is the part before it then [default: whole].
    #[arg(long, value_name = "MODE")]
    name_mode: Option<String>,
    /// The headless Service that the pod belongs to, for the modes srv, hostname and pod [default:
    /// SERVICE_NAME].
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

/// How nodes are reached, and with which cookie.
#[derive(Args, Debug)]
pub(crate) struct ReachFlags {
    /// The file that holds the cluster's cookie.
    #[arg(long, value_name = "FILE")]
    cookie_file: Option<String>,
    /// system: use the epmd there is; embedded: take over when there is none; none: every node of
    /// the cluster listens on --dist-port [default: embedded].
    #[arg(long, value_name = "MODE")]
    epmd: Option<String>,
    /// The port of epmd, here and at the peers [default: 4369].
    #[arg(long, value_name = "PORT")]
    epmd_port: Option<String>,
    /// The port to listen on, 0 meaning any free one [default: 0].
    #[arg(long, value_name = "PORT")]
    dist_port: Option<String>,
}

/// What is done for as long as a member, or an agent, runs.
#[derive(Args, Debug)]
pub(crate) struct WatchFlags {
    /// After how many seconds a silent peer is taken for dead [default: 60].
    #[arg(long, value_name = "S")]
    net_ticktime: Option<String>,
    /// Our certificate: every link runs over TLS then, as with -proto_dist inet_tls.
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<String>,
    /// The certificate's private key.
    #[arg(long, value_name = "FILE")]
    tls_key_file: Option<String>,
    /// The certificates of the authorities that sign those of peers.
    #[arg(long, value_name = "FILE")]
    tls_ca_file: Option<String>,
    /// Where peers come from, as key=value pairs; may be repeated, and replaces the file's.
    #[arg(long, value_name = "'strategy=… key=value …'")]
    topology: Vec<String>,
    /// Serve /livez and /readyz over HTTP here, as in 10.0.0.1:9369 [default: nowhere].
    #[arg(long, value_name = "ADDR:PORT")]
    http_listen: Option<String>,
    /// How many peers must be connected for us to be ready [default: 0].
    #[arg(long, value_name = "N")]
    min_peers: Option<String>,
    /// When the link of a peer that left every topology is closed: never, grace (after 15 s) or
    /// immediate [default: never].
    #[arg(long, value_name = "WHEN")]
    prune: Option<String>,
    /// Run this for each node that comes or goes, with the event as JSON on its stdin: a command and
    /// its arguments, separated by spaces, or as a list in JSON.
    #[arg(long, value_name = "COMMAND")]
    on_event: Option<String>,
    /// How the log on stderr looks: text or json [default: text].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// The least severe level that is logged: error, warn, info, debug or trace [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl NameFlags {
    /// The configuration file.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    pub(crate) fn layer(&self) -> Layer {
        Flags::layer([
            ("name", &self.name),
            ("name_mode", &self.name_mode),
            ("service", &self.service),
        ])
    }
}

impl ReachFlags {
    pub(crate) fn layer(&self) -> Layer {
        Flags::layer([
            ("cookie_file", &self.cookie_file),
            ("epmd", &self.epmd),
            ("epmd_port", &self.epmd_port),
            ("dist_port", &self.dist_port),
        ])
    }
}

impl WatchFlags {
    /// Topology strings.
    pub(crate) fn topologies(&self) -> &[String] {
        &self.topology
    }

    pub(crate) fn layer(&self) -> Layer {
        Flags::layer([
            ("net_ticktime", &self.net_ticktime),
            ("tls.cert_file", &self.tls_cert_file),
            ("tls.key_file", &self.tls_key_file),
            ("tls.ca_file", &self.tls_ca_file),
            ("http.listen", &self.http_listen),
            ("min_peers", &self.min_peers),
            ("prune", &self.prune),
            ("on_event", &self.on_event),
            ("log_format", &self.log_format),
            ("log_level", &self.log_level),
        ])
    }
}
