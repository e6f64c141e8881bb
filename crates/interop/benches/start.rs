//! Start to "distribution ready" and resident memory of an empty node: ours and OTP's in turn.
//!
//! `cargo bench -p enmesh-interop --bench start`; `ENMESH_BIN` names the program to measure, best a
//! static release build. Needs root, for a network namespace.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Enmesh, poll_until};

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "ENMESH_BENCH_INSIDE";

/// How often each side is started; odd, so that the median is one of the runs.
const RUNS: usize = 21;

/// How long a node has been idle when its memory is read.
const SETTLE: Duration = Duration::from_millis(500);

struct Run {
    ready: Duration,
    resident_kib: u64,
}

fn main() -> Result<()> {
    let program = Enmesh::program()?;
    if std::env::var_os(INSIDE).is_none() {
        return run_inside(program);
    }
    let mut epmd = Command::new("epmd")
        .spawn()
        .context("epmd could not be started")?;
    // Whoever comes first has the port, and ours is fast.
    let measured = poll_until("epmd answers", SETTLE * 10, || {
        let names = Command::new("epmd").arg("-names").output()?;
        ensure!(names.status.success(), "not yet");
        Ok(())
    })
    .and_then(|()| measure_all(program));
    epmd.kill()?;
    epmd.wait()?;
    measured
}

/// Runs this bench again in a network namespace, so that both sides are started without a wrapper
/// and epmd's port is free.
fn run_inside(program: &Path) -> Result<()> {
    let status = Command::new("unshare")
        .args([
            "--net",
            "--",
            "sh",
            "-c",
            "ip link set lo up && exec \"$0\"",
        ])
        .arg(std::env::current_exe()?)
        .env("ENMESH_BIN", program)
        .env(INSIDE, "1")
        .status()
        .context("unshare could not be started")?;
    ensure!(status.success(), "the bench inside ended with {status}");
    Ok(())
}

fn measure_all(program: &Path) -> Result<()> {
    let cookie = tempfile::NamedTempFile::new()?;
    std::fs::write(cookie.path(), "secret")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(enmesh(program, cookie.path())?);
        theirs.push(beam()?);
    }
    println!("program: {}", program.display());
    println!("{RUNS} runs each, in turn; median (minimum to maximum)\n");
    println!("|  | start to ready, ms | resident, KiB |");
    println!("|---|---|---|");
    print_row("enmesh run", &ours);
    print_row("erl (OTP 25)", &theirs);
    let ratio = sorted(&theirs, ready_ms)[RUNS / 2] / sorted(&ours, ready_ms)[RUNS / 2];
    println!("\nOTP takes {ratio:.0} times as long to be ready");
    Ok(())
}

/// Until the log says "node started": it listens and epmd knows its port.
fn enmesh(program: &Path, cookie: &Path) -> Result<Run> {
    let mut command = Command::new(program);
    command.args([
        "run",
        "--name",
        "r@127.0.0.1",
        "--log-format",
        "json",
        "--cookie-file",
    ]);
    command.arg(cookie);
    measure(command)
}

/// Until the first expression runs, which is after the kernel application has started.
fn beam() -> Result<Run> {
    let mut command = Command::new("erl");
    command
        .args([
            "-noshell",
            "-name",
            "b@127.0.0.1",
            "-setcookie",
            "secret",
            "-start_epmd",
            "false",
        ])
        .args(["-eval", "io:put_chars(standard_error, \"node started\\n\")"]);
    measure(command)
}

fn measure(mut command: Command) -> Result<Run> {
    command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .env("HOME", "/tmp");
    let started = Instant::now();
    let mut process = command.spawn().with_context(|| format!("{command:?}"))?;
    let stderr = process.stderr.take().context("stderr is piped")?;
    let mut lines = BufReader::new(stderr).lines();
    let ready = loop {
        let line = lines
            .next()
            .with_context(|| format!("{command:?} was never ready"))??;
        if line.contains("node started") {
            break started.elapsed();
        }
    };
    std::thread::sleep(SETTLE);
    let resident_kib = resident(process.id())?;
    process.kill()?;
    process.wait()?;
    Ok(Run {
        ready,
        resident_kib,
    })
}

fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn ready_ms(run: &Run) -> f64 {
    run.ready.as_secs_f64() * 1000.0
}

#[allow(clippy::cast_precision_loss)] // Memory in KiB is far below what a f64 holds exactly.
fn kib(run: &Run) -> f64 {
    run.resident_kib as f64
}

fn sorted(runs: &[Run], value: impl Fn(&Run) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn print_row(name: &str, runs: &[Run]) {
    let cell = |values: Vec<f64>, digits: usize| {
        let (first, last) = (values[0], values[values.len() - 1]);
        format!(
            "{:.digits$} ({first:.digits$} to {last:.digits$})",
            values[values.len() / 2]
        )
    };
    let (ready, memory) = (cell(sorted(runs, ready_ms), 1), cell(sorted(runs, kib), 0));
    println!("| {name} | {ready} | {memory} |");
}
