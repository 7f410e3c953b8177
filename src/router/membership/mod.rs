//! Who is a member: a function of the founder and a set of signed records, and of nothing else.
//!
//! Every member but the founder holds a *ticket*, which hangs below the ticket of whoever let it
//! in, up to the founder. Acts (removals and locks) belong to their author: they reach every
//! ticket that has a ticket of the author above it. A ticket *lives* while nothing ends it and the
//! ones that it hangs on live.
//!
//! Invariants: the order of arrival never matters; no record changes the membership of anybody
//! that does not hang below its author, by the tickets above its own or by those of whoever
//! answered the invitations among them; a record waits for the tickets that it hangs on and for
//! nothing else, so what it knows, pardons or names as older may be missing for ever.
//!
//! Absent on purpose: signatures (a record that comes here is verified), clocks, and any state of
//! one's own. [`register`] bounds the set.

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
