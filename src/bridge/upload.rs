//! Files and folders that a person shares from the page: they are streamed into the share folder
//! and offered from there, because a browser does not reveal where they are stored.
//!
//! Nothing is held in memory, nothing is replaced, and a request that ends early leaves nothing
//! behind.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crossbeam_channel::RecvTimeoutError;
use serde_json::json;
use tempfile::NamedTempFile;

use super::http::{Client, Head, Reply};
use super::server::BridgeShared;
use crate::files::disk::SystemDisk;
use crate::files::names::{cut, safe_name};
use crate::files::publish::publish;
use crate::node::{Answer, Face};
use crate::router::command::Command;
use crate::router::ids::EntryId;
use crate::router::notice::{Code, Failure, FileInfo, FileLine, Notice};
use crate::router::rights::FaceRights;
use crate::router::swarm::FILE_MAX_BYTES;
use crate::router::text::{is_control, is_format};
use crate::sys::files::{free_bytes, make_private_folder};

mod folder;

/// Where a page puts a file.
pub(super) const FILE: &str = "/share";
/// And a folder.
pub(super) const FOLDER: &str = "/share/folder";
/// Bytes of the disk that copies of such files leave free.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;
/// Most files that pages upload at once.
const UPLOADS: usize = 16;
/// Bytes read and written at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// What the hidden names of copies that are not whole begin with.
const HIDDEN: &str = ".klatch-share-";
/// Longest name that is offered, in bytes, as in most file systems: what `send` finds on a disk is
/// never longer.
const NAME_MAX_BYTES: usize = 255;
/// How often to check whether the page still waits.
const LOOK: Duration = Duration::from_millis(200);

/// Why a file was not accepted.
enum NotTaken {
    /// With this status.
    With(u16, Failure),
    /// The page broke off.
    Gone,
}

impl NotTaken {
    fn new(status: u16, code: Code, text: impl Into<String>) -> Self {
        Self::With(status, Failure::new(code, text))
    }

    /// There are too many at once.
    fn too_many() -> Self {
        let text = "too many files are being shared at once: wait for one";
        Self::new(503, Code::IoError, text)
    }

    /// The disk's error.
    fn disk(what: &str, path: &Path, error: &io::Error) -> Self {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        let (status, code) = if full { (507, Code::DiskFull) } else { (500, Code::IoError) };
        Self::new(status, code, format!("cannot {what} {}: {error}", path.display()))
    }
}

/// Receives a file or a folder; false if the connection must not be used again.
pub(super) fn receive(
    shared: &BridgeShared,
    client: &mut Client<'_>,
    head: &Head,
) -> io::Result<bool> {
    match taken(shared, client, head) {
        Ok(FileInfo { id, name, size }) => {
            let file = json!({ "file": { "id": id, "name": name.raw(), "size": size } });
            let reply = Reply::new(201).header("Content-Type", "application/json");
            client.respond(head, &reply, file.to_string().as_bytes())?;
            Ok(true)
        }
        Err(NotTaken::With(status, failure)) => {
            // An unauthorised client gets a code that only the bridge uses.
            let code = if status == 401 { "expired_address" } else { failure.code.word() };
            let answer = json!({ "code": code, "text": failure.text });
            let reply = Reply::new(status).header("Content-Type", "application/json");
            client.refuse_body(&reply, answer.to_string().as_bytes());
            Ok(false)
        }
        Err(NotTaken::Gone) => Ok(false),
    }
}

fn taken(
    shared: &BridgeShared,
    client: &mut Client<'_>,
    head: &Head,
) -> Result<FileInfo, NotTaken> {
    let token = head.only("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if token.and_then(|token| shared.keys.session(token, SystemTime::now())).is_none() {
        let text = "this page's address is too old: type `browser` in klatch's terminal";
        return Err(NotTaken::new(401, Code::PermissionDenied, text));
    }
    client.prove();
    let name = head.parameter("name").and_then(|name| offer_name(&name));
    let name = name.ok_or_else(|| {
        NotTaken::new(400, Code::Usage, "a file needs a name, as text of the parameter `name`")
    })?;
    let size = head.length.ok_or_else(|| {
        NotTaken::new(411, Code::Usage, "the length of a file must be told in front of it")
    })?;
    if head.path == FOLDER {
        return folder::taken(shared, client, head, (&name, size));
    }
    if size > FILE_MAX_BYTES {
        let text = format!("{name} is larger than 2 TiB: split it first");
        return Err(NotTaken::new(413, Code::IoError, text));
    }
    let Some(_place) = shared.uploads.enter(UPLOADS) else { return Err(NotTaken::too_many()) };
    let dir = &shared.share_dir;
    make_private_folder(dir).map_err(|error| NotTaken::disk("make the folder", dir, &error))?;
    let coming = Coming::reserve(shared, &name, size)?;
    client.go_on(head).map_err(|_| NotTaken::Gone)?;
    let copy = stream(client, dir, size, &coming)?;
    drop(coming);
    let path = place(copy, dir, &name)?;
    offer(shared, client, &name, path)
}

/// The name under which to offer a file: a browser gives the last component, and others make it
/// safe for themselves.
fn offer_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: String = last.chars().filter(|&c| !is_control(c) && !is_format(c)).collect();
    let name = visible.trim();
    let is_name = !name.is_empty() && name != "." && name != "..";
    is_name.then(|| cut(name, NAME_MAX_BYTES))
}

/// Bytes of a file that are still to come: nobody else may count on their disk space.
struct Coming<'a> {
    all: &'a AtomicU64,
    left: AtomicU64,
}

impl<'a> Coming<'a> {
    fn reserve(shared: &'a BridgeShared, name: &str, size: u64) -> Result<Self, NotTaken> {
        let all = &shared.upload_bytes;
        let promised = all.fetch_add(size, Ordering::SeqCst);
        let coming = Self { all, left: AtomicU64::new(size) };
        let dir = &shared.share_dir;
        let free = match free_bytes(dir) {
            // If the free space is unknown, a copy without space fails while it is written.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(coming),
            free => free.map_err(|error| NotTaken::disk("look at the folder", dir, &error))?,
        };
        let needed = size.saturating_add(promised).saturating_add(SPARE_BYTES);
        if needed > free {
            let text = format!(
                "there is not enough room for a copy of {name} in {}: free some, or offer it \
                 where it lies, with `send` in klatch's terminal",
                dir.display()
            );
            return Err(NotTaken::new(507, Code::DiskFull, text));
        }
        Ok(coming)
    }

    fn came(&self, bytes: u64) {
        self.left.fetch_sub(bytes, Ordering::SeqCst);
        self.all.fetch_sub(bytes, Ordering::SeqCst);
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.left.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// Writes a body into a file that is removed when dropped.
fn stream(
    client: &mut Client<'_>,
    dir: &Path,
    size: u64,
    coming: &Coming<'_>,
) -> Result<NamedTempFile, NotTaken> {
    let made = tempfile::Builder::new().prefix(HIDDEN).tempfile_in(dir);
    let mut copy = made.map_err(|error| NotTaken::disk("create a file in", dir, &error))?;
    let mut buffer = vec![0; PIECE_BYTES];
    write_body(client, (copy.as_file_mut(), dir), size, coming, &mut buffer)?;
    Ok(copy)
}

/// Writes the next `size` bytes of a body into a file, which lies in a folder that errors name.
fn write_body(
    client: &mut Client<'_>,
    (file, dir): (&mut File, &Path),
    size: u64,
    coming: &Coming<'_>,
    buffer: &mut [u8],
) -> Result<(), NotTaken> {
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..most).unwrap_or_default();
        let count = client.read_body(piece).map_err(|_| NotTaken::Gone)?;
        let piece = piece.get(..count).filter(|piece| !piece.is_empty()).ok_or(NotTaken::Gone)?;
        file.write_all(piece).map_err(|error| NotTaken::disk("write to", dir, &error))?;
        coming.came(count as u64);
        left -= count as u64;
    }
    Ok(())
}

/// Gives a copy its name in the folder, with ` (2)` and so on if that is taken.
fn place(copy: NamedTempFile, dir: &Path, name: &str) -> Result<PathBuf, NotTaken> {
    let hidden = copy.into_temp_path();
    let placed = publish(&SystemDisk, &hidden, dir, (None, &safe_name(name)));
    let path = placed.map_err(|failed| NotTaken::disk("create", &failed.path, &failed.error))?;
    // Nothing has the hidden name any more, so nothing needs removing.
    let _ = hidden.keep();
    Ok(path)
}

/// Offers a copy. Whatever happens, it is removed unless it is offered in the end.
fn offer(
    shared: &BridgeShared,
    client: &Client<'_>,
    name: &str,
    path: PathBuf,
) -> Result<FileInfo, NotTaken> {
    let face = shared.node.handle.face(FaceRights::PAGE);
    let command = Command::Share { path: path.clone(), name: name.to_owned() };
    let given = shared.node.handle.command(face.id, 0, command);
    let offered = match given {
        Ok(()) => offered(&face, client),
        Err(stopped) => Err(Failure::new(Code::Cancelled, stopped.to_string())),
    };
    match offered {
        Ok((row, true)) => Ok(row.file),
        Ok((row, false)) => {
            withdraw(shared, row.id, &face);
            Err(NotTaken::Gone)
        }
        Err(failure) => {
            // There is nobody to tell that a copy remains; it is the person's own file.
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            Err(NotTaken::With(500, failure))
        }
    }
}

/// Waits until a copy is offered; also returns whether the page still waits for that.
fn offered(face: &Face, client: &Client<'_>) -> Result<(FileLine, bool), Failure> {
    let ended = || Failure::new(Code::Cancelled, "klatch is ending");
    let (mut row, mut waiting) = (None, true);
    loop {
        match face.answers.recv_timeout(LOOK) {
            Ok(Answer::Told { notice, .. }) => {
                if let Notice::Files { list } = *notice {
                    row = list.into_iter().next();
                }
            }
            Ok(Answer::Reply { result, .. }) => {
                result?;
                waiting &= !client.is_gone();
                return row.map(|row| (row, waiting)).ok_or_else(ended);
            }
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => waiting = waiting && !client.is_gone(),
            Err(RecvTimeoutError::Disconnected) => return Err(ended()),
        }
    }
}

/// Withdraws an offer that nobody wants any more, and removes its copy.
fn withdraw(shared: &BridgeShared, offer: EntryId, face: &Face) {
    let command = Command::Cancel { wanted: offer.to_string() };
    if shared.node.handle.command(face.id, 1, command).is_ok() {
        // The face must stay until the router has done it.
        while let Ok(answer) = face.answers.recv() {
            if matches!(answer, Answer::Reply { line: 1, .. }) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::names::numbered;

    #[test]
    fn a_file_is_offered_under_its_own_name() {
        let (long, kept) = ("é".repeat(200) + ".jpg", "é".repeat(125) + ".jpg");
        for (given, name) in [
            ("report (final).pdf", Some("report (final).pdf")),
            (".bashrc", Some(".bashrc")),
            ("folder/a.txt", Some("a.txt")),
            ("C:\\folder\\a.txt", Some("a.txt")),
            ("ann\u{202e}gpj.exe", Some("anngpj.exe")),
            ("a\r\nb", Some("ab")),
            ("", None),
            ("folder/", None),
            ("..", None),
            (&long, Some(kept.as_str())),
        ] {
            assert_eq!(offer_name(given).as_deref(), name, "{given:?}");
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number_and_nothing_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        for number in 1..=3 {
            let mut copy = NamedTempFile::new_in(dir.path()).unwrap();
            write!(copy, "{number}").unwrap();
            let path = place(copy, dir.path(), "../a.txt").ok().unwrap();
            assert_eq!(path, dir.path().join(numbered("a.txt", number)));
        }
        assert_eq!(fs::read_to_string(dir.path().join("a.txt")).unwrap(), "1");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}
