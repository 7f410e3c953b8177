use super::super::refused::{LOOKED_AT_ONCE, REFUSED_MAX};
use super::*;

const ME: MemberId = MemberId([1; 32]);
const EVE: MemberId = MemberId([2; 32]);
const BOB: MemberId = MemberId([3; 32]);
const BYTES: usize = 1_000;

fn limits() -> Limits {
    Limits { log_bytes: 1_024 * BYTES, chains: 512, ..Limits::default() }
}

fn member(number: u16) -> MemberId {
    let mut id = [9; 32];
    id[..2].copy_from_slice(&number.to_be_bytes());
    MemberId(id)
}

fn below(above: &[MemberId]) -> Vec<WayIn> {
    vec![WayIn { above: above.to_vec(), ..WayIn::default() }]
}

fn by_doors_of(doors: &[MemberId]) -> Vec<WayIn> {
    vec![WayIn { doors: doors.to_vec(), ..WayIn::default() }]
}

fn by_founders_door() -> Vec<WayIn> {
    vec![WayIn { by_founder: true, ..WayIn::default() }]
}

/// How much of `cost` is taken before it is refused.
fn filled(shares: &mut LogShares, author: MemberId, cost: Amount, ways: WaysIn<'_>) -> usize {
    let mut taken = 0;
    while shares.has_room(&author, cost, Some(ways), &limits()) {
        shares.take(author, cost, ways, &limits());
        taken += 1;
    }
    taken
}

/// All refused authors that have room for a text, however many are looked at in one call.
fn all_welcome(shares: &mut LogShares, ways: WaysIn<'_>) -> Vec<MemberId> {
    let calls = REFUSED_MAX / LOOKED_AT_ONCE + 1;
    (0..calls).flat_map(|_| shares.take_refused(BYTES, ways, &limits())).collect()
}

fn text() -> Amount {
    Amount { bytes: BYTES, chains: 0 }
}

fn chain() -> Amount {
    Amount { bytes: 1, chains: 1 }
}

#[test]
fn a_member_takes_a_quarter_under_however_many_keys() {
    let mut shares = LogShares::new(ME);
    let ways: WaysIn<'_> = &|id| if *id == EVE { below(&[]) } else { below(&[EVE]) };
    let mut taken = filled(&mut shares, EVE, text(), ways);
    for puppet in 0..100 {
        taken += filled(&mut shares, member(puppet), text(), ways);
    }
    assert_eq!(taken, 256);
    let mut shares = LogShares::new(ME);
    let chains = (0..200).map(|puppet| filled(&mut shares, member(puppet), chain(), ways));
    assert_eq!(chains.sum::<usize>(), 128);
    let taken = filled(&mut shares, BOB, text(), &|_| below(&[]));
    assert_eq!(taken, 256, "what others let in is not his");
}

#[test]
fn visitors_of_the_founder_take_half_and_authors_whom_nobody_knows_a_sixteenth() {
    let mut shares = LogShares::new(ME);
    let door: WaysIn<'_> = &|_| by_founders_door();
    let of_door: usize = (0..100).map(|of| filled(&mut shares, member(of), text(), door)).sum();
    let nobody: WaysIn<'_> = &|_| Vec::new();
    let unknown: usize = (100..200).map(|of| filled(&mut shares, member(of), text(), nobody)).sum();
    assert_eq!((of_door, unknown), (512, 64));
    assert!(shares.has_room(&EVE, text(), Some(&|_| below(&[])), &limits()));
}

#[test]
fn strangers_take_nothing_from_whoever_keeps_a_door_open() {
    let mut shares = LogShares::new(ME);
    let carol = member(500);
    // Carol came by bob, and lets strangers in.
    let door: WaysIn<'_> = &|_| by_doors_of(&[carol, BOB]);
    let strangers: usize = (0..100).map(|of| filled(&mut shares, member(of), text(), door)).sum();
    assert_eq!(strangers, 256);
    let in_branch: WaysIn<'_> = &|of| if *of == BOB { below(&[]) } else { below(&[BOB]) };
    assert_eq!(filled(&mut shares, carol, text(), in_branch), 256, "hers is untouched, and bob's");
}

#[test]
fn doors_behind_doors_take_no_more_than_the_first() {
    let mut shares = LogShares::new(ME);
    // Eve's puppets let in others, each by a door of its own.
    let doors: WaysIn<'_> = &|of| {
        let puppet = member(u16::from_be_bytes([of.0[0], of.0[1]]) % 10);
        by_doors_of(&[puppet, EVE])
    };
    let taken: usize = (100..300).map(|of| filled(&mut shares, member(of), text(), doors)).sum();
    assert_eq!(taken, 256);
}

#[test]
fn whoever_is_linked_and_this_node_itself_have_room_when_all_is_taken() {
    let mut shares = LogShares::new(ME);
    let known: WaysIn<'_> = &|_| below(&[]);
    let all: usize = (0..100).map(|of| filled(&mut shares, member(of), text(), known)).sum();
    assert_eq!(all, 768);
    assert_eq!(filled(&mut shares, BOB, text(), known), 0, "bob is not linked");
    shares.link(BOB, true);
    assert_eq!(filled(&mut shares, BOB, text(), known), 2);
    assert_eq!(filled(&mut shares, ME, text(), known), 64);
    shares.link(EVE, true);
    assert_eq!(filled(&mut shares, EVE, text(), known), 2, "bob took nothing of hers");
    // Chains are apart as well.
    let mut shares = LogShares::new(ME);
    let all: usize = (0..600).map(|of| filled(&mut shares, member(of), chain(), known)).sum();
    assert_eq!(all, 448);
    shares.link(BOB, true);
    assert_eq!(filled(&mut shares, BOB, chain(), known), RESERVED_CHAINS);
}

#[test]
fn nobody_takes_room_from_a_member_by_letting_it_in_once_more() {
    let mut shares = LogShares::new(ME);
    let eve: WaysIn<'_> = &|id| if *id == EVE { below(&[]) } else { below(&[EVE]) };
    shares.take(BOB, text(), eve, &limits());
    filled(&mut shares, member(0), text(), eve);
    assert!(!shares.has_room(&BOB, text(), Some(eve), &limits()));
    let both: WaysIn<'_> = &|_| [below(&[EVE]), below(&[])].concat();
    assert!(shares.has_room(&BOB, text(), Some(both), &limits()));
    shares.take(BOB, text(), both, &limits());
    assert!(shares.has_room(&member(0), text(), Some(eve), &limits()), "bob left eve's branch");
}

#[test]
fn what_a_fork_takes_back_can_be_taken_again() {
    let mut shares = LogShares::new(ME);
    let known: WaysIn<'_> = &|_| below(&[]);
    assert_eq!(filled(&mut shares, EVE, text(), known), 256);
    shares.free(&EVE, 100 * BYTES, 0);
    assert_eq!(filled(&mut shares, EVE, text(), known), 100);
}

#[test]
fn whoever_was_refused_is_asked_for_again_when_another_way_in_has_room() {
    let mut shares = LogShares::new(ME);
    for number in 0..3_000 {
        assert!(shares.has_room(&member(number), text(), None, &limits()));
        shares.refused(member(number), None, &|_| below(&[]));
    }
    assert_eq!(shares.counts(), (0, REFUSED_MAX));
    assert!(!shares.has_room(&member(7), text(), None, &limits()), "nobody is asked for it");
    filled(&mut shares, BOB, text(), &|_| Vec::new());
    let one: WaysIn<'_> = &|id| if *id == member(7) { below(&[]) } else { Vec::new() };
    assert_eq!(all_welcome(&mut shares, one), [member(7)]);
    assert_eq!(all_welcome(&mut shares, one), []);
    assert!(shares.has_room(&member(7), text(), None, &limits()));
    // Another way in has room for what is held of an author, and for more.
    let eve: WaysIn<'_> = &|id| if *id == EVE { below(&[]) } else { below(&[EVE]) };
    shares.take(BOB, text(), eve, &limits());
    filled(&mut shares, EVE, text(), eve);
    shares.refused(BOB, None, &|_| below(&[]));
    assert_eq!(all_welcome(&mut shares, eve), []);
    assert_eq!(all_welcome(&mut shares, &|_| below(&[])).len(), REFUSED_MAX);
    assert!(shares.has_room(&BOB, text(), None, &limits()));
}

#[test]
fn whoever_brings_refused_authors_out_of_nowhere_answers_for_them() {
    let mut shares = LogShares::new(ME);
    let ways: WaysIn<'_> = &|id| if [EVE, BOB].contains(id) { below(&[]) } else { Vec::new() };
    for number in 0..1_000 {
        shares.refused(member(number), Some(EVE), ways);
    }
    assert_eq!(shares.counts(), (0, REFUSED_MAX / 4));
    shares.refused(member(1_000), Some(BOB), ways);
    assert_eq!(shares.counts(), (0, REFUSED_MAX / 4 + 1));
    assert!(!shares.has_room(&member(1_000), text(), None, &limits()));
}
