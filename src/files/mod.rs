//! Files on this disk: hashing, partial files, safe names, what can be served.

pub mod merkle;
pub mod names;
pub mod part;
pub mod source;
