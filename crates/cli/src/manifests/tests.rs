use clap::ValueEnum as _;
use enmesh_discovery::TopologyConfig;
use serde_json::Value;

use super::notes::notes;
use super::print::{json_list, yaml_documents};
use super::settings::{
    API_PORT, App, Certificates, Epmd, Kind, Lookup, Mode, Settings, SettingsError, word,
};
use super::{Document, documents};

fn settings() -> Settings {
    Settings {
        name: "web".to_owned(),
        service: "web".to_owned(),
        selector: [("app".to_owned(), "web".to_owned())].into(),
        namespace: "prod".to_owned(),
        mode: Mode::Ip,
        kind: Kind::Member,
        lookup: Lookup::Endpointslices,
        epmd: Epmd::Own,
        tls: None,
        image: "enmesh:1".to_owned(),
        pull_policy: None,
        app: App::default(),
        around_only: false,
        api_port: API_PORT,
        replicas: 3,
        min_peers: None,
        cluster_domain: None,
        json_log: false,
        cookie: None,
    }
}

/// A BEAM of somebody's, steered by the agent.
fn agent() -> Settings {
    let mut settings = Settings {
        kind: Kind::Agent,
        ..settings()
    };
    settings.app.image = "app:1".to_owned();
    settings
}

/// Every mix of settings that fits together.
fn product() -> Vec<Settings> {
    let mut all = Vec::new();
    for &mode in Mode::value_variants() {
        for &lookup in Lookup::value_variants() {
            for epmd in [Epmd::Own, Epmd::Sidecar, Epmd::None] {
                for kind in [Kind::Member, Kind::Agent] {
                    for tls in [
                        None,
                        Some(Certificates::Secret),
                        Some(Certificates::CertManager),
                    ] {
                        let mut one = Settings {
                            mode,
                            lookup,
                            epmd,
                            kind,
                            tls,
                            ..settings()
                        };
                        if kind == Kind::Agent {
                            one.app.image = "app:1".to_owned();
                        }
                        all.push(one);
                    }
                }
            }
        }
    }
    all.retain(|one| one.check().is_ok());
    all
}

fn kinds(documents: &[Document]) -> Vec<&str> {
    documents
        .iter()
        .filter_map(|document| document.object["kind"].as_str())
        .collect()
}

fn find(settings: &Settings, kind: &str) -> Value {
    let found = documents(settings)
        .into_iter()
        .find(|document| document.object["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}")).object
}

fn pod(settings: &Settings) -> Value {
    let kind = if settings.is_stateful() {
        "StatefulSet"
    } else {
        "Deployment"
    };
    find(settings, kind)["spec"]["template"]["spec"].clone()
}

fn variable(container: &Value, name: &str) -> Option<String> {
    let variables = container["env"].as_array().unwrap();
    let found = variables.iter().find(|variable| variable["name"] == name)?;
    found["value"].as_str().map(str::to_owned)
}

#[test]
fn a_member_has_everything_in_the_order_in_which_it_is_applied() {
    let documents = documents(&settings());
    let wanted = [
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "Service",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Deployment",
    ];
    assert_eq!(kinds(&documents), wanted);
}

#[test]
fn the_text_says_what_the_objects_are() {
    // A few of each kind: the parser is slow where it is not optimised.
    for settings in product().into_iter().step_by(17) {
        let documents = documents(&settings);
        let objects: Vec<&Value> = documents.iter().map(|one| &one.object).collect();
        let text = yaml_documents(&["a header".to_owned()], &documents);
        let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), objects);
        let list: Value = serde_json::from_str(&json_list(&documents)).unwrap();
        assert_eq!(
            list["items"].as_array().unwrap().iter().collect::<Vec<_>>(),
            objects
        );
    }
}

#[test]
fn every_topology_is_understood() {
    for settings in product() {
        // As the kubelet puts it in.
        let text = settings.topology().replace("$(POD_NAMESPACE)", "prod");
        text.parse::<TopologyConfig>()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn a_role_holds_what_the_lookup_reads_and_dns_needs_none() {
    let check = |lookup, mode, resources: &[&str]| {
        let settings = Settings {
            lookup,
            mode,
            ..settings()
        };
        settings.check().unwrap();
        if resources.is_empty() {
            assert!(!kinds(&documents(&settings)).contains(&"Role"));
            assert!(!kinds(&documents(&settings)).contains(&"RoleBinding"));
            assert_eq!(pod(&settings)["automountServiceAccountToken"], false);
            return;
        }
        let role = find(&settings, "Role");
        let rules = role["rules"].as_array().unwrap();
        let named: Vec<&str> = rules
            .iter()
            .flat_map(|rule| rule["resources"].as_array().unwrap())
            .map(|resource| resource.as_str().unwrap())
            .collect();
        assert_eq!(named, resources);
        for rule in rules {
            assert_eq!(rule["verbs"], serde_json::json!(["list", "watch"]));
        }
        assert_eq!(pod(&settings)["automountServiceAccountToken"], true);
    };
    check(Lookup::Endpointslices, Mode::Dns, &["endpointslices"]);
    check(Lookup::Endpoints, Mode::Ip, &["endpoints"]);
    check(Lookup::Pods, Mode::Hostname, &["pods"]);
    check(
        Lookup::Auto,
        Mode::Ip,
        &["endpointslices", "endpoints", "pods"],
    );
    check(Lookup::Dns, Mode::Ip, &[]);
    check(Lookup::Srv, Mode::Pod, &[]);
}

#[test]
fn what_does_not_fit_is_said_with_what_would() {
    let check = |change: &dyn Fn(&mut Settings), wanted: &str| {
        let mut settings = settings();
        change(&mut settings);
        let error: SettingsError = settings.check().unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    };
    check(&|s| s.name = "Web".into(), "--name \"Web\"");
    check(&|s| s.name = "a".repeat(41), "1 to 40");
    check(&|s| s.name = "web-".into(), "no - at the end");
    check(&|s| s.namespace = String::new(), "--namespace");
    check(
        &|s| (s.lookup, s.mode) = (Lookup::Dns, Mode::Pod),
        "take --mode ip",
    );
    check(
        &|s| (s.lookup, s.mode) = (Lookup::Srv, Mode::Dns),
        "take --mode srv",
    );
    check(
        &|s| s.tls = Some(Certificates::Secret),
        "take --mode hostname",
    );
    check(&|s| s.app.image = "app".into(), "--kind agent");
    check(&|s| s.image = " ".into(), "--image is empty");
    check(&|s| s.app.user = Some(1000), "--app-user");
    check(&|s| s.image = "a b".into(), "--image \"a b\"");
    check(&|s| s.image = "a:b:c".into(), "--image \"a:b:c\"");
    check(
        &|s| (s.kind, s.app.image) = (Kind::Agent, "-x".into()),
        "--app-image \"-x\"",
    );
    check(
        &|s| {
            s.kind = Kind::Agent;
            s.app.command = vec![String::new(), "start".into()];
        },
        "leave it out",
    );
    check(
        &|s| s.cluster_domain = Some(String::new()),
        "--cluster-domain",
    );
}

#[test]
fn the_users_container_has_a_name_of_its_own() {
    for (name, epmd, is_taken) in [
        ("enmesh", Epmd::Own, true),
        ("enmesh-install", Epmd::Own, true),
        ("epmd", Epmd::Sidecar, true),
        ("epmd", Epmd::Own, false),
    ] {
        let settings = Settings {
            name: name.to_owned(),
            epmd,
            ..agent()
        };
        let refused = settings.check().err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), is_taken, "{name}: {refused:?}");
        if settings.check().is_ok() {
            let pod = pod(&settings);
            let lists = [&pod["containers"], &pod["initContainers"]];
            let all = lists.iter().flat_map(|list| list.as_array().unwrap());
            let names: Vec<_> = all.map(|it| it["name"].to_string()).collect();
            let mut once = names.clone();
            once.sort();
            once.dedup();
            assert_eq!(once.len(), names.len(), "{names:?}");
        }
    }
}

#[test]
fn a_label_has_one_value() {
    let labels = |texts: &[&str]| {
        let labels = texts.iter().map(|text| super::names::label(text).unwrap());
        super::one_of_each(&labels.collect::<Vec<_>>())
    };
    assert_eq!(labels(&["a=1", "b=2", "a=1"]).unwrap().len(), 2);
    let error = labels(&["a=1", "a=2"]).unwrap_err().to_string();
    assert!(error.contains("two values for a;"), "{error}");
}

#[test]
fn no_port_is_served_by_two() {
    let check = |port, epmd, wanted: Option<&str>| {
        let mut settings = agent();
        settings.epmd = epmd;
        settings.app.ports = vec![80, port];
        let refused = settings.check().err().map(|error| error.to_string());
        match wanted {
            Some(wanted) => assert!(refused.unwrap().contains(wanted), "{port}"),
            None => assert_eq!(refused, None),
        }
    };
    for epmd in [Epmd::Own, Epmd::Sidecar, Epmd::None] {
        check(9369, epmd, Some("probes"));
        check(9100, epmd, Some("the distribution"));
        check(9110, epmd, None);
        let listens = epmd != Epmd::None;
        check(4369, epmd, listens.then_some("epmd"));
        check(9109, epmd, listens.then_some("9100 to 9109"));
    }
}

#[test]
fn around_a_workload_of_the_users_nothing_cuts_off_whom_it_serves() {
    let around = |settings: Settings| Settings {
        around_only: true,
        ..settings
    };
    let access = ["ServiceAccount", "Role", "RoleBinding", "Service"];
    for settings in [agent(), settings()] {
        let settings = around(settings);
        assert_eq!(kinds(&documents(&settings)), access);
        let notes = notes(&settings);
        assert!(notes[0].contains("no PodDisruptionBudget"), "{notes:?}");
        assert!(notes[0].contains("no NetworkPolicy"), "{notes:?}");
        assert!(notes[1].contains(": --image; give"), "{notes:?}");
    }
    let mut serving = around(agent());
    serving.app.ports = vec![4000, 4001];
    assert_eq!(
        kinds(&documents(&serving)),
        [&access[..], &["NetworkPolicy"]].concat()
    );
    let policy = find(&serving, "NetworkPolicy");
    let open = serde_json::json!({"ports": [{"protocol": "TCP", "port": 4000}, {"protocol": "TCP", "port": 4001}]});
    assert_eq!(policy["spec"]["ingress"][2], open);
    assert_eq!(
        policy["spec"]["policyTypes"],
        serde_json::json!(["Ingress"])
    );
    assert!(notes(&serving)[0].contains("nothing else"));
}

#[test]
fn what_can_never_be_is_said_beforehand() {
    let check = |settings: Settings, wanted: Option<&str>| {
        let notes = notes(&settings);
        match wanted {
            Some(wanted) => assert!(notes.len() == 1 && notes[0].contains(wanted), "{notes:?}"),
            None => assert!(notes.is_empty(), "{notes:?}"),
        }
    };
    let waiting = |replicas, peers| Settings {
        replicas,
        min_peers: Some(peers),
        ..settings()
    };
    check(
        waiting(2, 2),
        Some("each of 2 pods has 1 of the --min-peers 2"),
    );
    check(waiting(3, 2), None);
    check(waiting(0, 2), Some("-n prod scale deployment/web"));
    check(settings(), None);
    check(agent(), None);
    let named = |mode, epmd| Settings {
        mode,
        epmd,
        ..agent()
    };
    check(named(Mode::Dns, Epmd::Own), Some("names of --mode dns:"));
    check(
        named(Mode::Srv, Epmd::None),
        Some("--mode srv and the flags of --epmd none:"),
    );
    check(
        named(Mode::Pod, Epmd::None),
        Some("hold the flags of --epmd none:"),
    );
}

#[test]
fn a_member_is_let_out_to_the_api_where_it_is() {
    let ports = |api_port| {
        let settings = Settings {
            api_port,
            ..settings()
        };
        let policy = find(&settings, "NetworkPolicy");
        let ports = policy["spec"]["egress"][1]["ports"].as_array().unwrap();
        let ports = ports.iter().map(|port| port["port"].as_u64().unwrap());
        ports.collect::<Vec<_>>()
    };
    assert_eq!(ports(API_PORT), [443, 6443]);
    assert_eq!(ports(16443), [443, 16443]);
    assert_eq!(ports(443), [443]);
}

#[test]
fn names_with_the_pods_have_a_subdomain_by_which_they_know_themselves() {
    for settings in product() {
        let wanted = (settings.mode == Mode::Pod).then_some("web");
        assert_eq!(pod(&settings)["subdomain"].as_str(), wanted, "{settings:?}");
    }
}

#[test]
fn probes_the_policy_and_the_service_name_the_ports_that_are_served() {
    for settings in product() {
        let pod = pod(&settings);
        let none = Vec::new();
        let containers = ["containers", "initContainers"];
        let containers = containers
            .iter()
            .flat_map(|key| pod[key].as_array().unwrap_or(&none));
        let mut served: Vec<u64> = containers
            .flat_map(|container| container["ports"].as_array().unwrap_or(&none))
            .map(|port| port["containerPort"].as_u64().unwrap())
            .collect();
        served.sort_unstable();
        let policy = find(&settings, "NetworkPolicy");
        let mut let_in: Vec<u64> = policy["spec"]["ingress"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|rule| rule["ports"].as_array().unwrap())
            .map(|port| port["port"].as_u64().unwrap())
            .collect();
        let_in.sort_unstable();
        assert_eq!(served, let_in, "{settings:?}");
        let service = find(&settings, "Service");
        for port in service["spec"]["ports"].as_array().unwrap() {
            assert!(served.contains(&port["port"].as_u64().unwrap()));
        }
    }
}

#[test]
fn every_container_may_do_nothing_but_run() {
    for settings in product() {
        let pod = pod(&settings);
        let none = Vec::new();
        for key in ["containers", "initContainers"] {
            for container in pod[key].as_array().unwrap_or(&none) {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false);
                assert_eq!(security["readOnlyRootFilesystem"], true);
                assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
            }
        }
        // The cookie's file is for this group and nobody else.
        assert_eq!(pod["securityContext"]["fsGroup"], 65532);
        let cookie = &pod["volumes"][0];
        assert_eq!(cookie["name"], "enmesh-cookie");
        assert_eq!(cookie["secret"]["defaultMode"], 0o400);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(
            pod["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
    }
}

#[test]
fn the_cookie_is_nowhere_but_in_its_secret() {
    let settings = Settings {
        cookie: Some("verysecret".to_owned()),
        ..settings()
    };
    let documents = documents(&settings);
    let holding = documents
        .iter()
        .filter(|one| one.object.to_string().contains("verysecret"));
    let holding: Vec<_> = holding.map(|one| one.object["kind"].clone()).collect();
    assert_eq!(holding, ["Secret"]);
    assert_eq!(find(&settings, "Secret")["immutable"], true);
}

#[test]
fn a_node_of_the_users_is_told_its_name_where_the_kubelet_can_make_it() {
    let check = |mode, wanted: Option<&str>| {
        let settings = Settings { mode, ..agent() };
        let pod = pod(&settings);
        let node = variable(&pod["containers"][0], "RELEASE_NODE");
        assert_eq!(node.as_deref(), wanted);
        let agent = &pod["initContainers"][1];
        assert_eq!(agent["restartPolicy"], "Always");
        assert_eq!(
            variable(agent, "ENMESH_NAME_MODE").as_deref(),
            Some(word(&mode).as_str())
        );
    };
    check(Mode::Ip, Some("web@$(POD_IP)"));
    check(
        Mode::Hostname,
        Some("web@$(POD_NAME).web.$(POD_NAMESPACE).svc.cluster.local"),
    );
    check(
        Mode::Pod,
        Some("web@$(POD_NAME).web.$(POD_NAMESPACE).svc.cluster.local"),
    );
    check(Mode::Srv, None);
    check(Mode::Dns, None);
}
