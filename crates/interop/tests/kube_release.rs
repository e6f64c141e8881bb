//! A release of the user's own in pods of a real Kubernetes: no line about clustering in it, clustered by the native sidecar,
//! named by `enmesh env`, which an init container has put there.

#[path = "kube_release/example.rs"]
mod example;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{
    Cluster, Deployment, Image, Kind, MixRelease, Names, Otp, Pod, Workload, poll_until, scenarios,
};
use serde_json::{Value, json};

/// More than anything here takes, also with both cores busy.
const SOON: Duration = Duration::from_secs(120);

/// The project, without a dependency.
const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kube_release/shop");

/// How the nodes of a scenario are found and listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ports {
    /// epmd, and any free port.
    Any,
    /// epmd, and one port.
    Fixed,
    /// One port, and no epmd.
    Shared,
}

#[test]
fn a_release_is_clustered_by_its_sidecar_alone_and_its_commands_work() {
    let releases = [Otp::R25, Otp::R27].map(|otp| {
        let release = MixRelease::build(otp, SHOP.as_ref()).unwrap();
        (otp, release)
    });
    let cluster = Cluster::start().unwrap();
    for (otp, release) in &releases {
        let image = Image::beam(*otp).unwrap().with_root(release.root());
        cluster
            .ensure_image(&image.named(&image_name(*otp)))
            .unwrap();
    }
    example::import(&cluster).unwrap();
    scenarios(
        &cluster,
        &[
            ("example", &|cluster, _| example::its_page_is_true(cluster)),
            ("ip", &|cluster, namespace| {
                let shop = start(cluster, namespace, Otp::R25, Names::Ip, Ports::Shared)?;
                an_agent_that_dies_takes_no_link_with_it(&shop)
            }),
            ("dns", &|cluster, namespace| {
                start(cluster, namespace, Otp::R25, Names::Dns, Ports::Any).map(drop)
            }),
            ("srv", &|cluster, namespace| {
                start(cluster, namespace, Otp::R27, Names::Srv, Ports::Fixed).map(drop)
            }),
            ("hostname", &|cluster, namespace| {
                start(cluster, namespace, Otp::R27, Names::Hostname, Ports::Shared).map(drop)
            }),
            ("pod", &|cluster, namespace| {
                start(cluster, namespace, Otp::R25, Names::Pod, Ports::Fixed).map(drop)
            }),
        ],
    );
}

fn image_name(otp: Otp) -> String {
    format!("enmesh-test/shop:{}", otp.release())
}

/// Two pods of the release, which are one cluster and whose commands work.
fn start<'c>(
    cluster: &'c Cluster,
    namespace: &str,
    otp: Otp,
    names: Names,
    ports: Ports,
) -> Result<Deployment<'c>> {
    let mut workload = Workload::new("shop", Kind::Steered(otp))
        .names(names)
        .replicas(2)
        .patch_pods(|template| run_the_release(template, otp, names, ports));
    if ports == Ports::Shared {
        workload = workload.args(["--epmd", "none", "--dist-port", "9100"]);
    }
    let shop = workload.start(cluster, namespace)?;
    shop.wait_whole(SOON)?;
    let pods = shop.pods()?;
    for pod in &pods {
        let others: Vec<_> = pods
            .iter()
            .filter(|other| other.name() != pod.name())
            .collect();
        the_vm_sees(pod, &others)?;
    }
    let [first, second] = &pods[..] else {
        anyhow::bail!("two pods, not {pods:?}");
    };
    commands_work(first, second, ports)?;
    Ok(shop)
}

/// The pod's own container runs the release; an init container puts the program there, before the
/// sidecar starts.
fn run_the_release(template: &mut Value, otp: Otp, names: Names, ports: Ports) {
    let spec = &mut template["spec"];
    let mount = json!({"name": "enmesh", "mountPath": "/opt/enmesh"});
    let install = json!({
        "name": "install-enmesh",
        "image": "enmesh-test/enmesh",
        "imagePullPolicy": "Never",
        "args": ["install", "--to", "/opt/enmesh"],
        "volumeMounts": [mount],
    });
    let volume = json!({"name": "enmesh", "emptyDir": {}});
    insert(&mut spec["initContainers"], install);
    insert(&mut spec["volumes"], volume);
    if names == Names::Pod {
        // Else the node's own name leads nowhere, not even within its pod.
        spec["subdomain"] = json!("shop");
    }
    let container = &mut spec["containers"][0];
    container["image"] = json!(image_name(otp));
    container["command"] = json!(["/app/bin/shop", "start"]);
    insert(&mut container["volumeMounts"], mount);
    let mut settings = vec![("ENMESH_NAME_MODE", names.word())];
    match ports {
        Ports::Any => {}
        Ports::Fixed => settings.push(("ENMESH_DIST_PORT", "9100")),
        Ports::Shared => settings.extend([("ENMESH_DIST_PORT", "9100"), ("ENMESH_EPMD", "none")]),
    }
    for (name, value) in settings {
        insert(&mut container["env"], json!({"name": name, "value": value}));
    }
    if ports == Ports::Shared {
        container["readinessProbe"]["tcpSocket"]["port"] = json!(9100);
    }
}

/// Puts it in front of what there is.
fn insert(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.insert(0, item);
    }
}

/// Whom the VM has reported, by its own log.
fn the_vm_sees(pod: &Pod<'_>, others: &[&Pod<'_>]) -> Result<()> {
    poll_until(&format!("{} sees the others", pod.node()), SOON, || {
        let log = pod.logs("beam")?;
        for other in others {
            let line = format!(" up {}", other.node());
            ensure!(
                log.lines().any(|it| it.ends_with(&line)),
                "no{line} in {log}"
            );
        }
        Ok(())
    })
}

/// `rpc`, `eval`, `pid` and `remote`, and nothing of them stays.
fn commands_work(pod: &Pod<'_>, other: &Pod<'_>, ports: Ports) -> Result<()> {
    let command = |words: &[&str]| {
        let whole: Vec<_> = ["/app/bin/shop"].iter().chain(words).copied().collect();
        pod.exec("beam", &whole)
            .with_context(|| format!("{words:?}"))
    };
    let wanted = format!("{} sees {}", pod.node(), other.node());
    let ask = r##"IO.puts("#{node()} sees #{Enum.join(Node.list(), " ")}")"##;
    // The commands look their own node up in DNS, which may hear of it later than the agent.
    poll_until(&wanted, SOON, || {
        let seen = command(&["rpc", ask])?;
        ensure!(seen.trim() == wanted, "{seen}");
        Ok(())
    })?;
    let value = command(&["eval", "IO.inspect({node(), 6 * 7})"])?;
    ensure!(value.trim() == "{:nonode@nohost, 42}", "{value}");
    let pid = command(&["pid"])?;
    ensure!(pid.trim().parse::<u32>().is_ok(), "{pid}");
    // A terminal, and its user who leaves the shell by Ctrl-G and q.
    let typed = r#"(sleep 4; echo 'IO.puts("6 times 7 is #{6 * 7} at #{node()}")'; sleep 3; printf '\a'; sleep 1; echo q) |
        TERM=xterm timeout 60 script -qec '/app/bin/shop remote' /dev/null; true"#;
    let said = pod.exec("beam", &["sh", "-c", typed])?;
    let wanted = format!("6 times 7 is 42 at {}", pod.node());
    ensure!(said.contains(&wanted), "{said}, wanted {wanted}");
    if ports != Ports::Shared {
        let names = pod.exec("beam", &["epmd", "-names"])?;
        let listed = names.lines().filter(|line| line.starts_with("name "));
        ensure!(listed.count() == 1, "others are left: {names}");
    }
    let log = other.logs("beam")?;
    ensure!(
        !log.contains("rpc-") && !log.contains("rem-"),
        "commands reached the cluster: {log}"
    );
    Ok(())
}

/// SIGKILL for one agent: its node's links stay, and the next agent goes on.
fn an_agent_that_dies_takes_no_link_with_it(shop: &Deployment<'_>) -> Result<()> {
    let pods = shop.pods()?;
    let pod = &pods[0];
    let before = pod.logs("beam")?.lines().count();
    pod.kill("enmesh")?;
    poll_until("the agent runs again", SOON, || {
        ensure!(
            pod.restarts("enmesh")? == 1,
            "it has not been started again"
        );
        Ok(())
    })?;
    poll_until("the new agent knows who is there", SOON, || {
        let connected = pod.connected()?;
        ensure!(connected == [pods[1].node()], "{connected:?}");
        Ok(())
    })?;
    // It is the new one that finds a third.
    shop.scale(3)?;
    shop.wait_whole(SOON)?;
    let pods = shop.pods()?;
    let third = pods
        .iter()
        .find(|it| it.name() != pods[0].name() && it.name() != pods[1].name());
    the_vm_sees(pod, &[third.context("three pods")?])?;
    for pod in &pods {
        let log = pod.logs("beam")?;
        ensure!(!log.contains(" down "), "a link fell: {log}");
    }
    let after = pod.logs("beam")?;
    let ups = after
        .lines()
        .skip(before)
        .filter(|line| line.contains(" up "))
        .count();
    ensure!(ups == 1, "the third alone is new: {after}");
    Ok(())
}
