//! Whole nodes in one process, over real sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::crypto::password::Password;
use crate::router::command::{LockWish, Wait};
use crate::router::notice::Notice;

const SOON: Duration = Duration::from_secs(20);

struct Someone {
    node: Node,
    face: Face,
    reader: Reader,
    lines: u64,
    folder: tempfile::TempDir,
}

impl Someone {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = NodeConfig {
            name: name.into(),
            identity: Identity::generate(),
            temporary: true,
            limits: Limits::default(),
            listen: Listen { ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: Some(0) },
            downloads: folder.path().to_owned(),
            virtual_interfaces: false,
            verified: Default::default(),
        };
        let node = Node::start(config).unwrap();
        let (face, reader) = (node.handle().face(), node.feed().reader());
        Self { node, face, reader, lines: 0, folder }
    }

    fn give(&mut self, command: Command) -> u64 {
        self.lines += 1;
        self.node.handle().command(self.face.id, self.lines, command).unwrap();
        self.lines
    }

    fn answer(&self) -> Answer {
        self.face.answers.recv_timeout(SOON).unwrap()
    }

    /// Gives a command and waits for how it ends.
    fn run(&mut self, command: Command) -> Result<(), Failure> {
        let given = self.give(command);
        match self.answer() {
            Answer::Reply { line, result, .. } => {
                assert_eq!(line, given);
                result
            }
            other => panic!("no reply: {other:?}"),
        }
    }

    fn connect(&mut self, other: &Someone, lock: LockWish) -> Result<(), Failure> {
        let addr = other.node.addr();
        self.run(Command::Connect { host: addr.ip().to_string(), port: addr.port(), lock })
    }

    fn say(&mut self, text: &str) {
        self.run(Command::Say { text: text.into() }).unwrap();
    }

    fn wait(&mut self, what: Wait) {
        self.run(Command::Wait { what, within_ms: 20_000 }).unwrap();
    }

    fn hears(&mut self, wanted: impl Fn(&Notice) -> bool) -> Arc<Notice> {
        loop {
            match self.reader.next(Some(SOON)) {
                Heard::Notice(notice) if wanted(&notice) => return notice,
                Heard::Nothing | Heard::Ended => panic!("not heard"),
                _ => {}
            }
        }
    }

    fn hears_text(&mut self, wanted: &str) {
        self.hears(|n| matches!(n, Notice::Message { text, .. } if text.raw() == wanted));
    }

    fn quit(mut self) -> u8 {
        self.give(Command::Quit);
        self.node.wait_stopped()
    }
}

#[test]
fn two_nodes_link_talk_and_leave() {
    let (mut alice, mut bob) = (Someone::new("alice"), Someone::new("bob"));
    alice.say("before");
    bob.connect(&alice, LockWish::Unknown).unwrap();
    bob.hears_text("before");
    alice.wait(Wait::Members(1));
    for number in 0..50 {
        alice.say(&format!("from alice {number}"));
        bob.say(&format!("from bob {number}"));
    }
    alice.hears_text("from bob 49");
    bob.hears_text("from alice 49");
    assert_eq!(bob.quit(), 0);
    alice.hears(|notice| matches!(notice, Notice::MemberLeft { .. }));
    assert_eq!(alice.quit(), 0);
}

#[test]
fn a_locked_room_asks_for_the_password_and_takes_the_right_one() {
    let (mut alice, mut bob) = (Someone::new("alice"), Someone::new("bob"));
    let password = |text: &str| Some(Password::new(text).unwrap());
    alice.run(Command::Password { password: password("correct horse") }).unwrap();
    let addr = alice.node.addr();
    let line = bob.give(Command::Connect {
        host: addr.ip().to_string(),
        port: addr.port(),
        lock: LockWish::Unknown,
    });
    for (given, wrong_before) in [("wrong horse", false), ("correct horse", true)] {
        match bob.answer() {
            Answer::AskPassword { line: asked, again, .. } => {
                assert_eq!((asked, again), (line, wrong_before));
            }
            other => panic!("not asked: {other:?}"),
        }
        bob.node.handle().password(bob.face.id, line, password(given)).unwrap();
    }
    match bob.answer() {
        Answer::Reply { result, .. } => result.unwrap(),
        other => panic!("no reply: {other:?}"),
    }
    bob.wait(Wait::Members(1));
    alice.say("welcome");
    bob.hears_text("welcome");
}

#[test]
fn a_file_reaches_everybody() {
    let mut alice = Someone::new("alice");
    let mut others = [Someone::new("bob"), Someone::new("carol")];
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let path = alice.folder.path().join("report.pdf");
    std::fs::write(&path, &bytes).unwrap();
    for other in &mut others {
        other.connect(&alice, LockWish::Unknown).unwrap();
    }
    alice.run(Command::Send { paths: vec![path.to_string_lossy().into()] }).unwrap();
    for other in &mut others {
        other.wait(Wait::File("report.pdf".into()));
        other.run(Command::Download { wanted: "report.pdf".into(), patient: true }).unwrap();
        let done = other.hears(|notice| matches!(notice, Notice::DownloadFinished { .. }));
        let Notice::DownloadFinished { path, .. } = &*done else { unreachable!() };
        assert!(std::fs::read(path).unwrap() == bytes);
    }
}

#[test]
fn failures_to_connect_are_told_apart() {
    let mut bob = Someone::new("bob");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let code = |bob: &mut Someone, host: &str, port| {
        let lock = LockWish::Unknown;
        bob.run(Command::Connect { host: host.into(), port, lock }).unwrap_err().code
    };
    assert_eq!(code(&mut bob, "127.0.0.1", gone.port()), Code::Unreachable);
    assert_eq!(code(&mut bob, "no.such.name.invalid", 51692), Code::NameNotFound);
    let port = silent.local_addr().unwrap().port();
    assert_eq!(code(&mut bob, "127.0.0.1", port), Code::Timeout);
    let own = bob.node.addr().port();
    assert_eq!(code(&mut bob, "127.0.0.1", own), Code::SelfConnect);
    assert_eq!(bob.quit(), 1);
}

#[test]
fn a_node_ends_in_time_whatever_its_peers_and_faces_do() {
    let mut alice = Someone::new("alice");
    let mut bob = Someone::new("bob");
    bob.connect(&alice, LockWish::Unknown).unwrap();
    // One that never says anything, and a dial that is never answered.
    let _silent = std::net::TcpStream::connect(alice.node.addr()).unwrap();
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = deaf.local_addr().unwrap().port();
    alice.give(Command::Connect { host: "127.0.0.1".into(), port, lock: LockWish::Unknown });
    let handle = alice.node.handle().clone();
    let face = alice.face.id;
    let began = Instant::now();
    alice.give(Command::Quit);
    let code = alice.node.wait_stopped();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(code <= 1);
    assert_eq!(handle.command(face, 9, Command::Files), Err(Stopped));
}

#[test]
fn an_explicit_port_is_never_replaced_and_a_default_one_is() {
    let taken = Someone::new("alice");
    let listen = Listen { ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: None };
    let first = Listener::bind(listen).unwrap();
    let second = Listener::bind(listen).unwrap();
    assert_ne!(first.addr(), second.addr());
    let port = Some(taken.node.addr().port());
    let failure = Listener::bind(Listen { port, ..listen }).unwrap_err();
    assert_eq!(failure.code, Code::PortInUse);
}
