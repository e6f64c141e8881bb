//! How Rust's names are spelled as atoms.

use syn::{LitStr, Result};

/// A spelling that `rename_all` may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// As the program has it.
    AsIs,
    Lower,
    Snake,
    ScreamingSnake,
    Kebab,
    Camel,
    Pascal,
}

const CASES: [(&str, Case); 6] = [
    ("snake_case", Case::Snake),
    ("camelCase", Case::Camel),
    ("PascalCase", Case::Pascal),
    ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
    ("kebab-case", Case::Kebab),
    ("lowercase", Case::Lower),
];

impl Case {
    pub(crate) fn parse(name: &LitStr) -> Result<Self> {
        let found = CASES.iter().find(|(known, _)| *known == name.value());
        found.map(|(_, case)| *case).ok_or_else(|| {
            let known: Vec<String> = CASES
                .iter()
                .map(|(known, _)| format!("{known:?}"))
                .collect();
            syn::Error::new_spanned(name, format!("write one of {}", known.join(", ")))
        })
    }

    /// The name in this spelling.
    pub(crate) fn apply(self, name: &str) -> String {
        let words = words(name);
        match self {
            Self::AsIs => name.to_owned(),
            Self::Lower => words.concat(),
            Self::Snake => words.join("_"),
            Self::ScreamingSnake => words.join("_").to_uppercase(),
            Self::Kebab => words.join("-"),
            Self::Pascal => words.iter().map(|word| capital(word)).collect(),
            Self::Camel => match words.split_first() {
                Some((first, rest)) => {
                    let rest: String = rest.iter().map(|word| capital(word)).collect();
                    format!("{first}{rest}")
                }
                None => String::new(),
            },
        }
    }
}

/// The words of a Rust name, in lower case.
///
/// A word begins at a capital after something else than a capital, and at the last of several
/// capitals if something small follows: `HttpServer`, `HTTPServer` and `http_server` have the
/// same two.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after_small = before.is_some_and(|c| !c.is_uppercase());
        let before_small = chars.get(at + 1).is_some_and(|c| c.is_lowercase());
        if c == '_' || (c.is_uppercase() && (after_small || before_small)) {
            words.push(String::new());
        }
        if c != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_asked() {
        let names = |name: &str| {
            let all = CASES.map(|(_, case)| case.apply(name));
            all.join(" ")
        };
        let http = "http_server httpServer HttpServer HTTP_SERVER http-server httpserver";
        assert_eq!(names("HttpServer"), http);
        assert_eq!(names("HTTPServer"), http);
        assert_eq!(names("http_server"), http);
        assert_eq!(Case::Snake.apply("V2Up"), "v2_up");
        assert_eq!(Case::Snake.apply("A"), "a");
        assert_eq!(Case::AsIs.apply("eX_y"), "eX_y");
    }
}
