//! The reading thread of one page: its key, then its commands. [`super::tab_writer`] writes to it.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use super::http::Client;
use super::http::STUCK;
use super::keys::{FileTicket, Session};
use super::media;
use super::orders::{self, For, TabGreeting, TabHello};
use super::server::BridgeShared;
use super::socket::{Inlet, Outlet};
use super::tab_writer::HISTORY;
use super::tab_writer::{TabWriter, said};
use crate::crypto::password;
use crate::node::Stopped;
use crate::router::ids::{EntryId, FaceId};
use crate::router::notice::{Code, Failure, FileInfo, Notice};
use crate::router::rights::FaceRights;
use crate::thread::{self, STACK_LARGE_BYTES};
use crate::ui::json::{history, to_json};

/// Idle timeout of a page.
const DEAD_MS: u64 = 60_000;
/// The same, in one burst.
const MESSAGES_BURST: u32 = 2_000;
/// Most messages from a page per second, including pings.
const MESSAGES_PER_S: u32 = 200;
/// Time from the WebSocket to the page's first message, in all.
const HELLO_MS: u64 = 2_000;
/// Most pages at once.
const TABS: usize = 8;
/// Longest first message, in bytes.
const HELLO_MAX_BYTES: usize = 1_024;

/// Serves a page over an established WebSocket, until it goes.
pub(super) fn run(shared: &BridgeShared, client: &mut Client<'_>) {
    let outlet = Outlet::new(client.stream().clone(), STUCK);
    let mut inlet = Inlet::new(&outlet, client.take_pending());
    let Some(session) = greet(shared, &mut inlet, &outlet) else {
        return outlet.close(CloseCode::Policy);
    };
    client.prove();
    let Some(_tab) = shared.tabs.enter(TABS) else {
        let most = TABS;
        let text = format!("{most} pages of this klatch are open already: close one of them");
        let _ = outlet.send(refusal("too_many_tabs", &text));
        return outlet.close(CloseCode::Policy);
    };
    let token = shared.keys.token(session, SystemTime::now());
    let hello = json!({ "event": "session", "token": token, "run": shared.keys.run });
    let patience = Duration::from_millis(DEAD_MS);
    let greeted = outlet.send(hello.to_string()).and_then(|()| inlet.set_patience(patience));
    if greeted.is_err() {
        return;
    }
    let face = shared.node.handle.face(FaceRights::PAGE);
    let writer = TabWriter::new(shared, &face, &outlet);
    let silence = writer.silence();
    std::thread::scope(|scope| {
        let started = thread::spawn_scoped(scope, "tab", STACK_LARGE_BYTES, || writer.run());
        match started {
            Ok(_) => listen(shared, (&mut inlet, &outlet), session, face.id),
            Err(error) => tracing::warn!(%error, "no thread could be started for a page"),
        }
        outlet.cut();
        silence.store(true, std::sync::atomic::Ordering::SeqCst);
        shared.node.feed.wake();
    });
}

/// Checks the key that a page begins with; `None` if it is not valid.
fn greet(shared: &BridgeShared, inlet: &mut Inlet, outlet: &Outlet) -> Option<Session> {
    let patience = Duration::from_millis(HELLO_MS);
    inlet.set_deadline(Instant::now() + patience);
    let text = loop {
        match inlet.next().ok()? {
            Message::Text(text) => break text,
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    };
    let greeting = if text.len() <= HELLO_MAX_BYTES { text.as_str() } else { "" };
    let session = match serde_json::from_str(greeting).ok()? {
        TabGreeting { hello: TabHello::Code(code) } => {
            let good = shared.keys.take_code(&code, Instant::now());
            good.then(|| shared.keys.new_session())
        }
        TabGreeting { hello: TabHello::Token(token) } => {
            shared.keys.session(&token, SystemTime::now())
        }
    };
    if session.is_none() {
        let text = "this address was already used, or is too old: type `browser` in klatch's \
                    terminal for a new one";
        // A page that is gone needs no answer.
        let _ = outlet.send(refusal("expired_address", text));
    }
    session
}

/// The bridge's own refusals have the same form as others.
fn refusal(code: &str, text: &str) -> String {
    json!({ "event": "error", "line": null, "command": null, "code": code, "text": text })
        .to_string()
}

/// Takes commands until the page goes or misbehaves.
fn listen(
    shared: &BridgeShared,
    (inlet, outlet): (&mut Inlet, &Outlet),
    session: Session,
    face: FaceId,
) {
    let mut pace = Pace::new();
    let reader = TabReader { shared, outlet, session, face };
    loop {
        let message = inlet.next();
        if !pace.allows(Instant::now()) {
            return outlet.close(CloseCode::Policy);
        }
        let heard = match message {
            Ok(Message::Text(text)) => reader.take(&text),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Ok(()),
            Ok(Message::Binary(_)) => return outlet.close(CloseCode::Unsupported),
            Ok(Message::Close(_)) => return,
            Err(error) => {
                return match *error {
                    tungstenite::Error::Capacity(_) => outlet.close(CloseCode::Size),
                    tungstenite::Error::Utf8(_) => outlet.close(CloseCode::Invalid),
                    tungstenite::Error::Protocol(_) => outlet.close(CloseCode::Protocol),
                    _ => outlet.cut(),
                };
            }
        };
        if heard.is_err() {
            return;
        }
    }
}

/// How much a page may say: a bucket that refills at a steady rate.
struct Pace {
    per_s: f64,
    most: f64,
    left: f64,
    at: Instant,
}

impl Pace {
    fn new() -> Self {
        let most = f64::from(MESSAGES_BURST);
        let per_s = f64::from(MESSAGES_PER_S);
        Self { per_s, most, left: most, at: Instant::now() }
    }

    fn allows(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + since * self.per_s).min(self.most) - 1.0;
        self.left >= 0.0
    }
}

/// Why a page is no longer listened to.
struct TabClosed;

impl From<Stopped> for TabClosed {
    fn from(_: Stopped) -> Self {
        Self
    }
}

impl From<std::io::Error> for TabClosed {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

struct TabReader<'a> {
    shared: &'a BridgeShared,
    outlet: &'a Outlet,
    session: Session,
    face: FaceId,
}

impl TabReader<'_> {
    /// Passes a command on to the right place.
    fn take(&self, text: &str) -> Result<(), TabClosed> {
        let (line, order) = match orders::read(text) {
            Ok(given) => (given.line, given.order),
            Err((line, failure)) => return self.fail(line, None, failure),
        };
        let word = order.word();
        match order.addressed() {
            Ok(For::Router(command)) => {
                Ok(self.shared.node.handle.command(self.face, line, command)?)
            }
            Ok(For::Confirmed { of, yes }) => {
                self.shared.node.handle.confirm(self.face, of, yes)?;
                self.done(line, word)
            }
            Ok(For::Password { of, password }) => {
                self.shared.node.handle.password(self.face, of, password)?;
                self.done(line, word)
            }
            Ok(For::History { before, count }) => {
                let mut entries = self.shared.node.feed.history();
                let count = count.min(HISTORY);
                let said = said(&mut entries, before.as_deref(), count);
                self.outlet.send(history(line, &said))?;
                self.done(line, word)
            }
            Ok(For::Media(file)) => match self.media(file) {
                Some((url, kind)) => {
                    let answer =
                        json!({ "event": "media", "line": line, "url": url, "type": kind });
                    self.outlet.send(answer.to_string())?;
                    self.done(line, word)
                }
                None => {
                    let text = "there is nothing of this file here yet: download it first";
                    self.fail(Some(line), Some(word), Failure::new(Code::NoSuchOffer, text))
                }
            },
            Ok(For::Suggestion) => {
                let password = password::suggest();
                let answer = json!({
                    "event": "suggested_password", "line": line, "password": password.expose(),
                });
                self.outlet.send(answer.to_string())?;
                self.done(line, word)
            }
            Err(failure) => self.fail(Some(line), Some(word), failure),
        }
    }

    fn done(&self, line: u64, command: &'static str) -> Result<(), TabClosed> {
        Ok(self.outlet.send(to_json(&Notice::CommandDone { line, command }))?)
    }

    fn fail(
        &self,
        line: Option<u64>,
        command: Option<&'static str>,
        failure: Failure,
    ) -> Result<(), TabClosed> {
        Ok(self.outlet.send(to_json(&Notice::Error { line, command, failure }))?)
    }

    /// Where a file can be viewed, and as what.
    fn media(&self, offer: EntryId) -> Option<(String, &'static str)> {
        let FileInfo { id: file, name, size } = self.offered(offer)?;
        let ticket = FileTicket { session: self.session, file, name: name.raw().to_owned(), size };
        let kind = media::kind_of(&ticket.name).face();
        Some((media::path_of(&self.shared.keys.ticket_for(ticket.clone()), &ticket.name), kind))
    }

    /// A file as it was offered.
    fn offered(&self, offer: EntryId) -> Option<FileInfo> {
        let history = self.shared.node.feed.history();
        history.iter().rev().find_map(|notice| match &**notice {
            Notice::FileOffered { id, file, folder: None, .. } if *id == offer => {
                Some(file.clone())
            }
            _ => None,
        })
    }
}
