use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::arguments::{Arguments, Command as SubCommand};
use clap::Parser as _;

const POD: [(&str, &str); 4] = [
    ("POD_IP", "10.1.2.3"),
    ("POD_NAMESPACE", "prod"),
    ("POD_NAME", "web-0"),
    ("CLUSTER_DOMAIN", "k8s.example"),
];

/// What is printed for these words in this pod.
fn printed(words: &str, variables: &[(&str, &str)]) -> Result<String, String> {
    printed_with(words, &[&POD[..], variables].concat())
}

fn printed_with(words: &str, variables: &[(&str, &str)]) -> Result<String, String> {
    let root = tempfile::tempdir().unwrap();
    let words = ["enmesh", "env"]
        .into_iter()
        .chain(words.split_whitespace());
    let SubCommand::Env(options) = Arguments::try_parse_from(words).unwrap().command else {
        unreachable!("the word is env");
    };
    let environment: Environment = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let environment = environment.with_root(root.path());
    text(&options, &environment).map_err(|errors| errors.to_string())
}

#[track_caller]
fn check(words: &str, variables: &[(&str, &str)], wanted: &str) {
    assert_eq!(printed(words, variables).as_deref(), Ok(wanted));
}

#[test]
fn the_name_of_the_release_is_made_as_its_peers_make_it() {
    check(
        "--mode ip",
        &[("RELEASE_NAME", "shop")],
        "export RELEASE_DISTRIBUTION='name'\nexport RELEASE_NODE='shop@10.1.2.3'\n",
    );
    check(
        "--mode hostname --name web --service web",
        &[("HOSTNAME", "web-0")],
        "export RELEASE_DISTRIBUTION='name'\n\
         export RELEASE_NODE='web@web-0.web.prod.svc.k8s.example'\n",
    );
    check(
        "--mode pod --name web --format env",
        &[],
        "RELEASE_DISTRIBUTION=sname\nRELEASE_NODE=web@web-0\n",
    );
}

#[test]
fn only_commands_that_start_the_node_get_its_port() {
    let node = "RELEASE_DISTRIBUTION=name\nRELEASE_NODE=web@10.1.2.3\n";
    let fixed = "--mode ip --name web --dist-port 9100 --format env";
    let none = "--mode ip --name web --epmd none --dist-port 9100 --format env";
    let listening = format!(
        "{node}ELIXIR_ERL_OPTIONS=-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9100\n"
    );
    let shared = format!(
        "{node}ERL_DIST_PORT=9100\nELIXIR_ERL_OPTIONS=-start_epmd false -erl_epmd_port 9100"
    );
    for command in ["start", "start_iex", "daemon", "daemon_iex", ""] {
        check(fixed, &[("RELEASE_COMMAND", command)], &listening);
        check(
            none,
            &[("RELEASE_COMMAND", command)],
            &format!("{shared}\n"),
        );
    }
    for command in ["remote", "rpc", "eval", "stop", "restart", "pid", "version"] {
        let asking = format!("{node}ELIXIR_ERL_OPTIONS=-dist_listen false\n");
        check(fixed, &[("RELEASE_COMMAND", command)], &asking);
        let asking = format!("{shared} -dist_listen false\n");
        check(none, &[("RELEASE_COMMAND", command)], &asking);
    }
}

#[test]
fn another_port_of_epmd_is_told_to_every_command() {
    let node = "RELEASE_DISTRIBUTION=name\nRELEASE_NODE=web@10.1.2.3\n";
    let other = "--mode ip --name web --epmd-port 4370";
    let variable = format!("{node}ERL_EPMD_PORT=4370\n");
    check(&format!("{other} --format env"), &[], &variable);
    let words = "--mode ip --name web --format env";
    check(words, &[("ENMESH_EPMD_PORT", "4370")], &variable);
    let argument = "-name web@10.1.2.3\n-env ERL_EPMD_PORT 4370\n";
    check(&format!("{other} --format vm.args"), &[], argument);
}

#[test]
fn options_of_the_user_stay_and_ours_stand_there_once() {
    let options = |words: &str, before: &str, command: &str| {
        let variables = [("ELIXIR_ERL_OPTIONS", before), ("RELEASE_COMMAND", command)];
        let words = format!("--mode ip --name web --format env {words}");
        let text = printed(&words, &variables).unwrap();
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix("ELIXIR_ERL_OPTIONS="));
        found.map(str::to_owned)
    };
    let none = "--epmd none --dist-port 9100";
    let first = options(none, "+sbwt none -kernel x 1", "start").unwrap();
    assert_eq!(
        first,
        "+sbwt none -kernel x 1 -start_epmd false -erl_epmd_port 9100"
    );
    // The node runs one of its own commands, and that another one.
    let second = options(none, &first, "rpc").unwrap();
    assert_eq!(second, format!("{first} -dist_listen false"));
    assert_eq!(options(none, &second, "rpc").as_ref(), Some(&second));
    assert_eq!(options(none, &second, "start").as_ref(), Some(&first));
    let fixed = options("--dist-port 9100", "-kernel x 1", "start").unwrap();
    let again = options("--dist-port 9100", &fixed, "start").unwrap();
    assert_eq!(
        again,
        "-kernel x 1 -kernel inet_dist_listen_min 9100 inet_dist_listen_max 9100"
    );
    assert_eq!(options("", "", "start"), None);
    assert_eq!(
        options("", "-dist_listen false", "start").as_deref(),
        Some("")
    );
}

#[test]
fn ipv6_and_tls_are_told_to_every_command() {
    let v6 = ("POD_IP", "fd00::7");
    let carrier = |words: &str, command| {
        let words = format!("--mode dns --name web --format env {words}");
        let text = printed(&words, &[v6, ("RELEASE_COMMAND", command)]).unwrap();
        assert!(
            text.contains("RELEASE_NODE=web@fd00--7.prod.pod.k8s.example\n"),
            "{text}"
        );
        text.lines().last().unwrap().to_owned()
    };
    assert_eq!(
        carrier("", "start"),
        "ELIXIR_ERL_OPTIONS=-proto_dist inet6_tcp"
    );
    let rpc = "ELIXIR_ERL_OPTIONS=-proto_dist inet6_tcp -dist_listen false";
    assert_eq!(carrier("", "rpc"), rpc);
    assert_eq!(
        carrier("--ssl-dist-optfile /tls/opts", "start"),
        "ELIXIR_ERL_OPTIONS=-proto_dist inet6_tls -ssl_dist_optfile /tls/opts"
    );
}

#[test]
fn the_cookie_comes_from_a_file_and_stands_in_no_arguments() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"top'secret\n").unwrap();
    let words = format!(
        "--mode ip --name web --cookie-file {}",
        file.path().display()
    );
    let text = printed(&words, &[("RELEASE_COOKIE", "old")]).unwrap();
    assert!(
        text.ends_with("export RELEASE_COOKIE='top'\\''secret'\n"),
        "{text}"
    );
    let text = printed(&format!("{words} --format vm.args"), &[]).unwrap();
    assert!(
        text.starts_with("-name web@10.1.2.3\n# The cookie is not here"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    // Neither what the release has already nor what lies at home is told again.
    let text = printed(
        "--mode ip --name web",
        &[("RELEASE_COOKIE", "old"), ("HOME", "/")],
    );
    assert!(!text.unwrap().contains("COOKIE"));
    let missing = printed("--mode ip --name web --cookie-file /nonexistent", &[]);
    assert!(missing.unwrap_err().contains("/nonexistent"));
}

#[test]
fn what_is_missing_is_told_with_the_line_that_gives_it() {
    let error = printed("--mode ip --name web", &[("POD_IP", "")]).unwrap_err();
    assert!(error.contains("fieldPath: status.podIP"), "{error}");
    let error = printed("--mode ip", &[]).unwrap_err();
    assert!(error.contains("--name web"), "{error}");
    for (words, name) in [("", ""), ("--name web", ""), ("", "web")] {
        let error = printed(words, &[("ENMESH_NAME", name)]).unwrap_err();
        assert!(error.contains("--mode ip"), "{error}");
        assert!(error.contains("ENMESH_NAME_MODE"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = printed("--mode ip --name web --epmd none", &[]).unwrap_err();
    assert!(error.contains("--dist-port"), "{error}");
}

#[test]
fn a_mode_is_one_of_those_that_the_help_names() {
    let parse =
        |mode| Arguments::try_parse_from(["enmesh", "env", "--name", "web", "--mode", mode]);
    for mode in ["foo", "auto", "IP", ""] {
        let error = parse(mode).unwrap_err().to_string();
        assert!(error.contains("'--mode <MODE>'"), "{error}");
        assert!(!error.contains("name-mode"), "{error}");
    }
    let error = printed("--name web", &[("ENMESH_NAME_MODE", "foo")]).unwrap_err();
    assert!(error.starts_with("ENMESH_NAME_MODE=\"foo\": "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    check(
        "--mode whole --name web@10.9.9.9 --format env",
        &[("ENMESH_NAME_MODE", "ip")],
        "RELEASE_DISTRIBUTION=name\nRELEASE_NODE=web@10.9.9.9\n",
    );
    let mut command = <Arguments as clap::CommandFactory>::command();
    let env = command.find_subcommand_mut("env").unwrap();
    let help = env.render_help().to_string();
    let told = help.split("--mode <MODE>").nth(1).unwrap();
    let told = told.split("  --").next().unwrap();
    for mode in MODES {
        assert!(parse(mode).is_ok() && told.contains(mode), "{mode}: {told}");
    }
}

#[test]
fn a_file_of_options_is_one_word() {
    for (file, is_taken) in [
        ("/tls/dist.conf", true),
        ("/my tls/dist.conf", false),
        ("", false),
    ] {
        let words = ["enmesh", "env", "--mode", "ip", "--ssl-dist-optfile", file];
        let parsed = Arguments::try_parse_from(words);
        assert_eq!(parsed.is_ok(), is_taken, "{file}");
    }
}

#[test]
fn arguments_for_erl_stand_one_to_a_line() {
    check(
        "--mode ip --name web --epmd none --dist-port 9100 --format vm.args",
        &[("RELEASE_COMMAND", "rpc")],
        "-name web@10.1.2.3\n-start_epmd false\n-erl_epmd_port 9100\n",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A real shell has the value as it was, whatever stands in it.
    #[test]
    fn a_shell_reads_back_what_was_quoted(value in "[ -~]{0,40}") {
        let text = shell::exports(&[("VALUE", value.clone())]);
        let output = Command::new("sh")
            .args(["-c", "eval \"$1\"; printf %s \"$VALUE\"", "sh", &text])
            .output()
            .unwrap();
        prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }
}

#[test]
fn a_shell_that_evaluates_a_failure_ends() {
    let script = "eval \"$1\"; echo went on";
    let ended = Command::new("sh")
        .args(["-c", script, "sh", &shell::exit(78)])
        .output();
    let ended = ended.unwrap();
    assert_eq!(
        (ended.status.code(), ended.stdout.as_slice()),
        (Some(78), &b""[..])
    );
}

#[test]
fn what_the_page_shows_is_what_comes_of_it() {
    let page = include_str!("../../../../docs/releases.md");
    let blocks: Vec<_> = page.split("```console\n$ ").skip(1).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let block = block.split("```").next().unwrap();
        let (line, wanted) = block.split_once('\n').unwrap();
        let (variables, words) = line.split_once("enmesh env ").unwrap();
        let variables: Vec<_> = variables
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .collect();
        let said = printed_with(words, &variables);
        let said = said.unwrap_or_else(|error| format!("enmesh: {error}\n"));
        assert_eq!(said, wanted, "{line}");
    }
}
