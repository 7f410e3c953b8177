//! Admission of newcomers: by which way they may come in, and how others are refused.

use std::sync::Arc;

use super::{Registry, lets_in};
use crate::router::event::{Entrance, Findable, Home};
use crate::router::ids::{InvitationId, MemberId, RecordId};
use crate::router::membership::Membership;
use crate::router::membership::record::How;
use crate::router::message::{Brings, Refusal, Why};
use crate::router::signed::{Claim, SignedRecord};

impl Registry {
    /// The way in for a newcomer that brings this.
    ///
    /// # Errors
    /// Why nobody is let in that way.
    pub(crate) fn entrance(&self, brings: Brings, now_ms: i64) -> Result<Entrance, Why> {
        // A non-member of a closed room admits nobody.
        if self.is_closed() && !self.is_member(&self.me) {
            return Err(Why::Locked);
        }
        if self.my_standing().is_none() {
            return Err(Why::Busy);
        }
        if !self.has_room_for_ticket() {
            return Err(Why::Full);
        }
        Ok(match brings {
            Brings::Nothing => Entrance::Open,
            Brings::Password => {
                Entrance::Password(self.password_data().cloned().ok_or(Why::NoPassword)?)
            }
            Brings::Invitation => Entrance::Invitations(self.findable(now_ms)),
        })
    }

    /// What a newcomer is shown of the room.
    pub(crate) fn home(&self) -> Home {
        let (room, chain) = (self.room(), self.my_chain());
        Home { room, founder: self.founder, nonce: self.nonce, chain }
    }

    fn findable(&self, now_ms: i64) -> Vec<Findable> {
        let live = self.invitations().map(|live| Findable {
            invitation: live.invitation.clone(),
            find: live.find.clone(),
            // Whether it is used up is looked at when its guest is known.
            over: self
                .why_over(&live.invitation, None, now_ms)
                .filter(|why| *why != Why::InvitationUsed),
            chain: self.chain_of(&live.invitation.body.maker),
        });
        live.collect()
    }

    /// Why a newcomer is not let in, now that it proved who it is. `knows`: it has the room's
    /// records; who has not cannot check one.
    pub(crate) fn refuses_newcomer(
        &self,
        member: &MemberId,
        invitation: Option<&InvitationId>,
        (knows, now_ms): (bool, i64),
    ) -> Option<Refusal> {
        let live = invitation.and_then(|id| self.invitation(id));
        let over = live.and_then(|of| self.why_over(&of.invitation, Some(member), now_ms));
        if let Some(why) = over {
            return Some(Refusal::of(why));
        }
        let issuer = match (invitation, live) {
            (_, Some(live)) => (live.invitation.body.maker, live.invitation.body.ticket),
            (Some(_), None) => (self.me, None),
            (None, None) => (self.me, self.my_standing().flatten()),
        };
        let record = self.removal_against(member, issuer)?;
        Some(Refusal { record: Some(record).filter(|_| knows), ..Refusal::of(Why::Removed) })
    }

    /// What is said to somebody who is no member: it is shown who put it out.
    pub(crate) fn refusal_of(&self, record: Option<Arc<SignedRecord>>) -> Refusal {
        let removed = record.as_ref().is_some_and(|of| of.is_removal());
        let why = if removed { Why::Removed } else { Why::NotMember };
        let by = record.as_ref().map(|record| record.record.by());
        let steward = by.and_then(|by| self.steward_ticket_of(&by));
        Refusal { why, wait_ms: None, record, steward }
    }

    /// Why the way by which `member` came was shut while it came. `lock`: whose password it gave.
    pub(crate) fn is_shut_again(
        &self,
        member: &MemberId,
        (how, claim): (How, Option<&Claim>),
        lock: Option<RecordId>,
        now_ms: i64,
    ) -> Option<Why> {
        match (how, claim) {
            // A ticket that is made now would know the closing, and so outlive it.
            (How::Open, _) => self.is_closed().then_some(Why::Busy),
            // It tries again, and the password is wrong now.
            (How::Password, _) => {
                (lock.is_none() || lock != self.password_lock()).then_some(Why::Busy)
            }
            (_, Some(claim)) => self.why_over(&claim.invitation, Some(member), now_ms),
            _ => None,
        }
    }

    /// Whether these are members by what is shown of a room, and by what is known of it if it is
    /// this one.
    pub(crate) fn are_members_of(&self, home: &Home, who: &[MemberId]) -> bool {
        let shown = home.chain.iter().map(|record| (record.id, &record.record));
        let known = self.records().filter(|_| home.room == self.room());
        let known = known.map(|record| (record.id, &record.record));
        let membership = Membership::of(home.founder, shown.chain(known));
        who.iter().all(|member| membership.is_member(member))
    }

    /// Whether a record from a refusal, which puts this node out, counts: it is by a member,
    /// or by whom the founder made a steward.
    pub(crate) fn heeds(&self, record: &SignedRecord, steward: Option<&SignedRecord>) -> bool {
        let by = record.record.by();
        let named =
            steward.is_some_and(|of| of.record.by() == self.founder && lets_in(&of.record, &by));
        named || self.is_member(&by)
    }
}
