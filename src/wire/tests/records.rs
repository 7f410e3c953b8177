//! Records of membership, invitations, refusals: read back, and refused if invalid.

use serde_json::json;

use super::super::message::decode;
use super::super::opening::Opening;
use super::super::*;
use super::{ROOM, alice, decoded, encoded};
use crate::crypto::hash::digest;
use crate::crypto::identity::Identity;
use crate::crypto::invite::{FindKey, InviteSecret};
use crate::limits::Limits;
use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId, RoomId};
use crate::router::membership::record::{Below, How, Invited, Kept, Lock, Record, Removal, Ticket};
use crate::router::message::Message;
use crate::router::signed::{
    Claim, Invitation, KEPT_MAX, RECORD_MAX_BYTES, SignedInvitation, SignedRecord,
};

type SharedRecord = std::sync::Arc<SignedRecord>;

/// A refusal that shows who removed the peer.
pub(super) fn removed() -> Refusal {
    Refusal { record: Some(records().remove(0)), ..Refusal::of(Why::Removed) }
}

pub(super) fn me() -> MemberId {
    MemberId(alice().public())
}

pub(super) fn signed(record: Record) -> SharedRecord {
    SignedRecord::sign(&ROOM, &alice(), record, None)
}

pub(super) fn ids(numbers: std::ops::Range<u8>) -> std::collections::BTreeSet<RecordId> {
    numbers.map(|number| RecordId([number; 32])).collect()
}

pub(super) fn ticket(how: How) -> Ticket {
    Ticket {
        by: me(),
        parent: Some(RecordId([1; 32])),
        member: MemberId([2; 32]),
        how,
        rank: u32::from(how == How::Steward),
        knows: ids(3..5),
        pardons: ids(5..9),
        invited: None,
    }
}

/// Members that a record keeps: in every place, parents before children.
pub(super) fn kept() -> Vec<Kept> {
    let kept = |number, below, pardons| Kept { member: MemberId([number; 32]), below, pardons };
    vec![
        kept(9, Below::Founder, ids(0..0)),
        kept(7, Below::Ticket(RecordId([1; 32])), ids(0..2)),
        kept(8, Below::Ticket(RecordId([1; 32])), ids(0..0)),
        kept(3, Below::Kept(MemberId([9; 32])), ids(0..0)),
    ]
}

pub(super) fn secret() -> InviteSecret {
    InviteSecret::from_bytes([7; 16])
}

pub(super) fn invitation() -> std::sync::Arc<SignedInvitation> {
    let body = Invitation {
        maker: me(),
        ticket: Some(RecordId([4; 32])),
        key: Digest32(secret().identity().public()),
        find: Digest32(secret().find_key().hash()),
        until: 1_800_000_000_000,
        uses: Some(1),
    };
    SignedInvitation::sign(&ROOM, &alice(), body)
}

/// Bob answers the guest of alice's invitation.
pub(super) fn by_invitation() -> SharedRecord {
    let bob = Identity::from_seed([2; 32]);
    let (guest, invitation) = (MemberId([3; 32]), invitation());
    let message = Claim::message(&ROOM, &guest, &invitation.id);
    let claim =
        Claim { invitation: invitation.clone(), signature: secret().identity().sign(&message) };
    let ticket = Ticket {
        by: me(),
        parent: invitation.body.ticket,
        member: guest,
        how: How::Invitation,
        rank: 0,
        knows: ids(0..0),
        pardons: ids(0..0),
        invited: Some(Invited {
            invitation: invitation.id,
            answerer: MemberId(bob.public()),
            standing: Some(RecordId([6; 32])),
        }),
    };
    SignedRecord::sign(&ROOM, &bob, Record::Ticket(ticket), Some(claim))
}

pub(super) fn records() -> Vec<SharedRecord> {
    let lock = |closed, password| Lock {
        by: me(),
        standing: ids(1..3),
        closed,
        password,
        over: ids(3..40),
        kept: if closed { kept() } else { Vec::new() },
    };
    let removal = |member, kept| Removal {
        by: me(),
        member,
        invitations: [InvitationId([1; 32]), InvitationId([2; 32])].into(),
        earlier: u32::from(member.is_some()),
        kept,
    };
    let mut records = vec![
        Record::Removal(removal(Some(MemberId([2; 32])), kept())),
        Record::Removal(removal(None, Vec::new())),
        Record::Lock(lock(true, Some(Digest32([5; 32])))),
        Record::Lock(lock(true, None)),
        Record::Lock(lock(false, None)),
    ];
    let hows = [How::Open, How::Password, How::Kept, How::Steward];
    records.extend(hows.map(|how| Record::Ticket(ticket(how))));
    let mut bare = ticket(How::Open);
    (bare.parent, bare.knows, bare.pardons) = (None, ids(0..0), ids(0..0));
    records.push(Record::Ticket(bare));
    let mut records: Vec<_> = records.into_iter().map(signed).collect();
    records.push(by_invitation());
    records
}

#[test]
fn every_record_is_read_back_as_whoever_signed_it_has_it() {
    for record in records() {
        let read = SignedRecord::verify(&ROOM, &record.bytes, &record.signature);
        assert_eq!(read, Ok(record));
    }
}

/// A record's meaning does not depend on order: groups of kept members come after their parents.
#[test]
fn whom_a_record_keeps_is_read_back_whatever_the_order() {
    let removal = |kept| {
        Record::Removal(Removal {
            by: me(),
            member: Some(MemberId([2; 32])),
            invitations: Default::default(),
            earlier: 0,
            kept,
        })
    };
    let record = signed(removal(kept()));
    let members = |record: &Record| -> std::collections::BTreeMap<_, _> {
        record.kept().iter().map(|kept| (kept.member, kept.clone())).collect()
    };
    assert_eq!(members(&record.record), members(&removal(kept())));
    let mut before = std::collections::BTreeSet::new();
    for kept in record.record.kept() {
        if let Below::Kept(member) = kept.below {
            assert!(before.contains(&member));
        }
        before.insert(kept.member);
    }
    // The longest list fits; one more makes the record invalid.
    let many = |count: usize| {
        let member = |n: usize| MemberId(digest(&[&n.to_be_bytes()]));
        let kept = |n| Kept { member: member(n), below: Below::Founder, pardons: ids(0..0) };
        signed(removal((0..count).map(kept).collect()))
    };
    let most = many(KEPT_MAX);
    assert!(most.bytes.len() <= RECORD_MAX_BYTES);
    assert!(SignedRecord::verify(&ROOM, &most.bytes, &most.signature).is_ok());
    let message = Message::Records(vec![most]);
    assert_eq!(decode(&encoded(&message), &ROOM, &Limits::default()), Ok(Some(message)));
    let more = many(KEPT_MAX + 1);
    let read = SignedRecord::verify(&ROOM, &more.bytes, &more.signature);
    assert_eq!(read, Err(SignedError::Form));
}

/// The bytes of a record with one change, signed again by alice.
fn altered(record: &SignedRecord, alter: impl Fn(&mut serde_json::Value)) -> (Vec<u8>, [u8; 64]) {
    let mut body: serde_json::Value = serde_json::from_slice(&record.bytes).unwrap();
    alter(&mut body);
    let bytes = serde_json::to_vec(&body).unwrap();
    let id = digest(&[b"klatch record 1\0", &ROOM.0, &bytes]);
    let signature = alice().sign(&[&b"klatch record signature 1\0"[..], &id].concat());
    (bytes, signature)
}

#[test]
fn records_that_no_klatch_makes_are_refused_though_they_are_signed() {
    let of = |record: Record| signed(record);
    let (removal, lock) = (records().remove(0), records().remove(2));
    let (open, steward) = (of(Record::Ticket(ticket(How::Open))), records().remove(8));
    let plain = |list: &[u8]| data_encoding::BASE64.encode(&list.repeat(32));
    let two = data_encoding::BASE64.encode(&[[5; 32], [4; 32]].concat());
    let twice = data_encoding::BASE64.encode(&[[4; 32], [4; 32]].concat());
    type Alter = Box<dyn Fn(&mut serde_json::Value)>;
    let set = |field: &'static str, to: serde_json::Value| -> Alter {
        Box::new(move |body| body[field] = to.clone())
    };
    let kept = |list: serde_json::Value| set("kept", list);
    let nine = plain(&[9]);
    let wrong: Vec<(&SharedRecord, Alter, SignedError)> = vec![
        // Sets of ids: half an id, out of order, twice the same, not base64, not text.
        (&open, set("knows", json!("AAAA")), SignedError::Form),
        (&open, set("knows", json!(two)), SignedError::Form),
        (&open, set("pardons", json!(twice)), SignedError::Form),
        (&lock, set("over", json!("?")), SignedError::Form),
        (&lock, set("standing", json!(["04"])), SignedError::Form),
        // Fields that do not belong to its kind.
        (&open, set("rank", json!(7)), SignedError::Form),
        (&open, set("standing", json!("01".repeat(32))), SignedError::Form),
        (&open, set("guest", json!("AAAA")), SignedError::Form),
        (&open, set("how", json!("invitation")), SignedError::Form),
        (&open, set("how", json!("magic")), SignedError::Unknown),
        (&open, set("kind", json!("poem")), SignedError::Unknown),
        (&lock, set("closed", json!(false)), SignedError::Form),
        (&steward, set("rank", json!(-1)), SignedError::Form),
        // Kept members: twice, below nobody, below both, below a later one.
        (&removal, kept(json!([{"members": nine}, {"members": nine}])), SignedError::Form),
        (&removal, kept(json!([{"members": nine, "below": "07".repeat(32)}])), SignedError::Form),
        (
            &removal,
            kept(json!([{"members": nine},
                {"members": plain(&[8]), "below": "09".repeat(32), "parent": "01".repeat(32)}])),
            SignedError::Form,
        ),
        (&removal, kept(json!([{"members": nine, "below": "09".repeat(32)}])), SignedError::Form),
        // Another's act, with alice's signature.
        (&removal, set("by", json!("02".repeat(32))), SignedError::Signature),
    ];
    for (number, (record, alter, error)) in wrong.into_iter().enumerate() {
        let (bytes, signature) = altered(record, alter);
        let read = SignedRecord::verify(&ROOM, &bytes, &signature);
        assert_eq!(read, Err(error), "{number}: {}", String::from_utf8_lossy(&bytes));
    }
    // The same ways of changing give valid records if they change nothing.
    let (bytes, signature) = altered(&removal, |_| {});
    assert!(SignedRecord::verify(&ROOM, &bytes, &signature).is_ok());
    let long = signed(Record::Lock(Lock {
        by: me(),
        standing: ids(0..0),
        closed: true,
        password: None,
        over: (0..600).map(|n: u16| RecordId(digest(&[&n.to_be_bytes()]))).collect(),
        kept: Vec::new(),
    }));
    assert!(long.bytes.len() > RECORD_MAX_BYTES);
    let read = SignedRecord::verify(&ROOM, &long.bytes, &long.signature);
    assert_eq!(read, Err(SignedError::TooLarge));
}

/// N2: a ticket by invitation is valid only with all of it: the invitation, its maker's signature,
/// its key's signature over this guest, and the answerer's.
#[test]
fn n2_a_ticket_by_invitation_holds_only_as_a_whole() {
    let bob = Identity::from_seed([2; 32]);
    let whole = by_invitation();
    let sign = |bytes: &[u8], by: &Identity| {
        let id = digest(&[b"klatch record 1\0", &ROOM.0, bytes]);
        by.sign(&[&b"klatch record signature 1\0"[..], &id].concat())
    };
    let with = |alter: &dyn Fn(&mut serde_json::Value), by: &Identity| {
        let mut body: serde_json::Value = serde_json::from_slice(&whole.bytes).unwrap();
        alter(&mut body);
        let bytes = serde_json::to_vec(&body).unwrap();
        SignedRecord::verify(&ROOM, &bytes, &sign(&bytes, by)).map(|_| ())
    };
    assert_eq!(with(&|_| {}, &bob), Ok(()));
    let base64 = |bytes: &[u8]| json!(data_encoding::BASE64.encode(bytes));
    let elsewhere = SignedInvitation::sign(&RoomId([8; 32]), &alice(), invitation().body.clone());
    let forged = Invitation { uses: None, ..invitation().body.clone() };
    let forged = SignedInvitation::sign(&ROOM, &bob, forged);
    let guess = Identity::from_seed([9; 32]).sign(b"?");
    type Alter<'a> = &'a dyn Fn(&mut serde_json::Value);
    let wrong: [(Alter<'_>, SignedError); 13] = [
        (&|body| drop(body.as_object_mut().unwrap().remove("invitation")), SignedError::Form),
        (&|body| drop(body.as_object_mut().unwrap().remove("guest")), SignedError::Form),
        (
            &|body| drop(body.as_object_mut().unwrap().remove("invitation_signature")),
            SignedError::Form,
        ),
        (&|body| body["guest"] = base64(&guess), SignedError::Signature),
        (&|body| body["guest"] = base64(&guess[..63]), SignedError::Form),
        (&|body| body["member"] = json!("04".repeat(32)), SignedError::Signature),
        (&|body| body["invitation_signature"] = base64(&guess), SignedError::Signature),
        (&|body| body["invitation"] = base64(&invitation().bytes[1..]), SignedError::Form),
        (&|body| body["invitation"] = base64(&[b' '; 2_000]), SignedError::TooLarge),
        (
            &|body| {
                body["invitation"] = base64(&elsewhere.bytes);
                body["invitation_signature"] = base64(&elsewhere.signature);
            },
            SignedError::Signature,
        ),
        (
            &|body| {
                body["invitation"] = base64(&forged.bytes);
                body["invitation_signature"] = base64(&forged.signature);
            },
            SignedError::Signature,
        ),
        (&|body| body["parent"] = json!("04".repeat(32)), SignedError::Form),
        (&|body| body["pardons"] = base64(&[4; 32]), SignedError::Form),
    ];
    for (number, (alter, error)) in wrong.into_iter().enumerate() {
        assert_eq!(with(alter, &bob), Err(error), "{number}");
    }
    // The answerer signs: neither the guest, nor the maker, nor others can do so instead.
    for other in [alice(), secret().identity(), Identity::from_seed([3; 32])] {
        assert_eq!(with(&|_| {}, &other), Err(SignedError::Signature));
    }
}

#[test]
fn n2_an_invitation_is_its_makers_and_its_rooms_and_goes_with_its_find_key() {
    let signed = invitation();
    let read = |room, bytes: &[u8], signature| SignedInvitation::verify(&room, bytes, signature);
    assert_eq!(read(ROOM, &signed.bytes, &signed.signature), Ok(signed.clone()));
    let other = read(RoomId([8; 32]), &signed.bytes, &signed.signature);
    assert_eq!(other, Err(SignedError::Signature));
    for at in 0..signed.bytes.len() {
        let mut bytes = signed.bytes.to_vec();
        bytes[at] ^= 1;
        assert!(read(ROOM, &bytes, &signed.signature).is_err(), "{at}");
        assert!(read(ROOM, &signed.bytes[..at], &signed.signature).is_err(), "{at}");
    }
    let message = |find| Message::Invitation { invitation: invitation(), find };
    let wrong = encoded(&message(FindKey::from_bytes([1; 32])));
    let read = decode(&wrong, &ROOM, &Limits::default());
    assert_eq!(read, Err(WireError::Impossible("find key")));
}

/// H15: a refusal shows a record of this room, with a valid signature, or none.
#[test]
fn h15_a_refusal_shows_no_record_that_does_not_hold() {
    let refusal = Message::Refuse(removed());
    let limits = Limits::default();
    let bare = |why| Ok(Some(Message::Refuse(Refusal::of(why))));
    let bytes = encoded(&refusal);
    assert_eq!(decode(&bytes, &ROOM, &limits), Ok(Some(refusal)));
    assert_eq!(decode(&bytes, &RoomId([8; 32]), &limits), bare(Why::Removed));
    let mut body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    body["record"]["signature"] = json!(data_encoding::BASE64.encode(&[1; 64]));
    assert_eq!(decoded(&body), bare(Why::Removed));
    body["record"] = serde_json::Value::Null;
    body["why"] = json!("ana removed you, send money to \u{1b}[2J");
    assert_eq!(decoded(&body), bare(Why::Protocol));
    let opening = Opening::Refuse(removed()).encode(&limits).unwrap();
    let read = Opening::decode(&opening, &RoomId([8; 32]));
    assert_eq!(read, Ok(Opening::Refuse(Refusal::of(Why::Removed))));
}

/// A later version's record among others is left out; an unsigned one ends the link.
#[test]
fn records_of_unknown_kinds_are_left_out() {
    let known = records().remove(0);
    let (bytes, signature) = altered(&known, |body| body["kind"] = json!("poem"));
    fn row(bytes: &[u8], signature: &[u8]) -> serde_json::Value {
        let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
        let (bytes, signature) = (base64(bytes), base64(signature));
        json!({"bytes": bytes, "signature": signature})
    }
    let poem = row(&bytes, &signature);
    let message = json!({"kind": "records", "list":
        [poem, row(&known.bytes, &known.signature), poem]});
    assert_eq!(decoded(&message), Ok(Some(Message::Records(vec![known.clone()]))));
    let message = json!({"kind": "records", "list": [row(&known.bytes, &[7; 64])]});
    assert_eq!(decoded(&message), Err(WireError::Signed(SignedError::Signature)));
}
