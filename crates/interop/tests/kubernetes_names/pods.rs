//! The pods: real Erlang nodes, each with a name of another kind.

use serde_json::{Value, json};

/// One pod, what it runs, and what only some have.
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    /// The value of the label `kind`, by which a topology finds it.
    pub(crate) kind: &'static str,
    /// What the shell is to do; `$POD_IP` and `$DASHED_IP` are known to it.
    pub(crate) run: &'static str,
    /// What further stands in its `spec`.
    pub(crate) spec: Value,
    pub(crate) annotations: Value,
    /// Its containers' ports that have a name.
    pub(crate) ports: Value,
}

impl Default for Pod {
    fn default() -> Self {
        Self {
            name: "",
            kind: "",
            run: "",
            spec: json!({}),
            annotations: json!({}),
            ports: json!([]),
        }
    }
}

impl Pod {
    pub(crate) fn object(&self, namespace: &str, image: &str, cookie: &str) -> Value {
        let shell = format!(
            "DASHED_IP=$(echo $POD_IP | tr . -); NODE='erl -noinput -setcookie {cookie}'; \
             {}",
            self.run
        );
        let mut spec = json!({
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "beam",
                "image": image,
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", shell],
                "ports": self.ports,
                "env": [
                    {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "HOME", "value": "/tmp"},
                ],
            }],
        });
        for (key, value) in self.spec.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": namespace,
                "labels": {"app": "names", "kind": self.kind},
                "annotations": self.annotations,
            },
            "spec": spec,
        })
    }
}

/// A headless Service of the pods of one kind, with a port of the name `dist`.
pub(crate) fn service(name: &str, namespace: &str) -> Value {
    let labels = json!({"kind": name});
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": labels,
            "ports": [{"name": "dist", "port": 9105}],
        },
    })
}

/// All of them.
pub(crate) fn all() -> Vec<Pod> {
    let in_service = || json!({"hostname": "web-0", "subdomain": "web"});
    let port = |name: &str, port: u16| json!({"name": name, "containerPort": port});
    vec![
        Pod {
            name: "by-dns",
            kind: "dns",
            run: "epmd -daemon; exec $NODE -name web@$DASHED_IP.names.pod.cluster.local",
            ..Pod::default()
        },
        Pod {
            name: "by-srv",
            kind: "srv",
            run: "epmd -daemon; exec $NODE -name web@$DASHED_IP.srv.names.svc.cluster.local",
            ..Pod::default()
        },
        // Its own host part is what its hostname says.
        Pod {
            name: "by-hostname",
            kind: "web",
            run: "epmd -daemon; exec $NODE -name web@$(hostname -f)",
            spec: in_service(),
            ..Pod::default()
        },
        Pod {
            name: "by-pod",
            kind: "long",
            run: "epmd -daemon; exec $NODE -name web@$(hostname).long.names.svc.cluster.local",
            ..Pod::default()
        },
        Pod {
            name: "short",
            kind: "short",
            run: "epmd -daemon; exec $NODE -sname web@$(hostname)",
            ..Pod::default()
        },
        Pod {
            name: "by-template",
            kind: "queue",
            run: "exec $NODE -name queue@$POD_IP -start_epmd false -erl_epmd_port 9107",
            annotations: json!({"example.org/dist": "9107"}),
            ..Pod::default()
        },
        // The Service's port is named; nothing else is known of it, and its name says nothing.
        Pod {
            name: "asked",
            kind: "ask",
            run: "exec $NODE -name odd@nowhere.example -start_epmd false -erl_epmd_port 9105",
            ..Pod::default()
        },
        // Two nodes in one pod that nobody has registered, known by the names of their ports.
        Pod {
            name: "twins",
            kind: "twins",
            run: "$NODE -name red@$POD_IP -start_epmd false -erl_epmd_port 9111 & \
                  exec $NODE -name blue@$POD_IP -start_epmd false -erl_epmd_port 9112",
            ports: json!([
                port("dist-red", 9111),
                port("dist-blue", 9112),
                port("http", 4000)
            ]),
            ..Pod::default()
        },
        Pod {
            name: "listed",
            kind: "epmd",
            run: "epmd -daemon; $NODE -name api@$POD_IP & $NODE -name rem-1f-api@$POD_IP & \
                  exec $NODE -name jobs@$POD_IP",
            ..Pod::default()
        },
    ]
}
