//! Releases of a user's own, built by Mix or rebar3 with what goes with an OTP.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::peers::Otp;
use crate::process::run;

/// Where rebar3 lies in a chroot. It is one file, and Debian's package of it would pull in what draws windows.
const REBAR3: &str = "/usr/local/bin/rebar3";

/// Leaves it in the folder `$1`. A mirror's sid may be a copy of weeks ago, or younger than a clock that is behind; debootstrap
/// takes it too.
const GET_REBAR3: &str = r#"
set -e
cd "$1"
apt-get -q -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false -o Acquire::Languages=none -o Acquire::Retries=3 update
apt-get -q -o Acquire::Retries=3 download rebar3
dpkg -x rebar3_*.deb ."#;

/// A folder with releases of one OTP and nothing else: a layer of an image. It is gone when this is dropped.
#[derive(Debug)]
pub struct Releases {
    otp: Otp,
    root: TempDir,
}

impl Releases {
    /// None yet, of what runs where `otp` runs.
    pub fn new(otp: Otp) -> Result<Self> {
        let root = tempfile::tempdir()?;
        // A folder of tempfile's is for its owner alone, and in an image it is everybody's root.
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { otp, root })
    }

    /// Builds the project in this folder, which has no dependencies, with the OTP's own Elixir, and puts the release, its own
    /// Erlang included, into the folder `name`.
    pub fn add_mix(&self, project: &Path, name: &str) -> Result<()> {
        let build = "cd \"$1/project\" && mix release --quiet --path \"$1/release\"";
        self.add(project, name, build, "release")
    }

    /// The same by rebar3, which [`ensure_rebar3`] has put there; the release is called as the folder is.
    pub fn add_rebar3(&self, project: &Path, name: &str) -> Result<()> {
        verify_rebar3(self.otp)?;
        let build = format!("cd \"$1/project\" && escript {REBAR3} release");
        let built = format!("project/_build/default/rel/{name}");
        self.add(project, name, &build, &built)
    }

    /// The OTP that they run with.
    pub fn otp(&self) -> Otp {
        self.otp
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    fn add(&self, project: &Path, name: &str, build: &str, built: &str) -> Result<()> {
        let work = Work::new(self.otp)?;
        copy(project, &work.folder.path().join("project"))?;
        work.run(build)?;
        copy(
            &work.folder.path().join(built),
            &self.root.path().join(name),
        )
    }
}

/// A folder in a chroot, to build in.
struct Work {
    chroot: PathBuf,
    folder: TempDir,
}

impl Work {
    fn new(otp: Otp) -> Result<Self> {
        let chroot = otp.chroot();
        let folder = tempfile::tempdir_in(chroot.join("tmp"))
            .with_context(|| format!("{} is missing: `cargo xtask peers`", chroot.display()))?;
        Ok(Self { chroot, folder })
    }

    /// Runs a script of the shell's inside, to which the folder is `$1`.
    fn run(&self, script: &str) -> Result<()> {
        let inside = Path::new("/").join(self.folder.path().strip_prefix(&self.chroot)?);
        let mut command = Command::new("chroot");
        command
            .arg(&self.chroot)
            .args(["sh", "-c", script, "sh"])
            .arg(&inside)
            .env("MIX_ENV", "prod")
            .env("HOME", &inside)
            .env("LC_ALL", "C.UTF-8");
        run(command).map(drop)
    }
}

/// Gets rebar3 of the chroot's own Debian where it is missing.
pub fn ensure_rebar3(otp: Otp) -> Result<()> {
    if verify_rebar3(otp).is_ok() {
        return Ok(());
    }
    eprintln!("getting rebar3 for {otp}");
    let chroot = otp.chroot();
    // Names are asked for where they are today, not where they were when the chroot was made.
    let here = Path::new("/etc/resolv.conf");
    let there = chroot.join("etc/resolv.conf");
    if here.exists() {
        // It may be a link to nowhere.
        let _ = fs::remove_file(&there);
        fs::copy(here, &there).with_context(|| format!("{} cannot be written", there.display()))?;
    }
    let work = Work::new(otp)?;
    let got = work.run(GET_REBAR3);
    got.with_context(|| format!("Debian's package of rebar3 for {otp} is not to be had"))?;
    let unpacked = work.folder.path().join("usr/bin/rebar3");
    // Its own name never stands for half of it, nor do two who get it at once meet.
    let rebar3 = rebar3(otp);
    let half = rebar3.with_extension(std::process::id().to_string());
    fs::copy(&unpacked, &half)
        .with_context(|| format!("{} is not in the package", unpacked.display()))?;
    fs::rename(&half, &rebar3)?;
    Ok(())
}

/// An error with what to do where [`ensure_rebar3`] has not been.
pub fn verify_rebar3(otp: Otp) -> Result<()> {
    let rebar3 = rebar3(otp);
    ensure!(
        rebar3.is_file(),
        "{} is missing: `cargo xtask peers`",
        rebar3.display()
    );
    Ok(())
}

fn rebar3(otp: Otp) -> PathBuf {
    otp.chroot().join(REBAR3.trim_start_matches('/'))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    copy.arg("-rT").args([from, to]);
    run(copy).map(drop)
}
