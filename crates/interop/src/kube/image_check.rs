//! What others read in an image archive: Debian's skopeo, and a program that is run out of it alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::image::Architecture;
use crate::process::run;

/// The most that the archive of the shipped program may weigh, in bytes.
const MAX_ARCHIVE: u64 = 15 * 1024 * 1024;

/// An image archive that skopeo has read, and unpacked.
#[derive(Debug)]
pub struct CheckedImage {
    config: Value,
    root: TempDir,
}

impl CheckedImage {
    /// Has skopeo read the archive as OCI's, copy it to a folder (which compares all digests) and unpacks it.
    pub fn read(archive: &Path) -> Result<Self> {
        let place = tempfile::tempdir()?;
        let config = inspect("oci-archive", archive)?;
        let folder = place.path().join("image");
        let mut command = skopeo("copy");
        command
            .arg("--quiet")
            .arg(source("oci-archive", archive))
            .arg(format!("dir:{}", folder.display()));
        run(command)?;
        let manifest = fs::read_to_string(folder.join("manifest.json"))?;
        let manifest: Value = serde_json::from_str(&manifest)?;
        let root = tempfile::tempdir()?;
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            let digest = layer["digest"].as_str().context("a layer has a digest")?;
            let name = digest.trim_start_matches("sha256:");
            let mut command = Command::new("tar");
            command
                .arg("-xf")
                .arg(folder.join(name))
                .arg("-C")
                .arg(root.path());
            run(command)?;
        }
        Ok(Self { config, root })
    }

    /// The image's configuration: `architecture`, and `config` with `Entrypoint`, `User` and `Labels`.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// The same configuration as skopeo finds it when it reads the archive as `docker load` does.
    pub fn config_for_docker(archive: &Path) -> Result<Value> {
        inspect("docker-archive", archive)
    }

    /// Where the image's root was unpacked.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Runs the entry point as the image's user with its root as the only file system, and gives what it prints. A program of
    /// another machine is run by qemu, which sees this machine's files.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let settings = &self.config["config"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let program = text(&settings["Entrypoint"][0]).context("it has an entry point")?;
        let user = text(&settings["User"]).context("it has a user")?;
        let mut command = match self.machine()? {
            machine if machine == std::env::consts::ARCH => {
                let mut command = Command::new("chroot");
                command
                    .arg(format!("--userspec={user}"))
                    .arg(self.root())
                    .arg(program);
                command
            }
            machine => {
                let mut command = Command::new(format!("qemu-{machine}-static"));
                command.arg(self.inside(&program));
                command
            }
        };
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        run(command)
    }

    /// What Rust calls the machine that it is for.
    fn machine(&self) -> Result<&'static str> {
        match self.config["architecture"].as_str() {
            Some(name) if name == Architecture::Amd64.oci() => Ok("x86_64"),
            Some(name) if name == Architecture::Arm64.oci() => Ok("aarch64"),
            other => bail!("it is for {other:?}"),
        }
    }

    /// A path of the image, here.
    fn inside(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// What must hold of the shipped image: size, user, entry point, its one file, and that it runs.
    pub fn verify_shipped(&self, archive: &Path) -> Result<String> {
        let size = fs::metadata(archive)?.len();
        ensure!(
            size <= MAX_ARCHIVE,
            "it has {size} bytes, more than {MAX_ARCHIVE}"
        );
        let settings = &self.config["config"];
        let of_docker = Self::config_for_docker(archive)?;
        ensure!(
            of_docker["config"] == *settings,
            "docker would read {of_docker}"
        );
        ensure!(
            settings["User"] == "65532:65532",
            "its user is {}",
            settings["User"]
        );
        let files: Vec<_> = fs::read_dir(self.root())?
            .flatten()
            .map(|it| it.file_name())
            .collect();
        ensure!(files == ["enmesh"], "it holds {files:?}");
        let said = self.run(&["--version"])?;
        let version = settings["Labels"]["org.opencontainers.image.version"].as_str();
        ensure!(
            version.is_some_and(|version| said.trim() == format!("enmesh {version}")),
            "the program says {said:?}, the label {version:?}"
        );
        Ok(said)
    }
}

fn inspect(transport: &str, archive: &Path) -> Result<Value> {
    let mut command = skopeo("inspect");
    command.arg("--config").arg(source(transport, archive));
    Ok(serde_json::from_str(&run(command)?)?)
}

fn skopeo(verb: &str) -> Command {
    let mut command = Command::new("skopeo");
    // No policy of signatures is asked of what was just made here.
    command.args(["--insecure-policy", verb]);
    command
}

fn source(transport: &str, archive: &Path) -> String {
    format!("{transport}:{}", archive.display())
}
