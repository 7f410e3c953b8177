//! Who may take how much of the log: bytes and chains, by author and by whoever let authors in.
//!
//! What an author says counts for its own branch and for those of all who let it in and who let
//! those in, but the founder; from an open ticket up for their doors in place of their branches, so
//! that strangers take nothing from whoever keeps a door open. Each has a share, so nobody takes
//! more than that, under however many keys. When shares or the whole are used up,
//! whoever is linked here, and this node itself, still has a little of its own. What was accepted
//! stays: a share decides about what comes, and never evicts.

use std::collections::{BTreeMap, BTreeSet};

use super::refused::RefusedAuthors;
use crate::limits::Limits;
use crate::router::ids::MemberId;

/// Chains that a linked member may have when its shares are used up.
const RESERVED_CHAINS: usize = 4;

/// How somebody came into the room, by one of its tickets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WayIn {
    /// Who let it in, who let those in, and so on up to an open ticket, but the founder.
    pub(crate) above: Vec<MemberId>,
    /// Who let others in by the open tickets on the way, and who stands above these, but the
    /// founder.
    pub(crate) doors: Vec<MemberId>,
    /// One of the open tickets is the founder's.
    pub(crate) by_founder: bool,
}

/// The ways in that are known of somebody, the nearest to the founder first.
pub(crate) type WaysIn<'a> = &'a dyn Fn(&MemberId) -> Vec<WayIn>;

/// What has a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LogPart {
    /// A member and all who hang below it by tickets that are not open.
    Branch(MemberId),
    /// All others who hang below it.
    Door(MemberId),
    /// All who came by an open door of the founder, and who hang below these.
    FoundersDoor,
    /// All authors of whom nobody knows who let them in.
    Unknown,
}

/// Bytes and chains, used or allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) bytes: usize,
    pub(super) chains: usize,
}

impl Amount {
    fn plus(self, more: Self) -> Self {
        Self { bytes: self.bytes + more.bytes, chains: self.chains + more.chains }
    }

    fn minus(self, less: Self) -> Self {
        let bytes = self.bytes.saturating_sub(less.bytes);
        Self { bytes, chains: self.chains.saturating_sub(less.chains) }
    }

    fn fits(self, bound: Self) -> bool {
        self.bytes <= bound.bytes && self.chains <= bound.chains
    }

    /// A part of the whole, one chain at least.
    fn of_whole(limits: &Limits, (part, of): (usize, usize)) -> Self {
        let bytes = limits.log_bytes / of * part;
        Self { bytes, chains: (limits.chains * part / of).max(1) }
    }
}

impl LogPart {
    /// Its share of a whole: so many of so many parts.
    pub(super) fn share(self) -> (usize, usize) {
        match self {
            Self::Branch(_) | Self::Door(_) => (1, 4),
            Self::FoundersDoor => (1, 2),
            Self::Unknown => (1, 16),
        }
    }

    fn bound(self, limits: &Limits) -> Amount {
        Amount::of_whole(limits, self.share())
    }
}

#[derive(Debug, Default)]
struct AuthorUse {
    /// What its entries count for.
    parts: Vec<LogPart>,
    used: Amount,
    /// What it has of the reserve.
    reserved: Amount,
}

/// Where there is room for an entry.
#[derive(Debug, PartialEq, Eq)]
enum Lodging {
    /// In the shares that the author's entries count for already.
    Here,
    /// In these, which are to count for all that the author has beside the reserve.
    Moved(Vec<LogPart>),
    /// In the reserve.
    Reserve,
}

/// The log of a room, shared out.
#[derive(Debug)]
pub(super) struct LogShares {
    me: MemberId,
    total: Amount,
    /// Bytes in the reserve, and chains there.
    reserved: Amount,
    authors: BTreeMap<MemberId, AuthorUse>,
    parts: BTreeMap<LogPart, Amount>,
    linked: BTreeSet<MemberId>,
    refused: RefusedAuthors,
}

impl LogShares {
    pub(super) fn new(me: MemberId) -> Self {
        Self {
            me,
            total: Amount::default(),
            reserved: Amount::default(),
            authors: BTreeMap::new(),
            parts: BTreeMap::new(),
            linked: BTreeSet::new(),
            refused: RefusedAuthors::default(),
        }
    }

    /// A member is linked here from now on, or no more.
    pub(super) fn link(&mut self, member: MemberId, linked: bool) {
        if linked {
            self.linked.insert(member);
        } else {
            self.linked.remove(&member);
        }
    }

    /// Whether there is room for more of an author. Without `ways` an author of whom nothing is
    /// held is thought to have some until it is refused.
    pub(super) fn has_room(
        &self,
        author: &MemberId,
        cost: Amount,
        ways: Option<WaysIn<'_>>,
        limits: &Limits,
    ) -> bool {
        self.room(author, cost, ways, limits).is_some()
    }

    fn room(
        &self,
        author: &MemberId,
        cost: Amount,
        ways: Option<WaysIn<'_>>,
        limits: &Limits,
    ) -> Option<Lodging> {
        // The reserve is apart: whoever fills the rest leaves it to the others.
        let chains = limits.chains - limits.chains / 8;
        let rest = Amount { bytes: limits.log_bytes / 4 * 3, chains };
        if self.total.minus(self.reserved).plus(cost).fits(rest)
            && let Some(lodging) = self.lodging(author, cost, ways, limits)
        {
            return Some(lodging);
        }
        self.reserve(author, cost, limits)
    }

    fn lodging(
        &self,
        author: &MemberId,
        cost: Amount,
        ways: Option<WaysIn<'_>>,
        limits: &Limits,
    ) -> Option<Lodging> {
        let known = self.authors.get(author).filter(|of| !of.parts.is_empty());
        if known.is_none() && ways.is_none() && self.refused.contains(author) {
            return None;
        }
        let fits = known.is_none_or(|of| self.fits(&of.parts, (cost, known), limits));
        let unknown = known.is_none_or(|of| of.parts.contains(&LogPart::Unknown));
        let Some(ways) = ways.filter(|_| unknown || !fits) else {
            return fits.then_some(Lodging::Here);
        };
        // Somebody else's ticket for it must not take its room: any way that has some counts.
        let mut ways = self.parts_of(author, ways).into_iter();
        let parts = ways.find(|parts| self.fits(parts, (cost, known), limits))?;
        let here = known.is_some_and(|of| of.parts == parts);
        Some(if here { Lodging::Here } else { Lodging::Moved(parts) })
    }

    fn reserve(&self, author: &MemberId, cost: Amount, limits: &Limits) -> Option<Lodging> {
        let more = self.authors.get(author).map_or(cost, |of| of.reserved.plus(cost));
        if *author == self.me {
            return (more.bytes <= limits.log_bytes / 16).then_some(Lodging::Reserve);
        }
        let own = Amount { bytes: limits.log_bytes / 512, chains: RESERVED_CHAINS };
        let whole = Amount { bytes: limits.log_bytes, chains: limits.chains };
        let fits = more.fits(own) && self.total.plus(cost).fits(whole);
        (fits && self.linked.contains(author)).then_some(Lodging::Reserve)
    }

    fn parts_of(&self, author: &MemberId, ways: WaysIn<'_>) -> Vec<Vec<LogPart>> {
        if *author == self.me {
            return vec![vec![LogPart::Branch(*author)]];
        }
        parts_of(author, ways(author))
    }

    /// Whether these have room for something of an author, and for all that it has elsewhere.
    fn fits(
        &self,
        parts: &[LogPart],
        (cost, author): (Amount, Option<&AuthorUse>),
        limits: &Limits,
    ) -> bool {
        parts.iter().all(|part| {
            let used = self.parts.get(part).copied().unwrap_or_default();
            let elsewhere = author.filter(|of| !of.parts.contains(part)).map(|of| of.used);
            used.plus(elsewhere.unwrap_or_default()).plus(cost).fits(part.bound(limits))
        })
    }

    /// Something of an author is accepted, for which there is room; whether that is of the
    /// reserve.
    pub(super) fn take(
        &mut self,
        author: MemberId,
        cost: Amount,
        ways: WaysIn<'_>,
        limits: &Limits,
    ) -> bool {
        let lodging = self.room(&author, cost, Some(ways), limits).unwrap_or(Lodging::Reserve);
        self.total = self.total.plus(cost);
        let of = self.authors.entry(author).or_default();
        match lodging {
            Lodging::Reserve => {
                of.reserved = of.reserved.plus(cost);
                self.reserved = self.reserved.plus(cost);
                return true;
            }
            Lodging::Moved(parts) => move_to(parts, of, &mut self.parts),
            Lodging::Here => {}
        }
        of.used = of.used.plus(cost);
        count(&mut self.parts, &of.parts, |amount| amount.plus(cost));
        false
    }

    /// A fork took bytes of an author back, and so many of them from the reserve.
    pub(super) fn free(&mut self, author: &MemberId, bytes: usize, reserved: usize) {
        let amount = |bytes| Amount { bytes, chains: 0 };
        let (all, kept, shared) = (amount(bytes), amount(reserved), amount(bytes - reserved));
        let Some(of) = self.authors.get_mut(author) else { return };
        of.reserved = of.reserved.minus(kept);
        of.used = of.used.minus(shared);
        count(&mut self.parts, &of.parts, |used| used.minus(shared));
        self.total = self.total.minus(all);
        self.reserved = self.reserved.minus(kept);
    }

    /// Something of an author was refused that came over the link of `from`: that one answers for
    /// an author of whom nobody knows who let it in.
    pub(super) fn refused(&mut self, author: MemberId, from: Option<MemberId>, ways: WaysIn<'_>) {
        let unknown = ways(&author).is_empty();
        let counts = from.filter(|_| unknown).unwrap_or(author);
        self.refused.insert(author, self.parts_of(&counts, ways));
    }

    /// Refused authors that have room for so many bytes by a way in that is known by now. Each call
    /// looks at some of them.
    pub(super) fn take_refused(
        &mut self,
        bytes: usize,
        ways: WaysIn<'_>,
        limits: &Limits,
    ) -> Vec<MemberId> {
        let mut welcome = Vec::new();
        for author in &self.refused.take_turns() {
            let chains = usize::from(!self.authors.contains_key(author));
            let cost = Amount { bytes, chains };
            match self.room(author, cost, Some(ways), limits) {
                Some(Lodging::Moved(parts)) => {
                    if let Some(of) = self.authors.get_mut(author) {
                        move_to(parts, of, &mut self.parts);
                    }
                    welcome.push(*author);
                }
                Some(Lodging::Here) => welcome.push(*author),
                Some(Lodging::Reserve) | None => {}
            }
        }
        welcome.iter().for_each(|author| self.refused.remove(author));
        welcome
    }

    /// Authors of whom something is held, and refused ones that are remembered.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.authors.len(), self.refused.len())
    }
}

/// What something of an author counts for, by each of its ways in.
pub(super) fn parts_of(author: &MemberId, ways: Vec<WayIn>) -> Vec<Vec<LogPart>> {
    let branch = LogPart::Branch(*author);
    let parts = |way: WayIn| {
        let above = way.above.into_iter().map(LogPart::Branch);
        let doors = way.doors.into_iter().map(LogPart::Door);
        let founders = way.by_founder.then_some(LogPart::FoundersDoor);
        let parts = [branch].into_iter().chain(above).chain(doors).chain(founders);
        // The author may stand on its own way.
        parts.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let all: Vec<Vec<LogPart>> = ways.into_iter().map(parts).collect();
    if all.is_empty() { vec![vec![branch, LogPart::Unknown]] } else { all }
}

/// From now on what an author has counts for these.
fn move_to(parts: Vec<LogPart>, of: &mut AuthorUse, all: &mut BTreeMap<LogPart, Amount>) {
    count(all, &of.parts, |amount| amount.minus(of.used));
    of.parts = parts;
    count(all, &of.parts, |amount| amount.plus(of.used));
}

fn count(parts: &mut BTreeMap<LogPart, Amount>, of: &[LogPart], change: impl Fn(Amount) -> Amount) {
    for part in of {
        let amount = parts.entry(*part).or_default();
        *amount = change(*amount);
    }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
