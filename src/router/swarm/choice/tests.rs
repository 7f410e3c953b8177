//! The rules of the choice, one by one.

use std::collections::BTreeSet;

use super::{Choice, Chosen};
use crate::limits::Limits;
use crate::router::bitmap::Bitmap;
use crate::router::event::Want;
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::layout::Layout;
use crate::router::rng::Rng;
use crate::router::swarm::picker::Picker;
use crate::router::time::Millis;

const FILE: FileId = FileId([7; 32]);
const ALICE: MemberId = MemberId([1; 32]);
const BOB: MemberId = MemberId([2; 32]);
const CAROL: MemberId = MemberId([3; 32]);
const CHUNK: u64 = 256 * 1024;

fn those(chunks: &[u32], of: u32) -> Bitmap {
    let mut bitmap = Bitmap::none(of);
    chunks.iter().for_each(|chunk| assert!(bitmap.insert(*chunk)));
    bitmap
}

fn picker(chunks: u32) -> Picker {
    let mut picker = Picker::new(Layout::File(CHUNK * u64::from(chunks)));
    picker.listed(&Bitmap::none(chunks));
    picker
}

fn choice(chunks: u32) -> Choice {
    let mut choice = Choice::default();
    choice.begin(1, FILE, Layout::File(CHUNK * u64::from(chunks)));
    choice.listed(&FILE, &Bitmap::none(chunks));
    choice
}

fn asks(orders: Vec<Chosen>) -> Vec<(u64, Want)> {
    let ask = |order| match order {
        Chosen::Ask { conn, want, .. } => Some((conn.0, want)),
        _ => None,
    };
    orders.into_iter().filter_map(ask).collect()
}

#[test]
fn the_rarest_comes_first_and_ties_are_broken_at_random() {
    let mut picker = picker(8);
    picker.hosted(ALICE, Some(&those(&[0, 1, 2, 3, 4], 8)));
    picker.hosted(BOB, Some(&those(&[0, 1, 2, 3, 4], 8)));
    picker.hosted(CAROL, Some(&those(&[0, 1], 8)));
    let mut seen = BTreeSet::new();
    for seed in 0..64 {
        match picker.next(&ALICE, false, Millis(0), &mut Rng::new(seed)) {
            Some(Want::Chunk(chunk)) => seen.insert(chunk),
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(seen, BTreeSet::from([2, 3, 4]), "two hosts have these, three the others");
    [2, 3, 4].into_iter().for_each(|chunk| picker.asked(chunk));
    let next = picker.next(&CAROL, false, Millis(0), &mut Rng::new(1));
    assert!(matches!(next, Some(Want::Chunk(0 | 1))), "{next:?}");
    [0, 1].into_iter().for_each(|chunk| picker.asked(chunk));
    assert_eq!(picker.next(&ALICE, false, Millis(0), &mut Rng::new(1)), None, "all are asked");
    picker.freed(3);
    assert_eq!(picker.next(&ALICE, false, Millis(0), &mut Rng::new(1)), Some(Want::Chunk(3)));
}

#[test]
fn only_a_host_that_is_alone_with_a_chunk_picks() {
    let mut picker = picker(4);
    let rng = &mut Rng::new(1);
    picker.hosted(ALICE, None);
    assert_eq!(picker.next(&ALICE, false, Millis(0), rng), Some(Want::Pick(Bitmap::all(4))));
    picker.hosted(BOB, Some(&those(&[1, 3], 4)));
    assert_eq!(picker.next(&ALICE, false, Millis(0), rng), Some(Want::Pick(those(&[0, 2], 4))));
    let next = picker.next(&BOB, false, Millis(0), rng);
    assert!(matches!(next, Some(Want::Chunk(1 | 3))), "{next:?}");
    picker.hosted(CAROL, None);
    let next = picker.next(&ALICE, false, Millis(0), rng);
    assert!(matches!(next, Some(Want::Chunk(0 | 2))), "two have everything: {next:?}");
}

#[test]
fn what_is_elsewhere_is_waited_for_and_then_asked_for_all_the_same() {
    let mut picker = picker(4);
    let rng = &mut Rng::new(1);
    picker.hosted(ALICE, None);
    picker.elsewhere(&ALICE, Millis(1_000));
    assert_eq!(picker.next(&ALICE, false, Millis(1_001), rng), None);
    let until = picker.elsewhere_until(&ALICE, Millis(1_001)).unwrap();
    let next = picker.next(&ALICE, false, until, rng);
    assert!(matches!(next, Some(Want::Chunk(_))), "it is not asked to choose again: {next:?}");
}

#[test]
fn what_somebody_looks_at_comes_first() {
    let mut picker = picker(8);
    picker.hosted(ALICE, None);
    picker.hosted(BOB, Some(&those(&[5], 8)));
    picker.prefer(4..6);
    let rng = &mut Rng::new(1);
    assert_eq!(picker.next(&BOB, false, Millis(0), rng), Some(Want::Chunk(5)));
    assert_eq!(picker.next(&ALICE, false, Millis(0), rng), Some(Want::Chunk(4)));
}

#[test]
fn every_host_works_before_any_has_a_queue() {
    let (mut choice, limits) = (choice(3), Limits::default());
    for (conn, host) in [(1, ALICE), (2, BOB), (3, CAROL)] {
        choice.hosted(host, &FILE, None);
        choice.opened(host, ConnId(conn));
    }
    let orders = asks(choice.orders(Millis(0), &limits, &mut Rng::new(1)));
    let lanes: BTreeSet<_> = orders.iter().map(|(conn, _)| *conn).collect();
    assert_eq!((orders.len(), lanes), (3, BTreeSet::from([1, 2, 3])));
    assert_eq!(choice.orders(Millis(1), &limits, &mut Rng::new(1)), [], "nothing is asked twice");
}

#[test]
fn a_lone_host_is_asked_for_no_more_picks_than_there_are_chunks() {
    let (mut choice, limits) = (choice(2), Limits::default());
    choice.hosted(ALICE, &FILE, None);
    choice.opened(ALICE, ConnId(1));
    choice.opened(ALICE, ConnId(2));
    let orders = asks(choice.orders(Millis(0), &limits, &mut Rng::new(1)));
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert!(orders.iter().all(|(_, want)| matches!(want, Want::Pick(_))), "{orders:?}");
}

/// Alice delivers a chunk every 100 ms; Bob was asked and is silent.
fn a_fast_and_a_silent_host() -> (Choice, Limits, Rng, Vec<Chosen>) {
    let (mut choice, limits, mut rng) = (choice(16), Limits::default(), Rng::new(1));
    for (conn, host) in [(1, ALICE), (2, BOB)] {
        choice.hosted(host, &FILE, None);
        choice.opened(host, ConnId(conn));
    }
    let mut asked = Vec::new();
    let mut all = Vec::new();
    for step in 0..60 {
        let now = Millis(100 * step);
        let orders = choice.orders(now, &limits, &mut rng);
        asked.extend(asks(orders.clone()).into_iter().filter(|(conn, _)| *conn == 1));
        all.extend(orders);
        if !asked.is_empty() {
            let (conn, want) = asked.remove(0);
            let Want::Chunk(chunk) = want else { panic!("two have everything") };
            assert!(choice.fetched(ConnId(conn), &FILE, chunk, CHUNK, now), "{chunk} came twice");
        }
    }
    (choice, limits, rng, all)
}

#[test]
fn a_fast_host_takes_over_from_a_silent_one_and_that_one_rests() {
    let (mut choice, limits, mut rng, orders) = a_fast_and_a_silent_host();
    let held = choice.picker(&FILE).unwrap().held();
    assert!(held.is_all(), "{} of 16 came", held.count());
    let revoked: Vec<_> = orders.iter().filter(|o| matches!(o, Chosen::Revoke { .. })).collect();
    assert!(!revoked.is_empty());
    assert!(revoked.iter().all(|o| matches!(o, Chosen::Revoke { host: BOB, .. })), "{revoked:?}");
    assert!(
        orders.contains(&Chosen::Drop { conn: ConnId(2) }),
        "a lane that keeps others from being asked is given up"
    );
    assert!(choice.host_of(ConnId(2)).is_none());
    assert_eq!(choice.orders(Millis(6_000), &limits, &mut rng), [], "nothing is left to do");
}

#[test]
fn a_lane_that_ends_frees_what_was_asked_over_it() {
    let (mut choice, limits, mut rng) = (choice(1), Limits::default(), Rng::new(1));
    for (conn, host) in [(1, ALICE), (2, BOB)] {
        choice.hosted(host, &FILE, None);
        choice.opened(host, ConnId(conn));
    }
    let [(conn, want)] = &asks(choice.orders(Millis(0), &limits, &mut rng))[..] else { panic!() };
    choice.closed(ConnId(*conn));
    let again = asks(choice.orders(Millis(1), &limits, &mut rng));
    assert_eq!(again, [(3 - conn, want.clone())], "the other is asked for the same");
}

#[test]
fn a_slow_host_makes_room_when_no_more_may_be_asked() {
    let limits = Limits { unanswered_requests: 2, ..Limits::default() };
    let (mut choice, mut rng) = (choice(16), Rng::new(1));
    choice.hosted(ALICE, &FILE, None);
    choice.hosted(BOB, &FILE, None);
    choice.opened(ALICE, ConnId(1));
    let mut now = Millis(0);
    let mut orders = asks(choice.orders(now, &limits, &mut rng));
    for _ in 0..8 {
        now = now.plus(100);
        let Want::Chunk(chunk) = orders.remove(0).1 else { panic!("two have everything") };
        choice.fetched(ConnId(1), &FILE, chunk, CHUNK, now);
        orders.extend(asks(choice.orders(now, &limits, &mut rng)));
    }
    // Both requests wait for Bob, who was asked when Alice had no lane.
    choice.closed(ConnId(1));
    choice.opened(BOB, ConnId(2));
    assert_eq!(asks(choice.orders(now, &limits, &mut rng)).len(), 2);
    choice.opened(ALICE, ConnId(3));
    assert_eq!(asks(choice.orders(now, &limits, &mut rng)), []);
    let at = now.plus(2_000);
    let orders = choice.orders(at, &limits, &mut rng);
    assert!(orders.contains(&Chosen::Drop { conn: ConnId(2) }), "{orders:?}");
    assert!(choice.rests(&BOB, at));
    let orders = asks(choice.orders(at, &limits, &mut rng));
    assert!(!orders.is_empty() && orders.iter().all(|(conn, _)| *conn == 3), "{orders:?}");
}

/// Hosts that have everything, with these numbers, each with a lane of the same number.
fn full_hosts(choice: &mut Choice, numbers: core::ops::RangeInclusive<u8>) {
    for number in numbers {
        let host = MemberId([number; 32]);
        choice.hosted(host, &FILE, None);
        choice.opened(host, ConnId(number.into()));
    }
}

#[test]
fn many_hosts_are_asked_for_one_chunk_each_until_that_is_enough() {
    let (mut choice, limits, mut rng) = (choice(200), Limits::default(), Rng::new(1));
    full_hosts(&mut choice, 1..=12);
    let first = asks(choice.orders(Millis(0), &limits, &mut rng));
    let conns: BTreeSet<_> = first.iter().take(12).map(|(conn, _)| *conn).collect();
    assert_eq!(conns, (1..=12).collect(), "each once before any is asked twice");
    assert_eq!(first.len(), 16);
    // New hosts are tried all the same, then the one that delivers soonest.
    full_hosts(&mut choice, 13..=14);
    let mut tried = Vec::new();
    for now in [200, 250, 300] {
        tried.extend(asks(choice.orders(Millis(now), &limits, &mut rng)));
    }
    assert_eq!(tried.iter().map(|(conn, _)| *conn).collect::<Vec<_>>(), [13, 14]);
    let mut later = Vec::new();
    for (number, (conn, want)) in first.into_iter().enumerate() {
        let Want::Chunk(chunk) = want else { panic!("many have everything") };
        let now = Millis(310 + 10 * number as u64);
        choice.fetched(ConnId(conn), &FILE, chunk, CHUNK, now);
        later.extend(asks(choice.orders(now, &limits, &mut rng)));
    }
    assert_eq!(later.len(), 14, "as many as were answered, but for the two that were tried");
}

#[test]
fn hosts_that_deliver_nothing_keep_no_other_from_being_asked() {
    let (mut choice, limits, mut rng) = (choice(200), Limits::default(), Rng::new(1));
    full_hosts(&mut choice, 1..=16);
    assert_eq!(asks(choice.orders(Millis(0), &limits, &mut rng)).len(), 16);
    full_hosts(&mut choice, 99..=99);
    let (mut came, mut now) = (0, Millis(0));
    let mut asked = Vec::new();
    while now < Millis(10_000) {
        now = now.plus(50);
        let orders = choice.orders(now, &limits, &mut rng);
        asked.extend(asks(orders).into_iter().filter(|(conn, _)| *conn == 99));
        if let Some((_, Want::Chunk(chunk))) = asked.pop() {
            came += u32::from(choice.fetched(ConnId(99), &FILE, chunk, CHUNK, now));
        }
    }
    assert!(came >= 50, "the one that delivers brought {came} chunks only");
}

#[test]
fn a_fast_host_that_was_away_is_asked_again_though_slow_ones_have_its_place() {
    let (mut choice, limits, mut rng) = (choice(400), Limits::default(), Rng::new(1));
    full_hosts(&mut choice, 1..=20);
    full_hosts(&mut choice, 99..=99);
    let (mut conn, mut came, mut asked) = (99, 0, Vec::new());
    for now in (0..10_000).step_by(50).map(Millis) {
        asked.extend(asks(choice.orders(now, &limits, &mut rng)));
        asked.retain(|(of, _)| *of == conn);
        if now == Millis(4_000) {
            choice.closed(ConnId(conn));
            (conn, came) = (100, 0);
        }
        if now == Millis(5_000) {
            choice.opened(MemberId([99; 32]), ConnId(conn));
        }
        if let Some((_, Want::Chunk(chunk))) = asked.pop() {
            came += u32::from(choice.fetched(ConnId(conn), &FILE, chunk, CHUNK, now));
        }
    }
    assert!(came >= 50, "it brought {came} chunks only after it came back");
}

#[test]
fn silence_of_all_who_are_asked_ends_when_somebody_else_is_there() {
    let (mut choice, limits, mut rng) = (choice(200), Limits::default(), Rng::new(1));
    full_hosts(&mut choice, 1..=40);
    let (mut now, mut orders) = (Millis(0), choice.orders(Millis(0), &limits, &mut rng));
    // Nothing ever comes, and only the choice itself says when to look again.
    while asks(orders.clone()).iter().all(|(conn, _)| *conn != 99) {
        now = choice.next_deadline().expect("somebody waits");
        assert!(now < Millis(20_000), "a new host is kept waiting");
        orders = choice.orders(now, &limits, &mut rng);
        if now >= Millis(5_000) && choice.host_of(ConnId(99)).is_none() {
            full_hosts(&mut choice, 99..=99);
        }
    }
    assert!(now >= Millis(5_000));
}

#[test]
fn who_alone_has_everything_is_asked_before_all_others() {
    let (mut choice, limits, mut rng) = (choice(200), Limits::default(), Rng::new(1));
    let half: Vec<u32> = (0..100).collect();
    for number in 1..=20 {
        let host = MemberId([number; 32]);
        choice.hosted(host, &FILE, Some(&those(&half, 200)));
        choice.opened(host, ConnId(number.into()));
    }
    full_hosts(&mut choice, 99..=99);
    let first = asks(choice.orders(Millis(0), &limits, &mut rng));
    assert!(matches!(first[0], (99, Want::Pick(_))), "{:?}", first[0]);
    assert_eq!(first.iter().filter(|(conn, _)| *conn == 99).count(), 1);
}

#[test]
fn who_sent_wrong_bytes_keeps_nothing_that_was_asked_of_it() {
    let (mut choice, limits, mut rng) = (choice(4), Limits::default(), Rng::new(1));
    [ALICE, BOB, CAROL].into_iter().for_each(|host| choice.hosted(host, &FILE, None));
    choice.opened(ALICE, ConnId(1));
    let asked = asks(choice.orders(Millis(0), &limits, &mut rng));
    let [(1, Want::Chunk(wrong)), (1, Want::Chunk(_))] = asked[..] else { panic!("{asked:?}") };
    assert!(choice.failed(ConnId(1), &FILE, Some(wrong), CHUNK, Millis(10)));
    assert!(choice.ban(ALICE, &FILE));
    choice.opened(BOB, ConnId(2));
    let orders = choice.orders(Millis(10), &limits, &mut rng);
    assert!(orders.contains(&Chosen::Drop { conn: ConnId(1) }), "{orders:?}");
    let mut came = BTreeSet::new();
    let mut asked = asks(orders);
    while let Some((conn, want)) = asked.pop() {
        let (2, Want::Chunk(chunk)) = (conn, want) else { panic!("not of Bob") };
        assert!(choice.fetched(ConnId(2), &FILE, chunk, CHUNK, Millis(20)));
        came.insert(chunk);
        asked.extend(asks(choice.orders(Millis(20), &limits, &mut rng)));
    }
    assert_eq!(came, (0..4).collect(), "Bob brings all of it");
    assert!(!choice.ban(ALICE, &FILE), "that is told once");
}

#[test]
fn what_is_not_needed_any_more_keeps_nobody_else_from_being_asked() {
    let limits = Limits { unanswered_requests: 64, ..Limits::default() };
    let (mut choice, mut rng) = (choice(400), Rng::new(1));
    full_hosts(&mut choice, 1..=16);
    let asked = asks(choice.orders(Millis(0), &limits, &mut rng));
    assert_eq!(asked.len(), 16, "that is enough");
    // All requests belong to a download that ends; the hosts keep sending.
    choice.end(&FILE);
    choice.begin(2, FILE, Layout::File(400 * CHUNK));
    choice.listed(&FILE, &Bitmap::none(400));
    (1..=16).for_each(|number| choice.hosted(MemberId([number; 32]), &FILE, None));
    choice.orders(Millis(10), &limits, &mut rng);
    let again = asks(choice.orders(Millis(200), &limits, &mut rng));
    assert!(again.len() >= 16, "{again:?}");
}

#[test]
fn what_is_not_wanted_is_never_asked_for_and_not_waited_for() {
    let mut choice = choice(8);
    let file = &FILE;
    choice.skip(file, &those(&[2, 5], 8));
    choice.hosted(ALICE, file, None);
    choice.hosted(BOB, file, Some(&those(&[0, 7], 8)));
    let helps = |choice: &Choice, host| choice.picker(file).unwrap().helps(&host);
    assert!(helps(&choice, ALICE) && !helps(&choice, BOB), "Bob has nothing that is wanted");
    choice.opened(ALICE, ConnId(1));
    let free = |choice: &Choice| choice.picker(file).unwrap().free().collect::<Vec<_>>();
    assert_eq!(free(&choice), [2, 5]);
    for chunk in [2, 5] {
        assert!(!choice.picker(file).unwrap().is_done());
        assert!(choice.fetched(ConnId(1), file, chunk, CHUNK, Millis(0)));
    }
    assert!(choice.picker(file).unwrap().is_done());
}

#[test]
fn chunks_without_their_list_wait_for_it() {
    let mut choice = choice(4);
    choice.hold_back(&FILE, 1..4);
    let free = |choice: &Choice| choice.picker(&FILE).unwrap().free().collect::<Vec<_>>();
    assert_eq!(free(&choice), [0]);
    choice.list_came(&FILE, 1..4, &those(&[2], 4));
    assert_eq!(free(&choice), [0, 1, 3]);
    assert!(choice.picker(&FILE).unwrap().held().has(2));
}
