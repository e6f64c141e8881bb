//! The three roads together, and the sample file.

mod documents;

use std::io::Write;

use enmesh_discovery::TopologyConfig;

use super::setting::KEYS;
use super::*;

const SAMPLE: &str = include_str!("../../../../enmesh.example.toml");

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn flags(pairs: &[(&'static str, &str)]) -> Layer {
    pairs
        .iter()
        .flat_map(|(key, text)| Flags::layer([(*key, &Some((*text).to_owned()))]))
        .collect()
}

fn of_flags(pairs: &[(&'static str, &str)]) -> Flags<'static> {
    Flags {
        settings: flags(pairs),
        ..Flags::default()
    }
}

/// The merged configuration of a file called `enmesh.toml` in an empty directory.
fn merge(
    flag: &[(&'static str, &str)],
    topologies: &[&str],
    variables: &[(&str, &str)],
    file: &str,
) -> Result<RunConfig, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("enmesh.toml");
    std::fs::File::create(&path)
        .unwrap()
        .write_all(file.as_bytes())
        .unwrap();
    let environment = environment(variables);
    let topologies: Vec<_> = topologies.iter().map(|text| (*text).to_owned()).collect();
    read_file(&path, &environment)
        .and_then(|file| {
            let flags = Flags {
                settings: flags(flag),
                topologies: &topologies,
                cookies: &[],
            };
            Merged::new(flags, &environment, Some(file)).read(&environment)
        })
        .map_err(|errors| {
            errors
                .to_string()
                .replace(&path.display().to_string(), "enmesh.toml")
        })
}

fn refused(variables: &[(&str, &str)], file: &str, expected: &str) {
    let text = merge(&[], &[], variables, file).unwrap_err();
    assert_eq!(text, expected, "{file}");
}

#[test]
fn a_flag_counts_more_than_the_environment_that_more_than_the_file_that_more_than_the_default() {
    let port = |flag, variables: &[_], file| merge(flag, &[], variables, file).unwrap().dist_port;
    let variable = [("ENMESH_DIST_PORT", "2")];
    assert_eq!(port(&[("dist_port", "1")], &variable, "dist_port = 3"), 1);
    assert_eq!(port(&[], &variable, "dist_port = 3"), 2);
    assert_eq!(port(&[], &[], "dist_port = 3"), 3);
    assert_eq!(port(&[], &[], ""), 0);
    assert_eq!(port(&[], &[("ENMESH_DIST_PORT", "")], "dist_port = 3"), 3);
    assert_eq!(port(&[], &[("ERL_DIST_PORT", "4")], "dist_port = 3"), 4);
    assert_eq!(port(&[], &[("ERL_DIST_PORT", "4"), variable[0]], ""), 2);
}

#[test]
fn what_kubernetes_says_of_a_service_is_no_setting() {
    let variables = [
        ("ENMESH_EPMD_PORT", "tcp://10.0.0.1:4369"),
        ("ENMESH_PORT", "tcp://x"),
    ];
    assert_eq!(merge(&[], &[], &variables, "").unwrap().epmd_port, 4369);
}

#[test]
fn topologies_are_replaced_as_a_whole() {
    let file = "[[topology]]\nstrategy = \"epmd\"\nhosts = [\"a@h\"]\nname = \"file\"\n";
    let names = |flag: &[&str], variables: &[(&str, &str)]| -> Vec<String> {
        let config = merge(&[], flag, variables, file).unwrap();
        config
            .topologies
            .iter()
            .map(|topology| topology.name.to_string())
            .collect()
    };
    let variable = [(
        "ENMESH_TOPOLOGY",
        "strategy=epmd hosts=b@h name=one\n\nstrategy=local_epmd name=two\n",
    )];
    assert_eq!(names(&[], &[]), ["file"]);
    assert_eq!(names(&[], &variable), ["one", "two"]);
    assert_eq!(names(&["strategy=epmd hosts=c@h"], &variable), ["epmd"]);
}

#[test]
fn references_to_the_environment_work_in_every_value_of_the_file() {
    let file = "name = \"web@${POD_IP}\"\ndist_port = \"${PORT:-4370}\"\n\
                [[topology]]\nstrategy = \"epmd\"\nhosts = [\"a@${POD_IP}\"]\n";
    let config = merge(&[], &[], &[("POD_IP", "10.0.0.7")], file).unwrap();
    assert_eq!(config.name.unwrap().as_str(), "web@10.0.0.7");
    assert_eq!(config.dist_port, 4370);
    assert!(
        config.topologies[0]
            .to_string()
            .contains("hosts=a@10.0.0.7")
    );
}

#[test]
fn errors_name_file_key_value_and_what_is_allowed() {
    refused(
        &[],
        "dist_port = 70000",
        "enmesh.toml: dist_port = \"70000\": not a port number; allowed: a port from 0 to 65535, \
         0 meaning any free one",
    );
    refused(
        &[],
        "net_ticktime = \"3h\"",
        "enmesh.toml: net_ticktime = \"3h\": out of range; allowed: 1s to 2h, as in \"60s\"; a \
         bare number is seconds",
    );
    refused(
        &[("ENMESH_EPMD", "mine")],
        "",
        "ENMESH_EPMD=\"mine\": an epmd mode is one of system, embedded and none; allowed: system, \
         embedded or none",
    );
    refused(
        &[],
        "visible = [true]",
        "enmesh.toml: visible = [true]: a value of the wrong type; allowed: true or false",
    );
    refused(
        &[],
        "name = \"a@${NO_SUCH}\"",
        "enmesh.toml: name = \"a@${NO_SUCH}\": the environment variable NO_SUCH is not set; set \
         it, or give a default: ${NO_SUCH:-default}",
    );
    refused(
        &[],
        "[[topology]]\nname = \"web\"\nstrategy = \"local_epmd\"\npolling_interval = \"1ms\"",
        "enmesh.toml: [[topology]] 1 (\"web\"): `1ms` is not allowed for key `polling_interval`: \
         a duration from 100ms to 1h, as in 5s, or milliseconds as a bare number",
    );
    refused(
        &[],
        "[topology]\nstrategy = \"epmd\"",
        "enmesh.toml: topology = { strategy = \"epmd\" }: not a list of tables; allowed: tables, \
         each under its own [[topology]]",
    );
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    let text = merge(&[], &[], &[], "dist_prot = 1").unwrap_err();
    assert!(
        text.starts_with("enmesh.toml: unknown key \"dist_prot\"; allowed are name, "),
        "{text}"
    );
    let file = "[[topology]]\nstrategy = \"epmd\"\nhosts = [\"a@h\"]\nhostss = 1";
    let text = merge(&[], &[], &[], file).unwrap_err();
    assert!(
        text.contains("[[topology]] 1: key `hostss` is unknown"),
        "{text}"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = merge(&[], &[], &[], "dist_port = -1\nepmd = \"x\"\nfoo = 1").unwrap_err();
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let text = merge(&[("epmd", "none")], &[], &[], "").unwrap_err();
    assert!(
        text.contains("--dist-port PORT, ERL_DIST_PORT or dist_port"),
        "{text}"
    );
    let text = merge(&[], &[], &[], "epmd = \"none\"").unwrap_err();
    assert!(
        text.contains(".toml: epmd = \"none\": dist_port is not set"),
        "the file is named: {text}"
    );
    let zero = merge(&[("epmd", "none"), ("dist_port", "0")], &[], &[], "").unwrap_err();
    assert!(zero.contains("--epmd \"none\": dist_port is 0, "), "{zero}");
    let text = merge(&[("epmd", "none"), ("dist_port", "many")], &[], &[], "").unwrap_err();
    assert_eq!(text.lines().count(), 1, "only the port is wrong: {text}");
    let twice = ["strategy=epmd hosts=a@h", "strategy=epmd hosts=b@h"];
    let text = merge(&[], &twice, &[], "").unwrap_err();
    let said = "another topology is named epmd already; allowed: a name of its own";
    assert!(
        text.starts_with("--topology \"strategy=epmd hosts=b@h\": "),
        "{text}"
    );
    assert!(text.contains(said), "{text}");
    let table = "[[topology]]\nstrategy = \"epmd\"\nhosts = [\"a@h\"]\n";
    let text = merge(&[], &[], &[], &table.repeat(2)).unwrap_err();
    assert!(text.contains(".toml: [[topology]] 2: "), "{text}");
    assert!(text.contains(said), "{text}");
}

#[test]
fn certificates_come_together_from_any_road() {
    let file = "[tls]\ncert_file = \"c\"\nkey_file = \"${DIR}/k\"\nverify_client = false";
    let variables = [("DIR", "/d"), ("ENMESH_TLS_CA_FILE", "a")];
    let tls = merge(&[], &[], &variables, file).unwrap().tls.unwrap();
    assert_eq!(tls.key_file, std::path::Path::new("/d/k"));
    assert_eq!(tls.ca_file, std::path::Path::new("a"));
    assert!(!tls.verify_client);
    let flags = [
        ("tls.cert_file", "c"),
        ("tls.key_file", "k"),
        ("tls.ca_file", "a"),
    ];
    let tls = merge(&flags, &[], &[], "").unwrap().tls.unwrap();
    assert!(tls.verify_client);
    refused(
        &[],
        "[tls]\ncert_file = \"c\"\nca_file = \"a\"",
        "enmesh.toml: tls.cert_file = \"c\": tls.key_file is not set; allowed: the path of our \
         certificate in PEM, with key_file and ca_file",
    );
    let text = merge(&[("tls.verify_client", "false")], &[], &[], "").unwrap_err();
    assert!(
        text.starts_with("--tls-verify-client \"false\": tls.cert_file is not set; "),
        "{text}"
    );
    let text = merge(&[], &[], &[], "[tls]\ncertfile = \"c\"").unwrap_err();
    assert!(text.contains("unknown key \"tls.certfile\""), "{text}");
}

#[test]
fn an_address_of_ipv6_needs_no_brackets_before_its_port() {
    let listen =
        |text: &str| merge(&[("http.listen", text)], &[], &[], "").map(|it| it.http_listen);
    assert_eq!(merge(&[], &[], &[], "").unwrap().http_listen, None);
    for (text, wanted) in [
        ("10.0.0.1:9369", "10.0.0.1:9369"),
        ("[fd00::7]:9369", "[fd00::7]:9369"),
        ("fd00::7:9369", "[fd00::7]:9369"),
        ("1:2:3:4:5:6:7:8:9369", "[1:2:3:4:5:6:7:8]:9369"),
        (":::0", "[::]:0"),
    ] {
        assert_eq!(listen(text).unwrap(), wanted.parse().ok(), "{text}");
    }
    for text in [
        "9369",
        ":9369",
        "localhost:9369",
        "10.0.0.1",
        "fd00::7:99999",
        "::",
    ] {
        let error = listen(text).unwrap_err();
        assert!(error.contains("not an IP address and a port"), "{error}");
    }
    let file = "min_peers = 2\n[http]\nlisten = \"${POD_IP}:9369\"";
    let config = merge(&[], &[], &[("POD_IP", "fd00::7")], file).unwrap();
    assert_eq!(config.http_listen, "[fd00::7]:9369".parse().ok());
    assert_eq!(config.min_peers, 2);
    refused(
        &[("ENMESH_MIN_PEERS", "10001")],
        "",
        "ENMESH_MIN_PEERS=\"10001\": out of range; allowed: 0 to 10000",
    );
}

#[test]
fn cookies_of_single_peers_come_from_files_and_the_strongest_road_counts() {
    let cookies = |cookies: &[&str], variables: &[(&str, &str)], file: &str| {
        let environment = environment(variables);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("enmesh.toml");
        std::fs::write(&path, file).unwrap();
        let cookies: Vec<_> = cookies.iter().map(|text| (*text).to_owned()).collect();
        let flags = Flags {
            cookies: &cookies,
            ..Flags::default()
        };
        let file = read_file(&path, &environment).unwrap();
        let read = Merged::new(flags, &environment, Some(file)).read(&environment);
        let found = read.map_err(|errors| errors.to_string())?.cookies;
        Ok::<Vec<String>, String>(
            found
                .iter()
                .map(|cookie| format!("{} {}", cookie.peer, cookie.path.display()))
                .collect(),
        )
    };
    let file = "[cookies]\n\"a@h\" = \"/file\"\n\"b@h\" = \"${DIR:-/d}/b\"";
    let variables = [("ENMESH_COOKIES", "a@h=/variable\n\nc@h=/c=c\n")];
    assert_eq!(cookies(&[], &[], file).unwrap(), ["a@h /file", "b@h /d/b"]);
    assert_eq!(
        cookies(&["c@h=/flag"], &variables, file).unwrap(),
        ["a@h /variable", "b@h /d/b", "c@h /flag"]
    );
    let refused = |flags: &[&str], variables: &[(&str, &str)], file: &str| {
        cookies(flags, variables, file).unwrap_err()
    };
    let text = refused(&["a@h"], &[], "");
    assert!(
        text.starts_with("--cookie-for a@h: no = in it; allowed: "),
        "{text}"
    );
    let text = refused(&[], &[("ENMESH_COOKIES", "a=/f")], "");
    assert!(
        text.starts_with("ENMESH_COOKIES=a=/f: \"a\": a node name has"),
        "{text}"
    );
    let text = refused(&[], &[], "[cookies]\n\"a@h\" = \"\"");
    assert!(
        text.contains("cookies.\"a@h\" = \"\": the path is empty"),
        "{text}"
    );
}

#[test]
fn the_allow_list_is_a_list_or_a_text_and_never_empty() {
    let allow = |flag: &[(&'static str, &str)], file| {
        let allow = merge(flag, &[], &[], file)?.allow;
        Ok::<_, String>(allow.map(|(_, entries)| entries))
    };
    let file = "allow = [\"app@\", \"${HOST:-10.0.0.1}\", \"a@h\"]";
    assert_eq!(allow(&[], "").unwrap(), None);
    assert_eq!(
        allow(&[], file).unwrap().unwrap(),
        ["app@", "10.0.0.1", "a@h"]
    );
    let flag = [("allow", "b@h, app@")];
    assert_eq!(allow(&flag, file).unwrap().unwrap(), ["b@h", "app@"]);
    let text = allow(&[], "allow = []").unwrap_err();
    assert!(
        text.contains("nobody is named; leave it out to allow everybody"),
        "{text}"
    );
    assert!(
        allow(&[], "allow = [1]")
            .unwrap_err()
            .contains("not a text")
    );
    assert!(
        allow(&[("allow", "a@h@h")], "")
            .unwrap_err()
            .starts_with("--allow ")
    );
}

#[test]
fn a_line_that_is_no_toml_is_named_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("enmesh.toml");
    std::fs::write(&path, "name = \"a@h\"\ncookie = hunter2\n").unwrap();
    let text = read_file(&path, &environment(&[])).unwrap_err().to_string();
    assert!(
        text.contains("enmesh.toml: not valid TOML: line 2, column 10: "),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn only_the_command_line_makes_a_usage_error() {
    let usage = |flag: &[(&'static str, &str)], variables: &[(&str, &str)]| {
        let environment = environment(variables);
        let merged = Merged::new(of_flags(flag), &environment, None);
        merged.read(&environment).unwrap_err().is_usage()
    };
    assert!(usage(&[("dist_port", "x")], &[]));
    assert!(!usage(&[], &[("ENMESH_DIST_PORT", "x")]));
    assert!(!usage(&[("dist_port", "x")], &[("ENMESH_EPMD", "x")]));
}

#[test]
fn the_event_command_is_a_list_json_or_words_and_never_empty() {
    let command = |flag: &[_], file| merge(flag, &[], &[], file).map(|config| config.on_event);
    let words = |words: &[&str]| Ok(Some(words.iter().map(|word| (*word).to_owned()).collect()));
    assert_eq!(command(&[], ""), Ok(None));
    let file = "on_event = [\"/bin/hook\", \"a, b\", \"\"]";
    assert_eq!(command(&[], file), words(&["/bin/hook", "a, b", ""]));
    assert_eq!(
        command(&[], "on_event = \"hook -v\""),
        words(&["hook", "-v"])
    );
    let flag = [("on_event", "[\"sh\", \"-c\", \"exit 1\"]")];
    assert_eq!(command(&flag, file), words(&["sh", "-c", "exit 1"]));
    for (text, reason) in [
        ("", "no command is named; leave it out to run none"),
        ("[]", "no command is named; leave it out to run none"),
        ("[\"\"]", "no command is named; leave it out to run none"),
        ("[1]", "not a list of texts"),
        ("[\"a\"", "not a list of texts"),
    ] {
        let error = command(&[("on_event", text)], "").unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
    let printed = print(&merge(&[], &[], &[], file).unwrap());
    assert_eq!(command(&[], &printed), command(&[], file));
}

#[test]
fn the_address_to_listen_on_follows_the_family_of_the_name() {
    let listen = |name| {
        merge(&[("name", name)], &[], &[], "")
            .unwrap()
            .listen
            .to_string()
    };
    assert_eq!(listen("a@h"), "0.0.0.0");
    assert_eq!(listen("a@10.0.0.1"), "0.0.0.0");
    assert_eq!(listen("a@fd00::1"), "::");
}

#[test]
fn the_sample_file_says_what_the_defaults_are() {
    let sample = merge(&[], &[], &[], SAMPLE).unwrap();
    let defaults = merge(&[], &[], &[], "").unwrap();
    let settings = |config: &RunConfig| -> Vec<String> {
        let text = print(config);
        let particular = ["name", "cookie", "allow", "on_event", "#"];
        let without = |line: &&str| !particular.iter().any(|word| line.contains(word));
        let settings = text.lines().take_while(|line| !line.starts_with('['));
        settings
            .filter(without)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(settings(&sample), settings(&defaults));
    assert_eq!(sample.name.unwrap().as_str(), "rust@127.0.0.1");
}

#[test]
fn the_sample_file_shows_every_key() {
    let table: toml::Table = SAMPLE.parse().unwrap();
    for key in &KEYS {
        let shown = match key.name.split_once('.') {
            Some((outer, inner)) => table.get(outer).and_then(|table| table.get(inner)),
            None => table.get(key.name),
        };
        assert!(shown.is_some(), "{} is not in the sample", key.name);
    }
    assert!(table.contains_key("cookies"));
    let topologies = table["topology"].as_array().unwrap();
    for strategy in [
        "epmd hosts=a@h",
        "local_epmd",
        "kubernetes kubernetes_selector=a=b",
        "kubernetes_dns service=s application_name=a",
        "kubernetes_dns_srv service=s namespace=n application_name=a",
        "dns_poll query=q node_basename=a",
        "dns domain=d",
        "dns_cluster query=q",
        "epmd_all",
        "erlang_hosts",
        "gossip",
        "postgres hostname=h username=u database=d channel_name=c",
        "rancher node_basename=a",
        "exec command=a",
        "file path=a",
    ] {
        let text = format!("strategy={strategy} no_such_key=1");
        let error = text.parse::<TopologyConfig>().unwrap_err();
        let enmesh_discovery::ConfigError::UnknownKey {
            strategy, allowed, ..
        } = error
        else {
            panic!("{error}");
        };
        let shown = topologies
            .iter()
            .find(|topology| topology["strategy"].as_str() == Some(strategy))
            .unwrap_or_else(|| panic!("strategy {strategy} is not in the sample"));
        for key in allowed.iter().chain(&["name"]) {
            // A secret stands there or in a file, never in both.
            let is_shown = |key: &str| shown.get(key).is_some();
            assert!(
                is_shown(key) || is_shown(&format!("{key}_file")),
                "{key} of {strategy} is not in the sample"
            );
        }
    }
}

#[test]
fn what_is_printed_is_read_back_the_same() {
    let config = merge(&[], &[], &[], SAMPLE).unwrap();
    let printed = print(&config);
    assert_eq!(print(&merge(&[], &[], &[], &printed).unwrap()), printed);
}

#[cfg(unix)]
#[test]
fn a_file_without_an_end_is_not_read_to_its_end() {
    let path = std::path::Path::new("/dev/zero");
    let errors = read_file(path, &environment(&[])).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "/dev/zero: cannot be read: longer than 1048576 bytes; give the path of a readable file \
         with --config"
    );
}

#[test]
fn a_topology_of_any_length_is_not_repeated_whole() {
    let long = "x".repeat(100_000);
    let named = format!("[[topology]]\nname = \"{long}\"");
    for error in [
        merge(&[], &[&long], &[], "").unwrap_err(),
        merge(&[], &[], &[], &named).unwrap_err(),
    ] {
        assert!(error.len() < 600, "{} bytes", error.len());
    }
}

#[test]
fn a_pod_makes_its_own_name_from_whichever_road_says_how() {
    let pod = [
        ("POD_IP", "10.1.2.3"),
        ("POD_NAMESPACE", "prod"),
        ("CLUSTER_DOMAIN", "k8s.example"),
    ];
    let name = |flags: &[(&'static str, &str)], more: &[(&str, &str)], file: &str| {
        let variables = [&pod[..], more].concat();
        let config = merge(flags, &[], &variables, file)?;
        Ok::<_, String>(config.name.unwrap().to_string())
    };
    let ip = [("name", "web"), ("name_mode", "ip")];
    assert_eq!(name(&ip, &[], ""), Ok("web@10.1.2.3".to_owned()));
    let from_file = name(&[], &[("ENMESH_NAME", "api")], "name_mode = \"dns\"");
    assert_eq!(
        from_file,
        Ok("api@10-1-2-3.prod.pod.k8s.example".to_owned())
    );
    let srv = [
        ("ENMESH_NAME_MODE", "srv"),
        ("SERVICE_NAME", "all"),
        ("RELEASE_NAME", "shop"),
    ];
    let by_variables = name(&[], &srv, "");
    assert_eq!(
        by_variables,
        Ok("shop@10-1-2-3.all.prod.svc.k8s.example".to_owned())
    );
    let whole = [("name", "web@10.9.9.9"), ("name_mode", "whole")];
    assert_eq!(name(&whole, &srv, ""), Ok("web@10.9.9.9".to_owned()));
}

#[test]
fn a_name_that_cannot_be_made_says_what_to_add() {
    let error = |flags: &[(&'static str, &str)], variables: &[(&str, &str)]| {
        merge(flags, &[], variables, "").unwrap_err()
    };
    let ip = ("name_mode", "ip");
    let text = error(&[("name", "web"), ip], &[]);
    assert!(
        text.contains("POD_IP is not set") && text.contains("status.podIP"),
        "{text}"
    );
    let text = error(&[("name", "web@h"), ip], &[("POD_IP", "10.1.2.3")]);
    assert!(
        text.contains("--name") && text.contains("before the @ alone"),
        "{text}"
    );
    let text = error(&[ip], &[("POD_IP", "10.1.2.3")]);
    assert!(text.contains("before the @ is not set"), "{text}");
    let text = error(&[("name", "web"), ("name_mode", "auto")], &[]);
    assert!(
        text.contains("--name-mode") && text.contains("hostname or pod"),
        "{text}"
    );
}

#[test]
fn an_address_that_no_pod_can_have_makes_no_name() {
    for address in [
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ] {
        let flags = [("name", "web"), ("name_mode", "ip")];
        let text = merge(&flags, &[], &[("POD_IP", address)], "").unwrap_err();
        assert!(
            text.contains("POD_IP holds") && text.contains("fieldPath: status.podIP"),
            "{address}: {text}"
        );
    }
}

#[test]
fn only_what_a_mode_needs_is_looked_at() {
    let pod = [
        ("POD_IP", "10.1.2.3"),
        ("POD_NAMESPACE", "prod"),
        ("CLUSTER_DOMAIN", "k8s.example"),
        ("POD_NAME", "a b"),
    ];
    let config = |mode, variables: &[(&str, &str)]| {
        let flags = [("name", "web"), ("name_mode", mode), ("service", "x y")];
        let variables = [&pod[..], variables].concat();
        let made = merge(&flags, &[], &variables, "")?;
        Ok::<_, String>(made.name.unwrap().to_string())
    };
    let wrong = [("POD_NAMESPACE", "a b"), ("HOSTNAME", "a b")];
    assert_eq!(config("ip", &wrong), Ok("web@10.1.2.3".to_owned()));
    let by_dns = Ok("web@10-1-2-3.prod.pod.k8s.example".to_owned());
    assert_eq!(config("dns", &[]), by_dns);
    for mode in ["srv", "hostname", "pod"] {
        let text = config(mode, &[("POD_NAME", "web-0")]).unwrap_err();
        assert!(
            text.starts_with("--service \"x y\": ") && !text.contains("SERVICE_NAME"),
            "{mode}: {text}"
        );
    }
    let by_variable = [("SERVICE_NAME", "x y"), ("POD_IP", "10.1.2.3")];
    let flags = [("name", "web"), ("name_mode", "srv")];
    let text = merge(&flags, &[], &by_variable, "").unwrap_err();
    assert!(text.starts_with("SERVICE_NAME=\"x y\": "), "{text}");
}

#[test]
fn a_name_made_of_an_ipv6_address_listens_on_ipv6() {
    let flags = [("name", "web"), ("name_mode", "dns")];
    let variables = [("POD_IP", "fd00::7"), ("POD_NAMESPACE", "prod")];
    let config = merge(&flags, &[], &variables, "").unwrap();
    assert!(
        config
            .name
            .unwrap()
            .as_str()
            .starts_with("web@fd00--7.prod.pod.")
    );
    assert_eq!(config.listen.to_string(), "::");
}
