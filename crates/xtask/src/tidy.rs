//! `cargo xtask tidy`: the rules of this repository that no compiler checks.

mod arrows;
mod cases;
mod layout;
mod links;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::repository;

/// One breach of a rule: where, and what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: PathBuf,
    /// Lines count from 1; 0 speaks of the whole file.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: impl Into<PathBuf>, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.what),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.what),
        }
    }
}

/// Checks the whole repository, prints what it finds, and fails if that is anything.
pub(crate) fn run() -> anyhow::Result<()> {
    let findings = check(&repository::root())?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("one rule is broken"),
        broken => bail!("{broken} rules are broken"),
    }
}

/// Every breach in the repository at `root`, sorted, with paths relative to it.
fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = arrows::check(root)?;
    findings.extend(cases::check(root)?);
    findings.extend(layout::check(root)?);
    findings.extend(links::check(root)?);
    findings.extend(source::check(root)?);
    findings.sort();
    findings.dedup();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings = check(&repository::root()).unwrap();
        let report: Vec<_> = findings.iter().map(Finding::to_string).collect();
        assert!(report.is_empty(), "\n{}", report.join("\n"));
    }
}
