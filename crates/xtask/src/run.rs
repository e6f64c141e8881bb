//! Child processes of the chores: their output is passed on as it comes.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};

/// What the `test result:` lines of a run add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Totals {
    /// Adds what one line of output says, if it is the result of a test program.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        self.passed += count(counts, " passed").unwrap_or_default();
        self.failed += count(counts, " failed").unwrap_or_default();
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// The number that stands before `unit`.
fn count(text: &str, unit: &str) -> Option<u64> {
    let (before, _) = text.split_once(unit)?;
    before
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// `cargo` with `arguments`, separated by spaces, in the repository at `root`.
pub(crate) fn cargo(root: &Path, arguments: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.split_whitespace()).current_dir(root);
    command
}

/// Runs `command` to its end, passes its output on, and adds up its tests in `totals`.
pub(crate) fn run(command: Command, totals: &mut Totals) -> anyhow::Result<()> {
    run_into(&mut std::io::stdout().lock(), command, totals)
}

/// The same for tests, and names those that failed, which are not counted. Fails if a command fails without such.
pub(crate) fn run_naming_failures(
    command: Command,
    totals: &mut Totals,
) -> anyhow::Result<Vec<String>> {
    run_naming_failures_into(&mut std::io::stdout().lock(), command, totals)
}

fn run_naming_failures_into(
    own: &mut impl Write,
    command: Command,
    totals: &mut Totals,
) -> anyhow::Result<Vec<String>> {
    let (mut counted, mut failures) = (Totals::default(), Vec::new());
    let outcome = run_reading(own, command, |line| {
        counted.read(line);
        failures.extend(failed_test(line).map(str::to_owned));
    });
    totals.passed += counted.passed;
    if outcome.is_err() && failures.is_empty() {
        totals.failed += counted.failed;
        outcome?;
    }
    Ok(failures)
}

/// The name of the test of which this line says that it failed.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// Runs all of `commands`, `at_once` of them side by side, and passes on the output of each when it
/// has ended. Says which of them failed, by their places; their tests are not counted.
pub(crate) fn run_side_by_side(
    commands: Vec<Command>,
    at_once: usize,
    totals: &mut Totals,
) -> anyhow::Result<Vec<usize>> {
    run_side_by_side_into(&Mutex::new(std::io::stdout()), commands, at_once, totals)
}

fn run_side_by_side_into(
    own: &Mutex<impl Write + Send>,
    commands: Vec<Command>,
    at_once: usize,
    totals: &mut Totals,
) -> anyhow::Result<Vec<usize>> {
    let waiting: VecDeque<_> = commands.into_iter().enumerate().collect();
    let waiting = Mutex::new(waiting);
    let next = || waiting.lock().ok()?.pop_front();
    let worker = || -> anyhow::Result<_> {
        let (mut counted, mut failed) = (Totals::default(), Vec::new());
        while let Some((place, command)) = next() {
            let (mut output, mut own_tests) = (Vec::new(), Totals::default());
            let outcome = run_into(&mut output, command, &mut own_tests);
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            own.write_all(&output)?;
            match outcome {
                Ok(()) => counted.add(own_tests),
                Err(error) => {
                    writeln!(own, "{error:#}")?;
                    failed.push(place);
                }
            }
        }
        Ok((counted, failed))
    };
    let ended: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join()).collect()
    });
    let mut all_failed = Vec::new();
    for worker in ended {
        let Ok(worker) = worker else {
            bail!("a thread that waited for commands has died");
        };
        let (counted, failed) = worker?;
        totals.add(counted);
        all_failed.extend(failed);
    }
    all_failed.sort_unstable();
    Ok(all_failed)
}

fn run_into(own: &mut impl Write, command: Command, totals: &mut Totals) -> anyhow::Result<()> {
    run_reading(own, command, |line| totals.read(line))
}

/// Runs `command` to its end, passes its output on, and has each line of it read.
fn run_reading(
    own: &mut impl Write,
    mut command: Command,
    mut read: impl FnMut(&str),
) -> anyhow::Result<()> {
    let told = describe(&command);
    writeln!(own, "$ {told}")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {told}"))?;
    let output = child.stdout.take().context("a child without output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        own.write_all(&line)?;
        own.write_all(b"\n")?;
        read(&String::from_utf8_lossy(&line));
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{told}: {status}");
    }
    Ok(())
}

/// The command as one would type it.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy());
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}='{}'", name.to_string_lossy(), value?.to_string_lossy()).into())
    });
    variables
        .chain([program])
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn results_of_several_test_programs_add_up() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "test result: \u{1b}[31mFAILED\u{1b}[0m. 3 passed; 2 failed; 0 ignored; 0 measured",
            "4 passed, 4 failed",
        ] {
            totals.read(line);
        }
        assert_eq!(
            totals,
            Totals {
                passed: 15,
                failed: 2
            }
        );
    }

    #[test]
    fn commands_side_by_side_all_run_and_those_that_failed_are_named() {
        let result = "echo 'test result: ok. 1 passed; 0 failed'";
        let failing = format!("{result}; exit 3");
        let mut totals = Totals::default();
        let commands = [result, &failing, result].map(shell).into();
        let own = Mutex::new(Vec::new());
        let failed = run_side_by_side_into(&own, commands, 2, &mut totals).unwrap();
        assert_eq!((failed, totals.passed), (vec![1], 2));
        let commands = vec![shell(result)];
        let failed = run_side_by_side_into(&own, commands, 2, &mut totals).unwrap();
        assert_eq!((failed, totals.passed), (vec![], 3));
        let told = String::from_utf8(own.into_inner().unwrap()).unwrap();
        assert_eq!(
            told.lines()
                .filter(|line| line.starts_with("test result"))
                .count(),
            4
        );
    }

    #[test]
    fn tests_that_failed_are_named_and_not_counted_and_any_other_failure_is_one() {
        let named = "echo 'test a::b ... ok'; echo 'test a::c ... FAILED'; \
                     echo 'test result: FAILED. 1 passed; 1 failed'; exit 101";
        let (mut totals, mut own) = (Totals::default(), Vec::new());
        let failed = run_naming_failures_into(&mut own, shell(named), &mut totals).unwrap();
        assert_eq!(failed, ["a::c"]);
        let expected = Totals {
            passed: 1,
            failed: 0,
        };
        assert_eq!(totals, expected);
        assert!(own.ends_with(b"1 failed\n"));
        assert!(run_naming_failures_into(&mut own, shell("exit 101"), &mut totals).is_err());
        let fine = "echo 'test a::c ... ok'";
        let failed = run_naming_failures_into(&mut own, shell(fine), &mut totals).unwrap();
        assert_eq!(failed, [""; 0]);
    }

    #[test]
    fn a_childs_failure_is_ours_and_its_output_is_read() {
        let (mut totals, mut passed_on) = (Totals::default(), Vec::new());
        let result = "echo 'test result: ok. 1 passed; 0 failed'";
        assert!(run_into(&mut passed_on, shell(result), &mut totals).is_ok());
        let failing = shell(&format!("{result}; exit 3"));
        assert!(run_into(&mut passed_on, failing, &mut totals).is_err());
        assert!(passed_on.ends_with(b"test result: ok. 1 passed; 0 failed\n"));
        assert_eq!(
            totals,
            Totals {
                passed: 2,
                failed: 0
            }
        );
    }
}
