//! Names and sizes of files, and what each manifest must say.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Finding;
use crate::repository;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 9] = [
    "util", "utils", "common", "helper", "helpers", "misc", "types", "shared", "mod",
];

/// `main.rs` of the program only parses and hands on.
const MAX_MAIN_LINES: usize = 60;

/// What clippy is told to refuse in each pure crate.
const BANNED: [&str; 5] = [
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
];

pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in repository::rust_files(root)? {
        findings.extend(name(&path));
    }
    let main = Path::new("crates/cli/src/main.rs");
    let lines = fs::read_to_string(root.join(main))
        .context("crates/cli/src/main.rs")?
        .lines()
        .count();
    findings.extend(main_length(main, lines));
    for entry in fs::read_dir(root.join("crates"))? {
        let manifest = entry?.path().join("Cargo.toml");
        if let Ok(text) = fs::read_to_string(&manifest) {
            let path = manifest.strip_prefix(root).unwrap_or(&manifest);
            findings.extend(lints_inherited(path, &text));
        }
    }
    for pure in repository::pure_crates(root) {
        let path = PathBuf::from(format!("crates/{pure}/clippy.toml"));
        let text = fs::read_to_string(root.join(&path)).unwrap_or_default();
        findings.extend(bans(&path, &text));
    }
    Ok(findings)
}

fn name(path: &Path) -> Option<Finding> {
    let stem = path.file_stem()?.to_str()?;
    let directories = path.parent().into_iter().flat_map(Path::iter);
    let mut names = directories.filter_map(|part| part.to_str()).chain([stem]);
    let empty = names.find(|name| EMPTY_NAMES.contains(name))?;
    Some(Finding::new(
        path,
        0,
        format!("`{empty}` says nothing of what is inside"),
    ))
}

fn main_length(path: &Path, lines: usize) -> Option<Finding> {
    (lines >= MAX_MAIN_LINES).then(|| {
        Finding::new(
            path,
            0,
            format!("{lines} lines; under {MAX_MAIN_LINES} are allowed"),
        )
    })
}

fn lints_inherited(path: &Path, text: &str) -> Option<Finding> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]")
        .skip(1);
    let inherited = lines.any(|line| line.replace(' ', "") == "workspace=true");
    (!inherited).then(|| Finding::new(path, 0, "does not take the lints of the workspace"))
}

fn bans(path: &Path, text: &str) -> Vec<Finding> {
    let missing = BANNED
        .iter()
        .filter(|banned| !text.contains(&format!("\"{banned}\"")));
    missing
        .map(|banned| Finding::new(path, 0, format!("does not ban {banned}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_found_in_files_and_directories() {
        for bad in [
            "crates/x/src/utils.rs",
            "crates/x/src/link/mod.rs",
            "crates/x/tests/common/a.rs",
        ] {
            assert!(name(Path::new(bad)).is_some(), "{bad}");
        }
        for good in [
            "crates/x/src/link.rs",
            "crates/x/src/link/timer.rs",
            "crates/x/src/model.rs",
        ] {
            assert_eq!(name(Path::new(good)), None, "{good}");
        }
    }

    #[test]
    fn a_long_main_is_found() {
        let path = Path::new("main.rs");
        assert_eq!(main_length(path, 59), None);
        assert!(main_length(path, 60).is_some());
    }

    #[test]
    fn a_manifest_with_lints_of_its_own_is_found() {
        let path = Path::new("Cargo.toml");
        assert_eq!(
            lints_inherited(path, "[package]\n[lints]\nworkspace = true\n"),
            None
        );
        assert!(lints_inherited(path, "[package]\nedition.workspace = true\n").is_some());
    }

    #[test]
    fn a_pure_crate_without_bans_is_found() {
        assert_eq!(bans(Path::new("clippy.toml"), "").len(), BANNED.len());
    }
}
