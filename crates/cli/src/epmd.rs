//! `enmesh epmd`: the Erlang port mapper, in place of OTP's.

use std::net::IpAddr;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use enmesh_epmd::{Server, ServerConfig};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

use crate::config::LogFormat;
use crate::ending;
use crate::exit::Failure;
use crate::log;
use crate::runtime;
use crate::signals::{Impatience, Signals};

/// What `epmd` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
BEAM nodes use it as they use OTP's; start them with -start_epmd false. Names are registered from
this host alone; anybody may ask for them. SIGTERM and SIGINT end it: nodes go on, and register
again with whoever serves the port next.

Examples:
  enmesh epmd
  enmesh epmd --port 14369 --listen 10.0.0.1      and ERL_EPMD_PORT=14369 for the nodes
  enmesh epmd --relaxed                           `epmd -kill` works with nodes registered")]
pub(crate) struct EpmdOptions {
    /// The port to serve.
    #[arg(long, value_name = "PORT", env = "ERL_EPMD_PORT", default_value_t = enmesh_epmd::DEFAULT_PORT,
          value_parser = RangedU64ValueParser::<u16>::new().range(1..=65535))]
    port: u16,
    /// An address to listen on besides loopback; may be repeated [default: all of this host].
    #[arg(long, value_name = "ADDR")]
    listen: Vec<IpAddr>,
    /// Let names be stopped, and the server be killed while nodes are registered.
    #[arg(long)]
    relaxed: bool,
    /// How the log on stderr looks.
    #[arg(
        long,
        value_name = "text|json",
        env = "ENMESH_LOG_FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
}

/// Serves until a signal comes, or until `epmd -kill` on this host.
pub(crate) fn run(options: &EpmdOptions) -> Result<(), Failure> {
    let runtime = runtime::start()?;
    let log = log::start(options.log_format, LevelFilter::INFO, None);
    let say = |failure: &Failure| tracing::error!(error = %failure, "epmd failed");
    runtime.block_on(async {
        let outcome = serve(options).await;
        ending::see_out(log, options.log_format, outcome, say).await
    })
}

async fn serve(options: &EpmdOptions) -> Result<Impatience, Failure> {
    let mut signals = Signals::listen()?;
    let mut config = ServerConfig::default();
    config.listen.clone_from(&options.listen);
    config.port = options.port;
    config.relaxed = options.relaxed;
    let server = Server::bind(config).map_err(|error| Failure::Epmd {
        port: options.port,
        error,
    })?;
    let stop = CancellationToken::new();
    let serving = server.run(stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        _ended = &mut serving => return Ok(Impatience::new(signals, 0)),
        signal = signals.next() => tracing::info!(signal, "stopping"),
    }
    stop.cancel();
    serving.await;
    Ok(Impatience::new(signals, 0))
}
