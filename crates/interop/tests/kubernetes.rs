//! The one-node Kubernetes itself: pods of real Erlang nodes run in it, and nothing is left of it.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use enmesh_interop::{
    Access, Cluster, Deployment, Kind, Otp, Pod, Workload, poll_until, runs_directory,
};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn pods_scale_resolve_fail_and_leave_nothing() {
    let cluster = Cluster::start().unwrap();
    let web = Workload::new("web", Kind::Beam(Otp::R27)).replicas(3);
    let web = web.start(&cluster, "story").unwrap();
    erlang_runs_in_pods(&web);
    names_resolve_in_pods(&web, "story");
    web.scale(4).unwrap();
    web.scale(2).unwrap();
    a_pod_can_be_frozen_from_outside(&cluster, &web);
    an_account_reads_while_it_has_the_role(&cluster);
    the_api_server_comes_back_with_its_data(&cluster, &web);
    drop(cluster);
    nothing_is_left();
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
