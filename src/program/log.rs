//! The log: errors, and with `--verbose` more, on stderr or above the line being typed.

use std::io;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Begins to log; a second call in one process changes nothing.
pub(super) fn begin<W>(verbose: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = if verbose { LevelFilter::INFO } else { LevelFilter::ERROR };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer)
        .with_ansi(false)
        .without_time()
        .with_target(false);
    // One that is there already stays.
    let _ = log.try_init();
}

/// The same on stderr.
pub(super) fn to_stderr(verbose: bool) {
    begin(verbose, io::stderr);
}
