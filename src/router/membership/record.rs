//! The records of membership as plain values: tickets, removals, locks. `signed` has their bytes.

use std::collections::BTreeSet;

use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId};

/// A signed statement about who is a member. All records of a room together are its register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Lets somebody in.
    Ticket(Ticket),
    /// Throws somebody out, or ends invitations.
    Removal(Removal),
    /// Closes or opens the room.
    Lock(Lock),
}

/// How a ticket came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The room was open.
    Open,
    /// The member knew the password.
    Password,
    /// The member brought an invitation.
    Invitation,
    /// The issuer keeps the member, whatever became of the ticket it had.
    Kept,
    /// The founder trusts the member above everybody but itself and earlier stewards.
    Steward,
}

/// Lets `member` in below `parent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Who lets it in: holds the parent or a ticket above it, or is a steward. For an invitation
    /// its maker.
    pub by: MemberId,
    /// The ticket above; `None` is the founder.
    pub parent: Option<RecordId>,
    /// Who is let in.
    pub member: MemberId,
    /// How.
    pub how: How,
    /// Stewards rank by this, then by id; 0 for all others.
    pub rank: u32,
    /// Closings that the issuer knew.
    pub knows: BTreeSet<RecordId>,
    /// Removals that the issuer undoes for this member, on purpose.
    pub pardons: BTreeSet<RecordId>,
    /// By invitation only.
    pub invited: Option<Invited>,
}

/// How an invitation was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invited {
    /// The invitation.
    pub invitation: InvitationId,
    /// The member that answered and signed.
    pub answerer: MemberId,
    /// Its ticket; `None`: it is the founder. The guest's ticket lives only while this one does.
    pub standing: Option<RecordId>,
}

/// Ends every ticket of `member` below the author, with all that hangs below those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The author.
    pub by: MemberId,
    /// Who is removed; `None`: nobody, only the invitations end.
    pub member: Option<MemberId>,
    /// Invitations that end. With a `member`, tickets by them end as well.
    pub invitations: BTreeSet<InvitationId>,
    /// Removals of this member that the author made before. Without this, one that follows a pardon
    /// would be the very record that was pardoned.
    pub earlier: u32,
    /// Who stays and would drop out.
    pub kept: Vec<Kept>,
}

/// Closes or opens the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The author.
    pub by: MemberId,
    /// Every living ticket of the author; none for the founder.
    pub standing: BTreeSet<RecordId>,
    /// Closed or open.
    pub closed: bool,
    /// Hash of the password data; `None`: only invitations admit.
    pub password: Option<Digest32>,
    /// Locks and removals that the author knew and that no earlier lock of its own names.
    pub over: BTreeSet<RecordId>,
    /// Who stays and would drop out.
    pub kept: Vec<Kept>,
}

/// Somebody whom a removal or a lock keeps: as good as a ticket `how: kept` by the record's author,
/// whose id is made of the record's and the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Who stays. At most once in a record.
    pub member: MemberId,
    /// Below whom.
    pub below: Below,
    /// Pardons of the ticket that this one renews.
    pub pardons: BTreeSet<RecordId>,
}

/// Where a [`Kept`] member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// Right below the founder.
    Founder,
    /// Below the holder of this ticket.
    Ticket(RecordId),
    /// Below a member that stands in front of it in the same list.
    Kept(MemberId),
}

impl Record {
    /// The author, who signs it, except tickets by invitation, which the answerer signs.
    #[must_use]
    pub fn by(&self) -> MemberId {
        match self {
            Self::Ticket(ticket) => ticket.by,
            Self::Removal(removal) => removal.by,
            Self::Lock(lock) => lock.by,
        }
    }

    /// Who signs it, and whose share of the register it takes.
    #[must_use]
    pub fn signer(&self) -> MemberId {
        match self {
            Self::Ticket(Ticket { invited: Some(invited), .. }) => invited.answerer,
            _ => self.by(),
        }
    }

    /// Those whom it keeps.
    #[must_use]
    pub fn kept(&self) -> &[Kept] {
        match self {
            Self::Ticket(_) => &[],
            Self::Removal(removal) => &removal.kept,
            Self::Lock(lock) => &lock.kept,
        }
    }
}
