//! What the API server is given for a workload.

use serde_json::{Value, json};

use super::workload::{DIST_PORT, EPMD_PORT, Kind, Names, Workload};

/// The user of the shipped image; its group may read the cookie.
const USER: u32 = 65532;

/// Waits for nothing: prints each node that comes or goes as one line of JSON, with who is there then.
const WATCH: &str = r#"
ok = net_kernel:monitor_nodes(true, [nodedown_reason]),
Say = fun(Message, Node, Reason, Cluster) ->
    Names = [["\"", atom_to_list(N), "\""] || N <- lists:sort(Cluster)],
    io:format("{\"message\":\"~s\",\"node\":\"~s\",\"reason\":\"~0p\",\"cluster\":[~s]}~n",
              [Message, Node, Reason, lists:join(",", Names)])
end,
Watch = fun Loop(Cluster) ->
    receive
        {nodeup, N, _} ->
            case lists:member(N, Cluster) of
                true -> Loop(Cluster);
                false -> Say("node connected", N, none, [N | Cluster]), Loop([N | Cluster])
            end;
        {nodedown, N, Info} ->
            Left = lists:delete(N, Cluster),
            Say("node disconnected", N, proplists:get_value(nodedown_reason, Info), Left),
            Loop(Left)
    end
end,
io:format("{\"message\":\"node started\",\"node\":\"~s\"}~n", [node()]),
%% Whoever came before is told as if it came now.
[self() ! {nodeup, N, []} || N <- nodes()],
Watch([])."#;

/// epmd in the background, then Erlang as the container's first process, so that SIGTERM reaches it and it ends well.
///
/// `$ERL_FLAGS` and `$ERL_ARGS` may add to its command line; an address with a colon needs the distribution over IPv6.
const START: &str = r#"epmd -daemon
DASHED_IP=$(echo "$POD_IP" | tr .: -)
case $POD_IP in *:*) SIX='-proto_dist inet6_tcp' ;; esac
eval "NODE=$NODE_PATTERN"
exec erl -noinput $SIX -name "$NODE" -setcookie "$(cat /etc/enmesh/cookie)" \
  -kernel inet_dist_listen_min $DIST_PORT inet_dist_listen_max $DIST_PORT $ERL_ARGS -eval "$WATCH""#;

/// Everything that a workload is, as one List.
pub(super) fn list(workload: &Workload<'_>, namespace: &str) -> Value {
    let mut items = vec![
        named(workload, namespace, "v1", "ServiceAccount"),
        role(workload, namespace),
        binding(workload, namespace),
        secret(workload, namespace),
        service(workload, namespace),
    ];
    items.push(controller(workload, namespace));
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn metadata(workload: &Workload<'_>, namespace: &str) -> Value {
    json!({"name": workload.name, "namespace": namespace, "labels": {"app": workload.group}})
}

fn named(workload: &Workload<'_>, namespace: &str, version: &str, kind: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": metadata(workload, namespace)})
}

fn role(workload: &Workload<'_>, namespace: &str) -> Value {
    let verbs = json!(["list", "watch"]);
    let mut role = named(workload, namespace, "rbac.authorization.k8s.io/v1", "Role");
    role["rules"] = json!([
        {"apiGroups": [""], "resources": ["pods", "endpoints"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ]);
    role
}

fn binding(workload: &Workload<'_>, namespace: &str) -> Value {
    let (group, name) = ("rbac.authorization.k8s.io", &workload.name);
    let mut binding = named(
        workload,
        namespace,
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
    );
    binding["subjects"] = json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
    binding["roleRef"] = json!({"apiGroup": group, "kind": "Role", "name": name});
    binding
}

fn secret(workload: &Workload<'_>, namespace: &str) -> Value {
    let mut secret = named(workload, namespace, "v1", "Secret");
    secret["metadata"]["name"] = json!(format!("{}-cookie", workload.name));
    secret["stringData"] = json!({"cookie": workload.cookie});
    secret
}

/// Headless, and the same for all workloads of a group: each applies it.
fn service(workload: &Workload<'_>, namespace: &str) -> Value {
    let mut service = named(workload, namespace, "v1", "Service");
    service["metadata"]["name"] = json!(workload.group);
    service["spec"] = json!({
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": {"app": workload.group},
        "ports": [{"name": "epmd", "port": EPMD_PORT}, {"name": "dist", "port": DIST_PORT}],
    });
    service
}

fn controller(workload: &Workload<'_>, namespace: &str) -> Value {
    let labels = json!({"app": workload.group, "workload": workload.name});
    let selector = json!({"matchLabels": {"workload": workload.name}});
    let template = json!({"metadata": {"labels": labels}, "spec": pod(workload, namespace)});
    let kind = workload.controller();
    let mut controller = named(workload, namespace, "apps/v1", kind);
    controller["spec"] =
        json!({"replicas": workload.replicas, "selector": selector, "template": template});
    if kind == "StatefulSet" {
        controller["spec"]["serviceName"] = json!(workload.group);
        controller["spec"]["podManagementPolicy"] = json!("Parallel");
    }
    controller
}

fn pod(workload: &Workload<'_>, namespace: &str) -> Value {
    let member = || enmesh(workload, namespace);
    let (sidecars, containers) = match workload.kind {
        Kind::Member => (vec![], vec![with_probe(member())]),
        Kind::Beam(_) => (vec![], vec![with_probe(beam(workload, namespace))]),
        Kind::Steered(_) => {
            let mut agent = member();
            agent["restartPolicy"] = json!("Always");
            (vec![agent], vec![with_probe(beam(workload, namespace))])
        }
    };
    let mut pod = json!({
        "serviceAccountName": workload.name,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {"fsGroup": USER},
        "initContainers": sidecars,
        "containers": containers,
        "volumes": [{
            "name": "cookie",
            "secret": {"secretName": format!("{}-cookie", workload.name), "defaultMode": 0o400},
        }],
    });
    if workload.names == Names::Pod {
        // As in the manifests: else the node's own name leads nowhere, not even within its pod.
        pod["subdomain"] = json!(workload.group);
    }
    pod
}

/// A node is ready when its epmd takes connections; an exec probe would cost a process each time.
fn with_probe(mut container: Value) -> Value {
    container["readinessProbe"] = json!({"tcpSocket": {"port": EPMD_PORT}, "periodSeconds": 1});
    container
}

fn enmesh(workload: &Workload<'_>, namespace: &str) -> Value {
    let mut args = vec![match workload.kind {
        Kind::Steered(_) => "agent".to_owned(),
        _ => "run".to_owned(),
    }];
    args.extend(own_name(workload));
    if workload.kind == Kind::Member {
        args.extend(["--dist-port".into(), DIST_PORT.to_string()]);
    }
    for (flag, value) in [
        ("--cookie-file", "/etc/enmesh/cookie".to_owned()),
        ("--log-format", "json".to_owned()),
        ("--topology", workload.topology_in(namespace)),
    ] {
        args.extend([flag.to_owned(), value]);
    }
    args.extend(workload.args.iter().cloned());
    json!({
        "name": "enmesh",
        "image": "enmesh-test/enmesh",
        "imagePullPolicy": "Never",
        "args": args,
        "env": environment(workload),
        "volumeMounts": [cookie_mount()],
        "securityContext": {
            "runAsNonRoot": true,
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}

fn beam(workload: &Workload<'_>, namespace: &str) -> Value {
    let mut env = environment(workload);
    let own = [
        ("HOME", "/tmp".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("DIST_PORT", DIST_PORT.to_string()),
        ("NODE_PATTERN", pattern(workload, namespace)),
        ("WATCH", WATCH.to_owned()),
    ];
    // Before the workload's own, which may replace them.
    let own = own.map(|(name, value)| json!({"name": name, "value": value}));
    env.splice(0..0, own);
    json!({
        "name": "beam",
        "image": workload.kind.beam_image(),
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", START],
        "env": env,
        "volumeMounts": [cookie_mount()],
    })
}

fn cookie_mount() -> Value {
    json!({"name": "cookie", "mountPath": "/etc/enmesh", "readOnly": true})
}

fn environment(workload: &Workload<'_>) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut env = vec![
        field("POD_IP", "status.podIP"),
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        json!({"name": "SERVICE_NAME", "value": workload.group}),
    ];
    let own = workload.env.iter();
    env.extend(own.map(|(name, value)| json!({"name": name, "value": value})));
    env
}

/// What tells enmesh its own name, or that of the node beside it.
fn own_name(workload: &Workload<'_>) -> Vec<String> {
    // The Service is in the variable SERVICE_NAME, address, pod and namespace in variables of their own.
    let words = [
        "--name",
        &workload.group,
        "--name-mode",
        workload.names.word(),
    ];
    words.map(str::to_owned).to_vec()
}

/// The same for a shell, in which `$DASHED_IP` is known.
fn pattern(workload: &Workload<'_>, namespace: &str) -> String {
    workload.names.node_name(
        &workload.group,
        namespace,
        "$POD_IP",
        "$DASHED_IP",
        "$POD_NAME",
    )
}
