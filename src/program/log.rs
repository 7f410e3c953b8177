//! The log: errors, more with `--verbose`, and whatever `KLATCH_LOG` selects; on stderr or above
//! the line being typed.

use std::io;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Selects what is logged: a level, or several `module=level`, separated by commas.
const VARIABLE: &str = "KLATCH_LOG";

/// Starts logging; a second call in one process changes nothing.
pub(super) fn begin<W>(verbose: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let asked = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let read = asked.as_deref().map(str::parse::<Targets>);
    let wrong = matches!(read, Some(Err(_)));
    let targets = read.and_then(Result::ok).unwrap_or_else(|| {
        Targets::new().with_default(if verbose { Level::INFO } else { Level::ERROR })
    });
    let lines =
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false).without_time();
    let lines = lines.with_target(asked.is_some());
    // If a log was started before, it stays.
    let begun = tracing_subscriber::registry().with(targets).with(lines).try_init();
    if begun.is_ok() && wrong {
        tracing::error!(
            "{VARIABLE} is not understood: write a level such as debug, or klatch::net=trace"
        );
    }
}

/// The same on stderr.
pub(super) fn to_stderr(verbose: bool) {
    begin(verbose, io::stderr);
}
