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
    let mut open = vec![root.join("crates"), root.join("fuzz")];
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
            } else if path.extension().is_some_and(|extension| extension == "rs") {
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
}
