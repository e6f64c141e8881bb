//! `enmesh run`: one member, until a signal.

use clap::Args;
use enmesh::{Node, TlsConfig};

use crate::config::{
    ConfigError, ConfigErrors, Environment, Flags, Layer, NameFlags, PeerCookie, ReachFlags,
    RunConfig, WatchFlags, load_cookie,
};
use crate::exit::Failure;
use crate::http::Http;
use crate::reload::{Reloads, Seen};
use crate::service;

/// What `run` takes. Values stay texts here: flags, environment and file are parsed on one road.
#[derive(Args, Debug)]
#[command(after_help = "\
A flag counts more than the environment, that more than the file, that more than the default. The
environment variable of --dist-port is ENMESH_DIST_PORT, and so on; ENMESH_TOPOLOGY holds one
topology a line, ENMESH_COOKIES one NODE=FILE. Every key of the file is in enmesh.example.toml.

The cookie is read from the first of: --cookie-file, ENMESH_COOKIE_FILE, the file's cookie_file,
the variable RELEASE_COOKIE, ~/.erlang.cookie. It is never taken from the command line.

SIGTERM and SIGINT close every link in order; a second one ends the member at once. SIGHUP, and a
file that has changed, change the topologies; all else counts after a restart.

Examples:
  enmesh run --name r@127.0.0.1 --topology 'strategy=epmd hosts=b@127.0.0.1,c@127.0.0.1'
  enmesh run --config enmesh.toml --log-format json
  enmesh run --name r@$POD_IP --epmd none --dist-port 4370 \\
    --topology 'strategy=kubernetes kubernetes_ip_lookup_mode=pods kubernetes_selector=app=web'
  enmesh run --name web --name-mode ip \\
    --topology 'strategy=dns_poll query=web.ns.svc node_basename=web'

Exit codes: 0 ended by a signal, 64 wrong usage, 78 wrong configuration, 1 anything else.")]
pub(crate) struct RunOptions {
    #[command(flatten)]
    name: NameFlags,
    #[command(flatten)]
    reach: ReachFlags,
    /// Another cookie for one peer, from a file; may be repeated.
    #[arg(long, value_name = "NODE=FILE")]
    cookie_for: Vec<String>,
    /// Who alone may have a link with us: app@10.0.0.1, app@ or 10.0.0.1, with commas in between
    /// [default: everybody].
    #[arg(long, value_name = "WHO")]
    allow: Option<String>,
    /// BEAM nodes list us in nodes(), and we take part in global and pg [default].
    #[arg(long, conflicts_with = "hidden")]
    visible: bool,
    /// BEAM nodes list us in nodes(hidden) only.
    #[arg(long)]
    hidden: bool,
    /// The address to listen on [default: all of this host].
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// How many ticks there are in the time of --net-ticktime [default: 4].
    #[arg(long, value_name = "N")]
    net_tickintensity: Option<String>,
    /// When a message to a node that is not connected connects it: always, once or never
    /// [default: always].
    #[arg(long, value_name = "WHEN")]
    dist_auto_connect: Option<String>,
    /// Whether peers that connect must show a certificate: true or false [default: true].
    #[arg(long, value_name = "WHETHER")]
    tls_verify_client: Option<String>,
    /// Serve a process `echo`, for trying things out.
    #[arg(long)]
    echo: bool,
    #[command(flatten)]
    watch: WatchFlags,
    /// End when stdin is closed: whoever started us has ended then.
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
}

impl RunOptions {
    /// The configuration, of all roads, as they are now.
    fn read(&self, environment: &Environment) -> Result<RunConfig, ConfigErrors> {
        let flags = Flags {
            settings: self.layer(),
            topologies: self.watch.topologies(),
            cookies: &self.cookie_for,
        };
        flags.read(self.name.config(), environment)
    }

    fn layer(&self) -> Layer {
        let visible = match (self.visible, self.hidden) {
            (true, _) => Some("true".to_owned()),
            (_, true) => Some("false".to_owned()),
            _ => None,
        };
        let echo = self.echo.then(|| "true".to_owned());
        let mut layer = self.name.layer();
        layer.extend(self.reach.layer());
        layer.extend(self.watch.layer());
        layer.extend(Flags::layer([
            ("allow", &self.allow),
            ("visible", &visible),
            ("listen", &self.listen),
            ("net_tickintensity", &self.net_tickintensity),
            ("dist_auto_connect", &self.dist_auto_connect),
            ("echo", &echo),
            ("tls.verify_client", &self.tls_verify_client),
        ]));
        layer
    }
}

/// Runs a member until a signal has ended it.
pub(crate) fn run(options: &RunOptions, environment: &Environment) -> Result<(), Failure> {
    let seen = Seen::look(options.name.config());
    let config = options.read(environment)?;
    let say = |failure: &Failure| tracing::error!(error = %failure, "member failed");
    service::serve(config, say, async |config| {
        let read = || options.read(environment);
        let reloads = Reloads::listen(seen, &config, read)?;
        let http = Http::of(&config, !config.visible);
        let builder = builder(config, environment)?;
        let starting = async {
            let started = builder.start().await;
            started.map_err(|error| Failure::Start { error })
        };
        service::attend(starting, reloads, http, options.exit_with_stdin).await
    })
}

/// The node with the cookies of single peers and the transport of its links.
pub(crate) fn secured(
    mut builder: enmesh::Builder,
    cookies: Vec<PeerCookie>,
    tls: Option<TlsConfig>,
) -> Result<enmesh::Builder, ConfigErrors> {
    for peer in cookies {
        let cookie = peer.load()?;
        builder = builder.cookie_for(peer.peer, cookie);
    }
    Ok(match tls {
        Some(tls) => builder.tls(tls),
        None => builder,
    })
}

fn builder(config: RunConfig, environment: &Environment) -> Result<enmesh::Builder, ConfigErrors> {
    let name = config.name.ok_or(ConfigError::Missing {
        what: "the node's name",
        next: "give --name app@10.0.0.1, ENMESH_NAME or name in the file",
    })?;
    let cookie = load_cookie(&config.cookie, environment)?;
    let mut builder = Node::builder(name, cookie)
        .echo(config.echo)
        .dist_auto_connect(config.dist_auto_connect)
        .visible(config.visible)
        .listen(config.listen)
        .dist_port(config.dist_port)
        .epmd(config.epmd)
        .epmd_port(config.epmd_port)
        .net_ticktime(config.net_ticktime)
        .net_tickintensity(config.net_tickintensity)
        .prune(config.prune);
    builder = secured(builder, config.cookies, config.tls)?;
    if let Some((allowed, _)) = config.allow {
        builder = builder.allow(allowed);
    }
    Ok(config
        .topologies
        .into_iter()
        .fold(builder, enmesh::Builder::topology))
}
