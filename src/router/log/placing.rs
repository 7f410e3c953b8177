//! What decides whether an entry is taken, and what became of it.

use std::sync::Arc;

use super::pushes::Pushes;
use super::shares::WaysIn;
use crate::limits::Limits;
use crate::router::ids::MemberId;
use crate::router::signed::{Chain, SignedEntry};
use crate::router::time::Millis;

/// What decides whether an entry is taken.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) now: Millis,
    pub(crate) limits: &'a Limits,
    /// How authors came into the room.
    pub(crate) ways: WaysIn<'a>,
    /// How much authors said lately.
    pub(super) pushes: &'a Pushes,
    /// Over whose link it comes.
    pub(super) from: Option<MemberId>,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placed {
    /// Accepted, with those that had waited for it, in order.
    Accepted(Vec<Arc<SignedEntry>>),
    /// We have it, or it lies behind a fork.
    Known,
    /// It waits for its chain or for a parent.
    Waits,
    /// It continues another version of its chain: somebody has a fork of it.
    Conflict,
    /// It proves a fork.
    Forked {
        /// The chain was not known to be forked.
        first: bool,
        /// What it takes back, the last first.
        dropped: Vec<(EntryOrder, Arc<SignedEntry>)>,
        /// Those that had waited for it, in order.
        woken: Vec<Arc<SignedEntry>>,
    },
    /// It is a better proof of a known fork; nothing else changes.
    Proof,
    /// Too many wait: repair brings it again.
    Crowded,
    /// Its author's share of the log is used up.
    Refused,
}

/// The place of an entry in the order that all members agree on.
pub(crate) type EntryOrder = (u64, Chain, u64);
