//! L6, L7: members who fill the log, or fork it, are refused. Everybody else is heard.

use std::collections::BTreeSet;

use klatch::crypto::identity::Identity;
use klatch::limits::Limits;
use klatch::net::draw;
use klatch::router::command::Command;
use klatch::router::event::{Effect, Event};
use klatch::router::ids::{ConnId, Digest32, FaceId, MemberId};
use klatch::router::membership::record::{How, Record, Ticket};
use klatch::router::message::{Have, Message};
use klatch::router::notice::{Code, Notice, WithdrawalReason};
use klatch::router::rights::FaceRights;
use klatch::router::signed::{Kind, Offer, SignedRecord};

use super::eve::Eve;
use super::floods::{Alice, ticket_of};
use super::writer::Writer;

/// Limits with a log small enough to fill.
fn small() -> Limits {
    Limits { log_bytes: 8 * 1024 * 1024, ..Limits::default() }
}

fn writer(alice: &Alice, of: &Eve) -> Writer {
    Writer::new(of.identity.clone(), alice.room)
}

impl Alice {
    /// The peers at the other ends are still connected.
    fn keeps(&mut self, conns: &[ConnId]) {
        for conn in conns {
            self.hears(*conn, Message::Pong(0));
        }
    }

    /// An entry comes, not too fast; returns whether it is shown.
    fn shows(&mut self, conn: ConnId, entry: Message) -> bool {
        self.now += 25;
        let effects = self.hears(conn, entry);
        let shown = |effect: &Effect| matches!(effect, Effect::Notify(Notice::Message { .. }));
        effects.iter().any(shown)
    }

    fn says(&mut self, text: &str) -> Vec<Effect> {
        let command = Command::Say { text: text.into() };
        let (face, rights) = (FaceId(0), FaceRights::TERMINAL);
        self.event(Event::Commanded { face, rights, line: 1, command, draw: draw() })
    }

    /// Alice and these guests of hers speak for the first time.
    #[track_caller]
    fn hears_all_of(&mut self, people: &[(ConnId, &Eve)]) {
        let effects = self.says("can you hear me?");
        let said = |effect: &Effect| matches!(effect, Effect::Reply { result: Ok(()), .. });
        assert!(effects.iter().any(said), "{effects:?}");
        for (conn, person) in people {
            let text = writer(self, person).text("loud and clear");
            assert!(self.shows(*conn, text), "{:?} is mute", person.id());
        }
        let newcomer = Eve::new();
        let (conn, _) = self.joins(&newcomer);
        let text = writer(self, &newcomer).text("hello");
        assert!(self.shows(conn, text), "a newcomer is mute");
        self.assert_bounded();
    }
}

/// Have-vectors that tell the other end that it was refused.
fn refusals(effects: &[Effect], to: ConnId) -> Vec<Have> {
    let haves = effects.iter().filter_map(|effect| match effect {
        Effect::Send { conn, message: Message::Have(list) } if *conn == to => Some(list),
        _ => None,
    });
    haves.flatten().filter(|have| have.refused).copied().collect()
}

#[test]
fn l6_chains_by_the_thousand_silence_nobody() {
    let mut alice = Alice::with(Limits::default());
    let bob = Eve::new();
    let (of_bob, _) = alice.joins(&bob);
    let eves: Vec<Eve> = (0..5).map(|_| Eve::new()).collect();
    let conns: Vec<ConnId> = eves.iter().map(|eve| alice.joins(eve).0).collect();
    let mut shown = 0;
    for number in 0..4_200 {
        if number % 100 == 0 {
            alice.keeps(&[&conns[..], &[of_bob]].concat());
        }
        // Under a key of its own, or under that of somebody who is linked.
        let which = number % 5;
        let identity = match number % 3 {
            0 => eves[which].identity.clone(),
            _ => Identity::generate(),
        };
        let text = Writer::new(identity, alice.room).text("one more");
        shown += usize::from(alice.shows(conns[which], text));
    }
    assert!((500..650).contains(&shown), "{shown}: 5 times 64, and a sixteenth of strangers");
    alice.hears_all_of(&[(of_bob, &bob)]);
}

#[test]
fn l6_texts_of_fresh_keys_take_no_more_than_their_share() {
    let mut alice = Alice::with(small());
    let (bob, eve) = (Eve::new(), Eve::new());
    let (of_bob, _) = alice.joins(&bob);
    let (conn, effects) = alice.joins(&eve);
    let hers = ticket_of(&effects, &eve);
    alice.hears(conn, Message::Records(vec![hers.clone()]));
    let long = "x".repeat(8_000);
    let mut bytes = [0, 0];
    for number in 0..1_000 {
        alice.keeps(&[of_bob, conn]);
        let puppet = Identity::generate();
        // Half of them have tickets from her.
        let known = number % 2;
        if known == 1 && number < 400 {
            let ticket = Ticket {
                by: eve.id(),
                parent: Some(hers.id),
                member: MemberId(puppet.public()),
                how: How::Kept,
                rank: 0,
                knows: BTreeSet::new(),
                pardons: BTreeSet::new(),
                invited: None,
            };
            let record = Record::Ticket(ticket);
            let ticket = SignedRecord::sign(&alice.room, &eve.identity, record, None);
            alice.hears(conn, Message::Records(vec![ticket]));
        }
        let mut puppet = Writer::new(puppet, alice.room);
        for _ in 0..4 {
            let text = puppet.text(&long);
            bytes[known] += 8_000 * usize::from(alice.shows(conn, text));
        }
    }
    let all = small().log_bytes;
    assert!(bytes[0] <= all / 16 && bytes[0] > all / 32, "{bytes:?}");
    assert!(bytes[1] <= all / 4 && bytes[1] > all / 8, "{bytes:?}");
    alice.hears_all_of(&[(of_bob, &bob)]);
}

#[test]
fn l6_even_a_full_log_has_room_for_whoever_is_here() {
    let mut alice = Alice::with(small());
    let bob = Eve::new();
    let (of_bob, _) = alice.joins(&bob);
    let long = "x".repeat(8_000);
    for _ in 0..8 {
        let eve = Eve::new();
        let (conn, _) = alice.joins(&eve);
        let mut chain = writer(&alice, &eve);
        for number in 0..300 {
            if number % 100 == 0 {
                alice.keeps(&[of_bob]);
            }
            let text = chain.text(&long);
            alice.shows(conn, text);
        }
    }
    alice.hears_all_of(&[(of_bob, &bob)]);
}

#[test]
fn l6_whoever_is_refused_is_told() {
    let mut alice = Alice::with(Limits::default());
    let eve = Eve::new();
    let (conn, _) = alice.joins(&eve);
    let mut told = Vec::new();
    let mut last = None;
    for _ in 0..65 {
        let mut chain = writer(&alice, &eve);
        let text = chain.text("a run of its own");
        last = Some(chain.chain);
        alice.shows(conn, text);
        told.extend(refusals(&alice.waits(300), conn));
    }
    assert_eq!(told, [Have::nothing_of(last.unwrap())]);
    // A minute later another one is taken.
    for _ in 0..6 {
        alice.waits(10_000);
        alice.keeps(&[conn]);
    }
    let more = writer(&alice, &eve).text("later");
    assert!(alice.shows(conn, more));
}

/// What bob says about alice's chain is what alice tells her user about bob.
#[test]
fn l6_who_refused_a_message_is_named() {
    let mut alice = Alice::with(Limits::default());
    let bob = Eve::new();
    let (conn, _) = alice.joins(&bob);
    let said = alice.says("take this");
    let mut entries = said.iter().filter_map(|effect| match effect {
        Effect::Send { message: Message::Entry(entry), .. } => Some(entry.clone()),
        _ => None,
    });
    let chain = entries.next_back().expect("alice pushes what she says").body.chain;
    let effects = alice.hears(conn, Message::Have(vec![Have::nothing_of(chain)]));
    let named = effects.iter().any(|effect| match effect {
        Effect::Notify(Notice::Held { held_by: 0, present: 1, refused_by, .. }) => {
            refused_by.iter().any(|who| who.id == bob.id())
        }
        _ => false,
    });
    assert!(named, "{effects:?}");
}

#[test]
fn l7_a_fork_takes_back_its_own_and_nothing_else() {
    const OFFERS: usize = 2_000;
    let mut alice = Alice::with(Limits::default());
    let (bob, eve) = (Eve::new(), Eve::new());
    let (of_bob, _) = alice.joins(&bob);
    let (conn, _) = alice.joins(&eve);
    let offer = |number: usize| {
        let root = Digest32([7; 32]);
        Kind::Offer(Offer {
            name: format!("{number}.txt"),
            size: 9,
            root,
            folder: None,
            replaces: None,
        })
    };
    let mut honest = writer(&alice, &bob);
    let mut offered = 0;
    for number in 0..OFFERS {
        if number % 100 == 0 {
            alice.keeps(&[of_bob, conn]);
        }
        let entry = honest.write(offer(number));
        alice.now += 25;
        let effects = alice.hears(of_bob, Message::Entry(entry.into()));
        let told = |effect: &&Effect| matches!(effect, Effect::Notify(Notice::FileOffered { .. }));
        offered += effects.iter().filter(told).count();
    }
    assert_eq!(offered, OFFERS);
    // One chain, forked at ever lower places.
    let mut chain = writer(&alice, &eve);
    let mut before = Vec::new();
    for number in 0..490 {
        alice.keeps(&[of_bob, conn]);
        before.push((chain.seq, chain.prev));
        let kind = match number % 2 {
            0 => Kind::Text("a text".into()),
            _ => offer(number),
        };
        let entry = chain.write(kind);
        alice.now += 25;
        alice.hears(conn, Message::Entry(entry.into()));
    }
    let (mut texts, mut files, mut complaints) = (0, 0, 0);
    for (seq, prev) in before.into_iter().rev() {
        alice.keeps(&[of_bob, conn]);
        (chain.seq, chain.prev) = (seq, prev);
        let entry = chain.draft(seq + 1, Vec::new(), Kind::Text("another".into()));
        alice.now += 25;
        let effects = alice.hears(conn, Message::Entry(entry.into()));
        let notices = effects.iter().filter_map(|effect| match effect {
            Effect::Notify(notice) => Some(notice),
            _ => None,
        });
        for notice in notices {
            match notice {
                Notice::MessageWithdrawn { reason: WithdrawalReason::Fork, .. } => texts += 1,
                Notice::FileWithdrawn { from, .. } if from.id == eve.id() => files += 1,
                Notice::Error { failure, .. } if failure.code == Code::ChainForked => {
                    complaints += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((texts, files), (245, 245));
    assert_eq!(complaints, 1, "people are told of a forked chain once");
    let (face, line, command) = (FaceId(0), 1, Command::Files);
    let rights = FaceRights::TERMINAL;
    let effects = alice.event(Event::Commanded { face, rights, line, command, draw: draw() });
    let rows = effects.iter().find_map(|effect| match effect {
        Effect::Tell { notice: Notice::Files { list }, .. } => Some(list.len()),
        _ => None,
    });
    assert_eq!(rows, Some(OFFERS));
    alice.hears_all_of(&[]);
}
