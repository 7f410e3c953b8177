//! What a person can know of the links, and what is wrong with them: `members` and `doctor`.

use core::net::SocketAddr;

use super::event::Effect;
use super::ids::{FaceId, MemberId};
use super::links::{Conn, plain_ip};
use super::notice::{Finding, MemberLine, Notice, Standing, Who};
use super::{Router, is_loopback};
use crate::crypto::binding::Side;

/// A link that was silent for so long is worth a word.
const SILENT_MS: u64 = 8_000;
/// Hex digits of a fingerprint, in groups of four.
const FINGERPRINT_DIGITS: usize = 16;

impl Router {
    /// Answers `members`.
    pub(super) fn members_notice(&self) -> Notice {
        Notice::Members { list: self.member_lines() }
    }

    /// Who is here, this node first.
    pub(super) fn member_lines(&self) -> Vec<MemberLine> {
        let me = MemberLine {
            member: self.members.info(&self.cx.my_id),
            linked: false,
            own: true,
            since_ms: None,
            round_trip_ms: None,
            fingerprint: fingerprint(&self.cx.my_id),
            standing: self.standing_of(&self.cx.my_id),
            through: self.through(&self.cx.my_id),
            ignored: false,
        };
        let others = self.members.present().map(|id| self.member_line(&id));
        std::iter::once(me).chain(others).collect()
    }

    fn member_line(&self, id: &MemberId) -> MemberLine {
        let link = self.link_of(id);
        let since = link.and_then(|(conn, _)| self.conns.get(&conn)).map(|conn| conn.began);
        let since_ms = since.map(|at| self.cx.clock.at(at));
        MemberLine {
            member: self.members.info(id),
            linked: link.is_some(),
            own: false,
            since_ms,
            round_trip_ms: link.and_then(|(_, link)| link.rtt_known.then_some(link.rtt_ms)),
            fingerprint: fingerprint(id),
            standing: self.standing_of(id),
            through: self.through(id),
            ignored: self.members.is_ignored(id),
        }
    }

    fn standing_of(&self, id: &MemberId) -> Standing {
        let registry = &self.registry;
        let membership = registry.membership();
        if *id == registry.founder() {
            Standing::Founder
        } else if membership.stewards().contains(id) {
            Standing::Steward
        } else if membership.is_member(id) && !membership.is_passer_by(id) {
            Standing::Member
        } else if registry.may_link(id).is_ok() {
            Standing::Visitor
        } else {
            Standing::Outside
        }
    }

    /// Through whom somebody came in: the holder of the ticket above its own.
    fn through(&self, id: &MemberId) -> Option<Who> {
        let registry = &self.registry;
        let membership = registry.membership();
        if *id == registry.founder() {
            return None;
        }
        if registry.issued_to(id).is_some() && !membership.is_member(id) {
            return Some(self.members.who(&self.cx.my_id));
        }
        let seat = membership.tickets_of(id).next()?;
        let above = match seat.parent {
            Some(parent) => membership.ticket(&parent)?.member,
            None => registry.founder(),
        };
        Some(self.members.who(&above))
    }

    /// Measures every link anew, for the next who asks.
    pub(super) fn ping_all(&mut self) {
        let links: Vec<_> = self.links().map(|(conn, _)| conn).collect();
        for conn in links {
            self.ping(conn);
        }
    }

    /// `doctor`, which looks at the disk first.
    pub(super) fn doctor(&mut self, face: FaceId, line: u64) {
        self.cx.effect(Effect::ExamineFolder { face, line });
    }

    /// All that `doctor` has found.
    pub(super) fn tell_health(&mut self, face: FaceId, line: u64, folder: Vec<Finding>) {
        let mut list = Vec::new();
        self.examine_standing(&mut list);
        self.examine_port(&mut list);
        self.examine_members(&mut list);
        self.examine_log(&mut list);
        list.extend(folder);
        self.examine_downloads(&mut list);
        self.cx.notify(Notice::Doctor { list });
        self.cx.reply(face, line, "doctor", Ok(()));
    }

    fn examine_port(&self, list: &mut Vec<Finding>) {
        let Some(port) = self.members.own().port() else {
            list.push(Finding::bad(
                "klatch listens nowhere yet",
                "wait a moment; if it stays so, start it anew with --listen 0",
            ));
            return;
        };
        let (here, network): (Vec<SocketAddr>, Vec<SocketAddr>) =
            self.members.own().interfaces().iter().partition(|addr| is_loopback(addr.ip()));
        if network.is_empty() {
            let only = if here.is_empty() { "nowhere" } else { "from this computer only" };
            list.push(Finding::bad(
                format!("port {port} can be reached {only}"),
                "to let others in, join a network, or start klatch with --listen and a port alone",
            ));
        } else {
            let places: Vec<String> = network.iter().map(|addr| addr.ip().to_string()).collect();
            list.push(Finding::good(format!("port {port} is open at {}", places.join(", "))));
        }
        for seen in self.members.own().seen() {
            let ip = plain_ip(seen.ip());
            let mine = self.members.own().interfaces().iter().any(|addr| plain_ip(addr.ip()) == ip);
            if !mine && !is_loopback(ip) {
                list.push(Finding::bad(
                    format!("others see this computer as {ip}, which is not an address of its own"),
                    format!("for people outside, let the router pass on port {port} to it"),
                ));
            }
        }
        let came = |conn: &Conn| conn.link().is_some() && conn.side == Side::Listener;
        if self.links().next().is_some() && !self.conns.values().any(came) {
            list.push(Finding::good(format!(
                "nobody who is here dialled this computer: if others cannot connect, its firewall \
                 may block port {port}"
            )));
        }
    }

    fn examine_members(&self, list: &mut Vec<Finding>) {
        if self.members.present().next().is_none() {
            list.push(Finding::good("nobody else is here"));
        }
        for id in &self.members.present().collect::<Vec<_>>() {
            let name = self.members.who(id).marked();
            if let Some((conn, link)) = self.link_of(id) {
                let remote = self.conns.get(&conn).and_then(|conn| conn.remote);
                let place = remote.map_or_else(String::new, |addr| format!(" with {addr}"));
                let silent_ms = self.cx.now.since(link.heard);
                if link.congested.is_some() {
                    list.push(Finding::bad(
                        format!("{name}: the link{place} takes less than is to be said"),
                        "the line or that computer is busy; what is missing is said again",
                    ));
                } else if silent_ms >= SILENT_MS {
                    list.push(Finding::bad(
                        format!("{name}: nothing came for {} s", silent_ms / 1_000),
                        "it may sleep, or its network is gone: the link is given up soon",
                    ));
                } else {
                    list.push(Finding::good(format!("{name}: linked{place}")));
                }
            } else {
                let places = self.members.addresses_of(id).iter();
                let places: Vec<String> = places.map(ToString::to_string).collect();
                let (text, advice) = if places.is_empty() {
                    ("names no address of its own", "let it connect to this computer".to_owned())
                } else {
                    let places = places.join(", ");
                    let tried = format!("one of both must let the other in; tried are {places}");
                    ("no link; what it says comes through others", tried)
                };
                list.push(Finding::bad(format!("{name}: {text}"), advice));
            }
        }
    }

    fn examine_log(&self, list: &mut Vec<Finding>) {
        let waiting = self.log.waiting_count();
        if waiting > 0 {
            list.push(Finding::bad(
                format!("{waiting} entries wait for earlier ones that did not come yet"),
                "they are asked for; who has them may have left",
            ));
        }
        if self.log.has_unheld(&self.members) {
            list.push(Finding::bad(
                "not everybody here holds all that you said yet",
                "it is sent again as soon as they can be reached",
            ));
        }
    }
}

/// What people read to each other to tell identities apart; `verify` has shorter words.
fn fingerprint(id: &MemberId) -> String {
    let digits: Vec<char> = id.to_string().chars().take(FINGERPRINT_DIGITS).collect();
    let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}
