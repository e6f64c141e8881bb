//! `enmesh discover`: who a topology names, without connecting to anybody.

mod error;
mod found;
mod once;
mod print;
mod stdout;
mod watch;

use std::time::Duration;

use clap::{Args, ValueEnum};
use enmesh_discovery::{Source, SourceContext, TopologyConfig};
use enmesh_identity::NodeName;
use enmesh_membership::TopologyName;

use crate::arguments::patience;
use crate::config::{Environment, Flags, Layer, LogFormat, NameFlags};
use crate::ending;
use crate::exit::Failure;
use crate::log;
use crate::runtime;
use crate::signals::{Impatience, Signals};
use stdout::Stdout;

pub(crate) use error::DiscoverError;

/// What we are called where nobody says it.
const DEFAULT_NAME: &str = "enmesh@127.0.0.1";

/// What `discover` takes.
#[derive(Args, Debug)]
#[command(mut_arg("name", |arg| arg.help(
    "Whom to look as: strategies take first and host parts of names from it where they are not \
     told, and leave it out of what they find [default: enmesh@127.0.0.1]"
)))]
#[command(after_help = "\
Looks who belongs to the cluster and connects to nobody. TOPOLOGY is what `run --topology` takes,
or the name of a topology of the --config file; without one, all of the file's are asked. The
answers of several are merged. Without --watch, the first complete answer of each is awaited; a
source that only ever hears of one peer after the other (gossip, postgres) is listened to until
--timeout is over.

With --watch, each change is a JSON object on a line of its own, with the keys time, event and
topology, for ever: added and changed (with name, address, port, standing), removed (name), complete
(peers), failed (kind, error) and draining. A source that fails is asked again, as a member would.

The JSON of a list can stand in a file for strategy=file, or be printed for strategy=exec.

Examples:
  enmesh discover 'strategy=local_epmd'
  enmesh discover --output names 'strategy=dns_poll query=web.ns.svc node_basename=web'
  enmesh discover --config enmesh.toml web            the topology named web of the file
  enmesh discover --name web@10.0.0.7 --watch 'strategy=kubernetes kubernetes_selector=app=web'

Exit codes: 0 everybody answered, or --watch was ended; 1 a source failed (nothing is printed
then, and stderr says why); 64 wrong usage; 78 wrong configuration.")]
pub(crate) struct DiscoverOptions {
    /// Where peers come from, as key=value pairs, or a topology of the file; several are merged.
    #[arg(value_name = "TOPOLOGY")]
    topologies: Vec<String>,
    #[command(flatten)]
    name: NameFlags,
    /// The port of epmd, here and at the peers [default: 4369].
    #[arg(long, value_name = "PORT")]
    epmd_port: Option<String>,
    /// Go on, and print each change as a JSON object on a line of its own.
    #[arg(long, conflicts_with = "timeout")]
    watch: bool,
    /// How the list looks [default: table, and json with --watch].
    #[arg(long, value_name = "FORMAT")]
    output: Option<Output>,
    /// How long to wait for a complete answer.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = patience)]
    timeout: Duration,
    /// How the log on stderr looks: text or json [default: text].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// The least severe level that is logged: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log_level: String,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// One node name a line.
    Names,
    /// One address a line, with the port where it is known; the host part where no address is.
    Addresses,
    /// A list of objects.
    Json,
}

/// One topology and who answers for it.
struct Asked {
    name: TopologyName,
    strategy: &'static str,
    source: Box<dyn Source>,
}

impl DiscoverOptions {
    fn layer(&self) -> Layer {
        let log_level = Some(self.log_level.clone());
        let mut layer = self.name.layer();
        layer.extend(Flags::layer([
            ("epmd_port", &self.epmd_port),
            ("log_format", &self.log_format),
            ("log_level", &log_level),
        ]));
        layer
    }

    /// Whether the topologies are names of those of the file; strings have an equals sign.
    fn are_names(&self) -> Result<bool, DiscoverError> {
        let strings = self.topologies.iter().filter(|text| text.contains('='));
        match strings.count() {
            0 => Ok(true),
            count if count == self.topologies.len() => Ok(false),
            _ => Err(DiscoverError::Mixed),
        }
    }
}

/// Prints who the topologies name, once or for ever.
pub(crate) fn run(options: &DiscoverOptions, environment: &Environment) -> Result<(), Failure> {
    if options.watch && options.output.is_some_and(|output| output != Output::Json) {
        return Err(DiscoverError::WatchIsJson.into());
    }
    let are_names = options.are_names()?;
    let strings = if are_names {
        &[]
    } else {
        options.topologies.as_slice()
    };
    let flags = Flags {
        settings: options.layer(),
        topologies: strings,
        cookies: &[],
    };
    let config = flags.read(options.name.config(), environment)?;
    let names = if are_names {
        options.topologies.as_slice()
    } else {
        &[]
    };
    let topologies = chosen(config.topologies, names)?;
    let runtime = runtime::start()?;
    let log = log::start(config.log_format, config.log_level, None);
    let own = config.name.unwrap_or_else(|| {
        let name = DEFAULT_NAME.parse::<NodeName>();
        name.expect("the default is a node name")
    });
    let context = SourceContext::new(own.clone()).with_epmd_port(config.epmd_port);
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let asked = topologies
            .iter()
            .map(|topology| ask(topology, &context))
            .collect::<Result<Vec<_>, _>>();
        let outcome = match asked {
            Ok(asked) => print_found(asked, options, &own, &mut signals).await,
            Err(error) => Err(error.into()),
        };
        let outcome = outcome.map(|()| Impatience::new(signals, 0));
        ending::see_out(log, LogFormat::Text, outcome, |_| {}).await
    })
}

async fn print_found(
    asked: Vec<Asked>,
    options: &DiscoverOptions,
    own: &NodeName,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let mut stdout = Stdout::start();
    if options.watch {
        return watch::run(asked, own, signals, &mut stdout).await;
    }
    let answer = tokio::select! {
        biased;
        signal = signals.next() => return Err(DiscoverError::Signal { signal }.into()),
        () = stdout.reader_gone() => return Ok(()),
        answer = once::ask(asked, options.timeout) => answer?,
    };
    let found = found::merge(answer, own);
    let text = print::list(&found, options.output.unwrap_or(Output::Table));
    tokio::select! {
        biased;
        signal = signals.next() => Err(DiscoverError::Signal { signal }.into()),
        written = stdout.finish(text) => written,
    }
}

/// The topologies of the configuration, or those of these names.
fn chosen(
    topologies: Vec<TopologyConfig>,
    names: &[String],
) -> Result<Vec<TopologyConfig>, DiscoverError> {
    for name in names {
        if !topologies
            .iter()
            .any(|topology| topology.name.as_str() == name)
        {
            let names = topologies.iter().map(|topology| topology.name.to_string());
            let known = names.collect::<Vec<_>>().join(", ");
            let name = name.clone();
            return Err(DiscoverError::NoSuchTopology { name, known });
        }
    }
    let is_chosen =
        |name: &TopologyName| names.is_empty() || names.iter().any(|n| n == name.as_str());
    let topologies: Vec<_> = topologies
        .into_iter()
        .filter(|topology| is_chosen(&topology.name))
        .collect();
    if topologies.is_empty() {
        return Err(DiscoverError::NoTopology);
    }
    Ok(topologies)
}

fn ask(topology: &TopologyConfig, context: &SourceContext) -> Result<Asked, DiscoverError> {
    let source = topology.source(context);
    let source = source.map_err(|error| DiscoverError::NoSource {
        topology: topology.name.clone(),
        error,
    })?;
    Ok(Asked {
        name: topology.name.clone(),
        strategy: topology.strategy.name(),
        source,
    })
}
