//! Messages that lie about their size, their counts and the addresses of others.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use klatch::limits::Limits;
use klatch::router::command::{Command, Wait};
use klatch::router::message::{Message, Why};
use klatch::router::notice::Notice;
use serde_json::json;

use super::eve::{Eve, Session};
use super::host::Host;

/// The room works on after what eve did.
fn assert_well(alice: &mut Host, bob: &mut Host) {
    alice.say("still here");
    bob.hears_text("still here");
    bob.say("so am I");
    alice.hears_text("so am I");
}

#[test]
fn w1_a_member_that_announces_a_record_and_withholds_it_is_gone_in_time() {
    let limits = Limits { dead_after_ms: 700, ping_after_idle_ms: 300, ..Limits::default() };
    let (mut alice, mut bob) = (Host::with("alice", limits), Host::new("bob"));
    bob.connect(alice.addr()).unwrap();
    let mut withheld = Vec::new();
    for _ in 0..8 {
        let eve = Eve::new();
        let session = eve.join(alice.addr());
        let longest = 32 * 1024 + 16_u16;
        session.wire.channel.stream().write(&longest.to_be_bytes()).unwrap();
        withheld.push(session);
    }
    // A single byte over a message's limit is too much.
    let mut greedy = Eve::new().join(alice.addr());
    let too_long = 32 * 1024 + 17_u16;
    greedy.wire.channel.stream().write(&too_long.to_be_bytes()).unwrap();
    assert_eq!(greedy.wire.ended(), Some(Why::Protocol));
    let began = Instant::now();
    for session in &mut withheld {
        // A ping may have been on its way.
        while session.hear(super::host::SOON).is_some() {}
    }
    // Nobody waits for what was withheld.
    assert!(began.elapsed() < super::host::SOON, "{:?}", began.elapsed());
    assert_well(&mut alice, &mut bob);
}

#[test]
fn w6_counts_and_numbers_that_cannot_be_end_the_link() {
    let (mut alice, mut bob) = Host::pair();
    let (id, nonce, file) = ("ab".repeat(32), "cd".repeat(8), "ef".repeat(32));
    let have = json!({"author": id, "nonce": nonce, "len": 1, "head": id});
    let lies = [
        json!({"kind": "hosting", "file": file, "chunks": u32::MAX, "held": "", "fetching": true}),
        json!({"kind": "hosting", "file": file, "chunks": 1_u64 << 32, "held": "",
            "fetching": true}),
        json!({"kind": "hosting", "file": file, "chunks": 131_073, "held": "AA==",
            "fetching": true}),
        json!({"kind": "have", "list": vec![have.clone(); 101]}),
        json!({"kind": "have", "list": [{"author": id, "nonce": nonce, "len": -1, "head": id}]}),
        json!({"kind": "have", "list": [{"author": id, "nonce": nonce, "len": 1e30, "head": id}]}),
        json!({"kind": "ask", "number": 1_u64 << 32, "chains": []}),
        json!({"kind": "gained", "file": file, "chunks": vec![0; 4_097]}),
        json!({"kind": "gained", "file": file, "chunks": [1_u64 << 32]}),
        json!({"kind": "bad_chunk", "file": file, "chunk": 1_u64 << 32}),
        json!({"kind": "ping"}),
        json!([]),
        json!("kind"),
    ];
    for lie in lies {
        let mut session = Eve::new().join(alice.addr());
        session.say_json(&lie);
        assert_eq!(session.wire.ended(), Some(Why::Protocol), "{lie}");
    }
    // Odd but possible input is accepted.
    let mut session = Eve::new().join(alice.addr());
    for odd in [
        json!({"kind": "hosting", "file": file, "chunks": 131_072,
            "held": data_encoding::BASE64.encode(&[0xff; 131_072 / 8]), "fetching": true}),
        json!({"kind": "gained", "file": file, "chunks": [u32::MAX, 131_072]}),
        json!({"kind": "bad_chunk", "file": file, "chunk": u32::MAX}),
        json!({"kind": "ask", "number": u32::MAX, "chains":
            [{"author": id, "nonce": nonce, "from": u64::MAX}]}),
        json!({"kind": "answer", "number": 77, "entries": [], "last": true}),
        json!({"kind": "dropped", "file": file}),
        json!({"kind": "dropped", "file": file}),
        json!({"kind": "lane_wanted"}),
        json!({"kind": "ready", "port": 0, "seen": "::"}),
        json!({"kind": "a later version's", "count": 1_u64 << 60}),
    ] {
        session.say_json(&odd);
    }
    session.settle();
    assert_well(&mut alice, &mut bob);
}

/// Counts dials; each is closed at once, so that it fails.
fn trap() -> (SocketAddr, Arc<AtomicUsize>) {
    let ear = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, count) = (ear.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for dialled in ear.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(dialled);
        }
    });
    (addr, count)
}

/// Dials that count against one member at once: for the addresses that it passes on, and for lanes.
const TELLER_DIALS: usize = 12;
const LANE_DIALS: usize = 6;

#[test]
fn w8_a_teller_of_10_000_addresses_makes_us_dial_a_handful() {
    let (mut alice, mut bob) = Host::pair();
    let (trap, dialled) = trap();
    let mut session = Eve::new().join(alice.addr());
    let limits = Limits::default();
    for number in 0..10_000 / limits.addresses_per_member as u64 {
        let stranger = Eve::new();
        let addresses = vec![trap; limits.addresses_per_member];
        session.say(&Message::Presence(stranger.presence(&session.room, number, addresses)));
    }
    session.settle();
    alice.run(Command::Wait { what: Wait::Time(1_500), within_ms: 5_000 }).unwrap();
    // Dials in flight at once, and those that failed before the teller was found out: by alice, and
    // by bob, whom alice tells of the newcomers.
    let most = 2 * TELLER_DIALS;
    let dialled = dialled.load(Ordering::SeqCst);
    assert!((1..=most).contains(&dialled), "{dialled} of at most {most}");
    assert_well(&mut alice, &mut bob);
    // A presence record with more addresses than allowed is invalid.
    let greedy = Eve::new().presence(&session.room, 1, vec![trap; 5]);
    session.say(&Message::Presence(greedy));
    assert_eq!(session.wire.ended(), Some(Why::Protocol));
}

/// R7: a member that talks at line rate is heard slowly. Its link stays, nobody else waits, and
/// people are told a few times.
#[test]
fn r7_a_member_at_line_rate_slows_down_its_own_link_only() {
    let (mut alice, mut bob) = Host::pair();
    let mut eve = Eve::new();
    let mut session = eve.join(alice.addr());
    for number in 0..5_000 {
        eve.name = format!("eve {number}");
        let record = eve.presence(&session.room, (1 << 60) + number, Vec::new());
        session.say(&Message::Presence(record));
    }
    assert_well(&mut alice, &mut bob);
    let renamed = Cell::new(0);
    bob.say("and now");
    alice.hears("and now", |notice| {
        renamed.set(renamed.get() + usize::from(matches!(notice, Notice::NameChanged { .. })));
        matches!(notice, Notice::Message { text, .. } if text.raw() == "and now").then_some(())
    });
    assert!(renamed.get() <= 30, "{} lines of new names", renamed.get());
    assert_eq!(alice.linked(), 2, "eve is still there");
}

/// A member may ask for dials to an address that it names, for lanes: a lever on third parties.
#[test]
fn w8_a_member_that_wants_lanes_makes_us_dial_a_handful() {
    let (mut alice, mut bob) = Host::pair();
    let (trap, dialled) = trap();
    let eve = Eve::new();
    let mut session: Session = eve.join_with(alice.addr(), None, vec![trap]);
    for _ in 0..18 {
        session.say(&Message::LaneWanted);
        alice.run(Command::Wait { what: Wait::Time(300), within_ms: 5_000 }).unwrap();
    }
    session.settle();
    let dialled = dialled.load(Ordering::SeqCst);
    assert!(dialled <= LANE_DIALS, "{dialled} of at most {LANE_DIALS}");
    assert_well(&mut alice, &mut bob);
}
