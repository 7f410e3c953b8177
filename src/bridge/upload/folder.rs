//! A folder that a person shares from the page: one body with the list of what is in it, then the
//! bytes of its files, in the order of the list.
//!
//! - The list is a sequence of JSON objects, sorted by the bytes of the paths: of a file `path`,
//!   `size` and `modified` (seconds since 1970), of an empty folder `path` alone. The parameter
//!   `list` of the request says how many bytes it has.
//! - It is checked whole, as the list of a peer's folder is, before anything is made.
//! - The folder grows under a hidden name, from which it is renamed when it is whole.

use std::ffi::OsStr;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use super::{
    Coming, HIDDEN, NotTaken, PIECE_BYTES, UPLOADS, make_private_folder, offer, safe_name,
    write_body,
};
use crate::bridge::http::{Client, Head, read_number};
use crate::bridge::server::BridgeShared;
use crate::files::disk::SystemDisk;
use crate::files::folder::manifest::{ENTRIES_MAX, ListedFile, Manifest, ManifestEntry};
use crate::files::folder::paths::{LocalPaths, TOP};
use crate::files::folder::staging::time_of;
use crate::files::publish::publish_folder;
use crate::router::ids::Digest32;
use crate::router::notice::{Code, FileInfo};
use crate::sys::folders::FolderHandle;

/// Most folders that pages upload at once: each has its list in memory meanwhile.
const FOLDERS: usize = 2;
/// Bytes of the longest list.
const LIST_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of the disk that a file or folder takes, beside its content.
const ENTRY_BYTES: u64 = 4 * 1024;

/// One object of the list.
#[derive(Deserialize)]
struct SharedEntry {
    path: String,
    size: Option<u64>,
    modified: Option<i64>,
}

/// What is in the folder, and under which names it is written.
struct SharedTree {
    manifest: Manifest,
    paths: LocalPaths,
}

/// Receives and offers a folder whose body has `length` bytes.
pub(super) fn taken(
    shared: &BridgeShared,
    client: &mut Client<'_>,
    head: &Head,
    (name, length): (&str, u64),
) -> Result<FileInfo, NotTaken> {
    let bad = |text: &str| NotTaken::new(400, Code::Usage, text);
    let list = head.parameter("list").and_then(|list| read_number(&list));
    let list = list.filter(|list| *list <= LIST_MAX_BYTES.min(length)).ok_or_else(|| {
        bad("a folder needs the length of its list, as parameter `list`: 64 MiB at most")
    })?;
    let Some(_place) = shared.uploads.enter(UPLOADS) else { return Err(NotTaken::too_many()) };
    let Some(_folder) = shared.folders.enter(FOLDERS) else { return Err(NotTaken::too_many()) };
    client.go_on(head).map_err(|_| NotTaken::Gone)?;
    let tree = SharedTree::read(ListReader { client: &mut *client, left: list })?;
    if tree.manifest.total_bytes() != length - list {
        return Err(bad("the sizes in the list of the folder do not fit the length of all"));
    }
    let dir = &shared.share_dir;
    make_private_folder(dir).map_err(|error| NotTaken::disk("make the folder", dir, &error))?;
    let entries = u64::from(tree.manifest.len()) + u64::from(tree.manifest.folders());
    let room = tree.manifest.total_bytes().saturating_add(entries * ENTRY_BYTES);
    let coming = Coming::reserve(shared, name, room)?;
    let hidden = tempfile::Builder::new().prefix(HIDDEN).tempdir_in(dir);
    let hidden = hidden.map_err(|error| NotTaken::disk("create a folder in", dir, &error))?;
    tree.write(client, hidden.path(), &coming)?;
    drop(coming);
    let path = place(hidden, dir, name)?;
    offer(shared, client, name, path)
}

/// Gives a whole copy its name in the folder, with ` (2)` and so on if that is taken.
fn place(hidden: TempDir, dir: &Path, name: &str) -> Result<PathBuf, NotTaken> {
    let placed = publish_folder(&SystemDisk, hidden.path(), dir, (None, &safe_name(name)));
    let path = placed.map_err(|failed| NotTaken::disk("create", &failed.path, &failed.error))?;
    // Nothing has the hidden name any more, so nothing needs removing.
    let _ = hidden.keep();
    Ok(path)
}

/// The beginning of a body.
struct ListReader<'a, 'c> {
    client: &'a mut Client<'c>,
    left: u64,
}

impl Read for ListReader<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let Some(out) = out.get_mut(..most).filter(|out| !out.is_empty()) else { return Ok(0) };
        match self.client.read_body(out)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}

impl SharedTree {
    /// Reads and checks a list.
    fn read(list: impl Read) -> Result<Self, NotTaken> {
        let bad = |text: String| NotTaken::new(400, Code::Usage, text);
        let mut entries = Vec::new();
        let list = BufReader::with_capacity(PIECE_BYTES, list);
        for entry in serde_json::Deserializer::from_reader(list).into_iter::<SharedEntry>() {
            let SharedEntry { path, size, modified } = entry.map_err(|error| {
                if error.is_io() {
                    return NotTaken::Gone;
                }
                bad(format!("the list of the folder cannot be read: {error}"))
            })?;
            if entries.len() == ENTRIES_MAX as usize {
                let text = format!(
                    "the folder has more than {ENTRIES_MAX} files and folders: share its parts, \
                     or an archive"
                );
                return Err(NotTaken::new(413, Code::TooManyFiles, text));
            }
            let (root, modified_s) = (Digest32::default(), modified.unwrap_or_default());
            let file = size.map(|size| ListedFile { size, root, modified_s, executable: false });
            entries.push(ManifestEntry { path, file });
        }
        let refused = |error| bad(format!("cannot share the folder: {error}"));
        let manifest = Manifest::encode(&entries).map_err(refused)?;
        drop(entries);
        // It is the person's own: whoever fetches it decides what of it could act.
        let paths = LocalPaths::of(&manifest, true).map_err(refused)?;
        Ok(Self { manifest, paths })
    }

    /// Writes what follows in the body below `top`.
    fn write(
        &self,
        client: &mut Client<'_>,
        top: &Path,
        coming: &Coming<'_>,
    ) -> Result<(), NotTaken> {
        let failed = |error: io::Error| NotTaken::disk("write to", top, &error);
        let mut branch = WrittenBranch::new(FolderHandle::open(top).map_err(failed)?);
        let mut buffer = vec![0; PIECE_BYTES];
        for (number, entry) in (0..).zip(self.manifest.iter()) {
            let Some((folder, name)) = self.paths.place(number, &entry.path) else { continue };
            let (folder, name) =
                (branch.to(&self.paths, folder).map_err(failed)?, OsStr::new(name));
            let Some(listed) = entry.file else {
                folder.create_folder(name).map_err(failed)?;
                continue;
            };
            let mut file = folder.create_file(name).map_err(failed)?;
            write_body(client, (&mut file, top), listed.size, coming, &mut buffer)?;
            if let Some(time) = time_of(listed.modified_s) {
                // A disk that keeps no times keeps the rest.
                let _ = file.set_modified(time);
            }
        }
        Ok(())
    }
}

/// The folder in which is written, and those above it: what is sorted fills them one by one.
struct WrittenBranch {
    top: FolderHandle,
    open: Vec<(u32, FolderHandle)>,
}

impl WrittenBranch {
    fn new(top: FolderHandle) -> Self {
        Self { top, open: Vec::new() }
    }

    /// Goes to a folder, and makes those on the way.
    fn to(&mut self, paths: &LocalPaths, number: u32) -> io::Result<&FolderHandle> {
        let mut way = Vec::new();
        let mut at = number;
        while at != TOP {
            let folder = paths.folders().get(at as usize).ok_or(io::ErrorKind::NotFound)?;
            way.push((at, &folder.name));
            at = folder.parent;
        }
        way.reverse();
        let both = self.open.iter().zip(&way);
        let shared = both.take_while(|((open, _), (wanted, _))| open == wanted).count();
        self.open.truncate(shared);
        for (number, name) in way.into_iter().skip(shared) {
            let (above, name) = (self.deepest(), OsStr::new(&**name));
            above.create_folder(name)?;
            let folder = above.folder(name)?;
            self.open.push((number, folder));
        }
        Ok(self.deepest())
    }

    fn deepest(&self) -> &FolderHandle {
        self.open.last().map_or(&self.top, |(_, folder)| folder)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::{Duration, SystemTime};

    use super::*;

    fn list(entries: &[(&str, Option<u64>)]) -> Vec<u8> {
        let mut list = Vec::new();
        for (path, size) in entries {
            let entry = match size {
                Some(size) => serde_json::json!({"path": path, "size": size, "modified": 1_000}),
                None => serde_json::json!({ "path": path }),
            };
            list.extend(entry.to_string().into_bytes());
        }
        list
    }

    fn refusal(list: &[u8]) -> (u16, Code) {
        match SharedTree::read(list) {
            Err(NotTaken::With(status, failure)) => (status, failure.code),
            Err(NotTaken::Gone) => panic!("gone"),
            Ok(_) => panic!("it was taken: {}", String::from_utf8_lossy(list)),
        }
    }

    #[test]
    fn what_could_lead_elsewhere_or_is_no_tree_is_refused_before_anything_is_made() {
        let (long, deep) = ("x".repeat(256), "d/".repeat(32) + "f");
        let far = ["y".repeat(250), "y".repeat(250), "y".repeat(250), "y".repeat(250)].join("/");
        for path in [
            "../a",
            "a/../../b",
            "/etc/passwd",
            "",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\0b",
            &long,
            &deep,
            &format!("{far}/{far}"),
        ] {
            assert_eq!(refusal(&list(&[(path, Some(1))])), (400, Code::Usage), "{path:?}");
        }
        for entries in [
            // Twice, unsorted, in a file, in a folder that is said to be empty.
            &[("a", Some(1)), ("a", Some(1))][..],
            &[("b", Some(1)), ("a", Some(1))],
            &[("a", Some(1)), ("a/b", Some(1))],
            &[("a", None), ("a/b", Some(1))],
            // More than can be counted.
            &[("a", Some(u64::MAX)), ("b", Some(2))],
        ] {
            assert_eq!(refusal(&list(entries)), (400, Code::Usage), "{entries:?}");
        }
        for text in ["[", "{}", "{\"path\":1}", "{\"path\":\"a\",\"size\":-1}", "\"a\""] {
            assert_eq!(refusal(text.as_bytes()), (400, Code::Usage), "{text}");
        }
        let many = "{\"path\":\"a\"}".repeat(ENTRIES_MAX as usize + 1);
        assert_eq!(refusal(many.as_bytes()), (413, Code::TooManyFiles));
    }

    #[test]
    fn a_folder_is_written_as_it_is_listed() {
        let entries = [
            ("2024/empty", None),
            ("2024/may/a.jpg", Some(3)),
            ("2024/may/b.jpg", Some(0)),
            ("2025/a.jpg", Some(2)),
            ("A.txt", Some(1)),
            ("a.txt", Some(1)),
        ];
        let tree = SharedTree::read(&*list(&entries)).ok().unwrap();
        assert_eq!((tree.manifest.files(), tree.manifest.total_bytes()), (5, 7));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut page = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = Arc::new(listener.accept().unwrap().0);
        let proven = AtomicBool::new(true);
        io::Write::write_all(&mut page, b"onetwAa").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let all = AtomicU64::new(7);
        let coming = Coming { all: &all, left: AtomicU64::new(7) };
        let top = dir.path().join(".klatch-share-x");
        fs::create_dir(&top).unwrap();
        tree.write(&mut Client::new(&stream, &proven), &top, &coming).ok().unwrap();
        let read = |path: &str| fs::read_to_string(top.join(path)).unwrap();
        assert!(top.join("2024/empty").is_dir());
        assert_eq!((read("2024/may/a.jpg"), read("2024/may/b.jpg")), ("one".into(), "".into()));
        assert_eq!((read("2025/a.jpg"), read("A.txt")), ("tw".into(), "A".into()));
        // Disks that do not tell them apart have both all the same.
        assert_eq!(read("a (2).txt"), "a");
        let time = fs::metadata(top.join("2025/a.jpg")).unwrap().modified().unwrap();
        assert_eq!(time, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
        assert_eq!(coming.left.load(Ordering::SeqCst), 0);
        // One that breaks off is told as such, and not taken for whole.
        drop(page);
        let again = dir.path().join(".klatch-share-y");
        fs::create_dir(&again).unwrap();
        let all = AtomicU64::new(7);
        let coming = Coming { all: &all, left: AtomicU64::new(7) };
        let broken = tree.write(&mut Client::new(&stream, &proven), &again, &coming);
        assert!(matches!(broken, Err(NotTaken::Gone)));
    }
}
