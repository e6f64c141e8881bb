//! Joins a cluster and tells who comes and goes, until it is interrupted.
//!
//! ```console
//! $ iex --name web@127.0.0.1 --cookie secret
//! $ cargo run -p enmesh --example embed -- rust@127.0.0.1 secret web@127.0.0.1
//! ```
//! `Node.list()` in the Elixir shell shows the Rust node.

use enmesh::{Cookie, DownReason, Event, Node};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, cookie, peer] = args.as_slice() else {
        return Err("usage: embed NAME COOKIE PEER".into());
    };
    let node = Node::builder(name.parse()?, Cookie::new(cookie)?)
        .topology(format!("strategy=epmd hosts={peer}").parse()?)
        .start()
        .await?;

    let mut events = node.events();
    let tell = async {
        while let Some(event) = events.next().await {
            match event {
                Event::Nodeup { peer } => println!("{} is here", peer.name),
                Event::Nodedown { peer, reason } => {
                    let reason = reason.map_or("unknown", DownReason::label);
                    println!("{} is gone: {reason}", peer.name);
                }
                _ => {}
            }
        }
    };
    tokio::select! {
        () = tell => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    node.shutdown().await;
    Ok(())
}
