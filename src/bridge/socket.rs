//! One WebSocket, shared by a thread that reads and one that writes.
//!
//! tungstenite does not split a socket, so each thread has its own half over the same stream: both
//! write whole frames under one lock, and only the reading half reads.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, Utf8Bytes, WebSocket};

use super::http;

/// Most bytes of a message or frame from a page: texts are far shorter.
const MESSAGE_BYTES: usize = 1024 * 1024;
/// Bytes read at a time: pages say little.
const READ_BYTES: usize = 4 * 1024;

/// Sends frames, for both threads.
#[derive(Debug)]
pub(super) struct Outlet {
    stream: Arc<TcpStream>,
    turn: Mutex<()>,
    /// How long a page may take for one write.
    patience: Duration,
}

impl Outlet {
    pub(super) fn new(stream: Arc<TcpStream>, patience: Duration) -> Arc<Self> {
        Arc::new(Self { stream, turn: Mutex::new(()), patience })
    }

    /// Sends whole frames; waits for a page that does not read, but not forever.
    pub(super) fn write(&self, frames: &[u8]) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        http::write(&self.stream, frames, self.patience)
    }

    /// Sends one text.
    pub(super) fn send(&self, text: String) -> io::Result<()> {
        let mut frames = Vec::new();
        add_text(&mut frames, text);
        self.write(&frames)
    }

    /// Sends the reason, if possible, and ends the connection.
    pub(super) fn close(&self, code: CloseCode) {
        let frame = CloseFrame { code, reason: Utf8Bytes::default() };
        let mut frames = Vec::new();
        if Frame::close(Some(frame)).format(&mut frames).is_ok() {
            // A page that is gone needs no farewell.
            let _ = self.write(&frames);
        }
        self.cut();
    }

    /// Ends the connection.
    pub(super) fn cut(&self) {
        // A socket that is closed already is fine.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Adds a text after other frames.
pub(super) fn add_text(frames: &mut Vec<u8>, text: String) {
    // Writing to memory cannot fail.
    let _ = Frame::message(text, OpCode::Data(Data::Text), true).format(frames);
}

/// Adds a ping after other frames.
pub(super) fn add_ping(frames: &mut Vec<u8>) {
    let _ = Frame::ping(Vec::new()).format(frames);
}

/// The reading half.
pub(super) struct Inlet {
    socket: WebSocket<Half>,
}

struct Half {
    outlet: Arc<Outlet>,
    /// When all reads end.
    deadline: Option<Instant>,
}

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        http::read(&self.outlet.stream, buffer, self.deadline)
    }
}

impl Write for Half {
    /// tungstenite passes all frames that it has at once.
    fn write(&mut self, frames: &[u8]) -> io::Result<usize> {
        self.outlet.write(frames).map(|()| frames.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Inlet {
    /// Begins with the bytes that came after the request.
    pub(super) fn new(outlet: &Arc<Outlet>, read: Vec<u8>) -> Self {
        let most = MESSAGE_BYTES;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(most)
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        let half = Half { outlet: Arc::clone(outlet), deadline: None };
        Self { socket: WebSocket::from_partially_read(half, read, Role::Server, Some(config)) }
    }

    /// Sets when all reads end.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.socket.get_mut().deadline = Some(deadline);
    }

    /// Sets how long each read may take.
    pub(super) fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        let half = self.socket.get_mut();
        half.deadline = None;
        half.outlet.stream.set_read_timeout(Some(patience))
    }

    /// The next message; pings are answered along the way.
    pub(super) fn next(&mut self) -> Result<Message, Box<tungstenite::Error>> {
        Ok(self.socket.read()?)
    }
}
