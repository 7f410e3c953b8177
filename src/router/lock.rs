//! The lock of a room: the records of its changes, newest last, with their keys.

use std::sync::Arc;

use super::ids::{MemberId, RecordHash, RoomId};
use super::message::KeyMark;
use super::signed::{Record, SignedRecord};
use crate::crypto::identity::Identity;
use crate::crypto::lock::Lock;
use crate::crypto::room_key::RoomKey;

/// Changes that one may have missed: far more than people make, and so few that nobody can lead
/// a room to the end of numbers.
const EPOCHS_MISSED_MAX: u64 = 1 << 20;

/// What became of a record that somebody sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Considered {
    /// It is one of ours.
    Known,
    /// It is the newest now; `overruled` is a change of the same epoch that lost against it.
    Newest { overruled: Option<Arc<SignedRecord>> },
    /// Ours ranks higher.
    Loses,
    /// It ranks higher, but nobody who could change our lock made it.
    Unfounded,
}

/// Records of one room; never empty.
#[derive(Debug)]
pub(super) struct LockState {
    kept: usize,
    newest: Arc<SignedRecord>,
    older: Vec<Arc<SignedRecord>>,
    /// Higher ones that this node left for a lower one, by password: it does not go back to them.
    left: Vec<RecordHash>,
}

impl LockState {
    pub(super) fn new(newest: Arc<SignedRecord>, kept: usize) -> Self {
        Self { kept, newest, older: Vec::new(), left: Vec::new() }
    }

    pub(super) fn newest(&self) -> &Arc<SignedRecord> {
        &self.newest
    }

    pub(super) fn is_locked(&self) -> bool {
        self.newest.body.lock.is_some()
    }

    pub(super) fn mark(&self) -> KeyMark {
        mark_of(&self.newest)
    }

    /// Every kept key, newest first.
    pub(super) fn keys(&self) -> Vec<(KeyMark, RoomKey)> {
        self.newest_first().map(|record| (mark_of(record), record.body.key.clone())).collect()
    }

    /// Records behind `common`, oldest first; `None` when it is not one of ours.
    pub(super) fn after(&self, common: &KeyMark) -> Option<Vec<Arc<SignedRecord>>> {
        let mut records: Vec<_> = Vec::new();
        for record in self.newest_first() {
            if record.hash == common.hash {
                records.reverse();
                return Some(records);
            }
            records.push(record.clone());
        }
        None
    }

    /// Whether the newest record lists `member` as present when it was made.
    pub(super) fn lists(&self, member: &MemberId) -> bool {
        self.newest.body.members.contains(member)
    }

    /// Whether a record is one of those that are kept.
    pub(super) fn knows(&self, record: &SignedRecord) -> bool {
        self.newest_first().any(|kept| kept.hash == record.hash)
    }

    /// Makes the record of a change by this node. It becomes the newest at once.
    pub(super) fn change(
        &mut self,
        room: &RoomId,
        me: &Identity,
        key: RoomKey,
        lock: Option<Lock>,
        members: Vec<MemberId>,
    ) -> Arc<SignedRecord> {
        let body = Record {
            epoch: self.newest.body.epoch + 1,
            key,
            lock,
            members,
            setter: Some(MemberId(me.public())),
        };
        let record = SignedRecord::sign(room, me, &self.newest.body.key, body);
        self.replace(record.clone());
        record
    }

    /// Takes in a record that a member sent, if it ranks higher and is well founded: made by
    /// somebody who knew our newest key, or whom our newest record lists.
    pub(super) fn consider(&mut self, record: &Arc<SignedRecord>) -> Considered {
        if self.knows(record) {
            return Considered::Known;
        }
        if record.rank() <= self.newest.rank() {
            return Considered::Loses;
        }
        let missed = record.body.epoch.saturating_sub(self.newest.body.epoch);
        if missed > EPOCHS_MISSED_MAX || self.left.contains(&record.hash) {
            return Considered::Unfounded;
        }
        let listed = record.body.setter.is_some_and(|setter| self.lists(&setter));
        if !listed && !record.follows(&self.newest.body.key) {
            return Considered::Unfounded;
        }
        let overruled = (self.newest.body.epoch >= record.body.epoch).then(|| self.newest.clone());
        self.replace(record.clone());
        Considered::Newest { overruled }
    }

    /// Takes in the record that an admission by password brought: it needs no other ground.
    pub(super) fn adopt(&mut self, record: Arc<SignedRecord>) {
        let higher = |kept: &&Arc<SignedRecord>| kept.rank() > record.rank();
        let left: Vec<_> = self.newest_first().filter(higher).map(|kept| kept.hash).collect();
        self.left.extend(left);
        let surplus = self.left.len().saturating_sub(4 * self.kept);
        self.left.drain(..surplus);
        self.replace(record);
    }

    fn newest_first(&self) -> impl Iterator<Item = &Arc<SignedRecord>> {
        std::iter::once(&self.newest).chain(self.older.iter().rev())
    }

    fn replace(&mut self, record: Arc<SignedRecord>) {
        let epoch = record.body.epoch;
        let before = std::mem::replace(&mut self.newest, record);
        self.older.push(before);
        self.older.retain(|kept| kept.body.epoch < epoch);
        let surplus = (self.older.len() + 1).saturating_sub(self.kept);
        self.older.drain(..surplus);
    }
}

fn mark_of(record: &SignedRecord) -> KeyMark {
    KeyMark { epoch: record.body.epoch, locked: record.body.lock.is_some(), hash: record.hash }
}
