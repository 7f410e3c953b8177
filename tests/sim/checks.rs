//! What must hold once the network is whole again and everybody has been quiet for a while.

use std::collections::{BTreeMap, BTreeSet};

use klatch::router::ids::{ConnId, MemberId};
use klatch::router::inspect::Inspection;
use klatch::router::notice::{Code, Notice};
use klatch::router::signed::SignedEntry;

use crate::oracle::Oracle;
use crate::world::{Shown, WALL_MS, World};

/// How long an entry waits for those of other chains.
const PARENTS_WAIT_MS: i64 = 3_000;

impl World {
    /// Nodes whose programs are running.
    pub fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].router.is_some()).collect()
    }

    /// Whether an entry is so old that it no longer waits for those of other chains (PROTOCOL.md,
    /// 8.1): then it may be shown before them.
    pub fn may_have_waited(&self, entry: &SignedEntry) -> bool {
        let author = self.nodes.iter().find(|node| node.id == entry.body.chain.author);
        let skew_ms = author.map_or(0, |node| node.skew_ms);
        let age_ms = WALL_MS + self.now_ms as i64 + skew_ms - entry.body.time_ms;
        age_ms >= PARENTS_WAIT_MS
    }

    /// Whether two machines can link.
    pub fn can_link(&self, a: usize, b: usize) -> bool {
        !self.is_cut(a, b) && (!self.no_dial.contains(&(a, b)) || !self.no_dial.contains(&(b, a)))
    }

    /// Nodes of one room that are connected through links, the largest group first. A hostile node
    /// connects nobody, since it tells each what it likes: it counts to the first group that it is
    /// linked with.
    pub fn groups(&mut self) -> Vec<Vec<usize>> {
        let ids: BTreeMap<MemberId, usize> =
            self.running().into_iter().map(|node| (self.id(node), node)).collect();
        let seen: BTreeMap<usize, Inspection> =
            self.running().into_iter().map(|node| (node, self.inspect(node))).collect();
        let (mut hostile, mut left): (BTreeSet<usize>, BTreeSet<usize>) =
            seen.keys().partition(|node| self.truth.hostile.contains(&self.id(**node)));
        let mut groups = Vec::new();
        while let Some(first) = left.pop_first() {
            let mut group = vec![first];
            let mut next = 0;
            while let Some(node) = group.get(next).copied() {
                next += 1;
                for (member, _) in &seen[&node].links {
                    let Some(&peer) = ids.get(member) else { continue };
                    if seen[&peer].room == seen[&node].room && left.remove(&peer) {
                        group.push(peer);
                    }
                }
            }
            groups.push((group.len(), seen[&first].room, group));
        }
        groups.sort_by_key(|(size, room, _)| std::cmp::Reverse((*size, *room)));
        let mut groups: Vec<Vec<usize>> = groups.into_iter().map(|(_, _, group)| group).collect();
        for group in &mut groups {
            let linked = |node: &usize| {
                let mut members = seen[node].links.iter().filter_map(|(member, _)| ids.get(member));
                members.any(|peer| group.contains(peer) && seen[peer].room == seen[node].room)
            };
            let with: BTreeSet<usize> = hostile.iter().copied().filter(linked).collect();
            hostile.retain(|node| !with.contains(node));
            group.extend(with);
            group.sort_unstable();
        }
        groups.extend(hostile.into_iter().map(|node| vec![node]));
        groups
    }

    /// Honest nodes agree on the register, and so on members and password (P4).
    pub fn check_agreement(&mut self, nodes: &[usize]) {
        let honest: Vec<usize> =
            nodes.iter().copied().filter(|n| !self.truth.hostile.contains(&self.id(*n))).collect();
        let Some(&first) = honest.first() else { return };
        let of = self.inspect(first);
        for &node in &honest {
            let name = [first, node].map(|node| self.nodes[node].name.clone());
            let seen = self.inspect(node);
            assert_eq!(of.room, seen.room, "P4: {name:?} are in different rooms");
            if of.register != seen.register && !self.truth.lax {
                let (a, b) = (self.oracle(first), self.oracle(node));
                let more = |a: &Oracle, b: &Oracle| -> Vec<String> {
                    let more = a.records.iter().filter(|(id, _)| !b.records.contains_key(*id));
                    more.map(|(id, record)| format!("{id:?} {:?}", record.record)).collect()
                };
                panic!(
                    "P4: {name:?} have different registers: {:#?} and {:#?}",
                    more(&a, &b),
                    more(&b, &a)
                );
            }
            assert_eq!(of.members, seen.members, "P4: {name:?} count different members");
            assert_eq!(of.closed, seen.closed, "P4: {name:?} disagree on whether it is closed");
            assert_eq!(of.password, seen.password, "P4: {name:?} know different passwords");
        }
    }

    /// Checks every promise that a room makes to these members.
    pub fn check_room(&mut self, members: &[usize]) {
        let ids: BTreeMap<MemberId, usize> = members.iter().map(|n| (self.id(*n), *n)).collect();
        let first = *members.first().unwrap();
        self.check_agreement(members);
        let (entries, texts) = (self.inspect(first).entries, self.texts(first));
        let links: BTreeMap<usize, BTreeSet<MemberId>> = members
            .iter()
            .map(|n| (*n, self.inspect(*n).links.into_iter().map(|(member, _)| member).collect()))
            .collect();
        // A hostile node may link with nodes that are apart, and report them as present.
        let hostile = links.iter().filter(|(n, _)| self.truth.hostile.contains(&self.id(**n)));
        let apart: BTreeSet<MemberId> = hostile
            .flat_map(|(_, links)| links)
            .filter(|id| !ids.contains_key(*id))
            .copied()
            .collect();
        for &node in members {
            let name = self.nodes[node].name.clone();
            let inspection = self.inspect(node);
            assert_eq!(
                inspection.entries.len(),
                entries.len(),
                "{name} and {} hold different numbers of entries",
                self.nodes[first].name
            );
            assert_eq!(inspection.entries, entries, "{name} holds others, or in another order");
            self.check_texts(node, first, &texts);
            let present: BTreeSet<_> =
                inspection.present.iter().copied().filter(|id| !apart.contains(id)).collect();
            let others: BTreeSet<_> =
                ids.iter().filter(|(_, n)| **n != node).map(|(id, _)| *id).collect();
            assert_eq!(
                self.names(&present),
                self.names(&others),
                "{name} counts the wrong members as present"
            );
            self.check_links(node, members, &ids, &apart);
            // A receipt passes through at most one member between the two.
            let near = |holder: &MemberId| {
                let mut between =
                    links.iter().filter(|(n, _)| links[&node].contains(&self.id(**n)));
                links[&node].contains(holder) || between.any(|(_, links)| links.contains(holder))
            };
            if members.len() > 1 && inspection.present.iter().all(near) {
                self.check_held(node);
            }
            self.check_commands(node, members);
        }
        assert_eq!(self.overflows, 0, "an outbox was full");
    }

    fn names(&self, ids: &BTreeSet<MemberId>) -> Vec<String> {
        let name = |id: &MemberId| {
            (0..self.nodes.len())
                .find(|node| self.id(*node) == *id)
                .map_or_else(|| id.short(), |node| self.nodes[node].name.clone())
        };
        ids.iter().map(name).collect()
    }

    fn check_texts(&self, node: usize, first: usize, texts: &[String]) {
        let (name, first) = (&self.nodes[node].name, &self.nodes[first].name);
        let mine = self.texts(node);
        let set: BTreeSet<_> = mine.iter().collect();
        assert_eq!(set.len(), mine.len(), "{name} was shown a text twice");
        let theirs: BTreeSet<_> = texts.iter().collect();
        let lacks: Vec<_> = theirs.difference(&set).collect();
        let alone: Vec<_> = set.difference(&theirs).collect();
        assert!(
            lacks.is_empty() && alone.is_empty(),
            "{name} lacks {lacks:?} of {first} and has {alone:?} alone"
        );
        assert_eq!(mine, texts, "{name} and {first} order messages differently");
    }

    fn check_links(
        &mut self,
        node: usize,
        members: &[usize],
        ids: &BTreeMap<MemberId, usize>,
        apart: &BTreeSet<MemberId>,
    ) {
        let name = self.nodes[node].name.clone();
        let links = self.inspect(node).links;
        let peers: Vec<_> = links.iter().map(|(member, _)| *member).collect();
        let distinct: BTreeSet<_> = peers.iter().copied().collect();
        assert_eq!(peers.len(), distinct.len(), "{name} has two links with one member");
        for &other in members {
            if other == node || !self.can_link(node, other) {
                continue;
            }
            let id = self.id(other);
            let conn = links.iter().find(|(member, _)| *member == id).map(|(_, conn)| *conn);
            let conn =
                conn.unwrap_or_else(|| panic!("{name} has no link to {}", self.nodes[other].name));
            let (pipe, end) = self.end_of(node, conn).expect("a link has a connection");
            let (far, far_conn) = self.far_end(pipe, end);
            assert_eq!(far, other);
            let theirs = self.link(other, node);
            assert_eq!(theirs, Some(far_conn), "both ends of a pair use one link");
        }
        for (member, _) in links {
            let here = ids.contains_key(&member) || apart.contains(&member);
            assert!(here, "{name} is linked with one who is not here");
        }
    }

    fn far_end(&self, pipe: usize, end: usize) -> (usize, ConnId) {
        let far = &self.pipes[pipe].ends[1 - end];
        (far.node, far.conn)
    }

    pub fn check_held(&self, node: usize) {
        let view = &self.nodes[node].view;
        let own = |shown: &Shown| shown.own && view.said.contains(&shown.text);
        for (id, shown) in view.messages.iter().filter(|(_, shown)| own(shown)) {
            assert!(
                view.held.contains(id),
                "{} never learnt that all hold {:?}",
                self.nodes[node].name,
                shown.text
            );
        }
    }

    /// Every command was answered; downloads may still wait only if nobody has the file.
    fn check_commands(&self, node: usize, members: &[usize]) {
        let n = &self.nodes[node];
        for line in n.pending.keys().filter(|line| !n.replies.contains_key(*line)) {
            let command = &n.pending[line];
            let file = n.disk.open.keys().find(|file| {
                members.iter().any(|m| {
                    let disk = &self.nodes[*m].disk;
                    *m != node
                        && self.can_link(node, *m)
                        && disk.serving.contains(*file)
                        && !disk.lies
                })
            });
            let waits = command.word() == "download" && file.is_none();
            assert!(waits, "{} never heard of line {line}: {command:?} {file:?}", n.name);
        }
        let forked = |notice: &Notice| match notice {
            Notice::Error { failure, .. } => failure.code == Code::ChainForked,
            _ => false,
        };
        assert_eq!(self.count(node, forked), 0, "{} saw a fork", n.name);
    }
}
