//! Exit codes and messages that need no cluster.

use std::net::TcpListener;

use crate::running::{enmesh, private_file};

/// Exit code, stdout, stderr.
fn outcome(args: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let output = enmesh(args)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn refused(code: i32, args: &[&str], environment: &[(&str, &str)], said: &[&str]) {
    let (got, stdout, stderr) = outcome(args, environment);
    assert_eq!((got, stdout.as_str()), (code, ""), "{args:?}: {stderr}");
    for part in said {
        assert!(
            stderr.contains(part),
            "{args:?} should say {part:?}, said {stderr:?}"
        );
    }
}

#[test]
fn wrong_usage_ends_with_64() {
    refused(64, &[], &[], &["Usage: enmesh <COMMAND>", "Examples:"]);
    refused(64, &["fly"], &[], &["unrecognized subcommand 'fly'"]);
    refused(64, &["run", "--no-such-flag"], &[], &["--no-such-flag"]);
    refused(
        64,
        &["run", "--visible", "--hidden"],
        &[],
        &["cannot be used with"],
    );
    refused(
        64,
        &["run", "--cookie", "secret"],
        &[],
        &["unexpected argument '--cookie'"],
    );
    refused(64, &["check-config"], &[], &["<FILE>"]);
    refused(64, &["epmd", "--port", "0"], &[], &["1..=65535"]);
    refused(64, &["demo", "--nodes", "1"], &[], &["2..=12"]);
    refused(
        64,
        &["run", "--dist-port", "many"],
        &[],
        &["enmesh: --dist-port \"many\": not a port number; allowed: a port from 0 to 65535"],
    );
    refused(
        64,
        &["run", "--topology", "strategy=carrier_pigeon"],
        &[],
        &[
            "--topology",
            "carrier_pigeon",
            "allowed: epmd, local_epmd, epmd_all, ",
        ],
    );
}

/// `env` says to the shell as well that it failed, and reads what is missing as a wrong setting.
#[test]
fn wrong_flags_of_names_and_manifests_end_with_64() {
    for (words, said) in [
        (
            "inject --mode ip -f /no/such --service A_B",
            "--service \"A_B\"",
        ),
        ("inject --mode ip -f - --name X_Y", "--name \"X_Y\""),
        ("inject --mode ip -f - --account X", "--account \"X\""),
        (
            "inject --mode ip -f - --secret-key a/b",
            "--secret-key \"a/b\"",
        ),
        ("manifests --mode ip --image a:b:c", "--image \"a:b:c\""),
        ("manifests --mode ip --image=-x", "--image \"-x\""),
        (
            "manifests --mode ip --without-workload --replicas 3",
            "--replicas",
        ),
        (
            "manifests --mode ip --without-workload --min-peers 1",
            "--min-peers",
        ),
        (
            "manifests --mode ip --without-workload --app-image a",
            "--app-image",
        ),
        (
            "manifests --mode ip --without-workload --app-user 7",
            "--app-user",
        ),
        (
            "manifests --mode ip --kind agent --app-image a --app-command=",
            "--app-command",
        ),
    ] {
        let words: Vec<&str> = words.split_whitespace().collect();
        refused(64, &words, &[], &[said]);
    }
    for (code, words, environment, said) in [
        (64, "env --mode foo --name web", &[][..], "'--mode <MODE>'"),
        (78, "env --name web", &[], "give --mode ip"),
        (
            64,
            "env --mode srv --name web --service x.y",
            &[],
            "--service \"x.y\"",
        ),
        (
            78,
            "env --mode ip --name web",
            &[("POD_IP", "0.0.0.0")],
            "status.podIP",
        ),
    ] {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (got, stdout, stderr) = outcome(&words, environment);
        assert_eq!((got, stdout), (code, format!("exit {code}\n")), "{stderr}");
        assert!(stderr.contains(said), "{words:?}: {stderr}");
    }
    let (code, _, stderr) = outcome(&["inject", "--mode", "ip", "-f", "/dev/null"], &[]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("there is no Deployment"), "{stderr}");
}

#[test]
fn wrong_configuration_ends_with_78_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().to_str().unwrap();
    refused(
        78,
        &["run"],
        &[],
        &["the node's name is not set; give --name"],
    );
    refused(
        78,
        &["run"],
        &[("ENMESH_EPMD", "x")],
        &["ENMESH_EPMD=\"x\"", "system, embedded or"],
    );
    refused(
        78,
        &["run", "--name", "a@127.0.0.1"],
        &[],
        &["the cookie is not set", "--cookie-file"],
    );
    refused(
        78,
        &["run", "--name", "a@127.0.0.1"],
        &[("HOME", home)],
        &[
            ".erlang.cookie: No such file",
            "put the cluster's cookie into it",
        ],
    );
    refused(
        78,
        &["run", "--config", "/no/such.toml"],
        &[],
        &["/no/such.toml: cannot be read"],
    );
    refused(
        78,
        &["run", "--name", "a@127.0.0.1"],
        &[("RELEASE_COOKIE", "not\u{1}good")],
        &["RELEASE_COOKIE: a cookie has printable ASCII characters only"],
    );
}

#[test]
fn what_cannot_be_started_ends_with_1_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    refused(
        1,
        &[
            "run",
            "--name",
            "a@127.0.0.1",
            "--epmd",
            "none",
            "--dist-port",
            &port,
        ],
        &[("ENMESH_COOKIE_FILE", cookie.to_str().unwrap())],
        &[
            "the member did not start",
            &port,
            "give another --dist-port",
        ],
    );
    refused(
        1,
        &[
            "run",
            "--name",
            "a@127.0.0.1",
            "--http-listen",
            &format!("127.0.0.1:{port}"),
        ],
        &[("ENMESH_COOKIE_FILE", cookie.to_str().unwrap())],
        &[
            "the http server did not start: cannot listen on 127.0.0.1",
            "in use",
            "give another --http-listen",
        ],
    );
    refused(
        1,
        &["epmd", "--port", &port, "--listen", "127.0.0.1"],
        &[],
        &[
            "cannot serve epmd on port",
            &port,
            "give another with --port",
        ],
    );
}

#[test]
fn a_failure_is_an_object_where_the_log_is_json() {
    let args = ["run", "--log-format", "json", "--name", "a@127.0.0.1"];
    let (code, stdout, stderr) = outcome(&args, &[]);
    assert_eq!((code, stdout.as_str()), (78, ""));
    let record: serde_json::Value = serde_json::from_str(&stderr).expect("one object alone");
    assert_eq!(record["level"], "ERROR");
    assert_eq!(record["message"], "member failed");
    assert!(
        record["error"]
            .as_str()
            .unwrap()
            .contains("the cookie is not set")
    );
}

#[test]
fn help_ends_well_and_has_examples() {
    for command in ["run", "check-config", "epmd", "demo"] {
        let (code, stdout, stderr) = outcome(&[command, "--help"], &[]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{command}");
        assert!(
            stdout.contains(&format!("Examples:\n  enmesh {command}")),
            "{command}: {stdout}"
        );
    }
    let (code, stdout, _) = outcome(&["--version"], &[]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, concat!("enmesh ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

#[test]
fn check_config_prints_what_run_would_have_and_never_the_cookie() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "very-secret");
    let text = format!(
        "name = \"web@${{POD_IP}}\"\ncookie_file = {cookie:?}\nnet_ticktime = 30\n\
         [[topology]]\nstrategy = \"epmd\"\nhosts = [\"b@h\", \"c@h\"]\n"
    );
    let file = private_file(directory.path(), "enmesh.toml", &text);
    let args = ["check-config", file.to_str().unwrap()];
    let environment = [("POD_IP", "10.0.0.7"), ("ENMESH_DIST_PORT", "4370")];
    let (code, stdout, stderr) = outcome(&args, &environment);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in [
        "name = \"web@10.0.0.7\"",
        &format!("cookie_file = {cookie:?}"),
        "dist_port = 4370",
        "epmd = \"embedded\"",
        "net_ticktime = \"30s\"",
        "[[topology]]",
        "hosts = [\"b@h\", \"c@h\"]",
        "strategy = \"epmd\"",
    ] {
        assert!(
            stdout.lines().any(|printed| printed == line),
            "{line} is not in\n{stdout}"
        );
    }
    let (_, stdout, _) = outcome(&args, &[("POD_IP", "x"), ("RELEASE_COOKIE", "very-secret")]);
    assert!(!stdout.contains("very-secret"));
}

#[test]
fn check_config_names_file_key_value_and_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let file = private_file(
        directory.path(),
        "enmesh.toml",
        "epmd = \"mine\"\nnane = \"a@h\"\n",
    );
    let path = file.to_str().unwrap();
    refused(
        78,
        &["check-config", path],
        &[],
        &[
            &format!("enmesh: {path}: epmd = \"mine\""),
            "allowed: system, embedded or none",
            &format!("enmesh: {path}: unknown key \"nane\"; allowed are name, "),
        ],
    );
    let broken = private_file(directory.path(), "broken.toml", "name = \n");
    refused(
        78,
        &["check-config", broken.to_str().unwrap()],
        &[],
        &["not valid TOML", "line 1"],
    );
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = private_file(
        directory.path(),
        "enmesh.toml",
        "name = \"web@${POD_IP}\"\n",
    );
    refused(
        78,
        &["run", "--config", file.to_str().unwrap()],
        &[],
        &["enmesh.toml: name = \"web@${POD_IP}\": the environment variable POD_IP is not set"],
    );
}

/// A panic would end with 101 and a trace in place of a reason.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_said() {
    let full = || std::fs::File::options().write(true).open("/dev/full");
    let unwritten = "cannot write to stdout";
    for (words, code, reason) in [
        (&["env", "--mode", "ip", "--name", "web"][..], 1, unwritten),
        (&["env", "--mode", "ip"], 78, "give --name web"),
        (&["env", "--mode"], 64, "--mode"),
        (&["manifests", "--mode", "ip"], 1, unwritten),
    ] {
        let mut command = enmesh(words);
        command.env("POD_IP", "127.0.0.1").stdout(full().unwrap());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(reason), "{words:?}: {said}");
    }
}
