//! Locking, changing and opening the room, and what a change means for links.

use std::sync::Arc;

use super::Router;
use super::event::Effect;
use super::ids::{ConnId, FaceId, MemberId, RoomId};
use super::lock::Considered;
use super::message::Why;
use super::notice::{Code, Failure, Notice};
use super::signed::{LISTED_MAX, SignedRecord};
use crate::crypto::lock::Lock;
use crate::crypto::room_key::RoomKey;

impl Router {
    pub(super) fn lock_prepared(
        &mut self,
        face: FaceId,
        line: u64,
        room: RoomId,
        lock: Lock,
        key: RoomKey,
    ) {
        self.commands.locking = false;
        let result = if room == self.room.id {
            self.change_lock(key, Some(lock));
            Ok(())
        } else {
            Err(Failure::new(Code::Cancelled, "the room was left before it was locked"))
        };
        self.reply(face, line, "password", result);
        self.run_deferred();
    }

    pub(super) fn lock_failed(&mut self, face: FaceId, line: u64, failure: Failure) {
        self.commands.locking = false;
        self.reply(face, line, "password", Err(failure));
        self.run_deferred();
    }

    /// Makes a change of one's own and tells it to everyone present.
    pub(super) fn change_lock(&mut self, key: RoomKey, lock: Option<Lock>) {
        let mut members = vec![self.my_id];
        // Links first: whoever is only heard of must not take the place of one who is here.
        let (linked, heard_of): (Vec<_>, Vec<_>) =
            self.roster.present().partition(|(_, member)| member.conn.is_some());
        members.extend(linked.into_iter().chain(heard_of).map(|(id, _)| *id));
        members.truncate(LISTED_MAX);
        let record = self.room.lock.change(&self.room.id, &self.me, key, lock, members);
        self.lock_changed(&record, false, None);
    }

    /// Takes in a record from a link or from somebody who agrees with us on becoming one.
    /// Returns whether we hold at least this record now.
    pub(super) fn record_arrived(&mut self, conn: ConnId, record: &Arc<SignedRecord>) -> bool {
        match self.room.lock.consider(record) {
            Considered::Known => true,
            Considered::Newest { overruled } => {
                let lost = overruled.is_some_and(|lost| lost.body.setter == Some(self.my_id));
                self.lock_changed(record, lost, Some(conn));
                true
            }
            Considered::Loses => {
                self.mark_link(conn, |link| link.say_record = true);
                false
            }
            Considered::Unfounded => false,
        }
    }

    /// A record over a link: one that we cannot follow ends it, for we would never agree.
    pub(super) fn record_told(
        &mut self,
        conn: ConnId,
        member: MemberId,
        record: &Arc<SignedRecord>,
    ) {
        let higher = record.rank() > self.room.lock.newest().rank();
        if !self.record_arrived(conn, record) && higher {
            self.locked_out(member);
            self.refuse(conn, Why::NotListed);
        }
    }

    /// The newest record is another: tell people, tell links, close those it does not list.
    pub(super) fn lock_changed(
        &mut self,
        record: &Arc<SignedRecord>,
        overruled: bool,
        from: Option<ConnId>,
    ) {
        if let Some(setter) = record.body.setter {
            let (by, own) = (self.who(&setter), setter == self.my_id);
            self.notify(if record.body.lock.is_some() {
                Notice::RoomLocked { by, own, overruled }
            } else {
                Notice::RoomUnlocked { by, own, overruled }
            });
        }
        let locked = record.body.lock.is_some();
        let links: Vec<_> = self.links().map(|(conn, link)| (conn, link.member)).collect();
        for (conn, member) in links {
            if Some(conn) == from {
                continue;
            }
            if locked && !record.body.members.contains(&member) {
                self.refuse(conn, Why::NotListed);
            } else {
                self.mark_link(conn, |link| link.say_record = true);
            }
        }
        if locked {
            self.close_lanes_beyond(&record.body.members);
        }
        self.presence.locked_out_told = false;
        // Who would not have us under the record before may have us under this one.
        for member in self.roster.members.values_mut() {
            member.redial.given_up = false;
        }
    }

    /// A member holds a newer lock record that we cannot follow: say how to come back.
    pub(super) fn locked_out(&mut self, member: MemberId) {
        if std::mem::replace(&mut self.presence.locked_out_told, true) {
            return;
        }
        let name = self.who(&member).marked();
        let record = self.roster.get(&member).and_then(|member| member.record.as_ref());
        let line = match record.and_then(|record| record.body.addresses.first()) {
            Some(addr) => format!("connect {} {}", super::links::plain_ip(addr.ip()), addr.port()),
            None => "connect <address> <port>".to_owned(),
        };
        self.remark(format!(
            "the password of the room was changed and {name} does not know you with the new one; \
             to come back, type: {line}"
        ));
    }

    pub(super) fn unlock(&mut self, face: FaceId, line: u64, key: RoomKey) {
        if self.room.lock.is_locked() {
            self.change_lock(key, None);
            self.reply(face, line, "unlock", Ok(()));
        } else {
            let failure = Failure::new(Code::RoomNotLocked, "the room is open already");
            self.reply(face, line, "unlock", Err(failure));
        }
    }

    pub(super) fn prepare_lock(
        &mut self,
        face: FaceId,
        line: u64,
        password: crate::crypto::password::Password,
    ) {
        self.commands.locking = true;
        let room = self.room.id;
        self.effect(Effect::PrepareLock { face, line, room, password });
    }
}
