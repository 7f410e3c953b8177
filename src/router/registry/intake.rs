//! New records and secrets, from links or of this node's own, and what follows from them.

use std::sync::Arc;

use super::secrets::Live;
use super::{Registry, Scene};
use crate::crypto::invite::FindKey;
use crate::crypto::opaque::PasswordData;
use crate::router::context::Context;
use crate::router::ids::{ConnId, MemberId, RecordId};
use crate::router::membership::lost_between;
use crate::router::message::Refusal;
use crate::router::order::Order;
use crate::router::signed::{SignedInvitation, SignedRecord};
use crate::router::time::Millis;
use crate::router::timers::Timer;
use crate::router::tokens::Tokens;

/// Intakes of others' removals and locks: each has the membership judged anew. A person makes few.
const INTAKES_PER_S: u32 = 10;
/// The same at once.
const INTAKES_BURST: u32 = 64;
/// Records that wait. More are taken in at once.
const WAITING_MAX: usize = 4_096;

/// Records from links that wait to be taken in together.
#[derive(Debug)]
pub(super) struct Intake {
    tokens: Tokens,
    waiting: Vec<Arc<SignedRecord>>,
}

impl Default for Intake {
    fn default() -> Self {
        let tokens = Tokens::new(INTAKES_PER_S, INTAKES_BURST, Millis(0));
        Self { tokens, waiting: Vec::new() }
    }
}

impl Intake {
    /// What waited was of the room left behind; how much was taken in still counts.
    pub(super) fn rested(&mut self, old: Self) {
        self.tokens = old.tokens;
    }
}

impl Registry {
    /// Whether records with removals or locks, from a link, are taken in now. If not, they wait for
    /// [`Self::take_waiting`]: others decide how often such come.
    pub(crate) fn admits(&mut self, cx: &mut Context, records: &[Arc<SignedRecord>]) -> bool {
        let new = |record: &Arc<SignedRecord>| record.is_act() && !self.holds(&record.id);
        if !records.iter().any(new) {
            return true;
        }
        let intake = &mut self.intake;
        let crowded = intake.waiting.len() + records.len() > WAITING_MAX;
        if crowded || intake.waiting.is_empty() && intake.tokens.take(1, cx.now) {
            return true;
        }
        intake.waiting.extend_from_slice(records);
        let wait_ms = intake.tokens.wait_ms(1, cx.now);
        cx.timers.set(Timer::Records, Some(cx.now.plus(wait_ms)));
        false
    }

    /// What waited to be taken in.
    pub(crate) fn take_waiting(&mut self, now: Millis) -> Vec<Arc<SignedRecord>> {
        self.intake.tokens.take(1, now);
        std::mem::take(&mut self.intake.waiting)
    }

    /// How many records wait, and how many may.
    pub(crate) fn records_waiting(&self) -> (usize, usize) {
        (self.intake.waiting.len(), WAITING_MAX)
    }

    /// Takes in records, from a link or of this node's own.
    pub(crate) fn take_in(
        &mut self,
        at: &mut Scene<'_>,
        records: &[Arc<SignedRecord>],
        from: Option<ConnId>,
    ) {
        if records.iter().all(|record| self.holds(&record.id)) {
            return;
        }
        let before = self.membership().clone();
        let mut new = self.insert_all(records);
        if new.is_empty() {
            return;
        }
        // Visitors whom a closing or a removal by somebody beside them does not reach are members:
        // now others have to know it.
        new.extend(self.insert_all(&self.tickets_to_show(&self.links.members())));
        let ended = self.forget_old_secrets();
        self.links.mark_records(&new, from);
        self.links.mark_secrets(at.cx);
        let after = self.membership().clone();
        let losses = lost_between(&before, &after);
        self.tell_changes(at, (&before, &after), &new, &losses);
        self.losses.extend(losses);
        self.changes += 1;
        at.cx.order(Order::CloseOutsiders);
        self.tell_of_invitations(at.cx, &ended, &new);
    }

    /// A link is up: the peer may be a visitor whom a closing does not reach, which nobody needed
    /// to know before.
    pub(crate) fn show_who_came(&mut self, at: &mut Scene<'_>) {
        let tickets = self.tickets_to_show(&self.links.members());
        self.take_in(at, &tickets, None);
    }

    /// Links with non-members, and the refusal for each. A member that went out along with
    /// somebody else has to hear of that one.
    pub(crate) fn take_outsiders(&mut self) -> Vec<(ConnId, Refusal)> {
        let losses = std::mem::take(&mut self.losses);
        let why = |member: &MemberId| {
            let record = self.may_link(member).err()?;
            let loss = losses.iter().find(|loss| loss.member == *member);
            let cause = loss.and_then(|loss| loss.cause.record());
            let cause = cause.and_then(|id| self.record(&id).cloned());
            Some(self.refusal_of(cause.or(record)))
        };
        self.links.up().filter_map(|(conn, member)| Some((conn, why(&member)?))).collect()
    }

    // Secrets.

    /// A member told password data.
    pub(crate) fn password_told(&mut self, cx: &mut Context, lock: RecordId, data: PasswordData) {
        if self.learn_password(lock, data) {
            self.links.mark_secrets(cx);
        }
    }

    /// An invitation was told or made; whether it was new and had a place.
    pub(crate) fn invitation_told(
        &mut self,
        cx: &mut Context,
        invitation: Arc<SignedInvitation>,
        find: FindKey,
    ) -> bool {
        let new = self.learn_invitation(Live { invitation, find }, cx.wall_ms());
        if new {
            self.links.mark_secrets(cx);
        }
        new
    }
}
