//! Frames: one byte for the kind, four for the length, then that many bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sys::local::Stream;

/// Most bytes of stdin, stdout or stderr in one frame.
pub(super) const BYTES_MAX: usize = 64 * 1024;
/// A request may name as many paths as fit on a command line: each of their bytes takes up to four.
const REQUEST_MAX: usize = 8 * 1024 * 1024;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $byte:literal, $max:expr;)*) => {
        /// The kind of a frame.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum FrameKind { $($(#[$doc])* $kind),* }

        impl FrameKind {
            fn of(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$kind),)* _ => None }
            }

            pub(super) fn byte(self) -> u8 {
                match self { $(Self::$kind => $byte),* }
            }

            /// Most bytes of its content.
            fn max(self) -> usize {
                match self { $(Self::$kind => $max),* }
            }
        }
    };
}

kinds! {
    /// From the client, first: [`super::JobRequest`] in JSON.
    Request = b'r', REQUEST_MAX;
    /// From the client: the next bytes of stdin, one or more.
    Input = b'i', BYTES_MAX;
    /// From the client: stdin has ended.
    EndOfInput = b'e', 0;
    /// From the client: a signal came whose exit code this is.
    Leave = b'l', 1;
    /// From klatch, first: it accepts the job.
    Accepted = b'a', 0;
    /// From klatch, first and last: it is in another room.
    Elsewhere = b'n', 0;
    /// From klatch, first and last: a failure's code and, after a line feed, its text.
    Refused = b'f', BYTES_MAX;
    /// From klatch: bytes for stdout.
    Out = b'o', BYTES_MAX;
    /// From klatch: bytes for stderr.
    Err = b'x', BYTES_MAX;
    /// From klatch: it wants the next bytes of stdin.
    Wanted = b'w', 0;
    /// From klatch, last: the exit code.
    Exit = b'c', 1;
}

/// The next frame; `None` at the end of the stream.
///
/// # Errors
/// `InvalidData` if it is not a frame; the stream's error.
pub(super) fn read(stream: &mut impl Read) -> io::Result<Option<(FrameKind, Vec<u8>)>> {
    let mut head = [0; 5];
    loop {
        match stream.read(head.get_mut(..1).unwrap_or_default()) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let [kind, length @ ..] = &mut head;
    let kind = FrameKind::of(*kind).ok_or(ErrorKind::InvalidData)?;
    stream.read_exact(length)?;
    let length = u32::from_be_bytes(*length);
    if usize::try_from(length).is_ok_and(|length| length > kind.max()) {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut body = Vec::new();
    // It grows with what comes, not with what was announced.
    stream.take(length.into()).read_to_end(&mut body)?;
    if body.len() as u64 != u64::from(length) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind, body)))
}

/// The writing half of a stream; clones take turns, with a whole frame each.
#[derive(Debug, Clone)]
pub(super) struct Writer(Arc<Mutex<Stream>>);

impl Writer {
    pub(super) fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// `InvalidInput` if it is too long; the stream's error.
    pub(super) fn send(&self, kind: FrameKind, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= kind.max());
        let length = length.ok_or(ErrorKind::InvalidInput)?.to_be_bytes();
        let frame = [&[kind.byte()], &length[..], body].concat();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame)
    }

    /// A stream that sends its bytes in frames of this kind.
    pub(super) fn stream(&self, kind: FrameKind) -> Box<dyn Write + Send> {
        Box::new(Base64Bytes { writer: self.clone(), kind })
    }
}

struct Base64Bytes {
    writer: Writer,
    kind: FrameKind,
}

impl Write for Base64Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = bytes.get(..bytes.len().min(BYTES_MAX)).unwrap_or_default();
        self.writer.send(self.kind, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader with a deadline.
pub(super) struct Until<'a> {
    pub(super) stream: &'a Stream,
    pub(super) deadline: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // A zero timeout would mean forever.
        self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut stream = self.stream;
        let read = stream.read(bytes);
        self.stream.set_read_timeout(None)?;
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::local;

    #[test]
    fn frames_are_read_as_they_were_sent() {
        let (one, mut other) = local::pair().unwrap();
        let writer = Writer::new(one);
        writer.send(FrameKind::Exit, &[7]).unwrap();
        writer.stream(FrameKind::Out).write_all(b"hello").unwrap();
        assert!(writer.send(FrameKind::Wanted, b"more").is_err());
        drop(writer);
        assert_eq!(read(&mut other).unwrap(), Some((FrameKind::Exit, vec![7])));
        assert_eq!(read(&mut other).unwrap(), Some((FrameKind::Out, b"hello".to_vec())));
        assert_eq!(read(&mut other).unwrap(), None);
    }

    #[test]
    fn what_is_no_frame_is_an_error_before_it_takes_room() {
        for (bytes, kind) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], ErrorKind::InvalidData),
            (b"r\xff\xff\xff\xff", ErrorKind::InvalidData),
            (b"w\0\0\0\x01x", ErrorKind::InvalidData),
            (b"r\0\0\0\x05{", ErrorKind::UnexpectedEof),
            (b"r\0", ErrorKind::UnexpectedEof),
        ] {
            assert_eq!(read(&mut &*bytes).unwrap_err().kind(), kind, "{bytes:?}");
        }
    }

    #[test]
    fn whoever_says_nothing_is_not_waited_for_for_ever() {
        let (_one, other) = local::pair().unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        let error = read(&mut Until { stream: &other, deadline }).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    }
}
