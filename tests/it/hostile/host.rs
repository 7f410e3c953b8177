//! An honest person: a whole node in this process, on a port of this computer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use klatch::crypto::password::Password;
use klatch::limits::Limits;
use klatch::node::{Answer, Face, FeedItem, FeedReader, Node, NodeConfig};
use klatch::router::command::{Command, LockWish, NewPassword};
use klatch::router::invite_link::InviteLink;
use klatch::router::notice::{Code, Failure, MemberLine, Notice};
use klatch::router::rights::FaceRights;
use tempfile::TempDir;

/// Nothing in these tests takes this long unless something is wrong.
pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

pub(super) struct Host {
    pub(super) node: Node,
    pub(super) face: Face,
    pub(super) folder: TempDir,
    reader: FeedReader,
    lines: u64,
    /// How commands ended that the test has not asked about yet.
    ended: BTreeMap<u64, Result<(), Failure>>,
    /// The last list that it was told.
    pub(super) told: Option<Notice>,
    /// The text of the last invitation that it made.
    invitation: Option<String>,
}

impl Host {
    pub(super) fn new(name: &str) -> Self {
        Self::with(name, Limits::default())
    }

    pub(super) fn with(name: &str, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let downloads = folder.path().join("downloads");
        std::fs::create_dir(&downloads).unwrap();
        let node = Node::start(NodeConfig::on_loopback(name, limits, downloads)).unwrap();
        let (face, reader) = (node.handle().face(FaceRights::TERMINAL), node.feed().reader());
        let ended = BTreeMap::new();
        Self { node, face, folder, reader, lines: 0, ended, told: None, invitation: None }
    }

    /// Two hosts that are linked in a settled, open room.
    pub(super) fn pair() -> (Self, Self) {
        let (alice, mut bob) = (Self::new("alice"), Self::new("bob"));
        bob.connect(alice.addr()).unwrap();
        (alice, bob)
    }

    /// A host in a room that this password opens.
    pub(super) fn locked(name: &str, text: &str) -> Self {
        let mut host = Self::new(name);
        host.closes(text);
        host
    }

    /// Closes its room with this password, or changes the password to it.
    pub(super) fn closes(&mut self, text: &str) {
        let password = Some(NewPassword::Set(password(text)));
        self.run(Command::Password { password, asks: false }).unwrap();
    }

    pub(super) fn removes(&mut self, nick: &str) {
        let nick = nick.into();
        self.run(Command::Remove { nick, undo: false, asks: false }).unwrap();
    }

    pub(super) fn takes_in_again(&mut self, nick: &str) {
        let nick = nick.into();
        self.run(Command::Remove { nick, undo: true, asks: false }).unwrap();
    }

    /// Makes an invitation.
    pub(super) fn invites(&mut self, once: bool) -> InviteLink {
        self.run(Command::Invite { once, for_ms: None }).unwrap();
        let text = self.invitation.take().expect("it was told");
        InviteLink::from_text(&text).unwrap()
    }

    pub(super) fn joins(&mut self, link: &InviteLink) -> Result<(), Failure> {
        self.run(Command::Join { link: link.clone() })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.node.addr()
    }

    /// The downloads folder; nothing may ever appear beside it except what the test put there.
    pub(super) fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }

    pub(super) fn give(&mut self, command: Command) -> u64 {
        self.lines += 1;
        self.node.handle().command(self.face.id, self.lines, command).unwrap();
        self.lines
    }

    /// Waits until the command of this line ends; if a password is asked for, gives none.
    pub(super) fn outcome(&mut self, given: u64) -> Result<(), Failure> {
        loop {
            if let Some(result) = self.ended.remove(&given) {
                return result;
            }
            match self.face.answers.recv_timeout(SOON).unwrap() {
                Answer::Reply { line, result, .. } => drop(self.ended.insert(line, result)),
                Answer::Told { notice, .. } => match *notice {
                    Notice::Invitation { text, .. } => self.invitation = Some(text),
                    notice => self.told = Some(notice),
                },
                Answer::Overview { .. } => {}
                Answer::Confirm { line, question, .. } => {
                    assert!(question.ends_with("download it again?"), "who is to say: {question}");
                    self.node.handle().confirm(self.face.id, line, Some(true)).unwrap();
                }
                Answer::AskPassword { line, .. } => {
                    self.node.handle().password(self.face.id, line, None).unwrap();
                }
            }
        }
    }

    pub(super) fn run(&mut self, command: Command) -> Result<(), Failure> {
        let line = self.give(command);
        self.outcome(line)
    }

    pub(super) fn connecting(&mut self, to: SocketAddr, lock: LockWish) -> u64 {
        self.give(Command::Connect { host: to.ip().to_string(), port: to.port(), lock })
    }

    pub(super) fn connect(&mut self, to: SocketAddr) -> Result<(), Failure> {
        let line = self.connecting(to, LockWish::Unknown);
        self.outcome(line)
    }

    pub(super) fn connect_with(&mut self, to: SocketAddr, text: &str) -> Result<(), Failure> {
        let line = self.connecting(to, LockWish::Password(password(text)));
        self.outcome(line)
    }

    pub(super) fn say(&mut self, text: &str) {
        self.run(Command::Say { text: text.into() }).unwrap();
    }

    /// Writes a file beside the downloads folder and offers it.
    pub(super) fn send(&mut self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        self.run(Command::Send { paths: vec![path.to_str().unwrap().into()] }).unwrap();
        path
    }

    pub(super) fn download(&mut self, wanted: &str) -> Result<(), Failure> {
        self.run(Command::Download {
            wanted: wanted.into(),
            paths: Vec::new(),
            patient: true,
            asks: false,
        })
    }

    /// Fetches a file that may be here already, and confirms that it wants it again.
    pub(super) fn download_again(&mut self, wanted: &str) {
        self.run(Command::Download {
            wanted: wanted.into(),
            paths: Vec::new(),
            patient: true,
            asks: true,
        })
        .unwrap();
        let saved = |notice: &Notice| matches!(notice, Notice::DownloadFinished { .. });
        self.hears(wanted, |notice| saved(notice).then_some(()));
    }

    /// Waits until it is linked with this many others.
    pub(super) fn meets(&mut self, others: usize) {
        let what = klatch::router::command::Wait::Members(others);
        self.run(Command::Wait { what, within_ms: 20_000 }).unwrap();
    }

    /// The next notice from which `pick` takes something.
    pub(super) fn hears<T>(&mut self, what: &str, pick: impl Fn(&Notice) -> Option<T>) -> T {
        let mut passed = Vec::new();
        loop {
            match self.reader.next(Some(SOON)) {
                FeedItem::Notice(notice) => {
                    if let Some(picked) = pick(&notice) {
                        return picked;
                    }
                    passed.push(format!("{notice:?}").chars().take(200).collect::<String>());
                }
                FeedItem::Nothing | FeedItem::Ended => {
                    let last = passed.len().saturating_sub(20);
                    panic!(
                        "never heard: {what}; the last that was:\n{}",
                        passed[last..].join("\n")
                    );
                }
                FeedItem::Forget | FeedItem::Missed(_) => {}
            }
        }
    }

    pub(super) fn hears_text(&mut self, wanted: &str) {
        self.hears(wanted, |notice| match notice {
            Notice::Message { text, .. } if text.raw() == wanted => Some(()),
            _ => None,
        });
    }

    pub(super) fn hears_offer(&mut self, wanted: &str) {
        self.hears(wanted, |notice| match notice {
            Notice::FileOffered { file, .. } if file.name.raw() == wanted => Some(()),
            _ => None,
        });
    }

    pub(super) fn hears_failure(&mut self, code: Code) -> String {
        self.hears(code.word(), |notice| match notice {
            Notice::Error { failure, .. } if failure.code == code => Some(failure.text.clone()),
            _ => None,
        })
    }

    pub(super) fn hears_remark(&mut self, part: &str) -> String {
        self.hears(part, |notice| match notice {
            Notice::Remark { text } if text.contains(part) => Some(text.clone()),
            _ => None,
        })
    }

    pub(super) fn hears_leaving(&mut self, name: &str) {
        self.hears(name, |notice| match notice {
            Notice::MemberLeft { member } if member.who.name.raw() == name => Some(()),
            _ => None,
        });
    }

    /// Waits to hear that the room was closed, or its password changed.
    pub(super) fn hears_lock(&mut self) {
        self.hears("a lock", |notice| matches!(notice, Notice::RoomLocked { .. }).then_some(()));
    }

    /// Waits to hear that somebody was removed: who, and by whom.
    pub(super) fn hears_removal(&mut self) -> (String, String) {
        self.hears("a removal", |notice| match notice {
            Notice::MemberRemoved { member, by, .. } => {
                Some((member.name.raw().to_owned(), by.name.raw().to_owned()))
            }
            _ => None,
        })
    }

    /// Everything that it was told and has not taken yet.
    pub(super) fn rest(&mut self) -> Vec<Arc<Notice>> {
        let mut rest = Vec::new();
        loop {
            match self.reader.next(Some(Duration::ZERO)) {
                FeedItem::Notice(notice) => rest.push(notice),
                FeedItem::Nothing | FeedItem::Ended => return rest,
                FeedItem::Forget | FeedItem::Missed(_) => {}
            }
        }
    }

    /// Who is here, as `members` says.
    pub(super) fn members(&mut self) -> Vec<MemberLine> {
        self.run(Command::Members).unwrap();
        match self.told.take() {
            Some(Notice::Members { list }) => list,
            other => panic!("no members: {other:?}"),
        }
    }

    /// How many others it is linked with.
    pub(super) fn linked(&mut self) -> usize {
        self.members().iter().filter(|line| line.linked).count()
    }

    /// Visible files in the downloads folder, by name, with their content.
    pub(super) fn saved(&self) -> Vec<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(self.downloads()).unwrap();
        let mut saved: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read(entry.path()).unwrap())
            })
            .collect();
        saved.sort();
        saved
    }
}

/// Bytes in which no two pages are equal.
pub(super) fn content(seed: u64, len: usize) -> Vec<u8> {
    let byte = |at: u64| ((at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u8;
    (0..len as u64).map(byte).collect()
}
