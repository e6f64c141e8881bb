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
use enmesh_interop::{
    Cluster, Deployment, Kind, Names, Otp, Pod, Scenario, Workload, full, scenarios,
};
use witness::{SOON, Witness, wait_back, wait_lost};

/// In seconds: a link that is silent ends after 6 to 10 s of it.
const NET_TICKTIME: &str = "8";

/// What befalls nodes of these names.
type Story = fn(&Cluster, &str, Names) -> Result<()>;

/// Each has other names; where everything is to be tried, all of them.
const STORIES: [(&str, Names, Story); 5] = [
    ("cut_off", Names::Hostname, a_pod_is_cut_off),
    ("frozen", Names::Pod, a_node_is_frozen),
    (
        "no_memory",
        Names::Ip,
        memory::a_container_is_killed_for_memory,
    ),
    (
        "in_place",
        Names::Dns,
        restart::a_pod_is_started_again_in_place,
    ),
    (
        "silent",
        Names::Srv,
        restart::a_pod_dies_without_a_word_and_is_started_again,
    ),
];

#[test]
fn whatever_befalls_a_pod_is_told_once_by_each_side() {
    let cluster = Cluster::start().unwrap();
    let mut told: Vec<(String, Names, Story)> = Vec::new();
    for (name, usual, story) in STORIES {
        let names = Names::ALL.into_iter();
        let names = names.filter(|names| full() || *names == usual);
        told.extend(names.map(|names| (format!("{name}_{names}"), names, story)));
    }
    let of_services = told.iter().filter(|(_, names, _)| *names == Names::Srv);
    let of_services: Vec<String> = of_services
        .map(|(name, ..)| name.replace('_', "-"))
        .collect();
    let of_services: Vec<&str> = of_services.iter().map(String::as_str).collect();
    cluster.name_pods_by_address_in(&of_services).unwrap();
    let tellers: Vec<_> = told
        .iter()
        .map(|&(_, names, story)| {
            move |cluster: &Cluster, namespace: &str| story(cluster, namespace, names)
        })
        .collect();
    let all = told.iter().zip(&tellers);
    let all: Vec<Scenario<'_>> = all
        .map(|((name, ..), teller)| (name.as_str(), teller as _))
        .collect();
    scenarios(&cluster, &all);
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
    names: Names,
    shape: &dyn Fn(Workload<'static>) -> Workload<'static>,
) -> Result<[Deployment<'c>; 2]> {
    let [rust, erlang] =
        [("rust", Kind::Member), ("erlang", Kind::Steered(Otp::R27))].map(|(name, kind)| {
            let workload = Workload::new(name, kind).group("web").names(names);
            shape(workload.replicas(2))
        });
    let rust = rust.begin(cluster, namespace)?;
    let erlang = erlang.start(cluster, namespace)?;
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
fn a_pod_is_cut_off(cluster: &Cluster, namespace: &str, names: Names) -> Result<()> {
    let all = mixed(cluster, namespace, names, &with_ticks)?;
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
fn a_node_is_frozen(cluster: &Cluster, namespace: &str, names: Names) -> Result<()> {
    let all = mixed(cluster, namespace, names, &with_ticks)?;
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
