//! The programs that a cluster is made of: Go modules built into the cache, and Debian's packages.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::peers::{cache_directory, install};

/// The folder with go.mod and pause.c.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kube");
/// Pins every version; the built folder keeps a copy, which is also the mark that the folder is whole.
const GO_MOD: &str = include_str!("../../kube/go.mod");
/// Names a folder that has the programs already, as envtest does.
const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";
/// Program and Go package, the quickest first, so that a broken tool chain is noticed early.
const PROGRAMS: [(&str, &str); 8] = [
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ("coredns", "github.com/coredns/coredns"),
    ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    (
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ),
    ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
];
/// A program of each Debian package that the node needs.
const DEBIAN: [(&str, &str); 6] = [
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/usr/sbin/ip", "iproute2"),
];

/// Builds what the cache does not have yet, and gives the folder of the programs. Minutes when cold.
pub fn build_kube() -> Result<PathBuf> {
    let assets = std::env::var_os(ASSETS_VARIABLE).map(PathBuf::from);
    if let Some(assets) = assets.filter(|folder| missing(folder).is_empty()) {
        return Ok(assets);
    }
    let version = version();
    let folder = cache_directory().join("kube").join(version);
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join(".lock"))?;
    lock.lock()
        .context("the lock of the build could not be taken")?;
    let mark = folder.join("go.mod");
    let whole = fs::read_to_string(&mark).is_ok_and(|built| built == GO_MOD);
    if whole && missing(&folder).is_empty() {
        return Ok(folder);
    }
    eprintln!(
        "building Kubernetes {version} into {} (about ten minutes when cold)",
        folder.display()
    );
    for (number, (program, package)) in (1..).zip(PROGRAMS) {
        eprintln!("[{number}/{}] {program}", PROGRAMS.len());
        build(&folder, program, package, version)?;
    }
    build_pause(&folder)?;
    fs::write(&mark, GO_MOD)?;
    Ok(folder)
}

/// Installs the Debian packages that a node needs and that are missing; without the right to do so it says which.
pub fn ensure_debian_packages() -> Result<()> {
    ensure_programs(&DEBIAN)
}

/// The same for any programs, each with the package that has it.
pub fn ensure_programs(programs: &[(&str, &'static str)]) -> Result<()> {
    let absent: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| !Path::new(program).exists())
        .map(|(_, package)| *package)
        .collect();
    if absent.is_empty() {
        Ok(())
    } else {
        install(&absent)
    }
}

fn missing(folder: &Path) -> Vec<&'static str> {
    let programs = PROGRAMS.into_iter().map(|(program, _)| program);
    programs
        .chain(["pause"])
        .filter(|program| !folder.join(program).is_file())
        .collect()
}

/// The version of Kubernetes, out of go.mod so that it stands in one place.
fn version() -> &'static str {
    GO_MOD
        .lines()
        .find_map(|line| line.trim().strip_prefix("require k8s.io/kubernetes "))
        .or_else(|| {
            GO_MOD
                .lines()
                .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        })
        .expect("go.mod requires k8s.io/kubernetes")
}

fn build(folder: &Path, program: &str, package: &str, version: &str) -> Result<()> {
    let begin = Instant::now();
    let half = folder.join(format!(".{program}.half"));
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-ldflags", &link_flags(version), "-o"])
        .arg(&half)
        .arg(package)
        .env("CGO_ENABLED", "0")
        .current_dir(SOURCE);
    let status = command
        .status()
        .context("go could not be started: install Go 1.26 or newer")?;
    ensure!(status.success(), "go build {package} ended with {status}");
    fs::rename(&half, folder.join(program))?;
    eprintln!("      {} s", begin.elapsed().as_secs());
    Ok(())
}

/// Without the stamp `kubectl version` and clients that look at the version fail.
fn link_flags(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or("0"), numbers.next().unwrap_or("0"));
    let at = "-X k8s.io/component-base/version.git";
    format!("-s -w {at}Version={version} {at}Major={major} {at}Minor={minor}")
}

/// The program of the sandbox container: it does nothing and reaps orphans.
fn build_pause(folder: &Path) -> Result<()> {
    let half = folder.join(".pause.half");
    let status = Command::new("cc")
        .args(["-static", "-Os", "-o"])
        .arg(&half)
        .arg(format!("{SOURCE}/pause.c"))
        .status()
        .context("cc could not be started")?;
    ensure!(status.success(), "cc pause.c ended with {status}");
    Ok(fs::rename(&half, folder.join("pause"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_stamped_into_the_programs() {
        assert!(version().starts_with("v1."), "{}", version());
        assert_eq!(
            link_flags("v1.36.3"),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
             -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
        );
    }
}
