//! A page that is to be followed: its files and commands in order, and what it says that they print.

/// One thing that a reader does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Saves a block under the name in its first line, `# NAME`.
    File { name: String, text: String },
    /// Types a command, and compares what comes with what the page shows.
    Command { text: String, shown: Vec<String> },
}

/// The blocks of a page between fences, as the word behind the fence and the text.
pub(crate) fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, usize, String)> = None;
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        let indent = line.len() - line.trim_start().len();
        match (&mut open, fence) {
            (None, Some(word)) => open = Some((word.trim(), indent, String::new())),
            (Some(_), Some(_)) => {
                let (word, _, text) = open.take().expect("it is open");
                blocks.push((word, text));
            }
            (Some((_, indent, text)), None) => {
                *text += line.get(*indent..).unwrap_or_default();
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// What a reader does who follows the page from its first line to its last.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for (word, text) in blocks(page) {
        if word == "console" {
            steps.extend(commands(&text));
        } else if let Some(name) = text.lines().next().and_then(file_name) {
            let name = name.to_owned();
            steps.push(Step::File { name, text });
        }
    }
    steps
}

/// The name in a first line that is nothing else: `# web.yaml`.
fn file_name(line: &str) -> Option<&str> {
    let name = line.strip_prefix("# ")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (name.contains('.') && name.bytes().all(is_plain)).then_some(name)
}

/// The lines that begin with `$ `, each with those that it goes on in, and what is shown below.
fn commands(block: &str) -> Vec<Step> {
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    let mut goes_on = false;
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(text), _) => steps.push((text.to_owned(), Vec::new())),
            (None, Some((text, _))) if goes_on => {
                text.push('\n');
                text.push_str(line);
            }
            (None, Some((_, shown))) => {
                shown.push(line.to_owned());
                continue;
            }
            (None, None) => panic!("a block begins with what no command has printed: {line}"),
        }
        goes_on = line.ends_with('\\');
    }
    let steps = steps.into_iter();
    steps
        .map(|(text, shown)| Step::Command { text, shown })
        .collect()
}

/// The first shown line that is not in the output, in order; more may be printed than is shown.
///
/// `…` stands for anything within a line, and any white space for any other.
pub(crate) fn missing<'a>(shown: &'a [String], output: &str) -> Option<&'a str> {
    let mut lines = output.lines();
    let shown = shown.iter().filter(|line| !line.trim().is_empty());
    let mut shown = shown.map(String::as_str);
    shown.find(|wanted| wanted.trim() != "…" && !lines.any(|line| is_like(wanted, line)))
}

fn is_like(wanted: &str, line: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (wanted, line) = (words(wanted), words(line));
    // The dots may stand for the white space alone that is around them.
    let mut parts = wanted.split('…').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let Some(last) = wanted.contains('…').then(|| parts.next_back()).flatten() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_page_is_its_files_and_commands_in_order() {
        let page = "text\n```yaml\n# a.yaml\nx: 1\n```\n```console\n$ one \\\n    --two\nprinted\n\n$ three\n```\n```yaml\ny: 2\n```\n";
        let command = |text: &str, shown: &str| Step::Command {
            text: text.into(),
            shown: lines(shown),
        };
        let expected = [
            Step::File {
                name: "a.yaml".into(),
                text: "# a.yaml\nx: 1\n".into(),
            },
            command("one \\\n    --two", "printed\n\n"),
            command("three", ""),
        ];
        assert_eq!(steps(page), expected);
    }

    #[test]
    fn what_is_shown_is_found_in_order_and_dots_stand_for_anything() {
        let output = "NAME   READY  AGE\nweb-1  1/1    3s\nweb-2  0/1    4s\n";
        for shown in [
            "NAME READY AGE\nweb-… 1/1 …",
            "…\nweb-2 …4s",
            "",
            "… READY …",
            "NAME … READY … AGE",
        ] {
            assert_eq!(missing(&lines(shown), output), None, "{shown}");
        }
        for (shown, wanted) in [
            ("web-2 …\nweb-1 …", "web-1 …"),
            ("web-1", "web-1"),
            ("web-… 2/1 …", "web-… 2/1 …"),
            ("x…", "x…"),
            ("…5s", "…5s"),
        ] {
            assert_eq!(missing(&lines(shown), output), Some(wanted), "{shown}");
        }
    }
}
