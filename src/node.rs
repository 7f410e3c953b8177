//! Stub.

mod pool;
