//! What a person should know before a set of manifests is applied, and would not see in the objects.

use super::options::IMAGE;
use super::settings::{Kind, Settings};

/// One sentence each.
pub(super) fn notes(settings: &Settings) -> Vec<String> {
    if settings.around_only {
        let mut notes = vec![left_out(settings)];
        notes.extend(without_effect(settings));
        return notes;
    }
    let mut notes = Vec::new();
    if settings.replicas == 0 {
        let kind = if settings.is_stateful() {
            "statefulset"
        } else {
            "deployment"
        };
        let (name, namespace) = (&settings.name, &settings.namespace);
        notes.push(format!(
            "--replicas 0 makes no pod; when there shall be some: kubectl -n {namespace} scale {kind}/{name} --replicas 3"
        ));
    }
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

/// The flags that say something of containers, where none is made.
fn without_effect(settings: &Settings) -> Option<String> {
    let flags = [
        ("--image", settings.image != IMAGE),
        ("--image-pull-policy", settings.pull_policy.is_some()),
        ("--json-log", settings.json_log),
    ];
    let given = flags.iter().filter(|(_, is_given)| *is_given);
    let given: Vec<&str> = given.map(|(flag, _)| *flag).collect();
    (!given.is_empty()).then(|| {
        format!(
            "without a workload there is nothing that these say anything of: {}; give them to `enmesh inject`",
            given.join(", ")
        )
    })
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
