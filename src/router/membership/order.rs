//! Which records a ticket depends on, and in which order to send records so that none has to wait.

use std::collections::{BTreeMap, BTreeSet};

use super::judged::Membership;
use super::record::{Below, How, Record};
use crate::router::ids::RecordId;

/// `records`, each preceded by those of them that it depends on; otherwise in the given order. Uses
/// a stack of its own, because waiting records may be deeper than counted ones.
pub(super) fn parents_first(
    membership: &Membership,
    records: &[(RecordId, &Record)],
) -> Vec<RecordId> {
    let values: BTreeMap<RecordId, &Record> = records.iter().copied().collect();
    let mut entered = BTreeSet::new();
    let mut ordered = Vec::with_capacity(records.len());
    let mut stack: Vec<(RecordId, bool)> =
        records.iter().rev().map(|(id, _)| (*id, false)).collect();
    while let Some((id, parents_done)) = stack.pop() {
        if parents_done {
            ordered.push(id);
        } else if entered.insert(id) {
            stack.push((id, true));
            let Some(record) = values.get(&id) else { continue };
            let parents = hangs_on(record)
                .into_iter()
                .map(|ticket| membership.ticket(&ticket).map_or(ticket, |seat| seat.record));
            let lacking = parents.filter(|id| values.contains_key(id) && !entered.contains(id));
            stack.extend(lacking.map(|id| (id, false)));
        }
    }
    ordered
}

/// The tickets that a record names and waits for.
fn hangs_on(record: &Record) -> Vec<RecordId> {
    let kept = record.kept().iter().filter_map(|kept| match kept.below {
        Below::Ticket(id) => Some(id),
        Below::Founder | Below::Kept(_) => None,
    });
    let mut tickets: Vec<RecordId> = kept.collect();
    if let Record::Ticket(ticket) = record {
        tickets.extend(ticket.parent);
        tickets.extend(ticket.invited.and_then(|invited| invited.standing));
    }
    tickets
}

/// The records that a ticket depends on, including its own: tickets above it, those of answerers,
/// and those of stewards that signed one of these without being on the way.
pub(super) fn chain(membership: &Membership, ticket: &RecordId) -> BTreeSet<RecordId> {
    let mut records = BTreeSet::new();
    let mut entered = BTreeSet::new();
    let mut stack = vec![*ticket];
    while let Some(id) = stack.pop() {
        let Some(node) = membership.tree().find(&id).filter(|_| entered.insert(id)) else {
            continue;
        };
        records.insert(node.seat.record);
        stack.extend(node.seat.parent);
        stack.extend(node.seat.invited.and_then(|invited| invited.standing));
        if membership.tree().path(node).all(|upper| upper.member != node.by) {
            let issuer = membership.tickets_of(&node.seat.by);
            stack.extend(issuer.filter(|seat| seat.how == How::Steward).map(|seat| seat.id));
        }
    }
    records
}
