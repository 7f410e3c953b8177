//! A page on this disk that sends the browser to klatch.
//!
//! Everybody on the computer can read a program's arguments, and the page's address contains a code
//! that opens the room. So the browser is started with the name of a file that only this user can
//! read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::bridge::temporary::{self, Temporary};
use crate::sys::files::private;

/// Prefix of its folder's name.
const PREFIX: &str = "klatch-open-";
/// The only file in the folder.
const PAGE: &str = "klatch.html";
/// How the page begins, whatever its target.
const HEAD: &str = "<!doctype html>\n<meta charset=\"utf-8\">\n\
                    <meta name=\"referrer\" content=\"no-referrer\">\n\
                    <meta http-equiv=\"refresh\" content=\"0; url=http://";

/// Browsers at these paths see a temporary folder of their own, but share the home directory.
const CONFINED: [&str; 2] = ["/snap/bin/firefox", "/snap/bin/chromium"];

/// The file; removed when dropped.
#[derive(Debug)]
pub(super) struct OpenerFile {
    folder: Temporary,
}

impl OpenerFile {
    /// Writes a page that redirects to `url`.
    pub(super) fn new(url: &str) -> io::Result<Self> {
        Self::new_in(&base(), url)
    }

    /// `url` must begin with `http://`.
    fn new_in(base: &Path, url: &str) -> io::Result<Self> {
        let opener = Self { folder: temporary::make(base, PREFIX)? };
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true);
        let mut file = private(options).open(opener.path())?;
        let place = url.strip_prefix("http://").unwrap_or(url);
        write!(
            file,
            "{HEAD}{place}\">\n<title>klatch</title>\n<a href=\"{url}\">to your room</a>\n"
        )?;
        Ok(opener)
    }

    /// What the browser should open.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(PAGE)
    }
}

fn base() -> PathBuf {
    let confined = CONFINED.iter().any(|browser| Path::new(browser).exists());
    std::env::home_dir().filter(|_| confined).unwrap_or_else(std::env::temp_dir)
}

/// Removes pages that killed runs left behind.
pub(super) fn clear_up() {
    temporary::clear(&base(), PREFIX, remove_left);
}

/// The home directory is the person's: klatch removes only a folder that holds just its page.
fn remove_left(folder: &Path) -> io::Result<()> {
    let not_ours = || io::Error::other("it is not what klatch makes");
    let page = folder.join(PAGE);
    let only = fs::read_dir(folder)?.all(|entry| entry.is_ok_and(|entry| entry.path() == page));
    if !only || !fs::symlink_metadata(&page)?.is_file() {
        return Err(not_ours());
    }
    let mut head = String::new();
    File::open(&page)?.take(HEAD.len() as u64).read_to_string(&mut head)?;
    if head != HEAD {
        return Err(not_ours());
    }
    fs::remove_file(&page)?;
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::{POSIX, link, mode};

    #[test]
    fn it_leads_on_and_nobody_else_can_read_it() {
        let base = tempfile::tempdir().unwrap();
        let url = "http://127.0.0.1:8765/#code";
        let opener = OpenerFile::new_in(base.path(), url).unwrap();
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

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let url = "http://127.0.0.1:8765/#code";
        let open = || OpenerFile::new_in(base.path(), url).unwrap();
        let living = open();
        // As a killed run leaves it: the page is there, the lock is gone.
        let killed = open();
        let mine = |name: &str, files: &[(&str, &str)]| {
            let folder = base.path().join(name);
            fs::create_dir(&folder).unwrap();
            for (file, text) in files {
                fs::write(folder.join(file), text).unwrap();
            }
            folder
        };
        let page = fs::read_to_string(killed.path()).unwrap();
        drop(killed);
        let left = mine("klatch-open-left", &[(PAGE, &page)]);
        let others = [
            mine("klatch-open-source", &[]),
            mine("klatch-open-notes", &[(PAGE, "<title>my notes</title>")]),
            mine("klatch-open-more", &[(PAGE, &page), ("letter.txt", "mine")]),
            mine("my-klatch-open-1", &[(PAGE, &page)]),
        ];
        let linked = base.path().join("klatch-open-link");
        if POSIX {
            link(&others[3], &linked);
        }
        temporary::clear(base.path(), PREFIX, remove_left);
        // Other systems lock no folder, so none is taken for a leftover.
        assert_eq!(left.exists(), !POSIX);
        assert!(living.path().exists() && (!POSIX || linked.is_symlink()));
        for other in &others {
            assert!(other.exists(), "{}", other.display());
        }
        assert_eq!(fs::read_dir(&others[2]).unwrap().count(), 2);
    }
}
