//! The one-node Kubernetes itself: pods of real Erlang nodes run in it, and nothing is left of it.

use std::fs;
use std::time::Duration;

use enmesh_interop::{Access, BeamDeployment, Cluster, Otp, poll_until, runs_directory};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn pods_of_erlang_nodes_scale_resolve_and_leave_nothing() {
    let cluster = Cluster::start().unwrap();
    let web = BeamDeployment::create(&cluster, Otp::R27, "story", "secret", 3).unwrap();
    erlang_runs_in_pods(&cluster, &web);
    names_resolve_in_pods(&cluster, &web);
    web.scale(&cluster, 5).unwrap();
    web.scale(&cluster, 2).unwrap();
    an_account_reads_while_it_has_the_role(&cluster);
    the_api_server_comes_back_with_its_data(&cluster, &web);
    a_pod_can_be_frozen_from_outside(&cluster, &web);
    drop(cluster);
    nothing_is_left();
}

fn exec(
    cluster: &Cluster,
    web: &BeamDeployment,
    pod: &str,
    command: &[&str],
) -> anyhow::Result<String> {
    let args = ["exec", pod, "--namespace", web.namespace(), "--"];
    cluster.kubectl(args.iter().chain(command))
}

fn erlang_runs_in_pods(cluster: &Cluster, web: &BeamDeployment) {
    let nodes = web.nodes(cluster).unwrap();
    assert_eq!(nodes.len(), 3);
    let pods = web.pod_names(cluster).unwrap();
    // Every pod's node is reached from one pod by its name.
    let erlang = format!(
        "io:format(\"~p\", [[net_adm:ping(N) || N <- ['{}']]]), halt().",
        nodes.join("','")
    );
    let shell = "exec erl -noinput -name probe@$POD_IP -setcookie secret -eval \"$1\"";
    let ping = ["sh", "-c", shell, "sh", &erlang];
    poll_until("all nodes say pong", SOON, || {
        let answer = exec(cluster, web, &pods[0], &ping)?;
        anyhow::ensure!(answer == "[pong,pong,pong]", "it is {answer}");
        Ok(())
    })
    .unwrap();
    cluster
        .kubectl(["logs", &pods[0], "--namespace", web.namespace()])
        .unwrap();
}

fn names_resolve_in_pods(cluster: &Cluster, web: &BeamDeployment) {
    let pods = web.pod_names(cluster).unwrap();
    let mut addresses: Vec<String> = web
        .nodes(cluster)
        .unwrap()
        .iter()
        .map(|node| node.trim_start_matches("web@").to_owned())
        .collect();
    addresses.sort();
    poll_until("the headless service resolves", SOON, || {
        let answer = exec(
            cluster,
            web,
            &pods[0],
            &["getent", "ahostsv4", "web.story.svc.cluster.local"],
        )?;
        let mut found: Vec<&str> = answer
            .lines()
            .filter(|line| line.contains("STREAM"))
            .filter_map(|line| line.split(' ').next())
            .collect();
        found.sort_unstable();
        anyhow::ensure!(found == addresses, "it is {found:?}");
        Ok(())
    })
    .unwrap();
    let api = exec(
        cluster,
        web,
        &pods[0],
        &["getent", "hosts", "kubernetes.default.svc.cluster.local"],
    )
    .unwrap();
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

fn the_api_server_comes_back_with_its_data(cluster: &Cluster, web: &BeamDeployment) {
    let before = web.nodes(cluster).unwrap();
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
    assert_eq!(web.nodes(cluster).unwrap(), before);
}

fn a_pod_can_be_frozen_from_outside(cluster: &Cluster, web: &BeamDeployment) {
    let pods = web.pod_names(cluster).unwrap();
    let pids = cluster.pod_pids(web.namespace(), &pods[0]).unwrap();
    let names: Vec<String> = pids
        .iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok())
        .collect();
    assert!(
        names.iter().any(|name| name.starts_with("beam")),
        "{names:?}"
    );
    assert!(
        !names.iter().any(|name| name.starts_with("pause")),
        "{names:?}"
    );
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
