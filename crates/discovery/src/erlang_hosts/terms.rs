//! Host names as Erlang terms, each with a full stop: what `file:consult/1` reads of them.

/// Why a text is no list of hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TermsError {
    /// Something else than an atom or a string begins there.
    #[error("line {line}: a host is an atom in single quotes, as in 'db1.example.com'.")]
    NoHost { line: usize },
    /// A quoted atom or a string has no end.
    #[error("line {line}: the quotes are not closed")]
    Unclosed { line: usize },
    /// The character after a backslash means nothing, or more than a host name can hold.
    #[error("line {line}: no host name has such an escape")]
    Escape { line: usize },
    /// A term is not ended.
    #[error(
        "line {line}: a full stop and white space must end the host, whose name needs quotes if it has dots"
    )]
    NoFullStop { line: usize },
}

/// The hosts that `text` lists.
pub(super) fn hosts(text: &str) -> Result<Vec<String>, TermsError> {
    let mut reader = Reader {
        rest: text,
        line: 1,
    };
    let mut hosts = Vec::new();
    loop {
        reader.skip_blank();
        match reader.rest.chars().next() {
            None => return Ok(hosts),
            Some(quote @ ('\'' | '"')) => {
                reader.take();
                hosts.push(reader.quoted(quote)?);
            }
            Some('a'..='z') => hosts.push(reader.bare()),
            Some(_) => return Err(TermsError::NoHost { line: reader.line }),
        }
        reader.full_stop()?;
    }
}

struct Reader<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Reader<'t> {
    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }

    /// White space and comments.
    fn skip_blank(&mut self) {
        while let Some(c) = self.rest.chars().next() {
            if c == '%' {
                while self.rest.starts_with(|c| c != '\n') {
                    self.take();
                }
            } else if is_blank(c) {
                self.take();
            } else {
                return;
            }
        }
    }

    /// An atom without quotes.
    fn bare(&mut self) -> String {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (atom, rest) = self.rest.split_at(end);
        self.rest = rest;
        atom.to_owned()
    }

    fn quoted(&mut self, quote: char) -> Result<String, TermsError> {
        let begin = self.line;
        let mut text = String::new();
        loop {
            match self.take() {
                None => return Err(TermsError::Unclosed { line: begin }),
                Some(c) if c == quote => return Ok(text),
                Some('\\') => match self.take() {
                    // Of all the escapes that Erlang has, these alone give what a host may hold.
                    Some(c) if !c.is_ascii_alphanumeric() && c != '^' => text.push(c),
                    Some(_) => return Err(TermsError::Escape { line: self.line }),
                    None => return Err(TermsError::Unclosed { line: begin }),
                },
                Some(c) => text.push(c),
            }
        }
    }

    /// The end of a term: a full stop before white space, a comment or the end of the text.
    fn full_stop(&mut self) -> Result<(), TermsError> {
        self.skip_blank();
        let line = self.line;
        let after = self.rest.strip_prefix('.');
        let after = after.filter(|rest| {
            let next = rest.chars().next();
            next.is_none_or(|c| is_blank(c) || c == '%')
        });
        self.rest = after.ok_or(TermsError::NoFullStop { line })?;
        Ok(())
    }
}

/// What Erlang's scanner takes for white space.
fn is_blank(c: char) -> bool {
    matches!(c, '\0'..=' ' | '\u{80}'..='\u{a0}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(hosts(text).unwrap(), expected);
    }

    /// net_adm, "Files".
    #[test]
    fn hosts_are_atoms_with_a_full_stop() {
        let text = "'super.eua.ericsson.se'.\n'renat.eua.ericsson.se'.\n\
                    'grouse.eua.ericsson.se'.\n'gauffin1.eua.ericsson.se'.\n^ (new line)";
        let (good, _) = text.split_once('^').unwrap();
        let names = ["super", "renat", "grouse", "gauffin1"];
        let names = names.map(|name| format!("{name}.eua.ericsson.se"));
        assert_eq!(hosts(good).unwrap(), names);
        assert_eq!(hosts(text), Err(TermsError::NoHost { line: 5 }));
    }

    #[test]
    fn the_hosts_that_the_page_shows_are_read() {
        let page = include_str!("../../../../docs/discovery/erlang_hosts.md");
        let (_, block) = page.split_once("```erlang\n").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        check(block, &["db1.example.com", "10.0.0.7", "localhost"]);
    }

    #[test]
    fn quotes_comments_and_white_space_are_erlang_s() {
        check("", &[]);
        check("% nobody\n\n", &[]);
        check(
            "db1. db_2 .\r\n% c.\n'a-b' . \"10.0.0.1\".",
            &["db1", "db_2", "a-b", "10.0.0.1"],
        );
        check("'fd00::1'.%x", &["fd00::1"]);
        check("'a\\'b\\\\'.", &["a'b\\"]);
    }

    #[test]
    fn what_is_no_host_or_half_written_is_refused() {
        for (text, error) in [
            ("'a'.\n'b", TermsError::Unclosed { line: 2 }),
            ("'a'", TermsError::NoFullStop { line: 1 }),
            ("a b.", TermsError::NoFullStop { line: 1 }),
            ("db1.example.com.", TermsError::NoFullStop { line: 1 }),
            ("10.0.0.1.", TermsError::NoHost { line: 1 }),
            ("\n['a'].", TermsError::NoHost { line: 2 }),
            ("Host.", TermsError::NoHost { line: 1 }),
            ("'a\\n'.", TermsError::Escape { line: 1 }),
            ("'a\\", TermsError::Unclosed { line: 1 }),
        ] {
            assert_eq!(hosts(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_hosts_or_an_error(text in "(['\"a.% \\n\\\\]|\\PC){0,60}") {
            let _ = hosts(&text);
        }

        #[test]
        fn any_hosts_are_read_back(names in prop::collection::vec("\\PC{0,20}", 0..8)) {
            let quoted = |name: &String| name.replace('\\', "\\\\").replace('\'', "\\'");
            let lines: String = names.iter().map(|name| format!("'{}'.\n", quoted(name))).collect();
            prop_assert_eq!(hosts(&lines), Ok(names));
            // Half of a file is never taken for the whole, unless it is cut after a term.
            for end in (0..lines.len()).filter(|&end| lines.is_char_boundary(end)) {
                if let Ok(some) = hosts(&lines[..end]) {
                    prop_assert!(some.len() <= lines.matches(".\n").count());
                }
            }
        }
    }
}
