//! What befalls single pods: cut off, frozen, killed for want of memory, started again in place, and their addresses given to
//! others. Rust members and Erlang nodes steered by an agent, in one cluster; each side tells what happened, once.

#[path = "kube_pod_faults/address.rs"]
mod address;
#[path = "kube_pod_faults/memory.rs"]
mod memory;
#[path = "kube_pod_faults/restart.rs"]
mod restart;
#[path = "kube_pod_faults/witness.rs"]
mod witness;

use anyhow::{Result, ensure};
use enmesh_interop::{Cluster, Deployment, Kind, Otp, Pod, Workload, scenarios};
use witness::{SOON, Witness, wait_back, wait_lost};

/// In seconds: a link that is silent ends after 6 to 10 s of it.
const NET_TICKTIME: &str = "8";

#[test]
fn whatever_befalls_a_pod_is_told_once_by_each_side() {
    let cluster = Cluster::start().unwrap();
    scenarios(
        &cluster,
        &[
            ("cut_off", &a_pod_is_cut_off),
            ("frozen", &a_node_is_frozen),
            ("no_memory", &memory::a_container_is_killed_for_memory),
            ("in_place", &restart::a_pod_is_started_again_in_place),
            (
                "silent",
                &restart::a_pod_dies_without_a_word_and_is_started_again,
            ),
        ],
    );
    // Alone, because nobody else may take the address meanwhile.
    scenarios(
        &cluster,
        &[("address", &address::an_address_is_given_to_another_pod)],
    );
}

/// Two members, and two Erlang nodes that agents steer, in one cluster that is whole.
fn mixed<'c>(
    cluster: &'c Cluster,
    namespace: &str,
    shape: &dyn Fn(Workload<'static>) -> Workload<'static>,
) -> Result<[Deployment<'c>; 2]> {
    let rust = Workload::new("rust", Kind::Member).group("web").replicas(2);
    let erlang = Workload::new("erlang", Kind::Steered(Otp::R27))
        .group("web")
        .replicas(2);
    let rust = shape(rust).begin(cluster, namespace)?;
    let erlang = shape(erlang).start(cluster, namespace)?;
    rust.wait_ready(2)?;
    rust.wait_whole(SOON)?;
    Ok([rust, erlang])
}

/// A network that is cut is noticed by its silence.
fn with_ticks(workload: Workload<'static>) -> Workload<'static> {
    workload
        .args(["--net-ticktime", NET_TICKTIME])
        .env("ERL_ARGS", "-kernel net_ticktime 8")
}

fn first_of<'c>(deployment: &Deployment<'c>) -> Result<Pod<'c>> {
    let mut pods = deployment.pods()?;
    ensure!(!pods.is_empty(), "{} has no pods", deployment.name());
    Ok(pods.swap_remove(0))
}

/// Both sides notice by ticks; healed, all are one again. Links within the pod stay: an agent and its node.
fn a_pod_is_cut_off(cluster: &Cluster, namespace: &str) -> Result<()> {
    let all = mixed(cluster, namespace, &with_ticks)?;
    for deployment in &all {
        let victim = first_of(deployment)?;
        let witnesses = Witness::all(&all)?;
        victim.cut_off()?;
        wait_lost(&witnesses, victim.node())?;
        the_victim_lost_all(&witnesses, &victim, false)?;
        victim.heal()?;
        deployment.wait_whole(SOON)?;
        wait_back(&witnesses, victim.node())?;
        the_victim_lost_all(&witnesses, &victim, true)?;
        for witness in &witnesses {
            let reasons = witness.reasons();
            ensure!(
                reasons.iter().all(|reason| reason == "net_tick_timeout"),
                "{} tells {reasons:?}",
                witness.node
            );
        }
    }
    Ok(())
}

/// All others notice by ticks. It has lost everybody when it runs again, and joins anew.
fn a_node_is_frozen(cluster: &Cluster, namespace: &str) -> Result<()> {
    let all = mixed(cluster, namespace, &with_ticks)?;
    for deployment in &all {
        let victim = first_of(deployment)?;
        let containers = ["enmesh", "beam"];
        let running = |container: &&str| victim.pids(container).is_ok_and(|pids| !pids.is_empty());
        let running: Vec<&str> = containers.into_iter().filter(running).collect();
        let witnesses = Witness::all(&all)?;
        running.iter().try_for_each(|it| victim.freeze(it))?;
        wait_lost(&witnesses, victim.node())?;
        running.iter().try_for_each(|it| victim.thaw(it))?;
        deployment.wait_whole(SOON)?;
        wait_back(&witnesses, victim.node())?;
        the_victim_lost_all(&witnesses, &victim, true)?;
    }
    Ok(())
}

fn the_victim_lost_all(witnesses: &[Witness], victim: &Pod<'_>, came: bool) -> Result<()> {
    let (own, others): (Vec<&Witness>, Vec<&Witness>) = witnesses
        .iter()
        .partition(|witness| witness.node == victim.node());
    let others: Vec<&str> = others.iter().map(|other| other.node.as_str()).collect();
    own.iter()
        .try_for_each(|witness| witness.wait_for_each(&others, came))
}
