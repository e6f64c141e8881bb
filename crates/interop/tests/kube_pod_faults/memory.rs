//! Containers whose memory limit is real.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Names, Pod, Workload, poll_until};
use serde_json::json;

use super::witness::{SOON, Witness, wait_back};
use super::{first_of, mixed};

/// The kernel kills it, the kubelet starts it again, and the cluster is whole.
pub(crate) fn a_container_is_killed_for_memory(
    cluster: &Cluster,
    namespace: &str,
    names: Names,
) -> Result<()> {
    let all = mixed(cluster, namespace, names, &limited)?;
    let [rust, erlang] = &all;
    for (deployment, container) in [(rust, "enmesh"), (erlang, "beam")] {
        let victim = first_of(deployment)?;
        let witnesses = Witness::all(&all)?;
        match container {
            "beam" => {
                let ask = "spawn(fun() -> binary:copy(<<0>>, 1500000000) end), ok";
                victim.eval(ask)?;
            }
            _ => fill_scratch(&victim, container)?,
        }
        poll_until("the container was killed for memory", SOON, || {
            let object = victim.object()?;
            let statuses = object["status"]["containerStatuses"].as_array();
            let statuses = statuses.into_iter().flatten();
            let initial = object["status"]["initContainerStatuses"].as_array();
            let mut statuses = statuses.chain(initial.into_iter().flatten());
            let status = statuses.find(|status| status["name"] == container);
            let last = &status.context("it has a status")?["lastState"]["terminated"];
            ensure!(last["reason"] == "OOMKilled", "it says {last}");
            Ok(())
        })?;
        ensure!(victim.restarts(container)? == 1, "it was started again");
        deployment.wait_ready(2)?;
        deployment.wait_whole(SOON)?;
        wait_back(&witnesses, victim.node())?;
    }
    Ok(())
}

/// A limit, and a folder in memory that counts against it.
fn limited(workload: Workload<'static>) -> Workload<'static> {
    workload.patch_pods(|template| {
        let spec = &mut template["spec"];
        let volumes = spec["volumes"].as_array_mut();
        volumes
            .expect("there is one for the cookie")
            .push(json!({"name": "scratch", "emptyDir": {"medium": "Memory"}}));
        let container = &mut spec["containers"][0];
        container["resources"] = json!({"limits": {"memory": "256Mi"}});
        let mounts = container["volumeMounts"].as_array_mut();
        mounts
            .expect("there is one for the cookie")
            .push(json!({"name": "scratch", "mountPath": "/scratch"}));
    })
}

/// A member cannot be made to eat memory from outside, but what its container writes into memory counts as its container's.
///
/// The writer runs in the container's control group, and its file has no name any more, so that the memory is free again when
/// it has ended. Of the two the kernel kills the larger, which is the member.
fn fill_scratch(pod: &Pod<'_>, container: &str) -> Result<()> {
    let pids = pod.pids(container)?;
    let pid = pids.first().context("the container runs")?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let group = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let folder = match controllers {
            "memory" => "/sys/fs/cgroup/memory",
            "" if !groups.contains(":memory:") => "/sys/fs/cgroup",
            _ => return None,
        };
        Some(format!("{folder}{path}/cgroup.procs"))
    };
    let group = groups.lines().find_map(group);
    let group = group.context("the container has a control group")?;
    let file = format!("/proc/{pid}/root/scratch/filled");
    let script = format!(
        "echo $$ > {group} && exec 3> {file} && rm {file} && exec dd if=/dev/zero bs=64k count=8000 >&3"
    );
    // How it ends says nothing: the kernel may kill it as well.
    Command::new("sh").args(["-c", &script]).output()?;
    Ok(())
}
