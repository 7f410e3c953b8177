use super::ways::WAYS_MAX;
use super::*;
use crate::router::context::Context;
use crate::router::event::{Draw, Effect};
use crate::router::ids::{ConnId, FaceId};
use crate::router::log::WayIn;
use crate::router::membership::record::{How, Ticket};
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

/// A ticket that somebody signs below this one.
fn ticket(room: &RoomId, (by, parent): (u8, RecordId), member: u8, how: How) -> Arc<SignedRecord> {
    let ticket = Ticket {
        by: who(by),
        parent: Some(parent),
        member: who(member),
        how,
        rank: 0,
        knows: BTreeSet::new(),
        pardons: BTreeSet::new(),
        invited: None,
    };
    SignedRecord::sign(room, &LoneNode::alone(by).cx.me, Record::Ticket(ticket), None)
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

#[test]
fn who_came_by_an_open_door_is_charged_to_doors_and_nobody_else() {
    let mut ada = LoneNode::alone(1);
    let enter = |chain: Vec<Arc<SignedRecord>>, byte: u8, registry: &Registry| {
        let mut node = LoneNode::alone(byte);
        let home = Home { chain, ..registry.home() };
        node.registry.enter(Registry::of(who(byte), &home));
        node
    };
    // Ada lets in Bo, Bo invites Cy, Cy lets anybody in: Di, who lets in Ed, who invites Flo.
    let mut chain = vec![ada.lets_in(who(2), How::Password)];
    let hows = [How::Password, How::Open, How::Open, How::Password];
    for (byte, how) in (2..).zip(hows) {
        let ticket = enter(chain.clone(), byte, &ada.registry).lets_in(who(byte + 1), how);
        chain.push(ticket);
    }
    let visitor = ada.lets_in(who(7), How::Open);
    chain.push(visitor);
    ada.act(|registry, at| registry.take_in(at, &chain, None));
    let way = |above: &[u8], doors: &[u8]| WayIn {
        above: above.iter().copied().map(who).collect(),
        doors: doors.iter().copied().map(who).collect(),
        by_founder: false,
    };
    assert_eq!(ada.registry.ways_in(&who(3)), [way(&[2], &[])]);
    assert_eq!(ada.registry.ways_in(&who(4)), [way(&[], &[3, 2])]);
    assert_eq!(ada.registry.ways_in(&who(5)), [way(&[], &[4, 3, 2])]);
    assert_eq!(ada.registry.ways_in(&who(6)), [way(&[5], &[4, 3, 2])]);
    assert_eq!(ada.registry.ways_in(&who(7)), [WayIn { by_founder: true, ..WayIn::default() }]);
}

#[test]
fn nobody_is_charged_for_whom_somebody_else_put_below_it() {
    let mut ada = LoneNode::alone(1);
    let bo = ada.lets_in(who(2), How::Password);
    let eve = ada.lets_in(who(3), How::Password);
    let room = ada.registry.room();
    let ticket = |by, parent, member| ticket(&room, (by, parent), member, How::Password);
    // Eve gives Bo a ticket, too, and puts her puppet below it.
    let bos = ticket(3, eve.id, 2);
    let puppet = ticket(3, bos.id, 4);
    // Whom Bo lets in is his, also where Ada says so.
    let guest = ticket(2, bo.id, 5);
    let kept = ticket(1, bo.id, 6);
    ada.act(|registry, at| registry.take_in(at, &[bos, puppet, guest, kept], None));
    let above = |byte: u8| ada.registry.ways_in(&who(byte)).remove(0).above;
    assert_eq!(above(4), [who(3)]);
    assert_eq!((above(5), above(6)), (vec![who(2)], vec![who(2)]));
}

/// Ana lets in bo and eve, bo lets in cy, cy di, and di dan. All of eve's puppets are nearer to the
/// founder than di, and give dan a ticket.
#[test]
fn nobody_hides_the_way_by_which_somebody_came() {
    let mut ana = LoneNode::alone(1);
    let room = ana.registry.room();
    let honest = |by, (parent, member)| ticket(&room, (by, parent), member, How::Password);
    let bo = ana.lets_in(who(2), How::Password);
    let eve = ana.lets_in(who(3), How::Password);
    let cy = honest(2, (bo.id, 4));
    let di = honest(4, (cy.id, 5));
    let dan = honest(5, (di.id, 6));
    ana.act(|registry, at| registry.take_in(at, &[cy, di, dan], None));
    assert_eq!(above_of(&ana, 6), [di_above()]);
    for number in 20..40 {
        let puppet = honest(3, (eve.id, number));
        let nearer = honest(number, (puppet.id, 6));
        ana.act(|registry, at| registry.take_in(at, &[puppet, nearer], None));
    }
    let ways = above_of(&ana, 6);
    assert!(ways.len() == WAYS_MAX && ways.contains(&di_above()), "{ways:?}");
    // Nor with open doors, be they ever so many.
    for number in 40..60 {
        let puppet = ana.lets_in(who(number), How::Password);
        let open = ticket(&room, (number, puppet.id), 6, How::Open);
        ana.act(|registry, at| registry.take_in(at, &[open], None));
    }
    let ways = above_of(&ana, 6);
    assert!(ways.len() == 2 * WAYS_MAX && ways.contains(&di_above()), "{ways:?}");
    // Eight at least have nobody in common: no four of them can use up all that is shared out.
    let apart = ana.registry.ways_in(&who(6)).into_iter().filter(|way| way.above.is_empty());
    let doors: BTreeSet<MemberId> = apart.flat_map(|way| way.doors).collect();
    assert_eq!(doors.len(), WAYS_MAX);
}

fn di_above() -> Vec<MemberId> {
    vec![who(5), who(4), who(2)]
}

fn above_of(node: &LoneNode, byte: u8) -> Vec<Vec<MemberId>> {
    node.registry.ways_in(&who(byte)).into_iter().map(|way| way.above).collect()
}
