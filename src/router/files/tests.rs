//! Own offers of one node, without a room in which to say them.

use super::own::OfferPlan;
use super::*;
use crate::crypto::identity::Identity;
use crate::files::merkle;
use crate::router::context::Context;
use crate::router::event::{Effect, Hashed, Parking};
use crate::router::ids::{Digest32, FaceId, LogNonce, RoomId};
use crate::router::signed::{Chain, EntryBody};

struct LoneOffers {
    cx: Context,
    files: Files,
    swarm: Swarm,
    said: u64,
}

impl LoneOffers {
    fn new() -> Self {
        let cx = Context::of_test("ada", 1);
        let files = Files::new(cx.my_id);
        Self { cx, files, swarm: Swarm::default(), said: 0 }
    }

    /// Says something, and lets it arrive.
    fn say(&mut self, kind: Kind) -> (EntryId, Option<Offered>) {
        let chain = Chain { author: self.cx.my_id, nonce: LogNonce([0; 8]) };
        let (seq, parents) = (self.said, Vec::new());
        self.said += 1;
        let body = EntryBody { chain, seq, depth: 1, prev: None, parents, time_ms: 0, kind };
        let me = Identity::from_seed([1; 32]);
        let entry = SignedEntry::sign(&RoomId([0; 32]), &me, body);
        let order = (seq, chain, seq);
        let offered = match &entry.body.kind {
            Kind::Offer(offer) => {
                Some(self.files.offer_came(&entry, offer, (order, entry.id)).offered)
            }
            Kind::Withdraw(id) => self.files.withdrawn(chain.author, *id, order),
            _ => None,
        };
        (entry.id, offered)
    }

    /// Offers a file at a path.
    fn offer(&mut self, face: FaceId, path: &str, root: u8) -> (EntryId, Offered) {
        let (name, size, root) = ("a.bin".to_owned(), 1, Digest32([root; 32]));
        let file = merkle::file_id(size, &root);
        let hashed = Hashed {
            path: path.into(),
            name: name.clone(),
            file,
            size,
            root,
            folder: None,
            left_out: None,
        };
        let OfferPlan { before, goes, .. } = self.files.plan(face, &hashed);
        let replaces = before.as_ref().map(Offered::id);
        let (id, offered) =
            self.say(Kind::Offer(Offer { name, size, root, folder: None, replaces }));
        if let Some(before) = before {
            self.end(&before);
        }
        self.swarm.share_all(&mut self.cx, file);
        self.files.offer_made(face, (id, goes), (file, path.into(), false));
        (id, offered.unwrap())
    }

    fn end(&mut self, offered: &Offered) {
        if self.files.own_offer_ended(&mut self.cx, offered) {
            self.swarm.unshare(&mut self.cx, offered.file());
        }
    }

    fn take_back(&mut self, offered: &Offered) {
        self.files.take_back(&mut self.cx, offered, &self.swarm);
        self.say(Kind::Withdraw(offered.id()));
        self.end(offered);
    }

    fn parks(&mut self) -> Vec<Parking> {
        let step = |effect| match effect {
            Effect::Park { step, .. } => Some(step),
            _ => None,
        };
        self.cx.take_effects().into_iter().filter_map(step).collect()
    }
}

#[test]
fn what_lies_at_a_path_is_a_new_version_of_what_lay_there() {
    let mut node = LoneOffers::new();
    let (first, _) = node.offer(FaceId::TERMINAL, "/a.bin", 1);
    let (second, offered) = node.offer(FaceId::TERMINAL, "/a.bin", 2);
    assert!(node.files.own_offer(&first).is_none());
    assert!(node.files.own_offer(&second).is_some());
    assert_eq!(node.files.files_of(FaceId::TERMINAL), BTreeSet::from([offered.file()]));
    let (third, _) = node.offer(FaceId::TERMINAL, "/b/a.bin", 3);
    assert!(node.files.own_offer(&second).is_some(), "another path, another thing");
    assert!(node.files.own_offer(&third).is_some());
}

#[test]
fn an_offer_goes_with_the_face_that_made_it_first() {
    let mut node = LoneOffers::new();
    let (id, _) = node.offer(FaceId::TERMINAL, "/a.bin", 1);
    node.offer(FaceId::TERMINAL, "/b.bin", 2);
    assert_eq!(node.files.end_face(&mut node.cx, FaceId(7)), []);
    assert!(node.files.end_face(&mut node.cx, FaceId::TERMINAL).contains(&id));
    assert_eq!(node.files.end_face(&mut node.cx, FaceId::TERMINAL), [], "once");
}

#[test]
fn an_offer_can_be_had_again_until_its_time_has_come() {
    let mut node = LoneOffers::new();
    let (id, offered) = node.offer(FaceId::TERMINAL, "/a.bin", 1);
    node.take_back(&offered);
    assert!(!node.swarm.is_shared(&offered.file()));
    assert_eq!(node.parks(), [Parking::Begin]);
    let offer = node.files.can_be_restored(&id, &node.swarm).unwrap();
    let (again, _) = node.say(Kind::Offer(offer));
    assert_eq!(node.files.restored(&mut node.cx, &id, again), Some(offered.file()));
    assert_eq!(node.parks(), [Parking::Resume]);
    assert_eq!(node.cx.timers.next(), None, "nothing is left to undo");

    let (id, offered) = node.offer(FaceId::TERMINAL, "/c.bin", 3);
    node.take_back(&offered);
    node.cx.now = node.cx.timers.next().unwrap();
    node.files.undo_due(&mut node.cx);
    assert!(node.files.can_be_restored(&id, &node.swarm).is_none());
    assert_eq!(node.parks(), [Parking::Begin, Parking::Forget]);
}

#[test]
fn what_was_parked_is_looked_at_in_its_own_room_only() {
    let mut node = LoneOffers::new();
    let (_, offered) = node.offer(FaceId::TERMINAL, "/a.bin", 1);
    let (here, elsewhere) = ((RoomId([1; 32]), Vec::new()), (RoomId([2; 32]), Vec::new()));
    node.files.park(&mut node.cx, here.clone(), &node.swarm);
    assert_eq!(node.parks(), [Parking::Begin]);
    node.swarm.drop_shares(&mut node.cx);
    let file = offered.file();
    node.files.came_back(&mut node.cx, &elsewhere, file, &node.swarm);
    assert_eq!(node.parks(), []);
    node.files.came_back(&mut node.cx, &here, file, &node.swarm);
    assert_eq!(node.parks(), [Parking::Check]);
    let back = node.files.parked_checked(&mut node.cx, &here, (file, true), &node.swarm);
    assert!(back.is_some());
    assert_eq!(node.parks(), [Parking::Resume]);
}
