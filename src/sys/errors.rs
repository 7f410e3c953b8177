//! The meaning of a system's error numbers.
//!
//! [`std::io::ErrorKind`] names many of them; the questions that it leaves open are answered here.

use std::io;

#[cfg(unix)]
pub use rustix::io::Errno;
#[cfg(windows)]
pub use windows::Errno;

/// Whether a disk may mean that it does not support a way of naming files: another way may work.
#[must_use]
pub fn is_unknown_way(error: &io::Error) -> bool {
    let unknown = [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::PERM, Errno::MLINK];
    is_one_of(error, &unknown) || error.kind() == io::ErrorKind::Unsupported
}

/// Whether it is about a file's name: another name may work.
#[must_use]
pub fn is_about_the_name(error: &io::Error) -> bool {
    is_one_of(error, &[Errno::NAMETOOLONG, Errno::ILSEQ, Errno::INVAL])
}

/// Whether the system is short of memory or file handles: that may pass.
#[must_use]
pub fn is_scarcity(error: &io::Error) -> bool {
    is_one_of(error, &[Errno::MFILE, Errno::NFILE, Errno::NOMEM])
}

/// Whether a disk, or the network to it, may report this today and not tomorrow. Any other error is
/// permanent.
#[must_use]
pub fn is_transient(error: &io::Error) -> bool {
    if Errno::from_io_error(error).is_none() {
        return matches!(error.kind(), io::ErrorKind::WriteZero | io::ErrorKind::Interrupted);
    }
    let of_the_disk = [Errno::IO, Errno::BUSY, Errno::STALE, Errno::NXIO, Errno::NODEV];
    let of_the_system = [Errno::AGAIN, Errno::NOLCK, Errno::NOBUFS];
    let of_the_network = [
        Errno::TIMEDOUT,
        Errno::NOTCONN,
        Errno::CONNREFUSED,
        Errno::CONNRESET,
        Errno::CONNABORTED,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::PIPE,
    ];
    is_scarcity(error)
        || is_one_of(error, &of_the_disk)
        || is_one_of(error, &of_the_system)
        || is_one_of(error, &of_the_network)
}

/// Whether a non-blocking socket reports that it has begun to connect.
#[must_use]
pub fn is_connecting(error: &io::Error) -> bool {
    is_one_of(error, &[Errno::INPROGRESS]) || error.kind() == io::ErrorKind::WouldBlock
}

fn is_one_of(error: &io::Error, these: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| these.contains(&errno))
}

/// The numbers of Windows under their POSIX names, where both mean the same to klatch.
#[cfg(windows)]
mod windows {
    use std::io;

    /// An error in Windows' terms: a number from `winerror.h`, or one of Winsock's.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Errno(i32);

    #[allow(missing_docs)] // POSIX has them; beside each is its name in Windows.
    impl Errno {
        pub const ACCESS: Self = Self(5); // ERROR_ACCESS_DENIED
        pub const ADDRNOTAVAIL: Self = Self(10_049); // WSAEADDRNOTAVAIL
        pub const AGAIN: Self = Self(10_035); // WSAEWOULDBLOCK
        pub const BUSY: Self = Self(170); // ERROR_BUSY
        pub const CONNABORTED: Self = Self(1_236); // ERROR_CONNECTION_ABORTED
        pub const CONNREFUSED: Self = Self(1_225); // ERROR_CONNECTION_REFUSED
        pub const CONNRESET: Self = Self(64); // ERROR_NETNAME_DELETED
        pub const DQUOT: Self = Self(1_295); // ERROR_DISK_QUOTA_EXCEEDED
        pub const FBIG: Self = Self(223); // ERROR_FILE_TOO_LARGE
        pub const HOSTDOWN: Self = Self(1_256); // ERROR_HOST_DOWN
        pub const HOSTUNREACH: Self = Self(10_065); // WSAEHOSTUNREACH
        pub const ILSEQ: Self = Self(123); // ERROR_INVALID_NAME
        pub const INPROGRESS: Self = Self(10_036); // WSAEINPROGRESS
        pub const INTR: Self = Self(10_004); // WSAEINTR
        pub const INVAL: Self = Self(87); // ERROR_INVALID_PARAMETER
        pub const IO: Self = Self(1_117); // ERROR_IO_DEVICE
        pub const MFILE: Self = Self(4); // ERROR_TOO_MANY_OPEN_FILES
        pub const MLINK: Self = Self(1_142); // ERROR_TOO_MANY_LINKS
        pub const NAMETOOLONG: Self = Self(206); // ERROR_FILENAME_EXCED_RANGE
        pub const NETDOWN: Self = Self(10_050); // WSAENETDOWN
        pub const NETUNREACH: Self = Self(10_051); // WSAENETUNREACH
        pub const NFILE: Self = Self(1_450); // ERROR_NO_SYSTEM_RESOURCES
        pub const NOBUFS: Self = Self(1_451); // ERROR_NONPAGED_SYSTEM_RESOURCES
        pub const NODEV: Self = Self(55); // ERROR_DEV_NOT_EXIST
        pub const NOLCK: Self = Self(33); // ERROR_LOCK_VIOLATION
        pub const NOMEM: Self = Self(8); // ERROR_NOT_ENOUGH_MEMORY
        pub const NOSPC: Self = Self(112); // ERROR_DISK_FULL
        pub const NOSYS: Self = Self(120); // ERROR_CALL_NOT_IMPLEMENTED
        pub const NOTCONN: Self = Self(2_250); // ERROR_NOT_CONNECTED
        pub const NOTSUP: Self = Self(50); // ERROR_NOT_SUPPORTED
        pub const NXIO: Self = Self(21); // ERROR_NOT_READY
        pub const PERM: Self = Self(1); // ERROR_INVALID_FUNCTION, FAT's answer for hard links
        pub const PIPE: Self = Self(109); // ERROR_BROKEN_PIPE
        pub const ROFS: Self = Self(19); // ERROR_WRITE_PROTECT
        pub const STALE: Self = Self(59); // ERROR_UNEXP_NET_ERR
        pub const TIMEDOUT: Self = Self(121); // ERROR_SEM_TIMEOUT

        /// The number from the system; `None` for errors from elsewhere.
        #[must_use]
        pub fn from_io_error(error: &io::Error) -> Option<Self> {
            error.raw_os_error().map(Self)
        }

        /// The number.
        #[must_use]
        pub const fn raw_os_error(self) -> i32 {
            self.0
        }
    }

    impl From<Errno> for io::Error {
        fn from(errno: Errno) -> Self {
            Self::from_raw_os_error(errno.0)
        }
    }
}
