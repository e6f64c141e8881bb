//! Knows prices, and has itself greeted by the Elixir application.

use std::error::Error;
use std::time::Duration;

use enmesh::{
    Answer, Atom, Caller, Cookie, FromTerm, GenServer, Node, Process, ProcessGroups, Stop, Term,
    ToTerm,
};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What Elixir asks: `{:price, item}`.
#[derive(FromTerm)]
enum Request {
    Price(String),
}

/// What Elixir is asked: `{:greet, who}`.
#[derive(ToTerm)]
enum Greeting {
    Greet(String),
}

struct Prices;

impl GenServer for Prices {
    async fn handle_call(
        &mut self,
        request: Term,
        _: &Caller,
        _: &Process,
    ) -> Result<Answer, Stop> {
        let reply = match Request::from_term(&request) {
            Ok(Request::Price(item)) => Ok(20 * item.len() as u64),
            Err(error) => Err(error.to_string()),
        };
        Ok(Answer::Reply(reply.to_term()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cookie = std::fs::read_to_string(variable("COOKIE_FILE")?)?;
    let node = Node::builder(variable("NODE_NAME")?.parse()?, Cookie::new(cookie.trim())?)
        .topology(variable("TOPOLOGY")?.parse()?)
        .start()
        .await?;
    let groups = node.pg("pg")?;
    let server = node.start_server("prices", Prices)?;
    groups.join(&Atom::from_static("prices"), server.pid());
    println!("{} knows prices", node.name());

    let asking = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match greeting(&node, &groups).await {
                Ok(Some(text)) => println!("{text}"),
                Ok(None) => println!("nobody greets yet"),
                Err(error) => println!("no greeting: {error}"),
            }
        }
    };
    tokio::select! {
        () = asking => {}
        () = stopped() => {}
    }
    // Tells the others now that we go; they need not find out.
    node.shutdown().await;
    Ok(())
}

/// What the pod sets.
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// What the first of the greeters says, if there is one.
async fn greeting(node: &Node, groups: &ProcessGroups) -> Result<Option<String>, Box<dyn Error>> {
    let greeters = groups.members(&Atom::from_static("greeters"));
    let Some(greeter) = greeters.first() else {
        return Ok(None);
    };
    let request = Greeting::Greet(node.name().to_string());
    let reply = node.call(greeter, &request, TIMEOUT).await?;
    Ok(Some(String::from_term(&reply)?))
}

/// When Kubernetes ends the pod.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminated = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    terminated.recv().await;
}
