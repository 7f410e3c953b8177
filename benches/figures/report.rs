//! The table: figure, measured, goal, and whether the goal is met.

use std::time::Duration;

/// Lines of the table, in the order in which they were measured.
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    figure: String,
    measured: String,
    goal: String,
    verdict: &'static str,
}

impl Report {
    /// An empty table.
    pub(crate) fn begin() -> Self {
        Self { rows: Vec::new() }
    }

    /// A figure with a goal: `measured` may be at most `most`; `show` prints both.
    pub(crate) fn at_most(
        &mut self,
        figure: &str,
        measured: f64,
        most: f64,
        show: fn(f64) -> String,
    ) {
        let goal = format!("at most {}", show(most));
        self.push(figure, show(measured), goal, verdict(measured <= most));
    }

    /// A figure with a goal: `measured` must be at least `least`.
    pub(crate) fn at_least(
        &mut self,
        figure: &str,
        measured: f64,
        least: f64,
        show: fn(f64) -> String,
    ) {
        let goal = format!("at least {}", show(least));
        self.push(figure, show(measured), goal, verdict(measured >= least));
    }

    /// A figure that could not be measured here, and what it needs.
    pub(crate) fn skip(&mut self, figure: &str, what_it_takes: &str) {
        self.push(figure, "skipped".to_owned(), what_it_takes.to_owned(), "");
    }

    /// A figure without a goal, to put the others in context.
    pub(crate) fn note(&mut self, figure: &str, measured: String) {
        self.push(figure, measured, String::new(), "");
    }

    fn push(&mut self, figure: &str, measured: String, goal: String, verdict: &'static str) {
        eprintln!("  {figure}: {measured}  {goal}  {verdict}");
        self.rows.push(Row { figure: figure.to_owned(), measured, goal, verdict });
    }

    /// Prints the table on stdout.
    pub(crate) fn print(&self) {
        let width = |of: fn(&Row) -> &str, least: usize| {
            self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0).max(least)
        };
        let (first, second) = (width(|row| &row.figure, 6), width(|row| &row.measured, 8));
        let third = width(|row| &row.goal, 4);
        println!("{:first$}  {:>second$}  {:third$}", "figure", "measured", "goal");
        for Row { figure, measured, goal, verdict } in &self.rows {
            println!("{figure:first$}  {measured:>second$}  {goal:third$}  {verdict}");
        }
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "ok" } else { "MISSED" }
}

/// Measured times, sorted.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Takes at least one time.
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    /// The time that `percent` of 100 do not exceed, in microseconds.
    pub(crate) fn percentile_us(&self, percent: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (self.0.len() * percent / 100).min(last);
        self.0.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    }
}

/// The median of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A ratio.
pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2} x")
}

/// A part of a whole.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

/// Seconds.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

/// Bytes and the seconds that they took, as a rate.
pub(crate) fn rate(bytes: u64, seconds: f64) -> String {
    format!("{:.0} MB/s", bytes as f64 / seconds / 1e6)
}

/// Microseconds as milliseconds.
pub(crate) fn ms(us: f64) -> String {
    format!("{:.3} ms", us / 1e3)
}

/// Bytes as KiB.
pub(crate) fn kib(bytes: f64) -> String {
    format!("{:.1} KiB", bytes / 1024.0)
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: f64) -> String {
    format!("{:.2} MiB", bytes / 1024.0 / 1024.0)
}

/// Milliseconds of CPU in each second.
pub(crate) fn ms_per_s(ms: f64) -> String {
    format!("{ms:.2} ms/s")
}
