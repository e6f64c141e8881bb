//! Whether what a page, or a comment, refers to is there.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::repository;

pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in repository::pages(root)? {
        let text = fs::read_to_string(root.join(&path))?;
        for (line, target) in links(&text) {
            if !leads_somewhere(root, &path, target) {
                let what = format!("the link `{target}` leads nowhere");
                findings.push(Finding::new(&path, line, what));
            }
        }
        findings.extend(mentions(root, &path, &text));
    }
    for path in repository::rust_files(root)? {
        let text = fs::read_to_string(root.join(&path))?;
        findings.extend(mentions(root, &path, &text));
    }
    Ok(findings)
}

/// The targets of all links within the repository, outside of blocks, each with its line.
fn links(page: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_block = false;
    for (line, text) in (1..).zip(page.lines()) {
        if text.trim_start().starts_with("```") {
            is_block = !is_block;
        }
        if is_block {
            continue;
        }
        let ends = text.split("](").skip(1);
        let targets = ends.filter_map(|rest| Some(rest.split_once(')')?.0));
        let ours = targets.filter(|target| !target.contains("://"));
        found.extend(ours.map(|target| (line, target)));
    }
    found
}

/// Whether the target of a link on `page` is a file or a folder, with such a heading if it names one.
fn leads_somewhere(root: &Path, page: &Path, target: &str) -> bool {
    let (file, heading) = match target.split_once('#') {
        Some((file, heading)) => (file, Some(heading)),
        None => (target, None),
    };
    let folder = page.parent().unwrap_or(Path::new(""));
    let path = match file {
        "" => root.join(page),
        file => root.join(folder).join(file),
    };
    let Some(heading) = heading else {
        return path.exists();
    };
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .any(|title| anchor(title.trim_start_matches('#')) == heading)
}

/// What a heading is called in a link, as GitHub has it.
fn anchor(title: &str) -> String {
    let kept = title.trim().chars().filter_map(|letter| match letter {
        ' ' | '-' => Some('-'),
        letter if letter.is_alphanumeric() || letter == '_' => Some(letter),
        _ => None,
    });
    kept.collect::<String>().to_lowercase()
}

/// Pages that are named by their whole path and do not exist.
fn mentions(root: &Path, path: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        for (at, _) in text.match_indices("docs/") {
            let is_path = |letter: char| letter.is_alphanumeric() || "/_.-".contains(letter);
            let rest = &text[at..];
            let end = rest.find(|letter| !is_path(letter)).unwrap_or(rest.len());
            let page = rest[..end].trim_end_matches('.');
            if page.ends_with(".md") && !root.join(page).is_file() {
                let what = format!("there is no page {page}");
                findings.push(Finding::new(path, line, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_blocks_and_within_the_repository() {
        let page = "[a](b.md), [c](d/e.md#f) and [g](https://h)\n```\n[i](j)\n```\n[k](#l)\n";
        assert_eq!(links(page), [(1, "b.md"), (1, "d/e.md#f"), (5, "#l")]);
    }

    #[test]
    fn a_heading_is_called_as_github_calls_it() {
        assert_eq!(
            anchor(" What `enmesh env` prints, and why"),
            "what-enmesh-env-prints-and-why"
        );
    }

    /// The folder is put in here, or this very file would name pages that do not exist.
    fn with_folder(text: &str) -> String {
        text.replace("FOLDER", "docs")
    }

    #[test]
    fn what_leads_nowhere_is_found() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("docs")).unwrap();
        let there = root.path().join(with_folder("FOLDER/there.md"));
        fs::write(there, "# One\n\n## Two words\n").unwrap();
        let page = "[a](FOLDER/there.md#two-words) [b](FOLDER/there.md#three) [c](FOLDER/absent.md)\n\
                    [d](FOLDER) see FOLDER/there.md and FOLDER/elsewhere.md.\n";
        fs::write(root.path().join("README.md"), with_folder(page)).unwrap();
        let found = check(root.path()).unwrap();
        let found: Vec<_> = found.iter().map(Finding::to_string).collect();
        let wanted = [
            "README.md:1: the link `FOLDER/there.md#three` leads nowhere",
            "README.md:1: the link `FOLDER/absent.md` leads nowhere",
            "README.md:1: there is no page FOLDER/absent.md",
            "README.md:2: there is no page FOLDER/elsewhere.md",
        ];
        assert_eq!(found, wanted.map(with_folder));
    }
}
