//! Who gives way where all places for links are taken by members: each branch of the room has a
//! share of them, so that nobody keeps others out with members that it lets in; and so has each
//! neighbourhood, because whoever knows the password can come in many times.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::router::ids::{ConnId, MemberId};
use crate::router::time::Millis;

/// What links have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LinkGroup {
    /// This member, and all whom it let in.
    Branch(MemberId),
    /// The neighbourhood from which they come.
    Near(IpAddr),
}

/// The branches in which a member is by one of its tickets, and its neighbourhood.
pub(crate) type Lineage = BTreeSet<LinkGroup>;

/// A link that may give way.
#[derive(Debug, Clone)]
pub(crate) struct LinkPlace {
    pub(crate) conn: ConnId,
    pub(crate) began: Millis,
    /// By all tickets of the member: it counts for one of them.
    pub(crate) lineages: Vec<Lineage>,
}

/// The link that gives way to somebody of these `lineages`. Two are compared where their lineages
/// part: one gives way if its branch there has more than `share` links, and more than the other's
/// would have. So whoever gives way cannot come back for the same place. In such a branch it is the
/// latest link from where most are; who let the others in goes last.
pub(crate) fn to_give_way(
    places: &[LinkPlace],
    lineages: &[Lineage],
    share: usize,
) -> Option<ConnId> {
    let branches = BranchSizes::of(places);
    let nobody = Lineage::new();
    let own = branches.lightest(lineages).unwrap_or(&nobody);
    let candidates = places.iter().enumerate().filter_map(|(at, place)| {
        let lineage = branches.lineages.get(&at)?;
        let sizes = branches.sizes(lineage.difference(own));
        let most = *sizes.first()?;
        let would = branches.sizes(own.difference(lineage)).first().map_or(1, |size| size + 1);
        (most > share.max(would)).then_some((sizes, place.began, place.conn))
    });
    candidates.max().map(|(.., conn)| conn)
}

/// How many links there are of each group.
struct BranchSizes<'a> {
    sizes: BTreeMap<LinkGroup, usize>,
    /// What each link counts for, by its place in the list.
    lineages: BTreeMap<usize, &'a Lineage>,
}

impl<'a> BranchSizes<'a> {
    fn of(places: &'a [LinkPlace]) -> Self {
        let mut branches = Self { sizes: BTreeMap::new(), lineages: BTreeMap::new() };
        // Somebody else's ticket for it must not make it part of a large branch: who has several
        // counts for the smallest.
        let mut order: Vec<(usize, &LinkPlace)> = places.iter().enumerate().collect();
        order.sort_by_key(|(at, place)| (place.lineages.len(), *at));
        for (at, place) in order {
            let Some(lineage) = branches.lightest(&place.lineages) else { continue };
            for group in lineage {
                *branches.sizes.entry(*group).or_default() += 1;
            }
            branches.lineages.insert(at, lineage);
        }
        branches
    }

    fn lightest<'b>(&self, lineages: &'b [Lineage]) -> Option<&'b Lineage> {
        lineages.iter().min_by_key(|lineage| self.sizes(lineage.iter()))
    }

    /// The sizes of these, the largest first.
    fn sizes<'b>(&self, of: impl Iterator<Item = &'b LinkGroup>) -> Vec<usize> {
        let mut sizes: Vec<usize> =
            of.map(|group| self.sizes.get(group).copied().unwrap_or(0)).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: usize = 128;
    const EVE: u16 = 1;
    const BOB: u16 = 2;
    const CAROL: u16 = 3;

    fn who(number: u16) -> MemberId {
        let mut id = [7; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        MemberId(id)
    }

    fn branch(number: u16) -> LinkGroup {
        LinkGroup::Branch(who(number))
    }

    fn lineage(of: &[u16]) -> Vec<Lineage> {
        vec![of.iter().copied().map(branch).collect()]
    }

    /// The same of somebody in this neighbourhood.
    fn lineage_near(of: &[u16], third: u8) -> Vec<Lineage> {
        let near = LinkGroup::Near(IpAddr::from([192, 0, third, 0]));
        lineage(of).into_iter().map(|of| of.into_iter().chain([near]).collect()).collect()
    }

    /// A full node.
    #[derive(Default)]
    struct Node {
        linked: Vec<LinkPlace>,
        next: u64,
    }

    impl Node {
        /// Somebody comes; who gave way, or `Err` if it is turned away.
        fn comes(&mut self, lineages: &[Lineage]) -> Result<Option<LinkPlace>, ()> {
            let mut gone = None;
            if self.linked.len() >= PLACES {
                let conn = to_give_way(&self.linked, lineages, PLACES / 4).ok_or(())?;
                let at = self.linked.iter().position(|place| place.conn == conn).unwrap();
                gone = Some(self.linked.remove(at));
            }
            self.next += 1;
            let (conn, began) = (ConnId(self.next), Millis(self.next));
            self.linked.push(LinkPlace { conn, began, lineages: lineages.to_vec() });
            Ok(gone)
        }

        fn has(&self, of: &[u16]) -> bool {
            self.linked.iter().any(|place| place.lineages == lineage(of))
        }

        fn below(&self, number: u16) -> usize {
            let is_below =
                |place: &&LinkPlace| place.lineages.iter().all(|of| of.contains(&branch(number)));
            self.linked.iter().filter(is_below).count()
        }

        fn near(&self, third: u8) -> usize {
            let near = LinkGroup::Near(IpAddr::from([192, 0, third, 0]));
            self.linked.iter().filter(|place| place.lineages[0].contains(&near)).count()
        }
    }

    /// Puppets of eve, in trees of several shapes below her.
    fn shapes() -> [fn(u16) -> Vec<u16>; 3] {
        [
            |number| vec![number, EVE],
            // In a chain of thirty, again and again.
            |number| (number - number % 30..=number).chain([EVE]).collect(),
            // A tree: each lets in two.
            |number| {
                let up = std::iter::successors(Some(number - 999), |at| Some(at / 2));
                up.take_while(|at| *at > 0).map(|at| at + 999).chain([EVE]).collect()
            },
        ]
    }

    #[test]
    fn whoever_lets_in_a_hundred_puppets_keeps_nobody_out() {
        for shape in shapes() {
            let mut node = Node::default();
            assert_eq!(node.comes(&lineage(&[EVE])).map(|gone| gone.is_some()), Ok(false));
            for number in 1_000..1_127 {
                node.comes(&lineage(&shape(number))).unwrap();
            }
            assert!(node.comes(&lineage(&shape(1_200))).is_err(), "eve's have their places");
            // Others who hang below the founder, and those whom bob let in.
            for number in 10..76 {
                node.comes(&lineage(&[number])).unwrap();
            }
            for number in 100..130 {
                node.comes(&lineage(&[number, BOB])).unwrap();
            }
            assert_eq!((node.linked.len(), node.below(EVE)), (PLACES, PLACES / 4));
            assert!(node.has(&[EVE]), "she herself is the last to go");
        }
    }

    #[test]
    fn many_keys_at_one_place_keep_nobody_out_whoever_let_them_in() {
        // All directly below the founder; and a few there, each of whom lets in others.
        let keys: [fn(u16) -> Vec<u16>; 2] =
            [|number| vec![number], |number| vec![number, 1_000 + number % 8]];
        for above in keys {
            let mut node = Node::default();
            for number in 1_008..1_136 {
                node.comes(&lineage_near(&above(number), 9)).unwrap();
            }
            assert!(node.comes(&lineage_near(&above(1_200), 9)).is_err(), "they have theirs");
            for number in 10..106 {
                node.comes(&lineage_near(&[number], number as u8)).unwrap();
            }
            assert_eq!((node.linked.len(), node.near(9)), (PLACES, PLACES / 4));
            assert!(node.comes(&lineage_near(&[106], 106)).is_err());
        }
    }

    #[test]
    fn colleagues_lose_places_to_others_only() {
        let mut node = Node::default();
        for number in 1_000..1_128 {
            node.comes(&lineage_near(&[number], 1)).unwrap();
        }
        assert!(node.comes(&lineage_near(&[1_128], 1)).is_err());
        let last = node.comes(&lineage_near(&[10], 2)).unwrap().unwrap();
        assert_eq!(last.lineages, lineage_near(&[1_127], 1));
        assert!(node.comes(&last.lineages).is_err());
    }

    #[test]
    fn guests_of_whoever_let_eve_in_have_their_places_too() {
        let mut node = Node::default();
        for number in 1_000..1_128 {
            node.comes(&lineage(&[number, EVE, CAROL])).unwrap();
        }
        node.comes(&lineage(&[CAROL])).unwrap();
        for number in 10..40 {
            node.comes(&lineage(&[number, CAROL])).unwrap();
        }
        // Those of another branch take eve's places before those of carol's other guests.
        for number in 40..90 {
            node.comes(&lineage(&[number])).unwrap();
        }
        assert!((10..40).all(|number| node.has(&[number, CAROL])));
        assert!(node.has(&[CAROL]));
    }

    #[test]
    fn an_honest_host_of_a_hundred_loses_places_to_others_only() {
        let mut node = Node::default();
        node.comes(&lineage(&[CAROL])).unwrap();
        for number in 0..99 {
            node.comes(&lineage(&[1_000 + number, CAROL])).unwrap();
        }
        for number in 0..28 {
            node.comes(&lineage(&[10 + number])).unwrap();
        }
        assert!(
            node.comes(&lineage(&[1_200, CAROL])).is_err(),
            "her guests do not displace each other"
        );
        let last = node.comes(&lineage(&[50])).unwrap().unwrap();
        assert_eq!(last.lineages, lineage(&[1_098, CAROL]), "the latest of her guests");
        // Whoever gave way knocks again, and displaces nobody.
        assert!(node.comes(&last.lineages).is_err());
    }

    #[test]
    fn who_gave_way_does_not_come_back_for_it() {
        let mut node = Node::default();
        for number in 0..64 {
            node.comes(&lineage(&[1_000 + number, BOB])).unwrap();
            node.comes(&lineage(&[2_000 + number, CAROL])).unwrap();
        }
        let mut outside: Vec<Vec<Lineage>> =
            (0..40).map(|number| lineage(&[3_000 + number, EVE])).collect();
        let mut displaced = 0;
        for _ in 0..20 {
            let mut gone = Vec::new();
            for lineages in std::mem::take(&mut outside) {
                match node.comes(&lineages) {
                    Ok(place) => gone.extend(place.map(|place| place.lineages)),
                    Err(()) => outside.push(lineages),
                }
            }
            displaced += gone.len();
            outside.extend(gone);
        }
        assert_eq!(displaced, 40, "each of eve's once, and nobody again");
    }

    #[test]
    fn a_ticket_by_eve_does_not_make_one_hers() {
        let both = |number| [lineage(&[number, EVE]), lineage(&[number, BOB])].concat();
        let mut node = Node::default();
        node.comes(&both(10)).unwrap();
        for number in 1_000..1_127 {
            node.comes(&lineage(&[number, EVE])).unwrap();
        }
        node.comes(&both(11)).unwrap();
        for number in 20..110 {
            node.comes(&lineage(&[number])).unwrap();
        }
        let stays = |number| node.linked.iter().any(|place| place.lineages == both(number));
        assert!(stays(10) && stays(11));
    }
}
