//! One member pours out everything that it can say: nobody honest loses a message or a link.

use std::collections::BTreeSet;

use klatch::crypto::identity::Identity;
use klatch::router::ids::{ConnId, Digest32, EntryId, FileId, LogNonce, MemberId, RoomId};
use klatch::router::message::{Have, Held, Message, Wanted};
use klatch::router::notice::Notice;
use klatch::router::rng::Rng;
use klatch::router::signed::{
    Chain, EntryBody, EntryRef, Kind, Offer, Presence, SignedEntry, SignedPresence,
};

use crate::world::{WALL_MS, World};

/// Seeds that `cargo test` plays.
const SEEDS: u64 = 25;

#[test]
fn a_member_that_floods_takes_nothing_from_the_others() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("KLATCH_SIM_FIRST").unwrap_or(1);
    let count = number("KLATCH_SIM_SEEDS").unwrap_or(SEEDS);
    for seed in first..first + count {
        if let Err(why) = std::panic::catch_unwind(|| play(seed)) {
            println!("seed {seed} failed");
            std::panic::resume_unwind(why);
        }
    }
}

/// Four members who talk, and eve.
fn play(seed: u64) {
    let (mut world, people) = World::of(seed, ["alice", "bob", "carol", "dave"]);
    let eve = world.add("eve");
    // An entry that waits too long for what it refers to is shown before it.
    world.strict = false;
    let [alice, others @ ..] = people;
    for other in others {
        world.join(other, alice);
    }
    world.join(eve, alice);
    assert!(world.run_until(30_000, |world| people.iter().all(|node| world.links(*node) == 4)));

    let mut rng = Rng::new(seed ^ 0x0066_6c6f_6f64);
    let mut flood = Flood::new(&mut world, eve);
    let mut said = BTreeSet::new();
    for round in 0..40 {
        let burst = [1, 20, 100, 400][rng.below(4) as usize];
        let kind = rng.below(Flood::KINDS);
        let links = world.inspect(eve).links;
        for (_, conn) in links {
            if rng.below(3) > 0 {
                flood.pour(&mut world, &mut rng, eve, conn, kind, burst);
            }
        }
        let speaker = people[rng.below(4) as usize];
        let text = format!("{} in round {round}", world.nodes[speaker].name);
        world.say(speaker, &text);
        said.insert(text);
        world.run(rng.below(1_500));
    }
    let honest: Vec<MemberId> = people.iter().map(|node| world.id(*node)).collect();
    for node in people {
        let lost = |notice: &Notice| match notice {
            Notice::MemberLeft { member, .. } => honest.contains(&member.who.id),
            _ => false,
        };
        let lost = world.count(node, lost);
        assert_eq!(lost, 0, "{} lost somebody honest", world.nodes[node].name);
    }
    world.crash(eve, false);
    world.run(180_000);
    let heard = |world: &World, node: usize| -> Vec<String> {
        world.texts(node).into_iter().filter(|text| said.contains(text)).collect()
    };
    let first = heard(&world, alice);
    assert_eq!(first.len(), said.len(), "alice lacks {:?}", missing(&said, &first));
    for node in others {
        let texts = heard(&world, node);
        let name = &world.nodes[node].name;
        assert_eq!(texts.len(), said.len(), "{name} lacks {:?}", missing(&said, &texts));
        assert_eq!(texts, first, "{name} has another order than alice");
    }
}

fn missing<'a>(said: &'a BTreeSet<String>, heard: &[String]) -> Vec<&'a String> {
    said.iter().filter(|text| !heard.contains(text)).take(5).collect()
}

/// What eve says, with the keys that she has.
struct Flood {
    me: Identity,
    room: RoomId,
    /// How she is present.
    presence: Presence,
    /// A chain that she extends.
    chain: Chain,
    seq: u64,
    prev: Option<EntryId>,
    number: u32,
}

impl Flood {
    const KINDS: u64 = 13;

    fn new(world: &mut World, eve: usize) -> Self {
        let me = Identity::from_seed(world.nodes[eve].key);
        let room = world.inspect(eve).room;
        let (member, run) = (world.id(eve), world.nodes[eve].run_id);
        let presence = Presence {
            member,
            run,
            version: 1_000,
            name: "eve".into(),
            addresses: Vec::new(),
            unlinked: Vec::new(),
            bye: false,
        };
        let chain = Chain { author: member, nonce: LogNonce(world.draw_bytes()) };
        Self { me, room, presence, chain, seq: 0, prev: None, number: 0 }
    }

    fn pour(
        &mut self,
        world: &mut World,
        rng: &mut Rng,
        eve: usize,
        conn: ConnId,
        kind: u64,
        burst: usize,
    ) {
        for _ in 0..burst {
            let message = self.message(rng, kind);
            world.say_anyway(eve, conn, message);
        }
    }

    fn message(&mut self, rng: &mut Rng, kind: u64) -> Message {
        self.number += 1;
        let file = FileId(bytes(rng));
        match kind {
            0 => self.goes_on(Kind::Text(format!("noise {}", self.number).as_str().into())),
            1 => self.entry(Chain { nonce: LogNonce(bytes(rng)), ..self.chain }, 1, Vec::new()),
            // Two entries with the same number: a fork.
            2 => {
                let nonce = LogNonce([(self.number / 2) as u8; 8]);
                self.entry(Chain { nonce, ..self.chain }, 1, Vec::new())
            }
            // These wait for what never comes.
            3 => {
                let parent = EntryRef { chain: self.chain, seq: 1 << 40, id: EntryId(bytes(rng)) };
                let chain = Chain { nonce: LogNonce(bytes(rng)), ..self.chain };
                self.entry(chain, 1, vec![parent])
            }
            4 => {
                let offer = Offer {
                    name: format!("{}.bin", self.number).as_str().into(),
                    size: 1,
                    root: Digest32(bytes(rng)),
                    folder: None,
                    replaces: None,
                };
                self.goes_on(Kind::Offer(offer))
            }
            5 | 6 => {
                self.presence.version += 1;
                self.presence.name = format!("eve {}", rng.below(1_000));
                let strangers = if kind == 5 { 0 } else { 60 };
                self.presence.unlinked = (0..strangers).map(|_| MemberId(bytes(rng))).collect();
                let body = self.presence.clone();
                Message::Presence(SignedPresence::sign(&self.room, &self.me, body))
            }
            7 => {
                let chain = Chain { nonce: LogNonce(bytes(rng)), ..self.chain };
                let (head, refused) = (EntryId(bytes(rng)), rng.below(2) == 0);
                let have = Have { chain, len: 1 << 50, head, forked: false, refused };
                Message::Have(vec![have; 8])
            }
            8 => {
                let chains = vec![Wanted { chain: self.chain, from: 0 }];
                Message::Ask { number: self.number, chains }
            }
            9 => Message::Hosting { file, held: Held::All, fetching: true },
            10 => Message::Unwanted { file, chunk: 0 },
            11 => Message::VerifyCommit(Digest32(bytes(rng))),
            _ => Message::Ping(self.number),
        }
    }

    fn goes_on(&mut self, kind: Kind) -> Message {
        let body = EntryBody {
            chain: self.chain,
            seq: self.seq + 1,
            depth: self.seq + 1,
            prev: self.prev,
            parents: Vec::new(),
            time_ms: WALL_MS,
            kind,
        };
        let entry = SignedEntry::sign(&self.room, &self.me, body);
        (self.seq, self.prev) = (self.seq + 1, Some(entry.id));
        Message::Entry(entry.into())
    }

    fn entry(&self, chain: Chain, seq: u64, parents: Vec<EntryRef>) -> Message {
        let kind = Kind::Text(format!("noise {}", self.number).as_str().into());
        let depth = 1 << (self.number % 64);
        let body = EntryBody { chain, seq, depth, prev: None, parents, time_ms: WALL_MS, kind };
        Message::Entry(SignedEntry::sign(&self.room, &self.me, body).into())
    }
}

fn bytes<const N: usize>(rng: &mut Rng) -> [u8; N] {
    std::array::from_fn(|_| rng.next_u64() as u8)
}
