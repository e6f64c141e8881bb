//! Nodes against nodes: OTP and OTP, ours and ours, and one of each, every row in turn.
//!
//! `cargo xtask bench`; needs root, for a network namespace. `--rounds`, `--millis`, `--rows` and `--columns` (separated by
//! commas) make it shorter; `--tls` has all links run over TLS 1.3, and does fewer rows.

#[path = "nodes/pair.rs"]
mod pair;
#[path = "nodes/rows.rs"]
mod rows;
#[path = "nodes/rust_side.rs"]
mod rust_side;
#[path = "nodes/samples.rs"]
mod samples;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use enmesh_interop::{Ratios, poll_until};

use crate::pair::{Certificates, Epmd, Kind, Pair};
use crate::rows::{Figure, Row};

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "ENMESH_BENCH_INSIDE";

/// The columns, the baseline first: who drives a row, and who serves it.
const COLUMNS: [(&str, Kind, Kind); 4] = [
    ("OTP → OTP", Kind::Beam, Kind::Beam),
    ("Rust → Rust", Kind::Rust, Kind::Rust),
    ("Rust → BEAM", Kind::Rust, Kind::Beam),
    ("BEAM → Rust", Kind::Beam, Kind::Rust),
];

struct Settings {
    rounds: usize,
    time: Duration,
    rows: Vec<String>,
    columns: Vec<String>,
    tls: bool,
}

fn main() -> Result<()> {
    if let Some(name) = std::env::var_os(rust_side::ROLE) {
        return rust_side::run(&name.to_string_lossy());
    }
    let settings = Settings::parse(std::env::args().skip(1))?;
    if std::env::var_os(INSIDE).is_none() {
        return run_inside();
    }
    let _epmd = Epmd::start()?;
    poll_until("epmd answers", Duration::from_secs(5), || {
        let names = Command::new("epmd").arg("-names").output()?;
        ensure!(names.status.success(), "not yet");
        Ok(())
    })?;
    measure(&settings)
}

impl Settings {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut settings = Self {
            rounds: 5,
            time: Duration::from_secs(1),
            rows: Vec::new(),
            columns: Vec::new(),
            tls: false,
        };
        // cargo adds a flag of its own to what it runs.
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(flag) = arguments.next() {
            if flag == "--tls" {
                settings.tls = true;
                continue;
            }
            let value = arguments
                .next()
                .with_context(|| format!("{flag} needs a value"))?;
            let words = || value.split(',').map(str::to_owned).collect();
            match flag.as_str() {
                "--rounds" => settings.rounds = value.parse()?,
                "--millis" => settings.time = Duration::from_millis(value.parse()?),
                "--rows" => settings.rows = words(),
                "--columns" => settings.columns = words(),
                _ => bail!(
                    "unknown: {flag}; allowed are --rounds, --millis, --rows, --columns, --tls"
                ),
            }
        }
        Ok(settings)
    }

    fn has(&self, row: &Row) -> bool {
        if self.rows.is_empty() {
            return !self.tls || rows::OVER_TLS.contains(&row.name);
        }
        self.rows.iter().any(|name| name == row.name)
    }

    /// Columns are named by two letters, such as `rb` for Rust → BEAM; the baseline is always there.
    fn has_column(&self, column: usize) -> bool {
        let (_, from, to) = COLUMNS[column];
        let short = format!("{}{}", from.letter(), to.letter());
        column == 0 || self.columns.is_empty() || self.columns.contains(&short)
    }
}

/// Runs this bench again in a network namespace, so that epmd's port is free and nobody else's traffic is in the way.
fn run_inside() -> Result<()> {
    // Before everybody else on a machine that others use, too.
    let inside = "ip link set lo up && exec nice -n -15 \"$0\" \"$@\"";
    let status = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", inside])
        .arg(std::env::current_exe()?)
        .args(std::env::args().skip(1))
        .env(INSIDE, "1")
        .status()
        .context("unshare could not be started")?;
    ensure!(status.success(), "the bench inside ended with {status}");
    Ok(())
}

fn measure(settings: &Settings) -> Result<()> {
    let modules = pair::compile_beam_half()?;
    let columns: Vec<usize> = (0..COLUMNS.len())
        .filter(|column| settings.has_column(*column))
        .collect();
    let certificates = settings.tls.then(Certificates::new).transpose()?;
    let mut pairs = Vec::new();
    for &column in &columns {
        let (_, from, to) = COLUMNS[column];
        let pair = Pair::start(column, (from, to), modules.path(), certificates.as_ref())?;
        pairs.push((column, pair));
    }
    let rows = rows::all(settings.tls);
    let measures = rows
        .iter()
        .flat_map(|row| row.measures.iter().map(|(_, measure)| measure.clone()))
        .collect();
    let mut ratios = Ratios::new(COLUMNS.map(|(title, ..)| title).to_vec(), measures);
    let mut first = 0;
    for row in &rows {
        for round in 0..settings.rounds {
            for (column, pair) in &mut pairs {
                if !settings.has(row) {
                    continue;
                }
                let sample = pair
                    .measure(row.name, settings.time * row.longer)
                    .with_context(|| format!("{}, {}", row.name, COLUMNS[*column].0))?;
                eprintln!(
                    "{} {round} {}: {:.0}/s p99 {:.0} us",
                    row.name, COLUMNS[*column].0, sample.rate, sample.p99
                );
                for (number, (figure, _)) in row.measures.iter().enumerate() {
                    let figure = match figure {
                        Figure::Rate => sample.rate,
                        Figure::P99 => sample.p99,
                        Figure::ReceiverCpu => sample.receiver_cpu_ns,
                    };
                    ratios.add(first + number, *column, figure);
                }
            }
        }
        first += row.measures.len();
    }
    print(settings, &ratios)
}

fn print(settings: &Settings, ratios: &Ratios) -> Result<()> {
    let date = Command::new("date").args(["-u", "+%F"]).output()?.stdout;
    let cores = std::thread::available_parallelism()?;
    println!(
        "{}, {cores} cores, OTP 25{}; {} rounds of {:?} each, in turn; medians, and the ratio to OTP → OTP\n",
        String::from_utf8_lossy(&date).trim(),
        if settings.tls { ", TLS 1.3" } else { "" },
        settings.rounds,
        settings.time,
    );
    println!("{}", ratios.table());
    let (reached, all) = ratios.reached();
    println!("{reached} of {all} targets reached");
    Ok(())
}
