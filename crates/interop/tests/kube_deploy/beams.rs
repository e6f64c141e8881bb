//! Erlang nodes beside the agent of the manifests that `enmesh manifests --kind agent` prints.

use anyhow::Result;
use enmesh_interop::{Cluster, Deployment, Image, Kind, Names, Otp, Workload};

use crate::WHOLE;
use crate::commands::{Shell, manifests};

/// What a BEAM of the user's runs, in place of a release: the manifest tells it its name and its cookie.
pub(crate) const TOLD: &str = "exec erl -noinput -name $RELEASE_NODE -setcookie $RELEASE_COOKIE";
/// The same where only `enmesh env` knows, as in rel/env.sh.eex.
pub(crate) const ASKING: &str = "export RELEASE_COMMAND=start; eval \"$(/opt/enmesh/enmesh env)\"; \
     exec erl $ELIXIR_ERL_OPTIONS -noinput -name $RELEASE_NODE -setcookie $RELEASE_COOKIE";
/// The same over TLS, with the certificates of the manifest, which each side wants to see of the other.
pub(crate) const ENCRYPTED: &str = r#"
own='{certfile, "/etc/enmesh-tls/tls.crt"}, {keyfile, "/etc/enmesh-tls/tls.key"}'
both="$own"', {cacertfile, "/etc/enmesh-tls/ca.crt"}, {verify, verify_peer}'
echo "[{server, [$both, {fail_if_no_peer_cert, true}]}, {client, [$both]}]." >/tmp/dist.conf
export RELEASE_COMMAND=start
eval "$(/opt/enmesh/enmesh env --ssl-dist-optfile /tmp/dist.conf)"
exec erl $ELIXIR_ERL_OPTIONS -noinput -name $RELEASE_NODE -setcookie $RELEASE_COOKIE"#;

/// Nodes whose agents are ready when they have a peer.
pub(crate) fn printed(
    cluster: &Cluster,
    namespace: &str,
    names: Names,
    flags: &str,
    script: &str,
) -> Result<()> {
    let shell = Shell::of_beams(cluster, namespace)?;
    let image = Image::beam_name(Otp::R25);
    let flags = format!(
        "--mode {} --kind agent --replicas 2 --min-peers 1 --app-image {image} --app-user 65532 {flags}",
        names.word()
    );
    let text = manifests(namespace, &flags, Some(script))?;
    shell.make_secrets(&text)?;
    shell.apply(&text)?;
    whole(cluster, namespace, names).map(drop)
}

/// Two steered nodes with the labels of tests.
pub(crate) fn whole<'c>(
    cluster: &'c Cluster,
    namespace: &str,
    names: Names,
) -> Result<Deployment<'c>> {
    let deployment = Workload::new("web", Kind::Steered(Otp::R25))
        .names(names)
        .applied(cluster, namespace);
    deployment.wait_ready(2)?;
    deployment.wait_whole(WHOLE)?;
    Ok(deployment)
}
