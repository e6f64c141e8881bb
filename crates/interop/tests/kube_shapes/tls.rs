//! Links over TLS, with certificates in a mounted Secret.

use std::fs;

use anyhow::{Context, Result};
use enmesh_interop::{Authority, Cluster, Kind, Names, Otp, Workload};
use serde_json::{Value, json};

use super::{SOON, each_container, push, what_they_say};

/// What every Erlang node reads: both sides show their certificates and look at the other's.
const OPTIONS: &str = r#"
[{server, [{certfile, "/etc/tls/tls.crt"}, {keyfile, "/etc/tls/tls.key"}, {cacertfile, "/etc/tls/ca.crt"},
           {verify, verify_peer}, {fail_if_no_peer_cert, true}, {versions, ['tlsv1.3', 'tlsv1.2']}]},
 {client, [{certfile, "/etc/tls/tls.crt"}, {keyfile, "/etc/tls/tls.key"}, {cacertfile, "/etc/tls/ca.crt"},
           {verify, verify_peer}, {versions, ['tlsv1.3', 'tlsv1.2']}]}].
"#;
const FLAGS: [&str; 6] = [
    "--tls-cert-file",
    "/etc/tls/tls.crt",
    "--tls-key-file",
    "/etc/tls/tls.key",
    "--tls-ca-file",
    "/etc/tls/ca.crt",
];

/// Members, and Erlang nodes with `-proto_dist inet_tls` whose agents speak TLS to them.
pub(crate) fn certificates_are_mounted(cluster: &Cluster, namespace: &str) -> Result<()> {
    let host = |pod: &str| format!("{pod}.web.{namespace}.svc.cluster.local");
    let pods = ["rust-0", "rust-1", "rust-2", "erlang-0", "erlang-1"];
    let hosts: Vec<String> = pods.iter().map(|pod| host(pod)).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let authority = Authority::new(&[])?;
    let secret = secret(&authority, namespace, &hosts)?;
    let start = |name: &str, kind| {
        Workload::new(name, kind)
            .group("web")
            .names(Names::Hostname)
            .replicas(2)
            .args(FLAGS)
            .env(
                "ERL_ARGS",
                "-proto_dist inet_tls -ssl_dist_optfile /etc/tls/dist.conf",
            )
            .patch_pods(mounted)
            .patch(|list| push(&mut list["items"], secret.clone()))
            .begin(cluster, namespace)
    };
    let rust = start("rust", Kind::Member)?;
    let erlang = start("erlang", Kind::Steered(Otp::R27))?;
    rust.wait_ready(2)?;
    erlang.wait_ready(2)?;
    rust.wait_whole(SOON)
        .with_context(|| what_they_say(&[&rust, &erlang]))?;
    rust.scale(3)?;
    rust.wait_whole(SOON)?;
    let renewed = self::secret(&authority, namespace, &hosts)?;
    cluster.apply(&renewed)?;
    erlang.restart()?;
    rust.wait_whole(SOON)
}

fn secret(authority: &Authority, namespace: &str, hosts: &[&str]) -> Result<Value> {
    // Not the authority's own name: OTP takes such a certificate for one that signed itself.
    let node = "web@nodes";
    authority.sign_for(node, hosts)?;
    let text = |what| fs::read_to_string(authority.file(node, what));
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls", "namespace": namespace},
        "stringData": {
            "tls.crt": text("crt")?,
            "tls.key": text("key")?,
            "ca.crt": text("ca")?,
            "dist.conf": OPTIONS,
        },
    }))
}

fn mounted(template: &mut Value) {
    let volume = json!({"name": "tls", "secret": {"secretName": "tls", "defaultMode": 0o440}});
    push(&mut template["spec"]["volumes"], volume);
    each_container(template, |container| {
        let mount = json!({"name": "tls", "mountPath": "/etc/tls", "readOnly": true});
        push(&mut container["volumeMounts"], mount);
    });
}
