//! Rules on the source itself, checked on its syntax tree rather than on its text.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, ExprMethodCall, ImplItemFn, Item, ItemFn, ItemMod, Macro, TraitItemFn};

use super::Finding;
use crate::repository::{self, NOT_LIBRARIES, PURE};

/// Lines of a file without its tests.
const MAX_FILE_LINES: usize = 500;

/// Lines of a function, from `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;

/// Ends of paths that a pure crate must not name outside of its tests.
const IMPURE_PATHS: [&[&str]; 9] = [
    &["Instant", "now"],
    &["SystemTime", "now"],
    &["TcpStream"],
    &["TcpListener"],
    &["UdpSocket"],
    &["std", "thread"],
    &["std", "fs"],
    &["std", "env"],
    &["tokio"],
];

pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in repository::rust_files(root)? {
        let text = fs::read_to_string(root.join(&path))?;
        let found = check_text(&path, &text);
        findings.extend(found.with_context(|| path.display().to_string())?);
    }
    Ok(findings)
}

fn check_text(path: &Path, text: &str) -> anyhow::Result<Vec<Finding>> {
    let file = syn::parse_file(text)?;
    let mut reader = Reader::new(path);
    reader.visit_file(&file);
    if !reader.place.is_test {
        let lines = text.lines().count() - reader.test_lines;
        if lines > MAX_FILE_LINES {
            reader.find(
                0,
                format!("{lines} lines without tests, {MAX_FILE_LINES} are allowed"),
            );
        }
    }
    Ok(reader.findings)
}

/// Which rules hold for a file.
#[derive(Debug)]
struct Place {
    is_pure: bool,
    is_library: bool,
    is_test: bool,
}

impl Place {
    fn of(path: &Path) -> Self {
        let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
        let in_crates = parts.first() == Some(&"crates");
        let name = if in_crates {
            parts.get(1).copied().unwrap_or_default()
        } else {
            "fuzz"
        };
        // A file or directory `tests` under `src` is what `#[cfg(test)] mod tests;` names.
        let is_test = !in_crates
            || parts
                .iter()
                .any(|part| matches!(*part, "tests" | "benches" | "tests.rs"));
        let is_source = parts.get(2) == Some(&"src");
        Self {
            is_pure: PURE.contains(&name) && is_source,
            is_library: !NOT_LIBRARIES.contains(&name) && is_source,
            is_test,
        }
    }
}

/// Walks one file and notes what it finds.
struct Reader<'a> {
    path: &'a Path,
    place: Place,
    /// How many items that are only there for tests enclose the place where we are.
    in_tests: usize,
    test_lines: usize,
    findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            place: Place::of(path),
            in_tests: 0,
            test_lines: 0,
            findings: Vec::new(),
        }
    }

    fn find(&mut self, line: usize, what: impl Into<String>) {
        self.findings.push(Finding::new(self.path, line, what));
    }

    fn is_test(&self) -> bool {
        self.place.is_test || self.in_tests > 0
    }

    /// Visits what `attributes` stand on, and counts it as test if they say so.
    fn within(&mut self, attributes: &[Attribute], whole: Span, visit: impl FnOnce(&mut Self)) {
        let enters = attributes.iter().any(is_for_tests);
        if enters && self.in_tests == 0 {
            self.test_lines += length(whole);
        }
        self.in_tests += usize::from(enters);
        visit(self);
        self.in_tests -= usize::from(enters);
    }

    fn function(&mut self, name: &syn::Ident, whole: Span) {
        let lines = length(whole);
        if !self.is_test() && lines > MAX_FUNCTION_LINES {
            let what = format!("`{name}` has {lines} lines, {MAX_FUNCTION_LINES} are allowed");
            self.find(name.span().start().line, what);
        }
    }

    fn path_ends(&mut self, path: &syn::Path) {
        let names: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        let line = path.span().start().line;
        self.named(&names, line);
    }

    /// Judges one path, however it came to be written.
    fn named(&mut self, names: &[String], line: usize) {
        if self.is_test() {
            return;
        }
        let holds = |wanted: &[&str]| names.windows(wanted.len()).any(|window| window == wanted);
        if self.place.is_pure
            && let Some(impure) = IMPURE_PATHS.iter().find(|wanted| holds(wanted))
        {
            self.find(line, format!("a pure crate names `{}`", impure.join("::")));
        }
        if holds(&["unbounded_channel"]) || holds(&["mpsc", "unbounded"]) {
            self.find(line, "a queue without a bound");
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        let line = tree.span().start().line;
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.use_tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                group
                    .items
                    .iter()
                    .for_each(|tree| self.use_tree(tree, before));
            }
            syn::UseTree::Name(syn::UseName { ident })
            | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                before.push(ident.to_string());
                self.named(before, line);
                before.pop();
            }
            syn::UseTree::Glob(_) => self.named(before, line),
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        self.within(attributes, item.span(), |reader| {
            visit::visit_item(reader, item)
        });
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        visit::visit_item_mod(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(
            &item.sig.ident,
            item.sig.fn_token.span().join_to(item.block.span()),
        );
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.within(&item.attrs, item.span(), |reader| {
            let whole = item.sig.fn_token.span().join_to(item.block.span());
            reader.function(&item.sig.ident, whole);
            visit::visit_impl_item_fn(reader, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.function(&item.sig.ident, item.span());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("ignore") {
            let line = attribute.span().start().line;
            self.find(line, "an ignored test proves nothing");
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if self.place.is_library
            && !self.is_test()
            && call.method == "unwrap"
            && call.args.is_empty()
        {
            let line = call.method.span().start().line;
            self.find(
                line,
                "unwrap outside of a test; say why it holds with expect",
            );
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let name = call.path.segments.last().map(|last| last.ident.to_string());
        if let Some(name @ ("todo" | "unimplemented" | "dbg")) = name.as_deref() {
            let line = call.path.span().start().line;
            self.find(line, format!("`{name}!` is left over"));
        }
        visit::visit_macro(self, call);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path_ends(path);
        visit::visit_path(self, path);
    }
}

/// `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[test]`, `#[tokio::test]`.
fn is_for_tests(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if path.is_ident("cfg") {
        let condition = attribute
            .meta
            .require_list()
            .map(|list| list.tokens.to_string());
        return condition.is_ok_and(|condition| {
            condition == "test" || condition.starts_with("all (test") || condition == "any (test)"
        });
    }
    path.segments
        .last()
        .is_some_and(|last| last.ident == "test")
}

/// A span from the start of one to the end of another.
trait JoinTo {
    fn join_to(self, end: Span) -> Span;
}

impl JoinTo for Span {
    fn join_to(self, end: Span) -> Span {
        self.join(end).unwrap_or(end)
    }
}

fn length(whole: Span) -> usize {
    whole.end().line + 1 - whole.start().line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        let findings = check_text(Path::new(path), text).unwrap();
        findings
            .into_iter()
            .map(|finding| format!("{}: {}", finding.line, finding.what))
            .collect()
    }

    const PURE_FILE: &str = "crates/proto/src/link.rs";
    const DRIVER_FILE: &str = "crates/node/src/listen.rs";

    #[test]
    fn a_long_function_is_found_and_a_long_test_is_not() {
        let long = |attribute: &str| {
            format!(
                "{attribute}\nfn long() {{\n{}}}\n",
                "    step();\n".repeat(69)
            )
        };
        let found = check(DRIVER_FILE, &long("#[inline]"));
        assert_eq!(found, ["2: `long` has 71 lines, 70 are allowed"]);
        assert!(check(DRIVER_FILE, &long("#[test]")).is_empty());
        let method = format!("impl X {{\n{}}}\n", long("#[inline]"));
        assert_eq!(check(DRIVER_FILE, &method).len(), 1);
    }

    #[test]
    fn a_files_length_is_counted_without_its_tests() {
        let items = "const X: u8 = 1;\n";
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", items.repeat(300));
        assert!(check(DRIVER_FILE, &format!("{}{tests}", items.repeat(500))).is_empty());
        let found = check(DRIVER_FILE, &format!("{}{tests}", items.repeat(501)));
        assert_eq!(found, ["0: 501 lines without tests, 500 are allowed"]);
    }

    #[test]
    fn a_pure_crate_names_no_clock_and_no_socket() {
        for bad in [
            "fn f() { let now = std::time::Instant::now(); }",
            "use std::net::{IpAddr, TcpStream};",
            "use std::time::SystemTime;\nfn f() { SystemTime::now(); }",
            "use tokio::sync::mpsc;",
            "use std::fs;",
        ] {
            assert_eq!(check(PURE_FILE, bad).len(), 1, "{bad}");
            assert!(check(DRIVER_FILE, bad).is_empty(), "{bad}");
        }
        assert!(check(PURE_FILE, "use std::net::{IpAddr, SocketAddr};").is_empty());
        let test = "#[cfg(test)]\nmod tests { fn f() { std::time::Instant::now(); } }";
        assert!(check(PURE_FILE, test).is_empty());
    }

    #[test]
    fn unwrap_is_for_tests_of_libraries() {
        let bad = "fn f() { x.unwrap(); }";
        assert_eq!(check(DRIVER_FILE, bad).len(), 1);
        assert!(check("crates/node/tests/story.rs", bad).is_empty());
        assert!(check("crates/xtask/src/main.rs", bad).is_empty());
        assert!(
            check(
                DRIVER_FILE,
                "#[cfg(test)]\nmod tests { fn f() { x.unwrap(); } }"
            )
            .is_empty()
        );
    }

    #[test]
    fn an_ignored_test_is_found() {
        let bad = "#[cfg(test)]\nmod tests {\n#[test]\n#[ignore]\nfn f() {}\n}";
        assert_eq!(
            check(DRIVER_FILE, bad),
            ["4: an ignored test proves nothing"]
        );
        assert_eq!(
            check(
                "crates/node/tests/x.rs",
                "#[test]\n#[ignore = \"slow\"]\nfn f() {}"
            )
            .len(),
            1
        );
    }

    #[test]
    fn left_overs_and_unbounded_queues_are_found() {
        assert_eq!(check(DRIVER_FILE, "fn f() { todo!() }").len(), 1);
        assert_eq!(
            check(
                DRIVER_FILE,
                "fn f() { tokio::sync::mpsc::unbounded_channel(); }"
            )
            .len(),
            1
        );
        assert_eq!(
            check(DRIVER_FILE, "use tokio::sync::mpsc::unbounded_channel;").len(),
            1
        );
    }
}
