//! Whole nodes in one process, over real sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::crypto::password::Password;
use crate::files::faulty::{Faults, FaultyDisk};
use crate::router::command::{Command, LeaveWhen, LockWish, NewPassword, Wait};
use crate::router::notice::Notice;
use crate::router::rights::FaceRights;
use crate::sys::errors::Errno;

const SOON: Duration = Duration::from_secs(20);

struct Someone {
    node: Node,
    face: Face,
    reader: FeedReader,
    lines: u64,
    folder: tempfile::TempDir,
}

impl Someone {
    fn new(name: &str) -> Self {
        Self::on(name, Arc::new(SystemDisk))
    }

    fn on(name: &str, disk: Arc<dyn Disk>) -> Self {
        Self::within(name, disk, Limits::default())
    }

    fn within(name: &str, disk: Arc<dyn Disk>, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { disk_look_ms: 50, ..limits };
        let config = NodeConfig::on_loopback(name, limits, folder.path().to_owned());
        let node = Node::start_on(config, disk).unwrap();
        let (face, reader) = (node.handle().face(FaceRights::TERMINAL), node.feed().reader());
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

    /// Gives a command and waits for its result.
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

    fn hears(&mut self, mut wanted: impl FnMut(&Notice) -> bool) -> Arc<Notice> {
        loop {
            match self.reader.next(Some(SOON)) {
                FeedItem::Notice(notice) if wanted(&notice) => return notice,
                FeedItem::Nothing | FeedItem::Ended => panic!("not heard"),
                _ => {}
            }
        }
    }

    fn hears_text(&mut self, wanted: &str) {
        self.hears(|n| matches!(n, Notice::Message { text, .. } if text.raw() == wanted));
    }

    fn quit(mut self) -> u8 {
        self.give(Command::Quit(LeaveWhen::Now));
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
    let password = |text: &str| Some(NewPassword::Set(Password::new(text).unwrap()));
    alice.run(Command::Password { password: password("correct horse"), asks: false }).unwrap();
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
    alice.run(Command::Send { paths: vec![path.clone()] }).unwrap();
    for other in &mut others {
        other.wait(Wait::File("report.pdf".into()));
        other
            .run(Command::Download {
                wanted: "report.pdf".into(),
                paths: Vec::new(),
                patient: true,
                asks: false,
            })
            .unwrap();
        let done = other.hears(|notice| matches!(notice, Notice::DownloadFinished { .. }));
        let Notice::DownloadFinished { path, .. } = &*done else { unreachable!() };
        assert!(std::fs::read(path).unwrap() == bytes);
    }
}

/// S7: whatever a disk refuses, and when, the download waits and continues, this is reported once,
/// and chat keeps working.
#[test]
fn s7_a_download_waits_for_a_disk_that_fails_and_goes_on_by_itself() {
    type Fault = fn(&mut Faults);
    let faults: [(Fault, Code); 6] = [
        (|faults| faults.create = Some(Errno::NOSPC), Code::DiskFull),
        (|faults| faults.room_bytes = Some(1_500_000), Code::DiskFull),
        (|faults| faults.write = Some(Errno::IO), Code::IoError),
        (|faults| faults.write = Some(Errno::DQUOT), Code::DiskFull),
        (|faults| faults.sync = Some(Errno::IO), Code::IoError),
        (|faults| faults.rename = Some(Errno::NOSPC), Code::DiskFull),
    ];
    for (fault, expected) in faults {
        let disk = Arc::new(FaultyDisk::default());
        let (mut alice, mut bob) = (Someone::new("alice"), Someone::on("bob", disk.clone()));
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let path = alice.folder.path().join("a.bin");
        std::fs::write(&path, &bytes).unwrap();
        bob.connect(&alice, LockWish::Unknown).unwrap();
        alice.run(Command::Send { paths: vec![path.clone()] }).unwrap();
        bob.wait(Wait::File("a.bin".into()));
        disk.change(|faults| faults.most_bytes = Some(10_000));
        disk.change(fault);
        let line = bob.give(Command::Download {
            wanted: "a.bin".into(),
            paths: Vec::new(),
            patient: true,
            asks: false,
        });
        let told = |notice: &Notice| match notice {
            Notice::Error { failure, .. } => failure.code == expected,
            _ => false,
        };
        bob.hears(told);
        alice.say("does it come?");
        bob.hears_text("does it come?");
        assert_eq!(std::fs::read_dir(bob.folder.path()).unwrap().filter(visible).count(), 0);
        disk.change(|faults| *faults = Faults::default());
        let Answer::Reply { line: ended, result, .. } = bob.answer() else { panic!("no reply") };
        assert_eq!((ended, result), (line, Ok(())));
        let mut again = 0;
        let done = bob.hears(|notice| {
            again += usize::from(told(notice));
            matches!(notice, Notice::DownloadFinished { .. })
        });
        let Notice::DownloadFinished { path, .. } = &*done else { unreachable!() };
        assert!(std::fs::read(path).unwrap() == bytes);
        assert_eq!(again, 0, "it is told once");
    }
}

fn visible(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    !entry.as_ref().unwrap().file_name().as_encoded_bytes().starts_with(b".")
}

/// Cancelling a running download keeps what is verified; cancelling again removes everything.
#[test]
fn a_second_cancel_removes_what_the_first_one_kept() {
    let disk = Arc::new(FaultyDisk::default());
    let (mut alice, mut bob) = (Someone::new("alice"), Someone::on("bob", disk.clone()));
    let path = alice.folder.path().join("a.bin");
    std::fs::write(&path, vec![7; 3_000_000]).unwrap();
    bob.connect(&alice, LockWish::Unknown).unwrap();
    alice.run(Command::Send { paths: vec![path.clone()] }).unwrap();
    bob.wait(Wait::File("a.bin".into()));
    // It stops halfway.
    disk.change(|faults| faults.room_bytes = Some(2_000_000));
    bob.give(Command::Download {
        wanted: "a.bin".into(),
        paths: Vec::new(),
        patient: true,
        asks: false,
    });
    bob.hears(|notice| matches!(notice, Notice::Error { .. }));
    let cancel = || Command::Cancel { wanted: "a.bin".into() };
    bob.give(cancel());
    let Answer::Reply { result: Err(failure), .. } = bob.answer() else { panic!("not cancelled") };
    assert_eq!(failure.code, Code::Cancelled);
    let Answer::Reply { result: Ok(()), .. } = bob.answer() else { panic!("not done") };
    assert_eq!(std::fs::read_dir(bob.folder.path()).unwrap().count(), 2);
    bob.run(cancel()).unwrap();
    bob.hears(|notice| match notice {
        Notice::Remark { text } => text.contains("the partial file of a.bin is removed"),
        _ => false,
    });
    assert_eq!(std::fs::read_dir(bob.folder.path()).unwrap().count(), 0);
    assert_eq!(bob.run(cancel()).unwrap_err().code, Code::NoSuchOffer);
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
    // Anything that waits for a deadline waits longer than the test does.
    let patience = 2 * SOON.as_millis() as u64;
    let limits =
        Limits { handshake_deadline_ms: patience, shutdown_ms: patience, ..Limits::default() };
    let mut alice = Someone::within("alice", Arc::new(SystemDisk), limits);
    let mut bob = Someone::new("bob");
    bob.connect(&alice, LockWish::Unknown).unwrap();
    // A connection that never says anything, and a dial that is never answered.
    let _silent = std::net::TcpStream::connect(alice.node.addr()).unwrap();
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = deaf.local_addr().unwrap().port();
    alice.give(Command::Connect { host: "127.0.0.1".into(), port, lock: LockWish::Unknown });
    let handle = alice.node.handle().clone();
    let face = alice.face.id;
    let began = Instant::now();
    alice.give(Command::Quit(LeaveWhen::Now));
    let code = alice.node.wait_stopped();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(code <= 1);
    assert_eq!(handle.command(face, 9, Command::Files), Err(Stopped));
}

#[test]
fn an_explicit_port_is_never_replaced_and_a_default_one_is() {
    let taken = Someone::new("alice");
    let listen = Listen { ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: None };
    let first = PortListener::bind(listen).unwrap();
    let second = PortListener::bind(listen).unwrap();
    assert_ne!(first.addr(), second.addr());
    let port = Some(taken.node.addr().port());
    let failure = PortListener::bind(Listen { port, ..listen }).unwrap_err();
    assert_eq!(failure.code, Code::PortInUse);
}

#[test]
fn a_face_may_do_what_its_rights_allow_until_it_ends() {
    let alice = Someone::new("alice");
    let handle = alice.node.handle().clone();
    let code = |face: &Face, command| {
        handle.command(face.id, 1, command).unwrap();
        match face.answers.recv_timeout(SOON).unwrap() {
            Answer::Reply { result, .. } => result.err().map(|failure| failure.code),
            other => panic!("no reply: {other:?}"),
        }
    };
    let (page, job) = (handle.face(FaceRights::PAGE), handle.face(FaceRights::JOB));
    let send = || Command::Send { paths: vec!["/nothing is here".into()] };
    let quit = || Command::Quit(LeaveWhen::Now);
    assert_eq!(code(&page, send()), Some(Code::PermissionDenied));
    assert_eq!(code(&job, send()), Some(Code::FileNotFound));
    for end in [quit(), Command::Leave(LeaveWhen::Served), Command::EndOfInput] {
        assert_eq!(code(&job, end), Some(Code::PermissionDenied));
    }
    // A closed face still has its rights, and a dropped one has none.
    handle.close(page.id);
    let gone = handle.face(FaceRights::TERMINAL).id;
    handle.command(gone, 1, quit()).unwrap();
    assert_eq!(code(&job, Command::Say { text: "still here".into() }), None);
    handle.command(page.id, 1, quit()).unwrap();
    assert_eq!(alice.node.wait_stopped(), 0);
}
