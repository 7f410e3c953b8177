//! `/steward`: members that the founder puts above all others, and how that ends.

use std::collections::BTreeSet;

use super::signing::{kept_below, kept_ticket};
use super::{Registry, Scene};
use crate::router::context::Context;
use crate::router::ids::{MemberId, RecordId};
use crate::router::membership::Membership;
use crate::router::membership::record::{How, Kept, Record, Removal, Ticket};
use crate::router::notice::{Code, Failure};

impl Registry {
    /// Puts `member` above everybody, or takes that back.
    pub(crate) fn change_steward(
        &mut self,
        at: &mut Scene<'_>,
        member: MemberId,
        off: bool,
    ) -> Result<(), Failure> {
        let founder = self.founder();
        if founder != self.me {
            let text = format!(
                "only {}, whose room it is, can name stewards",
                at.members.who(&founder).marked()
            );
            return Err(Failure::new(Code::NotAbove, text));
        }
        let name = at.members.who(&member).marked();
        let before = self.membership().clone();
        let stewards = before.stewards();
        if stewards.contains(&member) != off || member == self.me {
            let is = if off { "is not a steward" } else { "is above everybody already" };
            return Err(Failure::new(Code::Usage, format!("{name} {is}")));
        }
        // Who was a steward before was removed as one: that is over, whichever way it goes now.
        let removals = before.removals_of(&member);
        let pardons: BTreeSet<RecordId> = removals.into_iter().map(|(id, _)| id).collect();
        if !off {
            let ranks = self.records().filter_map(|record| match &record.record {
                Record::Ticket(Ticket { how: How::Steward, rank, .. }) => Some(*rank),
                _ => None,
            });
            let rank = ranks.max().unwrap_or(0).saturating_add(1);
            let mut ticket = kept_ticket(self.me, None, member, pardons);
            if let Record::Ticket(ticket) = &mut ticket {
                (ticket.how, ticket.rank) = (How::Steward, rank);
            }
            self.register_own(at, ticket);
            self.keep_through_naming(at, &before);
            return Ok(());
        }
        let mut removal = Removal {
            by: self.me,
            member: Some(member),
            invitations: BTreeSet::new(),
            earlier: self.removals_by(&self.me, &member),
            kept: Vec::new(),
        };
        let mut own: Vec<Kept> = kept_below([member], None);
        own.iter_mut().for_each(|kept| kept.pardons.clone_from(&pardons));
        removal.kept.clone_from(&own);
        let plan = self.plan_keep(&Record::Removal(removal.clone()), &|_| true);
        removal.kept = own;
        removal.kept.extend(plan.into_iter().filter(|kept| kept.member != member));
        let removal = self.register_own_keeping(at, Record::Removal(removal));
        self.must_hold(&removal, "change the stewards")?;
        self.keep_out_after_steward(at, &before)
    }

    /// What a new steward did before reaches everybody now: who was in in spite of it stays in.
    fn keep_through_naming(&mut self, at: &mut Scene<'_>, before: &Membership) {
        let lost = before.members().filter(|id| !self.is_member(id));
        for member in lost.collect::<Vec<_>>() {
            if let Err(failure) = self.take_in_again(at, member) {
                at.cx.complain(failure);
            }
        }
    }

    /// What a steward did reaches nobody any more: whom it had put out stays out, and what it had
    /// closed stays closed.
    fn keep_out_after_steward(
        &mut self,
        at: &mut Scene<'_>,
        before: &Membership,
    ) -> Result<(), Failure> {
        let after = self.membership();
        let back: Vec<MemberId> = after.members().filter(|id| !before.is_member(id)).collect();
        let mut result = Ok(());
        if before.is_closed() && !self.is_closed() {
            result = self.close_room(at, None, &[]);
        }
        for member in back {
            if self.is_member(&member) {
                result = result.and(self.throw_out(at, member).map(drop));
            }
        }
        result
    }

    /// A founder whose disk dies can never remove anybody again, nor can anybody else.
    pub(crate) fn propose_steward(&mut self, cx: &mut Context) {
        let membership = self.membership();
        let many = membership.members().count() > 2;
        let alone = membership.founder() == self.me && membership.stewards().is_empty();
        if membership.is_closed()
            && many
            && alone
            && !cx.config.temporary
            && !std::mem::replace(&mut self.steward_proposed, true)
        {
            cx.remark(
                "only you can remove people from this room: /steward <nick> lets somebody you \
                 trust do that too, in case you lose this computer",
            );
        }
    }
}
