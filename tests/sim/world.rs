//! The virtual world: programs, disks, a network and one clock, driven by one seed.
//!
//! Everything that happens is in one queue, ordered by time and then by when it was queued. The
//! world plays the shell of every node: it performs the router's effects, as late as real threads
//! and networks would.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use klatch::crypto::binding::Role;
use klatch::crypto::identity::Identity;
use klatch::crypto::invite::InviteSecret;
use klatch::limits::Limits;
use klatch::router::Router;
use klatch::router::command::Command;
use klatch::router::event::{Config, Draw, Effect, Event, Target};
use klatch::router::ids::{
    ConnId, Digest32, EntryId, FaceId, LogNonce, MemberId, RecordId, RoomId, RunId,
};
use klatch::router::message::Message;
use klatch::router::notice::{Code, Failure, Notice};
use klatch::router::rights::FaceRights;
use klatch::router::rng::Rng;
use klatch::router::signed::{Kind, SignedEntry, SignedRecord};
use klatch::router::time::Millis;

use crate::disk::Disk;
use crate::pipe::{Parcel, Pipe};
use crate::trace::Trace;
use crate::truth::Truth;

/// Every node listens here.
pub const PORT: u16 = 51_692;
/// The wall clock at the start of the world: 2026-11-22.
pub const WALL_MS: i64 = 1_795_300_000_000;

/// What has yet to happen.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Most of them are events.
pub enum Happening {
    /// A node's deadline.
    Tick { node: usize },
    /// Work of the shell is done.
    Done { node: usize, run: u32, event: Event },
    /// A dial reaches its target.
    Dialled { node: usize, run: u32, conn: ConnId, target: Target, role: Role, tries: u32 },
    /// The dialer's channel is up.
    Up { pipe: usize },
    /// The dialer has run Argon2.
    Stretched { pipe: usize },
    /// The handshake takes too long.
    Overdue { pipe: usize, end: usize },
    /// Something sent by `from` reaches the other end.
    Arrived { pipe: usize, from: usize, parcel: Parcel },
    /// The line is free again.
    Pump { pipe: usize, from: usize },
    /// Closing takes too long.
    Flushed { pipe: usize, end: usize },
    /// A chunk or a list has come over a lane.
    Served { pipe: usize, serial: u64 },
    /// A lane may have become idle.
    Idle { pipe: usize, serial: u64 },
    /// A suspended machine wakes up.
    Wakes { node: usize },
}

struct Due {
    at_ms: u64,
    sequence: u64,
    what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // A heap gives the greatest first.
        (other.at_ms, other.sequence).cmp(&(self.at_ms, self.sequence))
    }
}

/// A message as a face shows it.
#[derive(Debug, Clone)]
pub struct Shown {
    pub order: String,
    pub text: String,
    pub own: bool,
    pub history: bool,
}

/// What a face of one run knows.
#[derive(Debug, Default)]
pub struct View {
    pub messages: BTreeMap<EntryId, Shown>,
    /// Own messages that all members present have held at some time.
    pub held: BTreeSet<EntryId>,
    pub room: Option<RoomId>,
    /// What was said here after entering the room.
    pub said: BTreeSet<String>,
}

/// A machine with its program.
pub struct Node {
    pub name: String,
    /// Its nickname.
    pub called: String,
    pub key: [u8; 32],
    /// Its public key.
    pub id: MemberId,
    pub ip: Ipv4Addr,
    /// Counts the runs of its program.
    pub run: u32,
    pub router: Option<Router>,
    pub ends: BTreeMap<ConnId, (usize, usize)>,
    /// Commands of this run by line.
    pub pending: BTreeMap<u64, Command>,
    pub replies: BTreeMap<u64, (&'static str, Result<(), Failure>)>,
    pub notices: Vec<(u64, Notice)>,
    pub view: View,
    /// What its person answers when asked for a password.
    pub answers: VecDeque<Option<&'static str>>,
    /// What its person answers when asked a question.
    pub agrees: Option<bool>,
    /// Passwords and questions that its person was asked.
    pub asked: usize,
    /// This run, as it says in its Hellos.
    pub run_id: RunId,
    /// The run id that it shows in place of its own.
    pub poses_as: Option<RunId>,
    /// Its handshakes stop after the Hello.
    pub hangs: bool,
    /// The chain that it shows in place of its own.
    pub poses: Option<Vec<Arc<SignedRecord>>>,
    /// Its room and register at the last look.
    pub register: Option<(RoomId, Digest32)>,
    /// Records that came to it in this run.
    pub given: BTreeMap<RecordId, Arc<SignedRecord>>,
    /// Whose presence records came to it in this run.
    pub heard_of: BTreeSet<MemberId>,
    pub disk: Disk,
    pub exit_code: Option<u8>,
    /// What this node never sends, even if its router says so.
    pub withholds: Option<fn(&Message) -> bool>,
    pub limits: Limits,
    /// How much its wall clock is off.
    pub skew_ms: i64,
    /// How long this suspended machine's clock has stood still since the start.
    pub lag_ms: u64,
    pub asleep: bool,
    next_conn: u64,
    next_line: u64,
    tick_at_ms: Option<u64>,
    pub(crate) due_ms: Option<u64>,
    spins: u32,
    events: u64,
}

/// Everything there is.
pub struct World {
    pub now_ms: u64,
    pub nodes: Vec<Node>,
    pub pipes: Vec<Pipe>,
    pub rng: Rng,
    pub trace: Trace,
    /// Passwords by the hash of their data: what OPAQUE would find out.
    pub passwords: BTreeMap<[u8; 32], String>,
    /// What is known of memberships, and what was checked.
    pub truth: Truth,
    /// Pairs that cannot exchange anything.
    pub cuts: BTreeSet<(usize, usize)>,
    /// Pairs that cannot dial: from, to.
    pub no_dial: BTreeSet<(usize, usize)>,
    /// Limits of machines added later.
    pub limits: Limits,
    /// Bytes per millisecond of every line.
    pub rate: u64,
    pub latency_ms: (u64, u64),
    pub(crate) latencies: BTreeMap<(usize, usize), u64>,
    /// Whether to check that everything that a message refers to was shown before it.
    pub strict: bool,
    pub entries: HashMap<EntryId, Arc<SignedEntry>>,
    pub overflows: u64,
    /// Dials of each node so far.
    pub dials: BTreeMap<usize, u64>,
    /// Dials given up before they connected.
    pub(crate) cancelled: BTreeSet<(usize, ConnId)>,
    queue: BinaryHeap<Due>,
    sequence: u64,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        Self {
            now_ms: 1_000,
            nodes: Vec::new(),
            pipes: Vec::new(),
            rng: Rng::new(seed ^ 0x6b6c_6174_6368),
            trace: Trace::default(),
            passwords: BTreeMap::new(),
            truth: Truth::default(),
            cuts: BTreeSet::new(),
            no_dial: BTreeSet::new(),
            limits: Limits::default(),
            rate: 10_000,
            latency_ms: (1, 40),
            latencies: BTreeMap::new(),
            strict: true,
            entries: HashMap::new(),
            overflows: 0,
            dials: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            queue: BinaryHeap::new(),
            sequence: 0,
        }
    }

    /// A world with these people, each with a running program.
    pub fn of<const N: usize>(seed: u64, names: [&str; N]) -> (Self, [usize; N]) {
        let mut world = Self::new(seed);
        world.trace.print = std::env::var_os("KLATCH_SIM_TRACE").is_some();
        let nodes = names.map(|name| world.add(name));
        (world, nodes)
    }

    /// One more machine with a running program.
    pub fn add(&mut self, name: &str) -> usize {
        let key = self.draw_bytes();
        self.add_with_key(name, key)
    }

    /// The same with a known identity.
    pub fn add_with_key(&mut self, name: &str, key: [u8; 32]) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node {
            name: name.to_owned(),
            called: name.to_owned(),
            key,
            id: MemberId(Identity::from_seed(key).public()),
            ip: Ipv4Addr::from(0x0a00_0001 + u32::try_from(index).unwrap()),
            run: 0,
            router: None,
            ends: BTreeMap::new(),
            pending: BTreeMap::new(),
            replies: BTreeMap::new(),
            notices: Vec::new(),
            view: View::default(),
            answers: VecDeque::new(),
            agrees: Some(true),
            asked: 0,
            run_id: RunId::default(),
            poses_as: None,
            hangs: false,
            poses: None,
            register: None,
            given: BTreeMap::new(),
            heard_of: BTreeSet::new(),
            disk: Disk::default(),
            exit_code: None,
            withholds: None,
            limits: self.limits.clone(),
            skew_ms: 0,
            lag_ms: 0,
            asleep: false,
            next_conn: 0,
            next_line: 0,
            tick_at_ms: None,
            due_ms: None,
            spins: 0,
            events: 0,
        });
        self.start(index);
        index
    }

    /// Starts the program of a machine.
    pub fn start(&mut self, node: usize) {
        let draw = self.draw();
        self.end_program(node, false);
        self.start_with(node, draw);
    }

    /// The same with given secrets: two programs with one chain.
    pub fn start_with(&mut self, node: usize, draw: Draw) {
        let run = RunId(self.draw_bytes());
        let seed = self.rng.next_u64();
        let n = &mut self.nodes[node];
        assert!(n.router.is_none(), "{} runs already", n.name);
        n.run += 1;
        n.run_id = run;
        self.cancelled.retain(|(of, _)| *of != node);
        let n = &mut self.nodes[node];
        n.view = View::default();
        n.pending.clear();
        n.replies.clear();
        n.notices.clear();
        n.exit_code = None;
        n.lag_ms = 0;
        n.register = None;
        n.given.clear();
        n.heard_of.clear();
        n.called.clone_from(&n.name);
        let config = Config {
            name: n.name.clone(),
            temporary: false,
            run,
            locked: false,
            wall_at_zero_ms: WALL_MS + n.skew_ms,
            verified: Default::default(),
            limits: n.limits.clone(),
            draw,
        };
        n.router = Some(Router::new(config, Identity::from_seed(n.key), seed));
        let addresses = vec![SocketAddr::new(IpAddr::V4(n.ip), PORT)];
        let text = format!("{} starts", n.name);
        self.trace.remark(self.now_ms, &text);
        self.feed(node, Event::Listening { port: PORT, addresses, tunnels: Vec::new() });
    }

    /// The program ends at once. Its kernel closes its sockets, unless the machine lost power.
    pub fn crash(&mut self, node: usize, power: bool) {
        let text = format!("{} {}", self.nodes[node].name, if power { "dies" } else { "crashes" });
        self.trace.remark(self.now_ms, &text);
        self.end_program(node, power);
    }

    pub(crate) fn end_program(&mut self, node: usize, silent: bool) {
        let n = &mut self.nodes[node];
        n.router = None;
        n.disk.crash();
        n.tick_at_ms = None;
        n.due_ms = None;
        n.asleep = false;
        n.view = View::default();
        for (pipe, end) in std::mem::take(&mut n.ends).into_values() {
            self.pipes[pipe].ends[end].open = false;
            self.pipes[pipe].ends[end].vanished = silent;
            self.lane_ends(pipe);
            if !silent {
                self.post(pipe, end, Parcel::Fin);
            }
        }
    }

    /// The machine sleeps for `ms`: nothing runs on it and its clock stands still.
    pub fn suspend(&mut self, node: usize, ms: u64) {
        let text = format!("{} sleeps for {ms} ms", self.nodes[node].name);
        self.trace.remark(self.now_ms, &text);
        self.nodes[node].asleep = true;
        self.nodes[node].lag_ms += ms;
        self.after(ms, Happening::Wakes { node });
    }

    // Drawing.

    pub fn draw_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.rng.next_u64() as u8;
        }
        bytes
    }

    /// Secrets for an event.
    pub fn draw(&mut self) -> Draw {
        Draw {
            room: self.draw_bytes(),
            nonce: LogNonce(self.draw_bytes()),
            secret: InviteSecret::from_bytes(self.draw_bytes()),
        }
    }

    // Time.

    pub(crate) fn after(&mut self, ms: u64, what: Happening) {
        self.at(self.now_ms + ms, what);
    }

    pub(crate) fn at(&mut self, at_ms: u64, what: Happening) {
        self.sequence += 1;
        self.queue.push(Due { at_ms, sequence: self.sequence, what });
    }

    /// Lets so much time pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.queue.peek().is_some_and(|due| due.at_ms <= end) {
            self.step();
        }
        self.now_ms = end;
    }

    /// Runs until something holds, at most `most_ms`; returns whether it holds.
    pub fn run_until(&mut self, most_ms: u64, mut holds: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now_ms + most_ms;
        loop {
            if holds(self) {
                return true;
            }
            if self.queue.peek().is_none_or(|due| due.at_ms > end) {
                self.now_ms = end;
                return holds(self);
            }
            self.step();
        }
    }

    fn step(&mut self) {
        let Some(due) = self.queue.pop() else { return };
        assert!(due.at_ms >= self.now_ms, "the world's clock went backwards");
        self.now_ms = due.at_ms;
        match due.what {
            Happening::Tick { node } => self.tick(node),
            Happening::Done { node, run, event } => {
                if self.nodes[node].run == run {
                    if self.nodes[node].asleep {
                        self.after(10, Happening::Done { node, run, event });
                    } else {
                        self.feed(node, event);
                    }
                }
            }
            Happening::Wakes { node } => {
                if self.nodes[node].asleep {
                    self.nodes[node].asleep = false;
                    self.feed(node, Event::Woke);
                    for other in 0..self.nodes.len() {
                        self.release(other, node);
                    }
                }
            }
            other => self.network(other),
        }
    }

    fn tick(&mut self, node: usize) {
        let now = self.now_ms;
        let n = &mut self.nodes[node];
        if n.tick_at_ms != Some(now) || n.router.is_none() {
            return;
        }
        n.tick_at_ms = None;
        match n.due_ms {
            Some(due) if due <= now && !n.asleep => {
                self.feed(node, Event::Tick);
                let n = &mut self.nodes[node];
                n.spins = if n.due_ms.is_some_and(|due| due <= now) { n.spins + 1 } else { 0 };
                assert!(n.spins < 50, "{} spins at {now}: its deadline stays in the past", n.name);
            }
            Some(_) => self.arm(node),
            None => {}
        }
    }

    fn arm(&mut self, node: usize) {
        let now = self.now_ms;
        let n = &mut self.nodes[node];
        let Some(due) = n.due_ms else { return };
        let at = due.max(now + u64::from(n.asleep) * 10);
        if n.tick_at_ms.is_none_or(|armed| armed > at) {
            n.tick_at_ms = Some(at);
            self.at(at, Happening::Tick { node });
        }
    }

    // A node's program.

    /// Gives an event to a node's router and performs the effects.
    pub fn feed(&mut self, node: usize, event: Event) {
        let n = &mut self.nodes[node];
        let Some(router) = &mut n.router else { return };
        let local = Millis(self.now_ms.saturating_sub(n.lag_ms));
        let effects = router.handle(local, event.clone());
        n.due_ms = router.next_deadline().map(|due| due.0.saturating_add(n.lag_ms));
        n.events += 1;
        if n.events.is_multiple_of(101) {
            for load in router.loads() {
                assert!(load.size <= load.bound, "{} of {} is unbounded", n.name, load.what);
            }
            let waits =
                n.due_ms.is_some() || effects.iter().any(|of| matches!(of, Effect::Stop { .. }));
            assert!(waits || router.inspect().present.is_empty(), "{} waits for nothing", n.name);
        }
        self.trace.handled(self.now_ms, &n.name, &event, &effects);
        self.judge(node, &event);
        for effect in effects {
            self.perform(node, effect);
        }
        self.arm(node);
    }

    /// The shell of `node` finishes something after `ms`.
    pub fn done(&mut self, node: usize, ms: u64, event: Event) {
        let run = self.nodes[node].run;
        self.after(ms, Happening::Done { node, run, event });
    }

    pub(crate) fn noticed(&mut self, node: usize, notice: Notice) {
        self.check_notice(node, &notice);
        let name = self.nodes[node].name.clone();
        match &notice {
            Notice::Message { id, text, order, own, history, .. } => {
                let shown = Shown {
                    order: order.clone(),
                    text: text.raw().to_owned(),
                    own: *own,
                    history: *history,
                };
                if self.strict {
                    self.check_causes(node, id);
                }
                let before = self.nodes[node].view.messages.insert(*id, shown);
                assert!(before.is_none(), "{name} was shown {text:?} twice");
            }
            Notice::Held { id, held_by, present, refused_by } => {
                let answers = held_by + refused_by.len();
                assert!(answers <= *present, "{name}: {answers} answers of {present}");
                if held_by == present {
                    self.nodes[node].view.held.insert(*id);
                }
            }
            Notice::Joined { room, .. } => self.nodes[node].view.room = Some(*room),
            Notice::Left { .. } => self.nodes[node].view.room = None,
            _ => {}
        }
        let now = self.now_ms;
        self.nodes[node].notices.push((now, notice));
    }

    /// Whatever honest others said and a message refers to was shown before it.
    fn check_causes(&self, node: usize, id: &EntryId) {
        let entry = self.entries.get(id).filter(|entry| !self.may_have_waited(entry));
        let (Some(entry), me) = (entry, self.id(node)) else { return };
        let body = &entry.body;
        let causes = body.prev.iter().copied().chain(body.parents.iter().map(|p| p.id));
        for cause in causes {
            let Some(before) = self.entries.get(&cause) else { continue };
            let shown = self.nodes[node].view.messages.contains_key(&cause);
            let (author, kind) = (before.body.chain.author, &before.body.kind);
            let heeded = author != me && !self.truth.hostile.contains(&author);
            if matches!(kind, Kind::Text(_)) && heeded {
                let name = &self.nodes[node].name;
                assert!(shown, "{name} was shown {:?} before {kind:?}", body.kind);
            }
        }
    }

    // What a person does.

    /// Gives a command; returns its line.
    pub fn command(&mut self, node: usize, command: Command) -> u64 {
        self.command_by(FaceId::TERMINAL, node, command)
    }

    /// The same by a given face.
    pub fn command_by(&mut self, face: FaceId, node: usize, command: Command) -> u64 {
        self.nodes[node].next_line += 1;
        let line = self.nodes[node].next_line;
        if let Command::Say { text } = &command {
            self.nodes[node].view.said.insert(text.clone());
        }
        if let Command::Name { name } = &command {
            self.nodes[node].called.clone_from(name);
        }
        self.nodes[node].pending.insert(line, command.clone());
        let (draw, rights) = (self.draw(), FaceRights::TERMINAL);
        self.feed(node, Event::Commanded { face, rights, line, command, draw });
        line
    }

    /// The identity of a machine.
    pub fn id(&self, node: usize) -> MemberId {
        self.nodes[node].id
    }

    pub(crate) fn end_of(&self, node: usize, conn: ConnId) -> Option<(usize, usize)> {
        self.nodes[node].ends.get(&conn).copied()
    }

    pub(crate) fn new_conn(&mut self, node: usize) -> ConnId {
        self.nodes[node].next_conn += 1;
        ConnId(self.nodes[node].next_conn)
    }
}

/// A failure of a dial.
pub fn unreachable(code: Code) -> Failure {
    Failure::new(code, "nobody answers there")
}
