//! The contents of the data directory's files and sockets, for tests that give the program's
//! parsers what no klatch wrote.

use std::collections::BTreeMap;
use std::io;

use super::{job, verified};
use crate::router::ids::MemberId;

/// Reads which members were verified in earlier runs.
///
/// # Errors
/// None for bytes in memory.
pub fn verified(file: &[u8]) -> io::Result<BTreeMap<MemberId, String>> {
    verified::read(file)
}

/// Takes a job's frame from the beginning of `bytes`: its kind and its content.
///
/// # Errors
/// `InvalidData` and `UnexpectedEof` if it is not a frame.
pub fn frame(bytes: &mut &[u8]) -> io::Result<Option<(u8, Vec<u8>)>> {
    job::frame(bytes)
}

/// A job's request as it was understood, as JSON again.
#[must_use]
pub fn request(json: &[u8]) -> Option<String> {
    job::request(json)
}
