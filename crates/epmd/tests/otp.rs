//! Real BEAM nodes and OTP's own epmd, each story in a network namespace of its own.
//!
//! Our side runs in this process, on a thread that has entered the namespace.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use enmesh_epmd::{
    DEFAULT_PORT, Keeper, KeeperConfig, NodeInfo, NodeType, Registration, RegistrationConfig, Role,
    Server, ServerConfig, names, port_please,
};
use enmesh_interop::{Beam, Epmd, NetNs, Otp};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(10);
const EPMD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT);

/// Something of ours that runs inside of a namespace until it is stopped or dropped.
struct Inside {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    /// Runs `work` on a thread and runtime of its own; it must end when its token is cancelled.
    fn run<F: Future<Output = ()>>(
        ns: &NetNs,
        work: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let token = stop.clone();
        let namespace = File::open(ns.path()).unwrap();
        let thread = std::thread::spawn(move || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), network).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(work(token));
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    fn server(ns: &NetNs) -> Self {
        Self::run(ns, async |stop| {
            let server = bind_soon().await;
            server.run(stop).await;
        })
    }

    fn stop(mut self) {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The usual port, as soon as whoever was there before is gone.
async fn bind_soon() -> Server {
    let deadline = Instant::now() + LIMIT;
    loop {
        match Server::bind(ServerConfig::default()) {
            Ok(server) => return server,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until OTP's `epmd -names` lists exactly these, and says how long that took.
fn wait_names(ns: &NetNs, wanted: &[&str]) -> Duration {
    let begin = Instant::now();
    loop {
        let found = Epmd::names(ns);
        if found.as_ref().is_ok_and(|found| found == wanted) {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < LIMIT, "{found:?} instead of {wanted:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(otp: Otp, ns: &NetNs, name: &str) -> Beam {
    Beam::start(otp, ns, name, "secret", &[]).unwrap()
}

/// Two nodes meet through our server, and register anew when it is replaced.
fn two_nodes_live_with_our_server(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let server = Inside::server(&ns);
    wait_names(&ns, &[]);
    let mut a = start(otp, &ns, "a@127.0.0.1");
    let _b = start(otp, &ns, "b@127.0.0.1");
    assert_eq!(a.eval("net_adm:ping('b@127.0.0.1')").unwrap(), "pong");
    assert_eq!(Epmd::names(&ns).unwrap(), ["a", "b"]);
    let listed = a.eval("element(1, erl_epmd:names({127,0,0,1}))").unwrap();
    assert_eq!(listed, "ok");

    server.stop();
    assert!(Epmd::names(&ns).is_err());
    let _server = Inside::server(&ns);
    let took = wait_names(&ns, &["a", "b"]);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let mut c = start(otp, &ns, "c@127.0.0.1");
    assert_eq!(c.eval("net_adm:ping('b@127.0.0.1')").unwrap(), "pong");
}

#[test]
fn otp_25_nodes_live_with_our_server() {
    two_nodes_live_with_our_server(Otp::R25);
}

#[test]
fn otp_27_nodes_live_with_our_server() {
    two_nodes_live_with_our_server(Otp::R27);
}

#[test]
fn otp_29_nodes_live_with_our_server() {
    two_nodes_live_with_our_server(Otp::R29);
}

#[test]
fn otp_25_node_that_is_killed_gets_its_name_back_at_once_with_a_new_creation() {
    let ns = NetNs::new().unwrap();
    let _server = Inside::server(&ns);
    wait_names(&ns, &[]);
    let mut creations = Vec::new();
    for _ in 0..3 {
        let mut node = start(Otp::R25, &ns, "a@127.0.0.1");
        creations.push(
            node.eval("erlang:system_info(creation)")
                .unwrap()
                .parse::<u32>()
                .unwrap(),
        );
        node.kill9().unwrap();
    }
    assert!(creations.is_sorted_by(|a, b| a < b), "{creations:?}");
}

#[test]
fn otp_25_name_in_use_is_refused_to_a_second_node() {
    let ns = NetNs::new().unwrap();
    let _server = Inside::server(&ns);
    wait_names(&ns, &[]);
    let _first = start(Otp::R25, &ns, "a@127.0.0.1");
    let second = Beam::start(Otp::R25, &ns, "a@127.0.0.1", "secret", &[]);
    assert!(second.is_err());
    assert_eq!(Epmd::names(&ns).unwrap(), ["a"]);
}

#[test]
fn otp_25_command_line_commands_our_server() {
    let ns = NetNs::new().unwrap();
    let server = Inside::server(&ns);
    wait_names(&ns, &[]);
    let node = start(Otp::R25, &ns, "a@127.0.0.1");
    let dump = ns.run("epmd", ["-d", "-names"]).unwrap();
    assert!(dump.contains("up and running on port 4369"), "{dump}");
    let refused = ns.command("epmd").arg("-kill").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stdout);
    assert!(said.contains("Killing not allowed"), "{said}");
    drop(node);
    wait_names(&ns, &[]);
    let killed = ns.run("epmd", ["-kill"]).unwrap();
    assert!(killed.contains("Killed"), "{killed}");
    server.stop();
    assert!(Epmd::names(&ns).is_err());
}

#[test]
fn otp_25_epmd_that_is_restarted_has_our_registration_again() {
    let ns = NetNs::new().unwrap();
    let mut epmd = Epmd::start(&ns).unwrap();
    let (tell, told) = channel();
    let _ours = Inside::run(&ns, async move |stop| {
        let registration = Registration::start(RegistrationConfig::new("rust", 9999));
        let creation = registration.registered().await.unwrap();
        let found = port_please(EPMD, "rust", LIMIT).await.unwrap();
        let missing = port_please(EPMD, "nobody", LIMIT).await.unwrap();
        tell.send((creation, found, missing)).unwrap();
        stop.cancelled().await;
        registration.stop().await;
    });
    let (creation, found, missing) = told.recv_timeout(LIMIT).unwrap();
    assert!(creation.get() >= 4);
    assert_eq!(found, Some(NodeInfo::new("rust", 9999, NodeType::Visible)));
    assert_eq!(missing, None);
    let mut node = start(Otp::R25, &ns, "a@127.0.0.1");
    let told = node
        .eval("element(2, erl_epmd:port_please(\"rust\", {127,0,0,1}))")
        .unwrap();
    assert_eq!(told, "9999");
    epmd.kill9().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let took = wait_names(&ns, &["a", "rust"]);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn otp_25_epmd_that_dies_is_replaced_by_ours_within_two_seconds() {
    let ns = NetNs::new().unwrap();
    let mut epmd = Epmd::start(&ns).unwrap();
    let node = start(Otp::R25, &ns, "a@127.0.0.1");
    let (tell, told) = channel();
    let ours = Inside::run(&ns, async move |stop| {
        let keeper = Keeper::start(KeeperConfig::new(RegistrationConfig::new("rust", 9999)));
        let role = *keeper.role().borrow();
        keeper.registered().await.unwrap();
        let mut found = names(EPMD, LIMIT).await.unwrap();
        found.sort();
        tell.send((role, found)).unwrap();
        stop.cancelled().await;
        keeper.stop().await;
    });
    let (role, found) = told.recv_timeout(LIMIT).unwrap();
    assert_eq!(role, Role::Client);
    assert_eq!(
        (found[0].0.as_str(), &found[1..]),
        ("a", &[("rust".to_owned(), 9999)][..])
    );
    epmd.kill9().unwrap();
    let begin = Instant::now();
    while !Epmd::names(&ns).is_ok_and(|found| found.contains(&"rust".to_owned())) {
        assert!(begin.elapsed() < Duration::from_secs(2), "nobody took over");
    }
    wait_names(&ns, &["a", "rust"]);
    drop(node);
    wait_names(&ns, &["rust"]);
    ours.stop();
}
