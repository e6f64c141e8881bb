//! Two nodes, each a process of its own, driven over their standard input.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use enmesh_interop::Authority;
use tempfile::TempDir;

use crate::rust_side;

/// The host of all nodes. With TLS it is a name, because OTP 25 takes no address in a certificate.
const HOST: &str = "127.0.0.1";
const TLS_HOST: &str = "localhost";

/// How long the CPU clock of a process ticks, in nanoseconds: `/proc` counts hundredths of a second everywhere on Linux.
const CPU_TICK_NS: f64 = 1e7;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// OTP of this machine.
    Beam,
    /// Ours: this very program again.
    Rust,
}

impl Kind {
    /// The letter by which a column is chosen.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Beam => 'b',
            Self::Rust => 'r',
        }
    }
}

/// One measurement.
pub(crate) struct Sample {
    pub(crate) rate: f64,
    pub(crate) p99: f64,
    pub(crate) receiver_cpu_ns: f64,
}

/// A driving node and a serving one, a cluster of their own.
pub(crate) struct Pair {
    driver: Side,
    server: Side,
}

impl Pair {
    /// Starts both, over TLS where there are certificates; `number` keeps the names of several pairs apart.
    pub(crate) fn start(
        number: usize,
        (from, to): (Kind, Kind),
        modules: &Path,
        certificates: Option<&Certificates>,
    ) -> Result<Self> {
        let host = certificates.map_or(HOST, |_| TLS_HOST);
        let start = |word: &str, kind| {
            let name = format!("{word}{number}@{host}");
            Side::start(kind, &name, modules, certificates)
        };
        Ok(Self {
            server: start("server", to)?,
            driver: start("driver", from)?,
        })
    }

    /// Has the driver do `row` with the server for about `time`.
    pub(crate) fn measure(&mut self, row: &str, time: Duration) -> Result<Sample> {
        let before = self.server.cpu_ns()?;
        let line = format!("{row} {} {}\n", self.server.name, time.as_millis());
        self.driver.stdin.write_all(line.as_bytes())?;
        let answer = self.driver.line()?;
        let words: Vec<&str> = answer.split(' ').collect();
        let ["result", rate, _p50, p99] = words[..] else {
            bail!("{} says {answer}", self.driver.name);
        };
        let (rate, p99): (f64, f64) = (rate.parse()?, p99.parse()?);
        ensure!(rate > 0.0, "nothing was done");
        let done = rate * time.as_secs_f64();
        Ok(Sample {
            rate,
            p99,
            receiver_cpu_ns: (self.server.cpu_ns()? - before) / done,
        })
    }
}

/// What nodes need that speak TLS.
pub(crate) struct Certificates {
    authority: Authority,
    /// The `ssl_dist_optfile` of BEAMs.
    options: String,
}

impl Certificates {
    /// Of an authority of their own, with both sides verified.
    pub(crate) fn new() -> Result<Self> {
        let authority = Authority::new(&[TLS_HOST])?;
        let shown = authority.shown(TLS_HOST);
        let options = authority.options(TLS_HOST, "'tlsv1.3'", "", &shown)?;
        Ok(Self { authority, options })
    }
}

/// One node.
struct Side {
    name: String,
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Side {
    fn start(
        kind: Kind,
        name: &str,
        modules: &Path,
        certificates: Option<&Certificates>,
    ) -> Result<Self> {
        let mut command = match kind {
            Kind::Beam => beam(name, modules, certificates),
            Kind::Rust => rust(name, certificates)?,
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?} could not be started"))?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut side = Self {
            name: name.to_owned(),
            child,
            stdin,
            lines: BufReader::new(stdout).lines(),
        };
        let ready = side.line()?;
        ensure!(
            ready == "ready",
            "{name} says {ready} instead of being ready"
        );
        Ok(side)
    }

    fn line(&mut self) -> Result<String> {
        let line = self.lines.next();
        Ok(line.with_context(|| format!("{} has ended", self.name))??)
    }

    /// User and system time so far.
    fn cpu_ns(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in brackets may hold anything; times are the 12th and 13th field after it.
        let (_, fields) = stat.rsplit_once(')').context("a name in brackets")?;
        let mut times = fields.split_whitespace().skip(11);
        let mut next = || -> Result<f64> { Ok(times.next().context("a time")?.parse()?) };
        Ok((next()? + next()?) * CPU_TICK_NS)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rust(name: &str, certificates: Option<&Certificates>) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(rust_side::ROLE, name);
    if let Some(Certificates { authority, .. }) = certificates {
        for (variable, what) in rust_side::TLS_FILES {
            command.env(variable, authority.file(name, what));
        }
    }
    Ok(command)
}

fn beam(name: &str, modules: &Path, certificates: Option<&Certificates>) -> Command {
    let mut command = Command::new("erl");
    // A host without a dot makes a short name.
    let flag = certificates.map_or("-name", |_| "-sname");
    if let Some(Certificates { options, .. }) = certificates {
        command.args(["-proto_dist", "inet_tls", "-ssl_dist_optfile", options]);
    }
    command
        .args(["-noshell", flag, name, "-setcookie", rust_side::COOKIE])
        .args(["-start_epmd", "false", "-run", "enmesh_bench", "-pa"])
        .arg(modules)
        .env("HOME", "/tmp")
        .env_remove("ERL_AFLAGS")
        .env_remove("ERL_FLAGS")
        .env_remove("ERL_ZFLAGS");
    command
}

/// Compiles the Erlang module of this bench into a folder of its own.
pub(crate) fn compile_beam_half() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/benches/nodes/enmesh_bench.erl"
    );
    let status = Command::new("erlc")
        .arg("-o")
        .arg(folder.path())
        .arg(source)
        .status()
        .context("erlc could not be started")?;
    ensure!(status.success(), "erlc ended with {status}");
    Ok(folder)
}

/// OTP's epmd, for as long as the bench runs.
pub(crate) struct Epmd(Child);

impl Epmd {
    pub(crate) fn start() -> Result<Self> {
        let child = Command::new("epmd").spawn();
        Ok(Self(child.context("epmd could not be started")?))
    }
}

impl Drop for Epmd {
    fn drop(&mut self) {
        // It ends with the namespace at the latest.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
