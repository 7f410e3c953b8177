//! Cryptography as values: no socket, file or thread. Each package is used in one file of it.

pub mod binding;
pub mod identity;
pub mod noise;
pub mod password;
pub mod room_key;
