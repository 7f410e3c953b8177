//! In which units something is fetched: the chunks of a file, or what a folder's manifest says.
//!
//! A plain file is the layout with one file, and computed from its length alone.

use core::ops::Range;
use std::sync::Arc;

use super::bitmap::Bitmap;
use crate::files::merkle;

/// The units of a file or folder. Clones share what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// The chunks of a file of so many bytes.
    File(u64),
    /// The units of a folder.
    Folder(Arc<FolderLayout>),
}

/// What is known of the units of a folder, once its manifest is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderLayout {
    /// Bytes of each unit.
    pub lens_bytes: Vec<u32>,
    /// The files whose units need a list of chunk hashes, ascending.
    pub lists: Vec<ListedUnits>,
}

/// The units of a file that can be verified only with its list of chunk hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUnits {
    /// Index of the file's entry in the manifest.
    pub entry: u32,
    /// Its units.
    pub units: Range<u32>,
}

impl Layout {
    /// Number of units.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            Self::File(size) => merkle::chunk_count(*size),
            Self::Folder(of) => u32::try_from(of.lens_bytes.len()).unwrap_or(u32::MAX),
        }
    }

    /// Bytes of a unit; 0 beyond the end.
    #[must_use]
    pub fn unit_bytes(&self, unit: u32) -> u64 {
        let bytes = match self {
            Self::File(size) => merkle::chunk_range(*size, unit).map(|(_, bytes)| bytes),
            Self::Folder(of) => of.lens_bytes.get(unit as usize).copied(),
        };
        bytes.map_or(0, u64::from)
    }

    /// Bytes of the longest unit.
    #[must_use]
    pub fn longest_bytes(&self) -> u64 {
        match self {
            Self::File(size) => u64::from(merkle::chunk_bytes(*size)).min(*size),
            Self::Folder(of) => of.lens_bytes.iter().max().copied().map_or(0, u64::from),
        }
    }

    /// Bytes of all units.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        match self {
            Self::File(size) => *size,
            Self::Folder(of) => of.lens_bytes.iter().copied().map(u64::from).sum(),
        }
    }

    /// Bytes of these units; of a file's chunks the last counts like any other.
    #[must_use]
    pub fn bytes_of(&self, units: &Bitmap) -> u64 {
        match self {
            Self::File(size) => {
                let chunk = u64::from(merkle::chunk_bytes(*size));
                (u64::from(units.count()) * chunk).min(*size)
            }
            Self::Folder(_) => units.iter().map(|unit| self.unit_bytes(unit)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(units: &[u32], of: u32) -> Bitmap {
        let mut bitmap = Bitmap::none(of);
        units.iter().for_each(|unit| assert!(bitmap.insert(*unit)));
        bitmap
    }

    #[test]
    fn a_file_has_its_chunks() {
        let layout = Layout::File(3 * 262_144 + 5);
        assert_eq!((layout.count(), layout.longest_bytes()), (4, 262_144));
        assert_eq!([0, 3, 4].map(|unit| layout.unit_bytes(unit)), [262_144, 5, 0]);
        assert_eq!(layout.bytes_of(&bitmap(&[0, 2], 4)), 2 * 262_144);
        assert_eq!(layout.bytes_of(&Bitmap::all(4)), layout.total_bytes());
        assert_eq!((Layout::File(0).count(), Layout::File(7).longest_bytes()), (0, 7));
    }

    #[test]
    fn a_folder_has_units_of_any_length() {
        let of = FolderLayout { lens_bytes: vec![10, 300, 20], lists: Vec::new() };
        let layout = Layout::Folder(Arc::new(of));
        assert_eq!((layout.count(), layout.longest_bytes()), (3, 300));
        assert_eq!([0, 1, 3].map(|unit| layout.unit_bytes(unit)), [10, 300, 0]);
        assert_eq!(layout.bytes_of(&bitmap(&[0, 2], 3)), 30);
        assert_eq!(layout.bytes_of(&Bitmap::all(3)), layout.total_bytes());
    }
}
