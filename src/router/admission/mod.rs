//! The machine of a person's wish to be let in, and of strangers who try passwords.
//!
//! It decides where to dial, when to ask for a password, when to try again and what to tell
//! whoever was refused; and how often strangers may try passwords here. It does not look into
//! connections, and never decides who is a member.

mod attempts;
mod guesses;
mod refused;

pub(crate) use self::attempts::{Attempts, Ended};
pub(crate) use self::guesses::Guesses;
pub(crate) use self::refused::Here;
