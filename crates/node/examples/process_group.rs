//! A Rust process in a `pg` group: it answers what is sent to the group.
//!
//! ```console
//! $ iex --name web@127.0.0.1 --cookie secret
//! iex> :pg.start_link()
//! $ cargo run -p enmesh --example process_group -- rust@127.0.0.1 secret web@127.0.0.1
//! iex> [worker] = :pg.get_members(:workers)
//! iex> send(worker, {:shout, self(), "hello"})
//! iex> flush()
//! {:shouted, "HELLO"}
//! ```

use enmesh::{Atom, Cookie, FromTerm, Node, Pid, Received, ToTerm};

#[derive(FromTerm)]
enum Job {
    Shout(Pid, String),
}

#[derive(ToTerm)]
enum Done {
    Shouted(String),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, cookie, peer] = args.as_slice() else {
        return Err("usage: process_group NAME COOKIE PEER".into());
    };
    let node = Node::builder(name.parse()?, Cookie::new(cookie)?)
        .topology(format!("strategy=epmd hosts={peer}").parse()?)
        .start()
        .await?;

    let workers = Atom::from_static("workers");
    let mut worker = node.anonymous_mailbox()?;
    let groups = node.pg("pg")?;
    groups.join(&workers, worker.pid());

    loop {
        let Received::Message(message) = worker.recv().await? else {
            continue;
        };
        match message.decode() {
            Ok(Job::Shout(from, text)) => {
                worker
                    .send(from, &Done::Shouted(text.to_uppercase()))
                    .await?;
            }
            Err(error) => eprintln!("not a job: {error}"),
        }
    }
}
