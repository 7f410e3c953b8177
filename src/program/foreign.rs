//! The contents of files and sockets of the data directory, for tests that feed the program's
//! parsers what no klatch wrote.

use std::collections::BTreeMap;
use std::io;

use super::{job, verified};
use crate::router::ids::MemberId;

/// Reads who was verified in earlier runs.
///
/// # Errors
/// None for what lies in memory.
pub fn verified(file: &[u8]) -> io::Result<BTreeMap<MemberId, String>> {
    verified::read(file)
}

/// Takes a frame of a job from the beginning of `bytes`: its kind, and what is in it.
///
/// # Errors
/// `InvalidData` and `UnexpectedEof` for what is no frame.
pub fn frame(bytes: &mut &[u8]) -> io::Result<Option<(u8, Vec<u8>)>> {
    job::frame(bytes)
}

/// The request of a job as it is understood, in JSON again.
#[must_use]
pub fn request(json: &[u8]) -> Option<String> {
    job::request(json)
}
