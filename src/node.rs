//! Stub.

pub mod transfers;
