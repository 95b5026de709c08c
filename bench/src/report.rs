//! A table for people and the same as JSON for plots.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::machine::Machine;

/// Everything one command found out.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) bench: &'static str,
    pub(crate) machine: Machine,
    /// The program that was measured.
    pub(crate) server: String,
    /// The settings of this run, in the words of the command line.
    pub(crate) settings: serde_json::Value,
    pub(crate) sections: Vec<Section>,
    pub(crate) tables: Vec<Table>,
    /// Texts below the tables.
    pub(crate) notes: Vec<String>,
    /// What makes this run less trustworthy than usual.
    pub(crate) cautions: Vec<String>,
}

/// One measured thing, such as the server or its raw limit.
#[derive(Serialize)]
pub(crate) struct Section {
    title: String,
    metrics: Vec<Metric>,
}

/// Many things with the same figures, a line each.
#[derive(Serialize)]
pub(crate) struct Table {
    title: String,
    /// What tells the lines apart.
    labels: Vec<&'static str>,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    labels: Vec<String>,
    metrics: Vec<Metric>,
}

/// One figure over all rounds.
#[derive(Serialize)]
pub(crate) struct Metric {
    name: &'static str,
    unit: &'static str,
    /// What we want of it, in words.
    aim: Option<&'static str>,
    median: f64,
    min: f64,
    max: f64,
    rounds: Vec<f64>,
    /// Whether a table shows more of it than the median.
    #[serde(skip)]
    ranged: bool,
}

impl Report {
    /// Without sections yet, and with the cautions that hold for the whole run.
    pub(crate) fn new(bench: &'static str, machine: Machine, server: String, settings: serde_json::Value) -> Self {
        let mut cautions = machine.cautions();
        if cfg!(debug_assertions) || server.split('/').any(|part| part == "debug") {
            cautions.push("a debug build was measured: use --release for both".to_owned());
        }
        Self { bench, machine, server, settings, sections: Vec::new(), tables: Vec::new(), notes: Vec::new(), cautions }
    }
}

impl Section {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), metrics: Vec::new() }
    }

    /// Adds a figure: one value per round.
    pub(crate) fn metric(mut self, name: &'static str, unit: &'static str, rounds: Vec<f64>) -> Self {
        self.metrics.push(Metric::new(name, unit, rounds));
        self
    }

    /// Says what the last figure should be.
    pub(crate) fn aim(mut self, aim: &'static str) -> Self {
        if let Some(metric) = self.metrics.last_mut() {
            metric.aim = Some(aim);
        }
        self
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, labels: &[&'static str]) -> Self {
        Self { title: title.into(), labels: labels.to_vec(), lines: Vec::new() }
    }

    /// Adds a line; all lines have the same metrics.
    pub(crate) fn row(&mut self, labels: Vec<String>, metrics: Vec<Metric>) {
        self.lines.push(Line { labels, metrics });
    }
}

impl Metric {
    /// One value per round.
    pub(crate) fn new(name: &'static str, unit: &'static str, rounds: Vec<f64>) -> Self {
        let pick = |better: fn(f64, f64) -> f64| rounds.iter().copied().reduce(better).unwrap_or(f64::NAN);
        let (min, max, median) = (pick(f64::min), pick(f64::max), median(&rounds));
        Self { name, unit, aim: None, median, min, max, rounds, ranged: false }
    }

    /// Has a table show the range too.
    pub(crate) fn ranged(self) -> Self {
        Self { ranged: true, ..self }
    }

    fn range(&self) -> String {
        format!("[{} – {}]", figure(self.min), figure(self.max))
    }

    fn cell(&self) -> String {
        let median = figure(self.median);
        if self.ranged && self.min < self.max { format!("{median} {}", self.range()) } else { median }
    }
}

/// Markdown, so that it can be kept.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics = self.lines.first().into_iter().flat_map(|line| &line.metrics);
        let named = |m: &Metric| if m.unit.is_empty() { m.name.to_owned() } else { format!("{}, {}", m.name, m.unit) };
        let head: Vec<_> = self.labels.iter().map(|label| (*label).to_owned()).chain(metrics.map(named)).collect();
        let cells = |line: &Line| line.labels.iter().cloned().chain(line.metrics.iter().map(Metric::cell)).collect();
        let lines: Vec<Vec<_>> = std::iter::once(head).chain(self.lines.iter().map(cells)).collect();
        let widths: Vec<_> = (0..lines[0].len()).map(|i| lines.iter().map(|l| l[i].chars().count()).max()).collect();
        writeln!(f, "**{}**\n", self.title)?;
        for (number, line) in lines.iter().enumerate() {
            for (i, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let width = width.unwrap_or_default();
                // Words to the left, figures to the right.
                if i < self.labels.len() { write!(f, "| {cell:<width$} ")? } else { write!(f, "| {cell:>width$} ")? }
            }
            writeln!(f, "|")?;
            if number == 0 {
                let rules = widths.iter().enumerate().map(|(i, width)| {
                    let rule = "-".repeat(width.unwrap_or_default() + 1);
                    if i < self.labels.len() { format!("|{rule}-") } else { format!("|{rule}:") }
                });
                writeln!(f, "{}|", rules.collect::<String>())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nbench {}: {}", self.bench, self.server)?;
        write!(f, "{}", self.machine)?;
        let settings = self.settings.as_object().into_iter().flatten();
        writeln!(f, "{}", settings.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", "))?;
        for section in &self.sections {
            writeln!(f, "\n{:<56} {:>10}   [min – max]", section.title, "median")?;
            for m in &section.metrics {
                let range = m.range();
                let aim = m.aim.map(|aim| format!("aim: {aim}")).unwrap_or_default();
                let line = format!("  {:<41} {:>12} {:>10}   {range:<20} {aim}", m.name, m.unit, figure(m.median));
                writeln!(f, "{}", line.trim_end())?;
            }
        }
        for table in &self.tables {
            write!(f, "\n{table}")?;
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        writeln!(f)?;
        for caution in &self.cautions {
            writeln!(f, "CAUTION: {caution}")?;
        }
        writeln!(
            f,
            "Absolute values drift by half from hour to hour on a shared machine: compare within one run only,\n\
             and trust the ratios more than the rates (bench/README.md)."
        )
    }
}

/// Three to four digits that matter, thousands apart.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{value:.decimals$}");
    if decimals > 0 || !value.is_finite() {
        return plain;
    }
    let from_right = |i: usize| plain.len() - i;
    let mut grouped = String::new();
    for (i, digit) in plain.chars().enumerate() {
        if i > 0 && from_right(i).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The middle one of some values, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) } else { at(middle) }
}

/// The same of times, in milliseconds.
pub(crate) fn percentile_millis(sorted: &[Duration], share: f64) -> f64 {
    percentile(sorted, share).as_secs_f64() * 1e3
}

/// The value that `share` of the sorted values do not exceed (nearest rank).
fn percentile<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let shown: Vec<_> = [0.4567, 2.345, 56.78, 999.6, 84_123.4, -1_234_567.0].map(figure).into();
        assert_eq!(shown, ["0.457", "2.35", "56.8", "1,000", "84,123", "-1,234,567"]);
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new("Fast", &["way"]);
        table.row(
            vec!["one".to_owned()],
            vec![Metric::new("rate", "/s", vec![1.0, 3.0, 2.0]).ranged(), Metric::new("p99", "ms", vec![0.5])],
        );
        let lines = [
            "**Fast**\n",
            "| way |           rate, /s | p99, ms |",
            "|-----|-------------------:|--------:|",
            "| one | 2.00 [1.00 – 3.00] |   0.500 |\n",
        ];
        assert_eq!(table.to_string(), lines.join("\n"));
    }

    #[test]
    fn median_and_percentiles() {
        let section =
            Section::new("t").metric("odd", "", vec![3.0, 1.0, 2.0]).metric("even", "", vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!(section.metrics[0].median, 2.0);
        assert_eq!((section.metrics[1].median, section.metrics[1].min, section.metrics[1].max), (2.5, 1.0, 4.0));
        let sorted: Vec<u32> = (1..=200).collect();
        assert_eq!((percentile(&sorted, 0.5), percentile(&sorted, 0.99), percentile(&sorted, 1.0)), (100, 198, 200));
    }
}
