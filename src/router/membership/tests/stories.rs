//! The rules of membership, one story each.

use super::*;

/// alice, bob below her, carol below bob.
fn three() -> Vec<Named> {
    vec![
        kept("a", 'F', None, 'A', &[]),
        kept("b", 'A', Some("a"), 'B', &[]),
        kept("c", 'B', Some("b"), 'C', &[]),
    ]
}

#[test]
fn a_ticket_is_signed_by_somebody_above_it_and_never_lets_the_founder_in() {
    let mut records = three();
    records.push(kept("d", 'A', Some("c"), 'D', &[])); // alice is above carol
    records.push(kept("e", 'C', Some("a"), 'E', &[])); // carol is not above alice
    records.push(kept("f", 'A', Some("a"), 'F', &[]));
    let room = room(&records);
    assert_eq!(members(&room), "ABCD");
    assert!(room.ticket(&id("f")).is_none() && !room.lives(&id("e")));
    assert_eq!(room.above(&id("d")), [who('C'), who('B'), who('A'), who('F')]);
    assert_eq!((room.depth(&id("d")), room.standing(&who('D'))), (4, SignsAs::Ticket(id("d"))));
    assert_eq!(room.standing(&who('F')), SignsAs::Founder);
    assert_eq!(room.standing(&who('E')), SignsAs::Outside);
}

#[test]
fn a_member_signs_under_the_ticket_nearest_the_founder_then_the_smaller_id() {
    let mut records = three();
    records.push(kept("c2", 'A', Some("a"), 'C', &[]));
    records.push(kept("c1", 'A', Some("a"), 'C', &[]));
    let room = room(&records);
    let tickets: Vec<RecordId> = room.tickets_of(&who('C')).map(|seat| seat.id).collect();
    assert_eq!(tickets, [id("c1"), id("c2"), id("c")]);
}

#[test]
fn a_ticket_waits_for_its_parent_and_counts_at_depth_32_and_no_deeper() {
    let name = |depth: usize| format!("t{depth:02}");
    let letter = |depth: usize| char::from(b'F' + u8::try_from(depth).unwrap());
    let mut chain: Vec<Named> = (1..=33)
        .map(|depth| {
            let parent = (depth > 1).then(|| name(depth - 1));
            kept(&name(depth), letter(depth - 1), parent.as_deref(), letter(depth), &[])
        })
        .collect();
    let whole = room(&chain);
    assert!(whole.lives(&id(&name(32))) && !whole.lives(&id(&name(33))));
    assert_eq!(whole.depth(&id(&name(33))), 0);
    chain.remove(4);
    assert_eq!(members(&room(&chain)).len(), 4);
}

#[test]
fn the_depth_counts_along_answerers_as_well() {
    let name = |depth: usize| format!("t{depth:02}");
    let letter = |depth: usize| char::from(b'F' + u8::try_from(depth).unwrap());
    let mut records: Vec<Named> = (1..=32)
        .map(|depth| {
            let parent = (depth > 1).then(|| name(depth - 1));
            kept(&name(depth), letter(depth - 1), parent.as_deref(), letter(depth), &[])
        })
        .collect();
    let answered = |guest, depth| ('F', guest, (letter(depth), name(depth)));
    for (maker, guest, (answerer, standing)) in [answered('x', 31), answered('y', 32)] {
        let name = guest.to_string();
        records.push(invited(&name, (maker, None), guest, "i", (answerer, Some(&standing))));
    }
    let room = room(&records);
    assert!(room.is_member(&who('x')) && !room.is_member(&who('y')));
    assert_eq!(room.depth(&id("x")), 1);
}

#[test]
fn a_removal_takes_along_who_hangs_below_and_reaches_nobody_else() {
    let mut records = three();
    records.push(kept("b2", 'F', None, 'D', &[]));
    records.push(removal("r1", 'D', Some('B'), &[]));
    assert_eq!(members(&room(&records)), "ABCD");
    records.push(removal("r2", 'A', Some('B'), &[]));
    let removed = room(&records);
    assert_eq!(members(&removed), "AD");
    assert_eq!(removed.removals_of(&who('B')), [(id("r1"), who('D')), (id("r2"), who('A'))]);
    assert!(removed.may_remove(&who('F'), &who('A')));
    assert!(!removed.may_remove(&who('A'), &who('D')));
}

#[test]
fn whoever_was_removed_comes_back_only_with_a_pardon_of_the_remover_or_of_somebody_above() {
    let mut records = three();
    records.push(removal("r", 'A', Some('C'), &[]));
    for (name, by, pardons, back) in [
        ("c1", 'A', &[][..], false),
        ("c2", 'B', &["r"], false),
        ("c3", 'A', &["r"], true),
        ("c4", 'F', &["r"], true),
    ] {
        let mut records = records.clone();
        records.push(kept(name, by, Some("b"), 'C', pardons));
        assert_eq!(room(&records).is_member(&who('C')), back, "{name}");
    }
    records.push(kept("c5", 'F', None, 'C', &[])); // beside alice, not below her
    assert!(room(&records).is_member(&who('C')));
}

#[test]
fn an_act_reaches_below_whatever_ticket_its_author_holds() {
    let mut records = three();
    records.push(removal("r", 'A', Some('C'), &[]));
    records.push(kept("a2", 'F', None, 'A', &[]));
    records.push(kept("c2", 'A', Some("a2"), 'C', &[]));
    assert_eq!(members(&room(&records)), "AB");
}

/// H2b: yvonne gives alice, who is elsewhere in the tree, a ticket below herself. It takes nothing
/// from what alice did, nor does it let yvonne undo it.
#[test]
fn h2b_a_ticket_that_a_stranger_gives_changes_nothing_of_what_its_holder_did() {
    let mut records = vec![
        kept("b", 'F', None, 'B', &[]),
        kept("a", 'B', Some("b"), 'A', &[]),
        kept("x", 'A', Some("a"), 'X', &[]),
        kept("y", 'F', None, 'Y', &[]),
        kept("0a", 'Y', Some("y"), 'A', &[]),
        kept("xk", 'A', Some("0a"), 'X', &[]),
        removal("r1", 'A', Some('X'), &[]),
        lock("l1", 'A', &["a"], true, &["r1"]),
    ];
    let closed = room(&records);
    assert_eq!(members(&closed), "ABY");
    assert_eq!(password(&closed), Some(id("l1")));

    records.push(removal("r2", 'Y', Some('A'), &[]));
    let removed = room(&records);
    assert_eq!(members(&removed), "ABY");
    assert!(removed.is_closed() && removed.lives(&id("a")) && !removed.lives(&id("0a")));

    records.pop();
    records.push(lock("o", 'Y', &["y"], false, &["l1"]));
    let opened = room(&records);
    assert!(opened.is_closed() && !opened.may_open(&who('Y'), &id("l1")));
    assert!(opened.may_open(&who('B'), &id("l1")));
}

#[test]
fn a_closing_puts_out_passers_by_below_its_author_whom_it_was_not_known_to() {
    let mut records = vec![
        open("a", 'F', None, 'A', &[]),
        open("b", 'A', Some("a"), 'B', &[]),
        open("c", 'A', Some("a"), 'C', &["l"]),
        kept("d", 'A', Some("a"), 'D', &[]),
        lock("l", 'A', &["a"], true, &[]),
    ];
    assert!(room(&records[..4]).is_passer_by(&who('B')));
    let closed = room(&records);
    assert_eq!(members(&closed), "ACD");
    assert_eq!(closed.closings().map(|closing| closing.id).collect::<Vec<_>>(), [id("l")]);
    assert_eq!(closed.all_closings(), ids(&["l"]));
    // What a closing ended stays ended after an opening.
    records.push(lock("o", 'A', &["a"], false, &["l"]));
    let opened = room(&records);
    assert!(!opened.is_closed());
    assert_eq!(members(&opened), "ACD");
}

#[test]
fn only_the_author_or_who_stands_above_every_ticket_of_its_standing_opens() {
    let mut records = three();
    records.push(kept("d", 'F', None, 'D', &[]));
    records.push(kept("b2", 'D', Some("d"), 'B', &[]));
    records.push(lock("l", 'B', &["b", "b2"], true, &[]));
    let closed = room(&records);
    for (opener, may) in [('A', false), ('D', false), ('C', false), ('B', true), ('F', true)] {
        assert_eq!(closed.may_open(&who(opener), &id("l")), may, "{opener}");
        let mut records = records.clone();
        records.push(lock("o", opener, &[], false, &["l"]));
        assert_eq!(room(&records).is_closed(), !may, "{opener}");
    }
    // An opening whose author does not know the closing does not undo it.
    records.push(lock("o", 'F', &[], false, &[]));
    assert!(room(&records).is_closed());
    // A lock that names a missing ticket can be opened only by its author and the founder.
    records.push(lock("l2", 'B', &["b", "gone"], true, &[]));
    assert!(!room(&records).may_open(&who('A'), &id("l2")));
}

#[test]
fn a_lock_names_few_of_many_tickets_and_gives_nobody_more_power_by_it() {
    let mut records = three();
    for (member, name) in [('D', "d"), ('E', "e"), ('G', "g")] {
        records.push(kept(name, 'F', None, member, &[]));
        records.push(kept(&format!("c{name}1"), member, Some(name), 'C', &[]));
        records.push(kept(&format!("c{name}2"), member, Some(name), 'C', &[]));
    }
    let room = room(&records);
    let standing = room.standing_of_lock(&who('C'));
    assert_eq!(standing, ids(&["cd1", "ce1"]));
    let above = |ticket: &RecordId| room.above(ticket).into_iter().collect::<BTreeSet<_>>();
    let common = standing.iter().map(above).reduce(|all, one| &all & &one).unwrap();
    assert_eq!(common, BTreeSet::from([who('F')]));
    assert!(room.standing_of_lock(&who('F')).is_empty());
}

#[test]
fn the_password_in_force_knows_every_removal_and_no_other_closing_knows_it() {
    let mut records = three();
    records.push(lock("l1", 'C', &["c"], true, &[]));
    assert_eq!(password(&room(&records)), Some(id("l1")));
    records.push(lock("l2", 'B', &["b"], true, &[]));
    assert_eq!(password(&room(&records)), Some(id("l2")), "bob is nearer the founder");
    records.push(removal("r", 'A', Some('X'), &[]));
    assert_eq!(password(&room(&records)), None, "neither knows the removal");
    records.push(lock("l3", 'C', &["c"], true, &["l1", "l2", "r"]));
    assert_eq!(password(&room(&records)), Some(id("l3")));
    records.push(removal("r2", 'B', Some('C'), &[]));
    let removed = room(&records);
    assert_eq!(removed.closings().count(), 1, "what a removed member closed is not closed");
    assert_eq!(password(&removed), None);
}

#[test]
fn a_removal_that_ends_invitations_only_leaves_the_password_in_force() {
    let mut records = three();
    records.push(lock("l", 'A', &["a"], true, &[]));
    records.push(removal("r", 'B', None, &["i"]));
    let room = room(&records);
    assert_eq!(password(&room), Some(id("l")));
    assert_eq!(room.acts_new_to(&who('A')), ids(&["l", "r"]));
}

#[test]
fn a_lock_knows_what_earlier_ones_of_its_own_author_know_and_not_what_others_know() {
    let mut records = three();
    records.push(removal("r", 'A', Some('X'), &[]));
    records.push(lock("l1", 'A', &["a"], true, &["r"]));
    records.push(lock("l2", 'A', &["a"], true, &["l1"]));
    records.push(lock("m", 'B', &["b"], true, &["l2"]));
    let room = room(&records);
    assert!(room.knows(&id("l2"), &id("r")));
    assert!(room.knows(&id("m"), &id("l2")) && !room.knows(&id("m"), &id("l1")));
    assert_eq!(room.acts_new_to(&who('A')), ids(&["l2", "m"]));
    assert_eq!(room.acts_new_to(&who('B')), ids(&["l1", "m", "r"]));
    assert_eq!(room.acts_new_to(&who('C')), ids(&["l1", "l2", "m", "r"]));
}

#[test]
fn two_locks_of_one_author_that_do_not_know_each_other_are_told() {
    let mut records = three();
    records.push(lock("l1", 'A', &["a"], true, &[]));
    records.push(lock("l2", 'A', &["a"], true, &["l1"]));
    assert_eq!(room(&records).copies_of(&who('A')), None);
    records.push(lock("l3", 'A', &["a"], false, &["l1"]));
    assert_eq!(room(&records).copies_of(&who('A')), Some((id("l2"), id("l3"))));
    assert_eq!(room(&records).copies_of(&who('B')), None);
}

#[test]
fn an_invited_guest_hangs_below_the_maker_and_lasts_as_long_as_whoever_answered() {
    let mut records = three();
    records.push(invited("g", ('F', None), 'G', "i", ('C', Some("c"))));
    records.push(kept("h", 'G', Some("g"), 'H', &[]));
    let before = room(&records);
    assert_eq!(members(&before), "ABCGH");
    assert_eq!(before.above(&id("g")), [who('F')]);
    for removed in ['C', 'B', 'A'] {
        let mut records = records.clone();
        records.push(removal("r", 'F', Some(removed), &[]));
        let after = room(&records);
        assert!(!after.is_member(&who('G')) && !after.is_member(&who('H')), "{removed}");
        let loss = lost_between(&before, &after).into_iter().find(|loss| loss.member == who('H'));
        let cause = Cause::Removed { by: who('F'), removal: id("r") };
        assert_eq!(loss, Some(Loss { member: who('H'), with: Some(who(removed)), cause }));
    }
}

#[test]
fn an_answer_counts_only_under_a_living_ticket_of_whoever_gave_it() {
    for (answerer, standing, counts) in [
        ('C', Some("c"), true),
        ('F', None, true),
        ('C', None, false),
        ('C', Some("b"), false),
        ('C', Some("gone"), false),
        ('C', Some("c0"), false),
        ('F', Some("a"), false),
    ] {
        let mut records = three();
        records.push(kept("c0", 'C', Some("a"), 'C', &[])); // signed by nobody above
        records.push(invited("g", ('A', Some("a")), 'G', "i", (answerer, standing)));
        assert_eq!(room(&records).is_member(&who('G')), counts, "{answerer} {standing:?}");
    }
}

#[test]
fn half_an_invitation_is_no_ticket() {
    let (name, Record::Ticket(whole)) = invited("g", ('F', None), 'G', "i", ('C', Some("c")))
    else {
        panic!("a ticket");
    };
    let halves = [
        Ticket { how: How::Kept, ..whole.clone() },
        Ticket { invited: None, ..whole.clone() },
        Ticket { pardons: ids(&["r"]), ..whole.clone() },
        Ticket { knows: ids(&["l"]), ..whole },
    ];
    for half in halves {
        let mut records = three();
        records.push((name, Record::Ticket(half)));
        assert!(room(&records).ticket(&name).is_none());
    }
}

#[test]
fn the_invitations_that_a_removal_names_end_with_their_other_guests_below_the_author() {
    let mut records = three();
    records.push(invited("g", ('A', Some("a")), 'G', "i", ('A', Some("a"))));
    records.push(invited("h", ('A', Some("a")), 'H', "i", ('A', Some("a"))));
    records.push(invited("k", ('A', Some("a")), 'K', "j", ('A', Some("a"))));
    let before = room(&records);
    records.push(removal("r", 'A', Some('G'), &["i"]));
    let after = room(&records);
    assert_eq!(members(&after), "ABCK");
    let causes: Vec<Cause> = lost_between(&before, &after).iter().map(|loss| loss.cause).collect();
    let (by, removal) = (who('A'), id("r"));
    assert_eq!(causes, [Cause::Removed { by, removal }, Cause::InvitationEnded { by, removal }]);
}

#[test]
fn a_removal_of_nobody_ends_the_invitation_and_no_ticket() {
    let mut records = three();
    records.push(invited("g", ('B', Some("b")), 'G', "i", ('A', Some("a"))));
    for (by, ends) in [('B', true), ('A', true), ('F', true), ('C', false), ('G', false)] {
        let mut records = records.clone();
        records.push(removal("r", by, None, &["i"]));
        let room = room(&records);
        assert!(room.is_member(&who('G')));
        let ended = |name| room.is_ended(&invitation(name), &who('B'), Some(&id("b")));
        assert_eq!((ended("i"), ended("j")), (ends, false), "{by}");
    }
}

#[test]
fn stewards_stand_above_everybody_but_the_founder_and_earlier_stewards() {
    let mut records = three();
    records.push(kept("d", 'F', None, 'D', &[]));
    records.push(steward("s1", 'C', 1));
    records.push(steward("s0", 'D', 2));
    let before = room(&records);
    assert_eq!(before.stewards(), [who('C'), who('D')]);
    assert_eq!(before.above(&id("a")), [who('D'), who('C'), who('F')]);
    assert_eq!(before.above(&id("s0")), [who('C'), who('F')]);
    records.push(removal("r", 'C', Some('D'), &[]));
    records.push(removal("q", 'D', Some('C'), &[])); // ends her ticket below bob, no stewardship
    records.push(removal("p", 'D', Some('A'), &[]));
    let after = room(&records);
    assert_eq!(after.stewards(), [who('C')]);
    assert_eq!(members(&after), "ABC");
}

#[test]
fn only_the_founder_names_stewards() {
    for (by, parent) in [('A', Some("a")), ('A', None), ('F', Some("a"))] {
        let mut records = three();
        let ticket = ticket(by, parent, 'B', How::Steward);
        records.push((id("s"), Record::Ticket(ticket)));
        assert!(room(&records).stewards().is_empty());
    }
}

#[test]
fn a_removal_that_keeps_whom_it_names_takes_a_stewardship_off() {
    let mut records = three();
    records.push(steward("s", 'C', 0));
    records.push(lock("l", 'F', &[], true, &[]));
    let off = keeping(removal("r", 'F', Some('C'), &[]), &[('C', Below::Ticket(id("b")), &[])]);
    records.push(off);
    let room = room(&records);
    assert!(room.stewards().is_empty());
    assert_eq!(members(&room), "ABC");
    assert_eq!(password(&room), Some(id("l")), "nobody is out who knows it");
}

#[test]
fn the_kept_are_as_good_as_tickets_and_stand_in_the_order_of_the_list() {
    let mut records = three();
    let below = Below::Kept(who('B'));
    let list: &[(char, Below, &[&str])] = &[
        ('D', below, &[]),
        ('B', Below::Ticket(id("a")), &[]),
        ('C', below, &[]),
        ('B', Below::Founder, &[]),
        ('E', Below::Founder, &[]),
    ];
    records.push(keeping(lock("l", 'A', &["a"], true, &[]), list));
    let room = room(&records);
    assert_eq!(members(&room), "ABC", "dora stands in front of bob, and erin not below alice");
    let kept = kept_id(&id("l"), &who('C'));
    assert_eq!(room.above(&kept), [who('B'), who('A'), who('F')]);
    assert_eq!(room.ticket(&kept).map(|seat| seat.record), Some(id("l")));
}

#[test]
fn losses_say_why() {
    let records = vec![
        open("a", 'F', None, 'A', &[]),
        kept("b", 'A', Some("a"), 'B', &[]),
        steward("s", 'S', 0),
        kept("d", 'S', None, 'D', &[]),
    ];
    let before = room(&records);
    assert_eq!(members(&before), "ABDS");
    let with = |more: Named| {
        let mut records = records.clone();
        records.push(more);
        lost_between(&before, &room(&records))
    };
    let cause = Cause::ClosedOut { by: who('F'), lock: id("l") };
    let closed = with(lock("l", 'F', &[], true, &[]));
    let alice = Loss { member: who('A'), with: None, cause };
    assert_eq!(closed, [alice, Loss { member: who('B'), with: Some(who('A')), cause }]);
    let off = with(removal("r", 'F', Some('S'), &[]));
    assert_eq!(off.len(), 2);
    assert_eq!(off[0].cause, Cause::IssuerGone { issuer: who('S') });
    assert_eq!(off[1].cause, Cause::Removed { by: who('F'), removal: id("r") });
    let gone = lost_between(&before, &room(&records[2..]));
    assert!(gone.iter().all(|loss| loss.cause == Cause::Missing) && gone.len() == 2);
}
