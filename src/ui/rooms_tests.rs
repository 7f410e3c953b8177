//! Tests of what each person is told about a room.

use super::super::lines::to_lines;
use super::super::paint::Seen;
use super::*;
use crate::router::ids::{InvitationId, MemberId, RoomId};
use crate::router::text::Untrusted;

/// 2026-11-22T14:05:33Z.
const NOW_MS: i64 = 1_795_356_333_000;
const DAY_MS: i64 = 24 * 3_600_000;

fn who(id: u8, name: &str) -> Who {
    Who { id: MemberId([id; 32]), name: Untrusted::new(name), verified: false }
}

fn ana() -> Who {
    who(1, "ana")
}

fn eve() -> Who {
    who(5, "eve")
}

fn me() -> Who {
    who(9, "zoe")
}

/// As zoe's klatch would say it.
fn style(closed: bool) -> Style {
    let seen = Seen { me: Some(me().id), closed, now_ms: None };
    Style { seen, ..Style::plain() }
}

fn said(notice: &Notice, closed: bool) -> String {
    to_lines(notice, &style(closed)).unwrap()
}

fn locked(own: bool, password: bool, out: &[&str]) -> Notice {
    let out = out.iter().zip(20..).map(|(name, id)| who(id, name)).collect();
    Notice::RoomLocked { by: ana(), own, password, out, me_out: false }
}

#[test]
fn people_read_who_closed_the_room_and_who_is_out() {
    for (notice, closed, line) in [
        (
            locked(false, true, &[]),
            false,
            "* ana closed the room: those here stay; others need the password or an invitation",
        ),
        (
            locked(true, false, &["dora"]),
            false,
            "* you closed the room: those here stay; others need an invitation; dora is out",
        ),
        (
            locked(true, true, &["dora", "emil"]),
            true,
            "* you changed the password of the room; dora and emil are out",
        ),
        (
            locked(false, true, &[]),
            true,
            "* ana changed the password of the room: the old one no longer works \
             (/password sets another)",
        ),
        (
            locked(false, false, &[]),
            true,
            "* ana removed the room's password: others need an invitation",
        ),
        (
            Notice::RoomUnlocked { by: ana(), own: false },
            true,
            "* ana opened the room: anyone who can reach it can join",
        ),
        (
            Notice::RoomUnlocked { by: ana(), own: true },
            true,
            "* you opened the room: anyone who can reach it can join",
        ),
    ] {
        assert_eq!(said(&notice, closed), line);
    }
    let out =
        Notice::RoomLocked { by: ana(), own: false, password: true, out: Vec::new(), me_out: true };
    assert_eq!(said(&out, false), "* ana closed the room, and you are no longer in it");
}

#[test]
fn a_face_remembers_whether_the_room_is_closed() {
    let mut seen = Seen::default();
    seen.hear(&Notice::Started { who: me(), temporary: false, locked: false });
    assert!(seen.is_me(&me()) && !seen.closed);
    seen.hear(&locked(false, true, &[]));
    assert!(seen.closed);
    seen.hear(&Notice::RoomUnlocked { by: ana(), own: false });
    assert!(!seen.closed);
    let (room, members) = (RoomId([2; 32]), Vec::new());
    seen.hear(&Notice::Joined { room, members, locked: true, founder: ana() });
    assert!(seen.closed);
    seen.hear(&Notice::Left { room });
    assert!(!seen.closed);
}

#[test]
fn people_read_whose_room_it_is() {
    let member = |who| MemberInfo { who, address: String::new() };
    let members = vec![member(ana()), member(eve())];
    let joined = |founder: Who, locked| {
        let members = members.clone();
        said(&Notice::Joined { room: RoomId([2; 32]), members, locked, founder }, false)
    };
    assert_eq!(
        joined(ana(), false),
        "* you are in ana's room with ana and eve (open: anyone who can reach it can join)"
    );
    assert_eq!(joined(me(), true), "* you are in your room with ana and eve (closed)");
}

#[test]
fn whoever_is_removed_reads_by_whom_and_others_who_went_along() {
    let removed = |member: Who, own, me_out, also: &[&str]| {
        let also = also.iter().zip(20..).map(|(name, id)| who(id, name)).collect();
        said(&Notice::MemberRemoved { member, by: ana(), own, me_out, also }, true)
    };
    assert_eq!(removed(eve(), false, false, &[]), "* ana removed eve");
    assert_eq!(removed(eve(), true, false, &[]), "* you removed eve");
    assert_eq!(
        removed(eve(), false, false, &["mallory"]),
        "* ana removed eve, and mallory, whom eve had let in"
    );
    assert_eq!(
        removed(eve(), true, false, &["mallory", "trudy"]),
        "* you removed eve, and whom eve had let in: mallory and trudy"
    );
    assert_eq!(removed(me(), false, true, &[]), "* ana removed you from this room");
    assert_eq!(
        removed(eve(), false, true, &[]),
        "* ana removed eve, through whom you came in: you are out of the room as well"
    );
}

#[test]
fn stewards_are_named() {
    let steward = |member: Who, own, off| said(&Notice::StewardChanged { member, own, off }, true);
    assert!(steward(me(), false, false).starts_with("* you are a steward of the room now"));
    assert!(steward(eve(), true, false).starts_with("* you made eve a steward, above everybody"));
    assert!(steward(eve(), false, false).starts_with("* eve is a steward now"));
    assert_eq!(steward(eve(), true, true), "* eve is no longer a steward");
}

#[test]
fn an_invitation_is_one_line_that_can_be_copied_as_it_stands() {
    let text = format!("klatch:{}", "a2".repeat(49));
    let notice = Notice::Invitation { text: text.clone(), until_ms: NOW_MS + DAY_MS, once: false };
    assert_eq!(
        said(&notice, true),
        format!(
            "* send this to the people you invite; anyone who has it can join until 2026-11-23 \
             14:05 UTC:\nklatch {text}"
        )
    );
    let terminal = Style::terminal(time::UtcOffset::UTC);
    let seen = Seen { now_ms: Some(NOW_MS), ..Seen::default() };
    let lines = to_lines(&notice, &Style { seen, ..terminal }).unwrap();
    assert!(lines.contains("until tomorrow 14:05:"), "{lines}");
    assert!(lines.ends_with(&format!("\nklatch {text}")), "{lines:?}");
    let once = Notice::Invitation { text, until_ms: NOW_MS, once: true };
    let lines = to_lines(&once, &Style { seen, ..terminal }).unwrap();
    assert!(lines.contains("it admits one person, until today 14:05:"), "{lines}");
}

#[test]
fn the_invitations_that_live_are_listed() {
    let line = |own, left| InvitationLine {
        id: InvitationId([3; 32]),
        maker: ana(),
        own,
        until_ms: NOW_MS,
        left,
    };
    let list = vec![line(true, None), line(false, Some(1))];
    assert_eq!(
        said(&Notice::Invitations { list }, true),
        "* 2 invitations can be used:\n\
         *   yours   until 2026-11-22 14:05 UTC  any number of people\n\
         *   by ana  until 2026-11-22 14:05 UTC  one person\n\
         * /invite off ends yours"
    );
    let none = Notice::Invitations { list: Vec::new() };
    assert_eq!(said(&none, true), "* no invitation can be used now");
}

#[test]
fn both_sides_read_words_to_compare() {
    let member = MemberInfo { who: ana(), address: String::new() };
    let words = |asked| {
        let (member, words) = (member.clone(), "one two three four".into());
        said(&Notice::Words { member, words, asked }, true)
    };
    let rest = "\n*   one two three four\n* if ana reads the same words, type: verify ana same";
    let first = "* compare these words with ana, in person or by phone:";
    assert_eq!(words(false), format!("{first}{rest}"));
    let first = "* ana wants to compare words with you, in person or by phone:";
    assert_eq!(words(true), format!("{first}{rest}"));
}
