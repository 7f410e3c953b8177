//! Faults that tests inject, as far as this system has them.
//!
//! Where [`POSIX`] is false the functions panic: tests of such faults check it first.

use std::any::Any;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;

use portable_pty::MasterPty;

/// Whether files have modes here, and links, pipes, sockets and terminals can be made.
pub(crate) const POSIX: bool = cfg!(unix);

/// Makes a symbolic link to `original`.
pub(crate) fn link(original: &Path, link: &Path) {
    #[cfg(unix)]
    std::os::unix::fs::symlink(original, link).unwrap();
    #[cfg(windows)]
    panic!("no link {link:?} to {original:?}");
}

/// Makes a named pipe.
pub(crate) fn pipe(path: &Path) {
    #[cfg(unix)]
    rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o600.into()).unwrap();
    #[cfg(windows)]
    panic!("no pipe {path:?}");
}

/// Makes a named local socket, which lives as long as what this returns.
pub(crate) fn socket(path: &Path) -> Box<dyn Any> {
    #[cfg(unix)]
    return Box::new(std::os::unix::net::UnixListener::bind(path).unwrap());
    #[cfg(windows)]
    panic!("no socket {path:?}");
}

/// The mode of a file, in octal digits.
pub(crate) fn mode(path: &Path) -> u32 {
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions())
        & 0o777;
    #[cfg(windows)]
    panic!("no mode of {path:?}");
}

/// Closes a folder to all but its owner.
pub(crate) fn close_to_others(path: &Path) {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    #[cfg(windows)]
    panic!("no mode of {path:?}");
}

/// A system string that is not Unicode, with `before` and `after` around the invalid part.
pub(crate) fn no_text(before: &str, after: &str) -> OsString {
    let mut text = OsString::from(before);
    #[cfg(unix)]
    text.push(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff"));
    #[cfg(windows)]
    text.push(<OsString as std::os::windows::ffi::OsStringExt>::from_wide(&[0xd800]));
    text.push(after);
    text
}

/// The terminal that a program on the other end of `pty` sees.
pub(crate) fn terminal(pty: &dyn MasterPty) -> File {
    #[cfg(unix)]
    return File::open(pty.tty_name().unwrap()).unwrap();
    #[cfg(windows)]
    panic!("no terminal of {:?}", pty.get_size());
}
