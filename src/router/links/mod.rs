//! The machine of connections: their purpose, their stage, and whether they are alive.
//!
//! It decides the verdict on two Hellos, which of two connections of a pair wins, and when a
//! connection is given up. It is told who may be in the room, and never looks at what is said over
//! a link.

mod agreement;
mod conn;
mod hello;
pub(crate) mod places;
mod pulse;
mod verdict;

use std::collections::BTreeMap;

pub(crate) use self::agreement::{Commitment, Heard, NextWord, Reason};
use self::conn::Stage;
pub(crate) use self::conn::{Conn, Lane, Link};
pub(crate) use self::hello::{Greeting, Standpoint};
pub(crate) use self::pulse::Overdue;
use crate::crypto::binding::{Role, Side};
use crate::router::context::Context;
use crate::router::event::{Effect, Target};
use crate::router::ids::{ConnId, MemberId, RunId};
use crate::router::order::Purpose;
use crate::router::time::Millis;
use crate::router::timers::Timer;
use crate::router::tokens::{TokenRate, Tokens};

/// Links that give way to others.
const DISPLACEMENTS: TokenRate = TokenRate { per_min: 30, burst: 64 };

/// Every connection that has not ended, by its id.
#[derive(Debug, Default)]
pub(crate) struct Links {
    conns: BTreeMap<ConnId, Conn>,
    /// For links that give way to others.
    displacements: Option<Tokens>,
}

impl Links {
    /// Whether a link may give way to another one now. A newcomer that goes at once would have
    /// others come and go all the time.
    pub(crate) fn may_displace(&mut self, now: Millis) -> bool {
        self.displacements.get_or_insert_with(|| Tokens::at(DISPLACEMENTS, now)).take(1, now)
    }

    /// Dials somebody, over a connection of this id.
    pub(crate) fn dial(&mut self, cx: &mut Context, id: ConnId, target: Target, purpose: Purpose) {
        let role = match &purpose {
            Purpose::Attempt(_) | Purpose::Redial(_) => Role::Session,
            Purpose::Lane(_) => Role::LaneFetch,
            Purpose::Serve(_) => Role::LaneServe,
        };
        let mut conn = Conn::new(Side::Dialer, role, cx.now);
        conn.remote = match &target {
            Target::Addr(addr) => Some(*addr),
            Target::Host { .. } => None,
        };
        conn.purpose = Some(purpose);
        self.conns.insert(id, conn);
        cx.effect(Effect::Dial { conn: id, target, role });
    }

    /// A connection.
    pub(crate) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id)
    }

    /// All connections.
    pub(crate) fn all(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.conns.iter().map(|(id, conn)| (*id, conn))
    }

    /// A link.
    pub(crate) fn link(&self, id: ConnId) -> Option<&Link> {
        self.get(id)?.link()
    }

    /// All links.
    pub(crate) fn links(&self) -> impl Iterator<Item = (ConnId, &Link)> {
        self.conns.iter().filter_map(|(id, conn)| Some((*id, conn.link()?)))
    }

    /// How many links there are.
    pub(crate) fn count(&self) -> usize {
        self.links().count()
    }

    /// Whether a program is linked.
    pub(crate) fn has_run(&self, run: RunId) -> bool {
        self.links().any(|(_, link)| link.run == run)
    }

    /// Lanes with these members.
    pub(crate) fn lanes_with(&self, with: impl Fn(&MemberId) -> bool) -> Vec<ConnId> {
        let lanes = self.all().filter(|(_, conn)| conn.lane().is_some_and(|of| with(&of.member)));
        lanes.map(|(id, _)| id).collect()
    }

    /// Both ends of a lane are known.
    pub(crate) fn begin_lane(
        &mut self,
        cx: &mut Context,
        id: ConnId,
        member: MemberId,
        fetch: bool,
    ) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Lane(Lane { member, fetch, open: false });
            cx.effect(Effect::StartLane { conn: id, member, fetch });
        }
    }

    /// Chunks can be asked for over a lane.
    pub(crate) fn open_lane(&mut self, id: ConnId) -> Option<Lane> {
        match &mut self.conns.get_mut(&id)?.stage {
            Stage::Lane(lane) => {
                lane.open = true;
                Some(*lane)
            }
            _ => None,
        }
    }

    /// A connection is over.
    pub(crate) fn remove(&mut self, cx: &mut Context, id: ConnId) -> Option<Conn> {
        cx.unmark(id);
        cx.timers.set(Timer::Link(id), None);
        self.conns.remove(&id)
    }

    /// Closes and forgets all connections.
    pub(crate) fn close_all(&mut self, cx: &mut Context) -> Vec<ConnId> {
        cx.drop_dials();
        let ids: Vec<ConnId> = self.conns.keys().copied().collect();
        for id in &ids {
            cx.effect(Effect::Close { conn: *id });
            self.remove(cx, *id);
        }
        ids
    }
}
