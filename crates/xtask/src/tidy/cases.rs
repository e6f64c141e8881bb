//! The page that says which of our tests proves each case of libcluster and dns_cluster.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use syn::Item;

use super::Finding;

const PAGE: &str = "docs/discovery/libcluster.md";

/// How many cases stand under which heading.
const CASES: [(&str, usize); 2] = [("libcluster's 39", 39), ("dns_cluster's 11", 11)];

/// How a case begins that no test of ours can have.
const NOT_OURS: &str = "Elixir itself: ";

/// A row of the page.
#[derive(Debug, PartialEq, Eq)]
struct Row<'p> {
    line: usize,
    heading: &'p str,
    case: (&'p str, &'p str),
    proof: &'p str,
}

pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let page = fs::read_to_string(root.join(PAGE)).context(PAGE)?;
    let rows = rows(&page);
    let mut findings = counts(&rows);
    let mut seen = BTreeSet::new();
    for row in &rows {
        let mut find = |what: String| findings.push(Finding::new(PAGE, row.line, what));
        let is_ours = !is_elixir(row.proof);
        if !seen.insert(row.case) || is_ours && !seen.insert(("test", row.proof)) {
            find("this case or its test stands there twice".to_owned());
        }
        if !is_ours {
            continue;
        }
        let Some((name, path)) = link(row.proof) else {
            find(format!("`{}` is neither a test nor a reason", row.proof));
            continue;
        };
        let file = root.join("docs/discovery").join(path);
        let tests = match fs::read_to_string(&file) {
            Ok(text) => tests(&text).with_context(|| path.to_owned())?,
            Err(error) => {
                find(format!("{path}: {error}"));
                continue;
            }
        };
        if !tests.contains(name) {
            find(format!("{path} has no test `{name}`"));
        }
    }
    Ok(findings)
}

fn is_elixir(proof: &str) -> bool {
    proof.starts_with(NOT_OURS)
}

/// Whether every heading has its cases.
fn counts(rows: &[Row<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (heading, wanted) in CASES {
        let found = rows.iter().filter(|row| row.heading == heading).count();
        if found != wanted {
            let what = format!("{found} cases under \"{heading}\", not {wanted}");
            findings.push(Finding::new(PAGE, 0, what));
        }
    }
    findings
}

/// The rows of all tables that have three columns, without their heads.
fn rows(page: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut heading = "";
    for (line, text) in (1..).zip(page.lines()) {
        if let Some(text) = text.strip_prefix("## ") {
            heading = text;
        }
        let cells: Vec<_> = text.trim().trim_matches('|').split(" | ").collect();
        let &[file, case, proof] = cells.as_slice() else {
            continue;
        };
        if file.trim() != "file" {
            rows.push(Row {
                line,
                heading,
                case: (file.trim(), case.trim()),
                proof: proof.trim(),
            });
        }
    }
    rows
}

/// The two parts of `` [`name`](path) ``.
fn link(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("[`")?.strip_suffix(')')?;
    inner.split_once("`](")
}

/// The names of all tests of a file, with the modules of the file that they stand in.
fn tests(text: &str) -> syn::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    collect("", &syn::parse_file(text)?.items, &mut found);
    Ok(found)
}

fn collect(within: &str, items: &[Item], found: &mut BTreeSet<String>) {
    for item in items {
        match item {
            Item::Fn(function) => {
                let ends = |path: &syn::Path| path.segments.last().map(|last| last.ident == "test");
                let mut attributes = function.attrs.iter();
                if attributes.any(|attribute| ends(attribute.path()) == Some(true)) {
                    found.insert(format!("{within}{}", function.sig.ident));
                }
            }
            Item::Mod(module) => {
                if let Some((_, items)) = &module.content {
                    collect(&format!("{within}{}::", module.ident), items, found);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_named_with_their_modules() {
        let text = "#[test]\nfn a() {}\nfn b() {}\nmod m {\n#[tokio::test(start_paused = true)]\n\
                    async fn c() {}\n}";
        let found: Vec<_> = tests(text).unwrap().into_iter().collect();
        assert_eq!(found, ["a", "m::c"]);
    }

    #[test]
    fn a_row_has_a_case_and_what_proves_it() {
        let page = "## Some\n\n| file | case | our test |\n|---|---|---|\n| f | a b | [`x::y`](../z.rs) |\n";
        let row = Row {
            line: 5,
            heading: "Some",
            case: ("f", "a b"),
            proof: "[`x::y`](../z.rs)",
        };
        assert_eq!(link(row.proof), Some(("x::y", "../z.rs")));
        assert_eq!(rows(page), [row]);
        assert_eq!(link("x::y"), None);
    }

    #[test]
    fn cases_that_are_missing_are_counted() {
        assert_eq!(counts(&[]).len(), CASES.len());
    }

    #[test]
    fn a_test_that_does_not_exist_is_found() {
        let root = tempfile::tempdir().unwrap();
        let page = root.path().join(PAGE);
        fs::create_dir_all(page.parent().unwrap()).unwrap();
        fs::write(
            root.path().join("t.rs"),
            "#[test]\nfn there() {}\nfn helper() {}",
        )
        .unwrap();
        let row = |name: &str| format!("| f | {name} | [`{name}`](../../t.rs) |\n");
        let names = ["there", "helper", "absent", "there"];
        fs::write(&page, names.map(row).concat()).unwrap();
        let findings = check(root.path()).unwrap();
        let told: Vec<_> = findings.iter().filter(|finding| finding.line > 0).collect();
        assert_eq!(
            told.iter().map(|told| told.line).collect::<Vec<_>>(),
            [2, 3, 4]
        );
    }
}
