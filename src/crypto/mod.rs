//! Cryptography as values: no socket, file or thread.
//!
//! This is the lowest layer: it knows bytes, not rooms or members. Everything that is hashed, MACed
//! or signed for a connection begins with a [`binding::Label`] and covers the handshake hash, so
//! nothing can be replayed elsewhere. Secrets are never printed. Identities, passwords, password
//! data and the secrets of invitations are wiped when dropped; copies inside dependencies (snow's
//! chaining key, buffers of the wire) are not. Each dependency is used in one file (snow in `noise`
//! and `primitives`, zeroize wherever a secret is kept), and none appears in a signature: the rest
//! of klatch sees plain arrays.
//!
//! Deliberately absent: a choice of algorithms (the protocol's major version fixes them), and any
//! cryptographic code of our own beyond combining well-maintained packages.

pub mod random;

pub mod hash;

pub mod identity;

pub mod noise;
mod primitives;

pub mod binding;

pub mod invite;
pub mod opaque;
pub mod password;
