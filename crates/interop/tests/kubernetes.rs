//! The one-node Kubernetes itself: pods of real Erlang nodes run in it, and nothing is left of it.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use enmesh_interop::{
    Access, Cluster, Deployment, Kind, Otp, Pod, Workload, poll_until, runs_directory, scenarios,
};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn pods_scale_resolve_fail_and_leave_nothing() {
    let cluster = Cluster::start().unwrap();
    scenarios(
        &cluster,
        &[
            ("erlang", &|cluster, namespace| {
                let web = Workload::new("web", Kind::Beam(Otp::R27)).replicas(3);
                let web = web.start(cluster, namespace)?;
                erlang_runs_in_pods(&web);
                names_resolve_in_pods(&web, namespace);
                web.scale(5)?;
                web.scale(2)?;
                a_pod_can_be_frozen_from_outside(cluster, &web);
                Ok(())
            }),
            ("members", &|cluster, namespace| {
                let web = Workload::new("web", Kind::Member).start(cluster, namespace)?;
                a_story_is_told(&web)
            }),
            ("steered_25", &|cluster, namespace| {
                let web = Workload::new("web", Kind::Steered(Otp::R25)).lookup("pods");
                a_story_is_told(&web.start(cluster, namespace)?)
            }),
            ("mixed", &|cluster, namespace| {
                let member = Workload::new("member", Kind::Member).group("web");
                let steered = Workload::new("steered", Kind::Steered(Otp::R29)).group("web");
                let member = member.start(cluster, namespace)?;
                let steered = steered.start(cluster, namespace)?;
                member.wait_whole(SOON)?;
                member.begin_restart()?;
                steered.restart()?;
                member.wait_rolled_out()?;
                steered.wait_whole(SOON)
            }),
        ],
    );
    an_account_reads_while_it_has_the_role(&cluster);
    let web = Workload::new("web", Kind::Beam(Otp::R27)).replicas(2);
    let web = web.start(&cluster, "story").unwrap();
    the_api_server_comes_back_with_its_data(&cluster, &web);
    drop(cluster);
    nothing_is_left();
}

/// What a story may do to the pods of a workload with one pod, and what comes of it.
fn a_story_is_told(web: &Deployment<'_>) -> anyhow::Result<()> {
    web.scale(3)?;
    web.wait_whole(SOON)?;
    let pods = web.pods()?;
    let [first, second, third] = &pods[..] else {
        panic!("three pods, not {pods:?}");
    };
    let (log, mark) = (first.log()?, first.log()?.mark());

    // A network that is cut keeps the pod's own processes together, and heals.
    second.cut_off()?;
    assert!(reaches(first, second).is_err());
    second.heal()?;
    reaches(first, second)?;

    // A container that dies is started again in place.
    let container = match first.pids("beam")?.is_empty() {
        true => "enmesh",
        false => "beam",
    };
    third.kill(container)?;
    poll_until("the container runs again", SOON, || {
        ensure!(
            third.restarts(container)? == 1,
            "it has not been started again"
        );
        Ok(())
    })?;
    log.wait_disconnected(mark, SOON, third.node())?;
    log.wait_connected(mark, SOON, third.node())?;
    web.wait_ready(3)?;
    web.wait_whole(SOON)?;

    second.delete()?;
    second.wait_gone(SOON)?;
    log.wait_disconnected(mark, SOON, second.node())?;
    web.wait_ready(3)?;
    web.wait_whole(SOON)?;
    if container == "beam" {
        let seen = first.eval("length(nodes())")?;
        ensure!(seen == "2", "it sees {seen} nodes");
    }
    web.delete()
}

/// A connection from one pod's network to the other's epmd.
fn reaches(from: &Pod<'_>, to: &Pod<'_>) -> anyhow::Result<()> {
    let mut command = from.command("timeout");
    let open = format!("exec 3<>/dev/tcp/{}/4369", to.ip());
    command.args(["2", "bash", "-c", &open]);
    ensure!(command.status()?.success(), "{} is not reached", to.name());
    Ok(())
}

fn erlang_runs_in_pods(web: &Deployment<'_>) {
    let nodes = web.nodes().unwrap();
    assert_eq!(nodes.len(), 3);
    let pods = web.pods().unwrap();
    // Every pod's node is reached from one pod by its name.
    let ping = format!("[net_adm:ping(N) || N <- ['{}']]", nodes.join("','"));
    poll_until("all nodes say pong", SOON, || {
        let answer = pods[0].eval(&ping)?;
        ensure!(answer == "[pong, pong, pong]", "it is {answer}");
        Ok(())
    })
    .unwrap();
    assert!(pods[0].logs("beam").unwrap().contains("node started"));
    // What one of them has dialled, `global` makes whole; each says so in a member's words.
    web.wait_whole(SOON).unwrap();
}

fn names_resolve_in_pods(web: &Deployment<'_>, namespace: &str) {
    let pods = web.pods().unwrap();
    let mut addresses: Vec<&str> = pods.iter().map(Pod::ip).collect();
    addresses.sort_unstable();
    let service = format!("web.{namespace}.svc.cluster.local");
    poll_until("the headless service resolves", SOON, || {
        let answer = pods[0].exec("beam", &["getent", "ahostsv4", &service])?;
        let mut found: Vec<&str> = answer
            .lines()
            .filter(|line| line.contains("STREAM"))
            .filter_map(|line| line.split(' ').next())
            .collect();
        found.sort_unstable();
        ensure!(found == addresses, "it is {found:?}");
        Ok(())
    })
    .unwrap();
    let api = ["getent", "hosts", "kubernetes.default.svc.cluster.local"];
    let api = pods[0].exec("beam", &api).unwrap();
    assert!(api.starts_with("10.96.0.1 "), "{api}");
}

fn an_account_reads_while_it_has_the_role(cluster: &Cluster) {
    cluster.ensure_namespace("story").unwrap();
    let access = Access::grant(cluster, "story", "reader").unwrap();
    let kubeconfig = access.kubeconfig(cluster).unwrap();
    let list = || {
        let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
        cluster.kubectl(["get", "pods,endpoints,endpointslices", &kubeconfig])
    };
    poll_until("the account may list", SOON, list).unwrap();
    access.revoke(cluster).unwrap();
    poll_until("the account may no more", SOON, || match list() {
        Ok(_) => anyhow::bail!("it may"),
        Err(error) if format!("{error:#}").contains("forbidden") => Ok(()),
        Err(error) => Err(error),
    })
    .unwrap();
    access.restore(cluster).unwrap();
    poll_until("the account may list again", SOON, list).unwrap();
}

fn the_api_server_comes_back_with_its_data(cluster: &Cluster, web: &Deployment<'_>) {
    let before = web.nodes().unwrap();
    cluster.freeze_api().unwrap();
    assert!(
        cluster
            .kubectl(["get", "nodes", "--request-timeout=1s"])
            .is_err()
    );
    cluster.thaw_api().unwrap();
    cluster.kubectl(["get", "nodes"]).unwrap();
    cluster.kill_api().unwrap();
    assert!(cluster.kubectl(["get", "nodes"]).is_err());
    cluster.start_api().unwrap();
    assert_eq!(web.nodes().unwrap(), before);
}

fn a_pod_can_be_frozen_from_outside(cluster: &Cluster, web: &Deployment<'_>) {
    let pod = &web.pods().unwrap()[0];
    let pids = pod.pids("beam").unwrap();
    // Short-lived processes of what was run in the pod may come and go in between.
    let all = cluster.pod_pids(web.namespace(), pod.name()).unwrap();
    assert!(pids.iter().any(|pid| all.contains(pid)), "{pids:?} {all:?}");
    let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let names: Vec<String> = pids.iter().map(name).collect();
    let is_beam = |name: &String| name.starts_with("beam");
    assert!(names.iter().any(is_beam), "{names:?}");
    assert!(
        !names.iter().any(|name| name.starts_with("pause")),
        "{names:?}"
    );
    pod.freeze("beam").unwrap();
    let status = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let beam = pids.iter().find(|pid| is_beam(&name(pid))).unwrap();
    poll_until("the node stands still", SOON, || {
        ensure!(status(beam).contains("State:\tT"), "{}", status(beam));
        Ok(())
    })
    .unwrap();
    pod.thaw("beam").unwrap();
    assert_eq!(pod.eval("1 + 1").unwrap(), "2");
}

/// Only this process's clusters are looked at: others may be up on the same machine.
fn nothing_is_left() {
    let own = format!("{}/t{}-", runs_directory().display(), std::process::id());
    let cgroup = format!("enmesh-kube-t{}-", std::process::id());
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "mounts", "cgroup"] {
            let text = fs::read(entry.path().join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let found = text.contains(&own) || text.contains(&cgroup);
            assert!(
                !found,
                "{} is left: {text}",
                entry.path().join(file).display()
            );
        }
    }
    for run in fs::read_dir(runs_directory()).unwrap().flatten() {
        assert!(
            !run.path().display().to_string().starts_with(&own),
            "{run:?} is left"
        );
    }
    for namespace in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = namespace.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with("cni-"), "namespace {name} is left");
    }
    for group in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        for sub in fs::read_dir(group.path()).into_iter().flatten().flatten() {
            assert!(
                !sub.file_name().to_string_lossy().starts_with(&cgroup),
                "{sub:?} is left"
            );
        }
    }
}
