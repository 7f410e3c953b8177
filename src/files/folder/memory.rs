//! The bytes of a manifest, which is fetched into memory and served from there.

use std::sync::{Arc, PoisonError, RwLock};

use super::manifest::{Manifest, ManifestError};

/// As far as they came, or all of them.
#[derive(Debug)]
pub struct ManifestBytes(RwLock<KnownBytes>);

#[derive(Debug)]
enum KnownBytes {
    Growing(Vec<u8>),
    Whole(Arc<Manifest>),
}

impl KnownBytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Growing(bytes) => bytes,
            Self::Whole(manifest) => manifest.bytes(),
        }
    }
}

impl ManifestBytes {
    /// So many that are still to come.
    #[must_use]
    pub fn growing(len: usize) -> Self {
        Self(RwLock::new(KnownBytes::Growing(vec![0; len])))
    }

    /// Those of a manifest that is here.
    #[must_use]
    pub fn whole(manifest: Arc<Manifest>) -> Self {
        Self(RwLock::new(KnownBytes::Whole(manifest)))
    }

    /// Writes bytes that came. What lies beyond the end, or comes when all are here, is left out.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) {
        let mut guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if let KnownBytes::Growing(all) = &mut *guard
            && let Some(place) = all.get_mut(start..start.saturating_add(bytes.len()))
        {
            place.copy_from_slice(bytes);
        }
    }

    /// Fills `out` from `offset`; says whether there are as many.
    #[must_use]
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> bool {
        let guard = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = guard.as_slice().get(start..start.saturating_add(out.len()));
        from.map(|from| out.copy_from_slice(from)).is_some()
    }

    /// All bytes are here: what they say.
    ///
    /// # Errors
    /// When they are no manifest.
    pub fn read(&self) -> Result<Arc<Manifest>, ManifestError> {
        let mut guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let manifest = match &mut *guard {
            KnownBytes::Whole(manifest) => return Ok(Arc::clone(manifest)),
            KnownBytes::Growing(bytes) => Arc::new(Manifest::decode(std::mem::take(bytes))?),
        };
        *guard = KnownBytes::Whole(Arc::clone(&manifest));
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_came_are_read_back_and_make_the_manifest() {
        let whole = Manifest::encode(&[]).unwrap();
        let bytes = ManifestBytes::growing(whole.bytes().len());
        bytes.write_at(4, &whole.bytes()[4..]);
        bytes.write_at(0, &whole.bytes()[..4]);
        bytes.write_at(u64::MAX, &[1]);
        let mut out = [0; 8];
        assert!(bytes.read_at(0, &mut out) && out == whole.bytes()[..8]);
        assert_eq!(*bytes.read().unwrap(), whole);
        assert!(bytes.read_at(0, &mut out) && !bytes.read_at(14, &mut out));
        assert!(ManifestBytes::growing(3).read().is_err());
    }
}
