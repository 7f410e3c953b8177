//! The relay of all tests and benchmarks: it stands before a peer, and may alter bytes that pass.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use socket2::{Domain, Socket, Type};

/// Listens on a free port and passes every connection on to `target`, which sees it come from
/// `source` (if specified, an address of 127.0.0.0/8). `carry` moves the bytes of one direction
/// from one end to the other, on a thread of its own; it is told the number of the connection and
/// the side that the bytes come from (0 for the dialer, 1 for `target`). The relay runs until the
/// program ends.
pub(crate) fn relay(
    source: Ipv4Addr,
    target: SocketAddr,
    carry: impl Fn((usize, usize), &TcpStream, &TcpStream) + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let carry = Arc::new(carry);
    std::thread::spawn(move || {
        for (number, near) in listener.incoming().map_while(Result::ok).enumerate() {
            // A connection that cannot be passed on ends.
            let Ok(far) = dial(source, target) else { continue };
            let ends = Arc::new([near, far]);
            for side in [0, 1] {
                let (ends, carry) = (Arc::clone(&ends), Arc::clone(&carry));
                std::thread::spawn(move || {
                    let (from, into) = (&ends[side], &ends[1 - side]);
                    // A socket that is closed already needs neither option nor shutdown.
                    let _ = into.set_nodelay(true);
                    carry((number, side), from, into);
                    let _ = into.shutdown(Shutdown::Write);
                });
            }
        }
    });
    Ok(addr)
}

fn dial(source: Ipv4Addr, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source.into(), 0).into())?;
    socket.connect(&target.into())?;
    Ok(socket.into())
}
