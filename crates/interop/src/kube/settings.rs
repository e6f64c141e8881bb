//! What each program of the cluster is told: configuration files and command lines.

use std::path::Path;

use serde_json::{Value, json};

/// The one node.
pub(super) const NODE_NAME: &str = "node1";
/// The node's address; the API server and CoreDNS listen here too.
pub(super) const NODE_ADDRESS: &str = "10.10.0.1";
/// The API server's address as a Service.
pub(super) const API_SERVICE_ADDRESS: &str = "10.96.0.1";
/// CoreDNS as a Service.
pub(super) const DNS_SERVICE_ADDRESS: &str = "10.96.0.10";
/// The sandbox image as containerd knows it.
pub(super) const PAUSE_IMAGE: &str = "enmesh-test/pause:1";

/// The node's second address, where pods have both families.
const NODE_ADDRESS_SIX: &str = "fd00:10:10::1";
const API_SERVER: &str = "https://10.10.0.1:6443";
const POD_RANGE: &str = "10.244.0.0/24";
const SERVICE_RANGE: &str = "10.96.0.0/16";
const POD_RANGE_SIX: &str = "fd00:10:244::/64";
const SERVICE_RANGE_SIX: &str = "fd00:10:96::/112";
/// What the names of Services and pods end in.
pub(super) const CLUSTER_DOMAIN: &str = "cluster.local";

/// The families of the addresses that pods and Services have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Families {
    Four,
    /// IPv4 first.
    Both,
}

impl Families {
    /// What Kubernetes calls a pair: the one of IPv4, a comma, that of IPv6.
    fn pair(self, four: &str, six: &str) -> String {
        match self {
            Self::Four => four.to_owned(),
            Self::Both => format!("{four},{six}"),
        }
    }

    /// The node's addresses.
    pub(super) fn node_addresses(self) -> String {
        self.pair(NODE_ADDRESS, NODE_ADDRESS_SIX)
    }

    /// What the node's first process does for its second address.
    pub(super) fn network_script(self) -> String {
        match self {
            Self::Four => String::new(),
            Self::Both => format!(
                "ip -6 address add {NODE_ADDRESS_SIX}/64 dev node0 nodad
ip -6 route add default dev node0
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
            ),
        }
    }
}

/// A kubeconfig with a client certificate of `folder`.
pub(super) fn kubeconfig(folder: &Path, client: &str) -> Value {
    let user = json!({
        "client-certificate": folder.join(format!("{client}.crt")),
        "client-key": folder.join(format!("{client}.key")),
    });
    kubeconfig_of(folder, user, "default")
}

/// A kubeconfig with a ServiceAccount's token.
pub(super) fn token_kubeconfig(folder: &Path, namespace: &str, token: &str) -> Value {
    kubeconfig_of(folder, json!({ "token": token }), namespace)
}

fn kubeconfig_of(folder: &Path, user: Value, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "enmesh",
        "contexts": [{"name": "enmesh", "context": {"cluster": "enmesh", "user": "enmesh", "namespace": namespace}}],
        "clusters": [{
            "name": "enmesh",
            "cluster": {"server": API_SERVER, "certificate-authority": folder.join("ca.crt")},
        }],
        "users": [{"name": "enmesh", "user": user}],
    })
}

/// etcd, with its data in `data`; it never waits for the disk.
pub(super) fn etcd(data: &Path) -> Vec<String> {
    vec![
        format!("--data-dir={}", data.display()),
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
        "--listen-client-urls=http://127.0.0.1:2379".into(),
        "--advertise-client-urls=http://127.0.0.1:2379".into(),
        "--listen-peer-urls=http://127.0.0.1:2380".into(),
    ]
}

/// The API server; `keys` is the folder of the certificates.
pub(super) fn api_server(keys: &Path, families: Families) -> Vec<String> {
    let services = families.pair(SERVICE_RANGE, SERVICE_RANGE_SIX);
    let file = |name: &str| keys.join(name).display().to_string();
    vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        format!("--bind-address={NODE_ADDRESS}"),
        format!("--advertise-address={NODE_ADDRESS}"),
        "--secure-port=6443".into(),
        format!("--service-cluster-ip-range={services}"),
        "--authorization-mode=Node,RBAC".into(),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--kubelet-certificate-authority={}", file("ca.crt")),
        format!(
            "--kubelet-client-certificate={}",
            file("apiserver-kubelet-client.crt")
        ),
        format!(
            "--kubelet-client-key={}",
            file("apiserver-kubelet-client.key")
        ),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!(
            "--service-account-key-file={}",
            file("service-accounts.pub")
        ),
        format!(
            "--service-account-signing-key-file={}",
            file("service-accounts.key")
        ),
        format!("--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}"),
        // When it is asked to end it ends the watches well, and does not break them off.
        "--shutdown-watch-termination-grace-period=3s".into(),
    ]
}

/// The controller manager.
pub(super) fn controller_manager(keys: &Path) -> Vec<String> {
    let file = |name: &str| keys.join(name).display().to_string();
    vec![
        format!("--kubeconfig={}", file("controller-manager.kubeconfig")),
        format!("--root-ca-file={}", file("ca.crt")),
        format!(
            "--service-account-private-key-file={}",
            file("service-accounts.key")
        ),
        "--use-service-account-credentials=true".into(),
        "--leader-elect=false".into(),
        "--bind-address=127.0.0.1".into(),
    ]
}

/// The scheduler.
pub(super) fn scheduler(keys: &Path) -> Vec<String> {
    vec![
        format!(
            "--kubeconfig={}",
            keys.join("scheduler.kubeconfig").display()
        ),
        "--leader-elect=false".into(),
        "--bind-address=127.0.0.1".into(),
    ]
}

/// KubeletConfiguration.
///
/// The settings that stray from the defaults make it run in a box without systemd, with either version of control groups, and
/// keep it from touching what belongs to the machine.
pub(super) fn kubelet(run: &Path, keys: &Path, cgroup: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {"x509": {"clientCAFile": keys.join("ca.crt")}, "anonymous": {"enabled": false}},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        "cgroupsPerQOS": true,
        "clusterDNS": [DNS_SERVICE_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": format!("unix://{}", run.join("containerd.sock").display()),
        "enforceNodeAllocatable": [],
        "evictionHard": {},
        "failCgroupV1": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": false,
        "maxPods": 250,
        "makeIPTablesUtilChains": false,
        "nodeStatusUpdateFrequency": "4s",
        "podLogsDir": run.join("pod-logs"),
        "resolvConf": "",
        "syncFrequency": "5s",
        "tlsCertFile": keys.join("kubelet.crt"),
        "tlsPrivateKeyFile": keys.join("kubelet.key"),
    })
}

/// KubeProxyConfiguration.
pub(super) fn kube_proxy(keys: &Path, families: Families) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": families.pair(POD_RANGE, POD_RANGE_SIX),
        "hostnameOverride": NODE_NAME,
        "clientConnection": {"kubeconfig": keys.join("proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    })
}

/// The network plugin's configuration: one bridge, addresses from a file.
pub(super) fn network(run: &Path, families: Families) -> Value {
    let range = |range: &str| json!([{ "subnet": range }]);
    let (mut ranges, mut routes) = (vec![range(POD_RANGE)], vec![json!({"dst": "0.0.0.0/0"})]);
    if families == Families::Both {
        ranges.push(range(POD_RANGE_SIX));
        routes.push(json!({"dst": "::/0"}));
    }
    json!({
        "cniVersion": "1.0.0",
        "name": "enmesh",
        "plugins": [{
            "type": "bridge",
            "bridge": "pods0",
            "isGateway": true,
            "hairpinMode": true,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": run.join("addresses"),
                "ranges": ranges,
                "routes": routes,
            },
        }],
    })
}

/// containerd's configuration; its state is on the node's own /run.
pub(super) fn containerd(run: &Path) -> String {
    let run = run.display();
    format!(
        r#"version = 2
root = "{run}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "{run}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{run}/network"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#
    )
}

/// CoreDNS's own zone as a cluster usually has it.
pub(super) fn corefile(keys: &Path) -> String {
    format!(
        "{CLUSTER_DOMAIN}:53 in-addr.arpa:53 {{
    bind {NODE_ADDRESS}
    errors
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
        kubeconfig {}
        pods verified
        endpoint_pod_names
        ttl 5
    }}
}}
",
        keys.join("coredns.kubeconfig").display()
    )
}

/// The Service of CoreDNS, which has no pod that a selector could find.
pub(super) fn dns_service() -> Value {
    let port =
        |protocol: &str| json!({"name": protocol.to_lowercase(), "port": 53, "protocol": protocol});
    let ports = [port("UDP"), port("TCP")];
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                "spec": {"clusterIP": DNS_SERVICE_ADDRESS, "ports": ports},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "kube-dns-1",
                    "namespace": "kube-system",
                    "labels": {"kubernetes.io/service-name": "kube-dns"},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [NODE_ADDRESS]}],
                "ports": ports,
            },
        ],
    })
}
