//! `/invite`: making and ending invitations.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use super::secrets::{INVITATIONS_PER_MAKER, Live};
use super::{Registry, Scene};
use crate::router::address::is_loopback;
use crate::router::event::{Draw, Effect};
use crate::router::ids::{Digest32, FaceId, InvitationId};
use crate::router::invite_link::InviteLink;
use crate::router::members::Members;
use crate::router::membership::record::{Record, Removal};
use crate::router::notice::{Code, Failure, InvitationLine, Notice};
use crate::router::signed::{Invitation, SignedInvitation, room_hint};

const HOUR_MS: i64 = 3_600_000;
/// How long an invitation is valid by default.
const DEFAULT_MS: i64 = 24 * HOUR_MS;
/// The longest validity of an invitation.
const LONGEST_MS: i64 = 7 * 24 * HOUR_MS;
/// Addresses in the text: more would make it long.
const V4_MAX: usize = 2;
const V6_MAX: usize = 1;

impl Registry {
    /// Makes an invitation, and tells it with all that live to who asked for it; `addresses` are
    /// those of this node.
    pub(crate) fn invite(
        &mut self,
        at: &mut Scene<'_>,
        (face, line): (FaceId, u64),
        (once, for_ms): (bool, Option<u64>),
        (draw, addresses): (&Draw, Vec<SocketAddr>),
    ) -> Result<(), Failure> {
        self.publish_ticket(at);
        self.may_act("invite anybody")?;
        let now = at.cx.wall_ms();
        let me = self.me;
        let own = self.living_invitations(now).filter(|of| of.invitation.body.maker == me);
        if own.count() >= INVITATIONS_PER_MAKER {
            let text = format!(
                "you already have {INVITATIONS_PER_MAKER} invitations: /invite off ends them"
            );
            return Err(Failure::new(Code::Usage, text));
        }
        if !self.is_closed() {
            self.close_room(at, None, &[])?;
        }
        let Some(ticket) = self.my_standing() else {
            return Err(Failure::new(Code::MembersOnly, "you are not a member of this room"));
        };
        let for_ms = for_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(DEFAULT_MS);
        let find = draw.secret.find_key();
        let body = Invitation {
            maker: self.me,
            ticket,
            key: Digest32(draw.secret.identity().public()),
            find: Digest32(find.hash()),
            until: now.saturating_add(for_ms.clamp(HOUR_MS, LONGEST_MS)),
            uses: once.then_some(1),
        };
        let link = InviteLink {
            secret: draw.secret.clone(),
            room: room_hint(&self.room(), &self.me),
            until_ms: body.until,
            once,
            locked: true,
            addrs: worth_inviting_to(addresses),
        };
        let until_ms = body.until;
        let invitation = SignedInvitation::sign(&self.room(), &at.cx.me, body);
        if !self.invitation_told(at.cx, invitation, find) {
            let text = "there are too many invitations in this room: /invite off ends yours";
            return Err(Failure::new(Code::RoomFull, text));
        }
        let notice = Notice::Invitation { text: link.to_text(), until_ms, once };
        at.cx.effect(Effect::Tell { face, line, notice });
        let list = self.invitation_lines(at.members, now);
        at.cx.effect(Effect::Tell { face, line, notice: Notice::Invitations { list } });
        Ok(())
    }

    /// The invitations that let people in now, own ones first.
    fn invitation_lines(&self, members: &Members, now_ms: i64) -> Vec<InvitationLine> {
        let live = self.living_invitations(now_ms);
        let mut lines: Vec<InvitationLine> = live
            .map(|Live { invitation, .. }| {
                let body = &invitation.body;
                let used = u32::try_from(self.uses_of(&invitation.id)).unwrap_or(u32::MAX);
                InvitationLine {
                    id: invitation.id,
                    maker: members.who(&body.maker),
                    own: body.maker == self.me,
                    until_ms: body.until,
                    left: body.uses.map(|uses| uses.saturating_sub(used)),
                }
            })
            .collect();
        lines.sort_by_key(|line| (!line.own, line.until_ms, line.id));
        lines
    }

    /// Ends what this node lets people in by.
    pub(crate) fn invite_off(&mut self, at: &mut Scene<'_>) -> Result<(), Failure> {
        let own: BTreeSet<InvitationId> = self
            .invitations()
            .filter(|live| live.invitation.body.maker == self.me)
            .map(|live| live.invitation.id)
            .collect();
        if own.is_empty() {
            return Err(Failure::new(Code::NoInvitation, "you have no invitation to end"));
        }
        self.may_act("end an invitation")?;
        at.cx.remark(match own.len() {
            1 => "your invitation has ended".to_owned(),
            count => format!("your {count} invitations have ended"),
        });
        self.end_invitations(at, own);
        Ok(())
    }

    /// Nobody comes by these any more; who came by them stays.
    pub(super) fn end_invitations(
        &mut self,
        at: &mut Scene<'_>,
        invitations: BTreeSet<InvitationId>,
    ) {
        for id in &invitations {
            self.forget_invitation(id);
        }
        let (by, kept) = (self.me, Vec::new());
        let removal = Removal { by, member: None, invitations, earlier: 0, kept };
        self.register_own(at, Record::Removal(removal));
    }
}

/// Those of this node's addresses that go into the text of an invitation.
fn worth_inviting_to(mut all: Vec<SocketAddr>) -> Vec<SocketAddr> {
    // Of a link-local one the other side tries every network that it has: it is better than
    // none.
    let is_beside = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let others = all.iter().any(|addr| !is_beside(addr.ip()) && !is_loopback(addr.ip()));
    let (mut v4, mut v6) = (0, 0);
    all.retain(|addr| match addr.ip().to_canonical() {
        IpAddr::V4(_) => {
            v4 += 1;
            v4 <= V4_MAX
        }
        IpAddr::V6(ip) => {
            let usable = !(others && is_beside(ip.into())) && (!is_loopback(ip.into()) || v4 == 0);
            v6 += usize::from(usable);
            usable && v6 <= V6_MAX
        }
    });
    all
}
