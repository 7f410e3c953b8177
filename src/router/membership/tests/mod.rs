//! Tests of membership. People are letters, and records have short names that sort as they read.

mod keeping;
mod property;
mod register;
mod shares;
mod stories;
mod vectors;

use std::collections::BTreeSet;

use super::record::{Below, How, Invited, Kept, Lock, Record, Removal, Ticket};
use super::*;
use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId};

/// The founder of every room here.
const FOUNDER: char = 'F';

type Named = (RecordId, Record);

fn who(letter: char) -> MemberId {
    MemberId([letter as u8; 32])
}

/// The id with this name, padded with zeros.
fn id(name: &str) -> RecordId {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    RecordId(bytes)
}

fn ids(names: &[&str]) -> BTreeSet<RecordId> {
    names.iter().map(|name| id(name)).collect()
}

fn invitation(name: &str) -> InvitationId {
    InvitationId(id(name).0)
}

fn hash(name: &str) -> Digest32 {
    Digest32(id(name).0)
}

fn ticket(by: char, parent: Option<&str>, member: char, how: How) -> Ticket {
    Ticket {
        by: who(by),
        parent: parent.map(id),
        member: who(member),
        how,
        rank: 0,
        knows: BTreeSet::new(),
        pardons: BTreeSet::new(),
        invited: None,
    }
}

fn open(name: &str, by: char, parent: Option<&str>, member: char, knows: &[&str]) -> Named {
    let ticket = ticket(by, parent, member, How::Open);
    (id(name), Record::Ticket(Ticket { knows: ids(knows), ..ticket }))
}

fn kept(name: &str, by: char, parent: Option<&str>, member: char, pardons: &[&str]) -> Named {
    let ticket = ticket(by, parent, member, How::Kept);
    (id(name), Record::Ticket(Ticket { pardons: ids(pardons), ..ticket }))
}

fn steward(name: &str, member: char, rank: u32) -> Named {
    let ticket = ticket(FOUNDER, None, member, How::Steward);
    (id(name), Record::Ticket(Ticket { rank, ..ticket }))
}

/// The ticket of a guest that `answerer` let in under its ticket `standing`.
fn invited(
    name: &str,
    maker: (char, Option<&str>),
    guest: char,
    by: &str,
    (answerer, standing): (char, Option<&str>),
) -> Named {
    let ticket = ticket(maker.0, maker.1, guest, How::Invitation);
    let invited =
        Invited { invitation: invitation(by), answerer: who(answerer), standing: standing.map(id) };
    (id(name), Record::Ticket(Ticket { invited: Some(invited), ..ticket }))
}

fn removal(name: &str, by: char, member: Option<char>, invitations: &[&str]) -> Named {
    let removal = Removal {
        by: who(by),
        member: member.map(who),
        invitations: invitations.iter().map(|name| invitation(name)).collect(),
        earlier: 0,
        kept: Vec::new(),
    };
    (id(name), Record::Removal(removal))
}

/// A lock that sets the password with its own name, if it closes.
fn lock(name: &str, by: char, standing: &[&str], closed: bool, over: &[&str]) -> Named {
    let lock = Lock {
        by: who(by),
        standing: ids(standing),
        closed,
        password: closed.then(|| hash(name)),
        over: ids(over),
        kept: Vec::new(),
    };
    (id(name), Record::Lock(lock))
}

fn keeping((id, mut record): Named, list: &[(char, Below, &[&str])]) -> Named {
    let list = list.iter().map(|(member, below, pardons)| Kept {
        member: who(*member),
        below: *below,
        pardons: ids(pardons),
    });
    match &mut record {
        Record::Removal(removal) => removal.kept = list.collect(),
        Record::Lock(lock) => lock.kept = list.collect(),
        Record::Ticket(_) => panic!("a ticket keeps nobody"),
    }
    (id, record)
}

fn room(records: &[Named]) -> Membership {
    Membership::of(who(FOUNDER), records.iter().map(|(id, record)| (*id, record)))
}

/// The members without the founder, as letters.
fn members(room: &Membership) -> String {
    room.members().filter(|id| *id != who(FOUNDER)).map(|id| char::from(id.0[0])).collect()
}

fn password(room: &Membership) -> Option<RecordId> {
    room.password().map(|(lock, _)| lock)
}

/// Everybody above the ticket along parents and along answerers, including those.
fn reached_by(room: &Membership, ticket: &RecordId) -> BTreeSet<MemberId> {
    let mut reached: BTreeSet<MemberId> = room.above(ticket).into_iter().collect();
    let Some(seat) = room.ticket(ticket) else { return reached };
    let standing = seat.invited.and_then(|invited| invited.standing);
    reached.extend(seat.invited.map(|invited| invited.answerer));
    for upper in seat.parent.into_iter().chain(standing) {
        reached.extend(reached_by(room, &upper));
    }
    reached
}
