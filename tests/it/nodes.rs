//! Whole nodes in this process: what a program cannot show from outside, and limits that take too
//! long to reach.

use std::sync::Arc;
use std::time::{Duration, Instant};

use klatch::limits::Limits;
use klatch::node::{Answer, Face, FeedItem, FeedReader, Node, NodeConfig};
use klatch::router::command::{Command, LeaveWhen, LockWish, Wait};
use klatch::router::notice::{Code, Failure, Notice};
use klatch::router::rights::FaceRights;
use tempfile::TempDir;

use crate::common::{DEADLINE, Folder, alone, content, is_alone, same};

struct Someone {
    node: Node,
    face: Face,
    reader: FeedReader,
    lines: u64,
    folder: TempDir,
}

impl Someone {
    fn new(name: &str) -> Self {
        Self::with(name, Limits::default())
    }

    fn with(name: &str, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = NodeConfig::on_loopback(name, limits, folder.path().to_owned());
        let node = Node::start(config).unwrap();
        let (face, reader) = (node.handle().face(FaceRights::TERMINAL), node.feed().reader());
        Self { node, face, reader, lines: 0, folder }
    }

    fn give(&mut self, command: Command) {
        self.lines += 1;
        self.node.handle().command(self.face.id, self.lines, command).unwrap();
    }

    fn run(&mut self, command: Command) -> Result<(), Failure> {
        self.give(command);
        reply(&self.face)
    }

    fn connect(&mut self, other: &Someone) {
        let addr = other.node.addr();
        let (host, port) = (addr.ip().to_string(), addr.port());
        self.run(Command::Connect { host, port, lock: LockWish::Unknown }).unwrap();
    }

    fn offer(&mut self, path: &str) {
        self.run(Command::Send { paths: vec![path.into()] }).unwrap();
    }

    fn wait(&mut self, what: Wait) {
        self.run(Command::Wait { what, within_ms: DEADLINE.as_millis() as u64 }).unwrap();
    }

    fn hears(&mut self, wanted: impl Fn(&Notice) -> bool) -> Arc<Notice> {
        loop {
            match self.reader.next(Some(DEADLINE)) {
                FeedItem::Notice(notice) if wanted(&notice) => return notice,
                FeedItem::Nothing | FeedItem::Ended => panic!("not heard"),
                _ => {}
            }
        }
    }

    /// How many bytes the next download to finish fetched over the network.
    fn fetched(&mut self) -> u64 {
        let finished = self.hears(|notice| matches!(notice, Notice::DownloadFinished { .. }));
        let Notice::DownloadFinished { bytes_fetched, .. } = &*finished else { unreachable!() };
        *bytes_fetched
    }

    fn quit(mut self) -> u8 {
        self.give(Command::Quit(LeaveWhen::Now));
        self.node.wait_stopped()
    }
}

/// The result of the command that this face waits for.
fn reply(face: &Face) -> Result<(), Failure> {
    match face.answers.recv_timeout(DEADLINE).unwrap() {
        Answer::Reply { result, .. } => result,
        other => panic!("no reply: {other:?}"),
    }
}

fn download(wanted: &str) -> Command {
    Command::Download { wanted: wanted.to_owned(), paths: Vec::new(), patient: true, asks: false }
}

fn sparse(folder: &Folder, bytes: u64) -> String {
    let path = folder.path("large.img");
    std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
    path.display().to_string()
}

#[test]
fn a_cancelled_download_keeps_what_is_verified() {
    const SIZE: u64 = 1 << 30;
    let (mut alice, mut bob) = (Someone::new("alice"), Someone::new("bob"));
    bob.connect(&alice);
    let folder = Folder::new();
    alice.offer(&sparse(&folder, SIZE));
    bob.wait(Wait::File("large.img".into()));
    bob.give(download("large.img"));
    bob.hears(|notice| matches!(notice, Notice::DownloadProgress { bytes_done: 1.., .. }));
    // Another face of the same node may cancel it, as a page can cancel what the terminal began.
    let page = bob.node.handle().face(FaceRights::PAGE);
    let cancel = Command::Cancel { wanted: "large.img".into() };
    bob.node.handle().command(page.id, 1, cancel).unwrap();
    assert_eq!(reply(&page), Ok(()));
    assert_eq!(reply(&bob.face).unwrap_err().code, Code::Cancelled);
    bob.hears(|notice| {
        matches!(notice, Notice::DownloadFailed { failure, .. } if failure.code == Code::Cancelled)
    });
    bob.run(download("large.img")).unwrap();
    let again = bob.fetched();
    assert!(0 < again && again < SIZE, "it began again: {again} bytes");
    assert_eq!(bob.quit(), 1, "a command failed");
    assert_eq!(alice.quit(), 0);
}

#[test]
fn two_faces_hear_the_same_and_wait_for_each_others_downloads() {
    let (mut alice, mut bob) = (Someone::new("alice"), Someone::new("bob"));
    bob.connect(&alice);
    let folder = Folder::new();
    let bytes = content(5, 5 << 20);
    alice.offer(&folder.file("both.bin", &bytes));
    bob.wait(Wait::File("both.bin".into()));
    let page = bob.node.handle().face(FaceRights::PAGE);
    let mut of_page = bob.node.feed().reader();
    bob.node.handle().command(page.id, 1, download("both.bin")).unwrap();
    bob.wait(Wait::Downloads);
    assert_eq!(reply(&page), Ok(()));
    let finished = bob.hears(|notice| matches!(notice, Notice::DownloadFinished { .. }));
    let Notice::DownloadFinished { path, .. } = &*finished else { unreachable!() };
    assert!(same(path, &bytes));
    assert!(path.starts_with(bob.folder.path()));
    let heard = std::iter::from_fn(|| match of_page.next(Some(DEADLINE)) {
        FeedItem::Notice(notice) => Some(notice),
        other => panic!("not heard: {other:?}"),
    });
    assert!(heard.into_iter().any(|notice| notice == finished));
}

#[test]
fn at_the_end_of_stdin_a_download_without_a_host_fails() {
    let limits = Limits { no_host_ms: 500, ..Limits::default() };
    let (mut alice, mut bob) = (Someone::new("alice"), Someone::with("bob", limits));
    bob.connect(&alice);
    let folder = Folder::new();
    alice.offer(&sparse(&folder, 1 << 30));
    bob.wait(Wait::File("large.img".into()));
    bob.give(download("large.img"));
    bob.hears(|notice| matches!(notice, Notice::DownloadProgress { .. }));
    assert_eq!(alice.quit(), 0);
    bob.give(Command::EndOfInput);
    assert_eq!(reply(&bob.face).unwrap_err().code, Code::NoHost);
    assert_eq!(bob.node.wait_stopped(), 1);
}

#[test]
fn a_full_room_says_so() {
    let limits = Limits { peers: 2, ..Limits::default() };
    let mut alice = Someone::with("alice", limits);
    let mut others = [Someone::new("bob"), Someone::new("carol")];
    for other in &mut others {
        other.connect(&alice);
    }
    alice.wait(Wait::Members(2));
    let mut dave = Someone::new("dave");
    let addr = alice.node.addr();
    let (host, port) = (addr.ip().to_string(), addr.port());
    let failure = dave.run(Command::Connect { host, port, lock: LockWish::Unknown }).unwrap_err();
    assert_eq!(failure.code, Code::RoomFull);
}

#[test]
fn a_node_that_ends_leaves_no_thread_behind() {
    // Threads are counted per process, and other tests have threads too.
    alone("nodes::every_thread_is_joined", &["env"]);
}

#[test]
#[ignore = "in a process of its own, by the test above"]
fn every_thread_is_joined() {
    if !is_alone() {
        return;
    }
    assert_eq!(klatch::thread::live(), 0);
    // If ending waited for the dial or the download, it would take this long.
    let limits = Limits {
        handshake_deadline_ms: 60_000,
        down_bytes_per_s: Some(1_000_000),
        ..Limits::default()
    };
    let (mut alice, mut bob) = (Someone::new("alice"), Someone::with("bob", limits));
    bob.connect(&alice);
    let folder = Folder::new();
    // In the middle of everything: a running download, and a dial that nobody answers.
    alice.offer(&sparse(&folder, 64 << 20));
    bob.wait(Wait::File("large.img".into()));
    bob.give(download("large.img"));
    bob.hears(|notice| matches!(notice, Notice::DownloadProgress { .. }));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let host = "127.0.0.1".to_owned();
    bob.give(Command::Connect { host, port, lock: LockWish::Unknown });
    silent.accept().unwrap();
    let of_both = klatch::thread::live();
    assert!(of_both > 4, "{of_both} threads");
    for someone in [bob, alice] {
        let began = Instant::now();
        someone.quit();
        assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    }
    assert_eq!(klatch::thread::live(), 0);
}
