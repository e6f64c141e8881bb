//! What went wrong at the API server, with the fix in words.
//!
//! Each text names the object, the namespace and the account as far as they are known, and what mends
//! it; docs/discovery/kubernetes.md has them all in a table.

mod wire;

use std::path::PathBuf;
use std::time::SystemTime;

use enmesh_membership::{FailureKind, SourceFailure};
use kube::core::Status;
use kube::runtime::watcher;

use super::account::Claims;
use super::lookup::Lookup;
use super::selection::Selection;
pub(super) use wire::chain;

/// The longest part of a server's own words that is repeated, in bytes.
const MAX_QUOTE_BYTES: usize = 400;

/// What was asked for, of whom and as whom, for texts.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The API server's address.
    pub(super) server: String,
    /// Where our token is, if it comes from a file.
    pub(super) token_file: Option<PathBuf>,
    pub(super) lookup: Lookup,
    pub(super) namespace: String,
    pub(super) selection: Selection,
}

/// What to do after an error.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Our place in the history is gone: list again, nothing is wrong.
    Relist,
    /// The account may list and not watch: list again and again instead.
    Poll,
    /// The connection broke off in the middle of a watch, as it does when one of several API servers
    /// is started anew. To ask once more shows whether anything is wrong.
    Cut(SourceFailure),
    /// The look-up failed.
    Failed(SourceFailure),
}

impl Asked {
    /// Reads `error`, which is as well a server's refusal as a broken wire.
    pub(super) fn verdict(&self, error: &watcher::Error) -> Verdict {
        let status = wire::status(error);
        match (error, status.map_or(0, |status| status.code)) {
            (_, 410) => Verdict::Relist,
            (watcher::Error::WatchStartFailed(_), 403) => Verdict::Poll,
            _ => match status {
                Some(status) => Verdict::Failed(self.refusal(status)),
                None if wire::is_cut(error) => Verdict::Cut(self.broken(error)),
                None => Verdict::Failed(self.broken(error)),
            },
        }
    }

    /// What the user of a silent server is told.
    pub(super) fn silent(&self) -> SourceFailure {
        let (resource, namespace, server) = (self.lookup.resource(), &self.namespace, &self.server);
        let text = format!(
            "the list of {resource} in namespace {namespace} does not come to an end: is the \
             Kubernetes API at {server} overloaded, or the network to it?"
        );
        SourceFailure::new(FailureKind::TimedOut, text)
    }

    /// What the user is told of a list without any object: unlike a Service without pods, no Service
    /// at all is most likely a mistake, and says nothing about the pods.
    pub(super) fn nothing(&self) -> SourceFailure {
        let (resource, namespace) = (self.lookup.resource(), &self.namespace);
        let wanted = &self.selection;
        let text = match (self.lookup, &wanted.service) {
            (Lookup::Pods, _) => format!(
                "no pods in namespace {namespace} match {wanted}; {}",
                self.nobody()
            ),
            (_, Some(service)) => format!(
                "no {resource} in namespace {namespace} belong to a Service {service}; is \
                 kubernetes_service_name right, and has the Service a selector? kubectl -n \
                 {namespace} get services --output=wide"
            ),
            (_, None) => format!(
                "no {resource} in namespace {namespace} match {wanted}: they carry the labels of \
                 the Service, not those of its pods; label the Service, name it by \
                 kubernetes_service_name, or use kubernetes_ip_lookup_mode=pods; kubectl -n \
                 {namespace} get services --show-labels"
            ),
        };
        SourceFailure::new(FailureKind::NotFound, text)
    }

    /// What to look at where there are objects, or pods are asked for, and nobody is in them.
    pub(super) fn nobody(&self) -> String {
        let namespace = &self.namespace;
        match self.lookup {
            Lookup::Pods => format!(
                "compare kubernetes_selector with the pods' labels: kubectl -n {namespace} get pods \
                 --show-labels"
            ),
            Lookup::Slices | Lookup::Endpoints => format!(
                "compare the Service's selector with the pods' labels: kubectl -n {namespace} get \
                 services --output=wide; kubectl -n {namespace} get pods --show-labels"
            ),
        }
    }

    fn refusal(&self, status: &Status) -> SourceFailure {
        let (resource, namespace) = (self.lookup.resource(), &self.namespace);
        let quote = quote(&status.message);
        let (kind, text) = match status.code {
            0 => (
                FailureKind::Malformed,
                format!("the Kubernetes API's answer cannot be understood ({quote})"),
            ),
            401 => (FailureKind::Unauthorized, self.unauthorized(&quote)),
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
                format!(
                    "the Kubernetes API at {} is not well, since it answers with status {code} ({quote}); see what it \
                     lacks: kubectl get --raw /readyz?verbose",
                    self.server
                ),
            ),
        };
        SourceFailure::new(kind, text)
    }

    fn forbidden(&self, message: &str) -> String {
        let (resource, namespace) = (self.lookup.resource(), &self.namespace);
        let (user, rule) = (user(message), self.lookup.rule());
        let account = user.and_then(account);
        let (who, binding, role) = match account {
            Some((home, name)) => (
                format!("ServiceAccount {name} of namespace {home}"),
                format!("--serviceaccount={home}:{name}"),
                format!("enmesh-{name}-{resource}"),
            ),
            None => {
                let user = user.unwrap_or("NAME");
                (
                    format!("user {user}"),
                    format!("--user={user}"),
                    format!("enmesh-{resource}"),
                )
            }
        };
        let elsewhere = match account {
            Some((home, _)) if home != namespace => ", or correct kubernetes_namespace",
            _ => "",
        };
        format!(
            "forbidden: {who} may not read {resource} in namespace {namespace}. Give it a Role with \
             the verbs list and watch{elsewhere}, or name what it may read by \
             kubernetes_ip_lookup_mode: kubectl -n {namespace} create role {role} \
             --verb=list,watch --resource={rule} && kubectl -n {namespace} create rolebinding \
             {role} --role={role} {binding} (the server says: {})",
            quote(message)
        )
    }

    fn unauthorized(&self, quote: &str) -> String {
        let server = &self.server;
        let Some(file) = &self.token_file else {
            return format!(
                "the Kubernetes API at {server} does not accept our token or certificate: renew \
                 that of the kubeconfig's user (the server says: {quote})"
            );
        };
        match Claims::of_file(file) {
            Some(claims) => format!(
                "the Kubernetes API at {server} does not accept our token: {} (the server says: \
                 {quote})",
                claims.explain(SystemTime::now(), file)
            ),
            None => format!(
                "the Kubernetes API at {server} does not accept our token: {} holds none of a \
                 ServiceAccount; is the right volume mounted there? (the server says: {quote})",
                file.display()
            ),
        }
    }
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
