//! Who is a member: a function of nothing but the founder and a set of signed records.
//!
//! Every member but the founder holds a *ticket* below the ticket of the member that let it in, and
//! so on up to the founder. Acts (removals and locks) belong to their author: they affect every
//! ticket that has a ticket of the author above it. A ticket *lives* while nothing ends it and the
//! tickets that it depends on live.
//!
//! Invariants: the order of arrival never matters; no record changes the membership of anybody that
//! is not below its author, by the tickets above its own or those of the answerers of the
//! invitations among them; a record waits only for the tickets that it depends on, so what it
//! knows, pardons or names as older may be missing forever.
//!
//! Absent on purpose: signatures (records that come here are verified), clocks, and state of its
//! own. [`register`] bounds the set.

pub mod record;
pub mod register;

mod acts;
mod dominators;
mod index;
mod judged;
mod keep;
mod losses;
mod order;
mod seat;
mod shares;
mod tree;

#[cfg(test)]
mod tests;

pub use acts::Closing;
pub use judged::{Membership, SignsAs};
pub use keep::plan_keep;
pub use losses::{Cause, Loss, lost_between};
pub use seat::{DEPTH_MAX, Seat, kept_id};
