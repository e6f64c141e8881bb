//! What the logs of pods tell of look-ups that fail, and must hold when a story has ended.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::deployment::Deployment;
use super::pod::Pod;
use crate::member_log::MemberLog;
use crate::process::poll_until;

const FAILED: &str = "topology cannot be read; its last good answer stays in force";
const WELL: &str = "topology can be read again";

/// The logs of a story's pods, each from its start; they are followed past deaths of the API server.
pub struct FaultLogs {
    logs: Vec<(String, MemberLog)>,
    /// Where in each log the story begins, by lines.
    begins: Vec<usize>,
}

impl FaultLogs {
    /// Those of all pods that are ready.
    pub fn of(deployment: &Deployment<'_>) -> Result<Self> {
        let pods = deployment.pods()?;
        let follow = |pod: &Pod<'_>| Ok((pod.name().to_owned(), pod.log()?));
        let logs: Result<Vec<_>> = pods.iter().map(follow).collect();
        let logs = logs?;
        let begins = vec![0; logs.len()];
        Ok(Self { logs, begins })
    }

    /// What is in the logs already is another story: before a name is in DNS, that is told as well.
    pub fn beginning_now(mut self) -> Self {
        // A log is read by a thread of its own.
        std::thread::sleep(Duration::from_millis(500));
        self.begins = self.logs.iter().map(|(_, log)| log.mark()).collect();
        self
    }

    /// One pod alone.
    pub fn of_pod(pod: &Pod<'_>) -> Result<Self> {
        Ok(Self {
            logs: vec![(pod.name().to_owned(), pod.log()?)],
            begins: vec![0],
        })
    }

    /// Waits until every pod has told of a failure of this kind, and checks that it says all of `words`. The answer is the
    /// first one's text.
    pub fn told(&self, timeout: Duration, kind: &str, words: &[&str]) -> Result<String> {
        let mut first = None;
        for ((pod, log), begin) in self.logs.iter().zip(&self.begins) {
            let record = log
                .wait_from(*begin, timeout, |record| {
                    record["message"] == FAILED && record["kind"] == kind
                })
                .with_context(|| format!("{pod} tells of nothing {kind}:\n{}", whole(log)))?;
            ensure!(record["level"] == "WARN", "{pod}: {record}");
            let text = record["error"].as_str().unwrap_or_default();
            for word in words {
                ensure!(text.contains(word), "{pod} does not say {word:?}: {text}");
            }
            first.get_or_insert_with(|| text.to_owned());
        }
        first.context("a story has pods")
    }

    /// Waits until every pod has said that its topology can be read again.
    pub fn well(&self, since: Instant, within: Duration) -> Result<()> {
        for ((pod, log), begin) in self.logs.iter().zip(&self.begins) {
            let left = within.saturating_sub(since.elapsed());
            log.wait_from(*begin, left, |record| record["message"] == WELL)
                .with_context(|| format!("{pod} is not well {within:?} after:\n{}", whole(log)))?;
        }
        println!("  well again {:.1} s after", since.elapsed().as_secs_f64());
        Ok(())
    }

    /// Waits until every pod has logged such a record.
    pub fn logged(&self, timeout: Duration, message: &str) -> Result<Vec<Value>> {
        let mut records = Vec::new();
        for (pod, log) in &self.logs {
            let found = log.wait_for(timeout, |record| record["message"] == message);
            records.push(found.with_context(|| format!("{pod}: {message}:\n{}", whole(log)))?);
        }
        Ok(records)
    }

    /// Reads every log to its end: each has exactly one record of this message.
    pub fn logged_once(&self, message: &str) -> Result<()> {
        for (pod, log) in &self.logs {
            let records = log.log();
            let count = records
                .iter()
                .filter(|record| record["message"] == message)
                .count();
            ensure!(
                count == 1,
                "{pod} says {count} times: {message}:\n{}",
                whole(log)
            );
        }
        Ok(())
    }

    /// Reads every log to its end: nobody was lost; each failure was told exactly once, of these kinds in this order; and so
    /// was its end, as often as failures were over (kinds that follow each other without an end between them have one
    /// end together).
    pub fn check(&self, kinds: &[&str], ends: usize) -> Result<()> {
        self.check_any(&[kinds], ends)
    }

    /// The same where it depends on the moment which of several it is.
    pub fn check_any(&self, kinds: &[&[&str]], ends: usize) -> Result<()> {
        for ((pod, log), begin) in self.logs.iter().zip(&self.begins) {
            let lines = log.output().all();
            let records: Vec<Value> = lines[*begin..]
                .iter()
                .filter_map(|line| record(line))
                .collect();
            let of = |message: &'static str| {
                let records = records.iter();
                records.filter(move |record| record["message"] == message)
            };
            let lost = lost(&records);
            ensure!(lost.is_none(), "{pod} has lost {lost:?}:\n{}", whole(log));
            let told: Vec<_> = of(FAILED)
                .filter_map(|record| record["kind"].as_str())
                .collect();
            ensure!(
                kinds.contains(&&told[..]),
                "{pod} tells of {told:?}:\n{}",
                whole(log)
            );
            let over = of(WELL).count();
            ensure!(
                over == ends,
                "{pod} says {over} times that it is well:\n{}",
                whole(log)
            );
        }
        Ok(())
    }

    /// No pod logs such a record for so long; the time itself is what is tested.
    pub fn nothing_happens(&self, time: Duration) -> Result<()> {
        let marks: Vec<_> = self.logs.iter().map(|(_, log)| log.mark()).collect();
        std::thread::sleep(time);
        for ((pod, log), mark) in self.logs.iter().zip(marks) {
            let any = log.wait_from(mark, Duration::ZERO, |_| true);
            if let Ok(record) = any {
                bail!("{pod} says {record}");
            }
        }
        Ok(())
    }

    /// Waits until every pod is connected with exactly so many.
    pub fn connected_with(&self, count: usize, timeout: Duration) -> Result<()> {
        for (pod, log) in &self.logs {
            poll_until("the cluster is whole", timeout, || {
                let now = log.cluster();
                ensure!(
                    now.len() == count,
                    "{pod} is connected with {now:?}:\n{}",
                    whole(log)
                );
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Who went that had been there before the first failure. Whoever came later does not count: when two BEAMs meet that dial each
/// other, one may take the link that loses for up.
fn lost(records: &[Value]) -> Option<&Value> {
    let mut newcomers = Vec::new();
    let mut has_failed = false;
    for record in records {
        let node = &record["node"];
        match record["message"].as_str() {
            Some(FAILED) => has_failed = true,
            Some("node connected") if has_failed => newcomers.push(node),
            Some("node disconnected") if !newcomers.contains(&node) => return Some(node),
            _ => {}
        }
    }
    None
}

fn record(line: &str) -> Option<Value> {
    serde_json::from_str(&line[line.find('{')?..]).ok()
}

fn whole(log: &MemberLog) -> String {
    log.output().all().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(story: &str) -> Vec<Value> {
        let record = |word: &str| {
            let (message, node) = match word.split_at(1) {
                ("+", node) => ("node connected", node),
                ("-", node) => ("node disconnected", node),
                _ => (FAILED, ""),
            };
            serde_json::json!({"message": message, "node": node})
        };
        story.split(' ').map(record).collect()
    }

    #[test]
    fn whoever_was_there_before_the_failure_is_lost_by_going() {
        for (story, wanted) in [
            ("+a ! +b -b +b", None),
            ("+a ! -a +a", Some("a")),
            ("! -a +a", Some("a")),
            ("+a -a +a !", Some("a")),
            ("+a ! +b -b -a", Some("a")),
        ] {
            let records = records(story);
            let lost = lost(&records).and_then(Value::as_str);
            assert_eq!(lost, wanted, "{story}");
        }
    }
}
