//! Own files on their way to an offer: each command's files are hashed one by one, and then
//! offered.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use crate::router::context::Context;
use crate::router::event::{Effect, Hashed};
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure, MovingFile, Notice, TransferLine, TransferState};
use crate::router::rate::MeasuredRate;
use crate::router::replies::all_of;
use crate::router::text::Untrusted;
use crate::router::time::Millis;
use crate::router::word::FileWord;

/// A file that is being hashed.
#[derive(Debug)]
pub(crate) struct OfferJob {
    face: FaceId,
    line: u64,
    path: PathBuf,
    /// The files that the same command offers next.
    rest: VecDeque<PathBuf>,
    /// Why earlier files of the command could not be offered.
    failures: Vec<Failure>,
    /// Its name for people.
    name: String,
    /// Its bytes, once its turn has come.
    size: Option<u64>,
    bytes_done: u64,
    rate: MeasuredRate,
    /// Whether faces were told of its progress.
    told: bool,
    /// Whether it was made for a page, which is told the result.
    copy: bool,
}

impl OfferJob {
    fn new(face: FaceId, line: u64, path: PathBuf) -> Self {
        Self {
            face,
            line,
            name: name_of(&path),
            path,
            rest: VecDeque::new(),
            failures: Vec::new(),
            size: None,
            bytes_done: 0,
            rate: MeasuredRate::new(Millis(0)),
            told: false,
            copy: false,
        }
    }

    /// The face and line that asked for it.
    pub(crate) fn of(&self) -> (FaceId, u64) {
        (self.face, self.line)
    }

    /// Whether it is a copy that was made for a page.
    pub(crate) fn is_copy(&self) -> bool {
        self.copy
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Files being hashed, in the order of the requests.
#[derive(Debug, Default)]
pub(crate) struct Hashing {
    next_job: u64,
    jobs: BTreeMap<u64, OfferJob>,
}

impl Hashing {
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// These files should be offered.
    pub(crate) fn send(&mut self, cx: &mut Context, of: (FaceId, u64), paths: Vec<PathBuf>) {
        self.send_rest(cx, of, paths.into(), Vec::new());
    }

    /// Offers the first of these paths, and the rest after it.
    fn send_rest(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        mut rest: VecDeque<PathBuf>,
        failures: Vec<Failure>,
    ) {
        let Some(path) = rest.pop_front() else {
            return cx.reply(face, line, "send", all_of(failures));
        };
        let job = OfferJob { rest, failures, ..OfferJob::new(face, line, path.clone()) };
        let job = self.begin_job(job);
        cx.effect(Effect::Hash { job, path });
    }

    /// A file should be offered under a name.
    pub(crate) fn send_as(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        (path, name): (PathBuf, String),
    ) {
        let job = self.begin_job(OfferJob::new(face, line, path.clone()));
        cx.effect(Effect::HashAs { job, path, name });
    }

    /// The same for a copy that was made for a page.
    pub(crate) fn share(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        (path, name): (PathBuf, String),
    ) {
        let job = OfferJob::new(face, line, path.clone());
        let job = self.begin_job(OfferJob { name: name.clone(), copy: true, ..job });
        cx.effect(Effect::HashAs { job, path, name });
    }

    fn begin_job(&mut self, job: OfferJob) -> u64 {
        let number = self.next_job;
        self.next_job += 1;
        self.jobs.insert(number, job);
        number
    }

    /// A job's turn has come.
    pub(crate) fn began(&mut self, cx: &Context, job: u64, path: PathBuf, size: u64) {
        if let Some(job) = self.jobs.get_mut(&job) {
            if !job.copy {
                job.name = name_of(&path);
            }
            (job.path, job.size) = (path, Some(size));
            job.rate = MeasuredRate::new(cx.now);
        }
    }

    /// This much of a file is hashed.
    pub(crate) fn progressed(&mut self, cx: &mut Context, job: u64, bytes_done: u64) {
        let Some(job) = self.jobs.get_mut(&job) else { return };
        job.rate.came(cx.now, bytes_done.saturating_sub(job.bytes_done));
        (job.bytes_done, job.told) = (bytes_done, true);
        if let Some(size) = job.size {
            let path = job.path.clone();
            cx.notify(Notice::HashProgress { path, bytes_done, size });
        }
    }

    /// A file is hashed, or could not be; returns its job.
    pub(crate) fn take(
        &mut self,
        cx: &mut Context,
        number: u64,
        result: &Result<Hashed, Failure>,
    ) -> Option<OfferJob> {
        let job = self.jobs.remove(&number)?;
        // A face that was shown its progress is shown its end.
        if let Ok(Hashed { path, size, folder, .. }) = result
            && job.told
        {
            let size = folder.map_or(*size, |folder| folder.bytes);
            let (path, bytes_done) = (path.clone(), size);
            cx.notify(Notice::HashProgress { path, bytes_done, size });
        }
        Some(job)
    }

    /// The request is done: next is the following file of the same command.
    pub(crate) fn end(&mut self, cx: &mut Context, job: OfferJob, result: Result<(), Failure>) {
        if let (Err(failure), true) = (&result, job.told) {
            let (path, failure) = (job.path.clone(), failure.clone());
            cx.notify(Notice::HashFailed { path, failure });
        }
        if job.copy {
            return cx.reply(job.face, job.line, "share", result);
        }
        let mut failures = job.failures;
        failures.extend(result.err());
        self.send_rest(cx, (job.face, job.line), job.rest, failures);
    }

    /// Stops hashing what a word names, by name or path; false if there is no such file.
    pub(crate) fn cancel(&mut self, cx: &mut Context, word: &FileWord) -> bool {
        let is_path = |path: &PathBuf| word.is_name(&path.to_string_lossy());
        let cancelled = || Failure::new(Code::Cancelled, "it was cancelled before it was offered");
        let (mut numbers, mut spared) = (Vec::new(), false);
        for (number, job) in &mut self.jobs {
            let before = job.rest.len();
            job.rest.retain(|path| !word.is_name(&name_of(path)) && !is_path(path));
            let fewer = before - job.rest.len();
            spared |= fewer > 0;
            job.failures.extend((0..fewer).map(|_| cancelled()));
            if word.is_name(&job.name) || is_path(&job.path) {
                numbers.push(*number);
            }
        }
        for number in &numbers {
            self.drop_job(cx, *number, cancelled());
        }
        spared || !numbers.is_empty()
    }

    fn drop_job(&mut self, cx: &mut Context, number: u64, failure: Failure) {
        if let Some(job) = self.jobs.remove(&number) {
            cx.effect(Effect::CancelHash { job: number });
            self.end(cx, job, Err(failure));
        }
    }

    /// The files being hashed, in the order of the requests; those still to begin come last.
    pub(super) fn rows(&self, now: Millis) -> Vec<TransferLine> {
        let row = |job: &OfferJob| {
            let rate = job.rate.at(now);
            let left = job.size.unwrap_or(0).saturating_sub(job.bytes_done);
            let begun = job.size.is_some();
            TransferLine {
                file: MovingFile {
                    id: None,
                    name: Untrusted::new(&job.name),
                    size: job.size.unwrap_or(0),
                },
                state: if begun { TransferState::Hashing } else { TransferState::HashQueued },
                bytes_done: job.bytes_done,
                bytes_per_second: rate,
                seconds_left: left.checked_div(rate).filter(|_| begun),
                hosts: 0,
                to: None,
            }
        };
        let (begun, queued): (Vec<_>, Vec<_>) =
            self.jobs.values().partition(|job| job.size.is_some());
        begun.into_iter().chain(queued).map(row).collect()
    }

    /// A face ended: nothing more is hashed for it.
    pub(super) fn end_face(&mut self, cx: &mut Context, face: FaceId) {
        self.stop(cx, "the page or program that asked for it ended", |job| job.face == face);
    }

    /// The room was left: the waiting files were meant for it, too.
    pub(super) fn drop_all(&mut self, cx: &mut Context) {
        self.stop(cx, "the room was left meanwhile", |_| true);
    }

    fn stop(&mut self, cx: &mut Context, why: &str, is_over: impl Fn(&OfferJob) -> bool) {
        let mut numbers = Vec::new();
        for (number, job) in self.jobs.iter_mut().filter(|(_, job)| is_over(job)) {
            job.rest.clear();
            numbers.push(*number);
        }
        for number in numbers {
            self.drop_job(cx, number, Failure::new(Code::Cancelled, why));
        }
    }
}
