//! One-shots: `send`, `get` and `say` start with the commands of the command line, do one thing,
//! and exit. Each step is an ordinary command of the room; none is read from stdin.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::input::{Source, Stdin};
use super::output::failed;
use super::paths;
use crate::config::{OneShot, Task, is_stdout};
use crate::files::folder::marker::MARKER;
use crate::files::names::safe_name;
use crate::node::Stopped;
use crate::router::command::{Command, SaveAs, Wait};
use crate::router::notice::{Code, Failure, FileLine, Notice};
use crate::router::text::{Untrusted, is_glob};
use crate::ui::command::{Input, message};
use crate::ui::line_reader::Line;

/// How long finding somebody or something may take, unless told otherwise.
const FINDING: Duration = Duration::from_secs(60);
/// Nothing else has a limit, unless told otherwise.
const NO_LIMIT_MS: u64 = u64::MAX;
/// The name under which stdin is offered, unless told otherwise.
const STDIN_NAME: &str = "stdin";
/// The temporary name of a file that goes to stdout.
const PASSING_NAME: &str = "content";

/// Where downloads of a `get` go.
#[derive(Debug)]
pub(super) enum SaveTarget {
    /// Into this folder.
    Folder(PathBuf),
    /// Into this folder, which is there; but a single folder takes its place.
    Existing(PathBuf),
    /// Into this new file.
    File(PathBuf, String),
    /// To stdout, through this folder.
    Stdout(TempDir),
}

impl SaveTarget {
    /// What `--output` means; without it, `downloads` is used.
    ///
    /// # Errors
    /// When a file of that name exists, or nothing for stdout can be stored temporarily.
    pub(super) fn of(task: &Task, downloads: &Path) -> Result<Self, Failure> {
        let Task::Get { output: Some(output), skip_existing, .. } = task else {
            return Ok(Self::Folder(downloads.to_owned()));
        };
        let output = Path::new(output);
        let shown = Untrusted::new(output.to_string_lossy()).line();
        let failed = |error: io::Error| {
            Failure::new(Code::IoError, format!("cannot save to {shown}: {error}"))
        };
        if is_stdout(output) {
            return tempfile::tempdir().map(Self::Stdout).map_err(failed);
        }
        let whole = std::path::absolute(output).map_err(failed)?;
        let ends_with_slash = output.as_os_str().as_encoded_bytes().ends_with(b"/");
        let is_folder = ends_with_slash || whole.is_dir();
        let (folder, name) = match (whole.parent(), whole.file_name()) {
            (Some(folder), Some(name)) if !is_folder => {
                (folder, name.to_string_lossy().into_owned())
            }
            _ if ends_with_slash && !whole.join(MARKER).exists() => {
                return Ok(Self::Folder(whole));
            }
            _ => return Ok(Self::Existing(whole)),
        };
        if whole.exists() && !skip_existing {
            let text = format!("{shown} already exists and is not replaced: choose another name");
            return Err(Failure::new(Code::IoError, text));
        }
        Ok(Self::File(folder.to_owned(), name))
    }

    /// The folder that files go to.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) | Self::Existing(folder) | Self::File(folder, _) => folder,
            Self::Stdout(folder) => folder.path(),
        }
    }
}

/// How much time is left.
#[derive(Debug, Clone, Copy)]
struct TimeLeft(Option<Instant>);

impl TimeLeft {
    fn left(self) -> Option<Duration> {
        self.0.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Milliseconds left for finding somebody or something.
    fn finding_ms(self) -> u64 {
        millis(self.left().unwrap_or(FINDING))
    }

    /// Milliseconds left for everything else.
    fn rest_ms(self) -> u64 {
        self.left().map_or(NO_LIMIT_MS, millis)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NO_LIMIT_MS)
}

/// The result of a one-shot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OneShotEnd {
    /// Everything that was named is done.
    pub(super) all: bool,
    /// There is something here to keep serving.
    pub(super) serves: bool,
}

impl<R: BufRead> Stdin<R> {
    /// Gives the command line's commands, then carries out the one-shot's task; returns whether all
    /// of it was done. A step that fails cancels those that depend on it.
    pub(super) fn run_one_shot(
        &mut self,
        first: Vec<Command>,
        one_shot: OneShot,
        target: &SaveTarget,
        stay: bool,
    ) -> Result<OneShotEnd, Stopped> {
        let clock = TimeLeft(one_shot.within.and_then(|within| Instant::now().checked_add(within)));
        self.deadline = clock.0;
        // `started` comes before every answer.
        self.output.wait_for(1);
        let mut alone = !self.job;
        for command in first {
            let command = match command {
                command @ (Command::Connect { .. } | Command::Join { .. }) => {
                    alone = false;
                    Command::Reach { by: Box::new(command), within_ms: clock.finding_ms() }
                }
                command => command,
            };
            if !self.give(0, command, false)? {
                return Ok(OneShotEnd::default());
            }
        }
        match one_shot.task {
            Task::Send { paths, name, until } => {
                self.offer(paths, name, (until, stay), (clock, alone))
            }
            Task::Get { names, skip_existing, delete, .. } => {
                self.fetch(names, target, (skip_existing, delete), clock)
            }
            Task::Say(text) => self.say_all(text, clock),
        }
    }

    /// `klatch send`.
    fn offer(
        &mut self,
        paths: Vec<OsString>,
        name: Option<String>,
        (until, stay): (Option<usize>, bool),
        (clock, alone): (TimeLeft, bool),
    ) -> Result<OneShotEnd, Stopped> {
        let mut all = true;
        let mut offered = false;
        for path in paths {
            let found = match path.to_str() {
                Some("-") => self.spool()?.map(|path| {
                    vec![(path, Some(name.clone().unwrap_or_else(|| STDIN_NAME.into())))]
                }),
                _ => named(&self.folder, Path::new(&path), name.as_deref()),
            };
            let found = self.or_say(found, "send");
            all &= found.is_some();
            for (path, name) in found.into_iter().flatten() {
                self.output.sends(&path);
                let send = match name {
                    Some(name) => Command::SendAs { path, name },
                    None => Command::Send { paths: vec![path] },
                };
                let done = self.give(0, send, false)?;
                all &= done;
                offered |= done;
            }
        }
        if !offered {
            return Ok(OneShotEnd::default());
        }
        if alone {
            all &= self.give(0, Command::Invite { once: false, for_ms: None }, false)?;
            if let Some(Notice::Invitation { text, .. }) = self.told.take() {
                self.output.result(&format!("klatch get {text}"));
            }
            if self.output.is_broken() {
                // Nobody can come who was not told where.
                return Ok(OneShotEnd::default());
            }
        }
        if until.is_some() || !stay {
            let what = until.map_or(Wait::Fetched, Wait::FetchedBy);
            all &= self.give(0, Command::Wait { what, within_ms: clock.rest_ms() }, false)?;
        }
        Ok(OneShotEnd { all, serves: true })
    }

    /// Stores stdin as a file, in a folder that is removed with the program.
    fn spool(&mut self) -> Result<Result<PathBuf, Failure>, Stopped> {
        let Source::Stream(lines) = &mut self.source else { return Err(Stopped) };
        let mut read = || {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join(STDIN_NAME);
            io::copy(&mut lines.rest(), &mut File::create_new(&path)?)?;
            Ok((folder, path))
        };
        match read() {
            Ok((folder, path)) => {
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
                Ok(Ok(path))
            }
            Err(error) if is_gone(&error) => Err(Stopped),
            Err(error) => {
                let text = format!("cannot keep what came from stdin: {error}");
                Ok(Err(Failure::new(Code::IoError, text)))
            }
        }
    }

    /// `klatch get`.
    fn fetch(
        &mut self,
        names: Vec<String>,
        target: &SaveTarget,
        existing: (bool, bool),
        clock: TimeLeft,
    ) -> Result<OneShotEnd, Stopped> {
        let names: Vec<_> = match names.is_empty() {
            true => vec![None],
            false => names.into_iter().map(Some).collect(),
        };
        let several = names.len() > 1;
        let mut done = OneShotEnd { all: true, serves: false };
        for name in names {
            let wait = Wait::Offer(name.clone());
            let wait = Command::Wait { what: wait, within_ms: clock.finding_ms() };
            done.all &= self.give(0, wait, false)?;
            let Some(Notice::Files { list }) = self.told.take() else { continue };
            let wanted = wanted(name.as_deref(), list);
            if let (SaveTarget::File(_, output), true) = (target, several || wanted.len() > 1) {
                let output = Untrusted::new(output);
                let text =
                    format!("--output {output} is one file, but there are several: name a folder");
                self.fail("get", Failure::new(Code::Usage, text));
                return Ok(OneShotEnd { all: false, ..done });
            }
            let single = !several && wanted.len() == 1;
            for (row, wanted) in wanted {
                let (one, serves) =
                    self.fetch_one(&row, wanted, (target, single), (existing, clock))?;
                done.all &= one;
                done.serves |= serves;
            }
        }
        Ok(done)
    }

    /// Fetches one file; returns whether all of that succeeded, and whether the file is here.
    fn fetch_one(
        &mut self,
        row: &FileLine,
        wanted: String,
        (target, single): (&SaveTarget, bool),
        ((skip_existing, delete), clock): ((bool, bool), TimeLeft),
    ) -> Result<(bool, bool), Stopped> {
        let plain = safe_name(row.file.name.raw());
        let mut into = target.folder();
        let mirror = |name: &OsStr| SaveAs::Mirror {
            name: name.to_string_lossy().into_owned(),
            from: row.from.id,
            delete,
        };
        let (save, there) = match target {
            SaveTarget::Existing(folder) if single && row.folder.is_some() => {
                let (Some(above), Some(name)) = (folder.parent(), folder.file_name()) else {
                    let text = "the top of the disk cannot become a folder: choose another name";
                    self.fail("get", Failure::new(Code::IoError, text));
                    return Ok((false, false));
                };
                into = above;
                (mirror(name), folder.clone())
            }
            SaveTarget::File(folder, name) if row.folder.is_some() => {
                (mirror(name.as_ref()), folder.join(name))
            }
            // A file that should be found again next time gets the name that is then searched for.
            SaveTarget::Folder(folder) | SaveTarget::Existing(folder)
                if single || skip_existing =>
            {
                (SaveAs::Plain, folder.join(&plain))
            }
            SaveTarget::Folder(folder) | SaveTarget::Existing(folder) => {
                (SaveAs::Dated, folder.join(&plain))
            }
            SaveTarget::File(folder, name) => (SaveAs::Named(name.clone()), folder.join(name)),
            SaveTarget::Stdout(folder) => {
                (SaveAs::Passing(PASSING_NAME.into()), folder.path().join(PASSING_NAME))
            }
        };
        if row.folder.is_some() && matches!(target, SaveTarget::Stdout(_)) {
            let text = format!("{} is a folder, which stdout cannot take", row.file.name);
            self.fail("get", Failure::new(Code::NotAFile, text));
            return Ok((false, false));
        }
        if delete && !matches!(save, SaveAs::Mirror { .. }) {
            let text = "--delete only goes with one folder, and --output with the name it gets";
            self.fail("get", Failure::new(Code::Usage, text));
            return Ok((false, false));
        }
        if skip_existing && there.exists() {
            let there = Untrusted::new(there.to_string_lossy()).line();
            self.output.hint(0, &format!("{there} already exists: skipped"));
            return Ok((true, false));
        }
        let patient = clock.0.is_some();
        self.output.fetches(row.file.id);
        let folder = Some(into.canonicalize().unwrap_or_else(|_| into.to_owned()));
        let done = self.give(0, Command::Fetch { wanted, patient, save, folder }, false)?;
        if done && matches!(target, SaveTarget::Stdout(_)) {
            let passed = self.pass_on(&there);
            return Ok((self.or_say(passed, "get").is_some(), false));
        }
        Ok((done, done))
    }

    /// `klatch say`.
    fn say_all(&mut self, text: Option<String>, clock: TimeLeft) -> Result<OneShotEnd, Stopped> {
        let (mut all, mut said) = (true, false);
        match text {
            Some(text) => {
                (all, said) = self.say_one(message(&text))?;
            }
            None => loop {
                let line = match &mut self.source {
                    Source::Stream(lines) => lines.next_line(),
                    Source::Live(..) => Ok(Line::End),
                };
                let line = match line {
                    Ok(Line::End) => break,
                    Ok(line) => line.into_text().map(Option::unwrap_or_default),
                    Err(error) if is_gone(&error) => return Err(Stopped),
                    Err(error) => {
                        let text = format!("cannot read stdin: {error}");
                        self.fail("say", Failure::new(Code::IoError, text));
                        all = false;
                        break;
                    }
                };
                if line.as_ref().is_ok_and(|line| line.trim().is_empty()) {
                    continue;
                }
                let (done, one) = self.say_one(line.and_then(|line| message(&line)))?;
                all &= done;
                said |= one;
            },
        }
        if said {
            let within_ms = clock.finding_ms();
            all &= self.give(0, Command::Wait { what: Wait::Held, within_ms }, false)?;
        }
        Ok(OneShotEnd { all, serves: false })
    }

    /// Says one text; returns whether all of that succeeded, and whether it was said.
    fn say_one(&mut self, input: Result<Input, Failure>) -> Result<(bool, bool), Stopped> {
        match input {
            Ok(Input::Command(say)) => {
                let done = self.give(0, say, false)?;
                Ok((done, done))
            }
            Ok(_) => Ok((true, false)),
            Err(failure) => {
                self.fail("say", failure);
                Ok((false, false))
            }
        }
    }

    /// Writes a file to stdout, and removes it.
    fn pass_on(&self, path: &Path) -> Result<(), Failure> {
        let passed = File::open(path).and_then(|mut file| self.output.copy(&mut file));
        passed.map_err(|error| failed(&error))?;
        // If the file cannot be removed, it goes with its folder.
        let _ = std::fs::remove_file(path);
        Ok(())
    }

    fn fail(&mut self, command: &'static str, failure: Failure) {
        self.failures.say(&self.output, 0, Some(command), failure);
    }

    /// Reports what went wrong, if anything did.
    fn or_say<T>(&mut self, result: Result<T, Failure>, command: &'static str) -> Option<T> {
        result.map_err(|failure| self.fail(command, failure)).ok()
    }
}

/// The files to fetch that a word means, each with the word by which the room knows it: without a
/// word everything, for a glob all that match, otherwise one file.
fn wanted(name: Option<&str>, list: Vec<FileLine>) -> Vec<(FileLine, String)> {
    // By its offer: another with equal content may have another name.
    let by_offer = |row: FileLine| (row.clone(), row.id.to_string());
    let files: BTreeSet<_> = list.iter().map(|row| row.file.id).collect();
    if let Some(part) = name.and_then(|name| part_of_folder(name, &list))
        && files.len() == 1
    {
        let within = |row: FileLine| (row.clone(), format!("{}/{part}", row.id));
        return list.into_iter().take(1).map(within).collect();
    }
    match name.filter(|name| !is_glob(name)) {
        None => list.into_iter().map(by_offer).collect(),
        // The room lists the candidates.
        Some(name) if files.len() > 1 => {
            list.into_iter().take(1).map(|row| (row, name.to_owned())).collect()
        }
        Some(_) => list.into_iter().take(1).map(by_offer).collect(),
    }
}

/// What a word means in the folder that it names, if these rows are of that.
fn part_of_folder<'a>(name: &'a str, list: &[FileLine]) -> Option<&'a str> {
    let (_, part) = name.split_once('/')?;
    let is_around = |row: &FileLine| row.folder.is_some() && row.file.name.raw() != name;
    list.iter().all(is_around).then_some(part)
}

/// The holder of stdin is gone before its end.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionAborted
}

/// The files that a path means, relative to `folder`, each with the name under which it is offered
/// if that is not its own.
fn named(
    folder: &Path,
    path: &Path,
    name: Option<&str>,
) -> Result<Vec<(PathBuf, Option<String>)>, Failure> {
    let files = paths::expand(folder, path)?;
    if files.len() > 1 && name.is_some() {
        let (shown, more) = (Untrusted::new(path.to_string_lossy()).line(), files.len());
        let text = format!("--as names one file, but {shown} matches {more}");
        return Err(Failure::new(Code::Usage, text));
    }
    Ok(files.into_iter().map(|path| (path, name.map(str::to_owned))).collect())
}
