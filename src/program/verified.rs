//! The members that this person has verified, kept in the data directory with the names that they
//! had then.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::router::ids::MemberId;
use crate::router::notice::{Notice, Who};
use crate::router::text::{DIGITS_MARK, read_name};
use crate::sys::files::private;
use crate::ui::line_reader::{Line, LineReader};

/// The file in the data directory: an identity and a name on each line.
const FILE: &str = "verified";
/// Most members remembered.
const MEMBERS_MAX: usize = 65_536;

/// Remembers verified members; `None`: for this run only.
#[derive(Debug, Default)]
pub(super) struct Memory(Option<PathBuf>);

impl Memory {
    /// Reads who was verified in earlier runs.
    ///
    /// # Errors
    /// When the file exists but cannot be read.
    pub(super) fn open(data_dir: Option<&Path>) -> io::Result<(Self, BTreeMap<MemberId, String>)> {
        let Some(path) = data_dir.map(|dir| dir.join(FILE)) else { return Ok(Default::default()) };
        let members = match File::open(&path) {
            Ok(file) => read(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok((Self(Some(path)), members))
    }

    /// Remembers a member that was just verified; reports if that fails.
    pub(super) fn hear(&self, notice: &Notice) -> Option<Notice> {
        let (Notice::MemberVerified { member }, Some(path)) = (notice, &self.0) else {
            return None;
        };
        // The digits that tell it apart from others today are not part of its name.
        let Who { id, name, .. } = &member.who;
        let bare = name.raw().rsplit_once(DIGITS_MARK);
        let bare = bare.filter(|(_, digits)| id.to_string().starts_with(digits));
        let name = bare.map_or(name.raw(), |(bare, _)| bare);
        let line = format!("{id} {name}\n");
        let mut options = OpenOptions::new();
        let file = private(options.append(true).create(true)).open(path);
        let kept = file.and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_all()
        });
        let error = kept.err()?;
        let text = format!("this will be forgotten: {} cannot be written: {error}", path.display());
        Some(Notice::Remark { text })
    }
}

/// Unknown lines are ignored: a later klatch may have written them.
pub(super) fn read(file: impl Read) -> io::Result<BTreeMap<MemberId, String>> {
    let mut reader = LineReader::new(BufReader::new(file), 1_024);
    let mut members = BTreeMap::new();
    while members.len() < MEMBERS_MAX {
        let line = match reader.next_line()? {
            Line::Text(line) => line,
            Line::TooLong { .. } | Line::InvalidUtf8 => continue,
            Line::End => break,
        };
        if let Some((id, name)) = line.split_once(' ')
            && let Ok(id) = MemberId::from_hex(id)
            && let Ok(name) = read_name(name)
        {
            members.insert(id, name);
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::notice::MemberInfo;
    use crate::router::text::Untrusted;

    #[test]
    fn who_was_verified_is_known_in_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let (memory, members) = Memory::open(Some(dir.path())).unwrap();
        assert!(members.is_empty());
        let id = MemberId([7; 32]);
        let who = Who { id, name: Untrusted::new("bob the builder·0707"), verified: true };
        let member = MemberInfo { who, address: String::new() };
        assert_eq!(memory.hear(&Notice::MemberVerified { member: member.clone() }), None);
        assert_eq!(memory.hear(&Notice::MemberJoined { member }), None);
        let mut file = OpenOptions::new().append(true).open(dir.path().join(FILE)).unwrap();
        file.write_all(b"not an id\n\xff\n").unwrap();
        let (_, members) = Memory::open(Some(dir.path())).unwrap();
        assert_eq!(members, BTreeMap::from([(id, "bob the builder".to_owned())]));
        assert!(Memory::open(None).unwrap().1.is_empty());
    }
}
