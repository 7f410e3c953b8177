//! A member that claims to hold a file, answers every request for it, and has nothing.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use klatch::crypto::binding::Role;
use klatch::crypto::noise::RECORD_MAX_PLAIN_BYTES;
use klatch::net::lane::{Header, Request, Status};
use klatch::router::ids::{FileId, RoomId};
use klatch::router::message::{Held, Message};
use klatch::wire::opening::Opening;

use super::eve::{Eve, Wire};

/// How long she stays: even a download that hangs on her ends after that.
const STAY: Duration = Duration::from_secs(60);

/// Joins `member`'s room and claims the whole of `file` there, for a minute.
pub(crate) fn lie(member: SocketAddr, file: FileId) -> Result<()> {
    let ear = TcpListener::bind("127.0.0.1:0").context("listening for lanes")?;
    let eve = Eve::new();
    let mut session = eve.join_with(member, None, vec![ear.local_addr()?]);
    session.say(&Message::Hosting { file, held: Held::All, fetching: false });
    session.settle();
    let room = session.room;
    std::thread::spawn(move || while session.hear(STAY).is_some() {});
    let eve = Arc::new(eve);
    std::thread::spawn(move || {
        loop {
            let wire = Eve::answer(&ear);
            let eve = Arc::clone(&eve);
            std::thread::spawn(move || answer(wire, &eve, &room));
        }
    });
    Ok(())
}

/// Accepts a lane as a member does, and refuses every request.
fn answer(mut wire: Wire, eve: &Eve, room: &RoomId) {
    if wire.binding.role == Role::Session {
        return;
    }
    wire.greet(eve.hello_of_member(), room);
    if wire.recognise(eve, &[]).is_err() {
        return;
    }
    wire.say(&Opening::Ready);
    let _ = wire.hear();
    while let Ok(asked) = wire.channel.recv(RECORD_MAX_PLAIN_BYTES) {
        let Some(request) = Request::from_bytes(asked) else { return };
        wire.raw(&Header::of(&request, 0, Status::NotHeld, 0).to_bytes());
    }
}
