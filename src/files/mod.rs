//! Files on this disk: hashing, partial files, safe names, and serving.
//!
//! This layer knows only disks and bytes: no socket, no room. Every path that a peer can influence
//! goes through [`names`]; nothing is ever replaced; memory does not grow with the bytes of a file
//! (only by 32 bytes per chunk, and chunks are few).

pub mod disk;
pub mod folder;
pub mod hash;
pub mod held;
mod hidden;
mod leaves;
pub mod leftovers;
pub mod merkle;
pub mod names;
mod noted;
pub mod part;
pub mod publish;
pub mod served;
pub mod source;

#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
pub(crate) mod testing;
