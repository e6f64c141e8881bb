//! Phoenix.PubSub of Elixir nodes, spoken by Rust: pools, senders, and what goes to one node alone.

use std::time::Duration;

use enmesh::{Atom, Node, PubSubOptions, Subscription, Term};
use enmesh_interop::{Beam, Epmd, NetNs, Otp, poll_until};

use crate::bench::{SOON, beam, says};
use crate::rust_node::{block_on, rust_node};

const BEAM: &str = "b1@127.0.0.1";
const US: &str = "rust@127.0.0.1";
const NAME: &str = "MyApp.PubSub";

/// What an application has that depends on Phoenix.PubSub.
const STAND_IN: &str = include_str!("pubsub.ex");

/// A BEAM whose Elixir application runs a PubSub with these options, and a node of ours in its cluster.
struct Topics {
    beam: Beam,
    node: Node,
    _epmd: Epmd,
    _ns: NetNs,
}

impl Topics {
    fn start(otp: Otp, options: &str) -> Self {
        let ns = NetNs::new().unwrap();
        let epmd = Epmd::start(&ns).unwrap();
        let mut beam = beam(otp, &ns, BEAM, &[]);
        let path = "\"/usr/lib/elixir/lib/elixir/ebin\"";
        let elixir = format!(
            "true = code:add_path({path}), {{ok, _}} = application:ensure_all_started(elixir)"
        );
        beam.eval(&elixir).unwrap();
        let mut topics = Self {
            beam,
            node: rust_node(&ns, US),
            _epmd: epmd,
            _ns: ns,
        };
        topics.elixir(STAND_IN);
        assert_eq!(topics.elixir(&format!("Probe.start({options})")), "ok");
        let ping = format!("net_adm:ping('{US}')");
        assert_eq!(topics.beam.eval(&ping).unwrap(), "pong");
        topics
    }

    /// What this code gives, as Erlang prints it.
    fn elixir(&mut self, code: &str) -> String {
        let bytes: Vec<String> = code.bytes().map(|byte| byte.to_string()).collect();
        let eval = format!(
            "element(1, 'Elixir.Code':eval_string(<<{}>>))",
            bytes.join(",")
        );
        let whole = self.beam.eval_within(Duration::from_secs(60), &eval);
        whole.unwrap()
    }

    /// Both sides know both workers of each of these groups.
    fn know_all(&mut self, groups: &[&str]) {
        for group in groups {
            let members = format!("length(pg:get_members('Elixir.Phoenix.PubSub', '{group}'))");
            says(&mut self.beam, &members, "2");
            let group = Atom::new(group).unwrap();
            poll_until("we know the workers", SOON, || {
                let members = self.node.pg("Elixir.Phoenix.PubSub")?.members(&group);
                anyhow::ensure!(members.len() == 2, "{members:?}");
                Ok(())
            })
            .unwrap();
        }
    }

    /// What the subscriber of a topic has heard, in the end.
    fn hears(&mut self, topic: &str, wanted: &[i64]) {
        let heard = format!("'Elixir.Probe':heard({topic})");
        says(&mut self.beam, &heard, &list(wanted));
    }
}

fn list(numbers: &[i64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    format!("[{}]", numbers.join(","))
}

fn number(subscription: &mut Subscription) -> i64 {
    let received = async { tokio::time::timeout(SOON, subscription.recv()).await };
    let message = block_on(received).expect("a message in time").unwrap();
    message.decode().unwrap()
}

const POOL: [&str; 4] = [
    "Elixir.MyApp.PubSub.Adapter",
    "Elixir.MyApp.PubSub.Adapter_2",
    "Elixir.MyApp.PubSub.Adapter_3",
    "Elixir.MyApp.PubSub.Adapter_4",
];

pub(crate) fn a_pool_of_four_is_shared(otp: Otp) {
    let mut topics = Topics::start(otp, "[pool_size: 4]");
    let options = PubSubOptions::default().pool_size(4);
    let pubsub = topics.node.pubsub_with(NAME, &options).unwrap();
    let mut orders = pubsub.subscribe("orders").unwrap();
    let mut other = pubsub.subscribe("other").unwrap();
    topics.know_all(&POOL);

    // Each sender has a worker of its own choice, and all four are chosen.
    let many =
        "Probe.from_many(40, fn -> Phoenix.PubSub.broadcast(MyApp.PubSub, \"orders\", 1) end)";
    assert_eq!(topics.elixir(many), "4");
    for _ in 0..40 {
        assert_eq!(number(&mut orders), 1);
    }
    let handles: Vec<_> = (0..16).map(|_| pubsub.clone()).collect();
    for handle in &handles {
        block_on(handle.broadcast("orders", &Term::Int(2))).unwrap();
        assert_eq!(number(&mut orders), 2, "it reaches subscribers here, too");
    }
    topics.hears("orders", &[vec![1; 40], vec![2; 16]].concat());
    let counts = topics.elixir("Probe.counts(4)");
    let counts: Vec<u64> = counts
        .trim_matches(['[', ']'])
        .split(',')
        .map(|count| count.parse().unwrap())
        .collect();
    assert_eq!(counts.iter().sum::<u64>(), 16, "{counts:?}");
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");

    one_sender_is_in_order(&mut topics, &pubsub, &mut other);
    what_goes_to_some(&mut topics, &pubsub, &mut orders, &mut other);
    let workers = POOL.map(|group| format!("is_process_alive(whereis('{group}'))"));
    let alive = topics.beam.eval(&format!("[{}]", workers.join(",")));
    assert_eq!(alive.unwrap(), "[true,true,true,true]");

    // Who opens it again has the same; with its last handle it is gone.
    let again = topics.node.pubsub_with(NAME, &options).unwrap();
    drop((pubsub, handles, orders, other));
    let mut orders = again.subscribe("orders").unwrap();
    topics.elixir("Phoenix.PubSub.broadcast(MyApp.PubSub, \"orders\", 9)");
    assert_eq!(number(&mut orders), 9);
    drop((again, orders));
    for group in POOL {
        let members = format!("length(pg:get_members('Elixir.Phoenix.PubSub', '{group}'))");
        says(&mut topics.beam, &members, "1");
    }
}

fn one_sender_is_in_order(topics: &mut Topics, pubsub: &enmesh::PubSub, other: &mut Subscription) {
    let numbers: Vec<i64> = (100..200).collect();
    topics.elixir(
        "for number <- 100..199, do: Phoenix.PubSub.broadcast(MyApp.PubSub, \"other\", number)",
    );
    for wanted in &numbers {
        assert_eq!(number(other), *wanted);
    }
    for sent in &numbers {
        block_on(pubsub.broadcast("other", &Term::Int(*sent))).unwrap();
        assert_eq!(number(other), *sent);
    }
    topics.hears("other", &[numbers.clone(), numbers].concat());
}

/// All but the speaker, and one node alone.
fn what_goes_to_some(
    topics: &mut Topics,
    pubsub: &enmesh::PubSub,
    orders: &mut Subscription,
    other: &mut Subscription,
) {
    let before = topics.elixir("Probe.heard(:orders) |> length()");
    topics.elixir("send(:orders, {:say, \"orders\", 3})");
    assert_eq!(number(orders), 3, "the speaker alone does not hear it");
    block_on(pubsub.broadcast_from(orders, "orders", &Term::Int(4))).unwrap();
    // Whichever worker a sender chooses, the node has one of its name.
    let direct = format!(
        "Probe.from_many(40, fn -> Phoenix.PubSub.direct_broadcast(:\"{US}\", MyApp.PubSub, \"orders\", 5) end)"
    );
    assert_eq!(topics.elixir(&direct), "4");
    for _ in 0..40 {
        assert_eq!(number(orders), 5);
    }
    let beam = BEAM.parse().unwrap();
    for _ in 0..16 {
        let handle = pubsub.clone();
        block_on(handle.direct_broadcast(&beam, "orders", &Term::Int(6))).unwrap();
    }
    block_on(pubsub.broadcast("other", &Term::Int(7))).unwrap();
    assert_eq!(number(other), 7);
    let since = format!("'Elixir.Enum':drop('Elixir.Probe':heard(orders), {before})");
    let wanted = list(&[vec![4], vec![6; 16]].concat());
    let sorted = format!("lists:sort({since})");
    says(&mut topics.beam, &sorted, &wanted);
    pubsub.local_broadcast("orders", &Term::Int(8));
    assert_eq!(number(orders), 8, "and none of those in between");
}

/// A pool of one (2.0, or the default) beside one of four that sends over one worker, as 2.2 has it for a change of the size; and
/// the reverse.
pub(crate) fn pools_of_other_sizes_hear_each_other(otp: Otp) {
    let four = PubSubOptions::default().pool_size(4).broadcast_pool_size(1);
    for (theirs, ours) in [
        ("[]", four),
        (
            "[pool_size: 4, broadcast_pool_size: 1]",
            PubSubOptions::default(),
        ),
    ] {
        let mut topics = Topics::start(otp, theirs);
        let pubsub = topics.node.pubsub_with(NAME, &ours).unwrap();
        let mut orders = pubsub.subscribe("orders").unwrap();
        topics.know_all(&POOL[..1]);
        let many =
            "Probe.from_many(10, fn -> Phoenix.PubSub.broadcast(MyApp.PubSub, \"orders\", 1) end)";
        assert_eq!(topics.elixir(many), "1");
        for _ in 0..10 {
            assert_eq!(number(&mut orders), 1);
        }
        for _ in 0..10 {
            block_on(pubsub.clone().broadcast("orders", &Term::Int(2))).unwrap();
        }
        topics.hears("orders", &[vec![1; 10], vec![2; 10]].concat());
        block_on(topics.node.shutdown());
    }
}
