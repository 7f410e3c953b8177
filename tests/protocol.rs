//! The worked example of PROTOCOL.md, computed again: every value that comes out here must stand
//! there.
//!
//! Channel and labels are computed from the document's own words; JSON, signatures and membership
//! use klatch's code.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A value that cannot be made fails the test.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER};
use klatch::crypto::binding::{
    Binding, Role, Side, find_proof, guest_message, identity_message, newcomer_message, room_tag,
};
use klatch::crypto::hash::{digest, hmac};
use klatch::crypto::identity::Identity;
use klatch::crypto::invite::InviteSecret;
use klatch::crypto::noise::HandshakeHash;
use klatch::limits::Limits;
use klatch::router::ids::{Digest32, LogNonce, MemberId, RecordId, RoomId, RunId};
use klatch::router::invite_link::InviteLink;
use klatch::router::membership::record::{
    Below, How, Invited, Kept, Lock, Record, Removal, Ticket,
};
use klatch::router::membership::register::{Inserted, Register};
use klatch::router::membership::{Membership, kept_id};
use klatch::router::message::{Brings, Capability, Have, Hello, Message};
use klatch::router::signed::{
    Chain, Claim, EntryBody, Invitation, Kind, Offer, Presence, SignedEntry, SignedInvitation,
    SignedPresence, SignedRecord, room_hint,
};
use klatch::wire::message::encode;
use klatch::wire::opening::Opening;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use x25519_dalek::{PublicKey, StaticSecret};

const NOW_MS: i64 = 1_795_305_600_000;

/// Text that must be in the document, with a name to show when it is missing.
#[derive(Default)]
struct Values(Vec<(String, String)>);

impl Values {
    fn text(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    fn hex(&mut self, name: &str, bytes: &[u8]) {
        self.text(name, HEXLOWER.encode(bytes));
    }

    fn base64(&mut self, name: &str, bytes: &[u8]) {
        self.text(name, BASE64.encode(bytes));
    }

    fn opening(&mut self, name: &str, opening: &Opening) -> Vec<u8> {
        let bytes = opening.encode(&Limits::default()).unwrap();
        self.text(name, String::from_utf8(bytes.clone()).unwrap());
        bytes
    }

    fn message(&mut self, name: &str, message: &Message) {
        let mut bytes = Vec::new();
        encode(message, &Limits::default(), &mut bytes).unwrap();
        self.text(name, String::from_utf8(bytes).unwrap());
    }

    fn record(&mut self, name: &str, record: &SignedRecord) {
        self.text(&format!("{name}: bytes"), String::from_utf8(record.bytes.to_vec()).unwrap());
        self.hex(&format!("{name}: id"), &record.id.0);
        self.base64(&format!("{name}: signature"), &record.signature);
    }
}

/// Joins the document's broken lines; JSON has spaces only inside strings.
fn joined(text: &str) -> String {
    text.split_whitespace().collect()
}

struct Person {
    identity: Identity,
    run: RunId,
}

impl Person {
    fn new(seed: u8, run: u8) -> Self {
        Self { identity: Identity::from_seed([seed; 32]), run: RunId([run; 16]) }
    }

    fn id(&self) -> MemberId {
        MemberId(self.identity.public())
    }

    fn sign_record(&self, room: &RoomId, record: Record) -> Arc<SignedRecord> {
        SignedRecord::sign(room, &self.identity, record, None)
    }
}

/// Noise, 4.3 and 5: the outputs of HKDF.
fn hkdf(chaining: &[u8; 32], input: &[u8]) -> ([u8; 32], [u8; 32]) {
    let key = hmac(chaining, input);
    let first = hmac(&key, &[1]);
    let second = hmac(&key, &[&first[..], &[2]].concat());
    (first, second)
}

fn seal(key: &[u8; 32], counter: u64, plain: &[u8], aad: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    let mut sealed = plain.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed).unwrap();
    sealed
}

struct Noise {
    h: HandshakeHash,
    alice_to_bob: [u8; 32],
}

/// `Noise_NN_25519_AESGCM_SHA256` with fixed ephemeral keys.
fn noise(values: &mut Values) -> Noise {
    let (alice, bob) = (StaticSecret::from([0x21; 32]), StaticSecret::from([0x22; 32]));
    let (e, re) = (PublicKey::from(&alice), PublicKey::from(&bob));
    let clear = [&b"KLATCH"[..], &[1, 1]].concat();
    let mut protocol = [0; 32];
    let name = b"Noise_NN_25519_AESGCM_SHA256";
    protocol[..name.len()].copy_from_slice(name);
    let mut h = digest(&[&protocol, &clear]);
    h = digest(&[&h, e.as_bytes()]);
    h = digest(&[&h]); // The empty payload.
    h = digest(&[&h, re.as_bytes()]);
    let shared = alice.diffie_hellman(&re);
    let (chaining, key) = hkdf(&protocol, shared.as_bytes());
    let tag = seal(&key, 0, &[], &h);
    h = digest(&[&h, &tag]);
    let (alice_to_bob, bob_to_alice) = hkdf(&chaining, &[]);
    values.hex("dialer's preamble", &[&clear[..], e.as_bytes()].concat());
    values.hex("listener's preamble", &[&clear[..], re.as_bytes(), &tag].concat());
    values.hex("prologue", &clear);
    values.hex("h", &h);
    values.hex("key alice → bob", &alice_to_bob);
    values.hex("key bob → alice", &bob_to_alice);
    Noise { h: HandshakeHash(h), alice_to_bob }
}

struct Example {
    values: Values,
    alice: Person,
    bob: Person,
    carol: Person,
    room: RoomId,
    dialer: Binding,
    /// Records of the register, in the order in which they are made.
    records: Vec<Arc<SignedRecord>>,
}

impl Example {
    fn new() -> (Self, Noise) {
        let mut values = Values::default();
        let noise = noise(&mut values);
        let dialer = Binding { side: Side::Dialer, role: Role::Session, h: noise.h };
        let (alice, bob) = (Person::new(0x11, 0xa3), Person::new(0x12, 0xb3));
        let room = RoomId::of(&bob.id(), &[0xb1; 32]);
        let carol = Person::new(0x13, 0xc3);
        (Self { values, alice, bob, carol, room, dialer, records: Vec::new() }, noise)
    }

    fn listener(&self) -> Binding {
        self.dialer.other_side()
    }

    fn hellos(&mut self, noise: &Noise) {
        let own = RoomId::of(&self.alice.id(), &[0xa1; 32]);
        self.values.hex("alice's key", &self.alice.id().0);
        self.values.hex("bob's key", &self.bob.id().0);
        self.values.hex("carol's key", &self.carol.id().0);
        self.values.hex("alice's room", &own.0);
        self.values.hex("bob's room", &self.room.0);
        let hello = |person: &Person, moves| Hello {
            run: person.run,
            settled: false,
            locked: false,
            password: false,
            moves,
            brings: Brings::Nothing,
            can: Capability::ALL.into(),
        };
        // As section 3 prescribes.
        let tagged = [b"klatch/1 room tag       ", &[1, 1][..], &noise.h.0, &own.0].concat();
        self.values.hex("what alice's tag is made of", &tagged);
        assert_eq!(digest(&[&tagged]), room_tag(&self.dialer, &own.0));
        let opening = Opening::Hello { hello: hello(&self.alice, true), tag: digest(&[&tagged]) };
        let plain = self.values.opening("alice's Hello", &opening);
        let sealed = seal(&noise.alice_to_bob, 0, &plain, &[]);
        let length = u16::try_from(sealed.len()).unwrap().to_be_bytes();
        self.values.hex("alice's Hello, sealed", &[&length[..], &sealed].concat());
        self.values.text("length of alice's Hello", format!("2 + {} + 16 bytes", plain.len()));
        let tag = room_tag(&self.listener(), &self.room.0);
        let opening = Opening::Hello { hello: hello(&self.bob, false), tag };
        self.values.opening("bob's Hello", &opening);
    }

    fn entering(&mut self) {
        let identity = |person: &Person, binding: &Binding, room: &RoomId| Opening::Identity {
            member: person.id(),
            signature: person.identity.sign(&identity_message(binding, &room.0)),
        };
        let signature = self.alice.identity.sign(&newcomer_message(&self.dialer, &[0; 32]));
        let newcomer = Opening::Newcomer { member: self.alice.id(), signature };
        self.values.opening("newcomer", &newcomer);
        let grant = Opening::Grant { founder: self.bob.id(), nonce: [0xb1; 32] };
        self.values.opening("grant", &grant);
        let bobs = identity(&self.bob, &self.listener(), &self.room);
        self.values.opening("bob's identity", &bobs);
        self.values.opening("bob's chain", &Opening::Chain { list: Vec::new(), last: true });
        let alices = identity(&self.alice, &self.dialer, &self.room);
        self.values.opening("alice's identity", &alices);
    }

    fn agreement(&mut self) {
        let ticket = ticket(&self.bob.id(), None, &self.alice.id(), How::Open);
        let ticket = self.bob.sign_record(&self.room, Record::Ticket(ticket));
        self.values.record("alice's ticket", &ticket);
        self.values.message("her ticket, told", &Message::Records(vec![ticket.clone()]));
        self.values.hex("digest of nothing", &digest(&[b"klatch register 1\0"]));
        let nothing = Register::<SignedRecord>::new(self.bob.id()).digest();
        self.values.message("register", &Message::Register(nothing));
        let presences = [
            (&self.alice, "alice", vec!["192.0.2.1:51692".parse().unwrap()], 0),
            (&self.bob, "bob", Vec::new(), 123),
        ];
        for (person, name, addresses, after) in presences {
            let body = Presence {
                member: person.id(),
                run: person.run,
                version: u64::try_from(NOW_MS).unwrap() + after,
                name: name.into(),
                addresses,
                unlinked: Vec::new(),
                bye: false,
            };
            let signed = SignedPresence::sign(&self.room, &person.identity, body);
            let bytes = String::from_utf8(signed.bytes.to_vec()).unwrap();
            if name == "alice" {
                self.values.text("what alice signs", bytes);
            }
            self.values.message(&format!("{name}'s presence"), &Message::Presence(signed));
        }
        for seen in [[192, 0, 2, 2], [192, 0, 2, 1]] {
            let ready = Message::Ready { seen: IpAddr::from(seen) };
            self.values.message("ready", &ready);
        }
        self.values.message("alice's have-vector", &Message::Have(Vec::new()));
        self.records.push(ticket);
    }

    fn talk(&mut self) {
        let chain = Chain { author: self.alice.id(), nonce: LogNonce([0xa4; 8]) };
        let mut prev = None;
        let zero = root_of_a_zero_byte();
        for seq in 1..=5 {
            let offer = |size, root, replaces| {
                Kind::Offer(Offer { name: "zero.bin".into(), size, root, folder: None, replaces })
            };
            let kind = match seq {
                1 => Kind::Name("alice".into()),
                2 => Kind::Text("hello, bob".into()),
                3 => offer(1, zero, None),
                4 => offer(0, Digest32::default(), prev),
                _ => Kind::Withdraw(prev.unwrap()),
            };
            let (parents, time_ms) = (Vec::new(), NOW_MS + 500);
            let body = EntryBody { chain, seq, depth: seq, prev, parents, time_ms, kind };
            let entry = SignedEntry::sign(&self.room, &self.alice.identity, body);
            let name = format!("entry {seq}");
            self.values.text(&name, String::from_utf8(entry.bytes().to_vec()).unwrap());
            self.values.hex(&format!("{name}: id"), &entry.id.0);
            self.values.base64(&format!("{name}: signature"), &entry.signature);
            if seq == 2 {
                self.values.message("entry, pushed", &Message::Entry(entry.clone().into()));
                let have = Have { chain, len: 2, head: entry.id, forked: false, refused: false };
                self.values.message("receipt", &Message::Have(vec![have]));
            }
            prev = Some(entry.id);
        }
    }

    /// Bob closes the room and keeps alice; gives her new ticket.
    fn closing(&mut self) -> RecordId {
        let kept =
            Kept { member: self.alice.id(), below: Below::Founder, pardons: BTreeSet::new() };
        let lock = Lock {
            by: self.bob.id(),
            standing: BTreeSet::new(),
            closed: true,
            password: Some(Digest32([0xa5; 32])),
            over: BTreeSet::new(),
            kept: vec![kept],
        };
        let lock = self.bob.sign_record(&self.room, Record::Lock(lock));
        self.values.record("closing", &lock);
        let kept = kept_id(&lock.id, &self.alice.id());
        self.values.hex("alice's ticket by it", &kept.0);
        self.records.push(lock);
        self.members(&[&self.alice, &self.bob]);
        kept
    }

    /// Alice invites carol.
    fn invitation(&mut self, standing: RecordId) -> Arc<SignedInvitation> {
        let secret = InviteSecret::from_bytes([0xa7; 16]);
        let (find, key) = (secret.find_key(), secret.identity());
        self.values.hex("find key", find.expose());
        self.values.hex("invitation key", &key.public());
        let until = NOW_MS + 24 * 3_600_000;
        let body = Invitation {
            maker: self.alice.id(),
            ticket: Some(standing),
            key: Digest32(key.public()),
            find: Digest32(find.hash()),
            until,
            uses: Some(1),
        };
        let signed = SignedInvitation::sign(&self.room, &self.alice.identity, body);
        self.values.text("invitation", String::from_utf8(signed.bytes.to_vec()).unwrap());
        self.values.hex("invitation: id", &signed.id.0);
        self.values.base64("invitation: signature", &signed.signature);
        let room = room_hint(&self.room, &self.alice.id());
        self.values.hex("room and maker in the text", &room);
        let addrs = vec!["192.0.2.1:51692".parse().unwrap()];
        let link = InviteLink { secret, room, until_ms: until, once: true, locked: true, addrs };
        self.values.text("text of the invitation", link.to_text());
        let told = Message::Invitation { invitation: signed.clone(), find: find.clone() };
        self.values.message("invitation, told", &told);

        // Carol dials alice, over this same channel.
        let (guest, member) = (self.dialer, self.listener());
        self.values.opening("find", &Opening::Find(find_proof(&guest, find.expose())));
        self.values.opening("found", &Opening::Found(find_proof(&member, find.expose())));
        let carol = self.carol.id();
        let signature = self.carol.identity.sign(&newcomer_message(&guest, &key.public()));
        let invitation = key.sign(&guest_message(&guest, &carol.0, &key.public()));
        self.values.opening("guest", &Opening::Guest { member: carol, signature, invitation });
        self.values.opening("invitation, shown", &Opening::Invitation(signed.clone()));
        let signature = key.sign(&Claim::message(&self.room, &carol, &signed.id));
        self.values.opening("claim", &Opening::Claim(signature));
        let claim = Claim { invitation: signed.clone(), signature };
        assert!(claim.holds(&self.room, &carol));
        let mut ticket = ticket(&self.alice.id(), Some(standing), &carol, How::Invitation);
        let answerer = self.alice.id();
        let standing = Some(standing);
        ticket.invited = Some(Invited { invitation: signed.id, answerer, standing });
        let record = Record::Ticket(ticket);
        let ticket = SignedRecord::sign(&self.room, &self.alice.identity, record, Some(claim));
        self.values.record("carol's ticket", &ticket);
        self.records.push(ticket);
        self.members(&[&self.alice, &self.bob, &self.carol]);
        signed
    }

    /// Bob names alice a steward, and removes carol.
    fn acts(&mut self, invitation: &SignedInvitation) {
        let mut steward = ticket(&self.bob.id(), None, &self.alice.id(), How::Steward);
        steward.rank = 1;
        let steward = self.bob.sign_record(&self.room, Record::Ticket(steward));
        self.values.record("steward", &steward);
        self.records.push(steward);
        let removal = Removal {
            by: self.bob.id(),
            member: Some(self.carol.id()),
            invitations: BTreeSet::from([invitation.id]),
            earlier: 0,
            kept: Vec::new(),
        };
        let removal = self.bob.sign_record(&self.room, Record::Removal(removal));
        self.values.record("removal", &removal);
        self.records.push(removal);
        self.members(&[&self.alice, &self.bob]);
        let mut register = Register::new(self.bob.id());
        for record in &self.records {
            assert!(matches!(register.insert(record.id, record.clone()), Inserted::New { .. }));
        }
        self.values.hex("digest of the register", &register.digest().0);
        let ids: Vec<RecordId> = register.ids().collect();
        self.values.message("ids of the register", &Message::Ids { list: ids, last: true });
    }

    fn members(&self, people: &[&Person]) {
        let records = self.records.iter().map(|record| (record.id, &record.record));
        let membership = Membership::of(self.bob.id(), records);
        let members: BTreeSet<MemberId> = membership.members().collect();
        assert_eq!(members, people.iter().map(|person| person.id()).collect());
    }

    /// Alice begins to compare words with bob.
    fn words(&mut self) {
        let (began, answered) = ([0xa8; 32], [0xb8; 32]);
        let commit = digest(&[b"klatch verify commit 1\0", &began]);
        self.values.message("commit", &Message::VerifyCommit(Digest32(commit)));
        self.values.message("bob's value", &Message::VerifyNonce(Digest32(answered)));
        self.values.message("alice's value", &Message::VerifyNonce(Digest32(began)));
        let mut keys = [self.alice.id().0, self.bob.id().0];
        keys.sort_unstable();
        let [first, second] = keys;
        let hash = digest(&[b"klatch verify 1\0", &first, &second, &began, &answered]);
        self.values.hex("hash of the words", &hash);
        let bits = hash.iter().fold(String::new(), |mut bits, byte| {
            write!(bits, "{byte:08b}").unwrap();
            bits
        });
        let list = bip39::Language::English.word_list();
        let word = |at: usize| {
            let number = usize::from_str_radix(&bits[11 * at..11 * at + 11], 2).unwrap();
            list[number]
        };
        self.values.text("words", (0..4).map(word).collect::<Vec<_>>().join(" "));
    }
}

/// The root of the file of one zero byte: its only leaf.
fn root_of_a_zero_byte() -> Digest32 {
    Digest32(digest(&[&[0]]))
}

fn ticket(by: &MemberId, parent: Option<RecordId>, member: &MemberId, how: How) -> Ticket {
    Ticket {
        by: *by,
        parent,
        member: *member,
        how,
        rank: 0,
        knows: BTreeSet::new(),
        pardons: BTreeSet::new(),
        invited: None,
    }
}

#[test]
fn the_worked_example_is_what_klatch_computes() {
    let (mut example, noise) = Example::new();
    example.hellos(&noise);
    example.entering();
    example.agreement();
    example.talk();
    let kept = example.closing();
    let invitation = example.invitation(kept);
    example.acts(&invitation);
    example.words();

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/PROTOCOL.md");
    let document = joined(&std::fs::read_to_string(path).unwrap());
    let values = example.values.0;
    let missing: Vec<String> = values
        .iter()
        .filter(|(_, value)| !document.contains(&joined(value)))
        .map(|(name, value)| format!("{name}:\n{value}\n"))
        .collect();
    assert!(missing.is_empty(), "PROTOCOL.md lacks:\n\n{}", missing.join("\n"));
}
