//! Who gives way when the register is full, when some want to make others give way.

use proptest::prelude::*;

use super::super::dominators::Graph;
use super::super::register::*;
use super::register::{Room, insert, is_exact, key, name, numbered};
use super::*;

const ANA: usize = 1;
const EVE: usize = 2;
const BOB: usize = 3;
/// Bob's guests; he removed the first.
const GUESTS: std::ops::Range<usize> = 100..140;
/// Eve's own keys.
const PUPPETS: usize = 10_000;

/// An id so small that only grinding finds it.
fn small(number: usize) -> RecordId {
    let mut id = name(number);
    (id.0[0], id.0[1]) = (0, 0);
    id
}

fn signed(by: usize, parent: Option<RecordId>, member: usize, how: How) -> Ticket {
    Ticket { by: key(by), parent, member: key(member), ..ticket('F', None, 'F', how) }
}

/// The founder let in ana and eve, and ana let in bob; bob removed a guest and closed the room.
fn honest() -> Vec<Named> {
    let (removed, closed) = (id("removal"), id("\u{7f}closing"));
    let mut records = vec![numbered(0, ANA), numbered(0, EVE), numbered(ANA, BOB)];
    records.extend(GUESTS.map(|guest| {
        (name(guest), Record::Ticket(signed(BOB, Some(name(BOB)), guest, How::Password)))
    }));
    let (_, Record::Removal(removal)) = removal("r", 'F', None, &[]) else { panic!("a removal") };
    let member = Some(key(GUESTS.start));
    records.push((removed, Record::Removal(Removal { by: key(BOB), member, ..removal })));
    let (_, Record::Lock(lock)) = lock("l", 'F', &[], true, &[]) else { panic!("a lock") };
    let kept = GUESTS.skip(1).take(30).map(|guest| Kept {
        member: key(guest),
        below: Below::Ticket(name(BOB)),
        pardons: BTreeSet::new(),
    });
    let (standing, over) = (BTreeSet::from([name(BOB)]), BTreeSet::from([removed]));
    let lock = Lock { by: key(BOB), standing, over, kept: kept.collect(), ..lock };
    records.push((closed, Record::Lock(lock)));
    records
}

/// Every puppet lets in `each` more keys.
fn crowd(puppets: usize, each: usize, ticket: fn(usize) -> RecordId) -> Vec<Named> {
    let pairs = (0..puppets).flat_map(|puppet| (0..each).map(move |number| (puppet, number)));
    let ticket = |(puppet, number): (usize, usize)| {
        let (puppet, member) = (PUPPETS + puppet, 100_000 + 1_000 * puppet + number);
        let record = signed(puppet, Some(ticket(puppet)), member, How::Kept);
        (name(member), Record::Ticket(record))
    };
    pairs.map(ticket).collect()
}

/// Puts the records into a register, and checks that no honest one gives way.
fn holds(records: &[Named]) -> Room {
    let mut room = Room::new(who(FOUNDER));
    let honest = honest();
    for record in honest.iter().chain(records) {
        insert(&mut room, record);
        room.membership();
    }
    assert_eq!((total(&room), is_exact(&room)), (TOTAL_MAX, true));
    for (number, (id, _)) in honest.iter().enumerate() {
        assert!(room.get(id).is_some(), "record {number} gave way");
    }
    let membership = room.membership();
    assert!(membership.is_closed() && !membership.is_member(&key(GUESTS.start)));
    assert!(GUESTS.skip(1).all(|guest| membership.is_member(&key(guest))));
    room
}

fn total(room: &Room) -> usize {
    room.values().map(|(_, record)| 1 + record.kept().len()).sum()
}

/// Like [`holds`], in several orders; then the nodes show each other their records.
fn agree(records: &[Named]) {
    let one = holds(records);
    let turned: Vec<Named> = records.iter().rev().cloned().collect();
    let other = holds(&turned);
    let mut both = records.to_vec();
    let known = one.ids().collect();
    both.extend(other.missing_from(&known).iter().filter_map(|id| {
        let (_, record) = records.iter().find(|(named, _)| named == id)?;
        Some((*id, record.clone()))
    }));
    holds(&both);
}

fn gift() -> Named {
    (small(0), Record::Ticket(signed(EVE, Some(name(EVE)), BOB, How::Kept)))
}

#[test]
fn a_gift_and_what_hangs_on_it_count_as_the_givers() {
    let mut records = vec![gift()];
    records.extend((0..255).map(|puppet| {
        let number = PUPPETS + puppet;
        (name(number), Record::Ticket(signed(EVE, Some(small(0)), number, How::Kept)))
    }));
    records.extend(crowd(255, 18, name));
    agree(&records);
}

fn let_in_by_bob(puppets: usize) -> impl Iterator<Item = Named> {
    (0..puppets).map(|puppet| {
        let number = PUPPETS + puppet;
        let invited = Invited {
            invitation: invitation("eve's"),
            answerer: key(BOB),
            standing: Some(name(BOB)),
        };
        let ticket = signed(EVE, Some(name(EVE)), number, How::Invitation);
        (small(number), Record::Ticket(Ticket { invited: Some(invited), ..ticket }))
    })
}

#[test]
fn guests_that_an_honest_member_let_in_crowd_out_their_own() {
    let mut records: Vec<Named> = let_in_by_bob(180).collect();
    records.extend(crowd(180, 24, small));
    agree(&records);
}

#[test]
fn acts_go_when_no_ticket_is_left() {
    let mut room = Room::new(who(FOUNDER));
    insert(&mut room, &numbered(0, EVE));
    let acts: Vec<Named> = (0..200)
        .map(|number| {
            let (_, record) = removal("r", 'F', None, &[]);
            let Record::Removal(removal) = record else { panic!("a removal") };
            let removal = Removal { by: key(EVE), member: Some(key(number)), ..removal };
            (name(50_000 + number), Record::Removal(removal))
        })
        .collect();
    let tickets: Vec<Named> = (0..100).map(|number| numbered(EVE, 300 + number)).collect();
    acts.iter().chain(&tickets).for_each(|record| _ = insert(&mut room, record));
    // The founder fills the rest.
    for number in 1000..1000 + TOTAL_MAX {
        insert(&mut room, &numbered(0, number));
        let acts = acts.iter().filter(|(id, _)| room.get(id).is_some()).count();
        let tickets = tickets.iter().filter(|(id, _)| room.get(id).is_some()).count();
        assert!(acts == 200 || tickets == 0, "{acts} {tickets}");
    }
    assert!(acts.iter().all(|(id, _)| room.get(id).is_none()));
    assert!(room.get(&name(EVE)).is_some());
}

/// Below whom everybody is, computed the slow way: who cannot be reached without it.
fn slow(count: usize, edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let reached = |without: Option<usize>| {
        let mut reached = BTreeSet::from([0]);
        let mut stack = vec![0];
        while let Some(at) = stack.pop() {
            for (from, to) in edges {
                if *from == at && Some(*to) != without && reached.insert(*to) {
                    stack.push(*to);
                }
            }
        }
        reached
    };
    let all = reached(None);
    let without: Vec<BTreeSet<usize>> = (0..count)
        .map(|gone| if gone == 0 { BTreeSet::new() } else { reached(Some(gone)) })
        .collect();
    let above = |vertex: usize| all.iter().filter(move |up| **up != vertex).copied();
    let dominators = |vertex| {
        above(vertex).filter(|up| *up == 0 || !without[*up].contains(&vertex)).collect::<Vec<_>>()
    };
    let nearest =
        |vertex: usize| *dominators(vertex).iter().max_by_key(|up| dominators(**up).len()).unwrap();
    all.iter().filter(|vertex| **vertex != 0).map(|vertex| (*vertex, nearest(*vertex))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_nearest_on_every_way_is_found(
        edges in proptest::collection::vec((0..14_usize, 0..14_usize), 0..40),
    ) {
        let mut graph = Graph::new(14);
        edges.iter().for_each(|(from, to)| graph.add_edge(*from, *to));
        let mut found = graph.dominators();
        found.sort_unstable();
        prop_assert_eq!(found, slow(14, &edges));
    }
}

/// A hostile ticket: whom it lets in, and below whom.
#[derive(Debug, Clone)]
struct Gift {
    signer: usize,
    parent: usize,
    member: usize,
    is_small: bool,
}

const HONEST: usize = 12;
const HOSTILE: usize = 40;

fn gifts() -> impl Strategy<Value = Vec<Gift>> {
    let numbers = (any::<u16>(), any::<u16>(), 0..HONEST + HOSTILE, any::<bool>());
    let gift = numbers.prop_map(|(signer, parent, member, is_small)| Gift {
        signer: usize::from(signer),
        parent: usize::from(parent),
        member,
        is_small,
    });
    proptest::collection::vec(gift, 0..120)
}

/// The hostile tickets for random gifts: each is below a hostile one, by somebody above that.
fn hostile_tickets(gifts: &[Gift]) -> Vec<Named> {
    // Everybody's tickets, with the hostile holders above them, the nearest first.
    let mut tickets = vec![(name(EVE), vec![EVE])];
    let mut records = Vec::new();
    let puppets = (0..HOSTILE).map(|number| (PUPPETS + number, number * 7, number * 3));
    let gifts = gifts.iter().map(|gift| {
        let member = match gift.member {
            0 => BOB,
            1 => ANA,
            number @ 2..HONEST => GUESTS.start + number,
            number => PUPPETS + number - HONEST,
        };
        (member, gift.signer, gift.parent, gift.is_small)
    });
    let all = puppets.map(|(member, signer, parent)| (member, signer, parent, false)).chain(gifts);
    for (number, (member, signer, parent, is_small)) in all.enumerate() {
        let (parent, above) = tickets[parent % tickets.len()].clone();
        let by = above[signer % above.len()];
        let named = if is_small { small(70_000 + number) } else { name(70_000 + number) };
        records.push((named, Record::Ticket(signed(by, Some(parent), member, How::Kept))));
        if above.len() < DEPTH_MAX - 2 {
            let hostile = (member == EVE || member >= PUPPETS).then_some(member);
            tickets.push((named, hostile.into_iter().chain(above).collect()));
        }
    }
    // Hostile members sign as much as they may.
    for puppet in 0..HOSTILE {
        let held = records.iter().find_map(|(id, record)| match record {
            Record::Ticket(ticket) if ticket.member == key(PUPPETS + puppet) => Some(*id),
            _ => None,
        });
        let members = (0..110).map(|number| 100_000 + 1_000 * puppet + number);
        records.extend(members.map(|member| {
            (name(member), Record::Ticket(signed(PUPPETS + puppet, held, member, How::Kept)))
        }));
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_gift_makes_anybody_elses_give_way(
        gifts in gifts(),
        order in any::<u64>(),
    ) {
        let mut records = hostile_tickets(&gifts);
        if order % 2 == 1 {
            let by = |id: &RecordId| crate::crypto::hash::digest(&[&id.0, &order.to_be_bytes()]);
            records.sort_by_key(|(id, _)| by(id));
        }
        holds(&records);
    }
}
