//! What a person should know before a set of manifests is applied, and would not see in the objects.

use super::settings::{Kind, Settings};

/// One sentence each.
pub(super) fn notes(settings: &Settings) -> Vec<String> {
    if settings.around_only {
        return vec![left_out(settings)];
    }
    let mut notes = Vec::new();
    notes.extend(settings.too_few(settings.replicas));
    if settings.kind == Kind::Agent
        && let Some(what) = settings.left_to_env()
    {
        notes.push(format!(
            "no manifest can hold {what}: your node must ask /opt/enmesh/enmesh env, as in rel/env.sh.eex of a release"
        ));
    }
    notes
}

fn left_out(settings: &Settings) -> String {
    let budget =
        "no PodDisruptionBudget is printed: pods that are in two of them cannot be evicted";
    if settings.has_policy() {
        return format!(
            "{budget}; the NetworkPolicy lets in each --app-port, the cluster's ports and the probes, and nothing else"
        );
    }
    let why = match settings.kind {
        Kind::Agent => {
            "it would cut off whoever asks your program; with --app-port for each port that it serves there is one"
        }
        Kind::Member => "it would cut off whoever asks your program, and whom it asks",
    };
    format!("{budget}; and no NetworkPolicy: {why}")
}
