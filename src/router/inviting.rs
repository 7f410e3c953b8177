//! `/invite`: what is passed on to people who are to come, and ending it.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use super::event::{Draw, Effect};
use super::ids::{Digest32, FaceId, InvitationId};
use super::invite_link::InviteLink;
use super::membership::record::{Record, Removal};
use super::notice::{Code, Failure, InvitationLine, Notice};
use super::registry::{INVITATIONS_PER_MAKER, Live};
use super::signed::{Invitation, SignedInvitation, room_hint};
use super::{Router, is_loopback};

const HOUR_MS: i64 = 3_600_000;
/// An invitation lets people in for so long unless told otherwise.
const DEFAULT_MS: i64 = 24 * HOUR_MS;
/// The longest that can be asked for.
const LONGEST_MS: i64 = 7 * 24 * HOUR_MS;
/// Addresses in the text: more would make it long.
const V4_MAX: usize = 2;
const V6_MAX: usize = 1;

impl Router {
    pub(super) fn invite(
        &mut self,
        face: FaceId,
        line: u64,
        (once, for_ms): (bool, Option<u64>),
        draw: &Draw,
    ) {
        let result = self.make_invitation(face, line, once, for_ms, draw);
        self.cx.reply(face, line, "invite", result);
    }

    fn make_invitation(
        &mut self,
        face: FaceId,
        line: u64,
        once: bool,
        for_ms: Option<u64>,
        draw: &Draw,
    ) -> Result<(), Failure> {
        self.publish_ticket();
        self.may_act("invite anybody")?;
        let now = self.cx.wall_ms();
        let own = self.registry.invitations().filter(|live| {
            live.invitation.body.maker == self.cx.my_id
                && self.registry.why_over(&live.invitation, None, now).is_none()
        });
        if own.count() >= INVITATIONS_PER_MAKER {
            let text = format!(
                "{INVITATIONS_PER_MAKER} invitations of yours let people in: /invite off ends them"
            );
            return Err(Failure::new(Code::Usage, text));
        }
        let locked = self.registry.is_closed();
        if !locked {
            self.close_room(None, &[])?;
        }
        let Some(ticket) = self.registry.my_standing() else {
            return Err(Failure::new(Code::MembersOnly, "you are not a member of this room"));
        };
        let for_ms = for_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(DEFAULT_MS);
        let find = draw.secret.find_key();
        let body = Invitation {
            maker: self.cx.my_id,
            ticket,
            key: Digest32(draw.secret.identity().public()),
            find: Digest32(find.hash()),
            until: now.saturating_add(for_ms.clamp(HOUR_MS, LONGEST_MS)),
            uses: once.then_some(1),
        };
        let link = InviteLink {
            secret: draw.secret.clone(),
            room: room_hint(&self.room.id, &self.cx.my_id),
            until_ms: body.until,
            once,
            locked: true,
            addrs: self.addresses_to_invite(),
        };
        let until_ms = body.until;
        let invitation = SignedInvitation::sign(&self.room.id, &self.cx.me, body);
        if !self.invitation_told(invitation, find) {
            let text = "there are too many invitations in this room: /invite off ends yours";
            return Err(Failure::new(Code::RoomFull, text));
        }
        let notice = Notice::Invitation { text: link.to_text(), until_ms, once };
        self.cx.effect(Effect::Tell { face, line, notice });
        let list = self.invitation_lines();
        self.cx.effect(Effect::Tell { face, line, notice: Notice::Invitations { list } });
        Ok(())
    }

    fn addresses_to_invite(&self) -> Vec<SocketAddr> {
        let mut all = self.members.own().addresses(usize::MAX);
        if all.is_empty() {
            all = self.members.own().interfaces().to_vec();
        }
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
                let usable =
                    !(others && is_beside(ip.into())) && (!is_loopback(ip.into()) || v4 == 0);
                v6 += usize::from(usable);
                usable && v6 <= V6_MAX
            }
        });
        all
    }

    /// The invitations that let people in now, own ones first.
    pub(super) fn invitation_lines(&self) -> Vec<InvitationLine> {
        let (registry, now) = (&self.registry, self.cx.wall_ms());
        let live = registry
            .invitations()
            .filter(|l| registry.why_over(&l.invitation, None, now).is_none());
        let mut lines: Vec<InvitationLine> = live
            .map(|Live { invitation, .. }| {
                let body = &invitation.body;
                let used = u32::try_from(registry.uses_of(&invitation.id)).unwrap_or(u32::MAX);
                InvitationLine {
                    id: invitation.id,
                    maker: self.members.who(&body.maker),
                    own: body.maker == self.cx.my_id,
                    until_ms: body.until,
                    left: body.uses.map(|uses| uses.saturating_sub(used)),
                }
            })
            .collect();
        lines.sort_by_key(|line| (!line.own, line.until_ms, line.id));
        lines
    }

    pub(super) fn invite_off(&mut self, face: FaceId, line: u64) {
        let own: BTreeSet<InvitationId> = self
            .registry
            .invitations()
            .filter(|live| live.invitation.body.maker == self.cx.my_id)
            .map(|live| live.invitation.id)
            .collect();
        let result = if own.is_empty() {
            Err(Failure::new(Code::NoInvitation, "no invitation of yours lets anybody in"))
        } else {
            self.may_act("end an invitation").map(|()| {
                self.cx.remark(match own.len() {
                    1 => "your invitation lets nobody in any more".to_owned(),
                    count => format!("your {count} invitations let nobody in any more"),
                });
                self.end_invitations(own);
            })
        };
        self.cx.reply(face, line, "invite", result);
    }

    /// Nobody comes by these any more; who came by them stays.
    pub(super) fn end_invitations(&mut self, invitations: BTreeSet<InvitationId>) {
        for id in &invitations {
            self.registry.forget_invitation(id);
        }
        let (by, kept) = (self.cx.my_id, Vec::new());
        let removal = Removal { by, member: None, invitations, earlier: 0, kept };
        self.register_own(Record::Removal(removal), None);
    }
}
