//! Prints what the source of a topology says, one line for each update:
//!
//! ```text
//! cargo run -p enmesh-discovery --example watch -- 'strategy=local_epmd' me@127.0.0.1
//! ```

use std::error::Error;

use enmesh_discovery::{SourceContext, TopologyConfig};
use enmesh_identity::NodeName;
use enmesh_membership::{Sighting, Update};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let topology: TopologyConfig = arguments.next().ok_or("give a topology")?.parse()?;
    let own: NodeName = arguments
        .next()
        .as_deref()
        .unwrap_or("watch@127.0.0.1")
        .parse()?;
    let mut source = topology.source(&SourceContext::new(own))?;
    let begin = std::time::Instant::now();
    loop {
        let update = source.next().await;
        let seconds = begin.elapsed().as_secs_f32();
        match update {
            Update::Snapshot(peers) => println!("{seconds:8.3} all     {}", names(&peers)),
            Update::Changed { present, gone } => {
                let gone: Vec<_> = gone.iter().map(NodeName::as_str).collect();
                println!(
                    "{seconds:8.3} changed +[{}] -[{}]",
                    names(&present),
                    gone.join(" ")
                );
            }
            Update::Draining(draining) => println!("{seconds:8.3} draining {draining}"),
            Update::Failed(failure) => {
                println!(
                    "{seconds:8.3} failed  {}: {failure}",
                    failure.kind().label()
                );
            }
        }
    }
}

fn names(peers: &[Sighting]) -> String {
    let names: Vec<_> = peers.iter().map(|seen| seen.name().as_str()).collect();
    names.join(" ")
}
