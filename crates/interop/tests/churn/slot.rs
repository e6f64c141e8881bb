//! One place in the cluster: a node, its lives, and the faults that it is given.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Beam, Enmesh, Otp, poll_until};
use tempfile::NamedTempFile;

use crate::network::{Network, address};
use crate::script::{Kind, Script};
use crate::{BEAMS, Guests, MEMBERS, NET_TICKTIME};

const COOKIE: &str = "churn";

/// What an orderly end may take.
const END: Duration = Duration::from_secs(10);

/// How long a name may still be taken after its node's death.
const NAME_FREE: Duration = Duration::from_secs(20);

/// Told to every BEAM: say who comes and goes and how long `global:sync` takes, dial the others, register a global name.
///
/// Times are microseconds of the system's clock, which all processes share.
const WATCH: &str = r#"
logger:update_formatter_config(default, #{single_line => true, time_offset => "Z",
    template => ["@log ", time, " ", msg, "\n"]}),
Now = fun() -> os:system_time(microsecond) end,
spawn(fun() ->
    net_kernel:monitor_nodes(true, [nodedown_reason]),
    Watch = fun Watch() ->
        receive
            {nodeup, N, _} -> io:format("@event ~p nodeup ~s~n", [Now(), N]);
            {nodedown, N, I} -> io:format("@event ~p nodedown ~s ~0tp~n", [Now(), N, I])
        end,
        Watch()
    end,
    Watch()
end),
spawn(fun() ->
    Sync = fun Sync(Number) ->
        io:format("@event ~p sync ~p~n", [Now(), Number]),
        _ = global:sync(),
        io:format("@event ~p synced ~p~n", [Now(), Number]),
        timer:sleep(1000),
        Sync(Number + 1)
    end,
    Sync(1)
end),
spawn(fun() ->
    Dial = fun Dial() ->
        [net_kernel:connect_node(N) || N <- PEERS -- [node() | nodes()]],
        timer:sleep(1000),
        Dial()
    end,
    Dial()
end),
spawn(fun() -> yes = global:register_name({name, node()}, self()), receive after infinity -> ok end end),
ok
"#;

/// A stretch of time, in microseconds of the system's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) kind: Kind,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What one life of a BEAM printed.
pub(crate) struct Life {
    pub(crate) lines: Vec<String>,
    /// When it ended, or was looked at last.
    pub(crate) ended: u64,
}

/// A node's process.
enum Node {
    Beam(Box<Beam>),
    Ours(Enmesh),
}

/// A place, with what happened in it.
pub(crate) struct Slot {
    number: usize,
    name: String,
    guests: Guests,
    node: Node,
    cookie: NamedTempFile,
    /// When it was at fault.
    pub(crate) windows: Vec<Window>,
    /// The lives of a BEAM, the last one left out until the end.
    pub(crate) lives: Vec<Life>,
}

impl Slot {
    pub(crate) fn start(network: &Network, number: usize, guests: Guests) -> Result<Self> {
        let name = node_name(number);
        let mut cookie = NamedTempFile::new()?;
        writeln!(cookie, "{COOKIE}")?;
        let node = start_node(network, number, guests, &cookie)?;
        Ok(Self {
            number,
            name,
            guests,
            node,
            cookie,
            windows: Vec::new(),
            lives: Vec::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a BEAM runs in it.
    pub(crate) fn is_beam(&self) -> bool {
        is_beam(self.number, self.guests)
    }

    /// The BEAM in it.
    pub(crate) fn beam(&mut self) -> Option<&mut Beam> {
        match &mut self.node {
            Node::Beam(beam) => Some(beam),
            Node::Ours(_) => None,
        }
    }

    /// Whether its node is connected with everybody of `names` but itself.
    pub(crate) fn sees_all(&mut self, names: &[String]) -> Result<()> {
        let mut wanted: Vec<String> = names.to_vec();
        wanted.retain(|name| *name != self.name);
        wanted.sort();
        let seen = match &mut self.node {
            Node::Beam(beam) => beam.connected()?,
            Node::Ours(member) => member.cluster(),
        };
        ensure!(seen == wanted, "{} sees {seen:?}", self.name);
        Ok(())
    }

    /// Lives through its faults of the script, each at its time after `begin`.
    pub(crate) fn play(
        mut self,
        begin: Instant,
        script: &Script,
        network: &Network,
    ) -> Result<Self> {
        let place = self.number;
        for fault in script.faults.iter().filter(|fault| fault.place == place) {
            std::thread::sleep((begin + fault.at).saturating_duration_since(Instant::now()));
            let from = now_micros();
            match fault.kind {
                Kind::Kill => {
                    self.process().kill9()?;
                    self.finish();
                    std::thread::sleep(fault.lasting);
                    self.live_again(network)?;
                }
                Kind::Restart => {
                    self.process().terminate()?;
                    if self.process().wait_exit(END).is_err() {
                        self.process().kill9()?;
                    }
                    self.finish();
                    self.live_again(network)?;
                }
                Kind::Stop => {
                    self.process().stop()?;
                    std::thread::sleep(fault.lasting);
                    self.process().cont()?;
                }
                Kind::Cut => {
                    let ns = network.of(self.number);
                    ns.sever(address(fault.peer))?;
                    std::thread::sleep(fault.lasting);
                    ns.heal()?;
                }
            }
            self.windows.push(Window {
                kind: fault.kind,
                from,
                to: now_micros(),
            });
        }
        Ok(self)
    }

    /// Ends watching: what the last life printed joins the others.
    pub(crate) fn finish(&mut self) {
        if let Node::Beam(beam) = &self.node {
            self.lives.push(Life {
                lines: beam.output().all(),
                ended: now_micros(),
            });
        }
    }

    fn live_again(&mut self, network: &Network) -> Result<()> {
        // epmd and peers may need a moment to see that the old life is over.
        let node = poll_until("a new life", NAME_FREE, || {
            start_node(network, self.number, self.guests, &self.cookie)
        });
        self.node = node.with_context(|| self.name.clone())?;
        Ok(())
    }

    fn process(&mut self) -> &mut enmesh_interop::Process {
        match &mut self.node {
            Node::Beam(beam) => beam.process(),
            Node::Ours(member) => member.process(),
        }
    }
}

fn is_beam(number: usize, guests: Guests) -> bool {
    number < BEAMS || guests == Guests::Beams
}

fn node_name(number: usize) -> String {
    // Some members sort before every BEAM and some after, so that both sides of global's rules are met.
    let letter = match (number < BEAMS, number % 2) {
        (true, _) => 'm',
        (false, 0) => 'a',
        (false, _) => 'z',
    };
    format!("{letter}{number}@{}", address(number))
}

fn start_node(
    network: &Network,
    number: usize,
    guests: Guests,
    cookie: &NamedTempFile,
) -> Result<Node> {
    let name = node_name(number);
    let ns = network.of(number);
    let beams = match guests {
        Guests::Ours => 0..BEAMS,
        Guests::Beams => 0..BEAMS + MEMBERS,
    };
    let hosts: Vec<String> = (0..BEAMS + MEMBERS).map(node_name).collect();
    if is_beam(number, guests) {
        let IpAddr::V4(ip) = address(number) else {
            unreachable!("all addresses here are IPv4");
        };
        let [a, b, c, d] = ip.octets();
        let options = format!("[{{ip,{{{a},{b},{c},{d}}}}}]");
        let ticktime = NET_TICKTIME.to_string();
        let extra = [
            "-kernel",
            "net_ticktime",
            &ticktime,
            "inet_dist_connect_options",
            &options,
        ];
        let otp = Otp::ALL[number % Otp::ALL.len()];
        let mut beam = Beam::start(otp, ns, &name, COOKIE, &extra)?;
        let peers: Vec<String> = beams.map(|peer| format!("'{}'", node_name(peer))).collect();
        beam.eval(&WATCH.replace("PEERS", &format!("[{}]", peers.join(","))))?;
        return Ok(Node::Beam(Box::new(beam)));
    }
    let path = cookie.path().to_string_lossy().into_owned();
    let topology = format!("strategy=epmd name=list hosts={}", hosts.join(","));
    let ticktime = format!("{NET_TICKTIME}s");
    let arguments = [
        "run",
        "--visible",
        "--echo",
        "--name",
        &name,
        "--cookie-file",
        &path,
        "--log-format",
        "json",
        "--net-ticktime",
        &ticktime,
        "--topology",
        &topology,
    ];
    let member = Enmesh::start(ns, arguments)?;
    member.wait_for(END, |record| record["message"] == "node started")?;
    Ok(Node::Ours(member))
}

fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.expect("the clock is past 1970").as_micros();
    u64::try_from(micros).expect("far from the end of time")
}
