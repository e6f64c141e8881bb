//! Watches a namespace while a story goes on: every pod from its first event to its last, and every line that it logs.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::Value;

use super::cluster::Cluster;
use super::testimony::{Life, Line};
use crate::process::Process;

/// How often new log files are looked for. Nothing depends on it: lines carry their own times.
const LOG_INTERVAL: Duration = Duration::from_millis(200);

/// Watches one namespace, from before its first pod on.
pub struct Witness {
    pods: Told,
    slices: Told,
    runtime: Told,
    logs: Arc<Mutex<Logs>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Witness {
    /// Begins. The namespace need not be there yet.
    pub fn start(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let watch = |group: &str, resource: &str| {
            let path = format!(
                "/{group}/namespaces/{namespace}/{resource}?watch=true&timeoutSeconds=3600"
            );
            Told::by(cluster.kubectl_command(["get", "--raw", &path]))
        };
        let logs = Arc::new(Mutex::new(Logs::new(
            &cluster.folder().join("pod-logs"),
            namespace,
        )));
        let stop = Arc::new(AtomicBool::new(false));
        let (read, stopped) = (Arc::clone(&logs), Arc::clone(&stop));
        let reader = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                read.lock().expect("no reader panics").read();
                std::thread::sleep(LOG_INTERVAL);
            }
        });
        Ok(Self {
            pods: watch("api/v1", "pods")?,
            slices: watch("apis/discovery.k8s.io/v1", "endpointslices")?,
            runtime: Told::by(cluster.ctr_command(["events"]))?,
            logs,
            stop,
            reader: Some(reader),
        })
    }

    /// All pods that were there so far, the first ones first.
    pub fn testimony(&self) -> Result<Vec<Life>> {
        let mut lives = Lives::default();
        for (at, object) in self.pods.objects() {
            lives.pod(at, &object);
        }
        for (at, object) in self.slices.objects() {
            lives.slice(at, &object["object"]);
        }
        for (_, object) in self.runtime.objects() {
            lives.end(&object);
        }
        let mut logs = self.logs.lock().expect("no reader panics");
        logs.read();
        for (uid, container, text) in logs.all() {
            let life = lives
                .by_uid
                .get_mut(uid)
                .with_context(|| format!("no pod {uid} was told of, and it has a log"))?;
            let lines = life.logs.entry(container.to_owned()).or_default();
            lines.extend(text.lines().filter_map(line));
        }
        let mut all: Vec<Life> = lives.by_uid.into_values().collect();
        all.sort_by_key(|life| life.began);
        Ok(all)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // A panic of the reader is told by whoever takes the lock.
            let _ = reader.join();
        }
    }
}

/// The lines of a running command with an object in each, and when each came.
struct Told {
    lines: Arc<Mutex<Vec<(SystemTime, String)>>>,
    _process: Process,
}

impl Told {
    fn by(mut command: Command) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = Process::start("a witness", command)?;
        let stdout = process
            .child_mut()
            .stdout
            .take()
            .context("stdout is piped")?;
        let lines: Arc<Mutex<Vec<_>>> = Arc::default();
        let told = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let at = SystemTime::now();
                told.lock().expect("no reader panics").push((at, line));
            }
        });
        Ok(Self {
            lines,
            _process: process,
        })
    }

    fn objects(&self) -> Vec<(SystemTime, Value)> {
        let lines = self.lines.lock().expect("no reader panics");
        let object = |(at, line): &(SystemTime, String)| Some((*at, object_in(line)?));
        lines.iter().filter_map(object).collect()
    }
}

/// What is told of each pod, by its uid.
#[derive(Default)]
struct Lives {
    by_uid: BTreeMap<String, Life>,
    /// The pod's uid and the container's name, by the runtime's id.
    containers: HashMap<String, (String, String)>,
}

impl Lives {
    fn pod(&mut self, at: SystemTime, event: &Value) {
        let pod = &event["object"];
        let (Some(uid), Some(name)) = (
            pod["metadata"]["uid"].as_str(),
            pod["metadata"]["name"].as_str(),
        ) else {
            return;
        };
        let life = self.by_uid.entry(uid.to_owned()).or_default();
        name.clone_into(&mut life.pod);
        let status = &pod["status"];
        let conditions = status["conditions"].as_array();
        let is_ready = conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        for (field, is_so) in [
            (&mut life.began, true),
            (&mut life.ready, is_ready),
            (
                &mut life.terminating,
                !pod["metadata"]["deletionTimestamp"].is_null(),
            ),
            (&mut life.gone, event["type"] == "DELETED"),
        ] {
            if is_so {
                field.get_or_insert(at);
            }
        }
        let mut restarts = 0;
        for kind in ["containerStatuses", "initContainerStatuses"] {
            for container in status[kind].as_array().into_iter().flatten() {
                restarts += container["restartCount"].as_u64().unwrap_or(0);
                let (Some(id), Some(name)) = (
                    container["containerID"].as_str(),
                    container["name"].as_str(),
                ) else {
                    continue;
                };
                let id = id.trim_start_matches("containerd://");
                self.containers
                    .insert(id.to_owned(), (uid.to_owned(), name.to_owned()));
            }
        }
        life.restarts = life.restarts.max(restarts);
    }

    fn slice(&mut self, at: SystemTime, slice: &Value) {
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            if endpoint["conditions"]["terminating"] != true {
                continue;
            }
            let uid = endpoint["targetRef"]["uid"].as_str().unwrap_or_default();
            if let Some(life) = self.by_uid.get_mut(uid) {
                life.slice_terminating.get_or_insert(at);
            }
        }
    }

    /// The runtime tells of the end of each process that it has started; a container's first one has the container's id.
    fn end(&mut self, event: &Value) {
        let (Some(container), Some(at)) =
            (event["container_id"].as_str(), event["exited_at"].as_str())
        else {
            return;
        };
        let is_first = event["id"].is_null() || event["id"] == container;
        let Some((uid, name)) = self.containers.get(container).filter(|_| is_first) else {
            return;
        };
        if let (Ok(at), Some(life)) = (humantime::parse_rfc3339(at), self.by_uid.get_mut(uid)) {
            life.ends.insert(name.clone(), at);
        }
    }
}

/// The log files of a namespace's containers. They stay open, so that what the kubelet removes is read to its end.
struct Logs {
    folder: PathBuf,
    namespace: String,
    files: BTreeMap<PathBuf, (File, Vec<u8>)>,
}

impl Logs {
    fn new(folder: &Path, namespace: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            namespace: format!("{namespace}_"),
            files: BTreeMap::new(),
        }
    }

    /// Takes in new files, and what is new in the others. One that cannot be read any more has been removed just now.
    fn read(&mut self) {
        for pod in entries(&self.folder) {
            let name = pod.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with(&self.namespace) {
                continue;
            }
            for path in entries(&pod)
                .iter()
                .flat_map(|container| entries(container))
            {
                if !self.files.contains_key(&path)
                    && let Ok(file) = File::open(&path)
                {
                    self.files.insert(path, (file, Vec::new()));
                }
            }
        }
        for (file, text) in self.files.values_mut() {
            let _ = file.read_to_end(text);
        }
    }

    /// The pod's uid, the container and the text of each file.
    fn all(&self) -> impl Iterator<Item = (&str, &str, String)> {
        self.files.iter().filter_map(|(path, (_, text))| {
            let container = path.parent()?;
            let uid = container
                .parent()?
                .file_name()?
                .to_str()?
                .rsplit('_')
                .next()?;
            let container = container.file_name()?.to_str()?;
            Some((uid, container, String::from_utf8_lossy(text).into_owned()))
        })
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// A line of a container's log: when it was read, its stream, whether it is whole, and the text.
fn line(line: &str) -> Option<Line> {
    let mut words = line.splitn(4, ' ');
    let read = words.next()?;
    let text = words.nth(2)?.to_owned();
    let record = object_in(&text);
    let own = record
        .as_ref()
        .and_then(|record| record["timestamp"].as_str());
    let at = humantime::parse_rfc3339(own.unwrap_or(read)).ok()?;
    Some(Line { at, text, record })
}

fn object_in(line: &str) -> Option<Value> {
    serde_json::from_str(&line[line.find('{')?..]).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn time(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_line_has_its_records_time_else_that_of_its_reading() {
        let own = line(r#"2026-11-21T11:00:00.5Z stderr F {"timestamp":"2026-11-21T10:59:59.250Z","message":"x"}"#).unwrap();
        assert_eq!(own.record.unwrap()["message"], "x");
        assert_eq!(
            humantime::format_rfc3339_millis(own.at).to_string(),
            "2026-11-21T10:59:59.250Z"
        );
        let read = line("2026-11-21T11:00:00.5Z stdout F just text").unwrap();
        assert_eq!((read.text.as_str(), read.record), ("just text", None));
        assert_eq!(
            humantime::format_rfc3339_millis(read.at).to_string(),
            "2026-11-21T11:00:00.500Z"
        );
    }

    #[test]
    fn a_life_is_put_together_from_all_that_is_told() {
        let mut lives = Lives::default();
        let mut pod = json!({"type": "ADDED", "object": {"metadata": {"uid": "u", "name": "web-1"}, "status": {}}});
        lives.pod(time(1), &pod);
        pod["object"]["status"] = json!({
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "beam", "containerID": "containerd://c1", "restartCount": 0}],
        });
        lives.pod(time(2), &pod);
        lives.pod(time(3), &pod);
        let endpoint = |is_so: bool| json!({"endpoints": [{"conditions": {"terminating": is_so}, "targetRef": {"uid": "u"}}]});
        lives.slice(time(4), &endpoint(false));
        lives.slice(time(5), &endpoint(true));
        pod["object"]["metadata"]["deletionTimestamp"] = json!("2026-11-21T11:00:00Z");
        lives.pod(time(6), &pod);
        let exit = |id: &str, at: &str| json!({"container_id": "c1", "id": id, "exited_at": at});
        // A probe's process is none of the container's own.
        lives.end(&exit("probe", "1970-01-01T00:00:01Z"));
        lives.end(&exit("c1", "1970-01-01T00:00:07Z"));
        pod["type"] = json!("DELETED");
        lives.pod(time(8), &pod);
        let life = &lives.by_uid["u"];
        let told = [
            life.began,
            life.ready,
            life.slice_terminating,
            life.terminating,
            life.gone,
        ];
        assert_eq!(told, [1, 2, 5, 6, 8].map(|at| Some(time(at))));
        assert_eq!(life.ends["beam"], time(7));
    }

    #[test]
    fn a_log_is_read_to_its_end_after_it_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("story_web-1_u/beam");
        fs::create_dir_all(&place).unwrap();
        fs::create_dir_all(folder.path().join("other_web-1_x/beam")).unwrap();
        fs::write(place.join("0.log"), "one\n").unwrap();
        fs::write(folder.path().join("other_web-1_x/beam/0.log"), "no\n").unwrap();
        let mut logs = Logs::new(folder.path(), "story");
        logs.read();
        let mut more = fs::OpenOptions::new()
            .append(true)
            .open(place.join("0.log"))
            .unwrap();
        fs::remove_file(place.join("0.log")).unwrap();
        std::io::Write::write_all(&mut more, b"two\n").unwrap();
        logs.read();
        let all: Vec<_> = logs.all().collect();
        assert_eq!(all, [("u", "beam", "one\ntwo\n".to_owned())]);
    }
}
