//! Whom a removal or a lock keeps.

use super::*;

fn plan(records: &[Named], act: &Named, stay: &str) -> Vec<Kept> {
    let all = records.iter().map(|(id, record)| (*id, record));
    plan_keep(who(FOUNDER), all, &act.1, &|member| stay.contains(char::from(member.0[0])))
}

/// The room after the act, with those that it should keep.
fn after(records: &[Named], act: &Named, stay: &str) -> Membership {
    let mut act = act.clone();
    match &mut act.1 {
        Record::Removal(removal) => {
            removal.kept = plan(records, &(act.0, Record::Removal(removal.clone())), stay)
        }
        Record::Lock(lock) => lock.kept = plan(records, &(act.0, Record::Lock(lock.clone())), stay),
        Record::Ticket(_) => panic!("a ticket keeps nobody"),
    }
    let mut records = records.to_vec();
    records.push(act);
    room(&records)
}

#[test]
fn who_goes_with_the_removed_and_stays_is_kept_in_place() {
    let records = [
        kept("a", 'F', None, 'A', &[]),
        kept("b", 'A', Some("a"), 'B', &[]),
        kept("c", 'B', Some("b"), 'C', &[]),
        kept("d", 'C', Some("c"), 'D', &[]),
        kept("e", 'B', Some("b"), 'E', &[]),
    ];
    let act = removal("r", 'F', Some('B'), &[]);
    let kept = plan(&records, &act, "CD");
    let places: Vec<_> = kept.iter().map(|kept| (kept.member, kept.below)).collect();
    let below_alice = Below::Ticket(id("a"));
    assert_eq!(places, [(who('C'), below_alice), (who('D'), Below::Kept(who('C')))]);
    let room = after(&records, &act, "CD");
    assert_eq!(members(&room), "ACD");
    // carol is still below alice, so alice can still remove her.
    assert!(room.may_remove(&who('A'), &who('C')));
}

#[test]
fn who_stands_beside_the_author_is_kept_below_it() {
    let records = [
        kept("a", 'F', None, 'A', &[]),
        kept("b", 'A', Some("a"), 'B', &[]),
        invited("g", ('F', None), 'G', "i", ('B', Some("b"))),
    ];
    let act = removal("r", 'A', Some('B'), &[]);
    let kept = plan(&records, &act, "G");
    assert_eq!(kept[0].below, Below::Ticket(id("a")));
    assert_eq!(members(&after(&records, &act, "G")), "AG");
}

#[test]
fn a_closing_keeps_those_present_with_their_guests_and_pardons() {
    let records = [
        kept("a", 'F', None, 'A', &[]),
        open("b", 'A', Some("a"), 'B', &[]),
        kept("c", 'B', Some("b"), 'C', &["r"]),
        removal("r", 'B', Some('C'), &[]),
        open("d", 'A', Some("a"), 'D', &[]),
    ];
    assert_eq!(members(&room(&records)), "ABCD");
    let act = lock("l", 'A', &["a"], true, &["r"]);
    assert_eq!(plan(&records, &act, "BCD")[2].pardons, ids(&["r"]));
    assert_eq!(members(&after(&records, &act, "BC")), "ABC");
}

#[test]
fn nobody_is_kept_whom_the_author_cannot_keep() {
    let records = [
        kept("a", 'F', None, 'A', &[]),
        kept("b", 'A', Some("a"), 'B', &[]),
        removal("r", 'F', Some('C'), &[]),
        kept("c", 'F', Some("b"), 'C', &["r"]), // pardoned by the founder
        kept("d", 'C', Some("c"), 'D', &[]),
    ];
    assert_eq!(members(&room(&records)), "ABCD");
    let act = removal("r2", 'A', Some('B'), &[]);
    let kept = plan(&records, &act, "CD");
    assert!(kept.is_empty(), "{kept:?}");
    assert!(plan(&records, &removal("r3", 'X', Some('B'), &[]), "BCD").is_empty());
}

#[test]
fn a_steward_taken_off_is_kept_by_the_removal_itself() {
    let records =
        [kept("a", 'F', None, 'A', &[]), steward("s", 'B', 0), kept("c", 'B', Some("s"), 'C', &[])];
    let act = removal("r", 'F', Some('B'), &[]);
    let room = after(&records, &act, "BC");
    assert_eq!(members(&room), "ABC");
    assert!(room.stewards().is_empty());
}
