//! `enmesh env`: what a release in a pod must be told to be the node that its peers look for.

mod release;
mod shell;

use clap::{Args, ValueEnum};
use enmesh::EpmdMode;

use crate::config::{
    ConfigError, ConfigErrors, Environment, Flags, Layer, NameFlags, ReachFlags, RunConfig,
    load_cookie,
};
use crate::exit::Failure;
use crate::manifests::write_out;
use release::{Ports, Release};
pub(crate) use shell::quoted;

/// The words of `--mode`.
const MODES: [&str; 6] = ["ip", "dns", "srv", "hostname", "pod", "whole"];

/// What is said where nobody says how the name is made.
const NO_MODE: ConfigError = ConfigError::Missing {
    what: "how the part of the name after the @ is made",
    next: "give --mode ip, dns, srv, hostname or pod (ENMESH_NAME_MODE)",
};

/// What `env` takes.
#[derive(Args, Debug)]
#[command(
    mut_arg("config", |arg| arg.help("The configuration file of the agent beside the release")),
    mut_arg("name", |arg| arg.help(
        "The part of the name before the @ [default: ENMESH_NAME, RELEASE_NAME]"
    )),
    mut_arg("name_mode", |arg| arg
        .long("mode")
        .visible_alias("name-mode")
        .value_parser(MODES)
        .hide_possible_values(true)
        .help(
            "How the part of the name after the @ is made: ip, dns, srv, hostname or pod; whole: it \
             stands in --name [default: ENMESH_NAME_MODE]"
        )
    ),
    mut_arg("service", |arg| arg.help(
        "The headless Service that the pod belongs to, for the modes srv, hostname and pod \
         [default: SERVICE_NAME; for srv and hostname, the pod's subdomain]"
    )),
    mut_arg("cookie_file", |arg| arg.help("The file that holds the cookie")),
    mut_arg("epmd", |arg| arg.help(
        "none: no epmd, every node of the cluster listens on --dist-port; else epmd is used"
    )),
    mut_arg("epmd_port", |arg| arg.help("The port of epmd [default: 4369]")),
    mut_arg("dist_port", |arg| arg.help("The port to listen on [default: any free one]")),
)]
#[command(after_help = "\
For rel/env.sh.eex of an Elixir release, and for the entry point of any other:
  settings=\"$(/opt/enmesh/enmesh env)\" || exit 1
  eval \"$settings\"
with --mode and --cookie-file where ENMESH_NAME_MODE and ENMESH_COOKIE_FILE are not set.
One line, eval \"$(enmesh env …)\", ends the shell on errors as well, if only the program is there.

Every command of an Elixir release sources env.sh. RELEASE_COMMAND says which: start, start_iex,
daemon and daemon_iex get the port; all others (remote, rpc, eval, stop, pid, …) find the node and
do not listen. ELIXIR_ERL_OPTIONS keeps what is in it already. Releases of rebar3 take RELEASE_NODE
and RELEASE_COOKIE in vm.args.src, and ERL_DIST_PORT; their script sources nothing, so that one of
yours with these two lines calls it, for the start and for each command: exec /app/bin/web \"$@\"

The name is made of POD_IP, POD_NAME, POD_NAMESPACE, HOSTNAME, CLUSTER_DOMAIN, resolv.conf and the
hosts file, as `enmesh run --name-mode` and the topologies of the same mode make it. What looks
wrong is said on stderr. The cookie of --cookie-file (ENMESH_COOKIE_FILE, the file's cookie_file)
becomes RELEASE_COOKIE; without one, the release's own stays.

Examples:
  enmesh env --mode ip --name web
  enmesh env --mode hostname --service web --epmd none --dist-port 9100
  enmesh env --mode dns --format vm.args >/tmp/vm.args && erl -args_file /tmp/vm.args

Exit codes: 0 printed, 64 wrong usage, 78 something is missing or wrong.")]
pub(crate) struct EnvOptions {
    #[command(flatten)]
    name: NameFlags,
    #[command(flatten)]
    reach: ReachFlags,
    /// Run over TLS, with this file of options (-ssl_dist_optfile).
    #[arg(long, value_name = "FILE", value_parser = one_word)]
    ssl_dist_optfile: Option<String>,
    /// How it is printed.
    #[arg(long, value_name = "FORMAT", default_value = "sh")]
    format: Format,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Commands of a POSIX shell, for eval.
    Sh,
    /// NAME=value lines without quotes, for files of variables.
    Env,
    /// Arguments of erl, for -args_file and vm.args.
    #[value(name = "vm.args")]
    VmArgs,
}

impl EnvOptions {
    fn layer(&self) -> Layer {
        let mut layer = self.name.layer();
        layer.extend(self.reach.layer());
        layer
    }
}

/// A text that is one argument still after a start script has split its options at spaces.
fn one_word(text: &str) -> Result<String, &'static str> {
    match text.is_empty() || text.contains(char::is_whitespace) {
        true => Err("allowed: a file without spaces in its name, at which erl's options are split"),
        false => Ok(text.to_owned()),
    }
}

/// Prints the settings, or says in the shell's own words that there are none.
pub(crate) fn run(options: &EnvOptions, environment: &Environment) -> Result<(), Failure> {
    match text(options, environment) {
        Ok(text) => write_out(&text),
        Err(errors) => {
            let failure = Failure::from(errors);
            if options.format == Format::Sh {
                end_shell(failure.code());
            }
            Err(failure)
        }
    }
}

/// Ends the shell that evaluates what we print, where the command line was not understood.
pub(crate) fn refuse_usage(code: u8) {
    if std::env::args_os().nth(1).is_some_and(|word| word == "env") {
        end_shell(code);
    }
}

/// Where this cannot be written, the exit code and the words on stderr are left.
fn end_shell(code: u8) {
    let _ = write_out(&format!("{}\n", shell::exit(code)));
}

fn text(options: &EnvOptions, environment: &Environment) -> Result<String, ConfigErrors> {
    let flags = Flags {
        settings: options.layer(),
        ..Flags::default()
    };
    let merged = flags.merge(options.name.config(), environment)?;
    let is_part = |name: &str| !name.contains('@');
    if merged.text("name_mode").is_none() && merged.text("name").is_some_and(is_part) {
        return Err(NO_MODE.into());
    }
    let config = merged.read(environment)?;
    let doubts = config.pod_name.iter().flat_map(|name| name.doubts());
    for doubt in doubts {
        eprintln!("enmesh: {doubt}");
    }
    let release = release(config, options, environment)?;
    let starts = release::starts(environment.get_filled("RELEASE_COMMAND"));
    let options_of_before = environment
        .get_filled(release::ERL_OPTIONS)
        .unwrap_or_default();
    Ok(match options.format {
        Format::Sh => shell::exports(&release.variables(starts, options_of_before)),
        Format::Env => shell::lines(&release.variables(starts, options_of_before)),
        Format::VmArgs => release.vm_args(),
    })
}

fn release(
    config: RunConfig,
    options: &EnvOptions,
    environment: &Environment,
) -> Result<Release, ConfigErrors> {
    let cookie = match config.cookie.is_given() {
        true => Some(load_cookie(&config.cookie, environment)?),
        false => None,
    };
    let name = config.name.ok_or(NO_MODE)?;
    let of_pod = config.pod_name.as_ref();
    let address = of_pod.and_then(|it| it.facts.address());
    let address = name.host().as_ip().or(address);
    Ok(Release {
        is_ipv6: address.is_some_and(|address| address.is_ipv6()),
        name,
        cookie,
        ports: match (config.epmd, config.dist_port) {
            (EpmdMode::None, port) => Ports::Shared(port),
            (_, 0) => Ports::Any,
            (_, port) => Ports::Fixed(port),
        },
        epmd_port: config.epmd_port,
        tls_options: options.ssl_dist_optfile.clone(),
    })
}

#[cfg(test)]
mod tests;
