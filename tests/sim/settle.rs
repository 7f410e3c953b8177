//! How a story ends: all is healed, everybody who may comes into one room, and all is checked.

use std::collections::BTreeSet;

use klatch::crypto::password::Password;
use klatch::router::command::{Command, LeaveWhen, LockWish};
use klatch::router::notice::{Code, Notice};

use crate::scenario::Story;
use crate::world::World;

impl Story {
    /// Heals everything, brings everybody into one room, waits for quiet, and checks.
    pub fn settle(&mut self) {
        self.world.trace.remark(self.world.now_ms, "all is healed");
        if let Some(twin) = self.twin
            && self.world.nodes[twin].router.is_some()
        {
            self.world.crash(twin, false);
        }
        for node in self.hostile.clone() {
            self.world.nodes[node].withholds = None;
            self.world.nodes[node].poses = None;
        }
        self.world.heal_all();
        for (_, node) in std::mem::take(&mut self.restarts) {
            if self.twin != Some(node) && self.world.nodes[node].router.is_none() {
                self.world.start(node);
            }
        }
        self.world.run(75_000);
        self.check_returns();
        self.take_in_again();
        for _ in 0..6 {
            if !self.gather() {
                break;
            }
            self.world.run(20_000);
        }
        self.world.trace.remark(self.world.now_ms, "all is quiet");
        self.world.run(90_000);
        let groups = self.groups();
        let main = &groups[0];
        for node in groups.iter().skip(1).flatten().copied() {
            let (home, there) = (self.world.inspect(main[0]), self.world.inspect(node));
            let names: Vec<_> = main.iter().map(|n| &self.world.nodes[*n].name).collect();
            let text = format!(
                "{} is apart from {names:?}: in {there:?} and not {home:?}",
                self.world.nodes[node].name
            );
            assert!(self.may_be_out(main, node), "{text}");
        }
        self.world.check_room(main);
    }

    /// Members came back by themselves (P5): a node that the others count as a member, and that
    /// counts them, needs no person to connect.
    fn check_returns(&mut self) {
        let groups = self.groups();
        let Some((main, rest)) = groups.split_first() else { return };
        // Perhaps only a hostile node knows where to dial.
        if !self.hostile.is_empty() {
            return;
        }
        let room = self.world.inspect(main[0]).room;
        for node in rest.iter().flatten().copied() {
            let mut hosts = self.hosts(main, node);
            let here = self.world.inspect(node).room;
            // A node that finds a member in another room does not redial it.
            let left = |notice: &Notice| matches!(notice, Notice::Left { .. });
            let stayed = |node: &usize| {
                self.world.nodes[*node].run == 1 && self.world.count(*node, left) == 0
            };
            hosts.retain(|host| stayed(host) && stayed(&node));
            let there = here == room && !self.hostile.contains(&node);
            let each =
                |host: &usize| self.world.counts(*host, node) && self.world.counts(node, *host);
            // Perhaps only a node that has restarted since knew where to dial.
            let heard_of =
                |who: usize, by: usize| self.world.nodes[by].heard_of.contains(&self.world.id(who));
            let restarted = self.world.nodes.iter().any(|node| node.run > 1);
            let known = |host: &usize| heard_of(*host, node) || heard_of(node, *host);
            let there = there && (!restarted || hosts.iter().any(known));
            let name = &self.world.nodes[node].name;
            assert!(
                !there || hosts.is_empty() || !hosts.iter().all(each),
                "P5: {name} did not come back by itself to {hosts:?}"
            );
        }
    }

    /// Groups, those first in which an honest node is a member and can let others in.
    fn groups(&mut self) -> Vec<Vec<usize>> {
        let mut groups = self.world.groups();
        let member = |node: &usize| {
            let honest = !self.hostile.contains(node);
            honest && self.world.counts(*node, *node)
        };
        groups.sort_by_key(|group| !group.iter().any(member));
        groups
    }

    /// Whether a node may stay out of the room: hostile, removed, or unable to reach anybody.
    fn may_be_out(&mut self, main: &[usize], node: usize) -> bool {
        let id = self.world.id(node);
        let removed = main.iter().any(|host| {
            let oracle = self.world.oracle(*host);
            oracle.removals.values().any(|removal| removal.member == Some(id))
        });
        // If a hostile node founded the room, it withholds tickets, too.
        let founder = self.world.oracle(main[0]).founder;
        let hostile = |node: &usize| self.world.id(*node) == founder;
        let hostile = self.hostile.contains(&node) || self.hostile.iter().any(hostile);
        removed || hostile || self.hosts(main, node).is_empty()
    }

    /// Honest members that a node can dial.
    fn hosts(&mut self, main: &[usize], node: usize) -> Vec<usize> {
        let honest = main.iter().copied().filter(|host| !self.hostile.contains(host));
        honest.filter(|host| !self.world.no_dial.contains(&(node, *host))).collect()
    }

    /// Sometimes the founder is forgiving.
    fn take_in_again(&mut self) {
        let groups = self.groups();
        let main = groups[0].clone();
        let founder = self.world.oracle(main[0]).founder;
        let Some(&founder) = main.iter().find(|node| self.world.id(**node) == founder) else {
            return;
        };
        if self.hostile.contains(&founder) || self.rng.below(2) == 0 {
            return;
        }
        for node in 0..self.world.nodes.len() {
            let id = self.world.id(node);
            let oracle = self.world.oracle(founder);
            if oracle.is_removed(&id) && !self.hostile.contains(&node) {
                let line = self.world.remove(founder, node, true);
                let result = self.world.finish(founder, line);
                assert!(
                    result == Err(Code::NameNotFound) || self.world.counts(founder, node),
                    "the founder cannot take in {} again: {result:?}",
                    self.world.nodes[node].name
                );
            }
        }
        self.world.run(45_000);
    }

    /// Nodes that are not where most are go there; false when all who may are there.
    fn gather(&mut self) -> bool {
        let groups = self.groups();
        let Some((main, rest)) = groups.split_first() else { return false };
        let rest: BTreeSet<usize> = rest.iter().flatten().copied().collect();
        let mut moved = false;
        for node in rest {
            if self.hostile.contains(&node) {
                continue;
            }
            for host in self.hosts(main, node) {
                let result = self.bring(host, node);
                let (name, to) = (&self.world.nodes[node].name, &self.world.nodes[host].name);
                let text = format!("{name} comes to {to}: {result:?}");
                self.world.trace.remark(self.world.now_ms, &text);
                moved = true;
                if result.is_ok() {
                    break;
                }
            }
        }
        moved
    }

    fn bring(&mut self, host: usize, node: usize) -> Result<(), Code> {
        let world = &mut self.world;
        let (home, there) = (world.inspect(host), world.inspect(node));
        if there.room == home.room && world.counts(host, node) {
            // It is a member: it is asked for nothing.
            world.nodes[node].answers.clear();
            let asked = world.nodes[node].asked;
            let line = world.connect(node, host);
            let result = world.finish(node, line);
            assert_eq!(
                world.nodes[node].asked, asked,
                "P5: {} is a member and is asked for a password: {result:?}",
                world.nodes[node].name
            );
            return result;
        }
        if there.room != home.room && (there.settled || there.closed)
            || there.room == home.room && self.rng.below(2) == 0
        {
            world.command(node, Command::Leave(LeaveWhen::Now));
        }
        if !home.closed {
            let line = world.connect(node, host);
            return world.finish(node, line);
        }
        match world.password_of(host).filter(|_| home.password.is_some()) {
            Some(password) => {
                let wish = LockWish::Password(Password::new(&password).unwrap());
                let line = world.connect_as(node, host, wish);
                world.finish(node, line)
            }
            None => invite(world, host, node),
        }
    }
}

fn invite(world: &mut World, host: usize, node: usize) -> Result<(), Code> {
    let link = world.invite(host, true).or_else(|| {
        let line = world.command(host, Command::InviteOff);
        let _ = world.finish(host, line);
        world.invite(host, true)
    });
    let Some(link) = link else { return Err(Code::NoInvitation) };
    let line = world.enter(node, &link);
    world.finish(node, line)
}
