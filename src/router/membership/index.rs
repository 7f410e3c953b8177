//! Ids in ascending order, found by their first eight bytes.

/// Finds the place of an id in a sorted list. Faster than a tree, as it compares whole ids only if
/// their first bytes are equal; ids made alike on purpose cost no more than a binary search.
pub(super) struct Index {
    keys: Vec<u64>,
    ids: Vec<[u8; 32]>,
}

impl Index {
    /// Takes ids in ascending order.
    pub(super) fn of(ids: impl Iterator<Item = [u8; 32]>) -> Self {
        let ids: Vec<[u8; 32]> = ids.collect();
        Self { keys: ids.iter().map(first_bytes).collect(), ids }
    }

    /// The id's place in the list.
    pub(super) fn find(&self, id: &[u8; 32]) -> Option<usize> {
        let key = first_bytes(id);
        let first = self.keys.partition_point(|other| *other < key);
        let mut end = first;
        if self.keys.get(first) == Some(&key) {
            end += self.keys.get(first..)?.partition_point(|other| *other == key);
        }
        let place = self.ids.get(first..end)?.binary_search(id).ok()?;
        Some(first + place)
    }
}

/// The number by which ids are sorted, as far as it goes.
pub(super) fn first_bytes(id: &[u8; 32]) -> u64 {
    id.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
