//! Nodes in this process, as the bench uses them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use klatch::limits::Limits;
use klatch::node::{Answer, Face, FeedItem, FeedReader, Node, NodeConfig};
use klatch::router::command::{Command, LockWish, Wait};
use klatch::router::notice::Notice;
use klatch::router::rights::FaceRights;

/// Nothing here takes this long unless something is wrong.
const SOON: Duration = Duration::from_secs(30);

/// A node with a face that the bench plays.
pub(crate) struct Someone {
    node: Node,
    face: Face,
    reader: FeedReader,
    lines: u64,
}

impl Someone {
    /// A node on loopback.
    pub(crate) fn new(name: &str) -> Result<Self> {
        Self::saving_to(name, &std::env::temp_dir())
    }

    /// A node on loopback whose downloads go to `downloads`.
    pub(crate) fn saving_to(name: &str, downloads: &Path) -> Result<Self> {
        Self::with(name, Limits::default(), downloads)
    }

    /// A node that links only with those it connects to: there is no room for others on its roster.
    /// A hundred of them around one node cost a hundred links, not five thousand.
    pub(crate) fn satellite(name: &str) -> Result<Self> {
        let limits = Limits { members: 1, ..Limits::default() };
        Self::with(name, limits, &std::env::temp_dir())
    }

    fn with(name: &str, limits: Limits, downloads: &Path) -> Result<Self> {
        let config = NodeConfig::on_loopback(name, limits, downloads.to_owned());
        let node = Node::start(config).map_err(|failure| anyhow!(failure.text))?;
        let (face, reader) = (node.handle().face(FaceRights::TERMINAL), node.feed().reader());
        Ok(Self { node, face, reader, lines: 0 })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.node.addr()
    }

    /// Links with a node, or joins its room.
    pub(crate) fn connect(&mut self, addr: SocketAddr) -> Result<()> {
        let lock = LockWish::Unknown;
        self.run(Command::Connect { host: addr.ip().to_string(), port: addr.port(), lock })
    }

    /// Waits until this many others are present.
    pub(crate) fn wait_members(&mut self, others: usize) -> Result<()> {
        self.run(Command::Wait { what: Wait::Members(others), within_ms: 60_000 })
    }

    /// Says a text; does not wait for the reply.
    pub(crate) fn say(&mut self, text: &str) -> Result<()> {
        self.give(Command::Say { text: text.into() })
    }

    /// Offers a file; returns once it is offered.
    pub(crate) fn send(&mut self, source: &Path) -> Result<()> {
        self.run(Command::Send { paths: vec![source.to_owned()] })
    }

    /// Begins to fetch a file; does not wait for the reply.
    pub(crate) fn download(&mut self, name: &str) -> Result<()> {
        let (wanted, paths) = (name.into(), Vec::new());
        self.give(Command::Download { wanted, paths, patient: false, asks: false })
    }

    /// Gives a command whose reply is not awaited.
    fn give(&mut self, command: Command) -> Result<()> {
        self.lines += 1;
        // Unread replies must not fill the face's queue.
        while self.face.answers.try_recv().is_ok() {}
        Ok(self.node.handle().command(self.face.id, self.lines, command)?)
    }

    fn run(&mut self, command: Command) -> Result<()> {
        self.give(command)?;
        loop {
            match self.face.answers.recv_timeout(2 * SOON)? {
                Answer::Reply { line, result, .. } if line == self.lines => {
                    return result.map_err(|failure| anyhow!(failure.text));
                }
                Answer::Reply { .. } | Answer::Told { .. } | Answer::Overview { .. } => {}
                Answer::AskPassword { .. } | Answer::Confirm { .. } => bail!("a question is asked"),
            }
        }
    }

    /// Reads notices up to the first that is wanted.
    pub(crate) fn hears(&mut self, wanted: impl Fn(&Notice) -> bool) -> Result<Arc<Notice>> {
        loop {
            match self.reader.next(Some(SOON)) {
                FeedItem::Notice(notice) if wanted(&notice) => return Ok(notice),
                FeedItem::Nothing | FeedItem::Ended => bail!("nothing was heard in time"),
                _ => {}
            }
        }
    }

    /// Reads notices up to the message of another member.
    pub(crate) fn hears_message(&mut self) -> Result<()> {
        self.hears(|notice| matches!(notice, Notice::Message { own: false, .. })).map(drop)
    }

    /// Reads what has arrived, so that it is not found later.
    pub(crate) fn catch_up(&mut self) {
        while !matches!(self.reader.next(Some(Duration::ZERO)), FeedItem::Nothing | FeedItem::Ended)
        {
        }
    }
}
