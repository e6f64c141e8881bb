//! Every configuration that a document shows is understood as it stands.

use std::path::{Path, PathBuf};

use super::*;

/// Every page: README.md, the others beside it, and all under `docs`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let entries = |directory: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let mut open = vec![root.join("docs")];
    let mut found = entries(&root);
    while let Some(directory) = open.pop() {
        for path in entries(&directory) {
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found
}

/// The blocks between fences that are said to be in `language`.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(said)) => open = Some((said.trim() == language, String::new())),
            (Some((wanted, text)), Some(_)) => {
                if *wanted {
                    blocks.push(std::mem::take(text));
                }
                open = None;
            }
            (Some((_, text)), None) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

/// What a topology on one line may stand between.
const QUOTES: [char; 3] = ['\'', '"', '`'];

/// The topologies of a page that are strings. One that is not quoted ends with its line, with a
/// remark, or with the bracket or comma of a list of YAML.
fn strings(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in page.lines() {
        for (at, _) in line.match_indices("strategy=") {
            let (before, text) = line.split_at(at);
            let text = match before.chars().last() {
                Some(quote) if QUOTES.contains(&quote) => text.split(quote).next(),
                _ => [", ", " # ", "]"]
                    .iter()
                    .try_fold(text, |text, end| text.split(end).next()),
            };
            found.push(text.unwrap_or_default().trim().to_owned());
        }
    }
    // `strategy=` alone, or with dots after it, speaks of topologies and is none.
    found.retain(|text| !text.ends_with('=') && !text.contains('…'));
    found
}

#[test]
fn every_topology_of_the_documents_is_understood() {
    let mut count = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for text in strings(&page) {
            count += 1;
            if let Err(error) = text.parse::<TopologyConfig>() {
                panic!("{}: {text}: {error}", path.display());
            }
        }
    }
    assert!(count >= 40, "only {count} topologies");
}

#[test]
fn every_configuration_file_of_the_documents_is_understood() {
    let mut topologies = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for file in blocks(&page, "toml") {
            // Those of Cargo are for another program.
            if file.contains("[dependencies]") {
                continue;
            }
            match merge(&[], &[], &[], &file) {
                Ok(config) => topologies += config.topologies.len(),
                Err(error) => panic!("{}: {file}{error}", path.display()),
            }
        }
        let tables = page.lines().filter(|line| line.trim() == "[[topology]]");
        let shown: usize = blocks(&page, "toml")
            .iter()
            .map(|file| file.matches("[[topology]]\n").count())
            .sum();
        assert_eq!(
            tables.count(),
            shown,
            "{}: outside of a block of TOML",
            path.display()
        );
    }
    assert!(topologies >= 3, "only {topologies} topologies");
}

#[test]
fn topologies_are_found_however_they_are_quoted() {
    let page = "strategy=a b=c,d # remark\n`strategy=b`: so\n--topology 'strategy=c d=\"e f\"'\n\
                args: [run, --topology, strategy=d, --topology, \"strategy=e f=g\"]\n\
                `strategy=…` or `strategy=`\n       strategy=f g=h]\n- strategy=g";
    let expected = [
        "strategy=a b=c,d",
        "strategy=b",
        "strategy=c d=\"e f\"",
        "strategy=d",
        "strategy=e f=g",
        "strategy=f g=h",
        "strategy=g",
    ];
    assert_eq!(strings(page), expected);
}
