//! The state of the room for people: a page's overview, `members`, and the findings of `doctor`.

use core::net::SocketAddr;

use crate::router::Router;
use crate::router::event::Effect;
use crate::router::ids::{FaceId, MemberId};
use crate::router::links::Conn;
use crate::router::notice::{Finding, MemberLine, Notice, Overview, Who};

/// A link that has been silent this long is mentioned.
const SILENT_MS: u64 = 8_000;
/// Hex digits of a fingerprint, in groups of four.
const FINGERPRINT_DIGITS: usize = 16;

impl Router {
    /// Gives a face the overview.
    pub(crate) fn overview(&mut self, face: FaceId) {
        let overview = Overview {
            me: self.members.who(&self.cx.my_id),
            temporary: self.cx.config.temporary,
            room: self.stay.room(),
            locked: self.registry.is_closed(),
            password: self.registry.password_data().is_some(),
            founder: self.members.who(&self.registry.founder()),
            settled: self.stay.is_settled(),
            addresses: self.members.own().spoken_addresses(),
            members: self.member_lines(),
            reached: self.reached(),
            files: self.lookup().rows(),
            transfers: self.transfer_rows(),
            unheld: self.log.unheld_receipts(&self.members),
        };
        self.cx.effect(Effect::Overview { face, overview: Box::new(overview) });
    }

    /// Addresses that this node dialled and at which a member proved its identity.
    fn reached(&self) -> Vec<SocketAddr> {
        let dialled = |conn: &&Conn| conn.link().is_some() && conn.is_dialled();
        let dialled = self.links.all().map(|(_, conn)| conn).filter(dialled);
        dialled.filter_map(Conn::remote).collect()
    }

    /// Answers `members`.
    pub(crate) fn members_notice(&self) -> Notice {
        Notice::Members { list: self.member_lines() }
    }

    /// Who is here, this node first.
    pub(crate) fn member_lines(&self) -> Vec<MemberLine> {
        let me = MemberLine {
            member: self.members.info(&self.cx.my_id),
            linked: false,
            own: true,
            since_ms: None,
            round_trip_ms: None,
            fingerprint: fingerprint(&self.cx.my_id),
            standing: self.registry.standing_of(&self.cx.my_id),
            through: self.let_in_by(&self.cx.my_id),
            ignored: false,
        };
        let others = self.members.present().map(|id| self.member_line(&id));
        std::iter::once(me).chain(others).collect()
    }

    fn member_line(&self, id: &MemberId) -> MemberLine {
        let link = self.link_of(id);
        let since = link.and_then(|(conn, _)| self.links.get(conn)).map(Conn::began);
        let since_ms = since.map(|at| self.cx.clock.at(at));
        MemberLine {
            member: self.members.info(id),
            linked: link.is_some(),
            own: false,
            since_ms,
            round_trip_ms: link.and_then(|(_, link)| link.rtt_ms()),
            fingerprint: fingerprint(id),
            standing: self.registry.standing_of(id),
            through: self.let_in_by(id),
            ignored: self.members.is_ignored(id),
        }
    }

    /// The member that let somebody in.
    fn let_in_by(&self, id: &MemberId) -> Option<Who> {
        self.registry.let_in_by(id).map(|by| self.members.who(&by))
    }

    /// Measures every link again, for whoever asks next.
    pub(crate) fn ping_all(&mut self) {
        let links: Vec<_> = self.links.links().map(|(conn, _)| conn).collect();
        for conn in links {
            self.links.ping(&mut self.cx, conn);
        }
    }

    /// Sends everything that `doctor` has found.
    pub(crate) fn tell_health(&mut self, face: FaceId, line: u64, folder: Vec<Finding>) {
        let mut list = Vec::new();
        self.registry.examine_standing(&self.members, &mut list);
        self.members.examine_port(&mut list);
        self.examine_dials(&mut list);
        self.examine_members(&mut list);
        self.examine_log(&mut list);
        list.extend(folder);
        self.swarm.examine(&mut list);
        self.cx.notify(Notice::Doctor { list });
        self.cx.reply(face, line, "doctor", Ok(()));
    }

    fn examine_dials(&self, list: &mut Vec<Finding>) {
        let Some(port) = self.members.own().port() else { return };
        let came = |conn: &Conn| conn.link().is_some() && !conn.is_dialled();
        if self.links.count() > 0 && !self.links.all().any(|(_, conn)| came(conn)) {
            list.push(Finding::good(format!(
                "nobody here connected to this computer: if others cannot connect, its firewall \
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
                let remote = self.links.get(conn).and_then(Conn::remote);
                let place = remote.map_or_else(String::new, |addr| format!(" with {addr}"));
                let silent_ms = self.cx.now.since(link.heard());
                if link.is_congested() {
                    list.push(Finding::bad(
                        format!("{name}: the link{place} is slower than what is sent"),
                        "the line or that computer is busy; what is missing is sent again",
                    ));
                } else if silent_ms >= SILENT_MS {
                    list.push(Finding::bad(
                        format!("{name}: silent for {} s", silent_ms / 1_000),
                        "it may be asleep or offline: the link is given up soon",
                    ));
                } else {
                    list.push(Finding::good(format!("{name}: linked{place}")));
                }
            } else {
                let places = self.members.addresses_of(id).iter();
                let places: Vec<String> = places.map(ToString::to_string).collect();
                let (text, advice) = if places.is_empty() {
                    ("tells no address of its own", "let it connect to this computer".to_owned())
                } else {
                    let places = places.join(", ");
                    let tried = format!("one of you must let the other in; tried: {places}");
                    ("no link; its messages come through others", tried)
                };
                list.push(Finding::bad(format!("{name}: {text}"), advice));
            }
        }
    }

    fn examine_log(&self, list: &mut Vec<Finding>) {
        let waiting = self.log.waiting_count();
        if waiting > 0 {
            list.push(Finding::bad(
                format!("{waiting} entries wait for earlier ones that have not arrived yet"),
                "they are being asked for; the members that have them may have left",
            ));
        }
        if self.log.has_unheld(&self.members) {
            list.push(Finding::bad(
                "not everybody here has all your messages yet",
                "they are sent again as soon as those members can be reached",
            ));
        }
    }
}

/// People read this to each other to check identities; `verify` has shorter words.
fn fingerprint(id: &MemberId) -> String {
    let digits: Vec<char> = id.to_string().chars().take(FINGERPRINT_DIGITS).collect();
    let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}
