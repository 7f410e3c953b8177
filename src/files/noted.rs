//! The name under which people know an unfinished download, at the end of the file of its hints: a
//! leftover is later known by it.

use std::fs::File;
use std::io;

use super::disk::{Disk, write_all_at};
use crate::sys::files::Positional;

/// Ends the hints, after the name and its length.
const NAME_MARK: &[u8] = b"klatch name\n";
/// The longest name of an offer.
const NAME_MAX_BYTES: u32 = 1_024;

/// Writes the name after hints that end at `at`.
///
/// # Errors
/// What the disk says.
pub(super) fn note_name(disk: &dyn Disk, hints: &File, at: u64, name: &str) -> io::Result<()> {
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    let bytes = [name.as_bytes(), &length.to_be_bytes(), NAME_MARK].concat();
    write_all_at(disk, hints, &bytes, at)?;
    disk.set_len(hints, at + bytes.len() as u64)
}

/// The name after a download's hints; a peer chose it.
pub(super) fn name_in(hints: &File) -> Option<String> {
    let mark_bytes = 4 + NAME_MARK.len() as u64;
    let mark_at = hints.metadata().ok()?.len().checked_sub(mark_bytes)?;
    let mut mark = [0; 4 + NAME_MARK.len()];
    hints.read_exact_at(&mut mark, mark_at).ok()?;
    let (length, end) = mark.split_first_chunk()?;
    let length = u32::from_be_bytes(*length);
    if end != NAME_MARK || length > NAME_MAX_BYTES {
        return None;
    }
    let mut name = vec![0; length as usize];
    hints.read_exact_at(&mut name, mark_at.checked_sub(u64::from(length))?).ok()?;
    String::from_utf8(name).ok()
}
