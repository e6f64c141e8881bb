//! What is said of a node's health, as Kubernetes' verbose `/readyz` says it.

use std::fmt;
use std::time::Duration;

use enmesh::Condition;

/// When a node is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How many peers must be connected. Default: 0.
    pub min_peers: u32,
    /// Whether hidden peers count. They should where we are hidden ourselves, because then nobody
    /// is anything else to us. Default: no, for an agent or a visit is no member of the cluster.
    pub counts_hidden: bool,
}

/// Conditions, each with how it stands.
///
/// ```text
/// [+]manager ok
/// [+]topology web ok
/// [-]peers failed: 1 of 2 are connected
/// readyz check failed
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    page: &'static str,
    checks: Vec<Check>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    name: String,
    failure: Option<String>,
}

/// How far a node has come, for all that does not depend on whether it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has not begun.
    Starting,
    /// It was told to end.
    Stopping,
}

/// Why there is no [`Condition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It did not answer in time.
    Stuck(Duration),
    /// It has ended by itself.
    Ended,
}

impl Report {
    fn new(page: &'static str) -> Self {
        let checks = Vec::new();
        Self { page, checks }
    }

    /// Whether every condition is met.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.failure.is_none())
    }

    /// The conditions that are not met, in one line.
    pub fn failures(&self) -> String {
        let failed = self.checks.iter().filter_map(|check| {
            let reason = check.failure.as_ref()?;
            Some(format!("{}: {reason}", check.name))
        });
        failed.collect::<Vec<_>>().join("; ")
    }

    fn check(mut self, name: impl Into<String>, failure: Option<String>) -> Self {
        let name = name.into();
        self.checks.push(Check { name, failure });
        self
    }

    /// `/livez` of a node that is not asked. It is about to begin or to end, and lives until then:
    /// to start it again would help nobody.
    pub(crate) fn live_at(stage: Stage) -> Self {
        Self::new("livez").check(stage.name(), None)
    }

    /// `/livez` of a node that runs.
    pub(crate) fn live(silence: Option<Silence>) -> Self {
        Self::new("livez").check("manager", silence.map(Silence::text))
    }

    /// `/readyz` of a node that is not asked.
    pub(crate) fn unready_at(stage: Stage) -> Self {
        let reason = match stage {
            Stage::Starting => "it has not started yet",
            Stage::Stopping => "it was told to end",
        };
        Self::new("readyz").check(stage.name(), Some(reason.to_owned()))
    }

    /// `/readyz` of a node that does not answer.
    pub(crate) fn unready(silence: Silence) -> Self {
        Self::new("readyz").check("manager", Some(silence.text()))
    }

    /// `/readyz` of a node that answers; `steers` is of one whose links are another's.
    pub(crate) fn ready(rules: Rules, steers: bool, condition: &Condition) -> Self {
        let mut report = Self::new("readyz").check("manager", None);
        let ending = "our own end is announced".to_owned();
        report = report.check("draining", condition.is_draining.then_some(ending));
        if steers {
            let away = "the agent is not attached to it; its log says why".to_owned();
            report = report.check("node", condition.is_away.then_some(away));
        }
        for topology in &condition.topologies {
            let failure = (!topology.answered).then(|| match &topology.failure {
                // The source's own words may hold what only whoever reads the log may see.
                Some(failure) => {
                    let kind = failure.kind().label();
                    format!("no good answer yet: {kind}; the log says more")
                }
                None => "no answer yet".to_owned(),
            });
            report = report.check(format!("topology {}", topology.name), failure);
        }
        let peers = condition.view.peers();
        let counted = peers.filter(|peer| peer.visible || rules.counts_hidden);
        let (there, wanted) = (counted.count(), rules.min_peers);
        let is_short = u32::try_from(there).is_ok_and(|there| there < wanted);
        let too_few = is_short.then(|| format!("{there} of {wanted} are connected"));
        report.check("peers", too_few)
    }
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Stopping => "stopping",
        }
    }
}

impl Silence {
    fn text(self) -> String {
        match self {
            Self::Stuck(time) => format!("no answer within {} s", time.as_secs()),
            Self::Ended => "it has ended by itself".to_owned(),
        }
    }
}

/// A line for each condition and one for all.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, failure } in &self.checks {
            match failure {
                None => writeln!(f, "[+]{name} ok")?,
                Some(reason) => writeln!(f, "[-]{name} failed: {reason}")?,
            }
        }
        let outcome = if self.is_ok() { "passed" } else { "failed" };
        writeln!(f, "{} check {outcome}", self.page)
    }
}
