//! What members ask of the API and of DNS while nothing happens.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Kind, Names, Workload};
use serde_json::{Value, json};

use crate::Lookup;
use crate::pod_log::nanoseconds;
use crate::table;
use crate::watch::now;

/// Members in each group.
const MEMBERS: u32 = 5;
/// For the members to be whole, on a machine that does other things too.
const SETTLE: Duration = Duration::from_secs(90);
/// What the first questions take, of which an idle member has none.
const REST: Duration = Duration::from_secs(5);
/// A Service's address of the API, and of DNS, as every pod of this cluster knows them.
const COUNTED: [(&str, &str); 2] = [("api", "10.96.0.1"), ("dns", "10.96.0.10")];

/// Members with one lookup.
struct Group {
    label: String,
    namespace: String,
    /// A process in each pod, by which its network is entered.
    pods: Vec<u32>,
}

/// Members that idle, beside everything else.
pub(crate) struct Idle {
    groups: Vec<Group>,
    audit: PathBuf,
    since: Instant,
    begin: i64,
}

/// What was counted of one group, for each member and minute.
#[derive(Default)]
struct Counted {
    lists: f64,
    refused: f64,
    /// How long each watch lived, in seconds.
    watches: Vec<f64>,
    bytes: BTreeMap<&'static str, f64>,
}

impl Idle {
    /// Has the API server keep account, and starts members with each lookup, and some that may not watch: these list every 5 s,
    /// as libcluster does.
    pub(crate) fn start(cluster: &Cluster, lookups: &[Lookup]) -> Result<Self> {
        let mut wanted: Vec<(String, String, Lookup)> = Vec::new();
        for lookup in lookups {
            let namespace = format!("idle-{}", lookup.word);
            wanted.push((format!("`{}`", lookup.word), namespace, *lookup));
        }
        let polled = Lookup {
            word: "endpoints",
            names: Names::Ip,
        };
        let label = "a list of `endpoints` every 5 s".to_owned();
        wanted.push((label, "idle-polled".into(), polled));
        let namespaces: Vec<&str> = wanted.iter().map(|(_, name, _)| name.as_str()).collect();
        let audit = keep_account(cluster, &namespaces)?;
        let mut deployments = Vec::new();
        for (_, namespace, lookup) in &wanted {
            let mut workload = Workload::new("web", Kind::Member)
                .names(lookup.names)
                .lookup(lookup.word)
                .replicas(MEMBERS);
            if namespace == "idle-polled" {
                workload = workload.patch(forbid_watch);
            }
            deployments.push(workload.start(cluster, namespace)?);
        }
        let mut groups = Vec::new();
        for ((label, namespace, _), deployment) in wanted.into_iter().zip(&deployments) {
            deployment.wait_whole(SETTLE)?;
            let mut pods = Vec::new();
            for pod in deployment.pods()? {
                let pids = pod.pids("enmesh")?;
                pods.push(*pids.first().context("a pod has a process")?);
            }
            groups.push(Group {
                label,
                namespace,
                pods,
            });
        }
        std::thread::sleep(REST);
        for pid in groups.iter().flat_map(|group| &group.pods) {
            count_bytes(*pid)?;
        }
        Ok(Self {
            groups,
            audit,
            since: Instant::now(),
            begin: now(),
        })
    }

    /// Since when is counted.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The table as Markdown.
    pub(crate) fn table(&self) -> Result<String> {
        let minutes = self.since.elapsed().as_secs_f64() / 60.0;
        let audit = fs::read_to_string(&self.audit)?;
        let mut text = format!(
            "{MEMBERS} idle members with each lookup, {minutes:.1} minutes; for each member and minute:\n\n\
             | lookup | requests a minute | lists a minute | watches refused a minute | a watch lives for | \
             bytes a minute from and to the API | bytes a minute from and to DNS |\n\
             |---|---|---|---|---|---|---|\n"
        );
        for group in &self.groups {
            let counted = self.counted(group, &audit, minutes)?;
            let mean = counted.watches.iter().sum::<f64>() / counted.watches.len() as f64;
            let (rate, lived) = if counted.watches.is_empty() {
                (0.0, "—".to_owned())
            } else {
                (60.0 / mean, format!("{mean:.0} s"))
            };
            let bytes = |of: &str| format!("{:.0}", counted.bytes.get(of).copied().unwrap_or(0.0));
            text += &table::line(&[
                group.label.clone(),
                format!("{:.2}", counted.lists + counted.refused + rate),
                format!("{:.2}", counted.lists),
                format!("{:.2}", counted.refused),
                lived,
                bytes("api"),
                bytes("dns"),
            ]);
        }
        Ok(text)
    }

    fn counted(&self, group: &Group, audit: &str, minutes: f64) -> Result<Counted> {
        let mut counted = Counted::default();
        let share = f64::from(MEMBERS) * minutes;
        let user = format!("system:serviceaccount:{}:", group.namespace);
        for line in audit.lines() {
            // The last line may be half written.
            let Ok(event) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let time = |key: &str| event[key].as_str().and_then(nanoseconds);
            let (Some(asked), Some(ended)) =
                (time("requestReceivedTimestamp"), time("stageTimestamp"))
            else {
                continue;
            };
            let name = event["user"]["username"].as_str().unwrap_or_default();
            if !name.starts_with(&user) || event["stage"] != "ResponseComplete" {
                continue;
            }
            let is_watch = event["verb"] == "watch";
            if is_watch && event["responseStatus"]["code"] == 200 {
                if ended >= self.begin {
                    counted.watches.push((ended - asked) as f64 / 1e9);
                }
            } else if asked >= self.begin {
                let kind = match is_watch {
                    true => &mut counted.refused,
                    false => &mut counted.lists,
                };
                *kind += 1.0 / share;
            }
        }
        for pid in &group.pods {
            for (of, bytes) in bytes(*pid)? {
                *counted.bytes.entry(of).or_default() += bytes / share;
            }
        }
        Ok(counted)
    }
}

/// Starts the API server anew, with an audit log of what accounts of these namespaces ask. Each watch is in it with its beginning
/// and its end.
fn keep_account(cluster: &Cluster, namespaces: &[&str]) -> Result<PathBuf> {
    let (policy, log) = (
        cluster.folder().join("audit-policy.json"),
        cluster.folder().join("audit.log"),
    );
    let groups: Vec<String> = namespaces
        .iter()
        .map(|namespace| format!("system:serviceaccounts:{namespace}"))
        .collect();
    let rules = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata", "userGroups": groups}, {"level": "None"}],
    });
    fs::write(&policy, rules.to_string())?;
    cluster.kill_api()?;
    cluster.start_api_with(&[
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log.display()),
        "--audit-log-mode=blocking".into(),
    ])?;
    Ok(log)
}

/// Takes the verb `watch` out of every Role.
fn forbid_watch(list: &mut Value) {
    for object in list["items"].as_array_mut().into_iter().flatten() {
        for rule in object["rules"].as_array_mut().into_iter().flatten() {
            rule["verbs"] = json!(["list"]);
        }
    }
}

fn nft(pid: u32, args: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net"));
    command.arg("nft").args(args);
    command
}

/// Counts what goes to and comes from the API and DNS, headers of IP and TCP included, inside of the pod's network.
fn count_bytes(pid: u32) -> Result<()> {
    let mut rules = String::from("table ip bench {\n");
    for (name, _) in COUNTED {
        rules += &format!("counter {name} {{ }}\n");
    }
    for (hook, side) in [("input", "saddr"), ("output", "daddr")] {
        rules += &format!("chain {hook} {{\ntype filter hook {hook} priority 0;\n");
        for (name, address) in COUNTED {
            rules += &format!("ip {side} {address} counter name {name}\n");
        }
        rules += "}\n";
    }
    rules += "}\n";
    let mut child = nft(pid, &["-f", "-"]).stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("its input is piped")?;
    input.write_all(rules.as_bytes())?;
    drop(input);
    let status = child.wait()?;
    ensure!(status.success(), "nft in the network of {pid}: {status}");
    Ok(())
}

fn bytes(pid: u32) -> Result<Vec<(&'static str, f64)>> {
    let output = nft(pid, &["-j", "list", "counters", "table", "ip", "bench"]).output()?;
    let said: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("nft in the network of {pid}: {output:?}"))?;
    let entries = said["nftables"].as_array().cloned().unwrap_or_default();
    let of = |name: &str| {
        let mut counters = entries.iter().map(|entry| &entry["counter"]);
        let found = counters.find(|counter| counter["name"] == name)?;
        found["bytes"].as_f64()
    };
    let all = COUNTED.map(|(name, _)| Some((name, of(name)?)));
    let all: Option<Vec<_>> = all.into_iter().collect();
    all.context("a counter is missing")
}
