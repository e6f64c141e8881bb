//! Members whose links run over TLS, and what they say when it does not come up.

#[path = "log/log.rs"]
mod log;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use enmesh::{Builder, Cookie, EpmdMode, Node, NodeName, StartError, TlsConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{Level, instrument::WithSubscriber};

use crate::log::Log;

const PATIENCE: Duration = Duration::from_secs(20);

/// An authority that can sign certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// A folder with the files of a node on `host`, which is an address.
    fn folder(&self, host: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.sign(folder.path(), host, |_| {});
        folder
    }

    fn sign(&self, folder: &Path, host: &str, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        let address = host.parse().unwrap();
        params.subject_alt_names.push(SanType::IpAddress(address));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
        fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
        fs::write(folder.join("ca.crt"), self.0.pem()).unwrap();
    }
}

fn files(folder: &TempDir) -> TlsConfig {
    let file = |name| folder.path().join(name);
    TlsConfig::new(file("tls.crt"), file("tls.key"), file("ca.crt"))
}

fn name(host: &str) -> NodeName {
    format!("n@{host}").parse().unwrap()
}

fn free_port() -> u16 {
    let any = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    any.local_addr().unwrap().port()
}

/// A member that listens on its own address alone, so that all of them share one port.
fn builder(host: &str, port: u16) -> Builder {
    Node::builder(name(host), Cookie::new("secret").unwrap())
        .visible(false)
        .listen(host.parse::<IpAddr>().unwrap())
        .dist_port(port)
        .epmd(EpmdMode::None)
        .setup_time(Duration::from_secs(3))
}

async fn start(builder: Builder) -> (Node, Log) {
    let log = Log::from(Level::INFO);
    let started = builder.start().with_subscriber(log.clone());
    (started.await.unwrap(), log)
}

async fn connect(from: &Node, to: &str) -> Result<(), String> {
    let connecting = timeout(PATIENCE, from.connect(name(to)));
    connecting.await.unwrap().map_err(|error| error.to_string())
}

#[tokio::test]
async fn members_of_one_authority_connect_and_show_each_other_certificates() {
    let authority = Authority::new();
    let port = free_port();
    let folders = ["127.0.1.1", "127.0.1.2"].map(|host| (host, authority.folder(host)));
    let (one, log) = start(builder(folders[0].0, port).tls(files(&folders[0].1))).await;
    let (other, _) = start(builder(folders[1].0, port).tls(files(&folders[1].1))).await;
    connect(&one, "127.0.1.2").await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while other.nodes() != [name("127.0.1.1")] {
        assert!(Instant::now() < deadline, "{:?}", other.nodes());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(log.count("certificate"), 0);
    other.shutdown().await;
    log.said(&["node disconnected", "connection_closed"]).await;
}

#[tokio::test]
async fn another_authority_is_said_on_both_sides() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let port = free_port();
    let (here, there) = (ours.folder("127.0.2.1"), theirs.folder("127.0.2.2"));
    let (one, log) = start(builder("127.0.2.1", port).tls(files(&here))).await;
    let (_other, other_log) = start(builder("127.0.2.2", port).tls(files(&there))).await;
    connect(&one, "127.0.2.2").await.unwrap_err();
    let ca_file = files(&here).ca_file;
    let told = ["tls_untrusted", "n@127.0.2.2", ca_file.to_str().unwrap()];
    log.said(&told).await;
    other_log.said(&["link refused", "tls_refused"]).await;
}

/// TLS 1.3 tells the one who dialled only when its own handshake is done.
#[tokio::test]
async fn a_refused_certificate_of_ours_is_said_with_its_file() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let port = free_port();
    let (here, there) = (ours.folder("127.0.3.1"), theirs.folder("127.0.3.2"));
    // We trust their authority, and they do not trust ours.
    fs::copy(files(&there).ca_file, files(&here).ca_file).unwrap();
    let (one, log) = start(builder("127.0.3.1", port).tls(files(&here))).await;
    log.said(&["peers will refuse our certificate"]).await;
    let (_other, other_log) = start(builder("127.0.3.2", port).tls(files(&there))).await;
    connect(&one, "127.0.3.2").await.unwrap_err();
    let cert_file = files(&here).cert_file;
    log.said(&["tls_refused", cert_file.to_str().unwrap()])
        .await;
    let wanted = ["link refused", "tls_untrusted", "from=127.0.0.1"];
    other_log.said(&wanted).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_or_time_is_said() {
    let authority = Authority::new();
    let port = free_port();
    let here = authority.folder("127.0.4.1");
    let (one, log) = start(builder("127.0.4.1", port).tls(files(&here))).await;
    let there = authority.folder("127.0.4.9");
    let (other, _) = start(builder("127.0.4.2", port).tls(files(&there))).await;
    connect(&one, "127.0.4.2").await.unwrap_err();
    log.said(&["tls_wrong_name", "127.0.4.9", "not for 127.0.4.2"])
        .await;
    other.shutdown().await;
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    authority.sign(there.path(), "127.0.4.3", expired);
    let (_other, other_log) = start(builder("127.0.4.3", port).tls(files(&there))).await;
    other_log.said(&["peers will refuse our certificate"]).await;
    connect(&one, "127.0.4.3").await.unwrap_err();
    log.said(&["tls_expired", "has expired", "days ago"]).await;
}

#[tokio::test]
async fn tls_and_plain_members_say_so_of_each_other() {
    let port = free_port();
    let folder = Authority::new().folder("127.0.5.1");
    let (secured, secured_log) = start(builder("127.0.5.1", port).tls(files(&folder))).await;
    let (plain, plain_log) = start(builder("127.0.5.2", port)).await;
    connect(&plain, "127.0.5.1").await.unwrap_err();
    plain_log.said(&["peer_speaks_tls", "n@127.0.5.1"]).await;
    secured_log.said(&["link refused", "speaks no tls"]).await;
    connect(&secured, "127.0.5.2").await.unwrap_err();
    plain_log.said(&["link refused", "it speaks TLS"]).await;
    secured_log.said(&["tls_not_spoken", "n@127.0.5.2"]).await;
}

/// As whoever looks whether the port is open does.
#[tokio::test]
async fn whoever_goes_without_a_word_is_not_warned_of() {
    let port = free_port();
    let folder = Authority::new().folder("127.0.19.1");
    let log = Log::from(Level::DEBUG);
    let starting = builder("127.0.19.1", port).tls(files(&folder)).start();
    let _secured = starting.with_subscriber(log.clone()).await.unwrap();
    for _ in 0..3 {
        drop(TcpStream::connect(("127.0.19.1", port)).await.unwrap());
    }
    let deadline = Instant::now() + PATIENCE;
    while log.count("link closed before tls came up") < 3 {
        assert!(Instant::now() < deadline, "{log:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(log.count("link refused"), 0, "{log:?}");
}

/// Whoever takes the connection and says nothing, as a BEAM without TLS does.
#[tokio::test]
async fn a_peer_that_does_not_answer_is_given_up_in_time_with_the_reason() {
    let port = free_port();
    let folder = Authority::new().folder("127.0.6.1");
    let _mute = tokio::net::TcpListener::bind(("127.0.6.2", port))
        .await
        .unwrap();
    let (one, log) = start(builder("127.0.6.1", port).tls(files(&folder))).await;
    connect(&one, "127.0.6.2").await.unwrap_err();
    log.said(&["tls_no_answer", "-proto_dist inet_tls"]).await;
}

/// Those who connect and begin no TLS, or begin it and stop.
#[tokio::test]
async fn mute_strangers_are_bounded_and_keep_nobody_out() {
    let port = free_port();
    let authority = Authority::new();
    let folders = ["127.0.10.1", "127.0.10.2"].map(|host| (host, authority.folder(host)));
    let patient = |at: usize| {
        let (host, folder) = &folders[at];
        let builder = builder(host, port).tls(files(folder));
        builder.setup_time(Duration::from_secs(60))
    };
    let (one, _) = start(patient(0)).await;
    let mut mute = Vec::new();
    for at in 0..600 {
        let mut socket = TcpStream::connect((folders[0].0, port)).await.unwrap();
        if at % 2 == 0 {
            // A hello of 512 bytes is announced, and one byte of it comes.
            socket.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
        }
        mute.push(socket);
    }
    let (other, _) = start(patient(1)).await;
    connect(&other, folders[0].0).await.unwrap();
    assert_eq!(one.nodes(), [name(folders[1].0)]);
    for socket in &mut mute[..2] {
        let closed = timeout(PATIENCE, socket.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    }
}

/// Who comes over TLS and then does not hold the cookie, or says something else than a name.
#[tokio::test]
async fn a_certificate_is_no_cookie() {
    let port = free_port();
    let authority = Authority::new();
    let (here, there) = (
        authority.folder("127.0.11.1"),
        authority.folder("127.0.11.2"),
    );
    let (one, log) = start(builder("127.0.11.1", port).tls(files(&here))).await;
    let thief = Node::builder(name("127.0.11.2"), Cookie::new("another").unwrap())
        .listen("127.0.11.2".parse().unwrap())
        .dist_port(port)
        .epmd(EpmdMode::None)
        .tls(files(&there));
    let (thief, _) = start(thief).await;
    connect(&thief, "127.0.11.1").await.unwrap_err();
    log.said(&["cookie", "n@127.0.11.2"]).await;
    assert_eq!(one.nodes(), []);
}

#[tokio::test]
async fn new_files_count_without_a_restart_and_bad_ones_keep_the_old() {
    let (old, new) = (Authority::new(), Authority::new());
    let port = free_port();
    let (here, there) = (old.folder("127.0.7.1"), new.folder("127.0.7.2"));
    let (one, log) = start(builder("127.0.7.1", port).tls(files(&here))).await;
    let (other, _) = start(builder("127.0.7.2", port).tls(files(&there))).await;
    connect(&one, "127.0.7.2").await.unwrap_err();
    fs::write(files(&here).key_file, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let deadline = Instant::now() + PATIENCE;
    while log.count("certificates cannot be read again") == 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
        connect(&one, "127.0.7.2").await.unwrap_err();
    }
    log.said(&["cannot be read again", "tls.key is damaged"])
        .await;
    new.sign(here.path(), "127.0.7.1", |_| {});
    while connect(&one, "127.0.7.2").await.is_err() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(log.count("certificates were replaced"), 1);
    assert_eq!(log.count("certificates cannot be read again"), 1);
    other.shutdown().await;
}

#[tokio::test]
async fn who_need_not_show_a_certificate_needs_the_cookie_alone() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let port = free_port();
    let (here, there) = (ours.folder("127.0.8.1"), theirs.folder("127.0.8.2"));
    fs::copy(files(&there).ca_file, files(&here).ca_file).unwrap();
    let (one, _) = start(builder("127.0.8.1", port).tls(files(&here))).await;
    let open = files(&there).verify_client(false);
    let (_other, _) = start(builder("127.0.8.2", port).tls(open)).await;
    connect(&one, "127.0.8.2").await.unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_keep_the_node_from_starting() {
    let folder = Authority::new().folder("127.0.9.1");
    let start = async |tls| {
        let error = builder("127.0.9.1", free_port()).tls(tls).start().await;
        let StartError::Tls(error) = error.unwrap_err() else {
            panic!("something else than TLS kept it");
        };
        error.to_string()
    };
    let good = files(&folder);
    let mut missing = good.clone();
    missing.ca_file = folder.path().join("none");
    assert!(start(missing).await.ends_with("none cannot be read"));
    let mut swapped = good.clone();
    swapped.cert_file = good.key_file.clone();
    assert!(
        start(swapped)
            .await
            .contains("tls.key holds no certificate")
    );
    let mut swapped = good.clone();
    swapped.key_file = good.cert_file.clone();
    assert!(start(swapped).await.contains("holds no private key"));
    let other = Authority::new().folder("127.0.9.1");
    let mut mixed = good.clone();
    mixed.key_file = files(&other).key_file;
    assert!(start(mixed).await.contains("cannot be used with the key"));
}
