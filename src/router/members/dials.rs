//! Who pays for a dial to an address that somebody named: a member that teaches others' addresses
//! as its own, or as another's, would have this node knock at them.
//!
//! A dial costs a token of each payer, and gives them back when it leads to the member. Where the
//! member was reached before, nobody pays.

use core::net::{IpAddr, SocketAddr};

use super::Members;
use super::member::Member;
use crate::router::address::{is_own_computer, plain_ip, source_of};
use crate::router::context::Context;
use crate::router::ids::MemberId;
use crate::router::tokens::TokenRate;

/// Payers that are remembered.
pub(super) const PAYERS_MAX: usize = 4_096;
/// A member's own addresses: four at a time, as often as they are tried anew in a minute.
const OWN: TokenRate = TokenRate { per_min: 12, burst: 40 };
/// What it passes on of others: as many as may fail, and as are under way meanwhile.
const TELLER: TokenRate = TokenRate { per_min: 4, burst: 12 };
/// Lanes that it asks for.
const LANES: TokenRate = TokenRate { per_min: 4, burst: 6 };
/// All that is taught by those who come from one place.
const SOURCE: TokenRate = TokenRate { per_min: 48, burst: 160 };
/// All that anybody teaches.
const NODE: TokenRate = TokenRate { per_min: 240, burst: 640 };

/// Who pays for a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payer {
    /// A member, for what it says of itself.
    Own(MemberId),
    /// A member, for what it passed on of others.
    Teller(MemberId),
    /// A member that asks to be dialled for lanes.
    Lanes(MemberId),
    /// A place from which addresses are taught.
    Source(IpAddr),
    /// This node.
    Node,
}

impl Payer {
    fn rate(self) -> TokenRate {
        match self {
            Self::Own(_) => OWN,
            Self::Teller(_) => TELLER,
            Self::Lanes(_) => LANES,
            Self::Source(_) => SOURCE,
            Self::Node => NODE,
        }
    }
}

impl Members {
    /// Who is to pay for a dial of a member.
    pub(super) fn payers(id: MemberId, member: &Member, address: SocketAddr) -> Vec<Payer> {
        if member.was_reached_at(address) {
            return Vec::new();
        }
        if member.came_from.map(plain_ip) == Some(address.ip()) {
            // It was there itself.
            return vec![Payer::Own(id)];
        }
        let own = member.taught_by == id;
        let teller = if own { Payer::Own(id) } else { Payer::Teller(member.taught_by) };
        let from = member.taught_from.filter(|from| !is_own_computer(*from));
        let source = from.map(|from| Payer::Source(source_of(from)));
        [Some(teller), source, Some(Payer::Node)].into_iter().flatten().collect()
    }

    /// Has all of them pay, or none.
    pub(super) fn pay(&mut self, cx: &Context, payers: &[Payer]) -> bool {
        let now = cx.now;
        let can = |of: &Payer| self.budgets.get(*of, of.rate(), now).has(1, now);
        let all = payers.iter().all(can);
        if all {
            for of in payers {
                self.budgets.get(*of, of.rate(), now).take(1, now);
            }
        }
        all
    }

    /// A dial was worth it.
    pub(super) fn pay_back(&mut self, payers: &[Payer]) {
        for of in payers {
            self.budgets.give(*of, 1);
        }
    }

    /// Whether a member that asks for it may be dialled for a lane.
    pub(crate) fn pays_for_lane(&mut self, cx: &Context, id: MemberId) -> bool {
        self.pay(cx, &[Payer::Lanes(id)])
    }

    /// Such a dial led to the member.
    pub(crate) fn lane_led_to(&mut self, id: MemberId) {
        self.pay_back(&[Payer::Lanes(id)]);
    }
}
