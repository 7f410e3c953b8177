//! One member: its last presence record, how long it counts as present, and when to dial it.

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::dials::Payer;
use crate::limits::Limits;
use crate::router::ids::{ConnId, MemberId};
use crate::router::quiet::Origin;
use crate::router::signed::SignedPresence;
use crate::router::time::Millis;

/// A presence record younger than this keeps an unlinked member present.
const PRESENCE_TTL_MS: u64 = 15_000;
/// How long a member whose socket closed still counts as present.
const CLOSED_GRACE_MS: u64 = 5_000;

/// When a member will be dialled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redial {
    pub(super) at: Millis,
    pub(super) wait_ms: u64,
    pub(super) conn: Option<ConnId>,
    pub(super) next_address: usize,
    /// Who paid for that dial.
    pub(super) paid: Vec<Payer>,
    /// It is not in this room any more, or will not have us: no more dials until it says something.
    pub(super) given_up: bool,
}

/// What is known of a member.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) record: Option<Arc<SignedPresence>>,
    /// Its last presence record before it was put out.
    said_before: Option<Arc<SignedPresence>>,
    pub(super) heard: Millis,
    /// Since when it is known.
    pub(super) since: Millis,
    /// Whose share of the members known it counts for: its own once it was linked, until then that
    /// of whoever told of it first.
    pub(super) origin: Origin,
    pub(super) taught_by: MemberId,
    /// Its addresses came from this very computer, so that loopback ones are valid here.
    pub(super) taught_here: bool,
    pub(super) conn: Option<ConnId>,
    /// The address of its link.
    pub(super) remote: Option<SocketAddr>,
    /// From where it came last.
    pub(super) came_from: Option<IpAddr>,
    /// Where whoever taught its addresses came from.
    pub(super) taught_from: Option<IpAddr>,
    /// Addresses at which it was reached, newest last.
    reached: Vec<SocketAddr>,
    /// When the last link was lost, and whether its socket closed (not just silence).
    pub(super) lost: Option<(Millis, bool)>,
    pub(super) present: bool,
    pub(super) without_link: Millis,
    pub(super) redial: Redial,
}

impl Member {
    pub(super) fn new(now: Millis, taught_by: MemberId, origin: Origin, limits: &Limits) -> Self {
        Self {
            record: None,
            said_before: None,
            heard: now,
            since: now,
            origin,
            taught_by,
            taught_here: false,
            conn: None,
            remote: None,
            came_from: None,
            taught_from: None,
            reached: Vec::new(),
            lost: None,
            present: false,
            without_link: now,
            redial: Redial {
                at: now,
                wait_ms: limits.redial_min_ms,
                conn: None,
                paid: Vec::new(),
                next_address: 0,
                given_up: false,
            },
        }
    }

    /// It is no member any more: it is not here, and not dialled.
    pub(super) fn put_out(&mut self) {
        self.said_before = self.record.take().or(self.said_before.take());
        self.lost = None;
        self.redial.given_up = true;
    }

    /// It may be here again: unless somebody begins, two who cannot dial each other never hear of
    /// each other any more.
    pub(super) fn take_in(&mut self, now: Millis) {
        if self.record.is_none()
            && let Some(record) = self.said_before.take()
        {
            self.record = Some(record);
            self.heard = now;
            self.without_link = now;
        }
    }

    /// It was reached at an address.
    pub(super) fn reach_at(&mut self, address: SocketAddr, limits: &Limits) {
        self.reached.retain(|known| *known != address);
        self.reached.push(address);
        if self.reached.len() > limits.addresses_per_member {
            self.reached.remove(0);
        }
    }

    /// Whether it was reached at an address before.
    pub(super) fn was_reached_at(&self, address: SocketAddr) -> bool {
        self.reached.contains(&address)
    }

    pub(super) fn said_bye(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.body.bye)
    }

    /// Where it says that it can be dialled.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        self.record.as_ref().map_or(&[], |record| &record.body.addresses)
    }

    /// Members that it says it cannot reach.
    pub(super) fn unlinked(&self) -> &[MemberId] {
        self.record.as_ref().map_or(&[], |record| &record.body.unlinked)
    }

    /// Until when it counts as present if nothing more is heard; `None` while it is linked.
    pub(super) fn present_until(&self) -> Option<Millis> {
        if self.conn.is_some() {
            return None;
        }
        if self.said_bye() {
            return Some(Millis(0));
        }
        let grace = match self.lost {
            Some((at, true)) => at.plus(CLOSED_GRACE_MS),
            _ => Millis(0),
        };
        let fresh = self.record.is_some() && self.lost.is_none_or(|(at, _)| self.heard > at);
        let by_record = if fresh { self.heard.plus(PRESENCE_TTL_MS) } else { Millis(0) };
        Some(grace.max(by_record))
    }

    /// Until when others are to hear that there is no link with it, so that they pass on what we
    /// say; `None` while it is linked or gone for good. One that fell silent counts for a while
    /// although it is not present: it may see us fall silent too, and both have to begin somehow.
    pub(super) fn missed_until(&self) -> Option<Millis> {
        let present = self.present_until()?;
        if self.said_bye() {
            return None;
        }
        let missed = match self.lost {
            Some((at, _)) if !self.redial.given_up => at.plus(PRESENCE_TTL_MS),
            _ => Millis(0),
        };
        Some(present.max(missed))
    }

    pub(super) fn wants_dial(&self) -> bool {
        self.conn.is_none()
            && self.redial.conn.is_none()
            && !self.redial.given_up
            && !self.said_bye()
            && !self.addresses().is_empty()
    }
}
