//! A GenServer in Rust, for Elixir to call.
//!
//! ```console
//! $ iex --name web@127.0.0.1 --cookie secret
//! $ cargo run -p enmesh --example gen_server -- rust@127.0.0.1 secret web@127.0.0.1
//! iex> counter = {:counter, :"rust@127.0.0.1"}
//! iex> {GenServer.cast(counter, {:add, 3}), GenServer.call(counter, :get)}
//! {:ok, {:ok, 3}}
//! iex> GenServer.call(counter, :reset)
//! {:error, "expected one of get, add"}
//! ```

use enmesh::{Answer, Caller, Cookie, FromTerm, GenServer, Node, Process, Stop, Term, ToTerm};

#[derive(FromTerm)]
enum Request {
    /// `:get`
    Get,
    /// `{:add, n}`
    Add(i64),
}

struct Counter(i64);

impl GenServer for Counter {
    async fn handle_call(
        &mut self,
        request: Term,
        _: &Caller,
        _: &Process,
    ) -> Result<Answer, Stop> {
        let reply = match Request::from_term(&request) {
            Ok(Request::Get) => Ok(self.0),
            Ok(Request::Add(_)) => Err("cast it".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Ok(Answer::Reply(reply.to_term()))
    }

    async fn handle_cast(&mut self, request: Term, _: &Process) -> Result<(), Stop> {
        if let Ok(Request::Add(more)) = Request::from_term(&request) {
            self.0 = self.0.saturating_add(more);
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, cookie, peer] = args.as_slice() else {
        return Err("usage: gen_server NAME COOKIE PEER".into());
    };
    let topology = format!("strategy=epmd hosts={peer}").parse()?;
    let builder = Node::builder(name.parse()?, Cookie::new(cookie)?);
    let node = builder.topology(topology).start().await?;
    node.start_server("counter", Counter(0))?;
    Ok(tokio::signal::ctrl_c().await?)
}
