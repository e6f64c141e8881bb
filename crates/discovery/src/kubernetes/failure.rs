//! What went wrong at the API server, with the fix in words.

use std::error::Error as StdError;
use std::io;

use enmesh_membership::{FailureKind, SourceFailure};
use kube::core::Status;
use kube::runtime::watcher;

use super::lookup::Lookup;
use super::transport::TransportError;

/// The longest part of a server's own words that is repeated, in bytes.
const MAX_QUOTE_BYTES: usize = 400;

/// What was asked for, for texts.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) lookup: Lookup,
    pub(super) namespace: String,
}

/// What to do after an error.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Our place in the history is gone: list again, nothing is wrong.
    Relist,
    /// The account may list and not watch: list again and again instead.
    Poll,
    /// The look-up failed.
    Failed(SourceFailure),
}

impl Asked {
    /// Reads `error`, which is as well a server's refusal as a broken wire.
    pub(super) fn verdict(&self, error: &watcher::Error) -> Verdict {
        let status = status(error);
        match (error, status.map_or(0, |status| status.code)) {
            (_, 410) => Verdict::Relist,
            (watcher::Error::WatchStartFailed(_), 403) => Verdict::Poll,
            _ => Verdict::Failed(match status {
                Some(status) => self.refusal(status),
                None => self.broken(error),
            }),
        }
    }

    /// What the user of a silent server is told.
    pub(super) fn silent(&self) -> SourceFailure {
        let (resource, namespace) = (self.lookup.resource(), &self.namespace);
        let text =
            format!("the list of {resource} in namespace {namespace} does not come to an end");
        SourceFailure::new(FailureKind::TimedOut, text)
    }

    fn refusal(&self, status: &Status) -> SourceFailure {
        let (resource, namespace) = (self.lookup.resource(), &self.namespace);
        let quote = quote(&status.message);
        let (kind, text) = match status.code {
            0 => (
                FailureKind::Malformed,
                format!("the Kubernetes API's answer cannot be understood ({quote})"),
            ),
            401 => (
                FailureKind::Unauthorized,
                format!(
                    "the Kubernetes API does not accept our token or certificate ({quote}); is \
                     the service account's token mounted and current?"
                ),
            ),
            403 => (FailureKind::Forbidden, self.forbidden(&status.message)),
            404 => (
                FailureKind::NotFound,
                format!("the Kubernetes API has no {resource} in namespace {namespace} ({quote})"),
            ),
            429 => (
                FailureKind::Other,
                format!("the Kubernetes API is overloaded and asks us to wait ({quote})"),
            ),
            400 | 422 => (
                FailureKind::Other,
                format!(
                    "the Kubernetes API does not understand the question for {resource} in \
                     namespace {namespace} ({quote}); look at kubernetes_selector and kubernetes_field_selector"
                ),
            ),
            code => (
                FailureKind::Unreachable,
                format!("the Kubernetes API answers with status {code} ({quote})"),
            ),
        };
        SourceFailure::new(kind, text)
    }

    fn forbidden(&self, message: &str) -> String {
        let (resource, namespace) = (self.lookup.resource(), &self.namespace);
        let (user, rule) = (user(message), self.lookup.rule());
        let (who, binding) = match user.and_then(account) {
            Some((home, name)) => (
                format!("ServiceAccount {name} of namespace {home}"),
                format!("--serviceaccount={home}:{name}"),
            ),
            None => {
                let user = user.unwrap_or("NAME");
                (format!("user {user}"), format!("--user={user}"))
            }
        };
        format!(
            "forbidden: {who} may not read {resource} in namespace {namespace}. Give it a Role with \
             the verbs get, list and watch: kubectl -n {namespace} create role enmesh \
             --verb=get,list,watch --resource={rule} && kubectl -n {namespace} create \
             rolebinding enmesh --role=enmesh {binding} (the server says: {})",
            quote(message)
        )
    }

    fn broken(&self, error: &watcher::Error) -> SourceFailure {
        let chain = chain(error);
        let (kind, text) = match error {
            watcher::Error::NoResourceVersion => (
                FailureKind::Malformed,
                "the Kubernetes API's answer has no version".to_owned(),
            ),
            _ if timed_out(error) => (
                FailureKind::TimedOut,
                find_transport(error)
                    .unwrap_or(TransportError::HeadTimedOut)
                    .to_string(),
            ),
            _ if find_transport(error) == Some(TransportError::NoToken) => (
                FailureKind::Unauthorized,
                format!("{}; is it mounted?", TransportError::NoToken),
            ),
            _ if chain.contains("certificate") => (
                FailureKind::Unreachable,
                format!(
                    "the Kubernetes API's certificate is not one that our CA vouches for ({chain}); \
                     look at ca.crt of the service account, or certificate-authority of the \
                     kubeconfig"
                ),
            ),
            _ if malformed(error) => (
                FailureKind::Malformed,
                format!("the Kubernetes API's answer cannot be understood ({chain})"),
            ),
            _ => (
                FailureKind::Unreachable,
                format!("the Kubernetes API cannot be asked ({chain})"),
            ),
        };
        SourceFailure::new(kind, text)
    }
}

fn client_error(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}

fn status(error: &watcher::Error) -> Option<&Status> {
    match (error, client_error(error)) {
        (watcher::Error::WatchError(status), _) | (_, Some(kube::Error::Api(status))) => {
            Some(status)
        }
        _ => None,
    }
}

fn malformed(error: &watcher::Error) -> bool {
    use kube::Error::{FromUtf8, LinesCodecMaxLineLengthExceeded, SerdeError};
    let ours = find_transport(error) == Some(TransportError::TooLong);
    let theirs = matches!(
        client_error(error),
        Some(FromUtf8(_) | SerdeError(_) | LinesCodecMaxLineLengthExceeded)
    );
    ours || theirs
}

fn timed_out(error: &watcher::Error) -> bool {
    let by_system = |cause: &(dyn StdError + 'static)| {
        let error = cause.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    };
    let ours = find_transport(error);
    matches!(
        ours,
        Some(TransportError::HeadTimedOut | TransportError::Silent)
    ) || causes(error).any(by_system)
}

fn find_transport(error: &watcher::Error) -> Option<TransportError> {
    causes(error).find_map(|cause| cause.downcast_ref::<TransportError>().copied())
}

/// What stands behind `error`, the nearest cause first.
fn causes(error: &dyn StdError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// The causes in one line, without those that only repeat what was said before them.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
    }
    quote(&text)
}

/// `text` on one line and not too long.
fn quote(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_QUOTE_BYTES);
    text[..end]
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The user in `pods is forbidden: User "system:serviceaccount:ns:name" cannot list …`.
fn user(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("User \"")?;
    let (user, _) = rest.split_once('"')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    (!user.is_empty() && user.len() <= 320 && user.chars().all(plain)).then_some(user)
}

fn account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}

#[cfg(test)]
mod tests;
