//! `${NAME}` and `${NAME:-default}` in the texts of a file.

use super::environment::Environment;

/// Why a text could not be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpandError {
    /// The variable is not set and has no default.
    Unset(String),
    /// A `${` without its `}`, or with something that is no variable's name in between.
    Malformed,
}

/// `text` with every reference replaced; `$$` stands for one `$`, and a `$` before anything else
/// but `{` stands for itself. What a variable holds is not expanded again.
pub(crate) fn expand(text: &str, environment: &Environment) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (reference, after) = after.split_once('}').ok_or(ExpandError::Malformed)?;
            out.push_str(&resolve(reference, environment)?);
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn resolve(reference: &str, environment: &Environment) -> Result<String, ExpandError> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(ExpandError::Malformed);
    }
    match (environment.get(name), default) {
        (Some(""), Some(default)) | (None, Some(default)) => Ok(default.to_owned()),
        (Some(value), _) => Ok(value.to_owned()),
        (None, None) => Err(ExpandError::Unset(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, ExpandError>) {
        let environment = [
            ("POD_IP", "10.0.0.7"),
            ("EMPTY", ""),
            ("NESTED", "${POD_IP}"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
        assert_eq!(
            expand(text, &environment),
            expected.map(str::to_owned),
            "{text}"
        );
    }

    #[test]
    fn references_are_replaced_where_they_stand() {
        check("web@${POD_IP}", Ok("web@10.0.0.7"));
        check("${POD_IP}${POD_IP}", Ok("10.0.0.710.0.0.7"));
        check("none", Ok("none"));
    }

    #[test]
    fn a_default_serves_for_unset_and_empty() {
        check("${NO:-x}", Ok("x"));
        check("${EMPTY:-x}", Ok("x"));
        check("${EMPTY}", Ok(""));
        check("${POD_IP:-x}", Ok("10.0.0.7"));
        check("${NO:-}", Ok(""));
    }

    #[test]
    fn an_unset_variable_is_named() {
        check("a@${NO}", Err(ExpandError::Unset("NO".to_owned())));
    }

    #[test]
    fn what_is_no_reference_is_refused_or_left() {
        check("${POD_IP", Err(ExpandError::Malformed));
        check("${}", Err(ExpandError::Malformed));
        check("${A B}", Err(ExpandError::Malformed));
        check("cost: 5$", Ok("cost: 5$"));
        check("$POD_IP", Ok("$POD_IP"));
        check("$${POD_IP}", Ok("${POD_IP}"));
    }

    #[test]
    fn what_a_variable_holds_is_not_expanded() {
        check("${NESTED}", Ok("${POD_IP}"));
    }
}
