//! The form of bytes and words in JSON.

use std::borrow::Cow;
use std::fmt;

use data_encoding::BASE64;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Bytes as base64: borrowed when encoding, owned when decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob<'a>(pub(super) Cow<'a, [u8]>);

impl<'a> Blob<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }
}

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&BASE64.encode_display(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(BlobVisitor).map(|bytes| Self(Cow::Owned(bytes)))
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        BASE64.decode(text.as_bytes()).map_err(|_| E::custom("no base64"))
    }
}

/// An Ed25519 signature as base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature(pub(super) [u8; 64]);

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Blob::of(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_str(BlobVisitor)?;
        bytes.try_into().map(Self).map_err(|_| de::Error::custom("no signature"))
    }
}

/// A word of the protocol: borrowed when encoding, owned when decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Word<'a>(pub(super) Cow<'a, str>);
