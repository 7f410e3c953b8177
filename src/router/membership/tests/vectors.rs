//! Sets of records with the members, closings and passwords that an independent model of the rules
//! derives from them: `tests/vectors/membership.json`.
//!
//! Each set is a list of records and what they come to. A record is `["t", id, by, parent,
//! member, how, rank, knows, pardons, invitation, answerer, standing]`, `["r", id, by, member,
//! invitations, kept]` or `["l", id, by, standing, closed, password, over, kept]`; one kept is
//! `[member, below, pardons]`, below a ticket or `"@"` and a letter. Ids are hex without the
//! zeros at their ends, people are letters.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{FOUNDER, who};
use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId};
use crate::router::membership::Membership;
use crate::router::membership::record::{Below, How, Invited, Kept, Lock, Record, Removal, Ticket};

#[test]
fn the_model_finds_the_same_members() {
    let sets: Vec<Value> =
        serde_json::from_str(include_str!("../../../../tests/vectors/membership.json")).unwrap();
    assert_eq!(sets.len(), 300);
    for (number, set) in sets.iter().enumerate() {
        assert_eq!(compare(set), None, "set {number}: {set}");
    }
}

/// Describes a difference, if there is one.
pub(super) fn compare(set: &Value) -> Option<String> {
    let records: Vec<(RecordId, Record)> = list(&set[0]).iter().map(record).collect();
    let room = Membership::of(who(FOUNDER), records.iter().map(|(id, record)| (*id, record)));
    let want = &set[1];
    let kept = records
        .iter()
        .flat_map(|(id, record)| record.kept().iter().map(|kept| super::kept_id(id, &kept.member)));
    let tickets: BTreeSet<RecordId> = records.iter().map(|(id, _)| *id).chain(kept).collect();
    let living: BTreeSet<RecordId> = tickets.into_iter().filter(|id| room.lives(id)).collect();
    let found = [
        ("living", living == ids(&want["living"])),
        ("members", room.members().eq(people(&want["members"]))),
        (
            "closings",
            room.closings().map(|closing| closing.id).collect::<BTreeSet<_>>()
                == ids(&want["closings"]),
        ),
        ("password", room.password().map(|(lock, _)| lock) == maybe(&want["password"])),
        ("stewards", room.stewards() == people(&want["stewards"]).collect::<Vec<_>>()),
        ("holds", room.holds().collect::<BTreeSet<_>>() == ids(&want["holds"])),
        (
            "above",
            entries(&want["above"]).all(|(ticket, above)| {
                room.above(&id(ticket)) == people(above).collect::<Vec<_>>()
            }),
        ),
        (
            "may_open",
            entries(&want["may_open"]).all(|(member, closings)| {
                let may = |closing: &RecordId| room.may_open(&letter(member), closing);
                room.all_closings().into_iter().filter(may).collect::<BTreeSet<_>>()
                    == ids(closings)
            }),
        ),
        (
            "new",
            entries(&want["new"])
                .all(|(member, new)| room.acts_new_to(&letter(member)) == ids(new)),
        ),
    ];
    found.iter().find(|(_, same)| !same).map(|(what, _)| (*what).to_owned())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn id(hex: &str) -> RecordId {
    RecordId::from_hex(&format!("{hex:0<64}")).unwrap()
}

fn maybe(value: &Value) -> Option<RecordId> {
    value.as_str().map(id)
}

fn ids(value: &Value) -> BTreeSet<RecordId> {
    list(value).iter().filter_map(maybe).collect()
}

fn letter(text: &str) -> MemberId {
    who(text.chars().next().unwrap())
}

fn person(value: &Value) -> Option<MemberId> {
    value.as_str().map(letter)
}

fn people(value: &Value) -> impl Iterator<Item = MemberId> {
    value.as_str().unwrap().chars().map(who)
}

fn record(value: &Value) -> (RecordId, Record) {
    let name = maybe(&value[1]).unwrap();
    let by = person(&value[2]).unwrap();
    let record = match value[0].as_str().unwrap() {
        "t" => Record::Ticket(ticket(value, by)),
        "r" => Record::Removal(Removal {
            by,
            member: person(&value[3]),
            invitations: ids(&value[4]).into_iter().map(|id| InvitationId(id.0)).collect(),
            earlier: 0,
            kept: list(&value[5]).iter().map(kept).collect(),
        }),
        _ => Record::Lock(Lock {
            by,
            standing: ids(&value[3]),
            closed: value[4].as_bool().unwrap(),
            password: maybe(&value[5]).map(|id| Digest32(id.0)),
            over: ids(&value[6]),
            kept: list(&value[7]).iter().map(kept).collect(),
        }),
    };
    (name, record)
}

fn ticket(value: &Value, by: MemberId) -> Ticket {
    let how = match value[5].as_str().unwrap() {
        "open" => How::Open,
        "password" => How::Password,
        "invitation" => How::Invitation,
        "kept" => How::Kept,
        _ => How::Steward,
    };
    let invited = maybe(&value[9]).map(|invitation| Invited {
        invitation: InvitationId(invitation.0),
        answerer: person(&value[10]).unwrap(),
        standing: maybe(&value[11]),
    });
    Ticket {
        by,
        parent: maybe(&value[3]),
        member: person(&value[4]).unwrap(),
        how,
        rank: u32::try_from(value[6].as_u64().unwrap()).unwrap(),
        knows: ids(&value[7]),
        pardons: ids(&value[8]),
        invited,
    }
}

fn kept(value: &Value) -> Kept {
    let below = match value[1].as_str() {
        None => Below::Founder,
        Some(below) => match below.strip_prefix('@') {
            Some(member) => Below::Kept(letter(member)),
            None => Below::Ticket(id(below)),
        },
    };
    Kept { member: person(&value[0]).unwrap(), below, pardons: ids(&value[2]) }
}
