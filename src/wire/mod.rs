//! Bytes to types and back: no I/O.
