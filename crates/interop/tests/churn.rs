//! One script of faults on a cluster of three OTP releases with our members in it, and on BEAMs alone as a control.
//!
//! `ENMESH_CHURN_SECONDS` and `ENMESH_CHURN_SEED` make it longer and other, and `ENMESH_CHURN_CONTROL` adds the control;
//! `cargo xtask churn` sets them.

#[path = "churn/check.rs"]
mod check;
#[path = "churn/network.rs"]
mod network;
#[path = "churn/script.rs"]
mod script;
#[path = "churn/slot.rs"]
mod slot;

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use enmesh_interop::poll_until;

use crate::check::{Report, side_by_side};
use crate::network::Network;
use crate::script::Script;
use crate::slot::Slot;

/// BEAM nodes; the other places are for members, or for more BEAMs in the control.
const BEAMS: usize = 4;

/// Places of members.
const MEMBERS: usize = 4;

/// `net_ticktime` of everybody, seconds.
const NET_TICKTIME: u64 = 4;

/// How long the cluster may take to be whole after the last fault: the promised healing time of this `net_ticktime` (32 s), and
/// the pause of a member that was asked to leave, which grows when that happens again and again.
const HEALING: Duration = Duration::from_secs(90);

/// The length of the short run.
const SHORT_SECONDS: u64 = 30;

/// A fault every second and a half.
const FAULT_INTERVAL: Duration = Duration::from_millis(1_450);

/// Who sits in the places of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guests {
    Ours,
    Beams,
}

/// The control, where it is asked for, shows what OTP does by itself under the same faults. Nothing is asked of it: a cluster of
/// BEAMs that does not heal, or not even form, is a line of the table.
#[test]
fn three_releases_under_faults_with_our_members() {
    let control = std::env::var_os("ENMESH_CHURN_CONTROL").map(|_| churn(Guests::Beams));
    if let Some(control) = &control {
        println!("{}", details(control));
    }
    let ours = churn(Guests::Ours);
    println!("{}", details(&ours));
    if let Some(control) = &control {
        println!("{}", side_by_side(control.as_ref(), ours.as_ref()));
    }
    let ours = ours.unwrap();
    assert!(ours.is_clean(), "{ours}");
}

fn details(outcome: &Result<Report>) -> String {
    match outcome {
        Ok(report) => report.to_string(),
        Err(error) => format!("the script was not played to its end: {error:#}"),
    }
}

/// Every wait in it has a limit, so that it ends soon after the script whatever the cluster does.
fn churn(guests: Guests) -> Result<Report> {
    let seconds = number("ENMESH_CHURN_SECONDS", SHORT_SECONDS);
    let seed = number("ENMESH_CHURN_SEED", 1);
    let script = Script::new(seed, Duration::from_secs(seconds), FAULT_INTERVAL);
    let network = Network::new();
    let slots = (0..BEAMS + MEMBERS).map(|number| Slot::start(&network, number, guests));
    let mut slots = slots.collect::<Result<Vec<Slot>>>()?;
    let whole = |slots: &mut Vec<Slot>| {
        let names: Vec<String> = slots.iter().map(|slot| slot.name().to_owned()).collect();
        slots.iter_mut().try_for_each(|slot| slot.sees_all(&names))
    };
    poll_until("the cluster forms", HEALING, || whole(&mut slots))?;
    let begin = Instant::now();
    let played: Vec<Result<Slot>> = std::thread::scope(|scope| {
        let play = |slot: Slot| {
            let (script, network) = (&script, &network);
            scope.spawn(move || slot.play(begin, script, network))
        };
        let threads: Vec<_> = slots.into_iter().map(play).collect();
        let end = |thread: std::thread::ScopedJoinHandle<'_, Result<Slot>>| {
            let played = thread.join();
            played.unwrap_or_else(|_| Err(anyhow!("a thread of the script panicked")))
        };
        threads.into_iter().map(end).collect()
    });
    let mut slots = played.into_iter().collect::<Result<Vec<Slot>>>()?;
    let last_fault = Instant::now();
    let healed = poll_until("the cluster is whole again", HEALING, || {
        whole(&mut slots)?;
        check::names_are_equal(&mut slots)
    });
    let healed = healed.map(|()| last_fault.elapsed());
    Ok(Report::of(guests, &script, slots, healed))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}
