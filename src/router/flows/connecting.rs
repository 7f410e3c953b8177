//! A person's way into another room, as far as several machines are involved.

use crate::crypto::password::Password;
use crate::router::Router;
use crate::router::admission::{Ended, Here};
use crate::router::command::Command;
use crate::router::event::Closed;
use crate::router::ids::{ConnId, FaceId};
use crate::router::links::Conn;
use crate::router::message::Refusal;
use crate::router::notice::Failure;
use crate::router::order::Purpose;

impl Router {
    /// A `connect` or `/join` that is retried for as long as it may still work.
    pub(crate) fn reach(&mut self, of: (FaceId, u64), by: Command, within_ms: u64) {
        let patience = Some(self.cx.now.plus(within_ms));
        match by {
            Command::Connect { host, port, lock } => {
                self.attempts.connect(&mut self.cx, of, (host, port), lock, patience);
            }
            Command::Join { link } => self.attempts.join(&mut self.cx, of, link, patience),
            // No other command leads into a room.
            other => self.cx.reply(of.0, of.1, other.word(), Ok(())),
        }
    }

    /// Ends what a person started and no longer wants.
    pub(crate) fn give_up(&mut self, of: (FaceId, u64)) {
        if let Some(conn) = self.attempts.give_up(&mut self.cx, of) {
            self.cx.close(conn, Closed::ByUs);
        }
    }

    /// A person gave a password, or none; false if no attempt asked for it.
    pub(crate) fn attempt_password(
        &mut self,
        of: (FaceId, u64),
        password: Option<Password>,
    ) -> bool {
        let here = Here {
            registry: &self.registry,
            members: &self.members,
            settled: self.stay.is_settled(),
        };
        self.attempts.password_given(&mut self.cx, of, password, &here)
    }

    /// A dial was not answered.
    pub(crate) fn dial_failed(&mut self, conn: ConnId, failure: Failure) {
        let Some(dialled) = self.links.remove(&mut self.cx, conn) else { return };
        match dialled.purpose() {
            Some(Purpose::Attempt(id)) => self.attempts.not_here(&mut self.cx, id, failure),
            Some(Purpose::Redial(member)) => self.redial_failed(member, None),
            Some(Purpose::Lane(member) | Purpose::Serve(member)) => {
                self.lane_failed(member, &dialled)
            }
            None => {}
        }
    }

    /// An attempt's connection ended without a link.
    pub(crate) fn attempt_ended(
        &mut self,
        id: u64,
        conn: &Conn,
        how: &Closed,
        refusal: Option<&Refusal>,
    ) {
        let same_run = |run| self.links.links().find(|(_, link)| link.run() == run);
        let linked = conn.their_run().and_then(same_run).map(|(_, link)| link.member());
        let their_password = conn.their_password();
        let agreed = conn.agreement().map(|of| of.member());
        let ended = Ended { how, refusal, their_password, agreed, linked };
        let here = Here {
            registry: &self.registry,
            members: &self.members,
            settled: self.stay.is_settled(),
        };
        self.attempts.conn_ended(&mut self.cx, id, &ended, &here);
    }

    /// It is time to retry an attempt, or its peer did not send the whole history in time.
    pub(crate) fn attempt_due(&mut self, id: u64) {
        if self.attempts.due(&mut self.cx, id) {
            self.attempt_succeeded(id);
        }
    }

    /// Ends attempts whose room's history has arrived.
    pub(crate) fn end_synced_attempts(&mut self) {
        let (members, log) = (&self.members, &self.log);
        let synced = self
            .attempts
            .synced(|member| members.conn_of(member).is_none_or(|conn| log.has_history_of(conn)));
        for id in synced {
            self.attempt_succeeded(id);
        }
    }

    fn attempt_succeeded(&mut self, id: u64) {
        self.tell_unserved();
        self.attempts.end(&mut self.cx, id, Ok(()));
    }
}
