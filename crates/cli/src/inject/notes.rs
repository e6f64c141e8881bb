//! What a person should know of a workload that the agent is put into, one sentence each.

use serde_json::Value;

use super::pod::Account;
use crate::env::quoted;
use crate::manifests::{Certificates, Epmd, Lookup, Mode, Settings, certificates_command, word};

/// What can never be, though nothing in the objects is wrong.
pub(super) fn about_workload(
    what: &str,
    workload: &Value,
    settings: &Settings,
    with_env: bool,
    notes: &mut Vec<String>,
) {
    let mut add = |note: &str| notes.push(format!("{what}: {note}"));
    if workload["metadata"]["namespace"].is_null() {
        add(&format!(
            "it says no namespace, so that what follows is for {}; let it say the one that it is applied to",
            settings.namespace
        ));
    }
    if settings.min_peers.is_some_and(|peers| peers > 0) && starts_one_by_one(workload) {
        add(
            "each of its pods starts when those before it are ready, and with --min-peers none is ready before others \
             are there; let it have podManagementPolicy: Parallel",
        );
    }
    let replicas = workload["spec"]["replicas"].as_u64();
    let replicas = replicas.and_then(|count| u32::try_from(count).ok());
    if let Some(note) = replicas.and_then(|replicas| settings.too_few(replicas)) {
        add(&note);
    }
    if let Some(note) = wrong_host(workload, settings) {
        add(&note);
    }
    if shares_machines(workload) {
        let same = match settings.mode {
            Mode::Pod => "the same ports",
            _ => "the same node name and the same ports",
        };
        add(&format!(
            "with hostNetwork: true its pods have the address and the host name of their machine, so that two on one machine \
             have {same}; let a podAntiAffinity keep them apart, or take hostNetwork out"
        ));
    }
    if let Some(left) = settings.left_to_env().filter(|_| !with_env) {
        add(&format!(
            "no manifest can hold {left}: unless its node has them already, it must ask `enmesh env`, which --with-env puts into \
             its containers"
        ));
    }
}

/// Whether a pod waits for the readiness of another before it starts.
fn starts_one_by_one(workload: &Value) -> bool {
    workload["kind"] == "StatefulSet" && workload["spec"]["podManagementPolicy"] != "Parallel"
}

/// Whether pods have their machine's network, of which a DaemonSet's are one to a machine.
fn shares_machines(workload: &Value) -> bool {
    workload["kind"] != "DaemonSet" && pod_of(workload)["hostNetwork"] == true
}

fn pod_of(workload: &Value) -> &Value {
    match workload["kind"].as_str() {
        Some("Pod") => &workload["spec"],
        _ => &workload["spec"]["template"]["spec"],
    }
}

/// What speaks against names that hold a host's and the Service's.
fn wrong_host(workload: &Value, settings: &Settings) -> Option<String> {
    let service = settings.service.as_str();
    let kind = workload["kind"].as_str().unwrap_or_default();
    let spec = &workload["spec"];
    match (settings.mode, kind) {
        (Mode::Hostname | Mode::Pod, "StatefulSet") => {
            let own = spec["serviceName"].as_str().unwrap_or_default();
            let differs = own != service;
            differs.then(|| {
                format!(
                    "the names of its nodes are in Service {service}, and its pods in its serviceName {own:?}; give the same, by \
                     --service or there"
                )
            })
        }
        (Mode::Hostname, "Pod") => {
            let is_named = spec["hostname"].is_string() && spec["subdomain"] == service;
            (!is_named).then(|| {
                format!("its host name is in no DNS without a hostname and subdomain: {service}; or take --mode ip")
            })
        }
        (Mode::Hostname, kind) => Some(format!(
            "the host names of a {kind}'s pods are in no DNS; take --mode ip, or a StatefulSet"
        )),
        (Mode::Pod, _) => {
            let own = pod_of(workload)["subdomain"]
                .as_str()
                .filter(|own| *own != service);
            own.map(|own| {
                format!(
                    "the names of its nodes are in Service {service}, and its pods in the subdomain {own}; give the same, by \
                     --service or there"
                )
            })
        }
        _ => None,
    }
}

/// What must be around it, and how that is made.
pub(super) fn about_surroundings(
    what: &str,
    settings: &Settings,
    account: &Account,
    notes: &mut Vec<String>,
) {
    let (service, namespace) = (&settings.service, &settings.namespace);
    match settings.tls {
        Some(Certificates::Secret) => notes.push(format!(
            "{what}: the agent's certificates, for the host parts of all names, are in Secret {}; if there is none yet: {}",
            settings.certificates_secret(),
            certificates_command(settings)
        )),
        Some(Certificates::CertManager) => notes.push(format!(
            "{what}: the agent's certificate is signed by cert-manager's Issuer {}",
            settings.name
        )),
        None => {}
    }
    let lookup = word(&settings.lookup);
    let (name, who) = match account {
        Account::Known(name) | Account::Given { name, .. } => (
            name,
            format!(", and ServiceAccount {name} with a Role for lookup {lookup}"),
        ),
        Account::Own(_) => (service, format!(", and a Role for lookup {lookup}")),
        Account::Unneeded => (service, String::new()),
    };
    notes.push(format!(
        "{what}: it needs the headless Service {service}, which selects its pods and publishes those that are not ready{who}; if \
         they are not there yet: {}",
        command(settings, name)
    ));
    match account {
        Account::Own(own) => {
            let (binding, user) = (
                quoted(&format!("{name}-{own}")),
                quoted(&format!("{namespace}:{own}")),
            );
            notes.push(format!(
                "{what}: it has ServiceAccount {own} of its own, which gets that Role by: kubectl -n {namespace} create rolebinding \
                 {binding} --role={name} --serviceaccount={user}"
            ));
        }
        Account::Given {
            name,
            pulls_by_account: true,
        } => notes.push(format!(
            "{what}: its account was default and is {name} now; if default has imagePullSecrets, or permissions that its program \
             uses, {name} needs them too"
        )),
        _ => {}
    }
}

/// What prints it. An object of the user's that has the same name is refused, and stays as it is.
fn command(settings: &Settings, name: &str) -> String {
    let mut words = format!(
        "enmesh manifests --kind agent --mode {} --name {name} --namespace {} --without-workload",
        word(&settings.mode),
        settings.namespace,
    );
    if settings.lookup != Lookup::of_mode(settings.mode) {
        words += &format!(" --lookup {}", word(&settings.lookup));
    }
    match settings.epmd {
        Epmd::Own => {}
        Epmd::Sidecar => words += " --epmd-sidecar",
        Epmd::None => words += " --epmd none",
    }
    for (key, value) in &settings.selector {
        words += &format!(" --selector {}", quoted(&format!("{key}={value}")));
    }
    words + " | kubectl create -f -"
}
