//! Prints notices as they come, and answers in their places among them.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::backlog::HeldBack;
use super::live::LiveOutput;
use crate::node::{Feed, FeedItem, FeedReader};
use crate::router::ids::FileId;
use crate::router::notice::{Code, Failure, Notice};
use crate::sys::terminal::columns_of_stderr;
use crate::ui::live::Moving;
use crate::ui::notice::{Format, NoticeOutput as Rendered, Renderer, Style, error_line};

/// The screen or the pipe, shared by the printer and the threads that answer commands.
pub(super) struct Output {
    state: Mutex<OutputState>,
    passed: Condvar,
    /// Whether to print only what is there, and nothing later.
    finishing: AtomicBool,
}

struct OutputState {
    sink: Sink,
    /// The printer's position in the feed.
    position: u64,
    /// Stdout cannot be written any more.
    broken: Option<Failure>,
    /// How much of it is for people.
    shows: Shows,
    /// Only this face's transfers are shown; `None`: all.
    moves: Option<Moves>,
    backlog: HeldBack,
    /// Whether the node is leaving.
    stopping: bool,
    ended: bool,
}

/// The lines that people get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// Everything.
    All,
    /// A one-shot's results.
    Results,
    /// Nothing, because stdout is for something else.
    Nothing,
}

/// The transfers of one face among several.
#[derive(Debug)]
struct Moves {
    /// Files it sends, by path.
    paths: BTreeSet<PathBuf>,
    /// Files it fetches.
    files: BTreeSet<FileId>,
    /// The folder that they go to.
    folder: PathBuf,
}

/// A destination for bytes.
type OutputStream = Box<dyn Write + Send>;

/// Where everything is printed.
enum Sink {
    /// Line by line to stdout, errors to stderr.
    Streams {
        renderer: Renderer,
        out: BufWriter<OutputStream>,
        err: OutputStream,
        /// The transfers, in one line on stderr.
        bar: Option<Box<Bar>>,
    },
    /// Above a line being typed.
    Live(Box<LiveOutput>),
}

impl Output {
    /// Prints in this format on stdout and stderr.
    #[must_use]
    pub(super) fn new(format: Format) -> Arc<Self> {
        Self::to(format, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// The same, with other streams in place of both.
    #[must_use]
    pub(super) fn to(format: Format, out: OutputStream, err: OutputStream) -> Arc<Self> {
        let out = BufWriter::new(out);
        let state = OutputState {
            sink: Sink::Streams { renderer: Renderer::new(format), out, err, bar: None },
            position: 0,
            broken: None,
            shows: Shows::All,
            moves: None,
            backlog: HeldBack::default(),
            stopping: false,
            ended: false,
        };
        let finishing = AtomicBool::new(false);
        Arc::new(Self { state: Mutex::new(state), passed: Condvar::new(), finishing })
    }

    /// From now on prints on a live terminal.
    pub(super) fn go_live(&self, live: LiveOutput) {
        let mut state = self.lock();
        state.flush();
        state.sink = Sink::Live(Box::new(live));
    }

    /// From now on shows transfers in a line on stderr, a terminal with so many columns; `None`: as
    /// many as this program's terminal.
    pub(super) fn show_bar(&self, columns: Option<u16>) {
        if let Sink::Streams { bar, .. } = &mut self.lock().sink {
            *bar = Some(Box::new(Bar { columns, ..Bar::default() }));
        }
    }

    /// From now on reports only files that go to this folder or were passed to [`Output::sends`];
    /// the other faces have theirs.
    pub(super) fn only_own_files(&self, folder: &Path) {
        // A missing folder is reported when something should be saved there.
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let (paths, files) = Default::default();
        self.lock().moves = Some(Moves { paths, files, folder });
    }

    /// This face sends the file at this path.
    pub(super) fn sends(&self, path: &Path) {
        if let (Some(moves), Ok(path)) = (&mut self.lock().moves, std::path::absolute(path)) {
            moves.paths.insert(path);
        }
    }

    /// This face fetches a file.
    pub(super) fn fetches(&self, file: FileId) {
        if let Some(moves) = &mut self.lock().moves {
            moves.files.insert(file);
        }
    }

    /// Copies bytes to stdout, as they are.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub(super) fn copy(&self, from: &mut impl Read) -> io::Result<()> {
        let Sink::Streams { out, .. } = &mut self.lock().sink else { return Ok(()) };
        io::copy(from, out)?;
        out.flush()
    }

    /// The printer should end when it has printed what is there.
    pub(super) fn finish(&self, feed: &Feed) {
        self.finishing.store(true, Ordering::SeqCst);
        feed.wake();
    }

    /// From now on people see only a one-shot's results, or nothing.
    pub(super) fn show_results(&self, any: bool) {
        self.lock().shows = if any { Shows::Results } else { Shows::Nothing };
    }

    /// From now on lines for people look like this.
    pub(super) fn restyle(&self, style: Style) {
        if let Sink::Streams { renderer, .. } = &mut self.lock().sink {
            renderer.restyle(style);
        }
    }

    /// Sets how many earlier messages are printed; `None`: all.
    pub(super) fn bound_backlog(&self, most: Option<usize>) {
        self.lock().backlog = HeldBack::new(most);
    }

    /// Prints a one-shot's result; programs get it as events.
    pub(super) fn result(&self, line: &str) {
        let mut state = self.lock();
        if state.is_for_people() && state.shows != Shows::Nothing {
            state.write(Rendered { out: Some(line.to_owned()), err: None });
            state.flush();
        }
    }

    /// Whether stdout no longer accepts anything.
    pub(super) fn is_broken(&self) -> bool {
        self.lock().broken.is_some()
    }

    /// No more is typed: what follows are the last lines.
    pub(super) fn close(&self) {
        if let Sink::Live(live) = &self.lock().sink {
            live.close();
        }
    }

    /// Shows a typed line as it should look from now on; only on a live terminal.
    pub(super) fn echo(&self, line: &str) {
        let mut state = self.lock();
        if let Sink::Live(live) = &mut state.sink {
            live.echo(line);
            state.flush();
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutputState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a notice now.
    pub(super) fn print(&self, notice: &Notice) {
        let mut state = self.lock();
        state.print(notice);
        state.flush();
    }

    /// Prints a notice once the printer has passed `after`, so that it is in the right place.
    pub(super) fn print_after(&self, after: u64, notice: &Notice) {
        let mut state = self.wait_until(after);
        state.print(notice);
        state.flush();
    }

    /// Tells people on stderr, once the printer has passed `after`; programs get a notice as well.
    pub(super) fn hint(&self, after: u64, text: &str) {
        let mut state = self.wait_until(after);
        state.hint(text);
        state.flush();
    }

    /// Waits until the printer has passed `position` (or nothing more comes).
    pub(super) fn wait_for(&self, position: u64) {
        drop(self.wait_until(position));
    }

    fn wait_until(&self, position: u64) -> MutexGuard<'_, OutputState> {
        let mut state = self.lock();
        while state.position < position && !state.ended {
            state = self.passed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// Whether the node leaves within this time.
    pub(super) fn ends_within(&self, patience: Duration) -> bool {
        let going = |state: &mut OutputState| !state.stopping && !state.ended;
        let waited = self.passed.wait_timeout_while(self.lock(), patience, going);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.stopping || state.ended
    }

    /// Waits until the printer has printed everything, up to `patience`.
    pub(super) fn wait_ended(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.passed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Prints what `reader` brings until nothing more comes. `closed` is called once if stdout is
    /// gone. The very last notice is left to the caller, who knows the exit code.
    pub(super) fn run(
        &self,
        mut reader: FeedReader,
        closed: impl Fn(&Failure, bool),
        noted: impl Fn(&Notice) -> Vec<Notice>,
    ) {
        let mut told_closed = false;
        self.lock().position = reader.position();
        self.passed.notify_all();
        let finishing = || self.finishing.load(Ordering::SeqCst);
        loop {
            let heard = match reader.next(Some(Duration::ZERO)) {
                FeedItem::Nothing => {
                    let patience = {
                        let mut state = self.lock();
                        let due = state.backlog.due();
                        due.iter().for_each(|notice| state.print_now(notice));
                        state.flush();
                        state.patience()
                    };
                    match reader.next_unless(patience, finishing) {
                        FeedItem::Nothing if finishing() => FeedItem::Ended,
                        heard => heard,
                    }
                }
                heard => heard,
            };
            let mut state = self.lock();
            match heard {
                FeedItem::Notice(notice) if matches!(*notice, Notice::Stopped { .. }) => {
                    state.stopping = true;
                }
                FeedItem::Notice(notice) => {
                    state.print(&notice);
                    noted(&notice).iter().for_each(|follows| state.print(follows));
                }
                FeedItem::Missed(count) => {
                    let text = format!("{count} notices were not shown: the output was too slow");
                    state.print(&Notice::Remark { text });
                }
                FeedItem::Forget | FeedItem::Nothing => {}
                FeedItem::Ended => {
                    let left = state.backlog.release();
                    left.iter().for_each(|notice| state.print_now(notice));
                    state.ended = true;
                    state.flush();
                }
            }
            state.position = reader.position();
            let ended = state.ended;
            let broken = state.broken.clone();
            let live = matches!(state.sink, Sink::Live(_));
            drop(state);
            self.passed.notify_all();
            if let Some(failure) = broken
                && !std::mem::replace(&mut told_closed, true)
            {
                closed(&failure, live);
            }
            if ended {
                return;
            }
        }
    }
}

/// A line on stderr that shows the transfers.
#[derive(Debug, Default)]
struct Bar {
    moving: Moving,
    shown: bool,
    columns: Option<u16>,
}

impl Bar {
    /// Shows progress, or makes room for other lines; returns whether that was all to do for it.
    fn takes(&mut self, notice: &Notice, err: &mut dyn Write) -> bool {
        self.moving.hear(notice);
        let moved = matches!(
            notice,
            Notice::DownloadProgress { .. } | Notice::HashProgress { .. } | Notice::Held { .. }
        );
        let own = || columns_of_stderr().unwrap_or(80);
        let columns = self.columns.unwrap_or_else(own);
        let rows = self.moving.rows(usize::from(columns.max(2)) - 1);
        let row = rows.into_iter().next().filter(|_| moved);
        if row.is_some() || self.shown {
            let row = row.unwrap_or_default();
            self.shown = !row.is_empty();
            // A bar that cannot be shown is left out.
            let _ = err.write_all(format!("\r{row}\x1b[K").as_bytes());
        }
        moved
    }
}

impl OutputState {
    fn print(&mut self, notice: &Notice) {
        let others = self.moves.as_ref().is_some_and(|moves| moves.are_of_others(notice));
        if others || self.backlog.holds(notice) {
            return;
        }
        let before = self.backlog.before(notice);
        before.iter().for_each(|notice| self.print_now(notice));
        self.print_now(notice);
    }

    fn print_now(&mut self, notice: &Notice) {
        match &mut self.sink {
            Sink::Streams { renderer, err, bar, .. } => {
                if let Some(bar) = bar
                    && bar.takes(notice, err)
                {
                    return;
                }
                renderer.set_now(now_ms());
                let mut output = renderer.render(notice);
                if renderer.is_for_people() && !self.shows.is_shown(notice) {
                    output.out = None;
                }
                self.write(output);
            }
            Sink::Live(live) => {
                if live.hear(notice, now_ms()) {
                    self.flush();
                }
                if let Notice::Error { failure, .. } = notice
                    && !io::stderr().is_terminal()
                {
                    let _ = writeln!(io::stderr(), "{}", error_line(failure, &Style::plain()));
                }
            }
        }
    }

    fn hint(&mut self, text: &str) {
        let notice = Notice::Remark { text: text.to_owned() };
        match &mut self.sink {
            Sink::Streams { renderer, bar, err, .. } => {
                if let Some(bar) = bar {
                    bar.takes(&notice, err);
                }
                let output = renderer.hint(text);
                self.write(output);
            }
            Sink::Live(_) => self.print(&notice),
        }
    }

    fn write(&mut self, output: Rendered) {
        let Sink::Streams { out, err, .. } = &mut self.sink else { return };
        if let Some(lines) = output.out
            && self.broken.is_none()
            && let Err(error) = writeln!(out, "{lines}")
        {
            self.broken = Some(failed(&error));
        }
        if let Some(line) = output.err {
            // Earlier output belongs before it, if both go to one screen.
            if self.broken.is_none()
                && let Err(error) = out.flush()
            {
                self.broken = Some(failed(&error));
            }
            // If errors cannot be written there is nobody to tell.
            let _ = err.write_all(format!("{line}\n").as_bytes());
        }
    }

    fn flush(&mut self) {
        let flushed = match &mut self.sink {
            Sink::Streams { out, .. } if self.broken.is_none() => out.flush(),
            Sink::Live(live) if self.broken.is_none() => live.flush(now_ms()),
            _ => Ok(()),
        };
        if let Err(error) = flushed {
            self.broken = Some(failed(&error));
        }
    }

    fn is_for_people(&self) -> bool {
        match &self.sink {
            Sink::Streams { renderer, .. } => renderer.is_for_people(),
            Sink::Live(_) => true,
        }
    }

    /// How long the printer may wait for the next notice.
    fn patience(&self) -> Option<Duration> {
        let older = self.backlog.patience();
        let rows = match &self.sink {
            Sink::Live(live) => live.due_ms(),
            Sink::Streams { .. } => None,
        };
        let rows = rows.map(|due_ms| due_ms.saturating_sub(now_ms()));
        let rows = rows.map(|left_ms| Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)));
        [older, rows].into_iter().flatten().min()
    }
}

impl Moves {
    fn are_of_others(&self, notice: &Notice) -> bool {
        match notice {
            Notice::HashProgress { path, .. } | Notice::HashFailed { path, .. } => {
                !self.paths.contains(path)
            }
            Notice::DownloadFinished { path, file, .. } => {
                !self.files.contains(&file.id) || path.parent() != Some(&self.folder)
            }
            Notice::DownloadStarted { file }
            | Notice::DownloadQueued { file }
            | Notice::DownloadProgress { file, .. }
            | Notice::DownloadFailed { file, .. } => !self.files.contains(&file.id),
            _ => false,
        }
    }
}

impl Shows {
    fn is_shown(self, notice: &Notice) -> bool {
        match self {
            Self::All => true,
            Self::Results => matches!(notice, Notice::DownloadFinished { .. }),
            Self::Nothing => false,
        }
    }
}

/// Why stdout accepts nothing.
pub(super) fn failed(error: &io::Error) -> Failure {
    let text = format!("cannot write to stdout: {error}");
    Failure::new(Code::OutputFailed, text)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
