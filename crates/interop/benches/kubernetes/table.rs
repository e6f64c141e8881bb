//! Medians, and lines of a table in Markdown.

/// Nanoseconds, each of one round.
pub(crate) struct Samples {
    sorted: Vec<i64>,
}

impl FromIterator<i64> for Samples {
    fn from_iter<T: IntoIterator<Item = i64>>(all: T) -> Self {
        let mut sorted: Vec<i64> = all.into_iter().collect();
        sorted.sort_unstable();
        Self { sorted }
    }
}

impl Samples {
    /// Median, least and most, in milliseconds; a dash where there was no time for a single round.
    pub(crate) fn cell(&self) -> String {
        let (Some(least), Some(most)) = (self.sorted.first(), self.sorted.last()) else {
            return "—".to_owned();
        };
        let median = self.sorted[self.sorted.len() / 2];
        format!("{} ({} to {})", ms(median), ms(*least), ms(*most))
    }
}

fn ms(nanoseconds: i64) -> String {
    let ms = nanoseconds as f64 / 1e6;
    if ms.abs() < 100.0 {
        format!("{ms:.1}")
    } else {
        format!("{ms:.0}")
    }
}

/// One line of cells.
pub(crate) fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}
