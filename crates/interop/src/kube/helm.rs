//! Helm, built from its Go module into the cache: what renders the chart is what users render it with.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::peers::cache_directory;

/// The folder with go.mod. It is not that of Kubernetes, whose versions would change with every version of Helm.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/helm");
/// Pins every version; the built folder keeps a copy, which is also the mark that it is whole.
const GO_MOD: &str = include_str!("../../helm/go.mod");
/// The module and the package of the program.
const MODULE: &str = "helm.sh/helm/v4";

/// Builds Helm if the cache has it not, and gives the program. One to two minutes when cold.
pub fn build_helm() -> Result<PathBuf> {
    let version = version();
    let folder = cache_directory().join("helm").join(version);
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join(".lock"))?;
    lock.lock()
        .context("the lock of the build could not be taken")?;
    let (mark, program) = (folder.join("go.mod"), folder.join("helm"));
    if program.is_file() && fs::read_to_string(&mark).is_ok_and(|built| built == GO_MOD) {
        return Ok(program);
    }
    eprintln!("building Helm {version} into {}", folder.display());
    let begin = Instant::now();
    let half = folder.join(".helm.half");
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(&half)
        .arg(format!("{MODULE}/cmd/helm"))
        .env("CGO_ENABLED", "0")
        .current_dir(SOURCE);
    let status = command
        .status()
        .context("go could not be started: install Go 1.26 or newer")?;
    ensure!(status.success(), "go build of Helm ended with {status}");
    fs::rename(&half, &program)?;
    fs::write(&mark, GO_MOD)?;
    eprintln!("      {} s", begin.elapsed().as_secs());
    Ok(program)
}

/// The version of Helm, out of go.mod so that it stands in one place.
fn version() -> &'static str {
    let mut lines = GO_MOD.lines().map(str::trim);
    lines
        .find_map(|line| line.trim_start_matches("require ").strip_prefix(MODULE))
        .and_then(|rest| rest.split_whitespace().next())
        .filter(|version| version.starts_with('v'))
        .expect("go.mod requires Helm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_module() {
        assert!(version().starts_with("v4."), "{}", version());
    }
}
