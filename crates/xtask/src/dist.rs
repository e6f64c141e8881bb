//! `cargo xtask dist`: the program that is shipped, with the functions that every run needs in one place.
//!
//! Pages of the program count as resident, and the system maps sixteen around each one that is
//! touched. Start-up runs through code all over a program of nine MiB, so that half of it is
//! resident. Here a first build is run under callgrind, which tells what was called; a second link
//! puts these functions side by side.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum as _;
use enmesh_interop::ensure_programs;

use crate::repository;
use crate::run::{self, Totals};

/// What `cargo xtask dist` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For which target; the default is a static program.
    #[arg(long, default_value = "x86_64-unknown-linux-musl")]
    target: String,
}

/// A machine that a static program is shipped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Machine {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "aarch64")]
    Aarch64,
}

impl Machine {
    /// This one.
    pub(crate) fn of_here() -> anyhow::Result<Self> {
        let here = Self::value_variants()
            .iter()
            .find(|machine| machine.word() == std::env::consts::ARCH);
        here.copied()
            .with_context(|| format!("nothing is shipped for {}", std::env::consts::ARCH))
    }

    /// What Rust calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Rust's target of static programs for it.
    pub(crate) fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }

    /// The others that a program can be built for on this one.
    pub(crate) fn others(self) -> impl Iterator<Item = Self> {
        let others = Self::value_variants().iter().copied();
        others.filter(move |machine| self == Self::X86_64 && *machine != self)
    }

    /// What runs its programs here, with Debian's package.
    pub(crate) fn runner(self) -> &'static [(&'static str, &'static str)] {
        match self {
            _ if self.word() == std::env::consts::ARCH => &[],
            Self::X86_64 => &[("/usr/bin/qemu-x86_64-static", "qemu-user-static")],
            Self::Aarch64 => &[("/usr/bin/qemu-aarch64-static", "qemu-user-static")],
        }
    }
}

/// What is needed besides Rust where the program runs on this machine, each with Debian's package.
pub(crate) const TOOLS: [(&str, &str); 5] = [
    ("/usr/bin/ld.lld", "lld"),
    ("/usr/bin/valgrind", "valgrind"),
    ("/usr/bin/musl-gcc", "musl-tools"),
    ("/usr/bin/strip", "binutils"),
    ("/usr/bin/unshare", "util-linux"),
];

/// What builds for aarch64 elsewhere: the C compiler is for one library's assembly, Rust brings linker and libc.
const CROSS_TOOLS: [(&str, &str); 2] = [
    ("/usr/bin/aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    (
        "/usr/aarch64-linux-gnu/include/stdint.h",
        "libc6-dev-arm64-cross",
    ),
];

/// How long the program runs under callgrind, in seconds: long enough to be idle for a while.
const WATCHED: &str = "10";

/// Builds, watches, links again, and says where the program is.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let program = program(&args.target)?;
    println!(
        "{}: {} bytes",
        program.display(),
        fs::metadata(&program)?.len()
    );
    Ok(())
}

/// The same, and gives its path.
///
/// A program for another machine cannot be watched here: its functions stay in the linker's own order.
pub(crate) fn program(triple: &str) -> anyhow::Result<PathBuf> {
    add_target(triple)?;
    let target = repository::target_directory()?;
    let program = built(triple)?;
    if !triple.starts_with(std::env::consts::ARCH) {
        ensure!(
            triple == Machine::Aarch64.triple(),
            "{triple} cannot be built for on {}",
            std::env::consts::ARCH
        );
        ensure_programs(&CROSS_TOOLS)?;
        run::run(across(triple), &mut Totals::default())?;
        return Ok(program);
    }
    ensure_programs(&TOOLS)?;
    let order = target.join("dist-order.txt");
    build(triple, &[])?;
    let called = watch(&program, &target)?;
    fs::write(&order, called.join("\n"))?;
    println!("{} functions are called by every run", called.len());
    let ordering = format!("-Clink-arg=-Wl,--symbol-ordering-file={}", order.display());
    let no_warning = "-Clink-arg=-Wl,--no-warn-symbol-ordering";
    build(triple, &["-Clink-arg=-fuse-ld=lld", &ordering, no_warning])?;
    // Only now, for a program that rustc has the linker strip comes out in the old order.
    strip(&program)?;
    Ok(program)
}

/// A static program for this machine that is linked once: not in the order that it is shipped in.
pub(crate) fn quick_program(triple: &str) -> anyhow::Result<PathBuf> {
    ensure_programs(&TOOLS)?;
    build(triple, &[])?;
    let built = built(triple)?;
    // A copy: cargo takes the one that it has made for whole, and its symbols are wanted when it is watched.
    let program = built.with_file_name("enmesh-linked-once");
    fs::copy(&built, &program)?;
    strip(&program)?;
    Ok(program)
}

/// Where such a program is.
fn built(triple: &str) -> anyhow::Result<PathBuf> {
    Ok(repository::target_directory()?
        .join(triple)
        .join("dist/enmesh"))
}

fn strip(program: &Path) -> anyhow::Result<()> {
    let mut strip = Command::new("strip");
    strip.arg(program);
    run::run(strip, &mut Totals::default())
}

fn build(triple: &str, rustc: &[&str]) -> anyhow::Result<()> {
    let mut build = build_command(triple);
    build.arg("--").args(rustc);
    build.env("CARGO_PROFILE_DIST_STRIP", "none");
    run::run(build, &mut Totals::default())
}

fn build_command(triple: &str) -> Command {
    let fixed = "rustc --profile dist --package enmesh-cli --bin enmesh --target";
    let mut build = run::cargo(&repository::root(), fixed);
    build.arg(triple);
    build
}

/// A build for aarch64 on another machine.
fn across(triple: &str) -> Command {
    let mut build = build_command(triple);
    let variable = triple.replace('-', "_");
    build
        .env(format!("CC_{variable}"), "aarch64-linux-gnu-gcc")
        // Else atomics call functions of a libgcc that is not linked.
        .env(format!("CFLAGS_{variable}"), "-mno-outline-atomics")
        .env(
            format!("CARGO_TARGET_{}_LINKER", variable.to_uppercase()),
            "rust-lld",
        );
    build
}

/// Has rustup add a target unless it is there.
pub(crate) fn add_target(triple: &str) -> anyhow::Result<()> {
    let installed = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output()
        .context("cannot run rustup")?;
    let installed = String::from_utf8_lossy(&installed.stdout);
    if installed.lines().any(|line| line == triple) {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", triple]);
    run::run(add, &mut Totals::default())
}

/// The functions that a member calls from its start until it has been idle for a while, in the
/// order in which callgrind first saw them.
fn watch(program: &Path, directory: &Path) -> anyhow::Result<Vec<String>> {
    let (calls, cookie) = (
        directory.join("dist-calls.txt"),
        directory.join("dist-cookie"),
    );
    fs::write(&cookie, "cookie")?;
    let mut watched = Command::new("unshare");
    // A network of its own, so that epmd's port is free; SIGTERM is how a member ends well.
    watched
        .args(["--net", "--", "sh", "-c"])
        .arg("ip link set lo up && exec timeout --signal=TERM \"$0\" \"$@\"")
        .args([WATCHED, "valgrind", "--tool=callgrind", "--demangle=no"])
        .arg(format!("--callgrind-out-file={}", calls.display()))
        .arg(program)
        .args([
            "run",
            "--name",
            "enmesh@127.0.0.1",
            "--log-format",
            "json",
            "--cookie-file",
        ])
        .arg(&cookie)
        .stderr(Stdio::null());
    let status = watched.status().context("unshare could not be started")?;
    // 124 is how `timeout` says that it had to end it.
    ensure!(
        status.code() == Some(124),
        "the watched program ended with {status}"
    );
    let text = fs::read_to_string(&calls).context("callgrind wrote nothing")?;
    let called = functions(&text);
    if called.len() < 100 {
        bail!("callgrind saw only {} functions", called.len());
    }
    Ok(called)
}

/// The names in lines `fn=(ID) NAME` and `cfn=(ID) NAME` of callgrind's output, each once; a name
/// is told only where its ID comes first.
fn functions(calls: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    calls
        .lines()
        .filter_map(|line| line.strip_prefix('c').unwrap_or(line).strip_prefix("fn=("))
        .filter_map(|rest| rest.split_once(") ").map(|(_, name)| name))
        // A recursive call is told as `name'2`.
        .map(|name| name.split('\'').next().unwrap_or(name))
        .filter(|name| !name.starts_with("0x") && *name != "???")
        .filter(|name| seen.insert((*name).to_owned()))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_is_told_once_and_by_its_plain_name() {
        let calls = "fl=(1) ???\nfn=(1) main\ncfn=(2) _ZN3foo17h12E\nfn=(2)\ncfn=(3) walk'2\n\
                     cfn=(4) walk\nfn=(5) 0x401000\nfn=(6) ???\n16 3\n";
        assert_eq!(functions(calls), ["main", "_ZN3foo17h12E", "walk"]);
    }
}
