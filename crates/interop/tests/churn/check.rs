//! What must hold of a cluster under faults, read from what its BEAMs printed.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::script::{Kind, Script};
use crate::slot::{Life, Slot, Window};
use crate::{BEAMS, Guests};

/// How long after a fault its echoes may still be heard: a thawed node first reads what it missed.
const ECHO_MICROS: u64 = 3_000_000;

/// What `global:sync` may take: a frozen peer is waited for until it is down, and the next one may freeze right then.
const SYNC_MICROS: u64 = 20_000_000;

const DAY_MICROS: u64 = 86_400_000_000;

/// What came of a run.
pub(crate) struct Report {
    guests: Guests,
    seed: u64,
    faults: Vec<(Kind, usize)>,
    healed: Result<Duration>,
    /// Links between BEAMs that went down though neither end was at fault.
    severed: Vec<String>,
    /// Lines by which `global` cut off a BEAM that was not at fault.
    expelled: Vec<String>,
    /// `global:sync` that took too long, or never ended.
    hung: Vec<String>,
    slowest_sync: Duration,
    syncs: usize,
}

impl Report {
    pub(crate) fn of(
        guests: Guests,
        script: &Script,
        mut slots: Vec<Slot>,
        healed: Result<Duration>,
    ) -> Self {
        for slot in &mut slots {
            slot.finish();
        }
        let mut report = Self {
            guests,
            seed: script.seed,
            faults: script.counts().into_iter().collect(),
            healed,
            severed: Vec::new(),
            expelled: Vec::new(),
            hung: Vec::new(),
            slowest_sync: Duration::ZERO,
            syncs: 0,
        };
        for slot in &slots[..BEAMS] {
            for life in &slot.lives {
                report.read_links(slot, life, &slots);
                report.read_log(slot, life, &slots);
                report.read_syncs(slot, life);
            }
        }
        report
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.healed.is_ok()
            && self.severed.is_empty()
            && self.expelled.is_empty()
            && self.hung.is_empty()
            && self.syncs > 0
    }

    fn read_links(&mut self, slot: &Slot, life: &Life, slots: &[Slot]) {
        for (at, words) in events(life, "nodedown") {
            let peer = words.first().and_then(|name| beam_named(slots, name));
            if let Some(peer) = peer
                && !at_fault(slot, at)
                && !at_fault(peer, at)
            {
                self.severed.push(format!(
                    "{at} {}: nodedown {}",
                    slot.name(),
                    words.join(" ")
                ));
            }
        }
    }

    fn read_log(&mut self, slot: &Slot, life: &Life, slots: &[Slot]) {
        for line in &life.lines {
            let Some((time, text)) = line.strip_prefix("@log ").and_then(|l| l.split_once(' '))
            else {
                continue;
            };
            if !text.contains("overlapping partitions") {
                continue;
            }
            let at = time_of_day(time).expect("the logger was told its format");
            let beams: Vec<&Slot> = text
                .split('\'')
                .filter_map(|name| beam_named(slots, name))
                .collect();
            let [one, other] = beams[..] else {
                continue;
            };
            let faulty = |slot: &Slot| {
                slot.windows
                    .iter()
                    .any(|w| covers(w, at, |micros| micros % DAY_MICROS))
            };
            if !faulty(one) && !faulty(other) {
                self.expelled.push(format!("{}: {text}", slot.name()));
            }
        }
    }

    fn read_syncs(&mut self, slot: &Slot, life: &Life) {
        let ends = events(life, "synced");
        for (begin, number) in events(life, "sync") {
            self.syncs += 1;
            let end = ends.iter().find(|(_, other)| *other == number);
            let took = end
                .map_or(life.ended, |(end, _)| *end)
                .saturating_sub(begin);
            // One that its node's death cut short says nothing, unless it was stuck by then.
            if end.is_some() || took > SYNC_MICROS {
                self.slowest_sync = self.slowest_sync.max(Duration::from_micros(took));
            }
            if took > SYNC_MICROS {
                self.hung.push(format!(
                    "{begin} {}: global:sync took {took} us, ended: {}",
                    slot.name(),
                    end.is_some()
                ));
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.guests {
            Guests::Ours => "BEAMs with our members",
            Guests::Beams => "BEAMs alone (control)",
        };
        writeln!(f, "{who}, seed {}: faults {:?}", self.seed, self.faults)?;
        match &self.healed {
            Ok(time) => writeln!(f, "whole again {time:?} after the last fault")?,
            Err(error) => {
                // What follows is all that the node has printed.
                let text = format!("{error:#}");
                let first: Vec<&str> = text.lines().take(3).collect();
                writeln!(f, "NOT HEALED: {}", first.join("\n"))?;
            }
        }
        writeln!(
            f,
            "{} times global:sync, the slowest {:?}",
            self.syncs, self.slowest_sync
        )?;
        for (what, lines) in [
            ("links between BEAMs that nobody cut", &self.severed),
            ("BEAMs expelled without a fault", &self.expelled),
            ("global:sync hung", &self.hung),
        ] {
            writeln!(f, "{what}: {}", lines.len())?;
            for line in lines.iter().take(20) {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}

/// What OTP did by itself, and what it did with our members in the cluster.
pub(crate) fn side_by_side(
    control: Result<&Report, &anyhow::Error>,
    ours: Result<&Report, &anyhow::Error>,
) -> String {
    type Figure = (&'static str, fn(&Report) -> String);
    let figures: [Figure; 6] = [
        ("faults", |report| {
            let faults = report.faults.iter().map(|(_, count)| count);
            faults.sum::<usize>().to_string()
        }),
        ("links between unfaulted BEAMs that went down", |report| {
            report.severed.len().to_string()
        }),
        ("unfaulted BEAMs that `global` cut off", |report| {
            report.expelled.len().to_string()
        }),
        ("`global:sync`, the longest", |report| {
            format!("{:.1?} of {}", report.slowest_sync, report.syncs)
        }),
        ("`global:sync` that hung", |report| {
            report.hung.len().to_string()
        }),
        ("whole again", |report| match &report.healed {
            Ok(time) => format!("after {time:.1?}"),
            Err(_) => "never".to_owned(),
        }),
    ];
    let cell = |outcome: Result<&Report, _>, figure: fn(&Report) -> String| {
        outcome.map_or_else(|_| "not played to its end".to_owned(), figure)
    };
    let mut table = "| | BEAMs alone | BEAMs with our members |\n|---|---|---|\n".to_owned();
    for (label, figure) in figures {
        table += &format!(
            "| {label} | {} | {} |\n",
            cell(control, figure),
            cell(ours, figure)
        );
    }
    table
}

/// Every BEAM is in step with all others, knows the same global names, and those of all BEAMs are among them.
pub(crate) fn names_are_equal(slots: &mut [Slot]) -> Result<()> {
    let own: Vec<String> = slots
        .iter()
        .filter(|slot| slot.is_beam())
        .map(|slot| format!("{{name,'{}'}}", slot.name()))
        .collect();
    let mut first: Option<String> = None;
    for slot in slots {
        let name = slot.name().to_owned();
        let Some(beam) = slot.beam() else { continue };
        beam.eval("global:sync()")?;
        let names = beam.eval("lists:sort(global:registered_names())")?;
        for wanted in &own {
            ensure!(names.contains(wanted), "{name} misses {wanted}: {names}");
        }
        let first = first.get_or_insert_with(|| names.clone());
        ensure!(names == *first, "{name} has {names}, another has {first}");
    }
    Ok(())
}

/// The lines `@event TIME what …` of a life: time and further words.
fn events<'a>(life: &'a Life, what: &str) -> Vec<(u64, Vec<&'a str>)> {
    life.lines
        .iter()
        .filter_map(|line| {
            let mut words = line.strip_prefix("@event ")?.split(' ');
            let at = words.next()?.parse().ok()?;
            (words.next()? == what).then(|| (at, words.collect()))
        })
        .collect()
}

fn beam_named<'a>(slots: &'a [Slot], name: &str) -> Option<&'a Slot> {
    slots[..BEAMS].iter().find(|slot| slot.name() == name)
}

fn at_fault(slot: &Slot, at: u64) -> bool {
    slot.windows.iter().any(|w| covers(w, at, |micros| micros))
}

fn covers(window: &Window, at: u64, clock: impl Fn(u64) -> u64) -> bool {
    let kills = matches!(window.kind, Kind::Kill | Kind::Stop | Kind::Restart);
    kills && (clock(window.from)..=clock(window.to + ECHO_MICROS)).contains(&at)
}

/// Microseconds since midnight of `2026-01-02T03:04:05.678901Z`.
fn time_of_day(text: &str) -> Option<u64> {
    let (_, time) = text.split_once('T')?;
    let mut parts = time.trim_end_matches('Z').split([':', '.']);
    let mut next = || parts.next()?.parse::<u64>().ok();
    let (hours, minutes, seconds, micros) = (next()?, next()?, next()?, next()?);
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

#[test]
fn a_log_lines_time_is_read() {
    assert_eq!(time_of_day("2026-01-02T00:01:05.678901Z"), Some(65_678_901));
    assert_eq!(time_of_day("today"), None);
}
