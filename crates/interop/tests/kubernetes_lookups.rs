//! Every lookup on the real API: what each reads, what stands in for it, and what it tells of pods that end. Pods have an
//! IPv4 and an IPv6 address, so each stands in two slices all the time.

#[path = "kubernetes_lookups/follower.rs"]
mod follower;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use enmesh_interop::{Access, Cluster, poll_until};
use enmesh_membership::{FailureKind, Standing};
use follower::Follower;
use serde_json::{Value, json};

const NAMESPACE: &str = "lookups";
const OTHER: &str = "others";
const ACCOUNT: &str = "reader";
const SOON: Duration = Duration::from_secs(60);
/// By when nobody may dial a terminating pod any more.
const AT_ONCE: Duration = Duration::from_secs(1);
/// By when a watch is opened anew whose server says nothing any more.
const SILENCE_NOTICED: Duration = Duration::from_secs(60);
const MODES: [&str; 3] = ["endpointslices", "endpoints", "pods"];
const OUTSIDE: &str = "web@10.10.0.1";
const OUTSIDE_SIX: &str = "web@fd00:10:10::1";

#[test]
fn every_lookup_tells_the_pods_and_follows_their_end() {
    let cluster = Cluster::start_dual_stack().unwrap();
    for namespace in [NAMESPACE, OTHER] {
        cluster.create_namespace(namespace).unwrap();
        cluster.apply(&service(namespace)).unwrap();
    }
    let access = Access::grant(&cluster, NAMESPACE, ACCOUNT).unwrap();
    let kubeconfig = access.kubeconfig(&cluster).unwrap();
    let story = Story {
        reader: format!("kubeconfig={}", kubeconfig.display()),
        admin: format!("kubeconfig={}", cluster.kubeconfig().display()),
        cluster,
        access,
    };
    let one = story.start_pod(NAMESPACE, "web-1");
    let two = story.start_pod(NAMESPACE, "web-2");
    let both = &mut [one.as_str(), two.as_str()];
    both.sort_unstable();
    story.every_lookup_knows(both);
    story.an_unready_pod_is_dialled_last();
    story.a_dual_stack_pod_is_one(both);
    story.a_watch_at_rest_costs_nothing_and_outlives_a_compaction(both);
    story.a_server_that_is_silent_is_noticed_and_removes_nobody(both);
    story.what_may_not_be_read_is_stood_in_for(both);
    story.namespaces_are_read_each_for_itself(both);
    story.a_terminating_pod_is_gone_at_once(&one, &two);
}

/// It is published before it is ready, and so a terminating pod stays `ready` in it.
fn service(namespace: &str) -> Value {
    let labels = json!({"app": "web"});
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace, "labels": labels},
        "spec": {
            "clusterIP": "None",
            "ipFamilyPolicy": "RequireDualStack",
            "selector": labels,
            "publishNotReadyAddresses": true,
            "ports": [{"name": "dist", "port": 9100}],
        },
    })
}

struct Story {
    cluster: Cluster,
    access: Access,
    reader: String,
    admin: String,
}

impl Story {
    /// A pod that takes ten seconds to end; the answer is its node's name.
    fn start_pod(&self, namespace: &str, name: &str) -> String {
        let container = json!({
            "name": "pause",
            "image": "enmesh-test/pause:1",
            "imagePullPolicy": "Never",
            "ports": [{"name": "dist", "containerPort": 9100}],
            "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
        });
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": "web"}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 20},
        });
        self.cluster.apply(&pod).unwrap();
        let path = "jsonpath={.status.podIP} {.status.conditions[?(@.type==\"Ready\")].status}";
        poll_until("the pod is ready", SOON, || {
            let args = [
                "get",
                "pod",
                name,
                "--namespace",
                namespace,
                "--output",
                path,
            ];
            let answer = self.cluster.kubectl(args)?;
            let (address, ready) = answer.split_once(' ').unwrap_or_default();
            anyhow::ensure!(ready == "True", "it says {answer:?}");
            Ok(format!("web@{address}"))
        })
        .unwrap()
    }

    fn follow(&self, keys: &str) -> Follower {
        self.follow_as(OUTSIDE, &format!("{} {keys}", self.reader))
    }

    fn follow_as(&self, own: &str, keys: &str) -> Follower {
        let topology = format!("strategy=kubernetes {keys}");
        Follower::start(&self.cluster, own, &topology)
    }

    fn follow_by(&self, mode: &str) -> Follower {
        self.follow(&format!(
            "kubernetes_selector=app=web kubernetes_ip_lookup_mode={mode}"
        ))
    }

    fn every_lookup_knows(&self, both: &[&str]) {
        for keys in [
            "kubernetes_selector=app=web",
            "kubernetes_selector=app=web kubernetes_ip_lookup_mode=endpointslices",
            "kubernetes_selector=app=web kubernetes_ip_lookup_mode=endpoints",
            "kubernetes_selector=app=web kubernetes_ip_lookup_mode=pods",
            "kubernetes_selector=app=web kubernetes_ip_lookup_mode=auto",
            "kubernetes_service_name=web",
            "kubernetes_service_name=web kubernetes_ip_lookup_mode=endpoints",
            "kubernetes_service_name=web kubernetes_ip_lookup_mode=auto",
            // The selector is ignored where the Service has a name.
            "kubernetes_selector=app=nobody kubernetes_service_name=web",
            "kubernetes_selector=app=web kubernetes_ip_lookup_mode=pods \
             kubernetes_field_selector=spec.nodeName=node1,status.phase=Running",
            "kubernetes_selector=app=web kubernetes_use_cached_resources=true",
        ] {
            let mut follower = self.follow(keys);
            follower.until_it_knows(both);
            assert!(
                follower.failures.is_empty(),
                "{keys}: {:?}",
                follower.failures
            );
        }
        // A label that the Service has not: nobody is removed for it, and the fix is told.
        let mut follower = self.follow("kubernetes_selector=tier=front");
        follower.until("it fails", |follower| !follower.failures.is_empty());
        let failure = &follower.failures[0];
        assert_eq!(failure.kind(), FailureKind::NotFound);
        assert!(failure.detail().contains("label the Service"), "{failure}");
        // A selector that is none is the API's own words.
        let mut follower = self
            .follow("kubernetes_selector=app=web kubernetes_field_selector=spec.nodeName=node1");
        follower.until("it fails", |follower| !follower.failures.is_empty());
        let failure = &follower.failures[0];
        assert!(
            failure.detail().contains("kubernetes_field_selector"),
            "{failure}"
        );
    }

    fn an_unready_pod_is_dialled_last(&self) {
        let gate = json!({"spec": {"readinessGates": [{"conditionType": "enmesh/never"}]}});
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "unready", "namespace": OTHER, "labels": {"app": "web"}},
            "spec": {"containers": [{
                "name": "pause", "image": "enmesh-test/pause:1", "imagePullPolicy": "Never",
            }]},
        });
        pod["spec"]["readinessGates"] = gate["spec"]["readinessGates"].clone();
        self.cluster.apply(&pod).unwrap();
        for mode in ["endpointslices", "pods"] {
            for (ready, standing) in [("any", Standing::Ready), ("ready", Standing::Unready)] {
                // With publishNotReadyAddresses a slice says that everybody is ready.
                let standing = match mode {
                    "pods" => standing,
                    _ => Standing::Ready,
                };
                let mut follower = self.follow_as(
                    OUTSIDE,
                    &format!(
                        "{} kubernetes_namespace={OTHER} kubernetes_selector=app=web ready={ready} \
                         kubernetes_ip_lookup_mode={mode}",
                        self.admin
                    ),
                );
                follower.until("it knows one", |follower| follower.known.len() == 1);
                let peer = follower.known.values().next().unwrap();
                assert_eq!(peer.standing, standing, "{mode} {ready}");
            }
        }
        let args = ["delete", "pod", "unready", "--namespace", OTHER, "--now"];
        self.cluster.kubectl(args).unwrap();
    }

    /// Whose own host part is of one family dials that one; Endpoints know the first alone.
    fn a_dual_stack_pod_is_one(&self, both: &[&str]) {
        let path = "jsonpath={.items[*].addressType}";
        let args = [
            "get",
            "endpointslices",
            "--namespace",
            NAMESPACE,
            "--output",
            path,
        ];
        let families = self.cluster.kubectl(args).unwrap();
        let families: BTreeSet<&str> = families.split_whitespace().collect();
        assert_eq!(families, BTreeSet::from(["IPv4", "IPv6"]));
        let path = "jsonpath={range .items[*]}web@{.status.podIPs[1].ip} {end}";
        let args = ["get", "pods", "--namespace", NAMESPACE, "--output", path];
        let sixes = self.cluster.kubectl(args).unwrap();
        let mut sixes: Vec<&str> = sixes.split_whitespace().collect();
        sixes.sort_unstable();
        assert!(sixes.len() == 2 && sixes.iter().all(|name| name.contains("@fd00:")));
        for mode in MODES {
            let keys = format!("kubernetes_selector=app=web kubernetes_ip_lookup_mode={mode}");
            let mut four = self.follow(&keys);
            four.until_it_knows(both);
            let mut six = self.follow_as(OUTSIDE_SIX, &format!("{} {keys}", self.reader));
            six.until_it_knows(if mode == "endpoints" { both } else { &sixes });
            for follower in [&mut four, &mut six] {
                assert_eq!(follower.listen(Duration::from_millis(300)), 0, "{mode}");
            }
        }
    }

    /// At rest a watch costs no request, and the history behind it may be thrown away.
    fn a_watch_at_rest_costs_nothing_and_outlives_a_compaction(&self, both: &[&str]) {
        let mut followers = MODES.map(|mode| self.follow_by(mode));
        for follower in &mut followers {
            follower.until_it_knows(both);
        }
        for number in 0..20 {
            let value = format!("number={number}");
            let args = ["annotate", "namespace", "default", "--overwrite", &value];
            self.cluster.kubectl(args).unwrap();
        }
        let before = self.requests();
        self.compact();
        std::thread::sleep(Duration::from_secs(50));
        assert_eq!(self.requests(), before, "somebody asked");
        let third = self.start_pod(NAMESPACE, "web-3");
        let ready = Instant::now();
        let all = &mut [both[0], both[1], third.as_str()];
        all.sort_unstable();
        for follower in &mut followers {
            follower.until_it_knows(all);
            assert!(follower.failures.is_empty(), "{:?}", follower.failures);
        }
        println!(
            "a third pod is known {:?} after kubectl sees it",
            ready.elapsed()
        );
        let args = [
            "delete",
            "pod",
            "web-3",
            "--namespace",
            NAMESPACE,
            "--now",
            "--wait=false",
        ];
        let begin = Instant::now();
        self.cluster.kubectl(args).unwrap();
        for follower in &mut followers {
            let at = follower.until_it_knows(both);
            println!("and gone {:?} after the deletion was asked for", at - begin);
        }
    }

    /// How often a namespace's slices were listed, and watches of them ended: by nobody but us.
    fn requests(&self) -> Vec<String> {
        let metrics = self.cluster.kubectl(["get", "--raw", "/metrics"]).unwrap();
        let ours = |line: &&str| {
            line.starts_with("apiserver_request_total{")
                && line.contains("resource=\"endpointslices\"")
                && line.contains("scope=\"namespace\"")
        };
        let lines: Vec<_> = metrics.lines().filter(ours).map(str::to_owned).collect();
        assert!(!lines.is_empty(), "the lookups before were counted");
        lines
    }

    /// A frozen server keeps its connections; only pings show that nobody is there.
    fn a_server_that_is_silent_is_noticed_and_removes_nobody(&self, both: &[&str]) {
        let mut followers = MODES.map(|mode| self.follow_by(mode));
        for follower in &mut followers {
            follower.until_it_knows(both);
        }
        let begin = Instant::now();
        self.cluster.freeze_api().unwrap();
        for follower in &mut followers {
            let at = follower.until("it fails", |follower| !follower.failures.is_empty());
            println!(
                "silence is noticed after {:?}: {}",
                at - begin,
                follower.failures[0]
            );
            assert!(at < begin + SILENCE_NOTICED, "{:?}", at - begin);
            assert_eq!(follower.names(), both);
        }
        self.cluster.thaw_api().unwrap();
        for follower in &mut followers {
            let wholes = follower.wholes;
            follower.until("it is well again", |follower| follower.wholes > wholes);
            assert_eq!(follower.names(), both);
        }
    }

    /// Throws the history away that etcd has, as it does by itself every few minutes.
    fn compact(&self) {
        let args = ["get", "--raw", "/api/v1/namespaces/default/pods?limit=1"];
        let list: Value = serde_json::from_str(&self.cluster.kubectl(args).unwrap()).unwrap();
        let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
        let body = format!("{{\"revision\": \"{revision}\"}}");
        let mut command = self.cluster.command("curl");
        command.args(["--fail", "--silent", "--show-error", "--data", &body]);
        command.arg("http://127.0.0.1:2379/v3/kv/compaction");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn what_may_not_be_read_is_stood_in_for(&self, both: &[&str]) {
        let cluster = &self.cluster;
        self.access.allow(cluster, &["endpoints"]).unwrap();
        self.until_refused("endpointslices");
        for mode in ["", "kubernetes_ip_lookup_mode=auto"] {
            let mut follower = self.follow(&format!("kubernetes_selector=app=web {mode}"));
            follower.until_it_knows(both);
            assert!(follower.failures.is_empty(), "{:?}", follower.failures);
        }
        self.refused(
            "kubernetes_ip_lookup_mode=endpointslices",
            "endpointslices.discovery.k8s.io",
        );
        self.refused("kubernetes_ip_lookup_mode=pods", "pods");
        self.access.allow(cluster, &["pods"]).unwrap();
        self.until_refused("endpoints");
        let mut follower =
            self.follow("kubernetes_selector=app=web kubernetes_ip_lookup_mode=auto");
        follower.until_it_knows(both);
        self.refused("kubernetes_ip_lookup_mode=endpoints", "endpoints");
        // Of the two that are tried, the one that is wanted is told.
        self.refused("", "endpointslices.discovery.k8s.io");
        self.access.revoke(cluster).unwrap();
        self.until_refused("pods");
        // Its watch goes on: the account is asked for at its beginning alone.
        assert_eq!(follower.names(), both);
        self.refused(
            "kubernetes_ip_lookup_mode=auto",
            "endpointslices.discovery.k8s.io",
        );
        // And whoever is refused at first reads as soon as the Role is there.
        let mut late = self.follow("kubernetes_selector=app=web");
        late.until("it fails", |late| !late.failures.is_empty());
        self.access.restore(cluster).unwrap();
        late.until_it_knows(both);
    }

    /// RBAC reaches the API server's own copy a little after it is written.
    fn until_refused(&self, resource: &str) {
        let reader = self.reader.replacen("kubeconfig=", "--kubeconfig=", 1);
        poll_until("the Role is in force", SOON, || {
            match self.cluster.kubectl(["get", resource, &reader]) {
                Ok(_) => anyhow::bail!("{resource} can be read"),
                Err(error) if format!("{error:#}").contains("forbidden") => Ok(()),
                Err(error) => Err(error),
            }
        })
        .unwrap();
    }

    fn refused(&self, mode: &str, rule: &str) {
        let mut follower = self.follow(&format!("kubernetes_selector=app=web {mode}"));
        follower.until("it fails", |follower| !follower.failures.is_empty());
        let failure = &follower.failures[0];
        assert_eq!(failure.kind(), FailureKind::Forbidden);
        for words in [
            format!("--resource={rule} "),
            format!("--serviceaccount={NAMESPACE}:{ACCOUNT}"),
        ] {
            assert!(failure.detail().contains(&words), "{words} in {failure}");
        }
        assert_eq!((follower.known.len(), follower.wholes), (0, 0));
    }

    fn namespaces_are_read_each_for_itself(&self, both: &[&str]) {
        let elsewhere = self.start_pod(OTHER, "web-1");
        let keys = format!("kubernetes_namespace={NAMESPACE},{OTHER} kubernetes_selector=app=web");
        let mut all = vec![elsewhere.as_str()];
        all.extend(both);
        all.sort_unstable();
        let mut admin = self.follow_as(OUTSIDE, &format!("{} {keys}", self.admin));
        admin.until_it_knows(&all);
        // This account may read only one of them.
        let mut reader = self.follow(&keys);
        reader.until_it_knows(both);
        reader.until("it fails", |reader| !reader.failures.is_empty());
        let failure = &reader.failures[0];
        assert!(failure.detail().contains("namespace others"), "{failure}");
        assert_eq!((reader.names(), reader.wholes), (both.to_vec(), 0));
        let args = [
            "delete",
            "pod",
            "web-1",
            "--namespace",
            OTHER,
            "--wait=false",
        ];
        self.cluster.kubectl(args).unwrap();
        admin.until_it_knows(both);
    }

    fn a_terminating_pod_is_gone_at_once(&self, one: &str, two: &str) {
        let keys = MODES.map(|mode| {
            format!(
                "{} kubernetes_selector=app=web kubernetes_ip_lookup_mode={mode}",
                self.reader
            )
        });
        let mut both = [one, two];
        both.sort_unstable();
        let mut ours = keys.clone().map(|keys| self.follow_as(one, &keys));
        let mut theirs = keys.map(|keys| self.follow_as(OUTSIDE, &keys));
        for follower in ours.iter_mut().chain(&mut theirs) {
            follower.until_it_knows(&both);
        }
        let args = [
            "delete",
            "pod",
            "web-1",
            "--namespace",
            NAMESPACE,
            "--wait=false",
        ];
        let begin = Instant::now();
        self.cluster.kubectl(args).unwrap();
        let asked = Instant::now();
        for (mode, follower) in MODES.iter().zip(&mut theirs) {
            if *mode == "endpoints" {
                continue;
            }
            let at = follower.until_it_knows(&[two]);
            println!("{mode}: gone {:?} after the deletion was begun", at - begin);
            assert!(at < asked + AT_ONCE, "{mode}: {:?}", at - asked);
            assert!(!follower.draining, "{mode}");
        }
        for (mode, follower) in MODES.iter().zip(&mut ours) {
            if *mode == "endpoints" {
                continue;
            }
            let at = follower.until("it drains", |follower| follower.draining);
            assert!(at < asked + AT_ONCE, "{mode}: {:?}", at - asked);
        }
        // The pod is there all the while, and Endpoints tell nothing of its end.
        let args = ["get", "pod", "web-1", "--namespace", NAMESPACE];
        self.cluster.kubectl(args).unwrap();
        assert_eq!(theirs[1].names(), both);
        assert!(!ours[1].draining);
        theirs[1].until_it_knows(&[two]);
    }
}
