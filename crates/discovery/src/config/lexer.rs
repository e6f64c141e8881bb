//! The string form of a topology: `key=value` pairs separated by white space.

use super::ConfigError;

/// The longest topology string, in bytes. What is longer is refused whole.
pub(crate) const MAX_TEXT_BYTES: usize = 1 << 20;

/// Splits `text` into pairs. A value stands bare up to the next white space, or in double quotes,
/// where a backslash makes the character after it an ordinary one.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ConfigError::TooLong);
    }
    let mut found: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = key(rest)?;
        let (value, after) = value(key, after)?;
        if value.is_empty() {
            return Err(ConfigError::MissingValue {
                key: key.to_owned(),
            });
        }
        if found.iter().any(|(earlier, _)| earlier == key) {
            return Err(ConfigError::DuplicateKey {
                key: key.to_owned(),
            });
        }
        found.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(found)
}

fn key(text: &str) -> Result<(&str, &str), ConfigError> {
    let word = text.split_whitespace().next().unwrap_or_default();
    match word.split_once('=') {
        Some((key, _)) if !key.is_empty() && !key.contains('"') => {
            Ok((key, &text[key.len() + 1..]))
        }
        _ => Err(ConfigError::MissingEquals {
            word: word.to_owned(),
        }),
    }
}

fn value<'t>(key: &str, text: &'t str) -> Result<(String, &'t str), ConfigError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (bare, after) = text.split_at(end);
        if bare.contains('"') {
            return Err(ConfigError::UnbalancedQuotes {
                key: key.to_owned(),
            });
        }
        return Ok((bare.to_owned(), after));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let after = &quoted[at + 1..];
                if !after.is_empty() && !after.starts_with(char::is_whitespace) {
                    return Err(ConfigError::UnbalancedQuotes {
                        key: key.to_owned(),
                    });
                }
                return Ok((value, after));
            }
            '\\' => match chars.next() {
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            plain => value.push(plain),
        }
    }
    Err(ConfigError::UnbalancedQuotes {
        key: key.to_owned(),
    })
}

/// `value` as [`pairs`] reads it back.
pub(crate) fn quoted(value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && c != '"' && c != '\\';
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    let mut text = String::from('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(pairs(text).unwrap(), expected);
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(pairs(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn pairs_are_separated_by_any_white_space() {
        check("a=1 b=2", &[("a", "1"), ("b", "2")]);
        check("  a=1\t\n b=2 ", &[("a", "1"), ("b", "2")]);
        check("", &[]);
    }

    #[test]
    fn a_value_may_hold_equals_signs_and_commas() {
        check(
            "s=app=myapp,tier=web n=x",
            &[("s", "app=myapp,tier=web"), ("n", "x")],
        );
    }

    #[test]
    fn quotes_keep_white_space_and_backslash_escapes() {
        check(
            r#"s="tier in (a, b)" n=x"#,
            &[("s", "tier in (a, b)"), ("n", "x")],
        );
        check(r#"s="a \"b\" \\ c""#, &[("s", r#"a "b" \ c"#)]);
    }

    #[test]
    fn malformed_text_is_refused_with_the_word_or_key() {
        refused("web", "`web` is no key=value pair");
        refused("a=1 =2", "`=2` is no key=value pair");
        refused("a=1 a=2", "key `a` stands twice");
        refused("a= b=1", "key `a` has no value");
        refused(r#"a="1"#, "the double quotes of key `a` are not balanced");
        refused(r#"a="1"x"#, "the double quotes of key `a` are not balanced");
        refused(r#"a=1"x"#, "the double quotes of key `a` are not balanced");
        refused(r#"a="1\"#, "the double quotes of key `a` are not balanced");
    }

    proptest! {
        #[test]
        fn any_text_gives_pairs_or_an_error(text in ".{0,200}") {
            let _ = pairs(&text);
        }

        #[test]
        fn quoted_values_are_read_back(value in ".{1,60}", other in "[a-z]{1,9}") {
            let text = format!("one={} two={other}", quoted(&value));
            let expected = vec![("one".to_owned(), value), ("two".to_owned(), other)];
            prop_assert_eq!(pairs(&text).unwrap(), expected);
        }
    }
}
