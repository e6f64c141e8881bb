//! Every configuration that a document shows is understood as it stands.

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};
use serde_json::Value;

use super::*;
use crate::arguments::Arguments;

/// Every page: README.md, the others beside it, and all under `docs`, `deploy` and `examples`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let entries = |directory: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let mut open = ["docs", "deploy", "examples"]
        .map(|it| root.join(it))
        .to_vec();
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

/// What ends a command of a shell, outside of quotes.
const ENDS: [char; 7] = ['|', ';', '&', '>', '<', ')', '\n'];

/// The words up to the end of a command, and none if it is only hinted at.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_begun = words.last().is_some_and(|word| !word.is_empty());
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, '\\') if letters.peek() == Some(&'\n') => {
                letters.next();
            }
            (None, '#') if !is_begun => break,
            (None, letter) if ENDS.contains(&letter) => break,
            (None, ' ') if is_begun => words.push(String::new()),
            (None, ' ') => {}
            (_, letter) => words.last_mut()?.push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    let is_whole = !words.iter().any(|word| word.contains('…'));
    is_whole.then_some(words)
}

/// The commands of this program that a block of a shell has, each without the program's name.
fn commands(block: &str) -> Vec<Vec<String>> {
    let after = block
        .match_indices("enmesh ")
        .map(|(at, it)| (at, at + it.len()));
    let is_program = |at: usize| {
        let before = block[..at].chars().last();
        before.is_none_or(|letter| " \n/(".contains(letter))
    };
    let found = after.filter(|(at, _)| is_program(*at));
    let found = found.filter_map(|(_, end)| words(&block[end..]));
    found.filter(|words| is_command(words.first())).collect()
}

fn is_command(word: Option<&String>) -> bool {
    word.is_some_and(|word| Arguments::command().find_subcommand(word).is_some())
}

/// The same of a manifest: what stands after the program's path, and arguments that are a command.
fn commands_of_yaml(value: &Value, key: &str, found: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                commands_of_yaml(value, key, found);
            }
        }
        Value::Array(items) => {
            let words: Vec<_> = items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            let is_path = words.first().is_some_and(|word| word.ends_with("/enmesh"));
            if is_path && is_command(words.get(1)) {
                found.push(words[1..].to_vec());
            } else if key == "args" && is_command(words.first()) {
                found.push(words);
            }
            for item in items {
                commands_of_yaml(item, key, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_command_of_the_documents_is_understood() {
    let mut count = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        let mut found = Vec::new();
        for language in ["", "console", "sh"] {
            found.extend(
                blocks(&page, language)
                    .iter()
                    .flat_map(|block| commands(block)),
            );
        }
        for block in blocks(&page, "yaml") {
            for document in block.split("\n---\n") {
                let value = serde_saphyr::from_str::<Value>(document).unwrap();
                commands_of_yaml(&value, "", &mut found);
            }
        }
        for words in found {
            count += 1;
            let program = std::iter::once("enmesh".to_owned());
            if let Err(error) = Arguments::try_parse_from(program.chain(words)) {
                panic!("{}: {error}", path.display());
            }
        }
    }
    assert!(count >= 30, "only {count} commands");
}

#[test]
fn commands_are_found_in_shells_and_manifests() {
    let block = "$ POD_IP=1 enmesh env --mode ip\nset=\"$(/opt/enmesh/enmesh leave --name 'a b')\" || x\n\
                 the enmesh that runs\n/enmesh wait \\\n  --min-peers 2   # so many\nenmesh run …\n";
    let found: Vec<_> = commands(block)
        .iter()
        .map(|words| words.join("+"))
        .collect();
    assert_eq!(
        found,
        ["env+--mode+ip", "leave+--name+a b", "wait+--min-peers+2"]
    );
    let yaml = "args: [agent, --node, x]\nc: {command: [/enmesh, leave]}\nd: {args: [serve]}";
    let mut found = Vec::new();
    commands_of_yaml(&serde_saphyr::from_str(yaml).unwrap(), "", &mut found);
    found.sort();
    assert_eq!(found, [vec!["agent", "--node", "x"], vec!["leave"]]);
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
