//! Everything that goes over the wire: read back, held to the limits, and refused if invalid.

mod records;

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use serde_json::json;

use self::records::{by_invitation, ids, invitation, records, removed, secret};
use super::message::{GAINED_MAX, RECORDS_MAX, decode, encode, size_hint};
use super::opening::{Opening, RECORD_MAX_BYTES};
use super::*;
use crate::crypto::identity::Identity;
use crate::crypto::opaque::PasswordData;
use crate::crypto::password::Password;
use crate::limits::Limits;
use crate::router::bitmap::Bitmap;
use crate::router::ids::{Digest32, EntryId, FileId, LogNonce, MemberId, RecordId, RoomId, RunId};
use crate::router::message::{
    Brings, Capability, Done, Have, Held, Hello, Message, PushedEntry, Wanted,
};
use crate::router::signed::{
    Chain, EntryBody, EntryRef, FolderSummary, Kind, Offer, Presence, SignedEntry, SignedPresence,
};

const ROOM: RoomId = RoomId([7; 32]);

fn alice() -> Identity {
    Identity::from_seed([1; 32])
}

fn chain() -> Chain {
    Chain { author: MemberId(alice().public()), nonce: LogNonce([2; 8]) }
}

fn entry(text: &str) -> std::sync::Arc<SignedEntry> {
    let body = EntryBody {
        chain: chain(),
        seq: 1,
        depth: 1,
        prev: None,
        parents: Vec::new(),
        time_ms: 0,
        kind: Kind::Text(text.into()),
    };
    SignedEntry::sign(&ROOM, &alice(), body)
}

fn presence(addresses: usize, unlinked: usize) -> std::sync::Arc<SignedPresence> {
    let body = Presence {
        member: MemberId(alice().public()),
        run: RunId([3; 16]),
        version: 1,
        name: "alice".into(),
        addresses: vec!["[fd00::1]:51692".parse().unwrap(); addresses],
        unlinked: vec![MemberId([9; 32]); unlinked],
        bye: false,
    };
    SignedPresence::sign(&ROOM, &alice(), body)
}

fn password_data() -> PasswordData {
    PasswordData::new(&Password::new("correct horse").unwrap(), &ROOM.0).unwrap()
}

fn have() -> Have {
    Have { chain: chain(), len: u64::MAX, head: EntryId([8; 32]), forked: true, refused: true }
}

fn refusal() -> Refusal {
    Refusal { wait_ms: Some(250), ..Refusal::of(Why::TooManyAttempts) }
}

fn messages() -> Vec<Message> {
    let file = FileId([6; 32]);
    let mut some = Bitmap::none(131_072);
    some.insert(131_071);
    vec![
        Message::Ready { seen: IpAddr::V4(Ipv4Addr::LOCALHOST) },
        Message::Refuse(refusal()),
        Message::Refuse(removed()),
        Message::Register(Digest32([8; 32])),
        Message::Ids { list: ids(0..200).into_iter().collect(), last: false },
        Message::Ids { list: Vec::new(), last: true },
        Message::Records(records()),
        Message::Records(Vec::new()),
        Message::Password { lock: RecordId([3; 32]), data: password_data() },
        Message::Invitation { invitation: invitation(), find: secret().find_key() },
        Message::VerifyCommit(Digest32([1; 32])),
        Message::VerifyNonce(Digest32([2; 32])),
        Message::Presence(presence(4, 3)),
        Message::Entry(entry("hello").into()),
        Message::Have(vec![have(); 100]),
        Message::Receipt { holder: MemberId([1; 32]), have: have() },
        Message::Ask { number: 7, chains: vec![Wanted { chain: chain(), from: 3 }; 100] },
        Message::Answer { number: 7, entries: vec![entry("a"), entry("b")], last: true },
        Message::Ping(1),
        Message::Pong(u32::MAX),
        Message::Hosting { file, held: Held::All, fetching: false },
        Message::Hosting { file, held: Held::Some(some), fetching: true },
        Message::Hosting { file, held: Held::Some(Bitmap::none(0)), fetching: true },
        Message::Gained { file, chunks: vec![131_071; GAINED_MAX] },
        Message::Dropped { file, done: None },
        Message::Dropped { file, done: Some(Done::Fetched) },
        Message::Dropped { file, done: Some(Done::Declined) },
        Message::LaneWanted,
        Message::Unwanted { file, chunk: 4 },
        Message::BadChunk { file, chunk: 5 },
    ]
}

fn openings() -> Vec<Opening> {
    let hello = |brings| Hello {
        run: RunId([1; 16]),
        settled: true,
        locked: false,
        password: true,
        moves: false,
        brings,
        can: Capability::ALL.into(),
    };
    let hello = |brings| Opening::Hello { hello: hello(brings), tag: [4; 32] };
    let (member, signature) = (MemberId([1; 32]), [7; 64]);
    vec![
        hello(Brings::Nothing),
        hello(Brings::Password),
        hello(Brings::Invitation),
        Opening::Refuse(refusal()),
        Opening::Refuse(removed()),
        Opening::Identity { member, signature },
        Opening::Newcomer { member, signature },
        Opening::Known,
        Opening::Unknown,
        Opening::Grant { founder: member, nonce: [5; 32] },
        Opening::Password { step: 1, bytes: vec![1; 96] },
        Opening::Password { step: 2, bytes: vec![2; 320] },
        Opening::Password { step: 3, bytes: vec![3; 64] },
        Opening::Find([9; 32]),
        Opening::Found([8; 32]),
        Opening::Guest { member, signature, invitation: [6; 64] },
        Opening::Invitation(invitation()),
        Opening::Claim([5; 64]),
        Opening::Ready,
        Opening::Chain { list: Vec::new(), last: true },
        Opening::Chain { list: records(), last: false },
    ]
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, &Limits::default(), &mut out).unwrap();
    out
}

fn decoded(json: &serde_json::Value) -> Result<Option<Message>, WireError> {
    decode(json.to_string().as_bytes(), &ROOM, &Limits::default())
}

#[test]
fn every_message_is_read_back_and_its_size_foretold() {
    for message in messages() {
        let bytes = encoded(&message);
        assert_eq!(decode(&bytes, &ROOM, &Limits::default()), Ok(Some(message.clone())));
        let hint = size_hint(&message);
        assert!(hint + 256 > bytes.len() && hint < 2 * bytes.len() + 256, "{message:?}: {hint}");
    }
}

#[test]
fn every_opening_is_read_back_and_fits_before_admission() {
    let limits = Limits::default();
    for opening in openings() {
        let bytes = opening.encode(&limits).unwrap();
        assert_eq!(Opening::decode(&bytes, &ROOM), Ok(opening.clone()));
        // Only others' records make it longer, shown only to peers that dialled or are known.
        let of_others = matches!(&opening, Opening::Chain { .. })
            || matches!(&opening, Opening::Refuse(refusal) if refusal.record.is_some());
        assert!(of_others || bytes.len() <= RECORD_MAX_BYTES, "{opening:?}");
    }
}

#[test]
fn unknown_fields_are_ignored_and_unknown_kinds_skipped() {
    let known = json!({"kind": "ping", "number": 1, "mood": {"a": [1, 2]}});
    assert_eq!(decoded(&known), Ok(Some(Message::Ping(1))));
    assert_eq!(decoded(&json!({"kind": "dance", "number": [1]})), Ok(None));
    assert!(Opening::decode(br#"{"kind":"dance"}"#, &ROOM).is_err());
}

#[test]
fn w6_counts_that_lie_are_refused_before_anything_is_made_of_them() {
    let file = FileId([6; 32]).to_string();
    for chunks in [131_073u64, (1 << 32) - 1, 1 << 32, u64::MAX] {
        let hosting = json!({"kind": "hosting", "file": file, "chunks": chunks, "held": "AAAA",
            "fetching": true});
        assert!(decoded(&hosting).is_err());
    }
    let short = json!({"kind": "hosting", "file": file, "chunks": 131_072, "held": "AAAA",
        "fetching": true});
    assert_eq!(decoded(&short), Err(WireError::Impossible("bitmap")));
    let without = json!({"kind": "hosting", "file": file, "chunks": 8, "fetching": true});
    assert!(decoded(&without).is_err());
    let gained = json!({"kind": "gained", "file": file, "chunks": vec![1; GAINED_MAX + 1]});
    assert!(matches!(decoded(&gained), Err(WireError::TooMany { .. })));
    let number = json!({"kind": "ping", "number": 1u64 << 32});
    assert!(decoded(&number).is_err());
}

#[test]
fn pages_are_held_to_the_limits() {
    let tight = Limits {
        have_page: 1,
        answer_entries: 1,
        addresses_per_member: 1,
        members: 1,
        ..Limits::default()
    };
    let too_many = [
        Message::Have(vec![have(); 2]),
        Message::Ask { number: 1, chains: vec![Wanted { chain: chain(), from: 0 }; 2] },
        Message::Answer { number: 1, entries: vec![entry("a"); 2], last: true },
        Message::Presence(presence(2, 0)),
        Message::Presence(presence(1, 2)),
    ];
    for message in too_many {
        let read = decode(&encoded(&message), &ROOM, &tight);
        assert!(matches!(read, Err(WireError::TooMany { count: 2, max: 1, .. })), "{message:?}");
    }
    let one = records().remove(0);
    let most = Message::Records(vec![one.clone(); RECORDS_MAX]);
    let limits = Limits { message_max_bytes: 1 << 20, ..Limits::default() };
    let mut bytes = Vec::new();
    encode(&most, &limits, &mut bytes).unwrap();
    assert!(decode(&bytes, &ROOM, &limits).is_ok());
    bytes.clear();
    encode(&Message::Records(vec![one.clone(); RECORDS_MAX + 1]), &limits, &mut bytes).unwrap();
    assert!(matches!(decode(&bytes, &ROOM, &limits), Err(WireError::TooMany { .. })));
    let chain = Opening::Chain { list: vec![one; RECORDS_MAX + 1], last: true };
    let read = Opening::decode(&chain.encode(&limits).unwrap(), &ROOM);
    assert!(matches!(read, Err(WireError::TooMany { .. })));
}

#[test]
fn what_was_signed_for_another_room_or_altered_is_refused() {
    let signed = [
        Message::Entry(entry("a").into()),
        Message::Presence(presence(0, 0)),
        Message::Records(records()[..1].to_vec()),
        Message::Records(vec![by_invitation()]),
        Message::Invitation { invitation: invitation(), find: secret().find_key() },
    ];
    for message in signed {
        let other = RoomId([8; 32]);
        let read = decode(&encoded(&message), &other, &Limits::default());
        assert_eq!(read, Err(WireError::Signed(SignedError::Signature)));
    }
}

#[test]
fn an_oversized_message_is_an_error_and_leaves_the_buffer_alone() {
    let message = Message::Entry(entry(&"x".repeat(8_000)).into());
    let tight = Limits { message_max_bytes: 4_096, ..Limits::default() };
    let mut out = b"before".to_vec();
    assert!(matches!(encode(&message, &tight, &mut out), Err(WireError::TooLong { .. })));
    assert_eq!(out, b"before");
}

#[test]
fn errors_quote_nothing_of_the_peer() {
    for bad in ["{\"kind\":\"ping\",\"number\":\"\\u001b[2J\"}", "\u{1b}[2J", "[\"ready\"]"] {
        let text = decode(bad.as_bytes(), &ROOM, &Limits::default()).unwrap_err().to_string();
        assert!(text.starts_with("a message has the wrong form at byte "), "{text}");
    }
}

/// The bytes of every message and opening.
fn everything() -> &'static [Vec<u8>] {
    static BYTES: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(|| {
        let openings = openings();
        let openings = openings.iter().map(|of| of.encode(&Limits::default()).unwrap());
        messages().iter().map(encoded).chain(openings).collect()
    });
    &BYTES
}

/// Entries of every kind.
fn entries() -> Vec<std::sync::Arc<SignedEntry>> {
    let (name, root, replaces) = ("a\u{202e}.txt".to_owned(), Digest32([5; 32]), None);
    let folder = FolderSummary { files: 262_144, bytes: 1 << 41, units: 131_072 };
    let folder = Offer { name, size: 1 << 25, root, folder: Some(folder), replaces };
    let file = Offer { size: u64::MAX, folder: None, ..folder.clone() };
    let [offer, folder] = [file, folder].map(Kind::Offer);
    let withdraw = Kind::Withdraw(EntryId([6; 32]));
    let text = Kind::Text("two\nlines ✓".into());
    let kinds = [text, offer, folder, withdraw, Kind::Name("ana".into())];
    let of_bob = Chain { author: MemberId([9; 32]), nonce: LogNonce([4; 8]) };
    let parent = EntryRef { chain: of_bob, seq: 3, id: EntryId([8; 32]) };
    let later = kinds.into_iter().map(|kind| EntryBody {
        chain: chain(),
        seq: 2,
        depth: 4,
        prev: Some(EntryId([1; 32])),
        parents: vec![parent],
        time_ms: -1,
        kind,
    });
    let later = later.map(|body| SignedEntry::sign(&ROOM, &alice(), body));
    [entry("hello")].into_iter().chain(later).collect()
}

/// Writes the inputs that fuzzing starts from: `cargo test --lib write_corpus -- --ignored`.
#[test]
#[ignore = "it writes fuzz/corpus"]
fn write_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let write = |target: &str, values: Vec<Vec<u8>>| {
        std::fs::create_dir_all(folder.join(target)).unwrap();
        // The fuzzer changes a few bytes at a time, so small inputs serve it better.
        for (number, bytes) in values.iter().enumerate().filter(|(_, bytes)| bytes.len() < 2_000) {
            let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            let kind = value["kind"].as_str().unwrap_or(target);
            std::fs::write(folder.join(target).join(format!("{kind}-{number}")), bytes).unwrap();
        }
    };
    write("message", messages().iter().map(encoded).collect());
    let limits = Limits::default();
    write("opening", openings().iter().map(|of| of.encode(&limits).unwrap()).collect());
    write("entry", entries().iter().map(|of| of.bytes().into()).collect());
    write("presence", vec![presence(4, 3).bytes.to_vec(), presence(0, 0).bytes.to_vec()]);
    write("invitation", vec![invitation().bytes.to_vec()]);
    write("record", records().iter().map(|of| of.bytes.to_vec()).collect());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode(&bytes, &ROOM, &Limits::default());
        let _ = Opening::decode(&bytes, &ROOM);
    }

    #[test]
    fn altered_messages_never_panic(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let limits = Limits::default();
        let mut bytes = which.get(everything()).clone();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = with }
        let _ = decode(&bytes, &ROOM, &limits);
        let _ = Opening::decode(&bytes, &ROOM);
    }
}

#[test]
fn an_entry_that_goes_to_many_is_written_once() {
    let pushed = PushedEntry::from(entry("hello"));
    let limits = Limits::default();
    let send = |pushed: &PushedEntry| {
        let mut out = Vec::new();
        encode(&Message::Entry(pushed.clone()), &limits, &mut out).unwrap();
        out
    };
    let first = send(&pushed);
    let again = pushed.form(|_| panic!("it is written already"));
    assert_eq!(first, again);
    assert_eq!(send(&pushed), first);
}
