use super::*;
use crate::router::context::Context;
use crate::router::event::{Draw, Effect};
use crate::router::ids::{ConnId, FaceId};
use crate::router::membership::record::How;
use crate::router::message::{Message, Why};
use crate::router::notice::{Code, Failure, Notice};
use crate::router::order::Order;

/// One node.
struct LoneNode {
    cx: Context,
    members: Members,
    log: Log,
    registry: Registry,
}

impl LoneNode {
    fn alone(byte: u8) -> Self {
        let cx = Context::of_test("ada", byte);
        let registry = Registry::new(cx.my_id, cx.my_id, cx.config.draw.room);
        let members = Members::new(&cx, registry.room(), BTreeMap::new());
        let log = Log::new(cx.my_id, cx.config.draw.nonce);
        Self { cx, members, log, registry }
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Registry, &mut Scene<'_>) -> T) -> T {
        let mut at = Scene { cx: &mut self.cx, members: &self.members, log: &self.log };
        act(&mut self.registry, &mut at)
    }

    fn lets_in(&mut self, member: MemberId, how: How) -> Arc<SignedRecord> {
        self.act(|registry, at| registry.issue(at, member, how, None)).unwrap()
    }

    fn link(&mut self, conn: u64, member: MemberId) {
        self.registry.link_up(&mut self.cx, ConnId(conn), member);
    }

    /// Records that are said over a link now.
    fn says(&mut self, conn: u64) -> usize {
        let mut messages = Vec::new();
        self.registry.flush(&mut self.cx, ConnId(conn), &mut messages);
        let count = |message: &Message| match message {
            Message::Records(records) => records.len(),
            _ => 0,
        };
        messages.iter().map(count).sum()
    }

    fn invite(&mut self, byte: u8) -> Result<(), Failure> {
        let secret = crate::crypto::invite::InviteSecret::from_bytes([byte; 16]);
        let draw = Draw { secret, ..self.cx.config.draw.clone() };
        let of = (FaceId::TERMINAL, byte.into());
        self.act(|registry, at| registry.invite(at, of, (true, None), (&draw, Vec::new())))
    }
}

fn who(byte: u8) -> MemberId {
    Context::of_test("", byte).my_id
}

#[test]
fn a_closing_ends_links_with_outsiders_and_keeps_who_is_a_member() {
    let mut ada = LoneNode::alone(1);
    ada.lets_in(who(2), How::Password);
    ada.link(2, who(2));
    ada.link(3, who(3));
    while ada.cx.next_order().is_some() {}
    ada.act(|registry, at| registry.close_room(at, None, &[])).unwrap();
    assert!(matches!(ada.cx.next_order(), Some(Order::CloseOutsiders)));
    let outsiders = ada.registry.take_outsiders();
    let outsiders: Vec<_> = outsiders.into_iter().map(|(conn, _)| conn).collect();
    assert_eq!(outsiders, [ConnId(3)]);
    let told = |effect: &Effect| matches!(effect, Effect::Notify(Notice::RoomLocked { .. }));
    assert!(ada.cx.take_effects().iter().any(told));
}

#[test]
fn whoever_came_through_somebody_removed_goes_along_and_hears_why() {
    let mut ada = LoneNode::alone(1);
    let ticket = ada.lets_in(who(2), How::Password);
    // Bo lets in Cy.
    let mut bo = LoneNode::alone(2);
    let home = Home { chain: vec![ticket], ..ada.registry.home() };
    bo.registry.enter(Registry::of(who(2), &home));
    let ticket = bo.lets_in(who(3), How::Password);
    ada.act(|registry, at| registry.take_in(at, &[ticket], None));
    ada.act(|registry, at| registry.close_room(at, None, &[])).unwrap();
    ada.link(2, who(2));
    ada.link(3, who(3));
    assert!(ada.registry.take_outsiders().is_empty());
    ada.act(|registry, at| {
        registry.remove(at, (FaceId::TERMINAL, 1), who(2), (false, false));
    });
    let outsiders = ada.registry.take_outsiders();
    let removed = outsiders.into_iter().map(|(conn, refusal)| (conn, refusal.why));
    let both = [2, 3].map(|conn| (ConnId(conn), Why::Removed));
    assert_eq!(removed.collect::<Vec<_>>(), both);
}

#[test]
fn records_are_said_once_to_every_link_but_the_one_they_came_over() {
    let mut ada = LoneNode::alone(1);
    ada.link(2, who(2));
    ada.link(3, who(3));
    // This one's register was named, and the link is not up yet.
    ada.registry.register_named(ConnId(4), who(4));
    let mut other = LoneNode::alone(1);
    let ticket = other.lets_in(who(5), How::Password);
    ada.act(|registry, at| {
        registry.take_in(at, &[ticket], Some(ConnId(2)));
    });
    assert_eq!((ada.says(2), ada.says(3), ada.says(3)), (0, 1, 0));
    ada.link(4, who(4));
    assert_eq!(ada.says(4), 1);
    ada.registry.link_down(&mut ada.cx, ConnId(4));
    assert_eq!(ada.says(4), 0);
}

#[test]
fn a_maker_has_four_invitations_until_it_ends_them() {
    let mut ada = LoneNode::alone(1);
    for byte in 1..=4 {
        ada.invite(byte).unwrap();
    }
    assert!(ada.registry.is_closed(), "an invitation makes sense in a closed room only");
    assert_eq!(ada.invite(5).unwrap_err().code, Code::Usage);
    ada.act(|registry, at| registry.invite_off(at)).unwrap();
    ada.invite(6).unwrap();
}

#[test]
fn what_is_asked_about_a_room_is_still_answered_in_the_next() {
    let mut ada = LoneNode::alone(1);
    let choice = crate::router::command::NewPassword::Nothing;
    ada.act(|registry, at| {
        registry.lock(at, (FaceId::TERMINAL, 1, "password"), choice, true);
    });
    assert!(ada.registry.is_closed());
    assert!(!ada.registry.is_locking(), "nobody had to be asked");
}
