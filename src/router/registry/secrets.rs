//! What members keep beside the records: password data, and invitations that they answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Registry;
use crate::crypto::invite::FindKey;
use crate::crypto::opaque::PasswordData;
use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId};
use crate::router::membership::record::{Lock, Record, Ticket};
use crate::router::message::Why;
use crate::router::signed::{SignedInvitation, SignedRecord};

/// Invitations of one maker that live at a time.
pub(super) const INVITATIONS_PER_MAKER: usize = 4;
/// Invitations in all: a guest is compared with each.
const INVITATIONS_MAX: usize = 128;
/// So long after its time an invitation is remembered, so that its guest hears what is wrong.
const KEPT_AFTER_MS: i64 = 24 * 3_600_000;
/// Password data that are kept at a time.
const PASSWORDS_MAX: usize = 8;

/// An invitation that members answer.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) invitation: Arc<SignedInvitation>,
    pub(super) find: FindKey,
}

impl Registry {
    /// Password data and invitations that are over are forgotten.
    /// Gives the invitations that ended.
    pub(super) fn forget_old_secrets(&mut self) -> Vec<Live> {
        let mut passwords = std::mem::take(&mut self.passwords);
        passwords.retain(|lock, data| self.is_password_of(lock, data));
        self.passwords = passwords;
        let membership = self.register.membership();
        let mut ended = Vec::new();
        self.invitations.retain(|id, live| {
            let body = &live.invitation.body;
            let lives = match body.ticket {
                Some(ticket) => membership.lives(&ticket),
                None => body.maker == membership.founder(),
            };
            let goes_on = lives && !membership.is_ended(id, &body.maker, body.ticket.as_ref());
            if !goes_on {
                ended.push(live.clone());
            }
            goes_on
        });
        ended
    }

    /// What members keep of the password in force.
    pub(crate) fn password_data(&self) -> Option<&PasswordData> {
        let (in_force, _) = self.membership().password()?;
        self.passwords.get(&in_force)
    }

    /// The lock whose password is in force and known here.
    pub(crate) fn password_lock(&self) -> Option<RecordId> {
        self.password_data()?;
        self.membership().password().map(|(lock, _)| lock)
    }

    /// Takes in password data, if they are or may yet be those in force; true if they are new and
    /// in force.
    pub(super) fn learn_password(&mut self, lock: RecordId, data: PasswordData) -> bool {
        if self.passwords.contains_key(&lock) || !self.is_password_of(&lock, &data) {
            return false;
        }
        self.passwords.insert(lock, data);
        let in_force = self.membership().password().map(|(lock, _)| lock);
        if self.passwords.len() > PASSWORDS_MAX {
            let goes = self.passwords.keys().find(|lock| Some(**lock) != in_force).copied();
            goes.and_then(|goes| self.passwords.remove(&goes));
        }
        in_force == Some(lock)
    }

    /// Whether `lock` names these data and is in force, or no lock of a member is over it.
    fn is_password_of(&self, lock: &RecordId, data: &PasswordData) -> bool {
        let membership = self.membership();
        let hash = Some(Digest32(data.hash()));
        let is_over = |of: &Arc<SignedRecord>| {
            membership.knows(&of.id, lock) && membership.is_member(&of.record.by())
        };
        match self.record(lock).map(|record| &record.record) {
            Some(Record::Lock(Lock { closed: true, password, .. })) if *password == hash => {
                membership.password().is_some_and(|(in_force, _)| in_force == *lock)
                    || !self.records().any(is_over)
            }
            _ => false,
        }
    }

    /// Invitations that are remembered, whether they let anybody in or not.
    pub(super) fn invitations(&self) -> impl Iterator<Item = &Live> {
        self.invitations.values()
    }

    /// Invitations that let somebody in now.
    pub(super) fn living_invitations(&self, now_ms: i64) -> impl Iterator<Item = &Live> {
        self.invitations()
            .filter(move |live| self.why_over(&live.invitation, None, now_ms).is_none())
    }

    /// An invitation that is remembered.
    pub(super) fn invitation(&self, id: &InvitationId) -> Option<&Live> {
        self.invitations.get(id)
    }

    /// Takes in an invitation that lives; true if it is new.
    pub(super) fn learn_invitation(&mut self, live: Live, now_ms: i64) -> bool {
        let (id, maker) = (live.invitation.id, live.invitation.body.maker);
        let of_maker = self.invitations.values().filter(|of| of.invitation.body.maker == maker);
        let ids: Vec<InvitationId> = of_maker.map(|of| of.invitation.id).collect();
        self.invitations.retain(|_, of| of.invitation.body.until > now_ms - KEPT_AFTER_MS);
        let fits = self.why_over(&live.invitation, None, now_ms).is_none() && !ids.contains(&id);
        if !fits || self.invitations.len() >= INVITATIONS_MAX && maker != self.me {
            return false;
        }
        if ids.len() >= INVITATIONS_PER_MAKER {
            // One that lets nobody in any more gives way, else the largest id.
            let over = |of: &&InvitationId| {
                let live = self.invitations.get(of);
                live.is_some_and(|live| self.why_over(&live.invitation, None, now_ms).is_some())
            };
            let goes = ids.iter().find(over).or(ids.last()).copied();
            match goes {
                Some(goes) if goes > id || ids.iter().any(|of| over(&of)) => {
                    self.invitations.remove(&goes);
                }
                _ => return false,
            }
        }
        self.invitations.insert(id, live);
        true
    }

    /// An invitation lets nobody in any more.
    pub(super) fn forget_invitation(&mut self, id: &InvitationId) {
        self.invitations.remove(id);
    }

    /// Guests that came by an invitation, as far as is known.
    pub(super) fn uses_of(&self, id: &InvitationId) -> usize {
        self.uses_by_others(id, None)
    }

    fn uses_by_others(&self, id: &InvitationId, guest: Option<&MemberId>) -> usize {
        let guests = self.records().filter_map(|record| match &record.record {
            Record::Ticket(Ticket { member, invited: Some(invited), .. })
                if invited.invitation == *id && Some(member) != guest =>
            {
                Some(*member)
            }
            _ => None,
        });
        guests.collect::<BTreeSet<_>>().len()
    }

    /// Why an invitation lets nobody in any more, or not this guest: what broke off behind its
    /// ticket is no use by somebody else.
    pub(super) fn why_over(
        &self,
        invitation: &SignedInvitation,
        guest: Option<&MemberId>,
        now_ms: i64,
    ) -> Option<Why> {
        let (membership, body) = (self.membership(), &invitation.body);
        let lives = match body.ticket {
            Some(ticket) => {
                let holder = membership.ticket(&ticket).map(|seat| seat.member);
                membership.lives(&ticket) && holder == Some(body.maker)
            }
            None => body.maker == self.founder,
        };
        let ended = membership.is_ended(&invitation.id, &body.maker, body.ticket.as_ref());
        if !lives || ended {
            Some(Why::NoInvitation)
        } else if body.until <= now_ms {
            Some(Why::InvitationExpired)
        } else if body
            .uses
            .is_some_and(|uses| self.uses_by_others(&invitation.id, guest) >= uses as usize)
        {
            Some(Why::InvitationUsed)
        } else {
            None
        }
    }
}
