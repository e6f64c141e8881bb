//! Members follow a Deployment of real Erlang nodes through scaling, a lost Role and a broken API server.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use enmesh_interop::{
    Access, Cluster, Deployment, Enmesh, Image, Kind, MemberLog, Otp, Workload, poll_until,
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const NAMESPACE: &str = "story";
const ACCOUNT: &str = "reader";
const COOKIE: &str = "secret";
/// By when every member has followed a change, with both cores busy.
const SOON: Duration = Duration::from_secs(60);
/// How long a lost Role may be felt after it is back.
const HEALED: Duration = Duration::from_secs(35);

#[test]
fn members_follow_kubectl_scale_and_lose_nobody_when_the_api_breaks() {
    let cluster = Cluster::start().unwrap();
    let web = Workload::new("web", Kind::Beam(Otp::R27)).cookie(COOKIE);
    let web = web.start(&cluster, NAMESPACE).unwrap();
    let access = Access::grant(&cluster, NAMESPACE, ACCOUNT).unwrap();
    let mut cookie = NamedTempFile::new().unwrap();
    writeln!(cookie, "{COOKIE}").unwrap();
    let image = Image::beam(Otp::R27)
        .unwrap()
        .named("enmesh-test/member:27");
    cluster
        .import(&image.with_file(Enmesh::program().unwrap(), "/usr/local/bin/enmesh"))
        .unwrap();

    let outside =
        ["pods", "endpointslices"].map(|mode| member_outside(&cluster, &access, &cookie, mode));
    let inside = ["endpoints", "auto"].map(|mode| member_in_a_pod(&cluster, mode));
    let members = [
        ("outside by pods", &*outside[0]),
        ("outside by endpointslices", &*outside[1]),
        ("inside by endpoints", &inside[0]),
        ("inside by auto", &inside[1]),
    ];
    let mut story = Story {
        cluster: &cluster,
        web: &web,
        access: &access,
        members,
    };
    story.follows(1);
    for replicas in [3, 5, 2] {
        web.scale(replicas).unwrap();
        story.follows(replicas);
    }
    story.nobody_was_lost_but_by_scaling(5, 3);
    story.role_is_taken_away_and_comes_back();
    story.api_is_frozen();
    story.api_is_dead();
}

/// A member in the cluster's network and outside of its pods, with the account's kubeconfig. All are hidden, so that each is
/// connected with what it has found itself, and with nobody of whom `global` told it.
fn member_outside(
    cluster: &Cluster,
    access: &Access,
    cookie: &NamedTempFile,
    mode: &str,
) -> Enmesh {
    let mut command = cluster.command(Enmesh::program().unwrap());
    command
        .args([
            "run",
            "--hidden",
            "--log-format",
            "json",
            "--name",
            &format!("out-{mode}@10.10.0.1"),
        ])
        .arg("--cookie-file")
        .arg(cookie.path())
        .args(["--topology", &topology(mode)])
        .env("KUBECONFIG", access.kubeconfig(cluster).unwrap());
    Enmesh::start_command(command).unwrap()
}

/// A member in a pod of its own, with the account's mounted token.
fn member_in_a_pod(cluster: &Cluster, mode: &str) -> MemberLog {
    let name = format!("member-{mode}");
    let run =
        "exec enmesh run --hidden --log-format json --name in@$POD_IP --topology \"$TOPOLOGY\"";
    cluster
        .apply(&json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "serviceAccountName": ACCOUNT,
                "containers": [{
                    "name": "enmesh",
                    "image": "enmesh-test/member:27",
                    "imagePullPolicy": "Never",
                    "command": ["sh", "-c", run],
                    "env": [
                        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                        {"name": "RELEASE_COOKIE", "value": COOKIE},
                        {"name": "TOPOLOGY", "value": topology(mode)},
                    ],
                }],
            },
        }))
        .unwrap();
    poll_until("the member's pod runs", SOON, || {
        cluster.member_log(NAMESPACE, &name)
    })
    .unwrap()
}

fn topology(mode: &str) -> String {
    format!(
        "strategy=kubernetes kubernetes_ip_lookup_mode={mode} kubernetes_selector=app=web \
         kubernetes_namespace={NAMESPACE} kubernetes_node_basename=web"
    )
}

struct Story<'a> {
    cluster: &'a Cluster,
    web: &'a Deployment<'a>,
    access: &'a Access,
    members: [(&'static str, &'a MemberLog); 4],
}

impl Story<'_> {
    /// Every member is connected to exactly the ready nodes.
    fn follows(&self, replicas: u32) {
        let begin = Instant::now();
        let nodes = self.web.nodes().unwrap();
        assert_eq!(nodes.len(), usize::try_from(replicas).unwrap());
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        for (who, member) in &self.members {
            if let Err(error) = member.wait_cluster(SOON, &nodes) {
                panic!("{who}: {error:#}");
            }
        }
        println!(
            "{replicas} pods: all members follow {} ms after kubectl sees them ready",
            begin.elapsed().as_millis()
        );
    }

    /// Nobody came or went but by the Deployment: so many ever came, so many went, each at most once.
    fn nobody_was_lost_but_by_scaling(&self, came: usize, went: usize) {
        for (who, member) in &self.members {
            let log = member.log();
            for (message, wanted) in [("node connected", came), ("node disconnected", went)] {
                let counts = by_node(&log, message);
                assert_eq!(counts.len(), wanted, "{who}: {message}: {counts:?}");
                assert!(
                    counts.values().all(|count| *count == 1),
                    "{who}: {message}: {counts:?}"
                );
            }
        }
    }

    /// A running watch is not authorised anew, so only the API server's restart shows that the Role is gone.
    fn role_is_taken_away_and_comes_back(&mut self) {
        let marks = self.members.map(|(_, member)| member.mark());
        self.access.revoke(self.cluster).unwrap();
        self.cluster.kill_api().unwrap();
        self.cluster.start_api().unwrap();
        for ((who, member), mark) in self.members.iter().zip(marks) {
            let refused = |object: &Value| object["kind"] == "forbidden";
            let warning = member
                .wait_from(mark, SOON, refused)
                .unwrap_or_else(|error| panic!("{who}: {error:#}"));
            assert_eq!(warning["level"], "WARN", "{who}: {warning}");
            let text = warning["error"].as_str().unwrap_or_default();
            assert!(
                text.contains("create role"),
                "{who}: it does not say what to do: {warning}"
            );
        }
        // What comes while nobody may read is found when the Role is back.
        self.web.scale(3).unwrap();
        for (who, member) in &self.members {
            assert_eq!(member.cluster().len(), 2, "{who}");
        }
        let begin = Instant::now();
        self.access.restore(self.cluster).unwrap();
        self.follows(3);
        assert!(
            begin.elapsed() < HEALED,
            "healed after {:?}",
            begin.elapsed()
        );
        println!(
            "healed {} ms after the Role's return",
            begin.elapsed().as_millis()
        );
        for (who, member) in &self.members {
            let log = member.log();
            let said: Vec<_> = log
                .iter()
                .filter(|object| object["kind"] == "forbidden")
                .collect();
            assert_eq!(said.len(), 1, "{who} says it more than once: {said:#?}");
        }
        self.nobody_was_lost_but_by_scaling(6, 3);
    }

    fn api_is_frozen(&self) {
        let marks = self.members.map(|(_, member)| member.mark());
        self.cluster.freeze_api().unwrap();
        // The watches of a frozen server stay open and silent, and yet it is noticed.
        self.nothing_changes_for(Duration::from_secs(60));
        for ((who, member), mark) in self.members.iter().zip(marks) {
            let noticed = member.wait_from(mark, Duration::ZERO, |object| {
                object["message"] == "topology cannot be read; its last good answer stays in force"
            });
            assert!(noticed.is_ok(), "{who} did not notice within a minute");
        }
        self.cluster.thaw_api().unwrap();
        self.web.scale(4).unwrap();
        self.follows(4);
        self.nobody_was_lost_but_by_scaling(7, 3);
    }

    fn api_is_dead(&self) {
        self.cluster.kill_api().unwrap();
        self.nothing_changes_for(Duration::from_secs(30));
        self.cluster.start_api().unwrap();
        self.web.scale(2).unwrap();
        self.follows(2);
        self.nobody_was_lost_but_by_scaling(7, 5);
    }

    /// No member logs a change of its cluster for this long. The time itself is what is tested.
    fn nothing_changes_for(&self, time: Duration) {
        let marks = self.members.map(|(_, member)| member.mark());
        let deadline = Instant::now() + time;
        for ((who, member), mark) in self.members.iter().zip(marks) {
            let left = deadline.saturating_duration_since(Instant::now());
            let change = member.wait_from(mark, left, |object| !object["cluster"].is_null());
            assert!(change.is_err(), "{who}: {change:?}");
        }
        assert!(Instant::now() >= deadline, "a member's log has ended");
    }
}

/// How often each node is in a record with this message.
fn by_node(log: &[Value], message: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for object in log.iter().filter(|object| object["message"] == message) {
        *counts.entry(object["node"].to_string()).or_default() += 1;
    }
    counts
}
