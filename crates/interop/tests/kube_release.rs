//! A release of the user's own in pods of a real Kubernetes: no line about clustering in it, clustered by the native sidecar,
//! named by `enmesh env`, which an init container has put there.

#[path = "kube_release/commands.rs"]
mod commands;
#[path = "kube_release/example.rs"]
mod example;
#[path = "kube_release/plain.rs"]
mod plain;
#[path = "kube_release/till.rs"]
mod till;

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{
    Cluster, Deployment, Image, Kind, Names, Otp, Pod, Releases, Scenario, Workload, full,
    poll_until, scenarios,
};
use serde_json::{Value, json};

use crate::till::Till;

/// More than anything here takes, also with both cores busy.
const SOON: Duration = Duration::from_secs(120);

/// The project, without a dependency.
const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kube_release/shop");
/// The same for rebar3, with the script that calls its own.
const TILL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kube_release/till");

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

impl Ports {
    const ALL: [Self; 3] = [Self::Any, Self::Fixed, Self::Shared];

    fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Fixed => "fixed",
            Self::Shared => "shared",
        }
    }

    /// What the agent beside the node is told.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Any | Self::Fixed => &[],
            Self::Shared => &["--epmd", "none", "--dist-port", "9100"],
        }
    }

    /// What `enmesh env` reads.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Any => &[],
            Self::Fixed => &[("ENMESH_DIST_PORT", "9100")],
            Self::Shared => &[("ENMESH_DIST_PORT", "9100"), ("ENMESH_EPMD", "none")],
        }
    }
}

/// A release that runs in pods.
#[derive(Clone, Copy, Debug)]
struct Shop {
    otp: Otp,
    names: Names,
    ports: Ports,
}

/// Each mode, each way to listen and each OTP; all with all where everything is to be tried.
fn table() -> Vec<Shop> {
    let shop = |otp, names, ports| Shop { otp, names, ports };
    if !full() {
        return vec![
            shop(Otp::R25, Names::Ip, Ports::Shared),
            shop(Otp::R25, Names::Dns, Ports::Any),
            shop(Otp::R27, Names::Srv, Ports::Fixed),
            shop(Otp::R27, Names::Hostname, Ports::Shared),
            shop(Otp::R29, Names::Pod, Ports::Fixed),
        ];
    }
    let mut all = Vec::new();
    for otp in [Otp::R25, Otp::R27, Otp::R29] {
        for names in Names::ALL {
            all.extend(Ports::ALL.map(|ports| shop(otp, names, ports)));
        }
    }
    all
}

#[test]
fn a_release_is_clustered_by_its_sidecar_alone_and_its_commands_work() {
    let shops = table();
    let (cluster, releases, parts) = thread::scope(|scope| {
        let cluster = scope.spawn(|| Cluster::start().unwrap());
        let releases = Otp::ALL.map(|otp| {
            let releases = Releases::new(otp).unwrap();
            if shops.iter().any(|shop| shop.otp == otp) {
                releases.add_mix(SHOP.as_ref(), "app").unwrap();
            }
            releases.add_rebar3(TILL.as_ref(), "till").unwrap();
            releases
        });
        let parts = example::Parts::build().unwrap();
        let cluster = cluster.join().expect("its panic is told already");
        (cluster, releases, parts)
    });
    for releases in &releases {
        let otp = releases.otp();
        let image = Image::beam(otp).unwrap().with_root(releases.root());
        let names = [Image::beam_name(otp), image_name(otp)];
        cluster
            .ensure_image_as(&image, &names.each_ref().map(String::as_str))
            .unwrap();
    }
    let names: Vec<String> = shops.iter().map(Shop::name).collect();
    let of_services: Vec<&str> = shops
        .iter()
        .zip(&names)
        .filter(|(shop, _)| shop.names == Names::Srv)
        .map(|(_, name)| name.as_str())
        .collect();
    cluster.name_pods_by_address_in(&of_services).unwrap();
    let stories: Vec<_> = shops
        .iter()
        .map(|&shop| move |cluster: &Cluster, namespace: &str| shop.tell(cluster, namespace))
        .collect();
    let shops = names.iter().zip(&stories);
    let mut all: Vec<Scenario<'_>> = shops
        .map(|(name, story)| (name.as_str(), story as _))
        .collect();
    let example = |cluster: &Cluster, _: &str| example::its_page_is_true(cluster, &parts);
    all.push(("example", &example));
    let tills = Till::ALL.map(|till| move |cluster: &Cluster, ns: &str| till.tell(cluster, ns));
    for (till, story) in Till::ALL.iter().zip(&tills) {
        all.push((till.name(), story));
    }
    all.push(("vm-args", &plain::by_a_file_of_arguments));
    scenarios(&cluster, &all);
}

fn image_name(otp: Otp) -> String {
    format!("enmesh-test/shop:{}", otp.release())
}

impl Shop {
    fn name(&self) -> String {
        let (names, ports, otp) = (self.names, self.ports.word(), self.otp.release());
        format!("{names}-{ports}-{otp}")
    }

    fn tell(self, cluster: &Cluster, namespace: &str) -> Result<()> {
        let shop = Workload::new("shop", Kind::Steered(self.otp))
            .names(self.names)
            .replicas(2)
            .args(self.ports.flags().iter().copied())
            .patch_pods(|template| {
                with_program(template, self.names, self.ports);
                let container = &mut template["spec"]["containers"][0];
                container["image"] = json!(image_name(self.otp));
                container["command"] = json!(["/app/bin/shop", "start"]);
            });
        let shop = shop.start(cluster, namespace)?;
        shop.wait_whole(SOON)?;
        let pods = shop.pods()?;
        let [first, second] = &pods[..] else {
            anyhow::bail!("two pods, not {pods:?}");
        };
        the_vm_sees(first, second)?;
        the_vm_sees(second, first)?;
        commands::work(first, second, self.ports)?;
        if self.names == Names::Ip {
            an_agent_that_dies_takes_no_link_with_it(&shop)?;
        }
        Ok(())
    }
}

/// An init container puts the program into the pod's own container, before the sidecar starts; variables tell it what the
/// node is like.
fn with_program(template: &mut Value, names: Names, ports: Ports) {
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
    let container = &mut spec["containers"][0];
    insert(&mut container["volumeMounts"], mount);
    let mode = [("ENMESH_NAME_MODE", names.word())];
    for (name, value) in mode.iter().chain(ports.settings()) {
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
fn the_vm_sees(pod: &Pod<'_>, other: &Pod<'_>) -> Result<()> {
    poll_until(&format!("{} sees the other", pod.node()), SOON, || {
        let log = pod.logs("beam")?;
        let line = format!(" up {}", other.node());
        ensure!(
            log.lines().any(|it| it.ends_with(&line)),
            "no{line} in {log}"
        );
        Ok(())
    })
}

/// SIGKILL for one agent: its node's links stay, and the next agent goes on.
fn an_agent_that_dies_takes_no_link_with_it(shop: &Deployment<'_>) -> Result<()> {
    let pods = shop.pods()?;
    let [pod, other] = &pods[..] else {
        anyhow::bail!("two pods, not {pods:?}");
    };
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
        ensure!(connected == [other.node()], "{connected:?}");
        Ok(())
    })?;
    // It is the new one that finds a third.
    shop.scale(3)?;
    shop.wait_whole(SOON)?;
    let pods = shop.pods()?;
    let mut new = pods
        .iter()
        .filter(|it| it.name() != pod.name() && it.name() != other.name());
    the_vm_sees(pod, new.next().context("three pods")?)?;
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
    ensure!(
        pod.restarts("beam")? == 0,
        "the node itself was started again"
    );
    Ok(())
}
