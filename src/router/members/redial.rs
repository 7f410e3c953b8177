//! Whom to dial again, and where.

use core::net::SocketAddr;

use super::Members;
use super::member::Member;
use crate::router::address::{Reach, plain_ip, reach};
use crate::router::context::Context;
use crate::router::event::Target;
use crate::router::ids::MemberId;
use crate::router::message::Why;
use crate::router::order::Purpose;
use crate::router::time::Earliest;

/// Lower ports in advertised addresses are not dialled: they belong to other services.
const FIRST_TAUGHT_PORT: u16 = 1024;
/// Time after which a member whose dials nobody can pay for is looked at again.
const LOOK_AGAIN_MS: u64 = 1_000;

impl Members {
    /// A dial led to no link; `refused`: what was said there. `outside`: by our register this node
    /// is no member.
    pub(crate) fn redial_failed(
        &mut self,
        cx: &mut Context,
        id: MemberId,
        refused: Option<Why>,
        outside: bool,
    ) {
        let jitter = cx.rng.between(0, 250);
        let Some(member) = self.known.get_mut(&id) else { return };
        self.changed = true;
        let addresses = member.addresses().len();
        let redial = &mut member.redial;
        redial.conn = None;
        // Somebody else may live at one address; the member may still be at the next.
        let elsewhere =
            matches!(refused, None | Some(Why::OtherRoom | Why::SelfConnect | Why::Unexpected));
        if elsewhere && redial.next_address < addresses {
            redial.at = cx.now;
        } else {
            redial.next_address = 0;
            redial.at = cx.now.plus(redial.wait_ms + jitter);
            redial.wait_ms = (redial.wait_ms * 2).min(cx.limits().redial_max_ms);
            match refused {
                // What anybody at that address can say counts only if it is so by our register.
                Some(Why::NotMember | Why::Removed) => redial.given_up = outside,
                Some(_) if elsewhere => redial.given_up = true,
                _ => {}
            }
        }
        let paid = std::mem::take(&mut redial.paid);
        // Whoever says so is in the room.
        if matches!(refused, Some(Why::Crossing | Why::Busy | Why::Full)) {
            self.pay_back(&paid);
        }
    }

    /// Redials that may begin now.
    fn free_redials(&self, cx: &Context) -> usize {
        if self.tellings.len() >= cx.limits().peers {
            return 0;
        }
        let under_way = self.known.values().filter(|member| member.redial.conn.is_some());
        cx.limits().dials.saturating_sub(under_way.count())
    }

    /// Dials members that are due, as far as dials are free.
    pub(super) fn redial(&mut self, cx: &mut Context) {
        let mut free = self.free_redials(cx);
        let is_due = |member: &Member| member.wants_dial() && member.redial.at <= cx.now;
        let due = self.known.iter().filter(|(_, member)| is_due(member));
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            if free == 0 {
                return;
            }
            free -= usize::from(self.redial_one(cx, id));
        }
    }

    /// Dials a member at the next of its addresses that is worth it, if somebody pays for that.
    fn redial_one(&mut self, cx: &mut Context, id: MemberId) -> bool {
        let Some(member) = self.known.get(&id) else { return false };
        let plain = |at: &SocketAddr| SocketAddr::new(plain_ip(at.ip()), at.port());
        let next =
            member.addresses().iter().map(plain).enumerate().skip(member.redial.next_address);
        let usable = next.filter(|(_, address)| {
            address.port() >= FIRST_TAUGHT_PORT
                && match reach(address.ip()) {
                    Reach::Nowhere => false,
                    Reach::Here => member.taught_here,
                    Reach::Near | Reach::Public => true,
                }
        });
        let usable = usable.map(|(at, address)| (at, address, Self::payers(id, member, address)));
        let usable: Vec<_> = usable.collect();
        let none = usable.is_empty();
        let paid = usable.into_iter().find(|(_, _, payers)| self.pay(cx, payers));
        let Some(member) = self.known.get_mut(&id) else { return false };
        let redial = &mut member.redial;
        let Some((index, address, payers)) = paid else {
            redial.next_address = 0;
            if none {
                redial.at = cx.now.plus(redial.wait_ms);
                redial.wait_ms = (redial.wait_ms * 2).min(cx.limits().redial_max_ms);
            } else {
                redial.at = cx.now.plus(LOOK_AGAIN_MS);
            }
            return false;
        };
        redial.next_address = index + 1;
        redial.paid = payers;
        redial.conn = Some(cx.dial(Target::Addr(address), Purpose::Redial(id)));
        true
    }

    pub(super) fn redial_deadline(&self, cx: &Context, earliest: &mut Earliest) {
        if self.free_redials(cx) == 0 {
            return;
        }
        for member in self.known.values().filter(|member| member.wants_dial()) {
            earliest.at(member.redial.at);
        }
    }
}
