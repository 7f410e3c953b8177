//! A page on this disk that leads the browser on to klatch.
//!
//! What a program is started with, everybody on the computer can read; the address of the page
//! holds a code that opens the room. So the browser is started with the name of a file that only
//! this user can read.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::sys::files::{make_temporary_folder, private};

/// Browsers that lie here see another temporary folder than everybody else, but what is in the home
/// directory.
const CONFINED: [&str; 2] = ["/snap/bin/firefox", "/snap/bin/chromium"];

/// Removed when dropped.
#[derive(Debug)]
pub(super) struct Opener {
    folder: TempDir,
}

impl Opener {
    /// Writes the page that leads on to `url`.
    pub(super) fn new(url: &str) -> io::Result<Self> {
        let confined = CONFINED.iter().any(|browser| Path::new(browser).exists());
        let home = std::env::home_dir().filter(|_| confined);
        Self::new_in(&home.unwrap_or_else(std::env::temp_dir), url)
    }

    fn new_in(base: &Path, url: &str) -> io::Result<Self> {
        let folder = make_temporary_folder(base, "klatch-open-")?;
        let opener = Self { folder };
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true);
        let mut file = private(options).open(opener.path())?;
        write!(
            file,
            "<!doctype html>\n<meta charset=\"utf-8\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <meta http-equiv=\"refresh\" content=\"0; url={url}\">\n\
             <title>klatch</title>\n<a href=\"{url}\">to your room</a>\n"
        )?;
        Ok(opener)
    }

    /// What the browser is to open.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("klatch.html")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sys::testing::{POSIX, mode};

    #[test]
    fn it_leads_on_and_nobody_else_can_read_it() {
        let base = tempfile::tempdir().unwrap();
        let url = "http://127.0.0.1:8765/#code";
        let opener = Opener::new_in(base.path(), url).unwrap();
        let path = opener.path();
        if POSIX {
            assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        }
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.contains("content=\"0; url=http://127.0.0.1:8765/#code\""), "{page}");
        assert!(!path.to_string_lossy().contains("code"));
        drop(opener);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }
}
