//! Random stories: people come, talk, send, lock, vanish, return; then all is healed and checked.

use std::collections::BTreeMap;

use klatch::crypto::password::Password;
use klatch::router::command::{Command, LeaveWhen, NewPassword};
use klatch::router::invite_link::InviteLink;
use klatch::router::rng::Rng;

use crate::folders::FOLDER;
use crate::world::World;

/// People of a story.
const NAMES: [&str; 20] = [
    "alice", "bob", "carol", "dave", "eve", "frank", "grace", "heidi", "ivan", "judy", "karl",
    "liam", "mallory", "nina", "olga", "peggy", "quinn", "rupert", "sybil", "trent",
];

const PASSWORDS: [&str; 4] =
    ["correct horse", "battery staple", "open sesame!", "speak friend and enter"];

/// What a story may contain besides talk.
#[derive(Debug, Clone, Copy)]
struct Mood {
    files: bool,
    locks: bool,
    /// Removals, stewards and invitations.
    members: bool,
    cuts: bool,
    crashes: bool,
    hidden: bool,
    /// All come at once, to any node.
    eager: bool,
    /// One serves wrong bytes.
    liar: bool,
    /// Members that do what they like.
    hostile: usize,
    /// A second machine with the same identity.
    twin: bool,
}

/// One story.
pub struct Story {
    pub world: World,
    pub rng: Rng,
    mood: Mood,
    said: u32,
    sent: Vec<String>,
    /// Programs to start again, and when.
    pub restarts: BTreeMap<u64, usize>,
    /// Nodes that want to come (back) into the room, and when their running `connect` began.
    outside: BTreeMap<usize, Option<u64>>,
    pub hostile: Vec<usize>,
    pub twin: Option<usize>,
    /// Invitations that people were given.
    links: Vec<InviteLink>,
}

/// Plays the story of a seed and returns the hash of its trace.
pub fn play(seed: u64, print: bool) -> (u64, u64) {
    let mut rng = Rng::new(seed);
    let people = 5 + rng.below(16).min(rng.below(16)).min(rng.below(16)) as usize;
    let mut world = World::new(seed);
    world.trace.print = print;
    let mood = Mood {
        files: rng.below(2) == 0,
        locks: rng.below(2) == 0,
        members: rng.below(2) == 0,
        cuts: rng.below(4) > 0,
        crashes: rng.below(3) > 0,
        hidden: rng.below(4) == 0,
        eager: rng.below(5) == 0,
        liar: rng.below(5) == 0,
        hostile: rng.below(2) as usize * rng.below(3) as usize,
        twin: rng.below(8) == 0,
    };
    world.latency_ms = [(1, 5), (5, 60), (1, 250)][rng.below(3) as usize];
    world.rate = [500, 10_000, 100_000][rng.below(3) as usize];
    // People here try any password; having to wait for that is tested elsewhere.
    world.limits.password_attempts_per_addr = usize::MAX;
    world.limits.password_attempts_per_hour = usize::MAX;
    for name in &NAMES[..people] {
        let node = world.add(name);
        // The clocks of people's machines differ.
        world.nodes[node].skew_ms = world.rng.between(0, 20_000) as i64 - 10_000;
    }
    let mut story = Story {
        world,
        rng,
        mood,
        said: 0,
        sent: Vec::new(),
        restarts: BTreeMap::new(),
        outside: (1..people).map(|node| (node, None)).collect(),
        hostile: (people - mood.hostile..people).collect(),
        twin: None,
        links: Vec::new(),
    };
    story.hide();
    story.begin();
    story.tell();
    story.settle();
    (story.world.trace.hash(), story.world.trace.events)
}

impl Story {
    fn hide(&mut self) {
        let people = self.world.nodes.len();
        if !self.mood.hidden {
            return;
        }
        for a in 0..people {
            for b in a + 1..people {
                match self.rng.below(20) {
                    0 => self.world.hide(a, b),
                    1 => {
                        self.world.no_dial.insert((a, b));
                    }
                    2 => {
                        self.world.no_dial.insert((b, a));
                    }
                    _ => {}
                }
            }
        }
    }

    fn begin(&mut self) {
        let people = self.world.nodes.len();
        if self.mood.liar {
            let liar = self.pick();
            self.world.nodes[liar].disk.lies = true;
        }
        if self.mood.eager {
            for node in 0..people {
                let to = self.pick();
                let line = self.world.connect(node, to);
                self.outside.insert(node, Some(line));
                let wait = self.rng.below(50);
                self.world.run(wait);
            }
        }
    }

    fn tell(&mut self) {
        let end = self.world.now_ms + self.rng.between(20_000, 50_000);
        while self.world.now_ms < end {
            let wait = self.rng.between(10, 900);
            self.world.run(wait);
            self.restart_due();
            self.come_in();
            self.act();
        }
    }

    fn pick(&mut self) -> usize {
        self.rng.below(self.world.nodes.len() as u64) as usize
    }

    /// Somebody whose program runs.
    fn somebody(&mut self) -> usize {
        let running: Vec<_> =
            self.world.running().into_iter().filter(|n| !self.world.nodes[*n].asleep).collect();
        match running.len() {
            0 => usize::MAX,
            len => running[self.rng.below(len as u64) as usize],
        }
    }

    fn restart_due(&mut self) {
        let now = self.world.now_ms;
        let due: Vec<_> = self.restarts.range(..=now).map(|(at, node)| (*at, *node)).collect();
        for (at, node) in due {
            self.restarts.remove(&at);
            if self.rng.below(4) == 0 {
                // The clock was set, perhaps back.
                self.world.nodes[node].skew_ms = self.rng.between(0, 60_000) as i64 - 30_000;
            }
            self.world.start(node);
            self.outside.insert(node, None);
        }
    }

    /// People outside keep connecting to somebody inside.
    fn come_in(&mut self) {
        for (node, line) in self.outside.clone() {
            if self.world.nodes[node].router.is_none() {
                continue;
            }
            match line.map(|line| self.world.result(node, line)) {
                None | Some(Some(Err(_))) => {
                    if self.rng.below(3) > 0 {
                        continue;
                    }
                    let inside: Vec<_> = self
                        .world
                        .running()
                        .into_iter()
                        .filter(|n| !self.outside.contains_key(n))
                        .collect();
                    if inside.is_empty() {
                        self.outside.remove(&node);
                        continue;
                    }
                    let to = inside[self.rng.below(inside.len() as u64) as usize];
                    let line = self.come(node, to);
                    self.outside.insert(node, Some(line));
                }
                Some(Some(Ok(()))) => {
                    self.outside.remove(&node);
                }
                Some(None) => {}
            }
        }
    }

    /// Comes in by an invitation if there is one, or by some password if asked for one.
    fn come(&mut self, node: usize, to: usize) -> u64 {
        if !self.links.is_empty() && self.rng.below(2) == 0 {
            let link = self.links[self.rng.below(self.links.len() as u64) as usize].clone();
            return self.world.enter(node, &link);
        }
        self.guess_passwords(node);
        self.world.connect(node, to)
    }

    fn guess_passwords(&mut self, node: usize) {
        let answers = &mut self.world.nodes[node].answers;
        answers.clear();
        answers.push_back(Some(PASSWORDS[self.rng.below(4) as usize]));
    }

    fn act(&mut self) {
        let node = self.somebody();
        if node == usize::MAX {
            return;
        }
        let other = self.pick();
        self.misbehave();
        match self.rng.below(100) {
            0..46 => {
                self.said += 1;
                let text = format!("{} says {}", self.world.nodes[node].name, self.said);
                self.world.say(node, &text);
            }
            46..56 if self.mood.files => self.share(node),
            56..70 if self.mood.cuts => self.disturb(node, other),
            70..77 if self.mood.crashes => self.vanish(node),
            77..82 if self.mood.locks => self.change_lock(node),
            82..89 if self.mood.members => self.change_members(node, other),
            89..91 => {
                self.said += 1;
                let name = format!("{}{}", &self.world.nodes[node].name, self.said);
                self.world.command(node, Command::Name { name });
            }
            91..94 if other != node && self.world.nodes[other].router.is_some() => {
                self.come(node, other);
            }
            94..95 => {
                self.world.command(node, Command::Members);
            }
            95..96 if self.mood.twin && self.twin.is_none() => {
                let key = self.world.nodes[node].key;
                let name = self.world.nodes[node].name.clone();
                let twin = self.world.add_with_key(&name, key);
                // The two must not see each other, or one would be refused.
                self.world.cut(node, twin);
                self.twin = Some(twin);
                self.outside.insert(twin, None);
            }
            _ => {}
        }
    }

    fn misbehave(&mut self) {
        for node in self.hostile.clone() {
            if self.world.nodes[node].router.is_some() && self.rng.below(5) == 0 {
                self.world.misbehave(&mut self.rng, node);
            }
        }
    }

    fn change_members(&mut self, node: usize, other: usize) {
        match self.rng.below(8) {
            0..2 => {
                let once = self.rng.below(2) == 0;
                let line = self.world.command(node, Command::Invite { once, for_ms: None });
                if self.world.result(node, line) == Some(Ok(())) {
                    self.links.extend(self.world.invitation_of(node));
                }
            }
            2 if self.rng.below(3) == 0 => {
                self.world.command(node, Command::InviteOff);
            }
            3..6 if other != node => {
                let undo = self.rng.below(3) == 0;
                let asks = self.rng.below(2) == 0;
                self.world.nodes[node].agrees =
                    [Some(true), Some(false), None][self.rng.below(3) as usize];
                self.guess_passwords(node);
                let nick = self.world.nick(other);
                self.world.command(node, Command::Remove { nick, undo, asks });
            }
            6..8 if other != node => {
                let off = self.rng.below(3) == 0;
                self.world.steward(node, other, off);
            }
            _ => {}
        }
    }

    fn share(&mut self, node: usize) {
        match self.rng.below(8) {
            0..3 => {
                self.said += 1;
                let kind = [".bin", ".bin", FOLDER][self.rng.below(3) as usize];
                let name = format!("file{}{kind}", self.said);
                let size = [0, 1_000, 300_000, 3_000_000, 40_000_000][self.rng.below(5) as usize];
                self.world.send_file(node, &name, size);
                self.sent.push(name);
            }
            3..7 if !self.sent.is_empty() => {
                let name = self.sent[self.rng.below(self.sent.len() as u64) as usize].clone();
                self.world.download(node, &name);
            }
            7 if !self.sent.is_empty() => {
                let name = self.sent[self.rng.below(self.sent.len() as u64) as usize].clone();
                self.world.command(node, Command::Cancel { wanted: name });
            }
            _ => {}
        }
    }

    fn disturb(&mut self, node: usize, other: usize) {
        let people = self.world.nodes.len();
        match self.rng.below(12) {
            0..3 if node != other => self.world.cut(node, other),
            3..6 => {
                let cuts: Vec<_> = self.world.cuts.iter().copied().collect();
                if !cuts.is_empty() {
                    let (a, b) = cuts[self.rng.below(cuts.len() as u64) as usize];
                    self.world.heal(a, b);
                }
            }
            6..8 if node != other => self.world.reset(node, other),
            8 => {
                let (left, right): (Vec<_>, Vec<_>) =
                    (0..people).partition(|_| self.rng.below(2) == 0);
                self.world.partition(&left, &right);
            }
            9..11 => self.world.heal_all(),
            11 => {
                let ms = self.rng.between(500, 30_000);
                self.world.suspend(node, ms);
            }
            _ => {}
        }
    }

    fn vanish(&mut self, node: usize) {
        let back = self.world.now_ms + self.rng.between(100, 20_000);
        match self.rng.below(5) {
            0 | 1 => {
                let power = self.rng.below(2) == 0;
                self.world.crash(node, power);
                self.restarts.insert(back, node);
            }
            2 => {
                self.world.command(node, Command::Quit(LeaveWhen::Now));
                self.restarts.insert(back, node);
            }
            3 => {
                self.world.command(node, Command::Leave(LeaveWhen::Now));
                self.outside.insert(node, None);
            }
            _ => {}
        }
        self.outside.remove(&node).filter(|_| self.world.nodes[node].router.is_none());
        if self.world.nodes[node].router.is_some() && self.world.nodes[node].view.room.is_none() {
            self.outside.insert(node, None);
        }
    }

    fn change_lock(&mut self, node: usize) {
        match self.rng.below(6) {
            0 | 1 => {
                self.world.command(node, Command::Unlock);
            }
            2 => {
                self.world.shut_door(node);
            }
            drawn => {
                self.world.nodes[node].agrees =
                    [Some(true), Some(false), None][self.rng.below(3) as usize];
                let password = Password::new(PASSWORDS[self.rng.below(4) as usize]).unwrap();
                let password = Some(NewPassword::Set(password));
                self.world.command(node, Command::Password { password, asks: drawn == 3 });
            }
        }
    }
}
