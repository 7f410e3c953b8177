//! From `exec` to `listening`.

use std::time::Duration;

use anyhow::Result;

use crate::program::Program;
use crate::report::{Report, Times, ms};

/// How many times klatch is started.
const STARTS: usize = 21;
/// From start to the `listening` event, in microseconds.
const START_US: f64 = 20_000.0;

/// How long klatch takes until others can reach it.
pub(crate) fn start_up(report: &mut Report) -> Result<()> {
    let start = |_| -> Result<Duration> {
        let program = Program::start(&[])?;
        let (at, _) = program.event("listening")?;
        Ok(at.saturating_duration_since(program.began))
    };
    let times = Times::new((0..STARTS).map(start).collect::<Result<_>>()?);
    report.at_most("start-up to listening, median", times.percentile_us(50), START_US, ms);
    report.note("start-up to listening, slowest", ms(times.percentile_us(100)));
    Ok(())
}
