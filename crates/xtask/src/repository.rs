//! Where things are in this repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::run;

/// Crates below the line: no runtime, no socket, no clock, no randomness of their own.
pub(crate) const PURE: [&str; 6] = ["identity", "term", "proto", "membership", "otp", "derive"];

/// Programs, tests and tools; every other crate is a library.
pub(crate) const NOT_LIBRARIES: [&str; 4] = ["cli", "sim", "interop", "xtask"];

/// The root of the checkout that this program was built from.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("this crate is in crates/ of the repository")
        .to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> anyhow::Result<PathBuf> {
    let mut metadata = run::cargo(&root(), "metadata --no-deps --format-version 1");
    let output = metadata.output().context("cannot run cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let target = metadata["target_directory"].as_str();
    Ok(target
        .context("cargo metadata names no target directory")?
        .into())
}

/// The pure crates that exist in the repository at `root`.
pub(crate) fn pure_crates(root: &Path) -> impl Iterator<Item = &'static str> {
    let crates = root.join("crates");
    PURE.into_iter()
        .filter(move |name| crates.join(name).join("Cargo.toml").is_file())
}

/// Every Rust file of the repository, relative to `root`, sorted.
pub(crate) fn rust_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    files(root, &["crates", "fuzz"], "rs")
}

/// Every page of the repository, relative to `root`, sorted.
pub(crate) fn pages(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut pages = files(
        root,
        &["crates", "deploy", "docs", "examples", "fuzz"],
        "md",
    )?;
    for entry in fs::read_dir(root)? {
        let name = PathBuf::from(entry?.file_name());
        if is_called(&name, "md") {
            pages.push(name);
        }
    }
    pages.sort();
    Ok(pages)
}

fn is_called(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// What is in these folders of `root` and ends like this.
fn files(root: &Path, folders: &[&str], extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut open: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut files = Vec::new();
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "target" {
                    open.push(path);
                }
            } else if is_called(&path, extension) {
                files.push(path.strip_prefix(root)?.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_crates() {
        assert!(root().join("crates/xtask/Cargo.toml").is_file());
        assert!(pure_crates(&root()).count() >= 5);
    }

    #[test]
    fn this_very_file_is_seen() {
        let files = rust_files(&root()).unwrap();
        assert!(files.contains(&PathBuf::from("crates/xtask/src/repository.rs")));
    }

    #[test]
    fn pages_are_seen_in_every_folder() {
        let pages = pages(&root()).unwrap();
        for page in ["README.md", "docs/discovery/dns.md"] {
            assert!(pages.contains(&PathBuf::from(page)), "{page}");
        }
    }
}
