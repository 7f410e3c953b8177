//! An honest person: a whole node in this process, on a port of this computer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use klatch::crypto::identity::Identity;
use klatch::crypto::password::Password;
use klatch::limits::Limits;
use klatch::net::listener::Listen;
use klatch::node::{Answer, Face, Heard, Node, NodeConfig, Reader};
use klatch::router::command::{Command, LockWish};
use klatch::router::notice::{Code, Failure, MemberLine, Notice};
use tempfile::TempDir;

/// Nothing in these tests takes so long, unless something is wrong.
pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

pub(super) struct Host {
    pub(super) node: Node,
    pub(super) face: Face,
    pub(super) folder: TempDir,
    reader: Reader,
    lines: u64,
    /// How commands ended that the test did not ask about yet.
    ended: BTreeMap<u64, Result<(), Failure>>,
    /// The last list that it was told.
    pub(super) told: Option<Notice>,
}

impl Host {
    pub(super) fn new(name: &str) -> Self {
        Self::with(name, Limits::default())
    }

    pub(super) fn with(name: &str, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let downloads = folder.path().join("downloads");
        std::fs::create_dir(&downloads).unwrap();
        let node = Node::start(NodeConfig {
            name: name.into(),
            identity: Identity::generate(),
            temporary: true,
            limits,
            listen: Listen { ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: Some(0) },
            downloads,
            virtual_interfaces: false,
            verified: Default::default(),
        });
        let node = node.unwrap();
        let (face, reader) = (node.handle().face(), node.feed().reader());
        Self { node, face, folder, reader, lines: 0, ended: BTreeMap::new(), told: None }
    }

    /// Two who are linked: a settled, open room.
    pub(super) fn pair() -> (Self, Self) {
        let (alice, mut bob) = (Self::new("alice"), Self::new("bob"));
        bob.connect(alice.addr()).unwrap();
        (alice, bob)
    }

    /// Somebody in a room that this password opens.
    pub(super) fn locked(name: &str, text: &str) -> Self {
        let mut host = Self::new(name);
        host.run(Command::Password { password: Some(password(text)) }).unwrap();
        host
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.node.addr()
    }

    /// The folder of the downloads; nothing may ever lie beside it but what the test put there.
    pub(super) fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }

    pub(super) fn give(&mut self, command: Command) -> u64 {
        self.lines += 1;
        self.node.handle().command(self.face.id, self.lines, command).unwrap();
        self.lines
    }

    /// Waits for how the command of this line ends; a password that is asked for is not given.
    pub(super) fn outcome(&mut self, given: u64) -> Result<(), Failure> {
        loop {
            if let Some(result) = self.ended.remove(&given) {
                return result;
            }
            match self.face.answers.recv_timeout(SOON).unwrap() {
                Answer::Reply { line, result, .. } => drop(self.ended.insert(line, result)),
                Answer::Told { notice, .. } => self.told = Some(notice),
                Answer::Overview { .. } => {}
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

    /// Writes a file beside the downloads and offers it.
    pub(super) fn send(&mut self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        self.run(Command::Send { paths: vec![path.to_str().unwrap().into()] }).unwrap();
        path
    }

    pub(super) fn download(&mut self, wanted: &str) -> Result<(), Failure> {
        self.run(Command::Download { wanted: wanted.into(), patient: true })
    }

    /// The next notice from which `pick` takes something.
    pub(super) fn hears<T>(&mut self, what: &str, pick: impl Fn(&Notice) -> Option<T>) -> T {
        loop {
            match self.reader.next(Some(SOON)) {
                Heard::Notice(notice) => {
                    if let Some(picked) = pick(&notice) {
                        return picked;
                    }
                }
                Heard::Nothing | Heard::Ended => panic!("never heard: {what}"),
                Heard::Forget | Heard::Missed(_) => {}
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

    /// Everything that it was told and did not hear yet.
    pub(super) fn rest(&mut self) -> Vec<Arc<Notice>> {
        let mut rest = Vec::new();
        loop {
            match self.reader.next(Some(Duration::ZERO)) {
                Heard::Notice(notice) => rest.push(notice),
                Heard::Nothing | Heard::Ended => return rest,
                Heard::Forget | Heard::Missed(_) => {}
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

    /// Others that it has a link with.
    pub(super) fn linked(&mut self) -> usize {
        self.members().iter().filter(|line| line.member.linked).count()
    }

    /// Visible files in the folder of the downloads, by name, with their content.
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

/// Bytes of which no two pages are equal.
pub(super) fn content(seed: u64, len: usize) -> Vec<u8> {
    let byte = |at: u64| ((at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u8;
    (0..len as u64).map(byte).collect()
}
