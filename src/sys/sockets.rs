//! Socket options that not every system has, or that mean something else on some.

use std::io;
use std::net::TcpStream;

use socket2::Socket;

/// Lets a listener take a port whose old connections still linger. On Windows they are no
/// hindrance, and the option would take a port away from another program: nothing is done there.
///
/// # Errors
/// What the system says.
pub fn take_lingering_port(socket: &Socket) -> io::Result<()> {
    if cfg!(unix) { socket.set_reuse_address(true) } else { Ok(()) }
}

/// Has the system keep at most `bytes` bytes that it cannot send yet (`TCP_NOTSENT_LOWAT`). Only
/// Linux is asked; elsewhere it keeps what its buffer takes.
pub fn bound_unsent(stream: &TcpStream, bytes: u32) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // Where it cannot be done it is as on other systems.
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(bytes);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, bytes);
}
