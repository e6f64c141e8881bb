//! Who our token says that we are, for the text of a refusal. Nothing is believed for it: the
//! signature is the API server's to check.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::config::duration_text;

/// The longest token that is looked into, in bytes.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// What a token of a ServiceAccount says of itself (Kubernetes, "Managing Service Accounts",
/// "Schema for service account private claims").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Claims {
    /// When it expires, in seconds since 1970; legacy tokens of Secrets never do.
    exp: Option<u64>,
    #[serde(rename = "kubernetes.io", default)]
    account: Account,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Account {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    serviceaccount: Object,
    pod: Option<Object>,
    secret: Option<Object>,
    node: Option<Object>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Object {
    #[serde(default)]
    name: String,
}

impl Claims {
    /// Those of the token in a file; none where that holds no token of a ServiceAccount.
    pub(super) fn of_file(path: &Path) -> Option<Self> {
        let length = std::fs::metadata(path).ok()?.len();
        let token = (length <= MAX_TOKEN_BYTES).then(|| std::fs::read_to_string(path).ok());
        Self::of(token.flatten()?.trim())
    }

    fn of(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: Self = serde_json::from_slice(&payload).ok()?;
        let account = &claims.account;
        let objects = [&account.pod, &account.secret, &account.node];
        let bound = objects.into_iter().flatten().map(|object| &object.name);
        // They go into commands that somebody may copy.
        let plain = |name: &&String| !name.is_empty() && name.len() <= 253 && is_plain(name);
        let names = [&account.namespace, &account.serviceaccount.name];
        let all_plain = names.into_iter().chain(bound).all(|name| plain(&name));
        all_plain.then_some(claims)
    }

    /// What is wrong with a token that is refused, and what mends it. `now` is the wall clock's.
    pub(super) fn explain(&self, now: SystemTime, file: &Path) -> impl fmt::Display {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let Account {
            namespace,
            serviceaccount: Object { name },
            ..
        } = &self.account;
        let why = match self.exp {
            Some(end) if end <= now => {
                let ago = duration_text(Duration::from_secs(now - end));
                format!("has expired {ago} ago")
            }
            _ => format!(
                "has not expired, so {} was deleted, or it is another cluster's",
                self.bound()
            ),
        };
        let fix = match &self.account.pod {
            Some(pod) => format!(
                "the kubelet should have renewed it; start the pod anew: kubectl -n {namespace} \
                 delete pod {}",
                pod.name
            ),
            None => format!(
                "put a new one into the file, it is read for each request: kubectl -n {namespace} \
                 create token {name}"
            ),
        };
        let file = file.display();
        format!("that of ServiceAccount {name} of namespace {namespace} in {file} {why}; {fix}")
    }

    /// The objects with which the token ends.
    fn bound(&self) -> String {
        let account = &self.account;
        let named = [("Pod", &account.pod), ("Secret", &account.secret)];
        let mut text = "the account".to_owned();
        for (kind, object) in named {
            if let Some(Object { name }) = object {
                text = format!("{text} or {kind} {name}");
            }
        }
        text
    }
}

fn is_plain(name: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(payload))
    }

    #[track_caller]
    fn check(payload: &str, expected: &str) {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let claims = Claims::of(&token(payload)).unwrap();
        let said = claims.explain(now, Path::new("/account/token")).to_string();
        assert_eq!(said, expected);
    }

    #[test]
    fn a_mounted_token_that_has_expired_is_the_kubelet_s_to_renew() {
        check(
            r#"{"exp":940,"kubernetes.io":{"namespace":"prod","serviceaccount":{"name":"web"},
                "pod":{"name":"web-1","uid":"u"},"node":{"name":"node1"}}}"#,
            "that of ServiceAccount web of namespace prod in /account/token has expired 60s ago; \
             the kubelet should have renewed it; start the pod anew: kubectl -n prod delete pod web-1",
        );
    }

    #[test]
    fn a_token_that_is_refused_in_time_was_bound_to_something() {
        check(
            r#"{"exp":4600,"kubernetes.io":{"namespace":"prod","serviceaccount":{"name":"web"},
                "secret":{"name":"anchor"}}}"#,
            "that of ServiceAccount web of namespace prod in /account/token has not expired, so the \
             account or Secret anchor was deleted, or it is another cluster's; put a new one into the \
             file, it is read for each request: kubectl -n prod create token web",
        );
    }

    #[test]
    fn what_is_no_token_of_an_account_says_nothing() {
        let hostile =
            r#"{"kubernetes.io":{"namespace":"a; reboot","serviceaccount":{"name":"x"}}}"#;
        for text in [
            "",
            "first",
            "a.b.c",
            &token("{}"),
            &token("[1]"),
            &token(hostile),
        ] {
            assert_eq!(Claims::of(text), None, "{text}");
        }
        assert_eq!(Claims::of_file(Path::new("/nowhere/token")), None);
    }
}
