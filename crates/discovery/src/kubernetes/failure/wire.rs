//! What is wrong with the wire to the API server, where it has said nothing itself.

use std::error::Error as StdError;
use std::io;

use enmesh_membership::{FailureKind, SourceFailure};
use kube::core::Status;
use kube::runtime::watcher;

use super::{Asked, quote};
use crate::kubernetes::transport::TransportError;

impl Asked {
    pub(super) fn broken(&self, error: &watcher::Error) -> SourceFailure {
        let (chain, server) = (chain(error), &self.server);
        let (kind, text) = match (error, find_transport(error)) {
            (watcher::Error::NoResourceVersion, _) => (
                FailureKind::Malformed,
                "the Kubernetes API's answer has no version".to_owned(),
            ),
            (_, Some(TransportError::NoToken)) => (FailureKind::Unauthorized, self.no_token()),
            _ if timed_out(error) => (
                FailureKind::TimedOut,
                format!(
                    "the Kubernetes API at {server} does not answer ({}); is it up (kubectl get \
                     --raw /readyz), and do firewalls and NetworkPolicies let us through?",
                    root(error)
                ),
            ),
            _ if chain.contains("certificate") => (
                FailureKind::Unreachable,
                format!(
                    "the certificate of the Kubernetes API at {server} is not one that our CA \
                     vouches for ({chain}); look at ca.crt of the service account, or \
                     certificate-authority of the kubeconfig"
                ),
            ),
            _ if malformed(error) => (
                FailureKind::Malformed,
                format!(
                    "the answer of the Kubernetes API at {server} cannot be understood ({chain})"
                ),
            ),
            _ => (FailureKind::Unreachable, self.unreachable(error)),
        };
        SourceFailure::new(kind, text)
    }

    fn no_token(&self) -> String {
        let file = self.token_file.as_ref();
        let file = file.map_or_else(|| "its file".to_owned(), |file| file.display().to_string());
        format!(
            "there is no token of our account in {file}; is it mounted \
             (automountServiceAccountToken, or kubernetes_service_account_path)?"
        )
    }

    fn unreachable(&self, error: &watcher::Error) -> String {
        let (server, root) = (&self.server, root(error));
        let refused = by_system(error).any(|kind| kind == io::ErrorKind::ConnectionRefused);
        if refused {
            format!(
                "nothing listens where the Kubernetes API should, at {server} ({root}); is it up \
                 (kubectl get --raw /readyz), and is that its address?"
            )
        } else if is_cut(error) {
            format!(
                "the connection to the Kubernetes API at {server} breaks off again and again \
                 ({root}); look at what is between us and it, and at its log"
            )
        } else {
            format!(
                "the Kubernetes API at {server} cannot be reached ({root}); is it up (kubectl get \
                 --raw /readyz), and do firewalls and NetworkPolicies let us through?"
            )
        }
    }
}

/// Whether a connection that worked was closed under a watch.
pub(super) fn is_cut(error: &watcher::Error) -> bool {
    let in_a_watch = matches!(error, watcher::Error::WatchFailed(_));
    in_a_watch && !timed_out(error) && !malformed(error) && find_transport(error).is_none()
}

fn client_error(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}

pub(super) fn status(error: &watcher::Error) -> Option<&Status> {
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
    let ours = find_transport(error);
    let silent = matches!(
        ours,
        Some(TransportError::HeadTimedOut | TransportError::Silent)
    );
    silent || by_system(error).any(|kind| kind == io::ErrorKind::TimedOut)
}

/// What the system says of a connection.
fn by_system(error: &watcher::Error) -> impl Iterator<Item = io::ErrorKind> {
    causes(error).filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()))
}

fn find_transport(error: &watcher::Error) -> Option<TransportError> {
    causes(error).find_map(|cause| cause.downcast_ref::<TransportError>().copied())
}

/// What stands behind `error`, the nearest cause first.
fn causes(error: &dyn StdError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// What is behind all of it, without the address of a manual: the layers between only say that
/// they did not get on.
fn root(error: &watcher::Error) -> String {
    let text = causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let end = text.find(": https://docs.rs").unwrap_or(text.len());
    quote(&text[..end])
}

/// The causes in one line, without those that only repeat what was said before them.
pub(in super::super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
    }
    quote(&text)
}
