//! Members that come and go, as far as several machines are involved.

use std::sync::Arc;

use crate::router::Router;
use crate::router::event::Closed;
use crate::router::ids::{ConnId, MemberId};
use crate::router::members::Via;
use crate::router::message::{Refusal, Why};
use crate::router::signed::SignedPresence;

impl Router {
    /// A presence record came over a link, perhaps passed on.
    pub(crate) fn presence_arrived(&mut self, conn: ConnId, record: &Arc<SignedPresence>) {
        let id = record.body.member;
        let Some(via) = self.via(conn) else { return };
        if self.registry.may_link(&id).is_err() && id != self.cx.my_id {
            return;
        }
        let log = &self.log;
        let heard = self.members.heard_of(&mut self.cx, via, record, |id| log.is_author(id));
        for other in heard.apart {
            self.log.receipts_between(&mut self.cx, id, other, &self.members);
        }
        if let Some(conn) = heard.ends {
            self.cx.close(conn, Closed::Refused(Refusal::of(Why::Leaving)));
        }
    }

    /// Whose connection it is, and where it leads.
    pub(crate) fn via(&self, conn: ConnId) -> Option<Via> {
        let of = self.links.get(conn)?;
        Some(Via { conn, member: of.member()?, remote: of.remote(), dialled: of.is_dialled() })
    }

    /// A dial led to no link with the intended member.
    pub(crate) fn redial_failed(&mut self, id: MemberId, refusal: Option<&Refusal>) {
        let refused = refusal.map(|refusal| refusal.why);
        let outside = self.registry.am_out();
        self.members.redial_failed(&mut self.cx, id, refused, outside);
    }

    /// Everything that follows from members' coming and going.
    pub(crate) fn settle_members(&mut self) {
        let comings = self.members.settle(&mut self.cx);
        for author in &comings.apart {
            self.log.say_haves_of(&mut self.cx, author);
        }
        if !comings.came && comings.left.is_empty() {
            return;
        }
        if comings.came {
            self.stay.meet();
        }
        for id in &comings.left {
            self.log.member_left(id);
        }
        self.files.touch();
        self.log.tell_held(&mut self.cx, &self.members);
    }
}
