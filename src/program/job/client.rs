//! The one-shot's side of the socket: hands the job over, then passes on bytes and signals.

use std::io::{self, IsTerminal, Read, Write};
use std::net::{Shutdown, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::frames::{self, BYTES_MAX, FrameKind, Until, Writer};
use super::listener;
use super::{JobRequest, Look, RoomPlace, Save, VERSION};
use crate::config::{Backlog, OneShot, RoomChoice, Settings};
use crate::program::failures::error;
use crate::program::live::is_dumb;
use crate::program::one_shot::SaveTarget;
use crate::program::output::{Output, failed};
use crate::program::signals;
use crate::router::command::{Command, LockWish};
use crate::router::notice::{Code, Failure, Notice};
use crate::sys::local::Stream;
use crate::sys::terminal::columns_of_stderr;
use crate::thread;
use crate::ui::notice::{Style, error_line};

/// Within this time the running klatch says whether it does the job.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// How long to wait for the running klatch after a signal.
const LAST_ANSWER: Duration = Duration::from_millis(1_500);
/// How long to wait for its last output after that.
const LAST_LINE: Duration = Duration::from_millis(300);

/// Lets the klatch that runs with the same data directory do the one-shot; returns its exit code,
/// or `None` if this program must do it itself.
///
/// # Errors
/// With the exit code: options that only a klatch of its own can follow, or why the running klatch
/// refused.
pub(in crate::program) fn hand_over(
    (settings, one_shot): (&Settings, &OneShot),
    (style, output): (Style, &Output),
    (first, target, remark): (&[Command], &SaveTarget, Option<String>),
) -> Result<Option<u8>, (u8, Failure)> {
    let alone = settings.alone || settings.room == Some(RoomChoice::New);
    let Some(dir) = settings.data_dir.as_ref().filter(|_| !alone) else { return Ok(None) };
    // Resolving a name may take longer than the running klatch waits for a request.
    if !listener::is_ours(&dir.path) {
        return Ok(None);
    }
    let request = request((settings, one_shot), style, (first, target, remark));
    let Some(stream) = listener::connect(&dir.path) else { return Ok(None) };
    if let Some(option) = settings.own_only {
        if !settings.connect.is_empty() {
            return Ok(None);
        }
        let text = format!(
            "{option} needs a klatch of its own, but your running klatch does this: leave it out, \
             or add --alone"
        );
        return Err((2, Failure::new(Code::Usage, text)));
    }
    let client = JobClient::new(stream, output).map_err(|error| (1, gone(&error)))?;
    let within = one_shot.within.map_or(FIRST_ANSWER, |within| within.min(FIRST_ANSWER));
    if !client.is_accepted(&request?, within)? {
        return Ok(None);
    }
    Ok(Some(client.pass_on(one_shot.takes_stdout())))
}

fn request(
    (settings, one_shot): (&Settings, &OneShot),
    style: Style,
    (first, target, remark): (&[Command], &SaveTarget, Option<String>),
) -> Result<JobRequest, (u8, Failure)> {
    let folder = std::env::current_dir().map_err(|error| {
        let text = format!("cannot find the current folder: {error}");
        (1, Failure::new(Code::IoError, text))
    })?;
    let save = match target {
        SaveTarget::Folder(folder) => Save::Folder(folder.clone().into()),
        SaveTarget::Existing(folder) => Save::Existing(folder.clone().into()),
        SaveTarget::File(folder, name) => Save::File(folder.clone().into(), name.clone()),
        SaveTarget::Stdout(_) => Save::Stdout,
    };
    let columns =
        (io::stderr().is_terminal() && !is_dumb()).then(|| columns_of_stderr().unwrap_or(80));
    let Style { color, color_errors, timestamps, verbose, .. } = style;
    let room = match &settings.room {
        Some(RoomChoice::Id(id)) => Some(id.clone()),
        _ => None,
    };
    Ok(JobRequest {
        version: VERSION,
        one_shot: one_shot.clone(),
        stay: settings.stay,
        folder: folder.into(),
        save,
        places: first.iter().filter_map(place).collect(),
        room,
        look: Look { json: settings.json, color, color_errors, timestamps, verbose, columns },
        backlog: settings.backlog.map(|Backlog(most)| most.unwrap_or(usize::MAX)),
        remark,
    })
}

fn place(command: &Command) -> Option<RoomPlace> {
    match command {
        Command::Connect { host, port, lock } => {
            // Nothing at that address, so the running klatch is not there.
            let found = (host.as_str(), *port).to_socket_addrs();
            let addresses = found.map(Iterator::collect).unwrap_or_default();
            let closed = !matches!(lock, LockWish::Unknown);
            Some(RoomPlace::Addresses { addresses, closed })
        }
        Command::Join { link } => Some(RoomPlace::Invited(link.room)),
        _ => None,
    }
}

/// Why it came to nothing.
fn gone(error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "is it stopped?".to_owned(),
        _ => error.to_string(),
    };
    let text = format!("the running klatch does not answer: {why} (--alone does without it)");
    Failure::new(Code::IoError, text)
}

fn ended() -> Failure {
    Failure::new(Code::Cancelled, "the running klatch ended before this was done")
}

/// A job that another klatch does.
struct JobClient<'a> {
    stream: Stream,
    writer: Writer,
    output: &'a Output,
}

impl<'a> JobClient<'a> {
    fn new(stream: Stream, output: &'a Output) -> io::Result<Self> {
        let writer = Writer::new(stream.try_clone()?);
        Ok(Self { stream, writer, output })
    }

    fn is_accepted(&self, request: &JobRequest, within: Duration) -> Result<bool, (u8, Failure)> {
        let refused = |failure| (1, failure);
        let body = serde_json::to_vec(request).map_err(|error| refused(gone(&error.into())))?;
        // It may refuse and hang up at once: its answer can still be read.
        let sent = self.writer.send(FrameKind::Request, &body);
        let deadline = Instant::now() + within;
        match frames::read(&mut Until { stream: &self.stream, deadline }) {
            Ok(Some((FrameKind::Accepted, _))) => Ok(true),
            Ok(Some((FrameKind::Elsewhere, _))) => Ok(false),
            Ok(Some((FrameKind::Refused, text))) => {
                let text = String::from_utf8_lossy(&text);
                let (code, text) = text.split_once('\n').unwrap_or(("", &text));
                let code = Code::from_word(code).unwrap_or(Code::IoError);
                Err(refused(Failure::new(code, text)))
            }
            Ok(Some(_)) => Err(refused(gone(&io::ErrorKind::InvalidData.into()))),
            Ok(None) => Err(refused(ended())),
            Err(error) => Err(refused(gone(&sent.err().unwrap_or(error)))),
        }
    }

    /// Passes on what comes until the end; returns the exit code. `of_a_file`: stdout is for a
    /// file's bytes.
    fn pass_on(&self, of_a_file: bool) -> u8 {
        let leave = {
            let (writer, stream) = (self.writer.clone(), Arc::new(self.stream.try_clone()));
            move || {
                // A klatch that is gone cannot be told, and one that does not answer is left.
                let exit_code = signals::first().unwrap_or(1);
                let _ = writer.send(FrameKind::Leave, &[exit_code]);
                std::thread::sleep(LAST_ANSWER);
                let _ = (*stream).as_ref().map(|stream| stream.shutdown(Shutdown::Both));
                // Stdout's reader may not take any more.
                std::thread::sleep(LAST_LINE);
                std::process::exit(exit_code.into());
            }
        };
        if let Err(error) = signals::watch(leave, || false, || {}, || {}) {
            tracing::warn!(%error, "signals end this at once");
        }
        let (want, wants) = bounded(1);
        let mut stdin = Some(wants);
        let mut broken = false;
        loop {
            match frames::read(&mut &self.stream) {
                Ok(Some((FrameKind::Out, bytes))) => {
                    let mut out = io::stdout().lock();
                    let written = out.write_all(&bytes).and_then(|()| out.flush());
                    if let Err(error) = written
                        && !std::mem::replace(&mut broken, true)
                    {
                        let line = error_line(&failed(&error), &Style::plain());
                        // If errors cannot be written there is nobody to tell.
                        let _ = writeln!(io::stderr(), "{line}");
                        if of_a_file {
                            // Nobody takes the rest. A klatch that is gone cannot be told.
                            let _ = self.writer.send(FrameKind::Leave, &[1]);
                        }
                    }
                }
                // If errors cannot be written there is nobody to tell.
                Ok(Some((FrameKind::Err, bytes))) => drop(io::stderr().write_all(&bytes)),
                Ok(Some((FrameKind::Wanted, _))) => self.give_input(&want, &mut stdin),
                Ok(Some((FrameKind::Exit, code))) => {
                    return code.first().copied().unwrap_or(1).max(u8::from(broken));
                }
                _ => return self.lost(),
            }
        }
    }

    /// The connection to the running klatch was lost.
    fn lost(&self) -> u8 {
        let exit_code = signals::first().unwrap_or_else(|| {
            self.output.print(&error(0, None, ended()));
            1
        });
        self.output.print(&Notice::Stopped { exit_code });
        exit_code
    }

    /// Reads the next bytes of stdin, on a thread of its own because they may never come.
    fn give_input(&self, want: &Sender<()>, stdin: &mut Option<Receiver<()>>) {
        if let Some(wants) = stdin.take() {
            let (writer, plain) = (self.writer.clone(), Style::plain());
            let reading = move || {
                let mut bytes = vec![0; BYTES_MAX];
                for () in wants {
                    let sent = match read(&mut bytes) {
                        Ok([]) => writer.send(FrameKind::EndOfInput, &[]),
                        Ok(bytes) => writer.send(FrameKind::Input, bytes),
                        Err(error) => {
                            let text = format!("cannot read stdin: {error}");
                            let line = error_line(&Failure::new(Code::IoError, text), &plain);
                            // If errors cannot be written there is nobody to tell.
                            let _ = writeln!(io::stderr(), "{line}");
                            writer.send(FrameKind::Leave, &[1])
                        }
                    };
                    if sent.is_err() {
                        return;
                    }
                }
            };
            if let Err(error) = thread::spawn_exempt("stdin", reading) {
                tracing::error!(%error, "stdin cannot be read: the system starts no thread for it");
                let _ = self.stream.shutdown(Shutdown::Both);
            }
        }
        // It asks once for each piece.
        let _ = want.try_send(());
    }
}

/// The next bytes of stdin; empty at its end.
fn read(bytes: &mut [u8]) -> io::Result<&[u8]> {
    loop {
        match io::stdin().lock().read(bytes) {
            Ok(read) => return Ok(bytes.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
