//! The machine for commands in progress: which of them wait for others to finish, what people are
//! still asked, what scripts wait for, and when this node may leave.
//!
//! It decides when a command continues, and never carries it out.

mod departure;
mod waits;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub(crate) use self::departure::{LAST_HOST_MS, Needs};
pub(crate) use self::waits::ScriptWait;
use super::command::{Command, NewPassword};
use super::context::Context;
use super::ids::{FaceId, RoomId};
use super::members::Members;
use super::notice::{Code, Failure};
use super::order::GivenCommand;

/// Most commands that wait for a lock change.
const DEFERRED_MAX: usize = 64;

/// Commands that are not answered yet, except those of attempts, offers and downloads.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Faces that are bound to one room.
    meant: BTreeMap<FaceId, RoomId>,
    /// Commands that wait for a lock change.
    deferred: VecDeque<GivenCommand>,
    /// A `password` without one, which is being asked for.
    asking_password: Option<GivenCommand>,
    waits: waits::Waits,
    departures: departure::Departures,
    /// Whether a person who spoke to an empty room was told so.
    told_alone: bool,
}

impl Desk {
    /// Binds a face to this room.
    pub(crate) fn begin_face(&mut self, face: FaceId, room: RoomId) {
        self.meant.insert(face, room);
    }

    /// A face ended: none of its commands are answered any more.
    pub(crate) fn end_face(&mut self, face: FaceId) {
        self.waits.forget(face);
        self.meant.remove(&face);
    }

    /// Why a face that is bound to another room does nothing in this one.
    pub(crate) fn is_elsewhere(&self, face: FaceId, room: &RoomId) -> Option<Failure> {
        let meant = self.meant.get(&face).filter(|meant| *meant != room)?;
        let text = format!("the room {}… was left meanwhile", meant.short());
        Some(Failure::new(Code::Cancelled, text))
    }

    /// A command continues when the lock change in progress is done.
    pub(crate) fn defer(&mut self, cx: &mut Context, given: GivenCommand) {
        if self.deferred.len() < DEFERRED_MAX {
            self.deferred.push_back(given);
        } else {
            let text = "too many commands wait: try again";
            cx.answer(&given, Err(Failure::new(Code::Timeout, text)));
        }
    }

    /// Takes the commands that waited for a lock change.
    pub(crate) fn take_deferred(&mut self) -> VecDeque<GivenCommand> {
        std::mem::take(&mut self.deferred)
    }

    /// A new password is asked for; it belongs to the latest command.
    pub(crate) fn await_password(&mut self, cx: &mut Context, given: GivenCommand) {
        if let Some(before) = self.asking_password.replace(given) {
            let failure = Failure::new(Code::Cancelled, "another password command came");
            cx.answer(&before, Err(failure));
        }
    }

    /// The password that a command waited for is here; `None`: none waits here, or no password was
    /// given and the command is answered.
    pub(crate) fn password_given(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        password: Option<&NewPassword>,
    ) -> Option<Option<GivenCommand>> {
        let mut given = self.asking_password.take_if(|of| (of.face, of.line) == (face, line))?;
        let Some(choice) = password else {
            let text = "no password was given: the room stays as it is";
            cx.answer(&given, Err(Failure::new(Code::PasswordRequired, text)));
            return Some(None);
        };
        if let Command::Password { password, .. } = &mut given.command {
            *password = Some(choice.clone());
        }
        Some(Some(given))
    }

    /// A person who speaks to an empty room is told, once, that the message waits.
    pub(crate) fn remark_alone(&mut self, cx: &mut Context, members: &Members) {
        if members.present_count() > 0 {
            self.told_alone = false;
        } else if !std::mem::replace(&mut self.told_alone, true) {
            cx.remark("nobody else is here yet; it will be delivered when someone joins");
        }
    }
}
