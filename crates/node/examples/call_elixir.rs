//! Calls a GenServer of an Elixir node, and a function of it.
//!
//! ```console
//! $ iex --name web@127.0.0.1 --cookie secret
//! iex> defmodule Stock, do: defstruct [:item, :left]
//! iex> defmodule Shop do
//! ...>   use GenServer
//! ...>   def init(left), do: {:ok, left}
//! ...>   def handle_call({:take, item, n}, _from, left),
//! ...>     do: {:reply, {:ok, %Stock{item: item, left: left - n}}, left - n}
//! ...> end
//! iex> GenServer.start(Shop, 5, name: Shop)
//! $ cargo run -p enmesh --example call_elixir -- rust@127.0.0.1 secret web@127.0.0.1
//! 2 x apple left at web@127.0.0.1, which runs OTP 25
//! ```

use std::time::Duration;

use enmesh::{Charlist, Cookie, FromTerm, Node, NodeName, Term, ToTerm};

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(ToTerm)]
enum Request {
    Take(&'static str, u32),
}

#[derive(FromTerm)]
#[term(struct = "Elixir.Stock")]
struct Stock {
    item: String,
    left: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, cookie, peer] = args.as_slice() else {
        return Err("usage: call_elixir NAME COOKIE PEER".into());
    };
    let builder = Node::builder(name.parse()?, Cookie::new(cookie)?);
    let node = builder.start().await?;
    let peer: NodeName = peer.parse()?;

    let request = Request::Take("apple", 3);
    let reply = node.call(("Elixir.Shop", &peer), &request, TIMEOUT).await?;
    let Stock { item, left } =
        Result::from_term(&reply)?.map_err(|reason: Term| reason.to_string())?;

    let release = vec![Term::atom("otp_release")];
    let reply = node
        .rpc(&peer, "erlang", "system_info", release, TIMEOUT)
        .await?;
    let release = Charlist::from_term(&reply)?;
    println!("{left} x {item} left at {peer}, which runs OTP {release}");
    node.shutdown().await;
    Ok(())
}
