//! The signed form of the register's records.

use std::collections::BTreeSet;
use std::sync::Arc;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::invitation::SignedInvitation;
use super::{SignedError, parse, to_bytes};
use crate::crypto::hash::digest;
use crate::crypto::identity::{self, Identity};
use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId, RoomId};
use crate::router::membership::record::{Below, How, Invited, Kept, Lock, Record, Removal, Ticket};

/// Longest signed bytes of a record: as base64 it fits into one message. Part of what is *valid*.
pub const RECORD_MAX_BYTES: usize = 22 * 1024;
/// Most members that one record keeps. Part of what is *valid*.
pub const KEPT_MAX: usize = 200;

/// Most records in one message.
const PAGE_RECORDS: usize = 32;
/// Most signed bytes of records in one message: as base64 in JSON they fit into it.
const PAGE_BYTES: usize = 20 * 1024;
/// What a record in a message costs apart from its bytes.
pub(crate) const RECORD_EXTRA_BYTES: usize = 160;

const RECORD: &[u8] = b"klatch record 1\0";
const RECORD_SIGNATURE: &[u8] = b"klatch record signature 1\0";
const CLAIM: &[u8] = b"klatch claim 1\0";

/// A record whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    /// SHA-256 over label, room and bytes.
    pub id: RecordId,
    /// The signed bytes.
    pub bytes: Box<[u8]>,
    /// Ed25519 by [`Record::signer`] over label and id.
    pub signature: [u8; 64],
    /// The bytes, parsed.
    pub record: Record,
    /// The claim in a ticket by invitation.
    pub claim: Option<Claim>,
}

/// What a guest shows for its ticket: the invitation, and proof that it holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The invitation, signed by its maker.
    pub invitation: Arc<SignedInvitation>,
    /// By the invitation's key over [`Claim::message`].
    pub signature: [u8; 64],
}

impl Claim {
    /// What an invitation's key signs for a guest's ticket.
    #[must_use]
    pub fn message(room: &RoomId, guest: &MemberId, invitation: &InvitationId) -> Vec<u8> {
        [CLAIM, &room.0, &guest.0, &invitation.0].concat()
    }

    /// Whether `guest` holds the invitation.
    #[must_use]
    pub fn holds(&self, room: &RoomId, guest: &MemberId) -> bool {
        let message = Self::message(room, guest, &self.invitation.id);
        identity::verify(&self.invitation.body.key.0, &message, &self.signature)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum WireRecord {
    Ticket(WireTicket),
    Removal(WireRemoval),
    Lock(WireLock),
    #[serde(other)]
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct WireTicket {
    by: MemberId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<RecordId>,
    member: MemberId,
    how: WireHow,
    #[serde(default, skip_serializing_if = "is_zero")]
    rank: u32,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    knows: Ids,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pardons: Ids,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    standing: Option<RecordId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitation: Option<Base64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitation_signature: Option<Base64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    guest: Option<Base64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireHow {
    Open,
    Password,
    Invitation,
    Kept,
    Steward,
    /// Something from a later version.
    #[serde(other)]
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct WireRemoval {
    by: MemberId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member: Option<MemberId>,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    invitations: Ids,
    #[serde(default, skip_serializing_if = "is_zero")]
    earlier: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept: Vec<WireKept>,
}

#[derive(Serialize, Deserialize)]
struct WireLock {
    by: MemberId,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    standing: Ids,
    closed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<Digest32>,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    over: Ids,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept: Vec<WireKept>,
}

/// Members that are kept in one place.
#[derive(Serialize, Deserialize)]
struct WireKept {
    members: Ids,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<RecordId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<MemberId>,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pardons: Ids,
}

impl SignedRecord {
    /// Signs this node's own record for `room`; a ticket by invitation needs a `claim`.
    #[must_use]
    pub fn sign(room: &RoomId, me: &Identity, record: Record, claim: Option<Claim>) -> Arc<Self> {
        let wire = wire_of(&record, claim.as_ref());
        let bytes = to_bytes(&wire);
        // As others read it, because the members that it keeps are now in another order.
        let record = record_of(wire, room).map_or(record, |(record, _)| record);
        let id = record_id(room, &bytes);
        let signature = me.sign(&[RECORD_SIGNATURE, &id.0].concat());
        Arc::new(Self { id, bytes, signature, record, claim })
    }

    /// Verifies, then parses.
    ///
    /// # Errors
    /// When the bytes are too long, of the wrong form or an unknown kind, or not signed by those
    /// that they name; when a ticket by invitation is not claimed with the invitation's key.
    #[inline(never)]
    pub fn verify(
        room: &RoomId,
        bytes: &[u8],
        signature: &[u8; 64],
    ) -> Result<Arc<Self>, SignedError> {
        if bytes.len() > RECORD_MAX_BYTES {
            return Err(SignedError::TooLarge);
        }
        let (record, claim) = record_of(parse(bytes)?, room)?;
        let id = record_id(room, bytes);
        let message = [RECORD_SIGNATURE, &id.0].concat();
        if !identity::verify(&record.signer().0, &message, signature) {
            return Err(SignedError::Signature);
        }
        let (bytes, signature) = (bytes.into(), *signature);
        Ok(Arc::new(Self { id, bytes, signature, record, claim }))
    }
}

impl SignedRecord {
    /// Whether it ends tickets: a removal or a lock.
    #[must_use]
    pub fn is_act(&self) -> bool {
        !matches!(self.record, Record::Ticket(_))
    }

    /// Whether it removes somebody.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        matches!(self.record, Record::Removal(_))
    }
}

/// The records in groups, each of which fits into a message.
#[must_use]
pub fn pages(records: &[Arc<SignedRecord>]) -> Vec<Vec<Arc<SignedRecord>>> {
    let mut pages: Vec<Vec<Arc<SignedRecord>>> = Vec::new();
    let mut bytes = usize::MAX;
    for record in records {
        let cost = record.bytes.len() + RECORD_EXTRA_BYTES;
        bytes = bytes.saturating_add(cost);
        let full = pages.last().is_none_or(|page| page.len() >= PAGE_RECORDS);
        if bytes > PAGE_BYTES || full {
            pages.push(Vec::new());
            bytes = cost;
        }
        if let Some(page) = pages.last_mut() {
            page.push(record.clone());
        }
    }
    pages
}

impl AsRef<Record> for SignedRecord {
    fn as_ref(&self) -> &Record {
        &self.record
    }
}

fn record_id(room: &RoomId, bytes: &[u8]) -> RecordId {
    RecordId(digest(&[RECORD, &room.0, bytes]))
}

fn wire_of(record: &Record, claim: Option<&Claim>) -> WireRecord {
    match record {
        Record::Ticket(ticket) => WireRecord::Ticket(wire_of_ticket(ticket, claim)),
        Record::Removal(removal) => WireRecord::Removal(WireRemoval {
            by: removal.by,
            member: removal.member,
            invitations: Ids(removal.invitations.iter().map(|id| id.0).collect()),
            earlier: removal.earlier,
            kept: wire_of_kept(&removal.kept),
        }),
        Record::Lock(lock) => WireRecord::Lock(WireLock {
            by: lock.by,
            standing: Ids::of(&lock.standing),
            closed: lock.closed,
            password: lock.password,
            over: Ids::of(&lock.over),
            kept: wire_of_kept(&lock.kept),
        }),
    }
}

fn wire_of_ticket(ticket: &Ticket, claim: Option<&Claim>) -> WireTicket {
    let invited = ticket.invited;
    let base64 = |bytes: &[u8]| Base64(bytes.into());
    WireTicket {
        by: invited.map_or(ticket.by, |invited| invited.answerer),
        // The invitation names it.
        parent: ticket.parent.filter(|_| invited.is_none()),
        member: ticket.member,
        how: ticket.how.into(),
        rank: ticket.rank,
        knows: Ids::of(&ticket.knows),
        pardons: Ids::of(&ticket.pardons),
        standing: invited.and_then(|invited| invited.standing),
        invitation: claim.map(|claim| base64(&claim.invitation.bytes)),
        invitation_signature: claim.map(|claim| base64(&claim.invitation.signature)),
        guest: claim.map(|claim| base64(&claim.signature)),
    }
}

fn record_of(wire: WireRecord, room: &RoomId) -> Result<(Record, Option<Claim>), SignedError> {
    Ok(match wire {
        WireRecord::Ticket(wire) => return ticket_of(wire, room),
        WireRecord::Removal(wire) => {
            let invitations = wire.invitations.0.into_iter().map(InvitationId).collect();
            let kept = kept_of(wire.kept)?;
            let (by, member, earlier) = (wire.by, wire.member, wire.earlier);
            let removal = Removal { by, member, invitations, earlier, kept };
            (Record::Removal(removal), None)
        }
        WireRecord::Lock(wire) => {
            if wire.password.is_some() && !wire.closed {
                return Err(SignedError::Form);
            }
            let lock = Lock {
                by: wire.by,
                standing: wire.standing.set(),
                closed: wire.closed,
                password: wire.password,
                over: wire.over.set(),
                kept: kept_of(wire.kept)?,
            };
            (Record::Lock(lock), None)
        }
        WireRecord::Unknown => return Err(SignedError::Unknown),
    })
}

fn ticket_of(wire: WireTicket, room: &RoomId) -> Result<(Record, Option<Claim>), SignedError> {
    let how = how_of(wire.how)?;
    let mut ticket = Ticket {
        by: wire.by,
        parent: wire.parent,
        member: wire.member,
        how,
        rank: wire.rank,
        knows: wire.knows.set(),
        pardons: wire.pardons.set(),
        invited: None,
    };
    if wire.rank != 0 && how != How::Steward {
        return Err(SignedError::Form);
    }
    let parts = (wire.invitation, wire.invitation_signature, wire.guest);
    let claim = match (how, parts) {
        (How::Invitation, (Some(bytes), Some(by_maker), Some(by_guest))) => {
            let invitation = SignedInvitation::verify(room, &bytes.0, &by_maker.signature()?)?;
            Claim { invitation, signature: by_guest.signature()? }
        }
        (How::Invitation, _) => return Err(SignedError::Form),
        (_, (None, None, None)) if wire.standing.is_none() => {
            return Ok((Record::Ticket(ticket), None));
        }
        _ => return Err(SignedError::Form),
    };
    let bare = ticket.parent.is_none() && ticket.knows.is_empty() && ticket.pardons.is_empty();
    if !bare {
        return Err(SignedError::Form);
    }
    if !claim.holds(room, &wire.member) {
        return Err(SignedError::Signature);
    }
    let invitation = claim.invitation.id;
    ticket.invited = Some(Invited { invitation, answerer: wire.by, standing: wire.standing });
    ticket.by = claim.invitation.body.maker;
    ticket.parent = claim.invitation.body.ticket;
    Ok((Record::Ticket(ticket), Some(claim)))
}

fn kept_of(wire: Vec<WireKept>) -> Result<Vec<Kept>, SignedError> {
    let mut before = BTreeSet::new();
    let mut list = Vec::new();
    for group in wire {
        let below = match (group.parent, group.below) {
            (None, None) => Below::Founder,
            (Some(ticket), None) => Below::Ticket(ticket),
            (None, Some(member)) if before.contains(&member) => Below::Kept(member),
            _ => return Err(SignedError::Form),
        };
        let pardons = group.pardons.set();
        for member in group.members.0.into_iter().map(MemberId) {
            if !before.insert(member) || list.len() == KEPT_MAX {
                return Err(SignedError::Form);
            }
            list.push(Kept { member, below, pardons: pardons.clone() });
        }
    }
    Ok(list)
}

/// Groups by place, in the order in which the places come: so parents stay before children.
fn wire_of_kept(list: &[Kept]) -> Vec<WireKept> {
    let mut groups: Vec<(&Kept, BTreeSet<[u8; 32]>)> = Vec::new();
    for kept in list {
        let place = (kept.below, &kept.pardons);
        let group = groups.iter_mut().find(|(first, _)| (first.below, &first.pardons) == place);
        match group {
            Some((_, members)) => drop(members.insert(kept.member.0)),
            None => groups.push((kept, [kept.member.0].into())),
        }
    }
    let groups = groups.into_iter().map(|(first, members)| {
        let (parent, below) = match first.below {
            Below::Founder => (None, None),
            Below::Ticket(ticket) => (Some(ticket), None),
            Below::Kept(member) => (None, Some(member)),
        };
        let members = Ids(members.into_iter().collect());
        WireKept { members, parent, below, pardons: Ids::of(&first.pardons) }
    });
    groups.collect()
}

impl From<How> for WireHow {
    fn from(how: How) -> Self {
        match how {
            How::Open => Self::Open,
            How::Password => Self::Password,
            How::Invitation => Self::Invitation,
            How::Kept => Self::Kept,
            How::Steward => Self::Steward,
        }
    }
}

fn how_of(wire: WireHow) -> Result<How, SignedError> {
    Ok(match wire {
        WireHow::Open => How::Open,
        WireHow::Password => How::Password,
        WireHow::Invitation => How::Invitation,
        WireHow::Kept => How::Kept,
        WireHow::Steward => How::Steward,
        WireHow::Unknown => return Err(SignedError::Unknown),
    })
}

/// Ids, written as base64 of all of them, in ascending order without duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ids(pub(crate) Vec<[u8; 32]>);

impl Ids {
    pub(crate) fn of<'a>(ids: impl IntoIterator<Item = &'a RecordId>) -> Self {
        Self(ids.into_iter().map(|id| id.0).collect())
    }

    pub(crate) fn set(self) -> BTreeSet<RecordId> {
        self.0.into_iter().map(RecordId).collect()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Ids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0.concat()))
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Base64::deserialize(deserializer)?.0;
        let (ids, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || !ids.is_sorted_by(|a, b| a < b) {
            return Err(de::Error::custom("ids"));
        }
        Ok(Self(ids.to_vec()))
    }
}

/// Bytes inside signed JSON.
struct Base64(Box<[u8]>);

impl Base64 {
    fn signature(&self) -> Result<[u8; 64], SignedError> {
        (&*self.0).try_into().map_err(|_| SignedError::Form)
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}
