//! A ticket and its place.

use super::record::{How, Invited};
use crate::crypto::hash;
use crate::router::ids::{MemberId, RecordId};

const KEPT: &[u8] = b"klatch kept 1\0";
/// Most tickets from one without parent to the deepest that counts, along parents and answerers.
pub const DEPTH_MAX: usize = 32;

/// A ticket and its place. Members that removals and locks keep have one, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Its id: the record's own, or [`kept_id`] of the record that keeps the member.
    pub id: RecordId,
    /// The record that contains it.
    pub record: RecordId,
    /// Who let the member in; for an invitation, its maker.
    pub by: MemberId,
    /// The ticket above; `None` is the founder.
    pub parent: Option<RecordId>,
    /// The member that holds it.
    pub member: MemberId,
    /// How the member came in.
    pub how: How,
    /// Only for an invitation: which one, and who answered.
    pub invited: Option<Invited>,
}

/// The id of the ticket of `member`, kept by `record`: SHA-256 over label, record and member.
#[must_use]
pub fn kept_id(record: &RecordId, member: &MemberId) -> RecordId {
    RecordId(hash::digest(&[KEPT, &record.0, &member.0]))
}
