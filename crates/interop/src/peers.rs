//! The OTP releases that tests talk to: Debian's own, and chroots with newer ones.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process::run;

/// What Debian calls the Erlang that tests need.
const PACKAGES: [&str; 3] = ["erlang-base", "erlang-ssl", "elixir"];

/// An OTP release to test against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Otp {
    /// OTP 25, of Debian 12, installed on the machine itself.
    R25,
    /// OTP 27, of Debian 13, in a chroot.
    R27,
    /// OTP 29, of Debian sid, in a chroot.
    R29,
}

impl Otp {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::R25, Self::R27, Self::R29];

    /// What `erlang:system_info(otp_release)` says.
    pub fn release(self) -> &'static str {
        match self {
            Self::R25 => "25",
            Self::R27 => "27",
            Self::R29 => "29",
        }
    }

    /// The chroot that its nodes run from; `None` for the machine itself.
    pub fn root(self) -> Option<PathBuf> {
        (self != Self::R25).then(|| self.chroot())
    }

    /// The folder that an image is made of; OTP 25 has one for that alone. [`ensure_chroot`] makes it.
    pub fn chroot(self) -> PathBuf {
        peers_directory().join(self.suite())
    }

    /// Program and arguments that start `program` of this release, to be put behind `nsenter` and the like.
    pub(crate) fn prefix(self) -> Vec<PathBuf> {
        match self.root() {
            Some(root) => vec!["chroot".into(), root],
            None => Vec::new(),
        }
    }

    /// The Debian suite that has it.
    fn suite(self) -> &'static str {
        match self {
            Self::R25 => "bookworm",
            Self::R27 => "trixie",
            Self::R29 => "sid",
        }
    }
}

impl fmt::Display for Otp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OTP {}", self.release())
    }
}

/// Runs the release's `erl` and gives a line about it; an error when it is another release, or none, with what to do.
pub fn verify_release(otp: Otp) -> Result<String> {
    verify(otp, otp.root().as_deref())
}

/// The same for [`Otp::chroot`].
pub fn verify_chroot(otp: Otp) -> Result<String> {
    verify(otp, Some(&otp.chroot()))
}

fn verify(otp: Otp, root: Option<&Path>) -> Result<String> {
    let expression = "io:format(\"~s ~s ~p\", [erlang:system_info(otp_release), \
                      erlang:system_info(version), is_list(code:lib_dir(ssl))]), halt().";
    let mut command = match root {
        Some(root) => {
            let mut command = Command::new("chroot");
            command.arg(root).arg("erl");
            command
        }
        None => Command::new("erl"),
    };
    command
        .args(["-noinput", "-eval", expression])
        .env("HOME", "/tmp");
    let (place, remedy) = match root {
        Some(root) => (
            root.display().to_string(),
            "run `cargo xtask peers` as root, after removing what is broken there",
        ),
        None => (
            "this machine".to_owned(),
            "install erlang-base erlang-ssl elixir of Debian 12",
        ),
    };
    let found =
        run(command).with_context(|| format!("{otp} does not run from {place}: {remedy}"))?;
    let words: Vec<&str> = found.split_whitespace().collect();
    let [release, erts, has_ssl] = words[..] else {
        bail!("erl from {place} says {found:?}");
    };
    ensure!(
        release == otp.release(),
        "{place} has OTP {release} where {otp} is wanted: {remedy}"
    );
    ensure!(has_ssl == "true", "{otp} of {place} has no TLS: {remedy}");
    Ok(format!("{otp} (erts {erts}) in {place}"))
}

/// Makes the release available where it is missing; one that runs already is left alone.
pub fn ensure_release(otp: Otp) -> Result<()> {
    match otp.root() {
        Some(_) => ensure_chroot(otp),
        None if verify_release(otp).is_ok() => Ok(()),
        None => install(&PACKAGES),
    }
}

/// Makes [`Otp::chroot`] where it is missing.
///
/// One whose OTP does not run, or has no TLS, is half-made or broken and is made anew.
pub fn ensure_chroot(otp: Otp) -> Result<()> {
    let root = otp.chroot();
    if !root.exists() || verify_chroot(otp).is_err() {
        if root.exists() {
            eprintln!("{} is half-made or broken: making it anew", root.display());
            remove_chroot(&root)?;
        }
        bootstrap(otp.suite(), &root)?;
    }
    name_localhost(&root)
}

/// A minimal chroot has no hosts file, and OTP does not know `localhost` without one.
fn name_localhost(root: &Path) -> Result<()> {
    let hosts = root.join("etc/hosts");
    if !hosts.exists() {
        std::fs::write(&hosts, "127.0.0.1 localhost\n::1 localhost\n")
            .with_context(|| format!("{} could not be written", hosts.display()))?;
    }
    Ok(())
}

/// Installs Debian packages; says what to install when we may not.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("missing packages, install them as root: apt-get install {list}");
    }
    eprintln!("installing {list}");
    for args in [
        &["update", "-q"][..],
        &["install", "-q", "-y", "--no-install-recommends"][..],
    ] {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        if args[0] == "install" {
            command.args(packages);
        }
        let status = command.status().context("apt-get could not be started")?;
        ensure!(
            status.success(),
            "apt-get {} ended with {status}: install {list} by hand",
            args[0]
        );
    }
    Ok(())
}

/// `$XDG_CACHE_HOME/enmesh`, or `~/.cache/enmesh`.
pub(crate) fn cache_directory() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache")
        });
    cache.join("enmesh")
}

fn peers_directory() -> PathBuf {
    cache_directory().join("peers")
}

/// Makes the chroot under another name first, so that its own name never stands for half of one.
fn bootstrap(suite: &str, root: &Path) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "debootstrap needs root: run `cargo xtask peers` as root"
    );
    if Command::new("debootstrap")
        .arg("--version")
        .output()
        .is_err()
    {
        install(&["debootstrap"])?;
    }
    let peers = peers_directory();
    fs::create_dir_all(&peers)?;
    let half = peers.join(format!(".{suite}.{}", std::process::id()));
    remove_chroot(&half)?;
    eprintln!("making {} (a few minutes)", root.display());
    let status = Command::new("debootstrap")
        .arg("--variant=minbase")
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(suite)
        .arg(&half)
        .status()
        .context("debootstrap could not be started")?;
    if !status.success() {
        remove_chroot(&half)?;
        bail!("debootstrap {suite} ended with {status}");
    }
    fs::rename(&half, root)
        .with_context(|| format!("{} could not be put in its place", root.display()))
}

/// Removes a chroot, but never through a mount inside of it: somebody's /proc or home may be bound there.
fn remove_chroot(root: &Path) -> Result<()> {
    if !root.exists() {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let inside = format!("{}/", root.display());
    if let Some(mount) = mounts
        .split_whitespace()
        .find(|word| word.starts_with(&inside))
    {
        bail!("{mount} is mounted: unmount it and run again");
    }
    fs::remove_dir_all(root).with_context(|| format!("{} could not be removed", root.display()))
}
