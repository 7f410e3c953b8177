//! Entries that are replayed, altered, misplaced or poisoned.

use std::sync::Arc;
use std::time::Duration;

use klatch::crypto::identity::Identity;
use klatch::router::ids::{EntryId, LogNonce, MemberId, RoomId};
use klatch::router::message::{Have, Message, Why};
use klatch::router::notice::{Code, Notice};
use klatch::router::signed::{Chain, EntryRef, Kind, SignedEntry};
use serde_json::json;

use super::eve::{Eve, Session};
use super::host::Host;
use super::writer::Writer;

/// The order of Ed25519's group, little-endian (RFC 8032, 5.1).
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// The same signature, malleated: `s` plus the group's order.
fn malleated(signature: &[u8; 64]) -> [u8; 64] {
    let order = data_encoding::HEXLOWER.decode(ORDER.as_bytes()).unwrap();
    let (mut altered, mut carry) = (*signature, 0);
    for (byte, addend) in altered[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(addend) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    altered
}

fn with_signature(entry: &SignedEntry, signature: [u8; 64]) -> Message {
    let mut entry = entry.clone();
    entry.signature = signature;
    Message::Entry(Arc::new(entry).into())
}

/// A pushed entry that ends the link, no matter who passes it on.
fn ends_the_link(alice: &Host, lie: impl Fn(&Session) -> Message) {
    let mut session = Eve::new().join(alice.addr());
    let lie = lie(&session);
    session.say(&lie);
    assert_eq!(session.wire.ended(), Some(Why::Protocol));
}

#[test]
fn l3_entries_of_other_rooms_other_authors_and_malleated_ones_are_refused() {
    let (mut alice, mut bob) = Host::pair();
    let text = || Kind::Text("forged".into());
    ends_the_link(&alice, |session| {
        let mut elsewhere = Writer::new(session.identity.clone(), RoomId([9; 32]));
        Message::Entry(elsewhere.write(text()).into())
    });
    ends_the_link(&alice, |session| {
        let entry = session.chain().write(text());
        with_signature(&entry, malleated(&entry.signature))
    });
    ends_the_link(&alice, |session| {
        // In alice's name, but with eve's signature.
        let mut writer = session.chain();
        writer.chain.author = session.host;
        Message::Entry(writer.write(text()).into())
    });
    ends_the_link(&alice, |session| {
        let entry = session.chain().write(text());
        with_signature(&entry, [0; 64])
    });
    alice.say("unharmed");
    bob.hears_text("unharmed");
    let forged = |notice: &Arc<Notice>| format!("{notice:?}").contains("forged");
    assert!(!alice.rest().iter().any(forged) && !bob.rest().iter().any(forged));
}

#[test]
fn l3_records_of_another_room_are_refused() {
    let (alice, _bob) = Host::pair();
    let eve = Eve::new();
    let mut session = eve.join(alice.addr());
    session.say(&Message::Presence(eve.presence(&RoomId([9; 32]), 2, Vec::new())));
    assert_eq!(session.wire.ended(), Some(Why::Protocol));
}

#[test]
fn l3_an_entry_that_comes_again_is_shown_once() {
    let (mut alice, mut bob) = Host::pair();
    let mut session = Eve::new().join(alice.addr());
    let once = session.chain().text("once");
    (0..50).for_each(|_| session.say(&once));
    session.settle();
    bob.hears_text("once");
    alice.say("after");
    bob.hears_text("after");
    let shown = |notices: Vec<Arc<Notice>>| {
        notices.iter().filter(|n| format!("{n:?}").contains("\"once\"")).count()
    };
    assert_eq!((shown(alice.rest()), shown(bob.rest())), (1, 0));
}

#[test]
fn l3_huge_numbers_and_clocks_of_other_centuries_do_no_harm() {
    let (mut alice, mut bob) = Host::pair();
    let mut session = Eve::new().join(alice.addr());
    let year_ms = 31_557_600_000_i64;
    let times = [i64::MIN, i64::MAX, -200 * year_ms, 200 * year_ms, 0, -1];
    for (number, time_ms) in times.into_iter().enumerate() {
        let mut writer = session.chain();
        writer.time_ms = time_ms;
        let said = writer.text(&format!("at {number}"));
        session.say(&said);
        bob.hears_text(&format!("at {number}"));
    }
    let writer = session.chain();
    for seq in [2, 3, 1 << 31, 1 << 60, u64::MAX - 1, u64::MAX] {
        session
            .say(&Message::Entry(writer.draft(seq, Vec::new(), Kind::Text("late".into())).into()));
    }
    let mut parents = session.chain();
    let nowhere = |seq| EntryRef {
        chain: Chain { author: MemberId([1; 32]), nonce: LogNonce([2; 8]) },
        seq,
        id: EntryId([3; 32]),
    };
    for seq in [1, u64::MAX] {
        let entry = parents.write_after(vec![nowhere(seq)], Kind::Text("lost".into()));
        session.say(&Message::Entry(entry.into()));
    }
    // Nothing may come before the first, and no entry has number 0.
    session.settle();
    alice.say("unharmed");
    bob.hears_text("unharmed");
}

#[test]
fn l4_claims_of_2_to_the_60_cost_nothing_and_hide_nothing() {
    let (mut alice, mut bob) = Host::pair();
    bob.say("bob was here");
    alice.hears_text("bob was here");
    let mut session = Eve::new().join(alice.addr());
    // Questions about chains that nobody has, and about all existing ones that eve hears of.
    let heard = session
        .hear_until("haves", |message| matches!(message, Message::Have(list) if !list.is_empty()));
    let Message::Have(known) = heard else { unreachable!() };
    for (page, forked) in (0..20).zip([true, false].into_iter().cycle()) {
        let claim = |n| Have {
            chain: Chain { author: MemberId([page; 32]), nonce: LogNonce([n; 8]) },
            len: 1 << 60,
            head: EntryId([7; 32]),
            forked,
            refused: false,
        };
        session.say(&Message::Have((0..100).map(claim).collect()));
        let lie = |have: &Have| Have { len: u64::MAX, head: EntryId([page; 32]), ..*have };
        session.say(&Message::Have(known.iter().map(lie).collect()));
    }
    for holder in [session.host, MemberId([5; 32])] {
        let have = Have { len: 1 << 60, ..known[0] };
        session.say(&Message::Receipt { holder, have });
    }
    // Alice asks for what was claimed, and eve stays silent.
    session.hear_until("a question", |message| matches!(message, Message::Ask { .. }));
    bob.say("one more");
    alice.hears_text("one more");
    let mut carol = Host::new("carol");
    carol.connect(alice.addr()).unwrap();
    carol.hears_text("bob was here");
    carol.hears_text("one more");
}

#[test]
fn l5_poison_entries_stall_nobody_elses() {
    let (mut alice, mut bob) = Host::pair();
    let mut session = Eve::new().join(alice.addr());
    let long = "x".repeat(8 * 1024 + 1);
    let kinds = [
        Kind::Unknown,
        Kind::Text("".into()),
        Kind::Text("\u{1b}]52;c;ZXZpbA==\u{7}".into()),
        Kind::Text(long.into()),
        Kind::Name("* klatch".into()),
        Kind::Name("a:b".into()),
        Kind::Withdraw(klatch::router::ids::EntryId([1; 32])),
    ];
    let mut writer = session.chain();
    for kind in kinds {
        let entry = writer.write(kind);
        session.say(&Message::Entry(entry.into()));
    }
    let text = writer.text("behind the poison");
    session.say(&text);
    bob.hears_text("behind the poison");
    // Two versions of one place: all are told, and the others' messages keep flowing.
    let first = session.chain();
    for text in ["heads", "tails"] {
        session.say(&Message::Entry(first.draft(1, Vec::new(), Kind::Text(text.into())).into()));
    }
    assert!(alice.hears_failure(Code::ChainForked).contains("eve"));
    bob.hears_failure(Code::ChainForked);
    for number in 0..20 {
        alice.say(&format!("from alice {number}"));
        bob.say(&format!("from bob {number}"));
    }
    bob.hears_text("from alice 19");
    alice.hears_text("from bob 19");
    let mut carol = Host::new("carol");
    carol.connect(bob.addr()).unwrap();
    carol.hears_text("behind the poison");
    carol.hears_text("from bob 19");
}

#[test]
fn l5_an_answer_that_is_not_what_was_asked_is_left_out() {
    let (mut alice, mut bob) = Host::pair();
    let mut session = Eve::new().join(alice.addr());
    let chain = session.chain().chain;
    let head = EntryId([4; 32]);
    session.say(&Message::Have(vec![Have { chain, len: 3, head, forked: false, refused: false }]));
    let asked = session.hear_until("a question", |message| {
        matches!(message, Message::Ask { chains, .. } if chains.iter().any(|c| c.chain == chain))
    });
    let Message::Ask { number, .. } = asked else { unreachable!() };
    let unasked = session.chain().write(Kind::Text("unasked".into()));
    let stranger = Writer::new(Identity::generate(), session.room).write(Kind::Unknown);
    for (number, last) in [(number.wrapping_add(1), true), (number, false), (number, true)] {
        let entries = vec![unasked.clone(), stranger.clone()];
        session.say(&Message::Answer { number, entries, last });
    }
    session.say_json(&json!({"kind": "answer", "number": number, "entries": [], "last": true}));
    session.settle();
    alice.say("unharmed");
    bob.hears_text("unharmed");
    let unasked = |notice: &Arc<Notice>| format!("{notice:?}").contains("unasked");
    assert!(!alice.rest().iter().any(unasked));
    assert!(session.hear(Duration::ZERO).is_none_or(|m| !matches!(m, Message::Refuse(_))));
}
