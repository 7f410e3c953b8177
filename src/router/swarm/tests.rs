//! The swarm of one node, without a network.

use super::*;
use crate::router::bitmap::Bitmap;
use crate::router::command::SaveAs;
use crate::router::context::Context;
use crate::router::event::{Effect, PartState};
use crate::router::message::{Done, Held, Message};

const BOB: MemberId = MemberId([2; 32]);
const CAROL: MemberId = MemberId([3; 32]);
const LINK: ConnId = ConnId(1);
const CHUNK: u64 = 256 * 1024;

struct LoneSwarm {
    cx: Context,
    swarm: Swarm,
}

impl LoneSwarm {
    fn new() -> Self {
        Self { cx: Context::of_test("ada", 1), swarm: Swarm::default() }
    }

    fn link(&mut self, conn: ConnId, member: MemberId, offered: &[FileId]) {
        self.swarm.link_up(&self.cx, conn, member, offered.iter().copied());
    }

    fn holds(&mut self, conn: ConnId, file: FileId, held: Held, fetching: bool) {
        self.swarm.hosting(&mut self.cx, conn, file, (held, fetching), None);
    }

    /// What is said over a link now.
    fn says(&mut self, conn: ConnId) -> Vec<Message> {
        let mut messages = Vec::new();
        self.swarm.flush(&mut self.cx, conn, &mut messages);
        messages
    }

    /// Fetches a file of `chunks` chunks, none of which is here yet.
    fn fetch(&mut self, file: FileId, chunks: u32) -> u64 {
        let file = NamedFile {
            id: file,
            name: "a.bin".to_owned(),
            size: CHUNK * u64::from(chunks),
            root: Digest32::default(),
            folder: None,
        };
        let (face, line, id) = (FaceId::TERMINAL, 1, file.id);
        let place = (SaveAs::Dated, None);
        let (patient, asks, part) = (true, false, None);
        let request = FileRequest { face, line, file, patient, asks, place, part };
        self.swarm.fetch(&mut self.cx, request);
        let opened = |effect: Effect| match effect {
            Effect::OpenPart { turn, .. } => Some(turn),
            _ => None,
        };
        let turn = self.cx.take_effects().into_iter().find_map(opened).unwrap();
        let state = PartState::Verified(Bitmap::none(chunks));
        self.swarm.part_opened(&mut self.cx, (id, turn), Ok(state));
        turn
    }
}

fn file(byte: u8) -> FileId {
    FileId([byte; 32])
}

#[test]
fn links_are_told_what_is_held_and_what_is_not_any_more() {
    let mut node = LoneSwarm::new();
    node.swarm.share_all(&mut node.cx, file(1));
    node.link(LINK, BOB, &[]);
    let all = Message::Hosting { file: file(1), held: Held::All, fetching: false };
    assert_eq!(node.says(LINK), [all]);
    assert_eq!(node.says(LINK), [], "once");
    node.swarm.unshare(&mut node.cx, file(1));
    assert_eq!(node.says(LINK), [Message::Dropped { file: file(1), done: None }]);
    node.swarm.link_down(&mut node.cx, LINK);
    node.swarm.share_all(&mut node.cx, file(2));
    assert_eq!(node.says(LINK), []);
}

#[test]
fn many_files_are_told_a_part_at_a_time_and_the_rest_is_due_at_once() {
    let mut node = LoneSwarm::new();
    (0..100).for_each(|byte| node.swarm.share_all(&mut node.cx, file(byte)));
    node.link(LINK, BOB, &[]);
    assert_eq!(node.says(LINK).len(), 64);
    assert_eq!(node.cx.timers.next(), Some(node.cx.now));
    assert_eq!(node.says(LINK).len(), 36);
    assert_eq!(node.cx.timers.next(), None);
}

#[test]
fn whoever_only_gives_tells_those_who_offer_something() {
    let mut node = LoneSwarm::new();
    node.link(LINK, BOB, &[]);
    node.swarm.only_give(&mut node.cx, |_| vec![file(1)]);
    let declined = Message::Dropped { file: file(1), done: Some(Done::Declined) };
    assert_eq!(node.says(LINK), std::slice::from_ref(&declined));
    node.link(ConnId(2), CAROL, &[file(1)]);
    assert_eq!(node.says(ConnId(2)), [declined], "later ones as well");
}

#[test]
fn the_chunks_of_a_download_are_told_and_counted_from_one_place() {
    let mut node = LoneSwarm::new();
    node.link(LINK, BOB, &[]);
    let turn = node.fetch(file(1), 2);
    node.holds(LINK, file(1), Held::All, false);
    node.says(LINK);
    node.holds(LINK, file(1), Held::Some(Bitmap::none(2)), true);
    node.swarm.choice.opened(BOB, ConnId(9));
    let members = crate::router::members::Members::new(
        &node.cx,
        crate::router::ids::RoomId([0; 32]),
        BTreeMap::new(),
    );
    let fetched = crate::router::event::Fetched {
        file: file(1),
        turn,
        conn: ConnId(9),
        chunk: Some(1),
        bytes: CHUNK,
        more: CHUNK,
        result: Ok(()),
    };
    node.swarm.chunk_fetched(&mut node.cx, fetched, &members);
    let mut held = Bitmap::none(2);
    held.insert(1);
    let held = Message::Hosting { file: file(1), held: Held::Some(held), fetching: true };
    assert!(node.says(LINK).contains(&held));
    let rows = node.swarm.transfer_rows(node.cx.now, &members, |_| None);
    assert_eq!(rows.first().map(|row| row.bytes_done), Some(CHUNK));
}

#[test]
fn this_node_is_needed_by_those_who_fetch_what_nobody_else_has() {
    let mut node = LoneSwarm::new();
    node.swarm.share_all(&mut node.cx, file(1));
    node.link(LINK, BOB, &[]);
    assert_eq!(node.swarm.needed_here(), []);
    node.holds(LINK, file(1), Held::Some(Bitmap::none(2)), true);
    assert_eq!(node.swarm.needed_here(), [(file(1), vec![BOB])]);
    node.link(ConnId(2), CAROL, &[]);
    node.holds(ConnId(2), file(1), Held::All, false);
    assert_eq!(node.swarm.needed_here(), []);
}

#[test]
fn hosts_are_those_who_hold_something_or_more_than_is_kept_in_mind() {
    let mut node = LoneSwarm::new();
    node.link(LINK, BOB, &[]);
    node.cx.config.limits.hosted_files_per_member = 1;
    node.holds(LINK, file(1), Held::All, false);
    node.holds(LINK, file(2), Held::All, false);
    assert_eq!(node.swarm.hosts_of(&file(1), |_| false), 1);
    assert_eq!(node.swarm.hosts_of(&file(2), |_| false), 0);
    assert_eq!(node.swarm.hosts_of(&file(2), |member| member == BOB), 1);
    assert!(node.swarm.may_have_more());
}
