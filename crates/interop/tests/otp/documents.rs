//! What the pages of `docs` tell a BEAM to be told, read by a real one.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Output};

use enmesh_interop::{Authority, Epmd, NetNs, Otp};
use tempfile::NamedTempFile;

use crate::bench::{Member, beam, list, sees};

const TLS: &str = include_str!("../../../../docs/tls.md");
const GOSSIP: &str = include_str!("../../../../docs/discovery/gossip.md");
const RELEASES: &str = include_str!("../../../../docs/releases.md");

/// The first block of a page in this language that has these words in it.
fn block(page: &str, language: &str, words: &str) -> String {
    let blocks = page.split("```").skip(1).step_by(2);
    let mut blocks = blocks.filter_map(|block| block.split_once('\n'));
    let found = blocks.find(|(said, text)| said.trim() == language && text.contains(words));
    found.expect("the page has such a block").1.to_owned()
}

fn file(text: &str) -> (NamedTempFile, String) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// docs/tls.md: the file of options and the lines of vm.args, with the paths of other files.
pub(crate) fn the_options_of_the_page_make_links_over_tls(otp: Otp) {
    const BEAM: &str = "web@web.example";
    const US: &str = "rust@rust.example";
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let hosts = ["web.example", "rust.example"].map(|host| (loopback, host));
    let ns = NetNs::with_hosts(&hosts).unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let authority = Authority::new(&[BEAM, US]).unwrap();
    let mut options = block(TLS, "erlang", "fail_if_no_peer_cert");
    for (shown, what) in [
        ("web.example.crt", "crt"),
        ("web.example.key", "key"),
        ("ca.crt", "ca"),
    ] {
        let shown = format!("/etc/tls/{shown}");
        assert!(options.contains(&shown), "{shown}");
        options = options.replace(&shown, &authority.file(BEAM, what));
    }
    let (_options, path) = file(&options);
    let arguments = block(TLS, "", "-ssl_dist_optfile");
    let (_arguments, path) = file(&arguments.replace("/etc/tls/dist.conf", &path));
    let mut web = beam(otp, &ns, BEAM, &["-args_file", &path]);
    let topology = list(&[BEAM]);
    let flags = authority.flags(US);
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend(["--topology", &topology]);
    let rust = Member::start(&ns, US, &flags);
    rust.connected(0, BEAM);
    sees(&mut web, &[US]);
}

/// docs/releases.md: vm.args.src of a release by rebar3, with the variables put in as its start script does it.
#[test]
fn the_arguments_of_a_rebar3_release_name_a_node_of_otp_25() {
    let arguments = block(RELEASES, "", "${RELEASE_NODE}")
        .replace("${RELEASE_NODE}", "web@127.0.0.1")
        .replace("${RELEASE_COOKIE}", "of-the-release");
    let (_arguments, path) = file(&arguments);
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut erl = ns.command("erl");
    erl.args(["-noinput", "-start_epmd", "false", "-args_file", &path])
        .args([
            "-eval",
            "io:format(\"~s ~s\", [node(), erlang:get_cookie()]), halt().",
        ])
        .env("HOME", "/tmp");
    let output = erl.output().unwrap();
    assert_eq!(said(&output), "web@127.0.0.1 of-the-release");
}

/// docs/releases.md: what the release in pods is built with is what the page shows.
#[test]
fn the_release_of_rebar3_in_pods_is_as_its_page_says() {
    let arguments = include_str!("../kube_release/till/config/vm.args.src");
    assert_eq!(block(RELEASES, "", "${RELEASE_NODE}"), arguments);
    let script =
        include_str!("../kube_release/till/run.sh").replace("/till/bin/till", "/app/bin/web");
    assert_eq!(block(RELEASES, "sh", "$@"), script);
}

/// docs/discovery/gossip.md: what libcluster is told, read as Mix reads it. Elixir runs on OTP 25 here.
#[test]
fn elixir_on_otp_25_reads_the_configuration_of_libcluster() {
    const READ: &str = r#"
        text = "import Config\n" <> System.fetch_env!("PAGE")
        IO.write(inspect(Config.Reader.eval!("config.exs", text), width: :infinity))"#;
    let mut elixir = Command::new("elixir");
    elixir
        .args(["-e", READ])
        .env("PAGE", block(GOSSIP, "elixir", "libcluster"))
        .env("GOSSIP_SECRET", "of-the-group")
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/tmp");
    let topology = r#"[strategy: Cluster.Strategy.Gossip, config: [secret: "of-the-group"]]"#;
    let wanted = format!("[libcluster: [topologies: [web: {topology}]]]");
    assert_eq!(said(&elixir.output().unwrap()), wanted);
}
