//! Everything that a member can say, without end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use klatch::crypto::identity::Identity;
use klatch::crypto::random::random;
use klatch::limits::Limits;
use klatch::router::ids::{Digest32, EntryId, FileId, MemberId, RecordId, RoomId, RunId};
use klatch::router::membership::record::{Lock, Record};
use klatch::router::message::{Have, Held, Message, Wanted};
use klatch::router::signed::{Kind, Offer, Presence, SignedPresence, SignedRecord};
use klatch::wire::message::encode;

use super::eve::{Eve, Granted, Records, Session};
use super::writer::Writer;

/// A name, and a function that gives the next message to say.
pub(super) type Torrent = (&'static str, fn(&mut Speaker) -> Message);

/// One for each message that a member can send at any time.
pub(super) const TORRENTS: &[Torrent] = &[
    ("texts", |eve| eve.text("words")),
    ("texts of line feeds", |eve| eve.text(&"\n".repeat(8_000))),
    ("chains of one entry", |eve| {
        Message::Entry(eve.chain().write(Kind::Text("first".into())).into())
    }),
    ("forks", Speaker::fork),
    ("entries that wait", |eve| {
        Message::Entry(eve.chain().draft(9, Vec::new(), Kind::Unknown).into())
    }),
    ("names", |eve| {
        let name = format!("eve {}", eve.next());
        Message::Entry(eve.writer.write(Kind::Name(name)).into())
    }),
    ("offers", |eve| {
        let (name, root) = (format!("{}.bin", eve.next()), Digest32(random()));
        let offer =
            Offer { name: name.as_str().into(), size: 1, root, folder: None, replaces: None };
        Message::Entry(eve.writer.write(Kind::Offer(offer)).into())
    }),
    ("presence", |eve| eve.presence(Vec::new())),
    ("presence with many unlinked", |eve| {
        eve.presence((0..100).map(|_| MemberId(random())).collect())
    }),
    ("locks", Speaker::lock),
    ("records heard before", |eve| Message::Records(eve.known.iter().take(16).cloned().collect())),
    ("how far chains are held", |eve| {
        let have = eve.have();
        Message::Have(vec![have; 16])
    }),
    ("receipts", |eve| Message::Receipt { holder: eve.id(), have: eve.have() }),
    ("questions", |eve| {
        let chain = eve.writer.chain;
        Message::Ask { number: eve.next() as u32, chains: vec![Wanted { chain, from: 0 }] }
    }),
    ("answers to nothing", |eve| Message::Answer {
        number: eve.next() as u32,
        entries: Vec::new(),
        last: true,
    }),
    ("pings", |eve| Message::Ping(eve.next() as u32)),
    ("held files", |eve| Message::Hosting { file: eve.file(), held: Held::All, fetching: true }),
    ("gained chunks", |eve| Message::Gained { file: eve.file(), chunks: vec![0] }),
    ("dropped files", |eve| Message::Dropped { file: eve.file(), done: None }),
    ("chunks not wanted", |eve| Message::Unwanted { file: eve.file(), chunk: 0 }),
    ("bad chunks", |eve| Message::BadChunk { file: eve.file(), chunk: 0 }),
    ("lanes wanted", |_| Message::LaneWanted),
    ("words to compare", |_| Message::VerifyCommit(Digest32(random()))),
    ("values to compare", |_| Message::VerifyNonce(Digest32(random()))),
];

/// Eve on one link, with all that she needs to go on.
pub(super) struct Speaker {
    identity: Identity,
    run: RunId,
    room: RoomId,
    writer: Writer,
    known: Records,
    /// The fork's second version of the entry just said.
    second: Option<Message>,
    said: u64,
}

impl Speaker {
    fn new(eve: &Eve, session: &Session) -> Self {
        let (identity, room) = (eve.identity.clone(), session.room);
        let (writer, known) = (session.chain(), session.known.clone());
        Self { identity, run: eve.run, room, writer, known, second: None, said: 1 }
    }

    fn next(&mut self) -> u64 {
        self.said += 1;
        self.said
    }

    fn id(&self) -> MemberId {
        MemberId(self.identity.public())
    }

    fn chain(&self) -> Writer {
        Writer::new(self.identity.clone(), self.room)
    }

    fn file(&self) -> FileId {
        FileId(random())
    }

    fn text(&mut self, text: &str) -> Message {
        self.writer.text(text)
    }

    fn have(&self) -> Have {
        let chain = self.chain().chain;
        Have { chain, len: 1, head: EntryId(random()), forked: false, refused: false }
    }

    fn fork(&mut self) -> Message {
        if let Some(second) = self.second.take() {
            return second;
        }
        let chain = self.chain();
        let version = |text: &str| {
            let entry = chain.draft(1, Vec::new(), Kind::Text(text.into()));
            Message::Entry(entry.into())
        };
        self.second = Some(version("one"));
        version("other")
    }

    fn presence(&mut self, unlinked: Vec<MemberId>) -> Message {
        let body = Presence {
            member: self.id(),
            run: self.run,
            version: self.next(),
            name: format!("eve {}", self.said),
            addresses: Vec::new(),
            unlinked,
            bye: false,
        };
        Message::Presence(SignedPresence::sign(&self.room, &self.identity, body))
    }

    fn lock(&mut self) -> Message {
        let me = self.id();
        let standing = self.known.iter().filter(|record| match &record.record {
            Record::Ticket(ticket) => ticket.member == me,
            _ => false,
        });
        let lock = Lock {
            by: me,
            standing: standing.map(|record| record.id).collect(),
            closed: false,
            password: None,
            over: [RecordId(random())].into(),
            kept: Vec::new(),
        };
        let record = Record::Lock(lock);
        Message::Records(vec![SignedRecord::sign(&self.room, &self.identity, record, None)])
    }
}

/// Eve as a member of a room, linked with each of these members.
pub(super) struct Puppet {
    eve: Eve,
    sessions: Vec<Session>,
}

impl Puppet {
    /// Joins through the first of `members`, and links with the others.
    pub(super) fn new(name: String, members: &[SocketAddr]) -> Option<Self> {
        let eve = Eve { name, ..Eve::new() };
        let (first, others) = members.split_first()?;
        let session = eve.join_with(*first, None, Vec::new());
        let home: Granted = session.home.clone();
        let chain: Records = home.chain.iter().chain(&session.known).cloned().collect();
        let mut sessions = vec![session];
        for other in others {
            sessions.extend(eve.comes_back(*other, &home, &chain).ok());
        }
        Some(Self { eve, sessions })
    }

    /// Says it over every link until `stop`; each thread returns how much it said.
    pub(super) fn pours(self, torrent: Torrent, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<u64>> {
        let Self { eve, sessions } = self;
        let pour = |session: Session| {
            let mut speaker = Speaker::new(&eve, &session);
            let (mut sender, mut receiver) = session.wire.channel.split();
            std::thread::spawn(move || while receiver.recv(usize::from(u16::MAX)).is_ok() {});
            let (stop, limits) = (Arc::clone(stop), Limits::default());
            std::thread::spawn(move || {
                let (mut said, mut plain) = (0, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    plain.clear();
                    let encoded = encode(&torrent.1(&mut speaker), &limits, &mut plain);
                    if encoded.is_err() || sender.send(&plain).is_err() {
                        break;
                    }
                    said += 1;
                }
                said
            })
        };
        sessions.into_iter().map(pour).collect()
    }
}
