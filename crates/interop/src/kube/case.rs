//! Which stories are told in which ways: a product too large for every run, and a table that covers it.

use std::collections::BTreeSet;
use std::fmt;

use super::workload::Names;
use crate::peers::Otp;

/// What happens to the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// `kubectl scale` 1 → 3 → 10 → 2.
    Scaling,
    /// A rolling update: the template changes.
    Update,
    /// `kubectl rollout restart`.
    Restart,
}

/// Who makes up the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crew {
    /// Rust members alone.
    Members,
    /// Erlang nodes, each steered by the agent beside it.
    Steered,
    /// Both, in one cluster.
    Mixed,
}

/// One way to tell one story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What happens.
    pub story: Story,
    /// To whom.
    pub crew: Crew,
    /// What the nodes are called.
    pub names: Names,
    /// How they find each other, in the words of `Workload::lookup`.
    pub lookup: &'static str,
    /// Whether CoreDNS calls endpoints by their pods' names (`endpoint_pod_names`).
    pub pod_names: bool,
}

/// A choice, as its factor and its value.
type Choice = (&'static str, &'static str);

/// The factors of which any two choices are to be made together: what happens meets everything, who it happens to meets each
/// kind of name. What happens is scaling or a roll-out, of whose two means each meets every crew.
const PAIRS: [(&str, &str); 7] = [
    ("story", "crew"),
    ("story", "names"),
    ("story", "lookup"),
    ("story", "dns"),
    ("means", "crew"),
    ("names", "crew"),
    ("names", "dns"),
];

const STORIES: [Story; 3] = [Story::Scaling, Story::Update, Story::Restart];
const CREWS: [Crew; 3] = [Crew::Members, Crew::Steered, Crew::Mixed];
const NAMES: [Names; 5] = [
    Names::Ip,
    Names::Dns,
    Names::Srv,
    Names::Pod,
    Names::Hostname,
];
const LOOKUPS: [&str; 6] = ["endpointslices", "endpoints", "pods", "auto", "dns", "srv"];

impl Case {
    /// Every case that can be.
    pub fn product() -> Vec<Self> {
        let mut all = Vec::new();
        for story in STORIES {
            for crew in CREWS {
                for names in NAMES {
                    for lookup in LOOKUPS {
                        all.extend([true, false].map(|pod_names| Self {
                            story,
                            crew,
                            names,
                            lookup,
                            pod_names,
                        }));
                    }
                }
            }
        }
        all.retain(Self::can_be);
        all
    }

    /// Some of all cases, in which any two choices of `PAIRS` that can be made together are made together at least once.
    pub fn table() -> Vec<Self> {
        let all = Self::product();
        let mut left: BTreeSet<(Choice, Choice)> = all.iter().flat_map(Self::pairs).collect();
        let mut table = Vec::new();
        while !left.is_empty() {
            let worth = |case: &&Self| {
                let new = case.pairs().filter(|pair| left.contains(pair)).count();
                // So many new pairs for one unit of what it costs; a whole number, so that ties fall the same way everywhere.
                1_000 * new / case.cost()
            };
            let best = all
                .iter()
                .max_by_key(worth)
                .expect("a pair that is left stems from a case");
            for pair in best.pairs() {
                left.remove(&pair);
            }
            table.push(*best);
        }
        table
    }

    /// The cases of one story: those of the table, or with `full` all.
    pub fn of(story: impl Fn(Story) -> bool, full: bool) -> Vec<Self> {
        let mut cases = if full { Self::product() } else { Self::table() };
        cases.retain(|case| story(case.story));
        cases
    }

    /// A name for namespaces and reports: lower case, with hyphens.
    pub fn label(&self) -> String {
        let choices = self.choices().map(|(_, value)| value);
        choices.join("-")
    }

    /// The release of its BEAMs, drawn from its name so that a case is always the same; all of them take part.
    pub fn otp(&self) -> Otp {
        let sum: usize = self.label().bytes().map(usize::from).sum();
        [Otp::R25, Otp::R27, Otp::R29][sum % 3]
    }

    /// DNS tells names or addresses in one form alone, which the nodes must have; and a BEAM looks up whomever its `global` hears
    /// of, while members are told the addresses.
    fn can_be(&self) -> bool {
        let resolves = match self.names {
            Names::Srv => !self.pod_names,
            Names::Pod => self.pod_names,
            Names::Ip | Names::Dns | Names::Hostname => true,
        };
        if self.crew != Crew::Members && !resolves {
            return false;
        }
        match (self.lookup, self.names) {
            ("dns", names) => names == Names::Ip,
            ("srv", Names::Srv) => !self.pod_names,
            ("srv", Names::Pod) => self.pod_names,
            ("srv", names) => names == Names::Hostname,
            _ => true,
        }
    }

    /// About how long it keeps a processor busy, beside the others.
    pub fn cost(&self) -> usize {
        let pods = match self.story {
            Story::Scaling => 10,
            Story::Update | Story::Restart => 6,
        };
        let each = match self.crew {
            Crew::Members => 2,
            Crew::Mixed => 3,
            Crew::Steered => 4,
        };
        pods * each
    }

    fn choices(&self) -> [Choice; 5] {
        let means = match self.story {
            Story::Scaling => "scaling",
            Story::Update => "update",
            Story::Restart => "restart",
        };
        let crew = match self.crew {
            Crew::Members => "members",
            Crew::Steered => "steered",
            Crew::Mixed => "mixed",
        };
        let dns = if self.pod_names { "podnames" } else { "plain" };
        [
            ("means", means),
            ("crew", crew),
            ("names", self.names.word()),
            ("lookup", self.lookup),
            ("dns", dns),
        ]
    }

    fn pairs(&self) -> impl Iterator<Item = (Choice, Choice)> {
        let story = match self.story {
            Story::Scaling => "scaling",
            Story::Update | Story::Restart => "roll-out",
        };
        let choices: Vec<Choice> = self
            .choices()
            .into_iter()
            .chain([("story", story)])
            .collect();
        let of = move |factor: &str| {
            *choices
                .iter()
                .find(|(known, _)| *known == factor)
                .expect("all are there")
        };
        PAIRS.into_iter().map(move |(one, two)| (of(one), of(two)))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(cases: &[Case]) -> BTreeSet<(Choice, Choice)> {
        cases.iter().flat_map(Case::pairs).collect()
    }

    #[test]
    fn the_table_makes_any_two_choices_together_that_can_be() {
        let table = Case::table();
        assert_eq!(pairs(&table), pairs(&Case::product()));
        // Stories, modes and kinds forbid each other nothing.
        let pairs = pairs(&table);
        for (one, two, wanted) in [
            ("story", "names", 10),
            ("means", "crew", 9),
            ("names", "crew", 15),
            ("story", "lookup", 12),
        ] {
            let found = pairs
                .iter()
                .filter(|((a, _), (b, _))| (*a, *b) == (one, two));
            assert_eq!(found.count(), wanted, "{one} and {two}");
        }
    }

    #[test]
    fn the_table_is_small_and_says_nothing_twice() {
        let table = Case::table();
        assert!(table.len() <= 20, "{}: {table:#?}", table.len());
        let labels: BTreeSet<String> = table.iter().map(Case::label).collect();
        assert_eq!(labels.len(), table.len());
        // A namespace's name has at most 63 characters.
        assert!(labels.iter().all(|label| label.len() < 60));
    }

    #[test]
    fn beams_of_every_release_are_scaled_and_rolled_out() {
        for is_scaling in [true, false] {
            let cases = Case::of(|story| (story == Story::Scaling) == is_scaling, false);
            let beams = cases.iter().filter(|case| case.crew != Crew::Members);
            let releases: BTreeSet<&str> = beams.map(|case| case.otp().release()).collect();
            assert_eq!(releases.len(), 3, "scaling: {is_scaling}: {releases:?}");
        }
    }

    #[test]
    fn what_dns_cannot_tell_is_left_out() {
        let product = Case::product();
        let of_members = 4 * 5 * 2 + 2 + 4;
        let of_beams = of_members - 4 * 2;
        assert_eq!(product.len(), 3 * (of_members + 2 * of_beams));
        assert!(
            product
                .iter()
                .all(|case| case.lookup != "dns" || case.names == Names::Ip)
        );
    }
}
