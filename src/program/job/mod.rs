//! Jobs: `klatch send`, `get` and `say` that a running klatch with the same data directory carries
//! out, in its room and under its name.
//!
//! The running klatch listens on a socket in its data directory ([`listener`]) that only its owner
//! can reach. The client sends one request ([`JobRequest`]); then bytes for stdout and stderr come
//! back, and finally the exit code ([`frames`]). The one-shot itself runs in the running klatch
//! ([`work`]), as a separate face and with the same code as any one-shot; the client process passes
//! on bytes and signals ([`client`]).
//!
//! - Everything that comes over the socket is bounded in length and time, and checked before use.
//! - Stdin is sent piece by piece, on request: nobody can flood the running klatch, and it notices
//!   at once when the client is gone.
//! - If the client is gone, its job ends: its offers are withdrawn and its downloads stop.
//! - A client that reads nothing holds up only its own threads; when klatch ends, its stream is
//!   shut.

mod client;
mod frames;
mod listener;
mod server;
mod work;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::config::OneShot;
use crate::ui::notice::Style;

pub(super) use client::hand_over;
pub(super) use listener::JobListener;
pub(super) use server::Jobs;

/// The version of requests and frames; another one is refused in words.
const VERSION: u32 = 1;

/// What is to be done, and how its result is to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct JobRequest {
    version: u32,
    one_shot: OneShot,
    /// After it is done: go on serving until a signal comes.
    stay: bool,
    /// Where paths begin that are not whole.
    folder: OsString,
    save: Save,
    /// Only if the present room is all of these.
    places: Vec<RoomPlace>,
    /// Only in the room whose id begins so.
    room: Option<String>,
    look: Look,
    /// How many earlier messages are wanted; `None`: none.
    backlog: Option<usize>,
    /// What people are to know from the start.
    remark: Option<String>,
}

/// For [`super::foreign`]: a frame, and the byte of its kind.
pub(super) fn frame(bytes: &mut &[u8]) -> io::Result<Option<(u8, Vec<u8>)>> {
    Ok(frames::read(bytes)?.map(|(kind, body)| (kind.byte(), body)))
}

/// For [`super::foreign`]: a request, read and written again.
pub(super) fn request(json: &[u8]) -> Option<String> {
    work::parse_request(json).ok().and_then(|request| serde_json::to_string(&request).ok())
}

/// Where downloads go; see [`super::one_shot::SaveTarget`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Save {
    Folder(OsString),
    File(OsString, String),
    Stdout,
}

/// Where a room was said to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum RoomPlace {
    /// At these addresses, all of one name; only in a closed room if so wanted.
    Addresses { addresses: Vec<SocketAddr>, closed: bool },
    /// Where an invitation leads: names room and maker.
    Invited([u8; 8]),
}

/// How the output looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    json: bool,
    color: bool,
    color_errors: bool,
    timestamps: bool,
    verbose: bool,
    /// Columns of the terminal on which what moves is shown, if there is one.
    columns: Option<u16>,
}

impl Look {
    fn style(self) -> Style {
        let Self { color, color_errors, timestamps, verbose, .. } = self;
        // Times are in the zone of the system, whichever that is then.
        let offset = if timestamps { None } else { Style::plain().offset };
        Style { color, color_errors, timestamps, verbose, offset, ..Style::plain() }
    }
}
