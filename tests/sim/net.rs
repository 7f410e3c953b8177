//! The shell's part in connections: dials, handshakes, outboxes, and how they end.

use core::net::{IpAddr, SocketAddr};

use klatch::crypto::binding::{Role, Side};
use klatch::router::event::{Closed, Event, Target};
use klatch::router::ids::{ConnId, MemberId, RoomId};
use klatch::router::message::{Hello, Message};
use klatch::router::notice::Code;

use crate::handshake::is_slow;
use crate::pipe::{End, Parcel, Pipe, WINDOW_BYTES, size_of};
use crate::world::{Happening, PORT, World, unreachable};

/// A dial without an answer ends after this long.
const DIAL_TIMEOUT_MS: u64 = 10_000;

impl World {
    // Dialling.

    pub(crate) fn dial(&mut self, node: usize, conn: ConnId, target: Target, role: Role) {
        *self.dials.entry(node).or_default() += 1;
        let to = self.listener_at(&target);
        let latency = to.map_or(5, |to| self.latency(node, to));
        let run = self.nodes[node].run;
        self.after(latency, Happening::Dialled { node, run, conn, target, role, tries: 0 });
    }

    fn listener_at(&self, target: &Target) -> Option<usize> {
        let (ip, port) = match target {
            Target::Host { host, port } => (host.parse::<IpAddr>().ok()?, *port),
            Target::Addr(addr) => (addr.ip(), addr.port()),
        };
        let found = self.nodes.iter().position(|node| IpAddr::V4(node.ip) == ip);
        found.filter(|_| port == PORT)
    }

    /// Handles everything except ticks and finished work.
    pub(crate) fn network(&mut self, what: Happening) {
        match what {
            Happening::Dialled { node, run, conn, target, role, tries } => {
                if self.nodes[node].run == run && !self.cancelled.remove(&(node, conn)) {
                    self.dialled(node, conn, target, role, tries);
                }
            }
            Happening::Up { pipe } => self.up(pipe),
            Happening::Stretched { pipe } => self.stretched(pipe),
            Happening::Overdue { pipe, end } => self.overdue(pipe, end),
            Happening::Arrived { pipe, from, parcel } => {
                self.pipes[pipe].ends[from].stalled.push_back(parcel);
                self.drain(pipe, from);
            }
            Happening::Pump { pipe, from } => {
                self.pipes[pipe].ends[from].pump_armed = false;
                self.pump(pipe, from);
            }
            Happening::Flushed { pipe, end } => {
                let End { node, conn, open, .. } = self.pipes[pipe].ends[end];
                if open {
                    self.shut(node, conn, Parcel::Fin);
                }
            }
            Happening::Served { pipe, serial } => self.served(pipe, serial),
            Happening::Idle { pipe, serial } => self.idle(pipe, serial),
            Happening::Tick { .. } | Happening::Done { .. } | Happening::Wakes { .. } => {}
        }
    }

    fn dialled(&mut self, node: usize, conn: ConnId, target: Target, role: Role, tries: u32) {
        let run = self.nodes[node].run;
        let Some(to) = self.listener_at(&target) else {
            return self.dial_fails(node, conn, Code::Unreachable);
        };
        let silent = self.is_cut(node, to)
            || self.no_dial.contains(&(node, to))
            || self.nodes[to].asleep
            || (self.nodes[to].router.is_none() && self.nodes[to].exit_code.is_none());
        if silent {
            // The kernel retries until the shell gives up.
            if u64::from(tries) * 1_000 >= DIAL_TIMEOUT_MS {
                return self.dial_fails(node, conn, Code::Timeout);
            }
            let tries = tries + 1;
            let again = Happening::Dialled { node, run, conn, target, role, tries };
            return self.after(1_000, again);
        }
        if self.nodes[to].router.is_none() {
            return self.dial_fails(node, conn, Code::Unreachable);
        }
        let accepted = self.new_conn(to);
        let ends = [End::new(node, run, conn), End::new(to, self.nodes[to].run, accepted)];
        let pipe = self.pipes.len();
        self.pipes.push(Pipe::new(role, ends));
        self.nodes[node].ends.insert(conn, (pipe, 0));
        self.nodes[to].ends.insert(accepted, (pipe, 1));
        let latency = self.latency(node, to);
        self.after(latency, Happening::Up { pipe });
        let deadline = self.nodes[to].limits.handshake_deadline_ms;
        self.after(deadline, Happening::Overdue { pipe, end: 1 });
        let remote =
            SocketAddr::new(IpAddr::V4(self.nodes[node].ip), 40_000 + (pipe % 20_000) as u16);
        self.feed(to, Event::ConnOpened { conn: accepted, side: Side::Listener, role, remote });
    }

    fn dial_fails(&mut self, node: usize, conn: ConnId, code: Code) {
        self.feed(node, Event::DialFailed { conn, failure: unreachable(code) });
    }

    fn up(&mut self, pipe: usize) {
        let End { node, conn, open, .. } = self.pipes[pipe].ends[0];
        if !open {
            return;
        }
        let role = self.pipes[pipe].role;
        self.pipes[pipe].up_ms = Some(self.now_ms);
        let ip = self.nodes[self.pipes[pipe].ends[1].node].ip;
        let remote = SocketAddr::new(IpAddr::V4(ip), PORT);
        let deadline = self.nodes[node].limits.handshake_deadline_ms;
        self.after(deadline, Happening::Overdue { pipe, end: 0 });
        self.feed(node, Event::ConnOpened { conn, side: Side::Dialer, role, remote });
    }

    // The handshake.

    pub(crate) fn say_hello(&mut self, node: usize, conn: ConnId, hello: Hello, room: RoomId) {
        let Some((pipe, end)) = self.end_of(node, conn) else { return };
        let run = self.nodes[node].poses_as.unwrap_or(hello.run);
        let hello = Hello { run, ..hello };
        self.pipes[pipe].ends[end].hello = Some((hello.clone(), room));
        self.pipes[pipe].ends[end].room = room;
        self.post(pipe, end, Parcel::Hello(hello, room));
        if let Some((theirs, their_room)) = self.pipes[pipe].ends[end].early_hello.take() {
            let same_room = their_room == room;
            self.done(node, 0, Event::HelloArrived { conn, theirs, same_room });
        }
    }

    fn overdue(&mut self, pipe: usize, end: usize) {
        let End { node, conn, open, admitted, patient, ref plan, .. } = self.pipes[pipe].ends[end];
        if !open || admitted {
            return;
        }
        if plan.as_ref().is_some_and(is_slow) && !patient {
            self.pipes[pipe].ends[end].patient = true;
            let limits = &self.nodes[node].limits;
            let more = limits.password_deadline_ms - limits.handshake_deadline_ms;
            return self.after(more, Happening::Overdue { pipe, end });
        }
        self.shut_quietly(node, conn, Parcel::Fin);
        self.feed(node, Event::ConnClosed { conn, how: Closed::Silent });
    }

    // Sending.

    /// Puts a message into an outbox; a full one ends the connection.
    pub(crate) fn send(&mut self, node: usize, conn: ConnId, message: Message) {
        let Some((pipe, end)) = self.end_of(node, conn) else { return };
        let bytes = size_of(&message);
        let limits = &self.nodes[node].limits;
        assert!(
            bytes <= limits.message_max_bytes,
            "{} says {bytes} bytes in one message: {}",
            self.nodes[node].name,
            crate::trace::brief(&message)
        );
        let (most, most_bytes) = (limits.outbox_messages, limits.outbox_bytes);
        let from = &mut self.pipes[pipe].ends[end];
        from.outbox.push_back((message, bytes));
        from.outbox_bytes += bytes;
        if from.outbox.len() > most || from.outbox_bytes > most_bytes {
            let text = format!("the outbox of {} #{conn:?} is full", self.nodes[node].name);
            self.trace.remark(self.now_ms, &text);
            self.overflows += 1;
            self.pipes[pipe].ends[end].outbox.clear();
            self.shut_quietly(node, conn, Parcel::Fin);
            return self.done(node, 0, Event::ConnClosed { conn, how: Closed::Silent });
        }
        let half = from.outbox.len() >= most / 2 || from.outbox_bytes >= most_bytes / 2;
        if half && !from.congested {
            from.congested = true;
            self.done(node, 0, Event::Congested { conn });
        }
        self.pump(pipe, end);
    }

    fn pump(&mut self, pipe: usize, from: usize) {
        let rate = self.rate;
        loop {
            let now_us = self.now_ms * 1_000;
            let end = &mut self.pipes[pipe].ends[from];
            let Some((_, bytes)) = end.outbox.front() else { break };
            if end.in_flight_bytes > WINDOW_BYTES || end.pump_armed {
                break;
            }
            if end.busy_until_us > now_us + 1_000 {
                end.pump_armed = true;
                let at = end.busy_until_us / 1_000;
                self.at(at, Happening::Pump { pipe, from });
                break;
            }
            end.busy_until_us = end.busy_until_us.max(now_us) + *bytes as u64 * 1_000 / rate;
            let Some((message, bytes)) = end.outbox.pop_front() else { break };
            end.outbox_bytes -= bytes;
            end.in_flight_bytes += bytes;
            self.post(pipe, from, Parcel::Message(message, bytes));
        }
        let End { node, conn, congested, closing, open, ref outbox, outbox_bytes, .. } =
            self.pipes[pipe].ends[from];
        let limits = &self.nodes[node].limits;
        let low =
            outbox.len() < limits.outbox_messages / 4 && outbox_bytes < limits.outbox_bytes / 4;
        let empty = outbox.is_empty();
        if congested && low && open {
            self.pipes[pipe].ends[from].congested = false;
            self.done(node, 0, Event::Drained { conn });
        }
        if closing && empty && open {
            self.shut(node, conn, Parcel::Fin);
        }
    }

    /// Sends something on its way, after what is already under way.
    pub(crate) fn post(&mut self, pipe: usize, from: usize, parcel: Parcel) {
        let [a, b] = &self.pipes[pipe].ends;
        let (a, b) = (a.node, b.node);
        let latency = self.latency(a, b);
        let end = &mut self.pipes[pipe].ends[from];
        let at = (self.now_ms + latency).max(end.last_arrival_ms);
        end.last_arrival_ms = at;
        self.at(at, Happening::Arrived { pipe, from, parcel });
    }

    fn blocked(&self, from: usize, to: usize) -> bool {
        self.is_cut(from, to) || self.nodes[to].asleep
    }

    /// What was held up between two machines continues.
    pub(crate) fn release(&mut self, from: usize, to: usize) {
        let ends: Vec<_> =
            self.nodes[to].ends.values().chain(self.nodes[from].ends.values()).copied().collect();
        for (pipe, _) in ends {
            for end in [0, 1] {
                let [a, b] = &self.pipes[pipe].ends;
                let pair = if end == 0 { (a.node, b.node) } else { (b.node, a.node) };
                if pair == (from, to) {
                    self.drain(pipe, end);
                }
            }
        }
    }

    fn drain(&mut self, pipe: usize, from: usize) {
        loop {
            let [sender, receiver] =
                [&self.pipes[pipe].ends[from], &self.pipes[pipe].ends[1 - from]];
            if self.blocked(sender.node, receiver.node) {
                return;
            }
            let Some(parcel) = self.pipes[pipe].ends[from].stalled.pop_front() else { return };
            self.deliver(pipe, from, parcel);
        }
    }

    fn deliver(&mut self, pipe: usize, from: usize, parcel: Parcel) {
        let to = 1 - from;
        let End { node, conn, open, vanished, identified, .. } = self.pipes[pipe].ends[to];
        if vanished {
            // A machine without power says nothing, and one that restarted knows nothing of this.
            if self.nodes[node].router.is_some() && self.pipes[pipe].ends[from].open {
                self.pipes[pipe].ends[to].vanished = false;
                self.post(pipe, to, Parcel::Fin);
            }
            return;
        }
        if let Parcel::Message(_, bytes) = &parcel {
            self.pipes[pipe].ends[from].in_flight_bytes -= bytes;
            self.pump(pipe, from);
        }
        if !open {
            return;
        }
        match parcel {
            Parcel::Hello(theirs, room) => match &self.pipes[pipe].ends[to].hello {
                None => self.pipes[pipe].ends[to].early_hello = Some((theirs, room)),
                Some((_, ours)) => {
                    let same_room = *ours == room;
                    self.feed(node, Event::HelloArrived { conn, theirs, same_room });
                }
            },
            parcel if identified => self.hears(pipe, to, parcel),
            parcel => self.heard(pipe, to, parcel),
        }
    }

    /// Something arrives over a connection whose ends know each other.
    pub(crate) fn hears(&mut self, pipe: usize, to: usize, parcel: Parcel) {
        let End { node, conn, open, .. } = self.pipes[pipe].ends[to];
        if !open {
            return;
        }
        match parcel {
            Parcel::Message(message, _) => match self.decoded_message(pipe, to, message) {
                Some(message) => self.feed(node, Event::Said { conn, message }),
                None => self.breaks(pipe, to, "a forged record"),
            },
            Parcel::Refused(refusal) => match self.decoded_refusal(pipe, to, refusal) {
                None => self.breaks(pipe, to, "a forged record"),
                Some(refusal) if self.pipes[pipe].role == Role::Session => {
                    self.feed(node, Event::Said { conn, message: Message::Refuse(refusal) });
                    self.ended(pipe, to, Closed::Gone);
                }
                Some(refusal) => self.ended(pipe, to, Closed::Refused(refusal)),
            },
            Parcel::LaneReady => {
                self.pipes[pipe].ready[to] = true;
                self.lane_maybe_open(pipe, to);
            }
            Parcel::Fin => self.ended(pipe, to, Closed::Gone),
            other => panic!("{other:?} after the handshake"),
        }
    }

    // Endings.

    pub(crate) fn ended(&mut self, pipe: usize, end: usize, how: Closed) {
        let End { node, conn, open, .. } = self.pipes[pipe].ends[end];
        if open {
            self.forget_end(pipe, end);
            self.feed(node, Event::ConnClosed { conn, how });
        }
    }

    pub(crate) fn forget_end(&mut self, pipe: usize, end: usize) {
        let End { node, conn, .. } = self.pipes[pipe].ends[end];
        self.pipes[pipe].ends[end].open = false;
        self.nodes[node].ends.remove(&conn);
        self.lane_ends(pipe);
    }

    /// Ends a connection from one side; the router may hear of that late.
    pub(crate) fn shut(&mut self, node: usize, conn: ConnId, last: Parcel) {
        if self.end_of(node, conn).is_none() {
            self.cancelled.insert((node, conn));
            return;
        }
        self.shut_quietly(node, conn, last);
        if self.rng.below(2) == 0 {
            let late = self.rng.below(50);
            self.done(node, late, Event::ConnClosed { conn, how: Closed::ByUs });
        }
    }

    pub(crate) fn shut_quietly(&mut self, node: usize, conn: ConnId, last: Parcel) {
        let Some((pipe, end)) = self.end_of(node, conn) else { return };
        for (message, bytes) in std::mem::take(&mut self.pipes[pipe].ends[end].outbox) {
            if matches!(last, Parcel::Refused(_)) {
                self.pipes[pipe].ends[end].in_flight_bytes += bytes;
                self.post(pipe, end, Parcel::Message(message, bytes));
            }
        }
        self.pipes[pipe].ends[end].outbox_bytes = 0;
        self.forget_end(pipe, end);
        self.post(pipe, end, last);
    }

    pub(crate) fn close(&mut self, node: usize, conn: ConnId) {
        let Some((pipe, end)) = self.end_of(node, conn) else {
            // Not found: it ended by itself, or its dial is still under way.
            self.cancelled.insert((node, conn));
            return;
        };
        if self.pipes[pipe].ends[end].outbox.is_empty() {
            self.shut(node, conn, Parcel::Fin);
        } else {
            self.pipes[pipe].ends[end].closing = true;
            self.after(500, Happening::Flushed { pipe, end });
        }
    }

    /// Resets every connection of a pair: both ends see it close.
    pub fn reset(&mut self, a: usize, b: usize) {
        let text = format!("reset {} {}", self.nodes[a].name, self.nodes[b].name);
        self.trace.remark(self.now_ms, &text);
        let pipes: Vec<usize> = self.nodes[a].ends.values().map(|(pipe, _)| *pipe).collect();
        for pipe in pipes {
            let [x, y] = &self.pipes[pipe].ends;
            if (x.node, y.node) == (a, b) || (x.node, y.node) == (b, a) {
                self.ended(pipe, 0, Closed::Gone);
                self.ended(pipe, 1, Closed::Gone);
            }
        }
    }

    /// The live link from one node to a member, as a connection of the node.
    pub fn link(&mut self, node: usize, peer: usize) -> Option<ConnId> {
        let id: MemberId = self.id(peer);
        let inspection = self.nodes[node].router.as_mut()?.inspect();
        inspection.links.iter().find(|(member, _)| *member == id).map(|(_, conn)| *conn)
    }
}
