//! The Deployment or StatefulSet, and its pods.

use serde_json::{Value, json};

use super::container::{COOKIE_FOLDER, pod_facts, shared_port};
use super::settings::{DIST_PORT, EPMD_PORT, Epmd, Kind, LAST_DIST_PORT, Mode, Settings, USER};

/// Where the user's container finds the program, for `enmesh env`.
const TOOLS_FOLDER: &str = "/opt/enmesh";
/// The volume of it.
pub(crate) const TOOLS_VOLUME: &str = "enmesh-tools";

/// The init container that puts the program there.
pub(crate) const INSTALLER: &str = "enmesh-install";

/// The object that keeps the pods.
pub(super) fn workload(settings: &Settings) -> Value {
    let labels = json!({"app": settings.name});
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": if settings.is_stateful() { "StatefulSet" } else { "Deployment" },
        "metadata": {"name": settings.name, "namespace": settings.namespace, "labels": labels},
        "spec": {
            "replicas": settings.replicas,
            "selector": {"matchLabels": settings.selector},
            "template": {"metadata": {"labels": settings.selector}, "spec": pod(settings)},
        },
    });
    let spec = &mut object["spec"];
    if settings.is_stateful() {
        spec["serviceName"] = settings.service.as_str().into();
        spec["podManagementPolicy"] = "Parallel".into();
        spec["updateStrategy"] = json!({"type": "RollingUpdate"});
    } else {
        spec["strategy"] = json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        });
    }
    object
}

fn pod(settings: &Settings) -> Value {
    let mut volumes = settings.volumes(&settings.cookie_secret(), "cookie", 0o400);
    let mut first = Vec::new();
    if settings.epmd == Epmd::Sidecar {
        first.push(settings.epmd_container());
    }
    let main = match settings.kind {
        Kind::Member => settings.container(Kind::Member),
        Kind::Agent => {
            first.push(install(settings));
            first.push(settings.container(Kind::Agent));
            volumes.push(json!({"name": TOOLS_VOLUME, "emptyDir": {}}));
            volumes.push(json!({"name": "tmp", "emptyDir": {}}));
            app(settings)
        }
    };
    let mut pod = json!({
        "serviceAccountName": settings.name,
        "automountServiceAccountToken": settings.lookup.asks_api(),
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": true,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [main],
        "volumes": volumes,
    });
    if settings.mode == Mode::Pod {
        // By this the kubelet writes the pod's name into its /etc/hosts, where a second VM looks its own node up.
        pod["subdomain"] = settings.service.as_str().into();
    }
    if !first.is_empty() {
        pod["initContainers"] = first.into();
    }
    pod
}

/// Puts the program where the user's container finds it.
pub(crate) fn install(settings: &Settings) -> Value {
    let mut container = settings.epmd_container();
    let fields = container.as_object_mut().expect("a container is an object");
    for key in ["restartPolicy", "ports", "startupProbe", "livenessProbe"] {
        fields.remove(key);
    }
    container["name"] = INSTALLER.into();
    container["args"] = json!(["install", "--to", TOOLS_FOLDER]);
    container["volumeMounts"] = json!([{"name": TOOLS_VOLUME, "mountPath": TOOLS_FOLDER}]);
    container
}

/// Where the user's container finds it.
pub(crate) fn tools_mount() -> Value {
    json!({"name": TOOLS_VOLUME, "mountPath": TOOLS_FOLDER, "readOnly": true})
}

/// The user's own container, told what its node is called.
fn app(settings: &Settings) -> Value {
    let mut environment = pod_facts();
    environment.extend(settings.naming());
    let cookie = json!({"name": settings.cookie_secret(), "key": "cookie"});
    environment.push(json!({"name": "RELEASE_COOKIE", "valueFrom": {"secretKeyRef": cookie}}));
    environment.push(json!({"name": "RELEASE_DISTRIBUTION", "value": "name"}));
    if let Some(host) = host(settings) {
        let node = format!("{}@{host}", settings.name);
        environment.push(json!({"name": "RELEASE_NODE", "value": node}));
    }
    environment.push(json!({"name": "RELEASE_TMP", "value": "/tmp"}));
    // What `enmesh env` reads besides.
    let file = format!("{COOKIE_FOLDER}/cookie");
    environment.push(json!({"name": "ENMESH_COOKIE_FILE", "value": file}));
    if settings.epmd == Epmd::None {
        environment.extend(shared_port());
    }
    if let Some(flags) = flags(settings.epmd) {
        environment.push(json!({"name": "ERL_AFLAGS", "value": flags}));
    }
    let mut ports = vec![json!({"name": "dist", "containerPort": DIST_PORT})];
    if settings.epmd == Epmd::Own {
        ports.insert(0, json!({"name": "epmd", "containerPort": EPMD_PORT}));
    }
    ports.extend(
        settings
            .app
            .ports
            .iter()
            .map(|port| json!({"containerPort": port})),
    );
    let mut mounts = settings.mounts();
    let own = [tools_mount(), json!({"name": "tmp", "mountPath": "/tmp"})];
    mounts.splice(1..1, own);
    let mut container = json!({
        "name": settings.name,
        "image": settings.app.image,
        "env": environment,
        "ports": ports,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": mounts,
    });
    if !settings.app.command.is_empty() {
        container["command"] = settings.app.command.clone().into();
    }
    if let Some(user) = settings.app.user {
        container["securityContext"]["runAsUser"] = user.into();
    }
    settings.pulled(container)
}

/// The node's host part, where the kubelet can make it; the others take `enmesh env`.
fn host(settings: &Settings) -> Option<String> {
    let domain = settings.domain();
    let service = &settings.service;
    match settings.mode {
        Mode::Ip => Some("$(POD_IP)".to_owned()),
        Mode::Hostname | Mode::Pod => Some(format!(
            "$(POD_NAME).{service}.$(POD_NAMESPACE).svc.{domain}"
        )),
        Mode::Dns | Mode::Srv => None,
    }
}

/// What every VM of the user's container is told. Ports are a range, so that a second VM (`bin/app rpc`) finds a free one.
fn flags(epmd: Epmd) -> Option<String> {
    let ports =
        format!("-kernel inet_dist_listen_min {DIST_PORT} inet_dist_listen_max {LAST_DIST_PORT}");
    match epmd {
        Epmd::Own => Some(ports),
        Epmd::Sidecar => Some(format!("{ports} -start_epmd false")),
        // One port for all: the second VM must not listen, which `enmesh env` sees to.
        Epmd::None => None,
    }
}
