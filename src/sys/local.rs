//! Local sockets: how one user's programs on one computer talk to each other.
//!
//! Unix has them; the standard library has none on Windows, so there nothing listens and no
//! connection succeeds.

pub use system::{ARE_THERE, LONG_PATHS, LocalListener, Stream, connect, pair};

#[cfg(unix)]
mod system {
    use std::fs::{self, File, Permissions};
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};

    use rustix::event::{PollFd, PollFlags, poll};
    use socket2::{Domain, SockAddr, Socket, Type};

    /// One end of a connection.
    pub use std::os::unix::net::UnixStream as Stream;

    /// Whether this system has a [`LocalListener`] at all.
    pub const ARE_THERE: bool = true;
    /// Whether a folder's path may be longer than fits into an address, about 100 bytes.
    pub const LONG_PATHS: bool = cfg!(target_os = "linux");

    /// A path of this length fits into an address everywhere (`sun_path`: macOS has 104 bytes).
    const PATH_MAX_BYTES: usize = 103;
    /// Connections that may wait to be accepted.
    const BACKLOG: i32 = 16;

    /// A listening socket. Its name remains when this is dropped.
    #[derive(Debug)]
    pub struct LocalListener(UnixListener);

    impl LocalListener {
        /// Listens under `name` in `dir`, for the owner only (mode 0600) before anybody can
        /// connect. The name must be free.
        ///
        /// # Errors
        /// When the system cannot create a socket there, for instance because the path is too long.
        pub fn bind(dir: &Path, name: &str) -> io::Result<Self> {
            let path = dir.join(name);
            let place = Reachable::of(dir, name)?;
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(&place.path)?)?;
            let listener = || {
                // Nobody can connect before it listens.
                fs::set_permissions(&path, Permissions::from_mode(0o600))?;
                socket.listen(BACKLOG)?;
                socket.try_clone()
            };
            match listener() {
                Ok(listener) => {
                    listener.set_nonblocking(true)?;
                    Ok(Self(UnixListener::from(OwnedFd::from(listener))))
                }
                Err(error) => {
                    // Nobody needs a socket that cannot be reached.
                    let _ = fs::remove_file(&path);
                    Err(error)
                }
            }
        }

        /// Waits until somebody connects, or the other end of `woken` sends something or hangs up.
        ///
        /// # Errors
        /// The system's error, also if a signal came.
        pub fn wait(&self, woken: &Stream) -> io::Result<()> {
            let mut both = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(woken, PollFlags::IN)];
            poll(&mut both, None)?;
            Ok(())
        }

        /// The next connection; never waits for it.
        ///
        /// # Errors
        /// `WouldBlock` if there is none; the system's error.
        pub fn accept(&self) -> io::Result<Stream> {
            self.0.accept().map(|(stream, _)| stream)
        }
    }

    /// Connects to the listener under `name` in `dir`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(dir: &Path, name: &str) -> io::Result<Stream> {
        Stream::connect(Reachable::of(dir, name)?.path)
    }

    /// Two ends that are connected to each other.
    ///
    /// # Errors
    /// The system's error.
    pub fn pair() -> io::Result<(Stream, Stream)> {
        Stream::pair()
    }

    /// A path that fits into an address.
    struct Reachable {
        path: PathBuf,
        /// The folder through which the path leads.
        _dir: Option<File>,
    }

    impl Reachable {
        fn of(dir: &Path, name: &str) -> io::Result<Self> {
            let path = dir.join(name);
            if path.as_os_str().len() <= PATH_MAX_BYTES {
                return Ok(Self { path, _dir: None });
            }
            let opened = File::open(dir)?;
            let path = format!("/proc/self/fd/{}/{name}", opened.as_raw_fd()).into();
            Ok(Self { path, _dir: Some(opened) })
        }
    }
}

#[cfg(windows)]
mod system {
    use std::io;
    use std::net::{Ipv4Addr, TcpListener};
    use std::path::Path;

    /// One end of a connection.
    pub use std::net::TcpStream as Stream;

    /// Whether this system has a [`LocalListener`] at all.
    pub const ARE_THERE: bool = false;
    /// Whether a folder's path may be longer than fits into an address, about 100 bytes.
    pub const LONG_PATHS: bool = false;

    /// A listening socket, which does not exist here.
    #[derive(Debug)]
    pub struct LocalListener(());

    impl LocalListener {
        /// Listens nowhere.
        ///
        /// # Errors
        /// `Unsupported`, always.
        pub fn bind(_dir: &Path, _name: &str) -> io::Result<Self> {
            let text = "this system has no local sockets";
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }

        /// Waits until somebody connects, or the other end of `woken` sends something or hangs up.
        ///
        /// # Errors
        /// `Unsupported`, always.
        pub fn wait(&self, _woken: &Stream) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// The next connection.
        ///
        /// # Errors
        /// `Unsupported`, always.
        pub fn accept(&self) -> io::Result<Stream> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// Connects to nobody.
    ///
    /// # Errors
    /// `Unsupported`, always.
    pub fn connect(_dir: &Path, _name: &str) -> io::Result<Stream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Two ends that are connected to each other, over the loopback interface.
    ///
    /// # Errors
    /// The system's error; `ConnectionRefused` if another program came in between.
    pub fn pair() -> io::Result<(Stream, Stream)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let one = Stream::connect(listener.local_addr()?)?;
        let (other, from) = listener.accept()?;
        if from != one.local_addr()? {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok((one, other))
    }
}
