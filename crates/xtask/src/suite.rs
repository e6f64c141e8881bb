//! `cargo xtask test`: everything, from the format of the source to a real Kubernetes.

mod kubernetes;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use enmesh_interop::{
    Otp, build_helm, build_kube, ensure_chroot, ensure_debian_packages, ensure_postgres,
    ensure_rebar3, ensure_release, verify_chroot, verify_release,
};

use crate::repository;
use crate::run::{self, Totals};
use crate::{dist, image, simulation, tidy};

/// What the pure crates are checked for, besides this machine: no clock and no socket there.
const WASM: &str = "wasm32-unknown-unknown";

/// How many tests with real peers run at once. They mostly wait, some of them for more than a
/// minute, so that there may be more of them than cores.
const SIDE_BY_SIDE: &str = "10";

/// Names the static program to the tests.
const STATIC_PROGRAM: &str = "ENMESH_STATIC_BIN";

/// The test program about the shipped image.
const IMAGE: &str = "image";

/// How many tests with real peers, and how many programs with a Kubernetes, may fail beside others and pass alone. What
/// they say of time is about a machine that has a processor for each of them, which two cores do not always have.
const ONCE_MORE: usize = 3;

/// How many seeds the simulation has, and how many where everything is to be tried.
const SEEDS: (u64, u64) = (200, 300);

/// What can be left out, or be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Part {
    /// The pure crates' build for wasm32.
    Wasm,
    /// The simulation of many nodes.
    Sim,
    /// The built-in demo.
    Demo,
    /// Stories with real OTP 25 nodes.
    Otp25,
    /// Stories with real OTP 27 nodes.
    Otp27,
    /// Stories with real OTP 29 nodes.
    Otp29,
    /// Stories with a real PostgreSQL.
    Postgres,
    /// The shipped image: what reads it, and another that makes it. The pods of the stories run its program, so that Kubernetes
    /// is left out with it.
    Image,
    /// Stories with a real Kubernetes.
    Kube,
}

/// What `cargo xtask test` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Leave these out, separated by commas; else what is missing is a failure.
    #[arg(long, value_enum, value_delimiter = ',')]
    without: Vec<Part>,
    /// Try everything with everything on Kubernetes, where else a table has each meet each other once; more seeds, and the
    /// program in the pods as it is shipped. Hours.
    #[arg(long)]
    full: bool,
}

impl Part {
    /// The word that `--without` takes.
    fn word(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The release of OTP that the part is about.
    fn otp(self) -> Option<Otp> {
        match self {
            Self::Otp25 => Some(Otp::R25),
            Self::Otp27 => Some(Otp::R27),
            Self::Otp29 => Some(Otp::R29),
            Self::Wasm | Self::Sim | Self::Demo | Self::Postgres | Self::Image | Self::Kube => None,
        }
    }

    /// What the names of tests have in them that need this part.
    fn test_names(self) -> &'static [&'static str] {
        match self {
            Self::Otp25 => &[
                "otp_25",
                "three_releases",
                "beam",
                "another_cookie_shows_on_both_sides",
                "a_second_link_is_asked_about",
            ],
            Self::Otp27 => &["otp_27", "three_releases"],
            Self::Otp29 => &["otp_29", "three_releases"],
            Self::Postgres => &["postgres_channel"],
            Self::Wasm | Self::Sim | Self::Demo | Self::Image | Self::Kube => &[],
        }
    }
}

/// How one step ended.
#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    totals: Totals,
    failure: Option<anyhow::Error>,
}

/// The run so far.
#[derive(Debug)]
struct Suite {
    /// What the user left out, and what turned out to be missing.
    absent: BTreeSet<Part>,
    full: bool,
    steps: Vec<Step>,
    /// What passed only alone, for the summary.
    remarks: Vec<String>,
}

/// Runs every step, also after one failed, and fails if any did.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut suite = Suite {
        absent: args.without.iter().copied().collect(),
        full: args.full,
        steps: Vec::new(),
        remarks: Vec::new(),
    };
    suite.prepare();
    suite.check_source();
    suite.test();
    suite.report()
}

impl Suite {
    fn has(&self, part: Part) -> bool {
        !self.absent.contains(&part)
    }

    fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut Totals) -> anyhow::Result<()>,
    ) -> bool {
        println!("\n=== {name}");
        let begin = Instant::now();
        let mut totals = Totals::default();
        let failure = work(&mut totals).err();
        let took = begin.elapsed();
        match &failure {
            None => println!("=== {name}: ok, {:.1} s", took.as_secs_f64()),
            Some(error) => println!("=== {name}: FAILED, {:.1} s: {error:#}", took.as_secs_f64()),
        }
        let ok = failure.is_none();
        self.steps.push(Step {
            name,
            took,
            totals,
            failure,
        });
        ok
    }

    /// A step that is one cargo command.
    fn cargo(&mut self, name: &'static str, arguments: &str, skipped: &[&str]) -> bool {
        let command = with_skips(run::cargo(&repository::root(), arguments), skipped);
        self.step(name, |totals| run::run(command, totals))
    }

    /// Gets what is needed; what cannot be got is a failure, and what needs it is left out.
    fn prepare(&mut self) {
        for part in [Part::Otp25, Part::Otp27, Part::Otp29] {
            if let Some(otp) = part.otp()
                && self.has(part)
            {
                self.need("erlang", part, || {
                    ensure_release(otp)?;
                    println!("{}", verify_release(otp)?);
                    Ok(())
                });
            }
        }
        self.follow();
        if self.has(Part::Postgres) {
            self.need("postgresql", Part::Postgres, || {
                println!("{}", ensure_postgres()?.display());
                Ok(())
            });
        }
        if self.has(Part::Image) {
            self.need("image tools", Part::Image, image::ensure_tools);
            self.follow();
        }
        if self.has(Part::Kube) {
            self.need("kubernetes", Part::Kube, || {
                ensure_debian_packages()?;
                println!("{}", build_kube()?.display());
                // Pods run OTP 25 out of a folder, as they do the newer ones.
                ensure_chroot(Otp::R25)?;
                println!("{}", verify_chroot(Otp::R25)?);
                for otp in Otp::ALL {
                    ensure_rebar3(otp)?;
                }
                println!("{}", build_helm()?.display());
                Ok(())
            });
        }
        if self.has(Part::Wasm) {
            self.need("wasm32 target", Part::Wasm, || dist::add_target(WASM));
        }
    }

    /// Leaves out what cannot do without what is absent: the pods of the stories run the shipped image and all releases of OTP.
    fn follow(&mut self) {
        for part in [Part::Image, Part::Otp27, Part::Otp29] {
            if !self.has(part) && self.absent.insert(Part::Kube) {
                println!("kube needs {}, so that it is left out as well", part.word());
            }
        }
    }

    fn need(&mut self, name: &'static str, part: Part, get: impl FnOnce() -> anyhow::Result<()>) {
        let hint = || format!("missing; `--without {}` leaves it out", part.word());
        if !self.step(name, |_| get().with_context(hint)) {
            self.absent.insert(part);
        }
    }

    fn check_source(&mut self) {
        self.cargo("format", "fmt --all -- --check", &[]);
        self.step("tidy", |_| tidy::run());
        let clippy = "clippy --workspace --all-targets -- -D warnings";
        self.cargo("clippy", clippy, &[]);
        let mut doc = run::cargo(&repository::root(), "doc --workspace --no-deps");
        doc.env("RUSTDOCFLAGS", "-D warnings");
        self.step("documentation", |totals| run::run(doc, totals));
        if self.has(Part::Wasm) {
            let mut check = run::cargo(&repository::root(), "check --target");
            check.arg(WASM);
            for pure in repository::pure_crates(&repository::root()) {
                check.args(["--package", &format!("enmesh-{pure}")]);
            }
            self.step("wasm32", |totals| run::run(check, totals));
        }
    }

    fn test(&mut self) {
        let skipped: Vec<_> = self
            .absent
            .iter()
            .flat_map(|part| part.test_names())
            .copied()
            .collect();
        let unit = "test --workspace --exclude enmesh-interop --no-fail-fast";
        self.cargo("unit and property tests", unit, &skipped);
        if self.has(Part::Sim) {
            let simulation = simulation::command(&simulation::Args {
                seeds: if self.full { SEEDS.1 } else { SEEDS.0 },
                ..simulation::Args::default()
            });
            self.step("simulation", |totals| run::run(simulation, totals));
        }
        if self.has(Part::Demo) {
            self.step("demo", |totals| {
                let mut demo = Command::new(program()?);
                demo.args(["demo", "--pace", "fast"]);
                run::run(demo, totals)
            });
        }
        let root = repository::root();
        // The bench tries itself with each release.
        let has_all = [Part::Otp25, Part::Otp27, Part::Otp29]
            .iter()
            .all(|part| self.has(*part));
        self.interop("real OTP nodes", &root, &skipped, |target| {
            !target.starts_with("kube") && target != IMAGE && (has_all || target != "harness")
        });
        if self.has(Part::Image) {
            self.test_image(&root);
        }
    }

    /// Builds the program that pods run, and what needs it. No Kubernetes without it.
    fn test_image(&mut self, root: &Path) {
        let mut shipped = PathBuf::new();
        let full = self.full;
        let built = self.step("image", |totals| {
            shipped = image::for_tests(full)?;
            let mut test = run::cargo(root, "test --package enmesh-interop --test");
            test.arg(IMAGE).env(STATIC_PROGRAM, &shipped);
            run::run(test, totals)
        });
        if full {
            self.step("image for other machines", |_| image::for_others());
        }
        if built && self.has(Part::Kube) {
            let mut remarks = Vec::new();
            self.step("real Kubernetes", |totals| {
                kubernetes::run_all(root, &shipped, full, totals, &mut remarks)
            });
            self.remarks.extend(remarks);
        }
    }

    /// Runs those of the bench's test programs that `is_wanted` picks by name.
    fn interop(
        &mut self,
        name: &'static str,
        root: &Path,
        skipped: &[&str],
        is_wanted: impl Fn(&str) -> bool,
    ) {
        let mut remarks = Vec::new();
        self.step(name, |totals| {
            let program = program()?;
            let targets = test_programs(&root.join("crates/interop/tests"))?;
            let wanted: Vec<_> = targets.iter().filter(|target| is_wanted(target)).collect();
            if wanted.is_empty() {
                bail!("there are no such tests");
            }
            let command = |threads: &str| {
                let mut test = run::cargo(root, "test --package enmesh-interop --no-fail-fast");
                test.env("RUST_TEST_THREADS", threads)
                    .env("ENMESH_BIN", &program);
                for target in &wanted {
                    test.args(["--test", target]);
                }
                test
            };
            let test = with_skips(command(SIDE_BY_SIDE), skipped);
            let failed = run::run_naming_failures(test, totals)?;
            if failed.is_empty() {
                return Ok(());
            }
            if failed.len() > ONCE_MORE {
                bail!("{} tests failed: {}", failed.len(), failed.join(", "));
            }
            println!(
                "\n{} failed beside others: once more, alone",
                failed.join(", ")
            );
            let mut again = command("1");
            again.args(["--", "--exact"]).args(&failed);
            let passed = totals.passed;
            let outcome = run::run(again, totals);
            remarks.push(alone(&failed.join(", "), outcome.is_ok()));
            outcome?;
            match totals.passed - passed >= failed.len() as u64 {
                true => Ok(()),
                false => bail!("not all of them were found again"),
            }
        });
        self.remarks.extend(remarks);
    }

    /// Prints what happened, and fails if any step did.
    fn report(&self) -> anyhow::Result<()> {
        print!("\n=== summary\n{}", self.summary());
        match self.steps.iter().any(|step| step.failure.is_some()) {
            false => Ok(()),
            true => std::process::exit(1),
        }
    }

    /// What happened, the totals on the last line.
    fn summary(&self) -> String {
        let (mut text, mut totals) = (String::new(), Totals::default());
        for step in &self.steps {
            let result = if step.failure.is_none() {
                "ok"
            } else {
                "FAILED"
            };
            let (name, took) = (step.name, step.took.as_secs_f64());
            text += &format!("{name:<26} {result:<7} {took:>7.1} s\n");
            totals.add(step.counted());
        }
        for part in &self.absent {
            text += &format!("left out: {}\n", part.word());
        }
        for remark in &self.remarks {
            text += &format!("{remark}\n");
        }
        let (passed, failed) = (totals.passed, totals.failed);
        text + &format!("{passed} passed, {failed} failed\n")
    }
}

impl Step {
    /// The step's tests; a step that failed without a failed test is one.
    fn counted(&self) -> Totals {
        let mut totals = self.totals;
        if self.failure.is_some() && totals.failed == 0 {
            totals.failed = 1;
        }
        totals
    }
}

/// What the summary says of tests that failed beside others.
fn alone(names: &str, passed: bool) -> String {
    let ended = if passed { "passed" } else { "FAILED" };
    format!("failed beside others, {ended} alone: {names}")
}

/// The `enmesh` that the unit tests have built. A build of it alone would choose other features of
/// its dependencies and make them all anew.
fn program() -> anyhow::Result<PathBuf> {
    let program = repository::target_directory()?.join("debug/enmesh");
    if !program.is_file() {
        bail!(
            "{} is not there: did the unit tests build?",
            program.display()
        );
    }
    Ok(program)
}

/// Adds `--skip` for each name, to a `cargo test`.
fn with_skips(mut command: Command, skipped: &[&str]) -> Command {
    if !skipped.is_empty() {
        command.arg("--");
        command.args(skipped.iter().flat_map(|name| ["--skip", name]));
    }
    command
}

/// The names of the test programs in a crate's `tests` directory, sorted.
fn test_programs(directory: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(passed: u64, failed: u64, failure: Option<&'static str>) -> Step {
        Step {
            name: "step",
            took: Duration::ZERO,
            totals: Totals { passed, failed },
            failure: failure.map(anyhow::Error::msg),
        }
    }

    #[test]
    fn a_failed_step_counts_even_without_a_failed_test() {
        assert_eq!(
            step(3, 0, None).counted(),
            Totals {
                passed: 3,
                failed: 0
            }
        );
        assert_eq!(
            step(3, 2, Some("x")).counted(),
            Totals {
                passed: 3,
                failed: 2
            }
        );
        assert_eq!(
            step(0, 0, Some("x")).counted(),
            Totals {
                passed: 0,
                failed: 1
            }
        );
    }

    #[test]
    fn the_summary_names_what_passed_only_alone_and_ends_with_the_totals() {
        let suite = Suite {
            absent: BTreeSet::new(),
            full: false,
            steps: vec![step(3, 0, None)],
            remarks: vec![alone("kube_story", true)],
        };
        let summary = suite.summary();
        let last: Vec<_> = summary.lines().skip(1).collect();
        let expected = [
            "failed beside others, passed alone: kube_story",
            "3 passed, 0 failed",
        ];
        assert_eq!(last, expected);
    }

    #[test]
    fn what_is_missing_fails_and_is_left_out_from_then_on() {
        let mut suite = Suite {
            absent: BTreeSet::new(),
            full: false,
            steps: Vec::new(),
            remarks: Vec::new(),
        };
        suite.need("erlang", Part::Otp27, || bail!("no such release"));
        assert!(!suite.has(Part::Otp27) && suite.has(Part::Otp25));
        let failure = suite.steps[0].failure.as_ref().unwrap();
        assert!(
            format!("{failure:#}").contains("--without otp27"),
            "{failure:#}"
        );
    }

    #[test]
    fn without_what_its_pods_run_kubernetes_is_left_out() {
        for (absent, has_kube) in [
            (Part::Otp27, false),
            (Part::Otp29, false),
            (Part::Image, false),
            (Part::Postgres, true),
        ] {
            let mut suite = Suite {
                absent: [absent].into(),
                full: false,
                steps: Vec::new(),
                remarks: Vec::new(),
            };
            suite.follow();
            assert_eq!(suite.has(Part::Kube), has_kube, "{absent:?}");
        }
    }

    #[test]
    fn every_test_program_of_the_bench_is_run() {
        let programs = test_programs(&repository::root().join("crates/interop/tests")).unwrap();
        assert!(
            programs.iter().any(|name| name.starts_with("kube")),
            "{programs:?}"
        );
        assert!(
            programs.iter().any(|name| !name.starts_with("kube")),
            "{programs:?}"
        );
    }

    #[test]
    fn what_is_skipped_by_name_has_that_name() {
        let root = repository::root();
        let own = Path::new("crates/xtask/src/suite.rs");
        let files = repository::rust_files(&root).unwrap();
        let text: String = files
            .iter()
            .filter(|path| *path != own)
            .map(|path| std::fs::read_to_string(root.join(path)).unwrap())
            .collect();
        for part in Part::value_variants() {
            for name in part.test_names() {
                assert!(text.contains(name), "no test has {name} in its name");
            }
        }
    }
}
