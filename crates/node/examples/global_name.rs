//! A process that the whole cluster finds by name.
//!
//! ```console
//! $ iex --name web@127.0.0.1 --cookie secret
//! $ cargo run -p enmesh --example global_name -- rust@127.0.0.1 secret web@127.0.0.1
//! iex> GenServer.call({:global, :leader}, :who)
//! "rust@127.0.0.1"
//! ```
//! If both have a process of that name when they meet, the one on the greater node is killed.

use std::time::Duration;

use enmesh::{Answer, Caller, Cookie, GenServer, GlobalError, Node, Process, Stop, Term};

struct Leader(String);

impl GenServer for Leader {
    async fn handle_call(&mut self, _: Term, _: &Caller, _: &Process) -> Result<Answer, Stop> {
        Ok(Answer::Reply(Term::binary(self.0.clone())))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, cookie, peer] = args.as_slice() else {
        return Err("usage: global_name NAME COOKIE PEER".into());
    };
    let topology = format!("strategy=epmd hosts={peer}").parse()?;
    let builder = Node::builder(name.parse()?, Cookie::new(cookie)?);
    let node = builder.topology(topology).start().await?;
    let leader = node.start_server("leader", Leader(name.clone()))?;
    let (word, patience) = (Term::atom("leader"), Duration::from_secs(30));
    match node.register_global(&word, leader.pid(), patience).await {
        Ok(()) => println!("we lead"),
        Err(GlobalError::Taken) => println!("{:?} leads", node.whereis_global(&word)),
        Err(error) => return Err(error.into()),
    }
    Ok(tokio::signal::ctrl_c().await?)
}
