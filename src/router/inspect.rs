//! A read-only view of the router for simulators, tests and diagnosis.

use std::sync::Arc;

use super::Router;
use super::ids::{ConnId, Digest32, EntryId, MemberId, RecordId, RoomId};
use super::membership::Membership;
use super::signed::SignedRecord;
use super::swarm::{DOWNLOADS_MAX, QUEUED_MAX};

/// The part of a node's state that others can agree or disagree with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The room.
    pub room: RoomId,
    /// A link was committed in it.
    pub settled: bool,
    /// Names the register's content.
    pub register: Digest32,
    /// Whether the room is closed.
    pub closed: bool,
    /// The lock whose password is in force and known here.
    pub password: Option<RecordId>,
    /// Who is a member.
    pub members: Vec<MemberId>,
    /// Committed links, by member.
    pub links: Vec<(MemberId, ConnId)>,
    /// Members that count as present.
    pub present: Vec<MemberId>,
    /// Accepted entries in the order that all members agree on.
    pub entries: Vec<EntryId>,
}

/// How full a collection is that others can make grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The name of the things kept.
    pub what: &'static str,
    /// How many are kept.
    pub size: usize,
    /// How many may be kept.
    pub bound: usize,
}

impl Router {
    /// What this node concludes.
    pub fn inspect(&self) -> Inspection {
        let entries: Vec<_> = self.log.entries().cloned().collect();
        let mut ordered: Vec<_> =
            entries.iter().map(|entry| (self.log.order_of(entry), entry.id)).collect();
        ordered.sort_unstable();
        Inspection {
            room: self.stay.room(),
            settled: self.stay.is_settled(),
            register: self.registry.digest(),
            closed: self.registry.is_closed(),
            password: self.registry.password_lock(),
            members: self.registry.membership().members().collect(),
            links: self.links.links().map(|(conn, link)| (link.member(), conn)).collect(),
            present: self.members.present().collect(),
            entries: ordered.into_iter().map(|(_, id)| id).collect(),
        }
    }

    /// The room, and the name of its register's content: cheap to compare after each event.
    #[must_use]
    pub fn register(&self) -> (RoomId, Digest32) {
        (self.stay.room(), self.registry.digest())
    }

    /// The register's records, to be judged by other rules.
    pub fn records(&self) -> impl Iterator<Item = &Arc<SignedRecord>> {
        self.registry.records()
    }

    /// Who is a member according to them.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.registry.membership()
    }

    /// Every collection that others can make grow, with its bound.
    #[must_use]
    pub fn loads(&self) -> Vec<Load> {
        let limits = self.cx.limits();
        let load = |what, size, bound| Load { what, size, bound };
        let mut loads = vec![load("links", self.links.count(), limits.peers)];
        let (waiting, most) = self.cx.notices_waiting();
        loads.push(load("notices that wait", waiting, most));
        let (waiting, most) = self.registry.records_waiting();
        loads.push(load("records that wait", waiting, most));
        loads.extend(self.members.loads(limits));
        loads.extend(self.log.loads(limits));
        // Every host of a file held or fetched here counts.
        let (files, shared) = self.swarm.files_of_links();
        let own = shared + DOWNLOADS_MAX + QUEUED_MAX;
        let most = limits.hosted_files_per_member + own;
        loads.extend(files.into_iter().map(|files| load("files of a peer", files, most)));
        loads
    }
}
