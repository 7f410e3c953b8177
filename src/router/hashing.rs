//! Own files on their way to an offer: one after the other of each command is hashed, and then
//! offered. What an offer is, is the business of [`super::sharing`].

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use super::Router;
use super::event::{Effect, Hashed};
use super::ids::FaceId;
use super::notice::{Code, Failure, FileLine, MovingFile, Notice, TransferLine, TransferState};
use super::rate::Rate;
use super::replies::all_of;
use super::text::Untrusted;
use super::time::Millis;
use super::word::Word;

/// A file that is being hashed.
#[derive(Debug)]
struct Job {
    face: FaceId,
    line: u64,
    path: PathBuf,
    /// What the same command offers next.
    rest: VecDeque<PathBuf>,
    /// Why what it named before could not be offered.
    failures: Vec<Failure>,
    /// The name that it has for people.
    name: String,
    /// Its bytes, once it has its turn.
    size: Option<u64>,
    bytes_done: u64,
    rate: Rate,
    /// Faces were told how far it is.
    told: bool,
    /// Made for a page, which is told what became of it.
    copy: bool,
}

impl Job {
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
            rate: Rate::new(Millis(0)),
            told: false,
            copy: false,
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Files that are being hashed, in the order asked.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    next_job: u64,
    jobs: BTreeMap<u64, Job>,
}

impl Hashing {
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }
}

impl Router {
    pub(super) fn send(&mut self, face: FaceId, line: u64, paths: Vec<PathBuf>) {
        self.send_rest(face, line, paths.into(), Vec::new());
    }

    /// Offers the first of these paths, and the others after it.
    fn send_rest(
        &mut self,
        face: FaceId,
        line: u64,
        mut rest: VecDeque<PathBuf>,
        failures: Vec<Failure>,
    ) {
        let Some(path) = rest.pop_front() else {
            return self.cx.reply(face, line, "send", all_of(failures));
        };
        let job = Job { rest, failures, ..Job::new(face, line, path.clone()) };
        let job = self.begin_job(job);
        self.cx.effect(Effect::Hash { job, path });
    }

    pub(super) fn send_as(&mut self, face: FaceId, line: u64, path: PathBuf, name: String) {
        let job = self.begin_job(Job::new(face, line, path.clone()));
        self.cx.effect(Effect::HashAs { job, path, name });
    }

    pub(super) fn share(&mut self, face: FaceId, line: u64, path: PathBuf, name: String) {
        let job = Job::new(face, line, path.clone());
        let job = self.begin_job(Job { name: name.clone(), copy: true, ..job });
        self.cx.effect(Effect::HashAs { job, path, name });
    }

    fn begin_job(&mut self, job: Job) -> u64 {
        let number = self.hashing.next_job;
        self.hashing.next_job += 1;
        self.hashing.jobs.insert(number, job);
        number
    }

    pub(super) fn hash_began(&mut self, job: u64, path: PathBuf, size: u64) {
        let now = self.cx.now;
        if let Some(job) = self.hashing.jobs.get_mut(&job) {
            if !job.copy {
                job.name = name_of(&path);
            }
            (job.path, job.size) = (path, Some(size));
            job.rate = Rate::new(now);
        }
    }

    pub(super) fn hash_progressed(&mut self, job: u64, bytes_done: u64) {
        let now = self.cx.now;
        let Some(job) = self.hashing.jobs.get_mut(&job) else { return };
        job.rate.came(now, bytes_done.saturating_sub(job.bytes_done));
        (job.bytes_done, job.told) = (bytes_done, true);
        if let Some(size) = job.size {
            let path = job.path.clone();
            self.cx.notify(Notice::HashProgress { path, bytes_done, size });
        }
    }

    pub(super) fn hashed(&mut self, number: u64, result: Result<Hashed, Failure>) {
        let Some(job) = self.hashing.jobs.remove(&number) else { return };
        // Whoever was shown how far it is, is shown its end.
        if let Ok(Hashed { path, size, .. }) = &result
            && job.told
        {
            let (path, bytes_done, size) = (path.clone(), *size, *size);
            self.cx.notify(Notice::HashProgress { path, bytes_done, size });
        }
        let elsewhere = self.desk.is_elsewhere(job.face, &self.room.id);
        let result = result.and_then(|hashed| elsewhere.map_or(Ok(hashed), Err));
        let result = result.and_then(|hashed| self.must_be_in().map(|()| hashed));
        let offered = result.and_then(|hashed| self.offer(number, (job.face, job.copy), &hashed));
        if offered.is_err() {
            self.cx.effect(Effect::CancelHash { job: number });
        }
        if let (true, Ok(id)) = (job.copy, &offered) {
            let row = self.catalogue.get(id).map(|offered| self.file_row(offered));
            let list: Vec<FileLine> = row.into_iter().collect();
            let (face, line) = (job.face, job.line);
            self.cx.effect(Effect::Tell { face, line, notice: Notice::Files { list } });
        }
        self.end_job(job, offered.map(|_| ()));
    }

    fn end_job(&mut self, job: Job, result: Result<(), Failure>) {
        if let (Err(failure), true) = (&result, job.told) {
            let (path, failure) = (job.path.clone(), failure.clone());
            self.cx.notify(Notice::HashFailed { path, failure });
        }
        if job.copy {
            return self.cx.reply(job.face, job.line, "share", result);
        }
        let mut failures = job.failures;
        failures.extend(result.err());
        self.send_rest(job.face, job.line, job.rest, failures);
    }

    /// Stops hashing what a word names, by name or path; false if there is nothing of it.
    pub(super) fn cancel_hashing(&mut self, word: &Word) -> bool {
        let is_path = |path: &PathBuf| word.is_name(&path.to_string_lossy());
        let cancelled = || Failure::new(Code::Cancelled, "it was cancelled before it was offered");
        let (mut numbers, mut spared) = (Vec::new(), false);
        for (number, job) in &mut self.hashing.jobs {
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
            self.drop_job(*number, cancelled());
        }
        spared || !numbers.is_empty()
    }

    fn drop_job(&mut self, number: u64, failure: Failure) {
        if let Some(job) = self.hashing.jobs.remove(&number) {
            self.cx.effect(Effect::CancelHash { job: number });
            self.end_job(job, Err(failure));
        }
    }

    /// What is being hashed, in the order asked; what waits for its turn comes last.
    pub(super) fn hash_rows(&self) -> Vec<TransferLine> {
        let row = |job: &Job| {
            let rate = job.rate.at(self.cx.now);
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
            self.hashing.jobs.values().partition(|job| job.size.is_some());
        begun.into_iter().chain(queued).map(row).collect()
    }

    /// A face ended: nothing is hashed for it any more.
    pub(super) fn end_jobs_of(&mut self, face: FaceId) {
        self.stop_jobs("whoever asked for it ended", |job| job.face == face);
    }

    /// The room was left: what waits was meant for it as well.
    pub(super) fn drop_jobs(&mut self) {
        self.stop_jobs("the room was left meanwhile", |_| true);
    }

    fn stop_jobs(&mut self, why: &str, is_over: impl Fn(&Job) -> bool) {
        let mut numbers = Vec::new();
        for (number, job) in self.hashing.jobs.iter_mut().filter(|(_, job)| is_over(job)) {
            job.rest.clear();
            numbers.push(*number);
        }
        for number in numbers {
            self.drop_job(number, Failure::new(Code::Cancelled, why));
        }
    }
}
