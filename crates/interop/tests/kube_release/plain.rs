//! Nodes without Elixir that `enmesh env` tells what they are called, as rebar3's releases and plain `erl` take it.

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Kind, Names, Otp, Workload};
use serde_json::json;

use crate::commands::talk;
use crate::{Ports, SOON, with_program};

/// What relx's start script makes of its variables: of ERL_DIST_PORT the port of all nodes, without epmd.
const REBAR3: &str = r#"
settings="$(/opt/enmesh/enmesh env --cookie-file /etc/enmesh/cookie)" || exit 1
eval "$settings"
exec erl -noinput -name "$RELEASE_NODE" -setcookie "$RELEASE_COOKIE" \
    -erl_epmd_port "$ERL_DIST_PORT" -start_epmd false -eval "$WATCH""#;
/// `bin/app rpc erlang node`, as relx does it.
const REBAR3_RPC: &str =
    r#"exec erl_call -R -c "$(cat /etc/enmesh/cookie)" -address 9100 -timeout 60 -a 'erlang node'"#;
/// The arguments in a file, and the cookie where no command line shows it.
const VM_ARGS: &str = r#"
/opt/enmesh/enmesh env --format vm.args --cookie-file /etc/enmesh/cookie >/tmp/vm.args || exit 1
install -m 0400 /etc/enmesh/cookie ~/.erlang.cookie
exec erl -noinput -args_file /tmp/vm.args -eval "$WATCH""#;

/// `bin/app foreground`, `rpc` and `remote_console` with ERL_DIST_PORT.
pub(crate) fn as_relx_starts_it(cluster: &Cluster, namespace: &str) -> Result<()> {
    let shop = workload(Otp::R29, Names::Hostname, Ports::Shared, REBAR3);
    let shop = shop.start(cluster, namespace)?;
    shop.wait_whole(SOON)?;
    let pods = shop.pods()?;
    for pod in &pods {
        let node = pod.node();
        let said = pod.exec("beam", &["sh", "-c", REBAR3_RPC])?;
        ensure!(said.trim().trim_matches('\'') == node, "{said}");
        let epmd = pod.exec("beam", &["sh", "-c", "epmd -names 2>&1 || true"])?;
        ensure!(epmd.contains("Cannot connect"), "an epmd runs: {epmd}");
    }
    let node = pods[0].node();
    let host = node.split('@').next_back().unwrap_or_default();
    let console = format!(
        "erl -name undefined@{host} -remsh {node} -setcookie secret -hidden -dist_listen false \
         -erl_epmd_port 9100 -start_epmd false"
    );
    let line = r#"io:format("6 times 7 is ~b at ~s~n", [6 * 7, node()])."#;
    let answer = format!("6 times 7 is 42 at {node}");
    talk(&pods[0], &console, ")1>", line, &answer)?;
    for pod in &pods {
        let log = pod.logs("beam")?;
        let ups = log.matches("node connected").count();
        ensure!(ups == 1, "others than the one peer came: {log}");
    }
    Ok(())
}

/// `erl -args_file`.
pub(crate) fn by_a_file_of_arguments(cluster: &Cluster, namespace: &str) -> Result<()> {
    let shop = workload(Otp::R27, Names::Dns, Ports::Fixed, VM_ARGS);
    let shop = shop.start(cluster, namespace)?;
    shop.wait_whole(SOON)?;
    for pod in shop.pods()? {
        let names = pod.exec("beam", &["epmd", "-names"])?;
        let listed: Vec<_> = names.lines().filter(|it| it.starts_with("name ")).collect();
        ensure!(listed == ["name shop at port 9100"], "{names}");
    }
    Ok(())
}

fn workload(otp: Otp, names: Names, ports: Ports, script: &'static str) -> Workload<'static> {
    Workload::new("shop", Kind::Steered(otp))
        .names(names)
        .replicas(2)
        .args(ports.flags().iter().copied())
        .env("ENMESH_NAME", "shop")
        .patch_pods(move |template| {
            with_program(template, names, ports);
            template["spec"]["containers"][0]["command"] = json!(["sh", "-c", script]);
        })
}
