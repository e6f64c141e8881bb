//! A few seeds, each time; `cargo xtask sim` runs many.

use std::collections::BTreeSet;
use std::time::Duration;

use enmesh_sim::{SimConfig, run, run_seeds};

fn small(seed: u64) -> SimConfig {
    SimConfig {
        seed,
        nodes: 12,
        duration: Duration::from_secs(120),
        is_calm: false,
    }
}

/// With forty seeds every kind of fault must have happened in four, which `run_seeds` demands.
#[test]
fn forty_seeds_of_twelve_nodes_keep_every_promise() {
    let sum = run_seeds(&small(1), 40, 2).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sum.runs, 40);
    assert!(
        sum.superseded > 0 && sum.noks > 0,
        "no collision was seen: {sum:?}"
    );
    assert!(
        sum.messages > 0 && sum.answers > 0 && sum.wrong_cookies > 0,
        "{sum:?}"
    );
}

#[test]
fn one_seed_of_fifty_nodes_keeps_every_promise() {
    run(&SimConfig::new(7)).unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another_one() {
    let traces: Vec<_> = (1..=5)
        .map(|seed| run(&small(seed)).expect("a good run").trace)
        .collect();
    let again: Vec<_> = (1..=5)
        .map(|seed| run(&small(seed)).expect("a good run").trace)
        .collect();
    assert_eq!(traces, again);
    assert_eq!(traces.iter().collect::<BTreeSet<_>>().len(), 5);
}

/// Everybody dials everybody at once, and still no link falls: colliding links are sorted out
/// before they are up.
#[test]
fn while_nothing_goes_wrong_no_link_ever_falls() {
    for seed in 1..=20 {
        let config = SimConfig {
            is_calm: true,
            duration: Duration::from_secs(60),
            ..small(seed)
        };
        run(&config).unwrap_or_else(|violation| panic!("{violation}"));
    }
}
