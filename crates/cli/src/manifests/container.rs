//! The containers of enmesh itself, in any pod: a member, the agent beside a BEAM, and epmd.

use serde_json::{Value, json};

use super::settings::{
    Certificates, DIST_PORT, EPMD_PORT, Epmd, HTTP_PORT, Kind, Settings, USER, word,
};

/// Where the cookie's Secret is mounted.
pub(crate) const COOKIE_FOLDER: &str = "/etc/enmesh";
/// Where certificates are mounted.
pub(crate) const TLS_FOLDER: &str = "/etc/enmesh-tls";
/// The volume of the cookie.
pub(crate) const COOKIE_VOLUME: &str = "enmesh-cookie";
/// The volume of the certificates.
pub(crate) const TLS_VOLUME: &str = "enmesh-tls";
/// The container of a member, and of the agent.
pub(crate) const CONTAINER: &str = "enmesh";
/// The container of epmd, where there is one.
pub(crate) const EPMD_CONTAINER: &str = "epmd";

/// The variables that the kubelet fills with what it knows of the pod, and where from.
pub(crate) const POD_FACTS: [(&str, &str); 3] = [
    ("POD_IP", "status.podIP"),
    ("POD_NAME", "metadata.name"),
    ("POD_NAMESPACE", "metadata.namespace"),
];

/// By these `enmesh env` tells a node to do without epmd.
pub(crate) fn shared_port() -> [Value; 2] {
    [
        json!({"name": "ENMESH_EPMD", "value": "none"}),
        json!({"name": "ENMESH_DIST_PORT", "value": DIST_PORT.to_string()}),
    ]
}

/// The containers of enmesh in the pods.
impl Settings {
    /// The member, or the agent.
    pub(crate) fn container(&self, kind: Kind) -> Value {
        let mut ports = vec![json!({"name": "http", "containerPort": HTTP_PORT})];
        if kind == Kind::Member {
            if self.epmd == Epmd::Own {
                ports.push(json!({"name": "epmd", "containerPort": EPMD_PORT}));
            }
            ports.push(json!({"name": "dist", "containerPort": DIST_PORT}));
        }
        let mut container = json!({
            "name": CONTAINER,
            "image": self.image,
            "args": [match kind { Kind::Member => "run", Kind::Agent => "agent" }],
            "env": self.environment(kind),
            "ports": ports,
            "livenessProbe": {
                "httpGet": {"path": "/livez", "port": "http"},
                "periodSeconds": 10,
                "timeoutSeconds": 5,
                "failureThreshold": 6,
            },
            "readinessProbe": {
                "httpGet": {"path": "/readyz", "port": "http"},
                "periodSeconds": 2,
                "timeoutSeconds": 2,
                "failureThreshold": 2,
            },
            "lifecycle": {"preStop": {"exec": {"command": ["/enmesh", "leave"]}}},
            "resources": resources("25m", "32Mi", "256Mi"),
            "securityContext": security(),
            "volumeMounts": self.mounts(),
        });
        if kind == Kind::Agent {
            // An init container that is always restarted is a native sidecar: it starts before the node and ends after it.
            container["restartPolicy"] = "Always".into();
        }
        self.pulled(container)
    }

    /// `enmesh epmd` for all nodes of a pod.
    pub(crate) fn epmd_container(&self) -> Value {
        self.pulled(json!({
            "name": EPMD_CONTAINER,
            "image": self.image,
            "args": ["epmd"],
            "restartPolicy": "Always",
            "ports": [{"name": "epmd", "containerPort": EPMD_PORT}],
            "startupProbe": {"tcpSocket": {"port": "epmd"}, "periodSeconds": 1, "failureThreshold": 30},
            "livenessProbe": {"tcpSocket": {"port": "epmd"}, "periodSeconds": 10},
            "resources": resources("5m", "8Mi", "64Mi"),
            "securityContext": security(),
        }))
    }

    /// The volumes that the containers mount.
    pub(crate) fn volumes(&self, cookie_secret: &str, cookie_key: &str, mode: u32) -> Vec<Value> {
        let secret = json!({
            "secretName": cookie_secret,
            "items": [{"key": cookie_key, "path": "cookie"}],
            "defaultMode": mode,
        });
        let mut volumes = vec![json!({"name": COOKIE_VOLUME, "secret": secret})];
        match self.tls {
            Some(Certificates::Secret) => volumes.push(json!({
                "name": TLS_VOLUME,
                "secret": {"secretName": self.certificates_secret(), "defaultMode": 0o400},
            })),
            Some(Certificates::CertManager) => volumes.push(self.cert_manager_volume()),
            None => {}
        }
        volumes
    }

    fn cert_manager_volume(&self) -> Value {
        let domain = self.domain();
        let host = format!(
            "${{POD_NAME}}.{}.${{POD_NAMESPACE}}.svc.{domain}",
            self.service
        );
        json!({
            "name": TLS_VOLUME,
            "csi": {
                "driver": "csi.cert-manager.io",
                "readOnly": true,
                "volumeAttributes": {
                    "csi.cert-manager.io/issuer-name": self.name,
                    "csi.cert-manager.io/dns-names": host,
                    "csi.cert-manager.io/key-usages": "digital signature,server auth,client auth",
                    "csi.cert-manager.io/fs-group": USER.to_string(),
                },
            },
        })
    }

    /// The settings as variables, so that `kubectl exec … -- /enmesh leave`, `wait` and `discover` have them as well.
    fn environment(&self, kind: Kind) -> Vec<Value> {
        let mut environment = pod_facts();
        environment.extend(self.naming());
        let mut set =
            |name: &str, value: &str| environment.push(json!({"name": name, "value": value}));
        set("ENMESH_COOKIE_FILE", &format!("{COOKIE_FOLDER}/cookie"));
        match (self.epmd, kind) {
            (Epmd::None, _) => set("ENMESH_EPMD", "none"),
            (Epmd::Sidecar, _) | (Epmd::Own, Kind::Agent) => set("ENMESH_EPMD", "system"),
            (Epmd::Own, Kind::Member) => set("ENMESH_EPMD", "embedded"),
        }
        if kind == Kind::Member || self.epmd == Epmd::None {
            set("ENMESH_DIST_PORT", &DIST_PORT.to_string());
        }
        if self.tls.is_some() {
            set("ENMESH_TLS_CERT_FILE", &format!("{TLS_FOLDER}/tls.crt"));
            set("ENMESH_TLS_KEY_FILE", &format!("{TLS_FOLDER}/tls.key"));
            set("ENMESH_TLS_CA_FILE", &format!("{TLS_FOLDER}/ca.crt"));
        }
        set("ENMESH_HTTP_LISTEN", &format!("$(POD_IP):{HTTP_PORT}"));
        if let Some(peers) = self.min_peers {
            set("ENMESH_MIN_PEERS", &peers.to_string());
        }
        if self.json_log {
            set("ENMESH_LOG_FORMAT", "json");
        }
        set("ENMESH_TOPOLOGY", &self.topology());
        environment
    }

    /// The variables that a node's name is made of.
    pub(crate) fn naming(&self) -> Vec<Value> {
        let mut naming = vec![
            json!({"name": "ENMESH_NAME", "value": self.name}),
            json!({"name": "ENMESH_NAME_MODE", "value": word(&self.mode)}),
        ];
        if self.mode.has_service() {
            naming.push(json!({"name": "SERVICE_NAME", "value": self.service}));
        }
        if let Some(domain) = &self.cluster_domain {
            naming.push(json!({"name": "CLUSTER_DOMAIN", "value": domain}));
        }
        naming
    }

    /// Where these are mounted.
    pub(super) fn mounts(&self) -> Vec<Value> {
        let mut mounts =
            vec![json!({"name": COOKIE_VOLUME, "mountPath": COOKIE_FOLDER, "readOnly": true})];
        if self.tls.is_some() {
            mounts.push(json!({"name": TLS_VOLUME, "mountPath": TLS_FOLDER, "readOnly": true}));
        }
        mounts
    }

    /// The container with the rule by which its image is pulled.
    pub(super) fn pulled(&self, mut container: Value) -> Value {
        if let Some(policy) = &self.pull_policy {
            container["imagePullPolicy"] = word(policy).into();
        }
        container
    }
}

/// What the kubelet knows of the pod.
pub(crate) fn pod_facts() -> Vec<Value> {
    let fact = |(name, path)| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    POD_FACTS.map(fact).into()
}

/// What a container may do: as little as Pod Security's "restricted" asks for, and not even write.
pub(crate) fn security() -> Value {
    json!({
        "runAsUser": USER,
        "runAsGroup": USER,
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

fn resources(cpu: &str, memory: &str, most_memory: &str) -> Value {
    json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": most_memory}})
}
