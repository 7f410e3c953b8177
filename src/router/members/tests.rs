use std::sync::Arc;

use super::*;
use crate::crypto::identity::Identity;
use crate::router::event::Target;
use crate::router::ids::RunId;
use crate::router::order::{Order, Purpose};
use crate::router::quiet::Origin;
use crate::router::signed::{Presence, SignedPresence};

const ROOM: RoomId = RoomId([9; 32]);

/// What somebody says of itself.
fn record(number: u64, version: u64, addresses: Vec<SocketAddr>) -> Arc<SignedPresence> {
    let mut seed = [3; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    let identity = Identity::from_seed(seed);
    let (member, run) = (MemberId(identity.public()), RunId([3; 16]));
    let (name, unlinked, bye) = ("eve".into(), Vec::new(), false);
    let body = Presence { member, run, version, name, addresses, unlinked, bye };
    SignedPresence::sign(&ROOM, &identity, body)
}

fn via(number: u64, record: &SignedPresence, remote: &str) -> Via {
    let remote = Some(remote.parse().unwrap());
    Via { conn: ConnId(number), member: record.body.member, remote, dialled: false }
}

/// Lets time pass; where this node dials meanwhile. Nobody answers.
fn dials(members: &mut Members, cx: &mut Context, ms: u64) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for _ in 0..ms / 10 {
        cx.now = cx.now.plus(10);
        members.due();
        members.settle(cx);
        while let Some(order) = cx.next_order() {
            let Order::Dial { target: Target::Addr(at), purpose, .. } = order else { continue };
            let Purpose::Redial(id) = purpose else { continue };
            all.push(at);
            members.redial_failed(cx, id, None, false);
        }
    }
    all
}

/// R8: 366 joins in ten seconds, each with four addresses, made 7,872 dials.
#[test]
fn r8_strangers_who_come_and_go_do_not_make_us_a_scanner() {
    let mut cx = Context::of_test("alice", 1);
    let mut members = Members::new(&cx, ROOM, BTreeMap::new());
    let mut at_victims = 0;
    for number in 0..366 {
        let victim = |n| SocketAddr::from(([203, 0, (number % 200) as u8, n], 8_080));
        let record = record(number, 1, (1..5).map(victim).collect());
        let via = via(number, &record, "198.51.100.7:4000");
        members.link_up(&mut cx, via, &record, "192.0.2.1".parse().unwrap(), |_| false);
        members.link_down(&mut cx, via.conn, true, None, (false, false));
        at_victims += dials(&mut members, &mut cx, 30).len();
    }
    at_victims += dials(&mut members, &mut cx, 50_000).len();
    assert!((100..=220).contains(&at_victims), "{at_victims}");
    for load in members.loads(cx.limits()) {
        assert!(load.size <= load.bound, "{load:?}");
    }
    // Somebody from elsewhere is looked for at once, and as often as ever where it was itself.
    let home: SocketAddr = "192.0.2.9:51692".parse().unwrap();
    let ben = record(1_000, 1, vec![home]);
    let via = via(1_000, &ben, "192.0.2.9:40000");
    members.link_up(&mut cx, via, &ben, "192.0.2.1".parse().unwrap(), |_| false);
    members.link_down(&mut cx, via.conn, true, None, (false, false));
    let found = dials(&mut members, &mut cx, 60_000).iter().filter(|at| **at == home).count();
    assert!(found >= 7, "{found}");
}

/// W8: what a member passes on of others is its own cost, and nothing where it is true.
#[test]
fn w8_a_teller_pays_for_what_leads_nowhere_only() {
    let mut cx = Context::of_test("alice", 1);
    let mut members = Members::new(&cx, ROOM, BTreeMap::new());
    let teller = record(1, 1, Vec::new());
    let from = via(1, &teller, "198.51.100.7:4000");
    members.link_up(&mut cx, from, &teller, "192.0.2.1".parse().unwrap(), |_| false);
    let mut linked = 0;
    for number in 2..120 {
        let at = SocketAddr::from(([203, 0, 113, number as u8], 51_692));
        let told = record(number, 1, vec![at]);
        members.heard_of(&mut cx, from, &told, |_| false);
        members.settle(&mut cx);
        while let Some(Order::Dial { conn, .. }) = cx.next_order() {
            let there = Via { conn, member: told.body.member, remote: Some(at), dialled: true };
            members.link_up(&mut cx, there, &told, "192.0.2.1".parse().unwrap(), |_| false);
            linked += 1;
        }
    }
    assert_eq!(linked, 118, "a whole room is found");
    let mut in_vain = 0;
    for number in 200..1_000 {
        let at = SocketAddr::from(([203, 0, 113, number as u8], 8_080));
        members.heard_of(&mut cx, from, &record(number, 1, vec![at]), |_| false);
        in_vain += dials(&mut members, &mut cx, 10).len();
    }
    let (limits, minutes) = (Limits::default(), 1);
    let most = limits.dials + 4 * (1 + minutes);
    assert!((4..=most).contains(&in_vain), "{in_vain} of {most}");
}

fn id(first: u8, second: u8) -> MemberId {
    let mut id = [7; 32];
    (id[0], id[1], id[2]) = (0x93, first, second);
    MemberId(id)
}

/// Somebody of this name, here or gone.
fn known(members: &mut Members, cx: &Context, id: MemberId, name: &str, here: bool) {
    let mut member = Member::new(cx.now, id, Origin::Member(id), cx.limits());
    member.present = here;
    members.known.insert(id, member);
    members.names.set(id, name, here);
    members.names.note_presence(id, here);
}

/// T6: a key whose first digits are those of another's is made in a second.
#[test]
fn t6_ground_digits_grow_until_they_tell_apart() {
    let cx = Context::of_test("alice", 1);
    let mut members = Members::new(&cx, ROOM, BTreeMap::new());
    let (ben, eve, mia) = (id(0x59, 0x01), id(0x59, 0x02), id(0x00, 0x00));
    known(&mut members, &cx, ben, "ben", true);
    let shown = |members: &Members, id: &MemberId| members.name_of(id).raw().to_owned();
    assert_eq!(shown(&members, &ben), "ben");
    known(&mut members, &cx, mia, "ben", true);
    assert_eq!(shown(&members, &ben), "ben·9359");
    known(&mut members, &cx, eve, "b\u{435}n", true);
    assert_eq!(shown(&members, &ben), "ben·935901");
    assert_eq!(shown(&members, &eve), "b\u{435}n·935902");
    // The digits that people noted before mean ben alone, unless the name is the very same.
    assert_eq!(members.find_known("ben·9359"), Ok(ben));
    members.names.set(eve, "ben", true);
    let ambiguous = |found: Result<MemberId, crate::router::notice::Failure>| {
        found.is_err_and(|failure| failure.code == crate::router::notice::Code::AmbiguousName)
    };
    assert!(ambiguous(members.find_present("ben·9359")));
    assert!(ambiguous(members.find_known("ben·9359")));
    assert_eq!(members.find_known("ben·935901"), Ok(ben));
    assert_eq!(members.find_known("ben·9300"), Ok(mia));
    // Nor do digits mean whoever is here when it may be somebody who is gone.
    known(&mut members, &cx, ben, "ben", false);
    assert!(ambiguous(members.find_known("ben·9359")));
    // A peer may call itself so; it is not shown so.
    members.names.set(eve, "ben·935901", true);
    assert_eq!(shown(&members, &eve), "ben\\u{b7}935901");
    assert_eq!(members.find_known("ben·935901"), Ok(ben));
}

/// T6: others of the name bear digits, whoever compared words need not look at any.
#[test]
fn t6_a_verified_member_keeps_its_name() {
    let cx = Context::of_test("alice", 1);
    let (ben, eve) = (id(0x59, 0x01), id(0x59, 0x02));
    let verified = BTreeMap::from([(ben, "ben".to_owned())]);
    let mut members = Members::new(&cx, ROOM, verified);
    known(&mut members, &cx, ben, "ben", true);
    known(&mut members, &cx, eve, "ben", true);
    assert_eq!(members.who(&ben).marked(), "ben✓");
    assert_eq!(members.who(&eve).marked(), "ben·935902");
    // Also while it is not here.
    known(&mut members, &cx, ben, "ben", false);
    assert_eq!(members.who(&eve).marked(), "ben·935902");
    // Verified was a name as well.
    members.names.set(ben, "eve", false);
    known(&mut members, &cx, eve, "eve", true);
    assert_ne!(members.who(&ben).marked(), "eve✓");
}

/// The name to show, found by looking at every other bearer.
fn shown_slowly(members: &Members, verified: &BTreeMap<MemberId, String>, id: &MemberId) -> String {
    let name = members.bare_name(id).unwrap();
    let others: Vec<MemberId> = members
        .names
        .iter()
        .filter(|(other, of)| *other != id && look(of) == look(name))
        .map(|(other, _)| *other)
        .collect();
    let sure = |id: &MemberId| verified.get(id).is_some_and(|known| look(known) == look(name));
    let is_here = |id: &MemberId| *id == members.me || members.is_present(id);
    let shared = others.iter().any(|other| !is_here(id) || is_here(other) || sure(other));
    if !shared || sure(id) && !others.iter().any(sure) {
        return as_chosen(name);
    }
    with_digits(&as_chosen(name), id, others.iter())
}

/// T6: a thousand of one name cost no more to show than their two neighbours.
#[test]
fn t6_digits_follow_from_the_neighbours_alone() {
    let mut cx = Context::of_test("ben", 1);
    let mut rng = crate::router::rng::Rng::new(7);
    for _ in 0..40 {
        let mut draw = |most| rng.between(0, most) as u8;
        let ids: Vec<MemberId> = (0..12).map(|_| id(draw(2), draw(40))).collect();
        let verified: BTreeMap<MemberId, String> =
            ids.iter().take(draw(4).into()).map(|id| (*id, "ben".to_owned())).collect();
        let mut members = Members::new(&cx, ROOM, verified.clone());
        for id in &ids {
            let name = ["ben", "b\u{435}n", "mia"][usize::from(draw(2))];
            known(&mut members, &cx, *id, name, draw(1) == 1);
        }
        // Some have another name by now, some are gone, and some are forgotten.
        for id in ids.iter().take(6) {
            members.rename(&mut cx, *id, ["ben", "mia"][usize::from(draw(1))], true);
        }
        members.names.forget(&ids[6]);
        check_shown(&members, &verified);
        // Nobody has a link: all are gone.
        members.due();
        members.settle(&mut cx);
        assert_eq!(members.present_count(), 0);
        check_shown(&members, &verified);
    }
}

fn check_shown(members: &Members, verified: &BTreeMap<MemberId, String>) {
    for (id, _) in members.names.iter() {
        let slowly = shown_slowly(members, verified, id);
        assert_eq!(members.name_of(id).raw(), slowly);
        assert_eq!(members.known_as(&slowly).contains(id), *id != members.me);
    }
}

/// R9: a member told of 1,024 keys that it had made up, and nobody else was known any more.
#[test]
fn r9_a_teller_of_made_up_members_displaces_its_own() {
    let mut cx = Context::of_test("alice", 1);
    let mut members = Members::new(&cx, ROOM, BTreeMap::new());
    let seen = "192.0.2.1".parse().unwrap();
    let linked = |members: &mut Members, cx: &mut Context, number: u64, from: &str| {
        let record = record(number, 1, Vec::new());
        let via = via(number, &record, from);
        members.link_up(cx, via, &record, seen, |_| false);
        via
    };
    let eve = linked(&mut members, &mut cx, 1, "198.51.100.7:4000");
    let ben = linked(&mut members, &mut cx, 2, "203.0.113.2:4000");
    // Ben told of some, who are out of reach.
    let told = |members: &mut Members, cx: &mut Context, via: Via, number: u64| {
        cx.now = cx.now.plus(1);
        let record = record(number, 1, Vec::new());
        members.heard_of(cx, via, &record, |_| false);
        (record.body.member, members.settle(cx).left)
    };
    let bens: Vec<MemberId> =
        (10..20).map(|number| told(&mut members, &mut cx, ben, number).0).collect();
    for number in 1_000..2_500 {
        told(&mut members, &mut cx, eve, number);
    }
    assert_eq!(members.present_count(), cx.limits().members);
    // Who is linked has a place, and whoever gives way for it has left.
    cx.now = cx.now.plus(1);
    let newcomer = linked(&mut members, &mut cx, 3, "203.0.113.3:4000");
    assert!(members.is_present(&newcomer.member));
    let left = members.settle(&mut cx).left;
    assert_eq!(left.len(), 1);
    assert!(!bens.contains(&left[0]) && !members.is_present(&left[0]));
    // So have those of whom others tell; what eve tells further counts for nothing.
    let (another, left) = told(&mut members, &mut cx, ben, 20);
    assert!(members.is_present(&another) && left.len() == 1);
    let (of_eve, left) = told(&mut members, &mut cx, eve, 3_000);
    assert!(!members.is_present(&of_eve) && left.is_empty());
    assert!(bens.iter().chain([&another]).all(|id| members.is_present(id)));
    for load in members.loads(cx.limits()) {
        assert!(load.size <= load.bound, "{load:?}");
    }
}
