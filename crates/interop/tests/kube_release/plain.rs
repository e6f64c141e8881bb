//! Nodes without a release that `enmesh env` tells what they are called.

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Kind, Names, Otp, Workload};
use serde_json::json;

use crate::{Ports, SOON, with_program};

/// The arguments in a file, and the cookie where no command line shows it.
const VM_ARGS: &str = r#"
/opt/enmesh/enmesh env --format vm.args --cookie-file /etc/enmesh/cookie >/tmp/vm.args || exit 1
install -m 0400 /etc/enmesh/cookie ~/.erlang.cookie
exec erl -noinput -args_file /tmp/vm.args -eval "$WATCH""#;

/// `erl -args_file`.
pub(crate) fn by_a_file_of_arguments(cluster: &Cluster, namespace: &str) -> Result<()> {
    let (names, ports) = (Names::Dns, Ports::Fixed);
    let shop = Workload::new("shop", Kind::Steered(Otp::R27))
        .names(names)
        .replicas(2)
        .args(ports.flags().iter().copied())
        .env("ENMESH_NAME", "shop")
        .patch_pods(|template| {
            with_program(template, names, ports);
            template["spec"]["containers"][0]["command"] = json!(["sh", "-c", VM_ARGS]);
        })
        .start(cluster, namespace)?;
    shop.wait_whole(SOON)?;
    for pod in shop.pods()? {
        let names = pod.exec("beam", &["epmd", "-names"])?;
        let listed: Vec<_> = names.lines().filter(|it| it.starts_with("name ")).collect();
        ensure!(listed == ["name shop at port 9100"], "{names}");
    }
    Ok(())
}
