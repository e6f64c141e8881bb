use super::super::config::KubernetesConfig;
use super::super::naming::Naming;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

const SEARCH: &str = "search prod.svc.k8s.example svc.k8s.example k8s.example\n\
                      nameserver 10.96.0.10\n";

/// A pod as kubelet makes it: its variables and files.
struct Pod {
    variables: BTreeMap<&'static str, &'static str>,
    hosts: &'static str,
    resolv_conf: &'static str,
    service: Option<&'static str>,
}

/// A pod of a Deployment.
fn deployed() -> Pod {
    Pod {
        variables: [
            ("POD_IP", "10.1.2.3"),
            ("POD_NAME", "web-6d4cf56db6-2xkqp"),
            ("POD_NAMESPACE", "prod"),
            ("HOSTNAME", "web-6d4cf56db6-2xkqp"),
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ]
        .into(),
        hosts: "127.0.0.1\tlocalhost\n10.1.2.3\tweb-6d4cf56db6-2xkqp\n",
        resolv_conf: SEARCH,
        service: None,
    }
}

/// A pod of a StatefulSet with the serviceName web.
fn stateful() -> Pod {
    let mut pod = deployed();
    pod.variables
        .extend([("POD_NAME", "web-0"), ("HOSTNAME", "web-0")]);
    pod.hosts = "127.0.0.1\tlocalhost\n10.1.2.3\tweb-0.web.prod.svc.k8s.example\tweb-0\n";
    pod
}

impl Pod {
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.insert(name, value);
        self
    }

    fn of(self, service: &'static str) -> Self {
        Self {
            service: Some(service),
            ..self
        }
    }

    fn facts(&self) -> Result<PodFacts, PodNameError> {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join("hosts"), self.hosts).unwrap();
        std::fs::write(etc.join("resolv.conf"), self.resolv_conf).unwrap();
        let variable = |name: &str| self.variables.get(name).map(|text| (*text).to_owned());
        PodFacts::gather(variable, root.path(), self.service)
    }

    fn name(&self, mode: NameMode) -> Result<String, String> {
        let name = self.facts().and_then(|facts| facts.name(mode, "web"));
        name.map(|name| name.to_string())
            .map_err(|error| error.to_string())
    }
}

#[track_caller]
fn check(pod: &Pod, mode: NameMode, name: &str) {
    assert_eq!(pod.name(mode).as_deref(), Ok(name), "{mode}");
}

#[track_caller]
fn refused(pod: &Pod, mode: NameMode, words: &[&str]) {
    let error = pod.name(mode).unwrap_err();
    for word in words {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_pod_of_a_deployment_has_a_name_in_every_mode() {
    let pod = deployed();
    check(&pod, NameMode::Ip, "web@10.1.2.3");
    check(&pod, NameMode::Dns, "web@10-1-2-3.prod.pod.k8s.example");
    check(&pod, NameMode::Pod, "web@web-6d4cf56db6-2xkqp");
    let pod = pod.of("web");
    check(&pod, NameMode::Srv, "web@10-1-2-3.web.prod.svc.k8s.example");
    let long = "web@web-6d4cf56db6-2xkqp.web.prod.svc.k8s.example";
    check(&pod, NameMode::Pod, long);
    check(&pod, NameMode::Hostname, long);
}

#[test]
fn a_pod_of_a_statefulset_finds_its_service_by_itself() {
    let pod = stateful();
    let long = "web@web-0.web.prod.svc.k8s.example";
    check(&pod, NameMode::Hostname, long);
    check(&pod, NameMode::Srv, long);
    check(&pod, NameMode::Pod, "web@web-0");
    check(&stateful().of("web"), NameMode::Pod, long);
}

#[test]
fn the_endpoint_of_a_mere_subdomain_has_no_host_name() {
    let mut pod = deployed();
    pod.hosts = "10.1.2.3\tweb-6d4cf56db6-2xkqp.web.prod.svc.k8s.example\tweb-6d4cf56db6-2xkqp\n";
    check(&pod, NameMode::Srv, "web@10-1-2-3.web.prod.svc.k8s.example");
    pod.hosts = "10.1.2.3\tset.web.prod.svc.k8s.example\tset\n";
    let pod = pod.with("HOSTNAME", "set");
    check(&pod, NameMode::Srv, "web@set.web.prod.svc.k8s.example");
    // The endpoint of another Service than that of the subdomain has none either.
    let pod = pod.of("all");
    check(&pod, NameMode::Srv, "web@10-1-2-3.all.prod.svc.k8s.example");
}

#[test]
fn ipv6_addresses_are_spelt_as_peers_spell_them() {
    let pod = deployed().with("POD_IP", "FD00:0::1");
    check(&pod, NameMode::Ip, "web@fd00::1");
    check(&pod, NameMode::Dns, "web@fd00--1.prod.pod.k8s.example");
    check(
        &deployed().with("POD_IP", "fd00::1,10.1.2.3"),
        NameMode::Ip,
        "web@fd00::1",
    );
}

#[test]
fn what_is_missing_is_named_with_the_line_that_gives_it() {
    let bare = |hosts| Pod {
        variables: BTreeMap::new(),
        hosts,
        resolv_conf: "nameserver 10.96.0.10\n",
        service: None,
    };
    let ip = ["POD_IP is not set", "mode ip", "fieldPath: status.podIP}"];
    refused(&bare(""), NameMode::Ip, &ip);
    let with_ip = bare("").with("POD_IP", "10.1.2.3");
    let namespace = ["POD_NAMESPACE", "fieldPath: metadata.namespace}"];
    refused(&with_ip, NameMode::Dns, &namespace);
    refused(
        &bare(""),
        NameMode::Pod,
        &["POD_NAME", "fieldPath: metadata.name}"],
    );
    let mut pod = deployed();
    refused(
        &pod,
        NameMode::Hostname,
        &["SERVICE_NAME", "headless Service"],
    );
    pod.variables.remove("HOSTNAME");
    refused(&pod.of("web"), NameMode::Hostname, &["HOSTNAME is not set"]);
}

#[test]
fn what_was_not_replaced_is_refused() {
    refused(
        &deployed().with("POD_IP", "$(POD_IP)"),
        NameMode::Ip,
        &["POD_IP holds \"$(POD_IP)\"", "status.podIP"],
    );
    refused(
        &deployed().with("POD_NAMESPACE", "${NS}"),
        NameMode::Dns,
        &["POD_NAMESPACE holds"],
    );
    refused(
        &deployed().of("a b"),
        NameMode::Pod,
        &["SERVICE_NAME holds"],
    );
    refused(
        &deployed(),
        NameMode::Ask,
        &["ask makes no name", "ip, dns, srv"],
    );
    let dotted = deployed().with("POD_NAME", "a.b");
    refused(&dotted, NameMode::Pod, &["called a.b", "SERVICE_NAME"]);
    let facts = deployed().facts().unwrap();
    for basename in ["", "a@b", "a b", "a.b", "ä"] {
        let refused = facts.name(NameMode::Ip, basename);
        let wanted = PodNameError::Basename {
            basename: basename.to_owned(),
        };
        assert_eq!(refused, Err(wanted));
    }
    let long = facts.name(NameMode::Ip, &"a".repeat(255));
    assert!(
        matches!(long, Err(PodNameError::TooLong { .. })),
        "{long:?}"
    );
}

#[test]
fn what_is_most_likely_wrong_is_said() {
    let doubts = |pod: &Pod, mode| {
        let facts = pod.facts().unwrap();
        let name = facts.name(mode, "web").unwrap();
        let doubts = facts.doubts(mode, &name);
        let texts = doubts.iter().map(ToString::to_string);
        texts.collect::<Vec<_>>().join("; ")
    };
    let here = |pod: Pod| pod.with("POD_IP", "127.0.0.1");
    assert_eq!(doubts(&here(stateful()), NameMode::Hostname), "");
    assert_eq!(doubts(&here(deployed()), NameMode::Ip), "");
    let elsewhere = deployed().with("POD_IP", "192.0.2.7");
    assert!(doubts(&elsewhere, NameMode::Ip).contains("no address of this machine"));
    let mut nowhere = here(deployed());
    nowhere.resolv_conf = "nameserver 10.96.0.10\n";
    assert!(doubts(&nowhere, NameMode::Dns).contains("CLUSTER_DOMAIN"));
    let other = here(deployed()).with("POD_NAMESPACE", "test");
    assert!(doubts(&other, NameMode::Dns).contains("namespace prod"));
    let unnamed = here(deployed()).of("web");
    assert!(doubts(&unnamed, NameMode::Hostname).contains("serviceName: web"));
    let other = here(stateful()).of("all");
    assert!(doubts(&other, NameMode::Hostname).contains("subdomain is web"));
}

#[test]
fn nobody_but_those_five_modes_makes_a_name_of_our_own() {
    for mode in ["ip", "dns", "srv", "hostname", "pod"] {
        assert_eq!(NameMode::of_own(mode), mode.parse());
    }
    for mode in ["ask", "epmd", "auto", "template", "", "IP"] {
        let error = NameMode::of_own(mode).unwrap_err().to_string();
        assert!(error.contains("hostname or pod"), "{error}");
    }
}

proptest! {
    /// A peer that reads the pod by the API makes the same name that the pod makes itself.
    #[test]
    fn a_pod_and_its_peers_agree(
        ip in any::<IpAddr>(),
        mode in 0..5_usize,
        is_stateful in any::<bool>(),
    ) {
        let modes = [NameMode::Ip, NameMode::Dns, NameMode::Srv, NameMode::Hostname, NameMode::Pod];
        let mode = modes[mode];
        // Pods of a Deployment have no host name that a peer could see.
        prop_assume!(is_stateful || mode != NameMode::Hostname);
        let pod = if is_stateful { stateful() } else { deployed() };
        let facts = pod.of("web").facts().unwrap();
        let facts = PodFacts { address: Some(ip), ..facts };
        let own = facts.name(mode, "web").unwrap();
        let config = KubernetesConfig {
            mode,
            service_name: Some("web".to_owned()),
            ..KubernetesConfig::default()
        };
        let naming = Naming::new(&config, &own, "k8s.example");
        let seen = Seen {
            pod: facts.pod.clone(),
            hostname: is_stateful.then(|| "web-0".to_owned()),
            subdomain: is_stateful.then(|| "web".to_owned()),
            ..Seen::at(vec![ip], "prod")
        };
        let peers = naming.peers(&seen);
        prop_assert_eq!(peers.len(), 1);
        prop_assert_eq!(peers[0].name(), &own);
    }

    #[test]
    fn any_files_and_variables_give_a_name_or_an_error(
        hosts in "(10\\.0\\.0\\.1|[a-z.\t #\n]|web\\.a\\.b\\.svc\\.){0,20}|\\PC*",
        resolv_conf in "(search|svc\\.|[a-z. \n]){0,20}|\\PC*",
        value in "\\PC{0,20}",
    ) {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join("hosts"), hosts).unwrap();
        std::fs::write(etc.join("resolv.conf"), resolv_conf).unwrap();
        let variable = |name: &str| Some(if name == "HOSTNAME" { "web".to_owned() } else { value.clone() });
        if let Ok(facts) = PodFacts::gather(variable, root.path(), None) {
            for mode in [NameMode::Ip, NameMode::Dns, NameMode::Srv, NameMode::Hostname, NameMode::Pod] {
                let _ = facts.name(mode, "web");
            }
        }
        let nothing = PodFacts::gather(|_| None, Path::new("/nonexistent"), None);
        prop_assert!(nothing.is_ok());
    }
}
