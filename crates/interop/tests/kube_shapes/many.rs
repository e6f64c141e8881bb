//! A hundred members.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use enmesh_interop::{Cluster, Kind, Workload};

const PODS: u32 = 100;
const LEFT: u32 = 10;
const WHOLE: Duration = Duration::from_secs(300);

/// One Deployment, scaled from nothing to very many, and back to ten.
pub(crate) fn very_many_pods(cluster: &Cluster, namespace: &str) -> Result<()> {
    let many = Workload::new("many", Kind::Member).start(cluster, namespace)?;
    let begin = Instant::now();
    many.begin_scale(PODS)?;
    // So many have twice the time of a few.
    many.wait_ready(PODS).or_else(|_| many.wait_ready(PODS))?;
    let ready = begin.elapsed();
    many.wait_whole(WHOLE)?;
    let whole = begin.elapsed();
    let pods = many.pods()?;
    let pids = pods[0].pids("enmesh")?;
    let status = fs::read_to_string(format!("/proc/{}/status", pids[0]))?;
    let memory = |word: &str| {
        let mut lines = status.lines();
        lines
            .find(|line| line.starts_with(word))
            .context("it has memory")
    };
    println!(
        "{PODS} members: all ready after {ready:?}, each connected with all others after {whole:?}; of one {} {}",
        memory("VmRSS")?,
        memory("VmHWM")?,
    );
    let begin = Instant::now();
    many.scale(LEFT)?;
    many.wait_whole(WHOLE)?;
    println!("{LEFT} are left and know it after {:?}", begin.elapsed());
    Ok(())
}
