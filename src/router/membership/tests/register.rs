//! The bounded set.

use std::sync::Arc;

use super::super::register::*;
use super::*;

pub(super) type Room = Register<Stored>;

/// A record in the form in which it is stored.
#[derive(Debug)]
pub(super) struct Stored(Record);

impl AsRef<Record> for Stored {
    fn as_ref(&self) -> &Record {
        &self.0
    }
}

pub(super) fn stored(record: &Record) -> Arc<Stored> {
    Arc::new(Stored(record.clone()))
}

pub(super) fn key(number: usize) -> MemberId {
    MemberId(crate::crypto::hash::digest(&[b"member", &number.to_be_bytes()]))
}

pub(super) fn name(number: usize) -> RecordId {
    RecordId(crate::crypto::hash::digest(&[b"record", &number.to_be_bytes()]))
}

/// The ticket of `member` below the member number `by`, whose ticket has the same number.
pub(super) fn numbered(by: usize, member: usize) -> Named {
    let mut ticket = ticket('F', None, 'F', How::Kept);
    ticket.member = key(member);
    if by > 0 {
        (ticket.by, ticket.parent) = (key(by), Some(name(by)));
    }
    (name(member), Record::Ticket(ticket))
}

pub(super) fn insert(room: &mut Room, (id, record): &Named) -> Inserted {
    room.insert(*id, stored(record))
}

pub(super) fn filled(records: &[Named]) -> Room {
    let mut room = Room::new(who(FOUNDER));
    for record in records {
        insert(&mut room, record);
    }
    room
}

/// Whether what the register has kept up to date matches its records.
pub(super) fn is_exact(room: &Room) -> bool {
    let fresh = Membership::of(who(FOUNDER), room.values());
    let living = |judged: &Membership| room.ids().filter(|id| judged.lives(id)).collect::<Vec<_>>();
    room.membership().members().eq(fresh.members()) && living(room.membership()) == living(&fresh)
}

const NEW: Inserted = Inserted::New { evicted: Vec::new() };

#[test]
fn a_record_is_new_once() {
    let mut room = Room::new(who(FOUNDER));
    let empty = room.digest();
    assert_eq!(insert(&mut room, &kept("a", 'F', None, 'A', &[])), NEW);
    assert_eq!(insert(&mut room, &kept("a", 'F', None, 'A', &[])), Inserted::Known);
    assert!(room.membership().is_member(&who('A')) && room.digest() != empty);
    assert_eq!((room.len(), room.is_empty()), (1, false));
    assert_eq!(room.ids().collect::<Vec<_>>(), [id("a")]);
}

#[test]
fn unsound_records_are_refused() {
    let mut room = Room::new(who(FOUNDER));
    let crowd: Vec<Kept> = (0..=KEPT_MAX)
        .map(|number| Kept { member: key(number), below: Below::Founder, pardons: ids(&[]) })
        .collect();
    let lock = |name| lock(name, 'F', &[], true, &[]);
    let (crowded, Record::Lock(mut many)) = lock("crowd") else { panic!("a lock") };
    many.kept = crowd;
    let (standing, Record::Lock(mut wide)) = lock("wide") else { panic!("a lock") };
    wide.standing = (0..=STANDING_MAX).map(name).collect();
    let twice: &[(char, Below, &[&str])] =
        &[('A', Below::Founder, &[]), ('A', Below::Founder, &[])];
    let early: &[(char, Below, &[&str])] =
        &[('A', Below::Kept(who('B')), &[]), ('B', Below::Founder, &[])];
    for (record, why) in [
        ((crowded, Record::Lock(many)), Refused::TooManyKept),
        ((standing, Record::Lock(wide)), Refused::NamesTooMuch),
        (keeping(lock("l1"), twice), Refused::KeptInDisorder),
        (keeping(lock("l2"), early), Refused::KeptInDisorder),
        (keeping(lock("l3"), &[('F', Below::Founder, &[])]), Refused::Founder),
        (kept("f", 'A', None, 'F', &[]), Refused::Founder),
        ((id("s"), Record::Ticket(ticket('A', None, 'B', How::Steward))), Refused::Unsound),
        ((id("i"), Record::Ticket(ticket('A', None, 'B', How::Invitation))), Refused::Unsound),
    ] {
        assert_eq!(insert(&mut room, &record), Inserted::Refused(why));
    }
    assert!(room.is_empty());
}

#[test]
fn of_more_than_a_share_the_smallest_ids_stay_in_whatever_order_they_come() {
    let guests: Vec<Named> = (2..400).map(|number| numbered(1, number)).collect();
    let mut one = filled(&[numbered(0, 1)]);
    let mut other = filled(&[numbered(0, 1)]);
    guests.iter().for_each(|guest| _ = insert(&mut one, guest));
    guests.iter().rev().for_each(|guest| _ = insert(&mut other, guest));
    assert_eq!((one.len(), one.digest()), (1 + TICKETS_MAX, other.digest()));
    let mut names: Vec<RecordId> = guests.iter().map(|(id, _)| *id).collect();
    names.sort_unstable();
    assert!(names[..TICKETS_MAX].iter().all(|id| one.membership().lives(id)));
    let last = guests.iter().find(|(id, _)| *id == names[TICKETS_MAX]).unwrap();
    assert_eq!(insert(&mut one, last), Inserted::Refused(Refused::ShareFull));
    assert_eq!(one.room_for(&key(1)).tickets, 0);
    assert_eq!(one.room_for(&key(1)).acts, ACTS_MAX);
}

#[test]
fn the_kept_count_as_tickets_of_whoever_keeps_them() {
    let mut room = filled(&[numbered(0, 1)]);
    let keeping = |act: usize, count: usize| {
        let list = (0..count).map(|number| Kept {
            member: key(1000 * act + number),
            below: Below::Ticket(name(1)),
            pardons: BTreeSet::new(),
        });
        let (_, Record::Lock(lock)) = lock("l", 'F', &[], true, &[]) else { panic!("a lock") };
        (id(&format!("l{act}")), Record::Lock(Lock { by: key(1), kept: list.collect(), ..lock }))
    };
    insert(&mut room, &keeping(1, 200));
    let left = room.room_for(&key(1));
    assert_eq!((left.tickets, left.acts), (TICKETS_MAX - 200, ACTS_MAX - 1));
    assert_eq!(insert(&mut room, &keeping(2, 57)), Inserted::Refused(Refused::ShareFull));
    assert_eq!(insert(&mut room, &keeping(2, 56)), NEW);
    assert_eq!(insert(&mut room, &keeping(3, 0)), NEW);
}

#[test]
fn the_founder_and_stewards_have_only_the_whole() {
    let mut room = filled(&[]);
    (1..=300).for_each(|number| assert_eq!(insert(&mut room, &numbered(0, number)), NEW));
    let (name, Record::Ticket(named)) = steward("s", 'S', 0) else { panic!("a ticket") };
    insert(&mut room, &(name, Record::Ticket(Ticket { member: key(1), ..named })));
    (301..=600).for_each(|number| assert_eq!(insert(&mut room, &numbered(1, number)), NEW));
    assert_eq!(room.room_for(&key(1)).tickets, TOTAL_MAX - 601);
}

/// A hostile member below the founder lets in more and more keys of its own, each with guests.
fn flood(from: usize, count: usize) -> impl Iterator<Item = Named> {
    (from..from + count).map(|number| match number {
        0..250 => numbered(1, 10_000 + number),
        _ => numbered(10_000 + (number - 250) / 250, 10_000 + number),
    })
}

fn honest() -> Vec<Named> {
    let guests = (100..140).map(|number| numbered(2, number));
    [numbered(0, 1), numbered(0, 2)].into_iter().chain(guests).collect()
}

#[test]
fn a_flood_crowds_out_its_own_branch_only() {
    let mut room = filled(&honest());
    for record in flood(0, 5000) {
        insert(&mut room, &record);
        room.membership();
    }
    assert!(is_exact(&room) && room.len() == TOTAL_MAX);
    let is_in = |room: &Room, number| room.membership().is_member(&key(number));
    assert!((100..140).all(|number| is_in(&room, number)));
    for number in 200..300 {
        insert(&mut room, &numbered(100, number));
        assert!(is_in(&room, number));
    }
    assert!(is_exact(&room) && room.len() == TOTAL_MAX);
    // The register is full because of the flood: only its branch cannot add anything.
    assert!(room.room_for(&key(2)).tickets > 0);
}

#[test]
fn what_gives_way_is_found_once_for_a_list() {
    let mut room = filled(&honest());
    flood(0, 4500).for_each(|record| _ = insert(&mut room, &record));
    // Each guest comes before whoever let it in. One by one they would be records of strangers,
    // which give way first.
    let list: Vec<Named> = (200..220).map(|number| numbered(number + 1, number)).collect();
    let new = room.insert_all(list.iter().map(|(id, record)| (*id, stored(record))));
    assert_eq!(new, [], "nobody knows who let them in");
    let list = list.into_iter().chain([numbered(2, 220)]);
    let new = room.insert_all(list.map(|(id, record)| (id, stored(&record))));
    assert_eq!(new.len(), 21);
    assert!((200..=220).all(|number| room.membership().is_member(&key(number))));
    assert!(is_exact(&room) && room.len() == TOTAL_MAX);
}

#[test]
fn a_ticket_that_others_rest_on_may_come_last() {
    let parts = [
        kept("a", 'F', None, 'A', &[]),
        kept("b", 'A', Some("a"), 'B', &[]),
        lock("l", 'B', &["b", "b2"], true, &[]),
        kept("b2", 'A', Some("a"), 'B', &[]),
    ];
    for last in 0..parts.len() {
        let mut room = filled(&[]);
        let others = parts.iter().enumerate().filter(|(number, _)| *number != last);
        others.for_each(|(_, record)| _ = insert(&mut room, record));
        room.membership();
        insert(&mut room, &parts[last]);
        let judged = room.membership();
        assert!(judged.is_closed() && judged.may_open(&who('A'), &id("l")), "{last}");
    }
    let mut room = filled(&[lock("l", 'A', &["a"], true, &[])]);
    assert!(!room.membership().is_closed());
    insert(&mut room, &parts[0]);
    assert!(room.membership().is_closed());
    insert(&mut room, &lock("o", 'C', &["c"], false, &["l"]));
    assert!(room.membership().is_closed());
    insert(&mut room, &steward("c", 'C', 0));
    assert!(!room.membership().is_closed());
}

#[test]
fn guests_of_a_ticket_that_gave_way_are_out() {
    let mut room = filled(&[numbered(0, 1)]);
    for number in 2..2 + TICKETS_MAX {
        insert(&mut room, &numbered(1, number));
        insert(&mut room, &numbered(number, 1000 + number));
    }
    let full = room.membership().members().count();
    for number in 500..550 {
        insert(&mut room, &numbered(1, number));
        assert!(is_exact(&room), "{number}");
    }
    assert!(room.membership().members().count() < full);
}

#[test]
fn nodes_that_had_other_parts_of_a_flood_agree_on_everybody_honest() {
    let mut one = filled(&honest());
    flood(0, 4500).for_each(|record| _ = insert(&mut one, &record));
    let all: Vec<Named> = flood(1500, 4000).chain(flood(0, 250)).collect();
    let mut other = filled(&[]);
    all.iter().rev().chain(&honest()).for_each(|record| _ = insert(&mut other, record));
    for room in [&one, &other] {
        assert_eq!(room.len(), TOTAL_MAX);
        assert!((100..140).all(|number| room.membership().is_member(&key(number))));
    }
    let known = one.ids().collect();
    for id in other.missing_from(&known) {
        one.insert(id, Arc::clone(other.get(&id).unwrap()));
    }
    assert!((100..140).all(|number| one.membership().is_member(&key(number))));
}

#[test]
fn what_signers_left_that_are_no_members_gives_way_first() {
    let mut room = filled(&honest());
    flood(0, 4500).for_each(|record| _ = insert(&mut room, &record));
    let (_, Record::Removal(removal)) = removal("r", 'F', None, &[]) else { panic!("a removal") };
    let removal = Removal { member: Some(key(1)), ..removal };
    insert(&mut room, &(id("r"), Record::Removal(removal)));
    let honest_guests = (300..340).map(|number| numbered(2, number));
    honest_guests.for_each(|guest| _ = insert(&mut room, &guest));
    let lives = |number| room.membership().is_member(&key(number));
    assert!((300..340).chain(100..140).all(lives) && !lives(1));
    let stranger = numbered(77_777, 77_778);
    assert!(matches!(insert(&mut room, &stranger), Inserted::Refused(_) | Inserted::New { .. }));
    assert!(room.len() <= TOTAL_MAX);
}

#[test]
fn open_tickets_fill_half_at_most() {
    let opened = |number: usize| match numbered(1 + number % 12, 1000 + number) {
        (id, Record::Ticket(ticket)) => (id, Record::Ticket(Ticket { how: How::Open, ..ticket })),
        other => other,
    };
    let mut room = filled(&(1..=12).map(|number| numbered(0, number)).collect::<Vec<_>>());
    for number in 0..12 * 250 {
        insert(&mut room, &opened(number));
        assert!(room.len() <= OPEN_MAX + 12);
    }
    assert_eq!(room.len(), OPEN_MAX + 12);
    assert!(room.room_for(&who(FOUNDER)).open_tickets > 0, "others give way to it");
    assert!((1..=12).all(|number| room.membership().is_member(&key(number))));
}

#[test]
fn what_is_missing_comes_parents_first() {
    let records = [
        kept("z", 'F', None, 'A', &[]),
        kept("y", 'A', Some("z"), 'B', &[]),
        keeping(removal("x", 'A', Some('C'), &[]), &[('D', Below::Ticket(id("y")), &[])]),
        invited("c", ('F', None), 'E', "i", ('A', Some("z"))),
        kept("b", 'X', Some("gone"), 'Y', &[]),
    ];
    let below_kept = kept_id(&id("x"), &who('D'));
    let mut room = filled(&records);
    let last = Ticket { parent: Some(below_kept), ..ticket('D', None, 'G', How::Kept) };
    insert(&mut room, &(id("a"), Record::Ticket(last)));
    let missing = room.missing_from(&ids(&["b"]));
    let place = |name: &str| missing.iter().position(|id| *id == super::id(name)).unwrap();
    assert_eq!(missing.len(), 5);
    assert!(place("z") < place("y") && place("y") < place("x") && place("x") < place("a"));
    assert!(place("z") < place("c"));
}

#[test]
fn a_chain_shows_a_member_to_whoever_knows_nobody() {
    let records = [
        steward("s", 'S', 0),
        kept("a", 'S', None, 'A', &[]),
        kept("b", 'A', Some("a"), 'B', &[]),
        keeping(removal("r", 'A', Some('X'), &[]), &[('C', Below::Ticket(id("a")), &[])]),
        invited("g", ('F', None), 'G', "i", ('B', Some("b"))),
        kept("other", 'F', None, 'O', &[]),
    ];
    let room = filled(&records);
    for (member, count) in [('G', 4), ('C', 3), ('O', 1), ('S', 1), ('F', 0), ('X', 0)] {
        let chain = room.chain_of(&who(member));
        assert_eq!(chain.len(), count, "{member}: {chain:?}");
        let shown = chain.iter().map(|id| (*id, (**room.get(id).unwrap()).as_ref()));
        let judged = Membership::of(who(FOUNDER), shown);
        assert_eq!(judged.is_member(&who(member)), count > 0 || member == 'F');
    }
    let empty = filled(&[]);
    let (id, record) = &records[5];
    assert!(empty.membership_with([(*id, record)]).is_member(&who('O')) && empty.is_empty());
}
