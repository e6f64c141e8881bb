//! What Kubernetes takes as a name, a label or a domain, so that what it would refuse is refused before.

use super::settings::SettingsError;

/// The longest name of an object, or key of a Secret.
const MAX_NAME: usize = 253;
/// The longest part of a label.
const MAX_LABEL: usize = 63;

/// A name that is part of host names.
pub(super) fn host_name(
    flag: &'static str,
    value: &str,
    longest: usize,
) -> Result<(), SettingsError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let whole = value.starts_with(|c: char| c.is_ascii_lowercase())
        && !value.ends_with('-')
        && value.len() <= longest
        && value.chars().all(good);
    if whole {
        return Ok(());
    }
    let value = value.to_owned();
    Err(SettingsError::Name {
        flag,
        value,
        longest,
    })
}

/// The name of an object that no host is called after.
pub(crate) fn object_name(flag: &'static str, value: &str) -> Result<(), SettingsError> {
    if is_subdomain(value) {
        return Ok(());
    }
    let value = value.to_owned();
    Err(SettingsError::ObjectName { flag, value })
}

/// A key in a Secret.
pub(crate) fn secret_key(value: &str) -> Result<(), SettingsError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let fits = (1..=MAX_NAME).contains(&value.len()) && value.chars().all(good);
    if fits && !value.starts_with("..") && value != "." {
        return Ok(());
    }
    let value = value.to_owned();
    Err(SettingsError::SecretKey { value })
}

/// The domain of a cluster.
pub(super) fn domain(value: &str) -> Result<(), SettingsError> {
    if is_subdomain(value) {
        return Ok(());
    }
    let value = value.to_owned();
    Err(SettingsError::Domain { value })
}

/// An image's name, as far as a slip of the keyboard goes.
pub(super) fn image(flag: &'static str, value: &str) -> Result<(), SettingsError> {
    if !value.contains(char::is_whitespace) {
        return Ok(());
    }
    let value = value.to_owned();
    Err(SettingsError::SpaceInImage { flag, value })
}

/// A label, as in `app=web`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let is_part = |part: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let has_ends = part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric());
        has_ends && part.len() <= MAX_LABEL && part.chars().all(good)
    };
    let is_key = |key: &str| match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_part(name),
        None => is_part(key),
    };
    match text.split_once('=') {
        Some((key, value)) if is_key(key) && (value.is_empty() || is_part(value)) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("allowed: a label of pods, KEY=VALUE, as in app=web".to_owned()),
    }
}

fn is_subdomain(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.chars().all(good)
    };
    text.len() <= MAX_NAME && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_that_pods_can_have() {
        for text in [
            "app=web",
            "app.kubernetes.io/name=web-1",
            "a=",
            "A_b.c=D-e_f.1",
        ] {
            let (key, value) = label(text).unwrap();
            assert_eq!(format!("{key}={value}"), text);
        }
        let long = format!("a={}", "x".repeat(64));
        for text in [
            "", "app", "=web", "a=b=c", "a=b,c=d", "a b=c", "a=$(x)", "a/b/c=d", "/a=b", "a=-b",
            &long,
        ] {
            assert!(label(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_keys_and_domains_are_those_of_the_api() {
        for value in ["shop", "0shop.example-1.org", "a"] {
            object_name("secret", value).unwrap();
            domain(value).unwrap();
        }
        for value in [
            "", "A", "a b", ".a", "a.", "a..b", "-a", "a-", "a_b", "$(x)",
        ] {
            assert!(object_name("secret", value).is_err(), "{value}");
            assert!(domain(value).is_err(), "{value}");
        }
        for value in ["cookie", ".erlang.cookie", "COOKIE_1", "a-b"] {
            secret_key(value).unwrap();
        }
        for value in ["", "a/b", "a b", "..", "..a", ".", "a=b"] {
            assert!(secret_key(value).is_err(), "{value}");
        }
    }
}
