//! Stub.
/// A password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password(String);
