//! Phoenix.PubSub from Rust: subscribes to a topic, and broadcasts on another.
//!
//! ```console
//! $ iex --name web@127.0.0.1 --cookie secret -S mix     # with {Phoenix.PubSub, name: Shop.PubSub}
//! iex> Phoenix.PubSub.subscribe(Shop.PubSub, "invoices")
//! $ cargo run -p enmesh --example pubsub -- rust@127.0.0.1 secret web@127.0.0.1
//! iex> Phoenix.PubSub.broadcast(Shop.PubSub, "orders", {:ordered, %{id: 7, total: 12.5}})
//! iex> flush()
//! {:invoiced, %{order: 7, due: 15.0}}
//! ```

use enmesh::{Cookie, FromTerm, Node, ToTerm};

#[derive(FromTerm)]
enum Event {
    Ordered { id: u64, total: f64 },
}

#[derive(ToTerm)]
enum Answer {
    Invoiced { order: u64, due: f64 },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, cookie, peer] = args.as_slice() else {
        return Err("usage: pubsub NAME COOKIE PEER".into());
    };
    let topology = format!("strategy=epmd hosts={peer}").parse()?;
    let builder = Node::builder(name.parse()?, Cookie::new(cookie)?);
    let node = builder.topology(topology).start().await?;

    let pubsub = node.pubsub("Shop.PubSub")?;
    let mut orders = pubsub.subscribe("orders")?;
    loop {
        match orders.recv().await?.decode() {
            Ok(Event::Ordered { id, total }) => {
                let (order, due) = (id, total * 1.2);
                pubsub
                    .broadcast("invoices", &Answer::Invoiced { order, due })
                    .await?;
            }
            Err(error) => eprintln!("not an order: {error}"),
        }
    }
}
