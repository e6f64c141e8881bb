//! A connector of one's own: commands that list, connect and disconnect, steered by a topology.
//!
//! `connector NAME COMMAND TOPOLOGY`, where NAME is who we steer and COMMAND is run as
//! `COMMAND list` (prints a node a line), `COMMAND connect NODE` and `COMMAND disconnect NODE`:
//! libcluster's three functions, for whatever forms clusters in another way.

use std::error::Error;
use std::process::Stdio;
use std::time::Duration;

use enmesh::{
    Change, Changes, Connected, Connector, Event, Failure, NodeName, PeerAddr, Prune, Steering,
};
use tokio::process::Command;

/// How often the command is asked who is connected.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Connects by running a command.
#[derive(Clone)]
struct ByCommand {
    command: String,
}

impl ByCommand {
    /// Runs the command; what it printed, if it ended well.
    async fn run(&self, args: &[&str]) -> Option<String> {
        let mut command = Command::new(&self.command);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then_some(text)
    }
}

impl Connector for ByCommand {
    type Changes = Lists;

    async fn connect(&self, peer: PeerAddr) -> Result<(), Failure> {
        let done = self.run(&["connect", peer.name().as_str()]).await;
        done.map(drop).ok_or(Failure::Untold)
    }

    async fn disconnect(&self, peer: NodeName) -> bool {
        let done = self.run(&["disconnect", peer.as_str()]).await;
        done.is_some()
    }

    fn changes(&self) -> Lists {
        Lists {
            connector: self.clone(),
            timer: tokio::time::interval(LOOK_EVERY),
        }
    }
}

/// Who is connected, asked again and again: the steering finds out what is new in it.
struct Lists {
    connector: ByCommand,
    timer: tokio::time::Interval,
}

impl Changes for Lists {
    async fn next(&mut self) -> Option<Change> {
        loop {
            self.timer.tick().await;
            // A command that fails says nothing of anybody.
            if let Some(text) = self.connector.run(&["list"]).await {
                let names = text.lines().filter_map(|line| line.trim().parse().ok());
                return Some(Change::Everybody(names.map(Connected::new).collect()));
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = |what: &'static str| args.next().ok_or(what);
    let name: NodeName = next("give the name of the node that is steered")?.parse()?;
    let command = next("give the command that connects")?;
    let topology = next("give a topology, such as 'strategy=epmd hosts=b@127.0.0.1'")?;
    let steering = Steering::builder(name)
        .topology(topology.parse()?)
        .prune(Prune::Immediate)
        .start(ByCommand { command })?;
    let mut events = steering.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Nodeup { peer } => println!("{} is here", peer.name),
            Event::Nodedown { peer, reason } => {
                let reason = reason.map_or("missed", |reason| reason.label());
                println!("{} is gone: {reason}", peer.name);
            }
            _ => {}
        }
    }
    Ok(())
}
