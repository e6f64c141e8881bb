//! Ratios of what was measured in one run, and the table that shows them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Whether more or less of a measure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// As with messages a second.
    More,
    /// As with microseconds.
    Less,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Measure {
    /// What was done, as the reader sees it.
    pub label: &'static str,
    /// What a figure counts, such as `/s` or `us`.
    pub unit: &'static str,
    /// By what a figure is divided before it is shown.
    pub scale: f64,
    /// How the ratio is taken: always such that more than 1 means better than the baseline.
    pub better: Better,
    /// The least ratio wanted in each column after the baseline; `None` where nothing is promised.
    pub targets: Vec<Option<f64>>,
}

/// Samples by measure and column; the first column is the baseline of every ratio.
#[derive(Debug)]
pub struct Ratios {
    columns: Vec<&'static str>,
    measures: Vec<Measure>,
    samples: BTreeMap<(usize, usize), Vec<f64>>,
}

impl Ratios {
    /// An empty table.
    pub fn new(columns: Vec<&'static str>, measures: Vec<Measure>) -> Self {
        Self {
            columns,
            measures,
            samples: BTreeMap::new(),
        }
    }

    /// Adds one figure; take those of one measure in turn: A B A B.
    pub fn add(&mut self, measure: usize, column: usize, figure: f64) {
        self.samples
            .entry((measure, column))
            .or_default()
            .push(figure);
    }

    /// The table as Markdown: the median of each figure, its ratio to the baseline's, and whether that reaches its target.
    pub fn table(&self) -> String {
        let mut text = format!("| work | {} |\n", self.columns.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(self.columns.len()));
        for (number, measure) in self.measures.iter().enumerate() {
            let cells: Vec<String> = (0..self.columns.len())
                .map(|column| self.cell(number, measure, column))
                .collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                let _ = writeln!(text, "| {} | {} |", measure.label, cells.join(" | "));
            }
        }
        text
    }

    /// How many targets were reached, and of how many that were measured.
    pub fn reached(&self) -> (usize, usize) {
        let (mut reached, mut all) = (0, 0);
        for (number, measure) in self.measures.iter().enumerate() {
            for column in 1..self.columns.len() {
                if let (Some(ratio), Some(target)) =
                    (self.ratio(number, measure, column), measure.target(column))
                {
                    all += 1;
                    reached += usize::from(ratio >= target);
                }
            }
        }
        (reached, all)
    }

    fn cell(&self, number: usize, measure: &Measure, column: usize) -> String {
        let Some(figure) = self.median(number, column) else {
            return String::new();
        };
        let figure = measure.show(figure);
        let Some(ratio) = self.ratio(number, measure, column).filter(|_| column > 0) else {
            return figure;
        };
        match measure.target(column) {
            None => format!("{figure}, {ratio:.2}x"),
            Some(target) if ratio >= target => format!("{figure}, **{ratio:.2}x** (≥ {target})"),
            Some(target) => format!("{figure}, {ratio:.2}x (missed: ≥ {target})"),
        }
    }

    fn ratio(&self, number: usize, measure: &Measure, column: usize) -> Option<f64> {
        let (ours, baseline) = (self.median(number, column)?, self.median(number, 0)?);
        Some(match measure.better {
            Better::More => ours / baseline,
            Better::Less => baseline / ours,
        })
    }

    /// The middle one; with an even number the lower of the two.
    fn median(&self, measure: usize, column: usize) -> Option<f64> {
        let mut samples = self.samples.get(&(measure, column))?.clone();
        samples.sort_by(f64::total_cmp);
        samples.get((samples.len() - 1) / 2).copied()
    }
}

impl Measure {
    /// Only what counts a second gets that big that it needs a letter.
    fn show(&self, figure: f64) -> String {
        let (figure, letter) = match figure / self.scale {
            f if self.unit.starts_with('/') && f >= 1e6 => (f / 1e6, "M"),
            f if self.unit.starts_with('/') && f >= 1e4 => (f / 1e3, "k"),
            f => (f, ""),
        };
        let digits = match figure {
            f if f >= 100.0 => 0,
            f if f >= 10.0 => 1,
            _ => 2,
        };
        format!("{figure:.digits$} {letter}{}", self.unit)
    }

    fn target(&self, column: usize) -> Option<f64> {
        self.targets.get(column.checked_sub(1)?).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(better: Better, target: f64) -> Measure {
        Measure {
            label: "work",
            unit: "/s",
            scale: 1.0,
            better,
            targets: vec![Some(target)],
        }
    }

    fn of(better: Better, target: f64, ours: &[f64], theirs: &[f64]) -> Ratios {
        let mut ratios = Ratios::new(vec!["theirs", "ours"], vec![measure(better, target)]);
        for (column, figures) in [(0, theirs), (1, ours)] {
            for figure in figures {
                ratios.add(0, column, *figure);
            }
        }
        ratios
    }

    #[test]
    fn the_ratio_is_of_medians_and_says_whether_it_is_enough() {
        let ratios = of(
            Better::More,
            2.0,
            &[900.0, 30_000.0, 25_000.0],
            &[10_000.0, 9_000.0, 1.0],
        );
        assert!(
            ratios.table().contains("25.0 k/s, **2.78x** (≥ 2)"),
            "{}",
            ratios.table()
        );
        assert_eq!(ratios.reached(), (1, 1));
        let ratios = of(Better::More, 3.0, &[25_000.0], &[9_000.0]);
        assert!(ratios.table().contains("2.78x (missed: ≥ 3)"));
        assert_eq!(ratios.reached(), (0, 1));
    }

    #[test]
    fn less_time_is_a_ratio_above_one() {
        assert_eq!(of(Better::Less, 1.0, &[50.0], &[100.0]).reached(), (1, 1));
        assert_eq!(of(Better::Less, 1.0, &[200.0], &[100.0]).reached(), (0, 1));
    }

    #[test]
    fn what_was_not_measured_is_not_shown() {
        let ratios = of(Better::More, 1.0, &[], &[]);
        assert!(!ratios.table().contains("work |  |"));
        assert_eq!(ratios.reached(), (0, 0));
    }
}
