use std::sync::Arc;

use super::super::pushes::Pushes;
use super::super::shares::WayIn;
use super::*;
use crate::crypto::identity::Identity;
use crate::limits::Limits;
use crate::router::ids::{LogNonce, RoomId};
use crate::router::signed::{EntryBody, Kind};
use crate::router::time::Millis;

const ROOM: RoomId = RoomId([7; 32]);
const NOW: Millis = Millis(1_000);
const ME: MemberId = MemberId([0; 32]);

/// Everybody is a guest of the founder's.
fn terms(now: Millis, limits: &Limits) -> Terms<'_> {
    let pushes = Box::leak(Box::default());
    Terms { now, limits, ways: &|_| vec![WayIn::default()], pushes, from: None }
}

struct Author {
    me: Identity,
    chain: Chain,
}

impl Author {
    fn new(seed: u8) -> Self {
        let me = Identity::from_seed([seed; 32]);
        let chain = Chain { author: MemberId(me.public()), nonce: LogNonce([seed; 8]) };
        Self { me, chain }
    }

    fn says(
        &self,
        text: &str,
        prev: Option<&Arc<SignedEntry>>,
        parents: &[&Arc<SignedEntry>],
    ) -> Arc<SignedEntry> {
        let before = prev.iter().chain(parents).map(|of| of.body.depth).max();
        let body = EntryBody {
            chain: self.chain,
            seq: prev.map_or(1, |prev| prev.body.seq + 1),
            depth: before.unwrap_or(0).saturating_add(1),
            prev: prev.map(|prev| prev.id),
            parents: parents.iter().map(|parent| refer(parent)).collect(),
            time_ms: 0,
            kind: Kind::Text(text.into()),
        };
        SignedEntry::sign(&ROOM, &self.me, body)
    }
}

fn refer(entry: &SignedEntry) -> EntryRef {
    EntryRef { chain: entry.body.chain, seq: entry.body.seq, id: entry.id }
}

fn log_of(entries: &[&Arc<SignedEntry>]) -> Entries {
    let mut log = Entries::new(ME);
    for entry in entries {
        log.place(entry, terms(NOW, &Limits::default()));
    }
    log
}

/// Asks `from` whatever `log` lacks of a chain until neither side has news, as links do.
fn repair(log: &mut Entries, from: &Entries, chain: Chain) {
    let limits = Limits::default();
    let mut probe = None;
    for _ in 0..10 {
        let Some(have) = from.have(&chain) else { return };
        let behind = match log.lacks(&have, &limits) {
            None => return,
            Some(Ok(behind)) => probe.unwrap_or(behind).min(behind),
            Some(Err(())) => probe.unwrap_or(0),
        };
        for entry in from.answer(&[Wanted { chain, from: behind }], &limits) {
            if log.place(&entry, terms(NOW, &limits)) == Placed::Conflict {
                probe = Some(0);
            }
        }
    }
}

fn texts(log: &Entries) -> Vec<(EntryOrder, EntryId)> {
    let entries: Vec<_> = log.entries().cloned().collect();
    let mut texts: Vec<_> = entries.iter().map(|e| (log.order_of(e), e.id)).collect();
    texts.sort();
    texts
}

#[test]
fn whatever_the_order_of_arrival_the_order_of_entries_is_one() {
    let (alice, bob) = (Author::new(1), Author::new(2));
    let a1 = alice.says("hello", None, &[]);
    let b1 = bob.says("hi", None, &[&a1]);
    let a2 = alice.says("how are you?", Some(&a1), &[&b1]);
    let one = log_of(&[&a1, &b1, &a2]);
    let mut other = log_of(&[&a2, &b1, &a1]);
    assert_eq!(texts(&one), texts(&other));
    let order: Vec<_> = texts(&one).into_iter().map(|(_, id)| id).collect();
    assert_eq!(order, [a1.id, b1.id, a2.id]);
    assert_eq!(other.place(&a2, terms(NOW, &Limits::default())), Placed::Known);
}

#[test]
fn a_forked_chain_keeps_its_prefix_on_all_sides() {
    let eve = Author::new(3);
    let e1 = eve.says("one", None, &[]);
    let (a2, b2) = (eve.says("to alice", Some(&e1), &[]), eve.says("to bob", Some(&e1), &[]));
    let a3 = eve.says("more to alice", Some(&a2), &[]);
    let mut alice = log_of(&[&e1, &a2, &a3]);
    let mut bob = log_of(&[&e1, &b2]);
    repair(&mut bob, &alice, eve.chain);
    repair(&mut alice, &bob, eve.chain);
    assert_eq!(texts(&alice), texts(&bob));
    assert_eq!(texts(&alice).len(), 1);
    assert!(alice.is_forked(&eve.chain) && bob.is_forked(&eve.chain));
    assert_eq!(alice.have(&eve.chain), bob.have(&eve.chain));
    assert_eq!(alice.place(&a3, terms(NOW, &Limits::default())), Placed::Known);
}

#[test]
fn a_fork_takes_back_what_is_behind_it_and_touches_nothing_else() {
    let (eve, bob) = (Author::new(3), Author::new(2));
    let e1 = eve.says("one", None, &[]);
    let (a2, b2) = (eve.says("two", Some(&e1), &[]), eve.says("zwei", Some(&e1), &[]));
    let a3 = eve.says("three", Some(&a2), &[]);
    let b1 = bob.says("I saw three", None, &[&a3]);
    let mut log = log_of(&[&e1, &a2, &a3, &b1]);
    let before = log.order_of(&b1);
    let Placed::Forked { dropped, woken, .. } = log.place(&b2, terms(NOW, &Limits::default()))
    else {
        panic!("no fork")
    };
    let ids: Vec<_> = dropped.iter().map(|(_, entry)| entry.id).collect();
    assert_eq!((ids, woken.len()), (vec![a3.id, a2.id], 0));
    assert_eq!(log.order_of(&b1), before, "the depth is bob's word");
    assert_eq!(texts(&log), texts(&log_of(&[&e1, &a2, &b2, &a3, &b1])));
    assert_eq!(log.next_of(&bob.chain, |_| false).1, 5);
    // Half of it were gaps, and they are closed.
    assert_eq!((log.gaps, log.accepted.len()), (2, 4));
    let c2 = eve.says("un", None, &[]);
    log.place(&c2, terms(NOW, &Limits::default()));
    assert_eq!((log.gaps, log.accepted.len()), (0, 1));
    assert_eq!(log.entry_at(&bob.chain, 1), Some(&b1));
}

#[test]
fn nobody_waits_for_ever_for_what_an_entry_refers_to() {
    let (eve, bob) = (Author::new(3), Author::new(2));
    let never = Author::new(9).says("nobody has this", None, &[]);
    let e1 = eve.says("poison", None, &[&never]);
    let b1 = bob.says("I saw the poison", None, &[&e1]);
    let limits = Limits::default();
    let mut log = Entries::new(ME);
    assert_eq!(log.place(&e1, terms(NOW, &limits)), Placed::Waits);
    assert_eq!(log.place(&b1, terms(NOW.plus(5_000), &limits)), Placed::Waits);
    let due = log.next_overdue().unwrap();
    assert_eq!(log.take_overdue(terms(Millis(due.0 - 1), &limits)), []);
    assert_eq!(log.take_overdue(terms(due, &limits)), [e1.clone(), b1.clone()]);
    assert_eq!((log.next_overdue(), log.waiting_count(), log.blocked_count()), (None, 0, 0));
    // Whoever has all of it has the same order.
    let other = log_of(&[&never, &e1, &b1]);
    assert_eq!(texts(&log)[..], texts(&other)[1..]);
    // What comes late takes its place.
    assert_eq!(log.place(&never, terms(due, &limits)), Placed::Accepted(vec![never.clone()]));
    assert_eq!(texts(&log), texts(&other));
}

#[test]
fn nobody_waits_for_whoever_says_too_much() {
    let (eve, bob, carol) = (Author::new(3), Author::new(2), Author::new(4));
    let e1 = eve.says("far too much", None, &[]);
    let e2 = eve.says("and more", Some(&e1), &[]);
    let (b1, c1) = (bob.says("I saw it", None, &[&e1]), carol.says("so did I", None, &[&e1]));
    let dan = Author::new(5);
    let d1 = dan.says("I saw bob as well", None, &[&e1, &b1]);
    let limits = Limits::default();
    let mut log = Entries::new(ME);
    for waits in [&d1, &e2] {
        assert_eq!(log.place(waits, terms(NOW, &limits)), Placed::Waits);
    }
    let mut pushes = Pushes::default();
    assert!(pushes.overrun(eve.chain.author, NOW));
    log.hurry(&eve.chain.author, NOW);
    let terms = Terms { pushes: &pushes, ..terms(NOW, &limits) };
    assert_eq!(log.take_overdue(terms), [], "dan's still waits for bob's");
    assert_eq!(log.place(&b1, terms), Placed::Accepted(vec![b1.clone(), d1]));
    assert_eq!(log.place(&c1, terms), Placed::Accepted(vec![c1.clone()]));
    // Its own entries come in turn all the same.
    assert_eq!(log.place(&e1, terms), Placed::Accepted(vec![e1.clone(), e2]));
    // And nobody names them.
    let heads = |quiet: &[&Author]| {
        let says_too_much = |author: &MemberId| !quiet.iter().any(|of| of.chain.author == *author);
        let (_, depth, _, heads) = log.next_of(&Author::new(6).chain, says_too_much);
        (depth, heads.len())
    };
    assert_eq!(heads(&[&carol, &dan]), (heads(&[&carol, &dan, &eve]).0, 2));
}

#[test]
fn no_lie_about_its_depth_puts_an_entry_beyond_reach() {
    let (eve, bob) = (Author::new(3), Author::new(2));
    let body = EntryBody { depth: u64::MAX, ..eve.says("last for ever", None, &[]).body.clone() };
    let e1 = SignedEntry::sign(&ROOM, &eve.me, body);
    let log = log_of(&[&e1]);
    let (_, depth, ..) = log.next_of(&bob.chain, |_| false);
    assert_eq!(depth, DEPTH_AHEAD_MAX + 1);
    let body = EntryBody { depth, ..bob.says("after it", None, &[&e1]).body.clone() };
    let b1 = SignedEntry::sign(&ROOM, &bob.me, body);
    let log = log_of(&[&e1, &b1]);
    assert!(log.order_of(&e1) < log.order_of(&b1));
}

#[test]
fn a_fork_is_found_at_its_first_difference_even_if_that_was_withheld() {
    let eve = Author::new(3);
    let e1 = eve.says("one", None, &[]);
    let (a2, b2) = (eve.says("two", Some(&e1), &[]), eve.says("zwei", Some(&e1), &[]));
    let (a3, b3) = (eve.says("three", Some(&a2), &[]), eve.says("drei", Some(&b2), &[]));
    let mut alice = log_of(&[&e1, &a2, &a3]);
    let mut bob = log_of(&[&e1, &b2, &b3]);
    // Eve shows each the other's third entry, and withholds the second.
    assert_eq!(alice.place(&b3, terms(NOW, &Limits::default())), Placed::Conflict);
    assert_eq!(bob.place(&a3, terms(NOW, &Limits::default())), Placed::Conflict);
    repair(&mut alice, &bob, eve.chain);
    repair(&mut bob, &alice, eve.chain);
    assert_eq!(texts(&alice), texts(&bob));
    assert_eq!(texts(&alice).len(), 1);
}

#[test]
fn what_refers_to_a_fork_is_not_held_up_by_it() {
    let (eve, bob) = (Author::new(3), Author::new(2));
    let e1 = eve.says("one", None, &[]);
    let f1 = eve.says("eins", None, &[]);
    let f2 = eve.says("zwei", Some(&f1), &[]);
    let b1 = bob.says("I saw the other one", None, &[&f2]);
    let mut log = log_of(&[&e1, &b1]);
    assert_eq!(log.chain_len(&bob.chain), 0);
    let Placed::Forked { woken, .. } = log.place(&f1, terms(NOW, &Limits::default())) else {
        panic!("no fork")
    };
    assert_eq!(woken.len(), 1);
    assert_eq!(log.chain_len(&bob.chain), 1);
    assert_eq!(texts(&log).len(), 1);
}

#[test]
fn poison_waits_within_bounds_and_others_flow() {
    let limits = Limits { waiting_entries: 8, ..Limits::default() };
    let (eve, bob) = (Author::new(3), Author::new(2));
    let never = Author::new(9).says("nobody has this", None, &[]);
    let mut log = Entries::new(ME);
    let mut prev = None;
    for _ in 0..100 {
        let entry = eve.says("waits for ever", prev.as_ref(), &[&never]);
        log.place(&entry, terms(NOW, &limits));
        prev = Some(entry);
    }
    assert!(log.waiting_count() <= 8);
    let b1 = bob.says("hello", None, &[]);
    assert_eq!(log.place(&b1, terms(NOW, &limits)), Placed::Accepted(vec![b1.clone()]));
}

#[test]
fn nothing_is_asked_that_would_be_refused() {
    let limits = Limits { chains: 1, ..Limits::default() };
    let (alice, bob) = (Author::new(1), Author::new(2));
    let a1 = alice.says("hello", None, &[]);
    let mut log = Entries::new(ME);
    log.place(&a1, terms(NOW, &limits));
    let (len, head) = (1 << 60, EntryId([1; 32]));
    let theirs = Have { chain: bob.chain, len, head, forked: false, refused: false };
    assert_eq!(log.lacks(&theirs, &limits), None);
    assert_eq!(log.lacks(&theirs, &Limits::default()), Some(Ok(0)));
    let more = Have { chain: alice.chain, len: 5, ..theirs };
    assert_eq!(log.lacks(&more, &limits), Some(Ok(1)));
}

/// A log that takes about 60 texts of 4 KB by one member.
fn small() -> Limits {
    Limits { log_bytes: 1024 * 1024, ..Limits::default() }
}

/// `count` long texts of one chain.
fn talk(author: &Author, count: usize) -> Vec<Arc<SignedEntry>> {
    let mut all: Vec<Arc<SignedEntry>> = Vec::new();
    for _ in 0..count {
        all.push(author.says(&"x".repeat(4_000), all.last(), &[]));
    }
    all
}

#[test]
fn what_refers_to_a_refused_entry_is_taken_at_once_and_stands_where_it_does_elsewhere() {
    let (eve, bob, carol) = (Author::new(3), Author::new(2), Author::new(4));
    let flood = talk(&eve, 100);
    let b1 = bob.says("I saw all of that", None, &[&flood[99]]);
    let c1 = carol.says("I did not", None, &[]);
    let c2 = carol.says("but I see bob", Some(&c1), &[&b1]);
    let (small, large) = (small(), Limits::default());
    let (mut here, mut there) = (Entries::new(ME), Entries::new(ME));
    let mut refused = 0;
    for entry in &flood {
        refused += usize::from(here.place(entry, terms(NOW, &small)) == Placed::Refused);
        there.place(entry, terms(NOW, &large));
    }
    assert!((30..50).contains(&refused), "{refused}");
    let ours = here.have(&eve.chain).unwrap();
    assert!(ours.refused && ours.len == 100 - refused as u64);
    assert_eq!(here.lacks(&there.have(&eve.chain).unwrap(), &small), None, "nor asked for");
    for entry in [&b1, &c1, &c2] {
        let placed = Placed::Accepted(vec![entry.clone()]);
        assert_eq!(here.place(entry, terms(NOW, &small)), placed);
        assert_eq!(there.place(entry, terms(NOW, &large)), placed);
        assert_eq!(here.order_of(entry), there.order_of(entry));
    }
    // The next of everybody stands behind all of it.
    assert_eq!(here.next_of(&carol.chain, |_| false).1, there.next_of(&carol.chain, |_| false).1);
}

#[test]
fn whoever_speaks_much_is_not_refused() {
    let (mut log, limits) = (Entries::new(ME), Limits::default());
    let alice = Author::new(1);
    let mut last: Option<Arc<SignedEntry>> = None;
    for number in 0..12_000 {
        let entry = alice.says(&format!("line {number} of a long report"), last.as_ref(), &[]);
        let placed = log.place(&entry, terms(NOW, &limits));
        assert!(matches!(placed, Placed::Accepted(_)), "{number}: {placed:?}");
        last = Some(entry);
    }
}
