use super::*;

fn id(first: u8, second: u8) -> MemberId {
    let mut id = [7; 32];
    (id[0], id[1], id[2]) = (0x93, first, second);
    MemberId(id)
}

/// Somebody of this name, here or gone.
fn known(members: &mut Members, cx: &Context, id: MemberId, name: &str, here: bool) {
    let mut member = Member::new(cx.now, id, cx.limits());
    member.present = here;
    members.known.insert(id, member);
    members.names.set(id, name);
}

/// T6: a key whose first digits are those of another's is made in a second.
#[test]
fn t6_ground_digits_grow_until_they_tell_apart() {
    let cx = Context::of_test("alice", 1);
    let mut members = Members::new(&cx, RoomId([9; 32]), BTreeMap::new());
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
    members.names.set(eve, "ben");
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
    members.names.set(eve, "ben·935901");
    assert_eq!(shown(&members, &eve), "ben\\u{b7}935901");
    assert_eq!(members.find_known("ben·935901"), Ok(ben));
}

/// T6: others of the name bear digits, whoever compared words need not look at any.
#[test]
fn t6_a_verified_member_keeps_its_name() {
    let cx = Context::of_test("alice", 1);
    let (ben, eve) = (id(0x59, 0x01), id(0x59, 0x02));
    let verified = BTreeMap::from([(ben, "ben".to_owned())]);
    let mut members = Members::new(&cx, RoomId([9; 32]), verified);
    known(&mut members, &cx, ben, "ben", true);
    known(&mut members, &cx, eve, "ben", true);
    assert_eq!(members.who(&ben).marked(), "ben✓");
    assert_eq!(members.who(&eve).marked(), "ben·935902");
    // Also while it is not here.
    known(&mut members, &cx, ben, "ben", false);
    assert_eq!(members.who(&eve).marked(), "ben·935902");
    // Verified was a name as well.
    members.names.set(ben, "eve");
    known(&mut members, &cx, eve, "eve", true);
    assert_ne!(members.who(&ben).marked(), "eve✓");
}
