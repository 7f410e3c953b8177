//! One job in the running klatch: a separate face that does what a one-shot does.

use std::ffi::OsString;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::frames::{self, FrameKind, Until, Writer};
use super::server::JobShared;
use super::{JobRequest, RoomPlace, Save, VERSION};
use crate::config::OneShot;
use crate::node::{Answer, Face, Feed, FeedReader, Handle, Stopped};
use crate::program::failures::{Failures, error};
use crate::program::input::{NOBODY, Source, Stdin};
use crate::program::one_shot::{OneShotEnd, SaveTarget};
use crate::program::output::Output;
use crate::program::seat::FaceSeat;
use crate::router::command::Command;
use crate::router::notice::{Code, Failure, Notice, Overview};
use crate::router::rights::FaceRights;
use crate::router::signed::room_hint;
use crate::sys::local::Stream;
use crate::thread::{STACK_LARGE_BYTES, spawn_scoped};
use crate::ui::address::read_address;
use crate::ui::line_reader::{LINE_MAX_BYTES, LineReader};
use crate::ui::notice::Format;

/// A request must be complete within this time.
const REQUEST: Duration = Duration::from_secs(10);
/// The exit code if the client is gone and reported no signal.
const GONE: u8 = 1;

/// Does what a client asks for, until either side has ended.
pub(super) fn run(shared: &JobShared, stream: &Stream) {
    let Ok(writer) = stream.try_clone().map(Writer::new) else { return };
    match read_request(stream) {
        Ok(request) => {
            let job = RunningJob { shared, stream, writer: &writer };
            // A client that is gone needs no answer.
            let _ = job.answer(request);
        }
        Err(failure) => refuse(&writer, &failure),
    }
    // It may be shut already.
    let _ = stream.shutdown(Shutdown::Both);
}

/// Tells a client why nothing is done.
pub(super) fn refuse(writer: &Writer, failure: &Failure) {
    let text = format!("{}\n{}", failure.code.word(), failure.text);
    // A client that is gone needs no answer.
    let _ = writer.send(FrameKind::Refused, text.as_bytes());
}

fn read_request(stream: &Stream) -> Result<JobRequest, Failure> {
    let failed = |text: String| Failure::new(Code::IoError, text);
    let deadline = Instant::now() + REQUEST;
    let read = frames::read(&mut Until { stream, deadline });
    let read = read.map_err(|error| failed(format!("what came is no request: {error}")))?;
    let Some((FrameKind::Request, body)) = read else {
        return Err(failed("what came is no request".into()));
    };
    parse_request(&body)
}

pub(super) fn parse_request(body: &[u8]) -> Result<JobRequest, Failure> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let version = serde_json::from_slice(body).map(|Version { version }| version);
    if version.as_ref().is_ok_and(|version| *version != VERSION) {
        let text = "the running klatch is another version: restart it, or use --alone";
        return Err(Failure::new(Code::VersionMismatch, text));
    }
    let request = version.and_then(|_| serde_json::from_slice(body));
    request
        .map_err(|error| Failure::new(Code::IoError, format!("what came is no request: {error}")))
}

/// A job's client, and the parts of klatch that it uses.
struct RunningJob<'a> {
    shared: &'a JobShared,
    stream: &'a Stream,
    writer: &'a Writer,
}

impl RunningJob<'_> {
    fn answer(&self, request: JobRequest) -> io::Result<()> {
        let feed = &self.shared.node.feed;
        let face = self.shared.node.handle.face(FaceRights::JOB);
        let mut reader = feed.reader_from_here();
        let Some((overview, after)) = self.overview(&face) else { return Ok(()) };
        if !is_here(&request.places, &overview, self.shared.addr) {
            return self.writer.send(FrameKind::Elsewhere, &[]);
        }
        self.writer.send(FrameKind::Accepted, &[])?;
        let said = reader.catch_up(after);
        let output = self.output(&request);
        let Overview { me, temporary, locked, room, .. } = *overview;
        output.print(&Notice::Started { who: me, temporary, locked });
        if let Some(text) = &request.remark {
            output.hint(0, text);
        }
        if request.backlog.is_some() {
            said.iter().for_each(|notice| output.print(&as_history(notice)));
        }
        if let Some(id) = request.room.as_ref().filter(|id| !room.to_string().starts_with(*id)) {
            let text =
                format!("the running klatch is in another room than {id}…: {}", room.short());
            output.print(&error(0, None, Failure::new(Code::RoomUnknown, text)));
            return self.exit(&output, 1);
        }
        let places = whole(request.folder).and_then(|folder| Ok((folder, target(request.save)?)));
        let (folder, target) = match places {
            Ok(places) => places,
            Err(failure) => {
                output.print(&error(0, None, failure));
                return self.exit(&output, 1);
            }
        };
        output.only_own_files(target.folder());
        // If the room was named, another one that klatch may enter later is not meant.
        let named = !request.places.is_empty() || request.room.is_some();
        let first = named.then_some(Command::BeginFace { room }).into_iter().collect();
        let work = JobTools { face, output, target, folder, stay: request.stay };
        self.work(&work, (first, request.one_shot), reader)
    }

    /// The state of the running klatch, and the position in its notices up to which that is known.
    fn overview(&self, face: &Face) -> Option<(Box<Overview>, u64)> {
        self.shared.node.handle.overview(face.id).ok()?;
        match face.answers.recv() {
            Ok(Answer::Overview { overview, after }) => Some((overview, after)),
            _ => None,
        }
    }

    fn output(&self, request: &JobRequest) -> Arc<Output> {
        let look = request.look;
        let format = if look.json { Format::Json } else { Format::People(look.style()) };
        let [out, err] = [FrameKind::Out, FrameKind::Err].map(|kind| self.writer.stream(kind));
        let output = Output::to(format, out, err);
        output.show_results(!request.one_shot.takes_stdout());
        output.bound_backlog(request.backlog);
        if look.columns.is_some() {
            output.show_bar(look.columns);
        }
        output
    }

    fn exit(&self, output: &Output, exit_code: u8) -> io::Result<()> {
        output.print(&Notice::Stopped { exit_code });
        self.writer.send(FrameKind::Exit, &[exit_code])
    }

    /// Does the one-shot, and ends with its exit code, or without one if the node ended first.
    fn work(
        &self,
        work: &JobTools,
        (first, one_shot): (Vec<Command>, OneShot),
        reader: FeedReader,
    ) -> io::Result<()> {
        let JobTools { face, output, .. } = work;
        let node = &self.shared.node;
        let failures = Arc::new(Failures::new(true));
        let seat = FaceSeat {
            tty: Arc::default(),
            handle: node.handle.clone(),
            face: face.id,
            feed: node.feed.clone(),
            output: Arc::clone(output),
            failures: Arc::clone(&failures),
            pages: Arc::clone(&self.shared.pages),
            awaited: Arc::new(AtomicU64::new(NOBODY)),
            one_shot: true,
        };
        let (give, chunks) = bounded(1);
        let input = ClientInput::new(self.writer.clone(), chunks);
        let lines = LineReader::new(BufReader::new(input), LINE_MAX_BYTES);
        let (stdin, answering) = seat.take(Source::Stream(lines));
        let mut stdin = Stdin { folder: work.folder.clone(), job: true, ..stdin };
        let (client, gone) = bounded::<()>(1);
        let left = Mutex::new(None);
        let (handle, feed, stream) = (&node.handle, &node.feed, self.stream);
        std::thread::scope(|scope| {
            // However this ends, the threads end with it.
            let _end = EndOnDrop { handle, feed, work, stream };
            let printing = || output.run(reader, |_, _| {}, |_| Vec::new());
            let printing = spawn_scoped(scope, "job printer", STACK_LARGE_BYTES, printing)?;
            let answers = move || answering.run(face);
            let answers = spawn_scoped(scope, "job answers", STACK_LARGE_BYTES, answers)?;
            let hearing = || {
                let exit_code = hear(stream, &give);
                *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(exit_code);
                // Threads that wait for an answer or for stdin continue.
                handle.close(face.id);
                drop((give, client));
            };
            spawn_scoped(scope, "job input", STACK_LARGE_BYTES, hearing)?;
            let done = stdin.run_one_shot(first, one_shot, &work.target, work.stay);
            let stays = work.stay && done.is_ok_and(|done| done.serves);
            if stays {
                wait_for_end(&gone, &stdin.answers);
            }
            let left = *left.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = if stays && left.is_none() { Err(Stopped) } else { done };
            let exit_code = exit_code(ended, failures.any(), left);
            let keep_offers = exit_code == Some(0) && !work.stay;
            if keep_offers {
                let mut kept = stdin.kept.lock().unwrap_or_else(PoisonError::into_inner);
                let mut all = self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
                all.append(&mut kept);
            }
            // It may have ended already.
            let _ = handle.command(face.id, 0, Command::EndFace { keep_offers });
            handle.close(face.id);
            // Their output comes before the end; panics were logged.
            let _ = answers.join();
            output.finish(feed);
            let _ = printing.join();
            exit_code.map_or(Ok(()), |exit_code| self.exit(output, exit_code))
        })
    }
}

/// What one job works with.
struct JobTools {
    face: Face,
    output: Arc<Output>,
    target: SaveTarget,
    folder: PathBuf,
    stay: bool,
}

/// Makes every thread of a job end.
struct EndOnDrop<'a> {
    handle: &'a Handle,
    feed: &'a Feed,
    work: &'a JobTools,
    stream: &'a Stream,
}

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.handle.close(self.work.face.id);
        self.work.output.finish(self.feed);
        // It may be shut already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// The exit code of a job, as of any one-shot; `None`: the node ended before it was done.
fn exit_code(done: Result<OneShotEnd, Stopped>, failed: bool, left: Option<u8>) -> Option<u8> {
    match done {
        _ if failed => Some(1),
        Ok(OneShotEnd { all: true, .. }) => Some(0),
        Ok(_) => Some(left.unwrap_or(1)),
        Err(Stopped) => left,
    }
}

/// Takes what the client sends until it ends its job or is gone; returns the exit code for that.
fn hear(mut stream: &Stream, give: &Sender<Vec<u8>>) -> u8 {
    loop {
        let given = match frames::read(&mut stream) {
            Ok(Some((FrameKind::Input, bytes))) if !bytes.is_empty() => give.try_send(bytes),
            Ok(Some((FrameKind::EndOfInput, none))) => give.try_send(none),
            Ok(Some((FrameKind::Leave, code))) => return code.first().copied().unwrap_or(GONE),
            _ => return GONE,
        };
        // There is space only for what was asked for.
        if given.is_err() {
            return GONE;
        }
    }
}

/// Waits until the client is gone, or the node has ended.
fn wait_for_end(gone: &Receiver<()>, answers: &Receiver<Answer>) {
    loop {
        select! {
            recv(gone) -> _ => return,
            recv(answers) -> answer => if answer.is_err() { return },
        }
    }
}

/// The client's stdin, requested as it is read.
struct ClientInput {
    writer: Writer,
    /// An empty chunk means that stdin has ended.
    chunks: Receiver<Vec<u8>>,
    chunk: Cursor<Vec<u8>>,
    ended: bool,
}

impl ClientInput {
    fn new(writer: Writer, chunks: Receiver<Vec<u8>>) -> Self {
        Self { writer, chunks, chunk: Cursor::default(), ended: false }
    }
}

impl Read for ClientInput {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let read = self.chunk.read(bytes)?;
        if read > 0 || bytes.is_empty() {
            return Ok(read);
        }
        let gone = |_| io::Error::from(ErrorKind::ConnectionAborted);
        self.writer.send(FrameKind::Wanted, &[]).map_err(gone)?;
        let chunk = self.chunks.recv().map_err(|_| ErrorKind::ConnectionAborted)?;
        self.ended = chunk.is_empty();
        self.chunk = Cursor::new(chunk);
        self.read(bytes)
    }
}

/// A path that means the same in every process.
fn whole(path: OsString) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(path);
    match path.is_absolute() {
        true => Ok(path),
        false => Err(Failure::new(Code::IoError, "a folder of the request has no whole path")),
    }
}

fn target(save: Save) -> Result<SaveTarget, Failure> {
    let failed = |text: String| Failure::new(Code::IoError, text);
    match save {
        Save::Folder(folder) => whole(folder).map(SaveTarget::Folder),
        Save::Existing(folder) => whole(folder).map(SaveTarget::Existing),
        Save::File(folder, name) if Path::new(&name).file_name() == Some(name.as_ref()) => {
            Ok(SaveTarget::File(whole(folder)?, name))
        }
        Save::File(..) => Err(failed("what it is to be called is no name of a file".into())),
        Save::Stdout => tempfile::tempdir()
            .map(SaveTarget::Stdout)
            .map_err(|error| failed(format!("there is no room for what goes to stdout: {error}"))),
    }
}

/// Whether the present room is all of these.
fn is_here(places: &[RoomPlace], overview: &Overview, addr: SocketAddr) -> bool {
    let plain = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let own = overview.addresses.iter().filter_map(|text| read_spoken(text));
    // Members' claims about their addresses must not direct anything into their room.
    let known: Vec<_> = own.chain(overview.reached.iter().copied()).map(plain).collect();
    places.iter().all(|place| match place {
        // An open room will not do, and the attempt to enter it reports that.
        RoomPlace::Addresses { closed: true, .. } if !overview.locked => false,
        RoomPlace::Addresses { addresses, .. } => addresses.iter().any(|one| {
            let one = plain(*one);
            let loopback = one.ip().is_loopback() && addr.ip().is_unspecified();
            loopback && one.port() == addr.port() || known.contains(&one)
        }),
        RoomPlace::Invited(hint) => {
            let makers = overview.members.iter().map(|line| &line.member.who.id);
            let mut makers = makers.chain([&overview.founder.id]);
            makers.any(|maker| room_hint(&overview.room, maker) == *hint)
        }
    })
}

/// Reads an address as klatch displays it.
fn read_spoken(text: &str) -> Option<SocketAddr> {
    let (host, port) = read_address(text).ok()?;
    Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port?))
}

/// For a job, earlier messages are history.
fn as_history(notice: &Notice) -> Notice {
    let mut notice = notice.clone();
    match &mut notice {
        Notice::Message { history, .. }
        | Notice::FileOffered { history, .. }
        | Notice::FileWithdrawn { history, .. } => *history = true,
        _ => {}
    }
    notice
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::Look;
    use super::*;
    use crate::config::Task;
    use crate::sys::local;
    use crate::sys::testing::no_text;

    fn sent(bytes: &[u8]) -> Result<JobRequest, Failure> {
        let (one, other) = local::pair().unwrap();
        (&one).write_all(bytes).unwrap();
        drop(one);
        read_request(&other)
    }

    fn frame(body: &str) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [b"r", &length[..], body.as_bytes()].concat()
    }

    #[test]
    fn a_request_is_read_as_it_was_meant_and_nothing_else_is_one() {
        let no_text = no_text("/caf", "");
        let task = Task::Send { paths: vec![no_text.clone()], name: None, until: Some(2) };
        let columns = Some(80);
        let request = JobRequest {
            version: VERSION,
            one_shot: OneShot { task, within: Some(Duration::from_secs(90)) },
            stay: true,
            folder: no_text.clone(),
            save: Save::Folder(no_text),
            places: vec![
                RoomPlace::Addresses {
                    addresses: vec![([127, 0, 0, 1], 51_692).into()],
                    closed: true,
                },
                RoomPlace::Invited([7; 8]),
            ],
            room: None,
            look: Look {
                json: true,
                color: false,
                color_errors: false,
                timestamps: true,
                verbose: false,
                columns,
            },
            backlog: Some(usize::MAX),
            remark: None,
        };
        let body = serde_json::to_string(&request).unwrap();
        assert_eq!(sent(&frame(&body)), Ok(request));
        let later = body.replacen("\"version\":1", "\"version\":2", 1);
        assert_eq!(sent(&frame(&later)).unwrap_err().code, Code::VersionMismatch);
        for bytes in [&b"w\0\0\0\0"[..], b"", b"GET / HTTP/1.1", &frame("{}"), &frame("{")] {
            assert_eq!(sent(bytes).unwrap_err().code, Code::IoError);
        }
    }

    #[test]
    fn what_is_no_place_of_a_file_is_no_target() {
        for name in ["../a", "a/b", "..", "", "/"] {
            assert!(target(Save::File("/tmp".into(), name.into())).is_err(), "{name}");
        }
        assert!(target(Save::File("tmp".into(), "a".into())).is_err());
        assert!(target(Save::Folder("tmp".into())).is_err());
        assert!(target(Save::File("/tmp".into(), "a".into())).is_ok());
    }

    #[test]
    fn stdin_that_breaks_off_has_not_ended() {
        let (one, _other) = local::pair().unwrap();
        let (give, chunks) = bounded(1);
        let mut input = ClientInput::new(Writer::new(one), chunks);
        give.send(b"half".to_vec()).unwrap();
        let mut bytes = [0; 16];
        assert_eq!(input.read(&mut bytes).unwrap(), 4);
        drop(give);
        let error = input.read(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    }
}
