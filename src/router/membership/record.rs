//! The records of membership as plain values: tickets, removals, locks. `signed` has their bytes.

use std::collections::BTreeSet;

use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId};

/// A signed statement about who is a member. All records of a room together are its register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Lets somebody in.
    Ticket(Ticket),
    /// Removes somebody, or ends invitations.
    Removal(Removal),
    /// Closes or opens the room.
    Lock(Lock),
}

/// How somebody came by a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The room was open.
    Open,
    /// The member knew the password.
    Password,
    /// The member brought an invitation.
    Invitation,
    /// The issuer keeps the member, whatever happened to its earlier ticket.
    Kept,
    /// The founder puts the member above everybody except itself and earlier stewards.
    Steward,
}

/// Lets `member` in below `parent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Who lets it in: the holder of the parent or of a ticket above that, or a steward. For an
    /// invitation, its maker.
    pub by: MemberId,
    /// The ticket above; `None` is the founder.
    pub parent: Option<RecordId>,
    /// The member that is let in.
    pub member: MemberId,
    /// How.
    pub how: How,
    /// Stewards rank by this, then by id; 0 for others.
    pub rank: u32,
    /// Closings that the issuer knew.
    pub knows: BTreeSet<RecordId>,
    /// Removals that the issuer undoes for this member, on purpose.
    pub pardons: BTreeSet<RecordId>,
    /// Only for an invitation.
    pub invited: Option<Invited>,
}

/// How an invitation was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invited {
    /// The invitation.
    pub invitation: InvitationId,
    /// The member that answered and signed.
    pub answerer: MemberId,
    /// Its ticket; `None`: it is the founder. The guest's ticket lives only as long as this one.
    pub standing: Option<RecordId>,
}

/// Ends every ticket of `member` below the author, with all tickets below those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The author.
    pub by: MemberId,
    /// Who is removed; `None`: nobody, only the invitations end.
    pub member: Option<MemberId>,
    /// Invitations that end. With a `member`, tickets by them end as well.
    pub invitations: BTreeSet<InvitationId>,
    /// Earlier removals of this member by the author. Without this, a removal after a pardon would
    /// be the same record that was pardoned.
    pub earlier: u32,
    /// Members that would drop out but stay.
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
    /// Locks and removals that the author knew and that none of its earlier locks names.
    pub over: BTreeSet<RecordId>,
    /// Members that would drop out but stay.
    pub kept: Vec<Kept>,
}

/// A member that a removal or a lock keeps: this equals a ticket `how: kept` by the record's
/// author, with an id derived from the record's and the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The member. At most once in a record.
    pub member: MemberId,
    /// Where it is kept.
    pub below: Below,
    /// Pardons in the ticket that this one renews.
    pub pardons: BTreeSet<RecordId>,
}

/// The place of a [`Kept`] member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// Directly below the founder.
    Founder,
    /// Below the holder of this ticket.
    Ticket(RecordId),
    /// Below a member earlier in the same list.
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

    /// Who signs it, and whose share of the register it uses.
    #[must_use]
    pub fn signer(&self) -> MemberId {
        match self {
            Self::Ticket(Ticket { invited: Some(invited), .. }) => invited.answerer,
            _ => self.by(),
        }
    }

    /// The members that it keeps.
    #[must_use]
    pub fn kept(&self) -> &[Kept] {
        match self {
            Self::Ticket(_) => &[],
            Self::Removal(removal) => &removal.kept,
            Self::Lock(lock) => &lock.kept,
        }
    }
}
