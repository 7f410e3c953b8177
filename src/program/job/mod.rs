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

/// The version of requests and frames; any other is refused, with the reason.
const VERSION: u32 = 1;

/// What to do, and how the result should look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct JobRequest {
    version: u32,
    one_shot: OneShot,
    /// Go on serving after that, until a signal comes.
    stay: bool,
    /// Where relative paths begin.
    folder: OsString,
    save: Save,
    /// Do it only if the present room is all of these.
    places: Vec<RoomPlace>,
    /// Do it only in the room whose id begins so.
    room: Option<String>,
    look: Look,
    /// How many earlier messages are wanted; `None`: none.
    backlog: Option<usize>,
    /// What people should know from the start.
    remark: Option<String>,
}

/// For [`super::foreign`]: a frame, with its kind as a byte.
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
    Existing(OsString),
    File(OsString, String),
    Stdout,
}

/// How a room was named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum RoomPlace {
    /// By these addresses, all of one name; if `closed`, only a closed room counts.
    Addresses { addresses: Vec<SocketAddr>, closed: bool },
    /// By an invitation, with this hash of room and maker.
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
    /// Columns of the terminal for the progress line, if there is one.
    columns: Option<u16>,
}

impl Look {
    fn style(self) -> Style {
        let Self { color, color_errors, timestamps, verbose, .. } = self;
        // Times are in the system's time zone when they are shown.
        let offset = if timestamps { None } else { Style::plain().offset };
        Style { color, color_errors, timestamps, verbose, offset, ..Style::plain() }
    }
}
