//! The part of a handshake that the verdict chose: proving, merging, granting, joining.

use std::sync::Arc;

use super::handshake::{End, Handshake};
use crate::crypto::binding::{check_key_proof, key_proof};
use crate::crypto::lock::{Admitter, Joiner, LockError};
use crate::crypto::password::Password;
use crate::crypto::room_key::RoomKey;
use crate::router::event::{Closed, Outcome, Plan};
use crate::router::ids::RoomId;
use crate::router::message::{KeyMark, Refusal, Why};
use crate::router::signed::SignedRecord;
use crate::wire::opening::{Opening, Proven};

impl Handshake<'_> {
    /// Carries out the plan: what it gave, and the room of the link.
    pub(super) fn carry_out(&mut self, plan: Plan) -> Result<(Outcome, RoomId), End> {
        match plan {
            Plan::Prove { room, keys } => Ok((self.prove(&keys)?, room)),
            Plan::Merge { room, key } => self.merge(room, key),
            Plan::Grant { room, record } => Ok((self.grant(room, record)?, room)),
            Plan::Join { password } => self.join(password.as_ref()),
        }
    }

    /// One room: both prove the keys that they keep, newest first; the newest that both have is
    /// what they go on with.
    fn prove(&mut self, keys: &[(KeyMark, RoomKey)]) -> Result<Outcome, End> {
        let binding = self.binding;
        let proofs = keys.iter().map(|(mark, key)| Proven {
            mark: *mark,
            proof: key_proof(&binding, key, mark.epoch, &mark.hash.0),
        });
        self.send(&Opening::Keys(proofs.collect()))?;
        let theirs = match self.recv(self.small())? {
            Opening::Keys(theirs) => theirs,
            _ => return Err(End::out_of_turn()),
        };
        // A mark is no secret, for members tell theirs before they know who asks: whoever names one
        // of ours has to prove its key, or it would pass for a member that holds it.
        let mut common = None;
        for their in &theirs {
            let Some((mark, key)) = keys.iter().find(|(mark, _)| *mark == their.mark) else {
                continue;
            };
            let side = binding.other_side();
            if !check_key_proof(&side, key, mark.epoch, &mark.hash.0, &their.proof) {
                return Err(End::refuse(Why::NoKey));
            }
            common = common.max(Some(*mark));
        }
        let newest = theirs.iter().map(|their| their.mark).max();
        match (common, newest) {
            (Some(common), Some(newest)) => Ok(Outcome::Proven { common, newest }),
            _ => Err(End::refuse(Why::NoKey)),
        }
    }

    /// Two fresh open rooms: the smaller id is where both will be.
    fn merge(&mut self, room: RoomId, key: RoomKey) -> Result<(Outcome, RoomId), End> {
        self.send(&Opening::Room { room, key })?;
        match self.recv(self.small())? {
            Opening::Room { room: theirs, key } if theirs != room => {
                Ok((Outcome::Merged { room: theirs, key }, room.min(theirs)))
            }
            Opening::Room { .. } => Err(End::protocol("the peer named this side's own room")),
            _ => Err(End::out_of_turn()),
        }
    }

    /// Admits the newcomer; to a locked room only after it proved that it knows the password.
    fn grant(&mut self, room: RoomId, record: Arc<SignedRecord>) -> Result<Outcome, End> {
        if let Some(lock) = &record.body.lock {
            let h = self.binding.h;
            let first = self.recv_password(1)?;
            let (admitter, second) =
                Admitter::respond(lock, &room.0, &first, &h).map_err(end_of_exchange)?;
            self.send(&Opening::Password { step: 2, bytes: second })?;
            let third = self.recv_password(3)?;
            admitter.verify(&third).map_err(end_of_exchange)?;
        }
        self.send(&Opening::Grant { room, record })?;
        Ok(Outcome::Granted)
    }

    /// Is admitted. With a password nothing but OPAQUE is accepted, and without one nothing but
    /// an open room.
    fn join(&mut self, password: Option<&Password>) -> Result<(Outcome, RoomId), End> {
        if let Some(password) = password {
            let (joiner, first) = Joiner::start(password).map_err(end_of_exchange)?;
            self.send(&Opening::Password { step: 1, bytes: first })?;
            let second = match self.recv(self.small_or_grant())? {
                Opening::Password { step: 2, bytes } => bytes,
                // The room "answers" that it is open: nothing more of the user's is sent.
                Opening::Grant { .. } => return Err(quiet(Why::NotLocked)),
                _ => return Err(End::out_of_turn()),
            };
            // A wrong password ends it here: what is sent next would tell whether it was right.
            let third = joiner.finish(&second, &self.binding.h).map_err(|error| match error {
                LockError::Wrong => quiet(Why::WrongPassword),
                other => end_of_exchange(other),
            })?;
            self.send(&Opening::Password { step: 3, bytes: third })?;
        }
        let (room, record) = match self.recv(self.small_or_grant())? {
            Opening::Grant { room, record } => (room, record),
            _ => return Err(End::out_of_turn()),
        };
        match (password, &record.body.lock) {
            (Some(_), None) => Err(quiet(Why::NotLocked)),
            (None, Some(_)) => Err(End::protocol("the peer granted a locked room unasked")),
            _ => Ok((Outcome::Joined { room, record }, room)),
        }
    }

    fn recv_password(&mut self, wanted: u8) -> Result<Vec<u8>, End> {
        match self.recv(self.small())? {
            Opening::Password { step, bytes } if step == wanted => Ok(bytes),
            _ => Err(End::out_of_turn()),
        }
    }

    fn small(&self) -> usize {
        self.net.limits.handshake_record_max_bytes
    }

    /// Only who asked to join takes long records, from the member that it dialled.
    fn small_or_grant(&self) -> usize {
        self.net.limits.message_max_bytes
    }
}

/// Ends without a word, for a reason that this side's router has to hear.
fn quiet(why: Why) -> End {
    End::Quiet(Closed::Refused(Refusal::of(why)))
}

fn end_of_exchange(error: LockError) -> End {
    match error {
        LockError::Wrong => End::refuse(Why::WrongPassword),
        other => End::protocol(other.to_string()),
    }
}
