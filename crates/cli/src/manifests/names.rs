//! What Kubernetes takes as a name, a label or a domain, so that what it would refuse is refused before.

use std::net::Ipv6Addr;

use super::settings::SettingsError;

/// The longest name of an object, or key of a Secret.
const MAX_NAME: usize = 253;
/// The longest part of a label.
const MAX_LABEL: usize = 63;
/// The longest name of an image, its registry included.
const MAX_IMAGE_NAME: usize = 255;
/// The longest tag of an image.
const MAX_TAG: usize = 128;
/// The fewest digits of an image's digest.
const MIN_DIGITS: usize = 32;

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

/// An image, as registries and kubelets read it: `REGISTRY/PATH:TAG@DIGEST`.
pub(super) fn image(flag: &'static str, value: &str) -> Result<(), SettingsError> {
    if is_image(value) {
        return Ok(());
    }
    let value = value.to_owned();
    Err(SettingsError::NotAnImage { flag, value })
}

fn is_image(text: &str) -> bool {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    // A colon before a slash is that of the registry's port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let path = match name.split_once('/') {
        Some((host, path)) if names_registry(host) => is_registry(host).then_some(path),
        _ => Some(name),
    };
    name.len() <= MAX_IMAGE_NAME
        && path.is_some_and(|path| path.split('/').all(is_image_part))
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// Whether what stands before the first slash is a registry, and no part of the path.
fn names_registry(text: &str) -> bool {
    let marks = |c: char| ".:".contains(c) || c.is_ascii_uppercase();
    text == "localhost" || text.contains(marks)
}

/// A host, with a port or without.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_host = match bare {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_subdomain(&host.to_ascii_lowercase()),
    };
    is_host
        && port.is_none_or(|port| {
            port.bytes().all(|it| it.is_ascii_digit()) && port.parse::<u16>().is_ok()
        })
}

/// Runs of a-z and 0-9, with `.`, `_`, `__` or any number of `-` between two.
fn is_image_part(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    text.starts_with(inner) && text.ends_with(inner) && text.split(inner).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=MAX_TAG).contains(&text.len()) && !text.starts_with(['.', '-']) && text.chars().all(good)
}

/// `sha256:` and its digits, or those of another algorithm.
fn is_digest(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.split_once(':').is_some_and(|(algorithm, digits)| {
        algorithm.split(['+', '.', '_', '-']).all(is_word)
            && digits.len() >= MIN_DIGITS
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
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
    fn images_are_those_of_registries() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let long = format!("r.example.org/{}", "a".repeat(241));
        for text in [
            "enmesh",
            "enmesh:0.1.0",
            "enmesh-test/enmesh",
            "registry.example.org/team/web_app/x__y/a---b:V1.0_rc-2",
            "localhost/web",
            "localhost:5000/web:1",
            "Registry.example.org:443/web",
            "10.0.0.1:5000/web",
            "[fd00::1]:5000/web",
            &format!("web@{digest}"),
            &format!("r.example.org/web:1@{digest}"),
            &long,
        ] {
            image("image", text).unwrap();
        }
        let longest_tag = "t".repeat(128);
        image("image", &format!("web:{longest_tag}")).unwrap();
        for text in [
            "",
            " ",
            "a b",
            "a:b:c",
            "-x",
            "x-",
            "Web",
            "web:",
            "web:-1",
            ":1",
            "web/",
            "/web",
            "a//b",
            "a..b",
            "a._b",
            "a___b",
            "http://r.example.org/web",
            "r.example.org:x/web",
            "r.example.org:/web",
            "-r.example.org/web",
            "[::g]/web",
            "web@",
            "web@sha256",
            "web@sha256:12",
            "$(IMAGE)",
            &format!("web:t{longest_tag}"),
            &format!("web@{digest}@{digest}"),
            &format!("{long}a"),
        ] {
            let error = image("image", text).unwrap_err().to_string();
            assert!(error.starts_with("--image "), "{text}: {error}");
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
