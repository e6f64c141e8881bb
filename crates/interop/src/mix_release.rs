//! Elixir releases, built with the Elixir that goes with an OTP.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::peers::Otp;
use crate::process::run;

/// A project that was built by `mix release`, and is gone when this is dropped.
#[derive(Debug)]
pub struct MixRelease {
    root: TempDir,
}

impl MixRelease {
    /// Builds the project in this folder, which has no dependencies, with `otp`'s own Elixir. The release has its own Erlang
    /// with it, and runs where `otp` runs.
    pub fn build(otp: Otp, project: &Path) -> Result<Self> {
        let chroot = otp.chroot();
        let work = tempfile::tempdir_in(chroot.join("tmp"))
            .with_context(|| format!("{} is missing: `cargo xtask peers`", chroot.display()))?;
        let mut copy = Command::new("cp");
        copy.arg("-rT")
            .args([project, &work.path().join("project")]);
        run(copy)?;
        let inside = Path::new("/").join(work.path().strip_prefix(&chroot)?);
        let mut mix = Command::new("chroot");
        mix.arg(&chroot)
            .args([
                "sh",
                "-c",
                "cd \"$1/project\" && mix release --quiet --path \"$1/release\"",
                "sh",
            ])
            .arg(&inside)
            .env("MIX_ENV", "prod")
            .env("HOME", &inside)
            .env("LC_ALL", "C.UTF-8");
        run(mix)?;
        let root = tempfile::tempdir()?;
        let app = root.path().join("app");
        let mut copy = Command::new("cp");
        copy.arg("-rT").args([&work.path().join("release"), &app]);
        run(copy)?;
        // A folder of tempfile's is for its owner alone, and in an image it is everybody's root.
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { root })
    }

    /// A folder with nothing but the release, in `app`: a layer of an image.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The release's own folder.
    pub fn app(&self) -> PathBuf {
        self.root.path().join("app")
    }
}
