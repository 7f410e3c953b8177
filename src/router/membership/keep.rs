//! Whom a removal or a lock keeps: those who would drop out by it but should stay.

use std::collections::{BTreeMap, BTreeSet};

use super::judged::{Membership, SignsAs};
use super::record::{Below, Kept, Record};
use super::seat::{DEPTH_MAX, kept_id};
use super::tree::TicketNode;
use crate::router::ids::{MemberId, RecordId};

/// Members that would be deeper than this are kept below the author instead, so that there is
/// always room below them.
const KEPT_DEPTH_MAX: usize = DEPTH_MAX / 2;

/// Stands for the act being planned, which has no id before it is signed.
const PLANNED: RecordId = RecordId([0xff; 32]);

/// The members that `act`, a removal or a lock that keeps nobody yet, should keep: everybody who
/// would drop out by it but should stay by `stay`. Each keeps its pardons and its place, below the
/// nearest holder above it that stays and is below the author, or else below the author. Parents
/// come before children.
///
/// Nobody else is named: a member drops out if the author cannot keep it, because its pardon for a
/// removal by somebody above the author counts only at its old place.
pub fn plan_keep<'a>(
    founder: MemberId,
    records: impl IntoIterator<Item = (RecordId, &'a Record)>,
    act: &Record,
    stay: &dyn Fn(&MemberId) -> bool,
) -> Vec<Kept> {
    let records: Vec<(RecordId, &Record)> = records.into_iter().collect();
    let with = |act: &Record| {
        let all = records.iter().map(|(id, record)| (*id, *record)).chain([(PLANNED, act)]);
        Membership::of(founder, all)
    };
    let before = Membership::of(founder, records.iter().map(|(id, record)| (*id, *record)));
    let after = with(act);
    let author = act.by();
    let below_author = match after.standing(&author) {
        SignsAs::Founder => (Below::Founder, 0),
        SignsAs::Ticket(id) => (Below::Ticket(id), after.depth(&id)),
        SignsAs::Outside => return Vec::new(),
    };
    let mut plan = KeepPlan { after: &after, author, below_author, planned: BTreeMap::new() };
    let mut gone: Vec<(&TicketNode, MemberId)> = before
        .members()
        .filter(|member| !after.is_member(member) && *member != author && stay(member))
        .filter_map(|member| Some((before.living(&member).next()?, member)))
        .collect();
    gone.sort_by_key(|(node, member)| (node.depth, *member));
    let kept: Vec<Kept> = gone.iter().map(|(node, _)| plan.keep(&before, node)).collect();
    let kept_in = |kept: &[Kept]| {
        let mut act = act.clone();
        match &mut act {
            Record::Removal(removal) => removal.kept = kept.to_vec(),
            Record::Lock(lock) => lock.kept = kept.to_vec(),
            Record::Ticket(_) => {}
        }
        with(&act)
    };
    let result = kept_in(&kept);
    kept.into_iter().filter(|kept| result.lives(&kept_id(&PLANNED, &kept.member))).collect()
}

struct KeepPlan<'a> {
    after: &'a Membership,
    author: MemberId,
    below_author: (Below, usize),
    /// Those kept so far, with their depths.
    planned: BTreeMap<MemberId, usize>,
}

impl KeepPlan<'_> {
    /// Finds a place for the holder of `node`.
    fn keep(&mut self, before: &Membership, node: &TicketNode) -> Kept {
        let holders = before.tree().path(node).map(|upper| upper.seat.member);
        let (below, depth) = holders
            .take_while(|holder| *holder != self.author)
            .find_map(|holder| self.below(&holder))
            .filter(|(_, depth)| *depth < KEPT_DEPTH_MAX)
            .unwrap_or(self.below_author);
        self.planned.insert(node.seat.member, depth + 1);
        let pardons: BTreeSet<RecordId> = node.pardons.iter().copied().collect();
        Kept { member: node.seat.member, below, pardons }
    }

    /// The place below `holder`, and its depth, if it stays and the author is above it.
    fn below(&self, holder: &MemberId) -> Option<(Below, usize)> {
        if let Some(depth) = self.planned.get(holder) {
            return Some((Below::Kept(*holder), *depth));
        }
        let mut tickets = self.after.tickets_of(holder);
        let seat = tickets.find(|seat| self.after.is_above(&self.author, &seat.id))?;
        Some((Below::Ticket(seat.id), self.after.depth(&seat.id)))
    }
}
