//! The machine for getting people in: this node's person elsewhere, and strangers here by password.
//!
//! It decides where to dial, when to ask for a password, when to retry and what to tell a person
//! who was refused; and how often strangers may try passwords here. It does not look into
//! connections, and never decides who is a member.

mod attempts;
mod guesses;
mod refused;

pub(crate) use self::attempts::{Attempts, Ended};
pub(crate) use self::guesses::Guesses;
pub(crate) use self::refused::Here;
