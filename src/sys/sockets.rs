//! Socket options that some systems lack, or that mean something else on some.

use std::io;
use std::net::TcpStream;

use socket2::Socket;

/// Lets a listener take a port whose old connections still linger. Does nothing on Windows, where
/// they do not matter, and where this option would take the port away from another program.
///
/// # Errors
/// The system's error.
pub fn take_lingering_port(socket: &Socket) -> io::Result<()> {
    if cfg!(unix) { socket.set_reuse_address(true) } else { Ok(()) }
}

/// Lets the system keep at most `bytes` bytes that it cannot send yet (`TCP_NOTSENT_LOWAT`). Only
/// on Linux; other systems keep what their buffers hold.
pub fn bound_unsent(stream: &TcpStream, bytes: u32) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // If this fails, it works as on other systems.
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(bytes);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, bytes);
}
