//! A byte stream to a peer: the seam between channels and transports.
//!
//! A channel needs no more of its transport than this, so TCP, a relay and a connection inside one
//! process look the same to it.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::sys::sockets;

/// A blocking stream that two threads use at once, one for each direction.
pub trait Stream: Debug + Send + Sync {
    /// Reads what is there, at least one byte; 0 when nothing more will come.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`] after the read timeout, or the
    /// system's error.
    fn read(&self, room: &mut [u8]) -> io::Result<usize>;

    /// Waits as [`Stream::read`] does, without taking anything.
    ///
    /// # Errors
    /// As [`Stream::read`].
    fn wait(&self) -> io::Result<usize>;

    /// Writes some of `bytes`, at least one; 0 when the stream no longer takes any.
    ///
    /// # Errors
    /// As [`Stream::read`], after the write timeout.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Ends one direction or both, for both ends, and wakes threads that wait on it.
    ///
    /// # Errors
    /// The system's error, for instance because the stream is gone.
    fn shut(&self, how: Shutdown) -> io::Result<()>;

    /// How long a read may block.
    ///
    /// # Errors
    /// As [`Stream::shut`].
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// How long a write may block.
    ///
    /// # Errors
    /// As [`Stream::shut`].
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Limits the written but unsent bytes to little more than `bytes`, if possible.
    fn bound_unsent(&self, bytes: u32);
}

impl Stream for TcpStream {
    fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut &*self, room)
    }

    fn wait(&self) -> io::Result<usize> {
        self.peek(&mut [0])
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, bytes)
    }

    fn shut(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        Self::set_read_timeout(self, Some(timeout))
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        Self::set_write_timeout(self, Some(timeout))
    }

    fn bound_unsent(&self, bytes: u32) {
        sockets::bound_unsent(self, bytes);
    }
}
