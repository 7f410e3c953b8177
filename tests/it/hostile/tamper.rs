//! A man in the middle who tampers with a connection's records. The tests of `src/net` use this
//! file too.

use std::io::{Read, Write};

/// Bytes of the dialer and of the listener before their first record: preamble and Noise handshake.
pub(crate) const CLEAR: [usize; 2] = [8 + 32, 8 + 48];

/// Passes on what comes from a side, `clear` bytes before its first record included. `tamper` sees
/// each record with its number, and returns what to pass in its place; `None` ends this.
pub(crate) fn pass_records(
    mut from: impl Read,
    mut into: impl Write,
    clear: usize,
    mut tamper: impl FnMut(usize, Vec<u8>) -> Option<Vec<u8>>,
) {
    let mut head = vec![0; clear];
    if from.read_exact(&mut head).is_err() || into.write_all(&head).is_err() {
        return;
    }
    for number in 0.. {
        let mut record = vec![0; 2];
        if from.read_exact(&mut record).is_err() {
            return;
        }
        let length = usize::from(u16::from_be_bytes([record[0], record[1]]));
        record.resize(2 + length, 0);
        if from.read_exact(&mut record[2..]).is_err() {
            return;
        }
        let Some(passed) = tamper(number, record) else { return };
        if into.write_all(&passed).is_err() {
            return;
        }
    }
}
