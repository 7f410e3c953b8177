//! Whom to dial again, where, and whose addresses to avoid.

use core::net::SocketAddr;

use super::Members;
use crate::router::address::is_loopback;
use crate::router::address::plain_ip;
use crate::router::context::Context;
use crate::router::event::Target;
use crate::router::ids::MemberId;
use crate::router::message::Why;
use crate::router::order::Purpose;
use crate::router::time::{Earliest, Millis};

/// Lower ports in advertised addresses are not dialled: they belong to other services.
const FIRST_TAUGHT_PORT: u16 = 1024;
/// How long a failed dial counts against the member that advertised the address.
const TELLER_MS: u64 = 60_000;
/// Time after which a backed-off teller is looked at again.
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
        let teller = member.taught_by;
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
        if refused.is_none() && teller != id {
            self.record_bad_address(cx.now, teller);
        }
    }

    /// An address that `teller` taught led nowhere.
    pub(crate) fn record_bad_address(&mut self, now: Millis, teller: MemberId) {
        self.failed_dials.retain(|_, failed| {
            failed.retain(|at| now.since(*at) < TELLER_MS);
            !failed.is_empty()
        });
        self.failed_dials.entry(teller).or_default().push_back(now);
    }

    /// Whether too many addresses from a member failed lately.
    pub(crate) fn teaches_bad_addresses(&self, cx: &Context, teller: &MemberId) -> bool {
        let recent = |at: &&Millis| cx.now.since(**at) < TELLER_MS;
        let failed = self.failed_dials.get(teller).map_or(0, |at| at.iter().filter(recent).count());
        failed >= cx.limits().failed_dials_per_teller_min
    }

    /// A teller whose taught addresses fail too often is not followed for a while.
    fn is_backed_off(&self, cx: &Context, teller: &MemberId, subject: &MemberId) -> bool {
        // What a member says of itself over its own link is worth any number of dials.
        teller != subject && self.teaches_bad_addresses(cx, teller)
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
        let due = self.known.iter().filter(|(id, member)| {
            member.wants_dial()
                && member.redial.at <= cx.now
                && !self.is_backed_off(cx, &member.taught_by, id)
        });
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            if free == 0 {
                return;
            }
            let Some(member) = self.known.get_mut(&id) else { continue };
            let next = member.addresses().iter().enumerate().skip(member.redial.next_address);
            let usable = next.into_iter().find(|(_, address)| {
                address.port() >= FIRST_TAUGHT_PORT
                    && !address.ip().is_unspecified()
                    && (!is_loopback(address.ip()) || member.taught_here)
            });
            let Some((index, address)) = usable.map(|(index, address)| (index, *address)) else {
                let redial = &mut member.redial;
                redial.next_address = 0;
                redial.at = cx.now.plus(redial.wait_ms);
                redial.wait_ms = (redial.wait_ms * 2).min(cx.limits().redial_max_ms);
                continue;
            };
            let address = SocketAddr::new(plain_ip(address.ip()), address.port());
            member.redial.next_address = index + 1;
            member.redial.conn = Some(cx.dial(Target::Addr(address), Purpose::Redial(id)));
            free -= 1;
        }
    }

    pub(super) fn redial_deadline(&self, cx: &Context, earliest: &mut Earliest) {
        if self.free_redials(cx) == 0 {
            return;
        }
        for (id, member) in self.known.iter().filter(|(_, member)| member.wants_dial()) {
            let backed_off = self.is_backed_off(cx, &member.taught_by, id);
            let pause_ms = if backed_off { LOOK_AGAIN_MS } else { 0 };
            earliest.at(member.redial.at.max(cx.now.plus(pause_ms)));
        }
    }
}
