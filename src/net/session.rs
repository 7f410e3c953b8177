//! A session: the connection's thread reads, one scoped thread writes.
//!
//! The reader decodes and verifies, and waits when the peer sends too much ([`super::pace`]) or the
//! router is busy, which the peer feels as back-pressure. Entries that are pushed faster than the
//! router takes them are dropped before they are verified. The writer takes orders in batches, so
//! that a burst needs few system calls. While idle, neither holds a buffer.
//!
//! An idle session keeps every page of both stacks that was ever touched. So functions for rare
//! work are not inlined, and the two loops do not copy large values.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::Net;
use super::channel::{Channel, RecvError, RecvHalf, SendError, SendHalf};
use super::conn::Connection;
use super::handshake::Admitted;
use super::outbox::{ConnOrder, Queued};
use crate::router::event::{Closed, Event};
use crate::router::ids::MemberId;
use crate::router::message::{Message, Refusal, Why};
use crate::thread::{STACK_SMALL_BYTES, spawn_scoped};
use crate::wire::message::{ReadMessage, encode};

/// How long the last messages may take.
pub const FAREWELL: Duration = Duration::from_millis(500);
/// Sealed bytes that are collected for one write.
const WRITE_BYTES: usize = 64 * 1024;
/// Space for most messages before they are sealed, so that encoding them allocates nothing.
const PLAIN_BYTES: usize = 1024;

/// Runs the session until it ends; the reason is recorded in `conn`.
pub(super) fn run(net: &Net, conn: &Connection, channel: Channel, with: Admitted) {
    // The router pings and gives up long before this; it is for a router that does not.
    let silence = Duration::from_millis(2 * net.limits.dead_after_ms);
    let stuck = Duration::from_millis(net.limits.stuck_link_ms);
    if channel.set_timeouts(silence, stuck).is_err() {
        return conn.note(Closed::Gone);
    }
    let from = channel.remote().ip();
    let (sender, receiver) = channel.split();
    std::thread::scope(|scope| {
        let (alive, done) = bounded::<()>(0);
        let writer = spawn_scoped(scope, "writer", STACK_SMALL_BYTES, move || {
            let _alive = alive;
            let _guard = ShutOnPanic(conn);
            write(net, conn, sender, (with.member, from));
        });
        match writer {
            Ok(writer) => {
                let end = read(net, conn, receiver, (with, from));
                leave(conn, end, &done);
                // Its panic was logged already, and the guard closed the connection.
                let _ = writer.join();
            }
            Err(error) => no_writer(conn, &error),
        }
    });
}

#[cold]
#[inline(never)]
fn no_writer(conn: &Connection, error: &io::Error) {
    tracing::warn!(%error, "no thread could be started for a session");
    conn.note(Closed::ByUs);
}

/// How reading ended.
enum ReadEnd {
    /// There is nobody to tell.
    Gone(Closed),
    /// The peer is told why, if it still reads; without a reason, queued messages are still sent.
    Tell(Closed, Option<Refusal>),
}

fn read(
    net: &Net,
    conn: &Connection,
    mut receiver: RecvHalf,
    (with, from): (Admitted, IpAddr),
) -> ReadEnd {
    receiver.set_lean(true);
    loop {
        let plain = match receiver.recv(net.limits.message_max_bytes) {
            Ok(plain) => plain,
            Err(RecvError::Closed) => return ReadEnd::Gone(Closed::Gone),
            Err(RecvError::TimedOut) => return ReadEnd::Gone(Closed::Silent),
            Err(error) => return broken(error.to_string()),
        };
        if conn.outbox.is_ending() {
            // The peer said this before it learned that we leave.
            continue;
        }
        let read = match ReadMessage::of(plain) {
            Ok(read) => read,
            Err(error) => return broken(error.to_string()),
        };
        if let Some(author) = read.claimed_author()
            && let Err(wait) = net.pace.push((with.member, from), &author, Instant::now())
        {
            // Repair brings it.
            conn.pause(wait);
            continue;
        }
        match read.verify(&with.room, &net.limits) {
            Ok(message) => {
                let wait = net.pace.hear((with.member, from), message.as_ref(), Instant::now());
                if !wait.is_zero() {
                    conn.pause(wait);
                }
                let Some(message) = message else { continue };
                if net.inbox.send(Event::Said { conn: conn.id, message }).is_err() {
                    return ReadEnd::Tell(Closed::ByUs, None);
                }
            }
            Err(error) => return broken(error.to_string()),
        }
    }
}

#[cold]
fn broken(what: String) -> ReadEnd {
    ReadEnd::Tell(Closed::Protocol(what), Some(Refusal::of(Why::Protocol)))
}

/// Ends the writer: at once if there is nobody to write to, otherwise after the last messages.
#[inline(never)]
fn leave(conn: &Connection, end: ReadEnd, done: &Receiver<()>) {
    match end {
        ReadEnd::Gone(cause) => {
            conn.note(cause);
            conn.outbox.end();
        }
        ReadEnd::Tell(cause, refusal) => {
            conn.note(cause);
            let last = refusal.map_or(ConnOrder::Close, ConnOrder::Refuse);
            if conn.outbox.push(last) != Queued::Full {
                // When done, the writer drops its end: the error is expected.
                let _ = done.recv_timeout(FAREWELL);
            }
        }
    }
    conn.outbox.end();
    conn.shut();
}

fn write(net: &Net, conn: &Connection, mut sender: SendHalf, peer: (MemberId, IpAddr)) {
    let mut batch = Vec::new();
    while conn.outbox.take(&mut batch).is_ok() {
        match write_batch(net, &mut batch, &mut sender, peer) {
            Ok(false) => {}
            Ok(true) => {
                conn.note(Closed::ByUs);
                return sender.finish();
            }
            Err(error) => {
                let stuck = error == SendError::Stuck;
                conn.note(if stuck { Closed::Silent } else { Closed::Gone });
                return conn.shut();
            }
        }
        if conn.outbox.written() {
            drained(net, conn);
        }
        if conn.outbox.is_empty() {
            batch = Vec::new();
            sender.release();
        }
    }
}

#[inline(never)]
fn drained(net: &Net, conn: &Connection) {
    // Without a router there is nobody to tell; the outbox ends the writer.
    let _ = net.inbox.send(Event::Drained { conn: conn.id });
}

/// Writes a batch of orders; returns whether the last one was among them.
fn write_batch(
    net: &Net,
    batch: &mut Vec<ConnOrder>,
    sender: &mut SendHalf,
    peer: (MemberId, IpAddr),
) -> Result<bool, SendError> {
    let mut plain = Vec::with_capacity(PLAIN_BYTES);
    for order in batch.drain(..) {
        // By reference: a copy of a message on the stack would cost every idle link its size.
        match &order {
            ConnOrder::Send(message) => {
                if matches!(message, Message::Ask { .. }) {
                    net.pace.ask(peer);
                }
                queue(net, message, &mut plain, sender)?;
            }
            ConnOrder::Refuse(refusal) => refuse(net, refusal, &mut plain, sender)?,
            ConnOrder::Close => {}
            // Steps of a handshake, which is over.
            ConnOrder::SendHello { .. }
            | ConnOrder::Proceed(_)
            | ConnOrder::Judged { .. }
            | ConnOrder::StartLane { .. } => continue,
        }
        let last = order.is_last();
        if last || sender.queued_bytes() >= WRITE_BYTES {
            sender.flush()?;
        }
        if last {
            return Ok(true);
        }
    }
    sender.flush()?;
    Ok(false)
}

fn queue(
    net: &Net,
    message: &Message,
    plain: &mut Vec<u8>,
    sender: &mut SendHalf,
) -> Result<(), SendError> {
    plain.clear();
    match encode(message, &net.limits, plain) {
        Ok(()) => sender.queue(plain)?,
        // The router composes shorter ones; repair makes up for a lost one.
        Err(error) => tracing::error!(%error, "a message was not sent"),
    }
    Ok(())
}

#[cold]
fn refuse(
    net: &Net,
    refusal: &Refusal,
    plain: &mut Vec<u8>,
    sender: &mut SendHalf,
) -> Result<(), SendError> {
    queue(net, &Message::Refuse(refusal.clone()), plain, sender)
}

/// A writer that panics must not leave its reader waiting.
struct ShutOnPanic<'a>(&'a Connection);

impl Drop for ShutOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            writer_panicked(self.0);
        }
    }
}

#[cold]
#[inline(never)]
fn writer_panicked(conn: &Connection) {
    tracing::error!("a session's writer panicked; the session is closed");
    conn.shut();
}
