//! A minute without the API server, and what it has taken away or forgotten meanwhile: nobody is lost for it, each log tells it
//! once, and afterwards everybody goes on by himself.

#[path = "kube_api_gone/outage.rs"]
mod outage;
#[path = "kube_api_gone/stories.rs"]
mod stories;

use std::thread;
use std::time::Duration;

use anyhow::Result;
use enmesh_interop::{Cluster, scenarios};

use outage::Outage;

/// How long a pod may need for what is waited for here, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(150);

/// By when a fault is over after what caused it is: the longest back-off of 20 s, 10 s for which the API server may go on
/// refusing, and 5 s for a busy machine.
const HEALED: Duration = Duration::from_secs(35);

#[test]
fn nobody_is_lost_in_a_minute_without_the_api_and_what_it_took_away_or_forgot_is_told() {
    let cluster = Cluster::start().unwrap();
    let outage = Outage::of(3);
    let role = |cluster: &Cluster, namespace: &str| -> Result<()> {
        stories::a_role_that_is_taken_away(cluster, namespace, &outage)
    };
    let gone = |cluster: &Cluster, namespace: &str| -> Result<()> {
        stories::gone_for_a_minute(cluster, namespace, &outage)
    };
    let history = |cluster: &Cluster, namespace: &str| -> Result<()> {
        stories::a_history_that_is_gone(cluster, namespace, &outage)
    };
    thread::scope(|scope| {
        let api = scope.spawn(|| outage.pass(&cluster));
        scenarios(
            &cluster,
            &[
                ("history_gone", &history),
                ("api_gone", &gone),
                ("role_taken", &role),
            ],
        );
        api.join().expect("it panics nowhere").unwrap();
    });
}
