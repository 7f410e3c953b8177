//! The SHA-256 Merkle tree of a file, as BitTorrent v2 builds it (BEP 52): 16 KiB leaves, and a
//! root that equals the `pieces root` of any BEP 52 tool.
//!
//! A *chunk* is BEP 52's piece: the unit that is fetched from one host, verified and claimed. Its
//! hash is the root of its subtree, so the list of chunk hashes can be checked against the file's
//! root before any chunk is fetched.
//! Pure: no file, no thread, no allocation per leaf.

use sha2::{Digest, Sha256};

use super::leaves;
use crate::router::ids::{Digest32, FileId};

/// Bytes under one leaf (BEP 52).
pub const LEAF_BYTES: usize = 16 * 1024;
/// Bytes of the smallest chunk.
pub const CHUNK_MIN_BYTES: u32 = 256 * 1024;
/// Bytes of the largest chunk: the most that one wrong byte costs.
pub const CHUNK_MAX_BYTES: u32 = 16 * 1024 * 1024;
/// Chunks get larger until a file has no more than this.
const CHUNKS_WANTED: u64 = 1024;

/// Marks the hash of a file's id as such.
const FILE_LABEL: &[u8] = b"klatch file 1\0";

/// Bytes of a chunk in a file of `len` bytes: the smallest power of two, from 256 KiB to 16 MiB,
/// that divides the file into at most 1,024 chunks; 16 MiB if none does.
#[must_use]
pub fn chunk_bytes(len: u64) -> u32 {
    let wanted = len.div_ceil(CHUNKS_WANTED).next_power_of_two();
    u32::try_from(wanted).unwrap_or(u32::MAX).clamp(CHUNK_MIN_BYTES, CHUNK_MAX_BYTES)
}

/// Number of chunks in a file of `len` bytes; 0 for the empty file. Lengths far beyond what klatch
/// accepts give `u32::MAX`, so check a length against the limit first.
#[must_use]
pub fn chunk_count(len: u64) -> u32 {
    u32::try_from(len.div_ceil(u64::from(chunk_bytes(len)))).unwrap_or(u32::MAX)
}

/// Where chunk `index` of a file of `len` bytes begins, and its length, both in bytes; `None`
/// beyond the end of the file.
#[must_use]
pub fn chunk_range(len: u64, index: u32) -> Option<(u64, u32)> {
    let chunk = chunk_bytes(len);
    let offset = u64::from(chunk) * u64::from(index);
    let left = len.checked_sub(offset).filter(|&left| left > 0)?;
    Some((offset, u32::try_from(left).unwrap_or(u32::MAX).min(chunk)))
}

/// Levels between the leaves and a chunk's hash. Only in a file of one chunk is the tree just as
/// high as its leaves need.
fn chunk_levels(len: u64) -> u32 {
    let under = u64::from(chunk_bytes(len)).min(len);
    under.div_ceil(LEAF_BYTES as u64).next_power_of_two().trailing_zeros()
}

fn parent(left: &Digest32, right: &Digest32) -> Digest32 {
    Digest32(Sha256::new().chain_update(left.0).chain_update(right.0).finalize().into())
}

/// The root of `levels` levels over nodes that are all `node`.
fn uniform(levels: u32, node: Digest32) -> Digest32 {
    (0..levels).fold(node, |node, _| parent(&node, &node))
}

/// A row of nodes, folded into its root as it grows: as in a binary counter, a full subtree of
/// height `i` waits in `waiting[i]` exactly while bit `i` of `count` is set.
#[derive(Clone)]
struct FoldedRow {
    waiting: [Digest32; 33],
    count: u32,
}

impl FoldedRow {
    fn new() -> Self {
        Self { waiting: [Digest32::default(); 33], count: 0 }
    }

    fn push(&mut self, mut node: Digest32) {
        let height = self.count.trailing_ones();
        for waiting in self.waiting.iter().take(height as usize) {
            node = parent(waiting, &node);
        }
        if let Some(place) = self.waiting.get_mut(height as usize) {
            *place = node;
        }
        self.count += 1;
    }

    /// The root of `levels` levels, with `pad` for the missing nodes at the end.
    fn root(&self, levels: u32, mut pad: Digest32) -> Digest32 {
        let mut open: Option<Digest32> = None;
        for (height, waiting) in (0..levels).zip(&self.waiting) {
            open = match (self.count >> height & 1 == 1, open) {
                (true, Some(right)) => Some(parent(waiting, &right)),
                (true, None) => Some(parent(waiting, &pad)),
                (false, Some(left)) => Some(parent(&left, &pad)),
                (false, None) => None,
            };
            pad = parent(&pad, &pad);
        }
        open.or_else(|| self.waiting.get(levels as usize).copied()).unwrap_or_default()
    }
}

/// Hashes one chunk from its bytes in order, with constant memory.
#[derive(Clone)]
pub struct ChunkHasher {
    leaf: Sha256,
    leaf_bytes: usize,
    leaves: FoldedRow,
    levels: u32,
    /// Bytes of the chunk still to come; `None` once there were too many.
    left: Option<u64>,
}

impl ChunkHasher {
    /// Begins chunk `index` of a file of `len` bytes.
    #[must_use]
    pub fn new(len: u64, index: u32) -> Self {
        let left = chunk_range(len, index).map(|(_, bytes)| u64::from(bytes));
        Self {
            leaf: Sha256::new(),
            leaf_bytes: 0,
            leaves: FoldedRow::new(),
            levels: chunk_levels(len),
            left,
        }
    }

    /// Takes the next bytes, split anywhere.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.left = self.left.and_then(|left| left.checked_sub(bytes.len() as u64));
        while self.left.is_some() && !bytes.is_empty() {
            if let Some(later) = self.whole_leaves(bytes) {
                bytes = later;
                continue;
            }
            let room = LEAF_BYTES - self.leaf_bytes;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.leaf.update(now);
            self.leaf_bytes += now.len();
            if self.leaf_bytes == LEAF_BYTES {
                self.end_leaf();
            }
            bytes = later;
        }
    }

    /// The hash of the chunk; `None` unless exactly the chunk's bytes were given.
    #[must_use]
    pub fn finish(mut self) -> Option<Digest32> {
        if self.left != Some(0) {
            return None;
        }
        if self.leaf_bytes > 0 {
            self.end_leaf();
        }
        Some(self.leaves.root(self.levels, Digest32::default()))
    }

    /// Takes from the front of `bytes` as many whole leaves as are hashed at once; returns the
    /// rest, or `None` if there are too few, or if a leaf has been begun.
    fn whole_leaves<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (whole, _) = bytes.as_chunks::<LEAF_BYTES>();
        if self.leaf_bytes > 0 {
            return None;
        }
        let count = if let Some(four) = whole.first_chunk::<4>() {
            leaves::hash(four).into_iter().for_each(|leaf| self.leaves.push(leaf));
            4
        } else {
            let two = whole.first_chunk::<2>()?;
            leaves::hash(two).into_iter().for_each(|leaf| self.leaves.push(leaf));
            2
        };
        bytes.get(count * LEAF_BYTES..)
    }

    fn end_leaf(&mut self) {
        self.leaves.push(Digest32(self.leaf.finalize_reset().into()));
        self.leaf_bytes = 0;
    }
}

/// The root of a file of `len` bytes from the hashes of its chunks: zeros for the empty file,
/// BEP 52's `pieces root` for any other. `None` unless there is one hash for each chunk.
#[must_use]
pub fn root(len: u64, chunks: &[Digest32]) -> Option<Digest32> {
    let count = chunk_count(len);
    if chunks.len() != count as usize {
        return None;
    }
    if let [] | [_] = chunks {
        return Some(chunks.first().copied().unwrap_or_default());
    }
    let mut row = FoldedRow::new();
    chunks.iter().for_each(|chunk| row.push(*chunk));
    let pad = uniform(chunk_levels(len), Digest32::default());
    let levels = u32::BITS - (count - 1).leading_zeros();
    Some(row.root(levels, pad))
}

/// The id of a file: SHA-256 over a label, its length (64 bits, big-endian) and its root.
#[must_use]
pub fn file_id(len: u64, root: &Digest32) -> FileId {
    let hash = Sha256::new()
        .chain_update(FILE_LABEL)
        .chain_update(len.to_be_bytes())
        .chain_update(root.0)
        .finalize();
    FileId(hash.into())
}

/// The contents of a file: its length, the hash of each chunk, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTree {
    len: u64,
    root: Digest32,
    chunks: Vec<Digest32>,
}

impl FileTree {
    /// Builds the tree over `chunks`; `None` unless there is one hash for each chunk.
    #[must_use]
    pub fn new(len: u64, chunks: Vec<Digest32>) -> Option<Self> {
        Some(Self { len, root: root(len, &chunks)?, chunks })
    }

    /// The same for a list of hashes from a peer: `None` unless it is exactly that of `id`.
    #[must_use]
    pub fn verified(id: &FileId, len: u64, chunks: Vec<Digest32>) -> Option<Self> {
        Self::new(len, chunks).filter(|tree| tree.id() == *id)
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether this is the empty file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The root: BEP 52's `pieces root`, zeros for the empty file.
    #[must_use]
    pub fn root(&self) -> &Digest32 {
        &self.root
    }

    /// The hash of each chunk, in order.
    #[must_use]
    pub fn chunks(&self) -> &[Digest32] {
        &self.chunks
    }

    /// The hash of chunk `index`; `None` beyond the end.
    #[must_use]
    pub fn chunk(&self, index: u32) -> Option<&Digest32> {
        self.chunks.get(index as usize)
    }

    /// The id of the file.
    #[must_use]
    pub fn id(&self) -> FileId {
        file_id(self.len, &self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::{count_bytes, tree_of, vectors};

    #[test]
    fn roots_and_chunk_hashes_are_those_of_libtorrent() {
        for vector in vectors().iter().filter(|vector| vector.content == "count") {
            let tree = tree_of(vector.len, count_bytes);
            assert_eq!(chunk_bytes(vector.len), vector.piece_bytes, "{vector:?}");
            assert_eq!(tree.root().to_string(), vector.root, "{vector:?}");
            if let Some(layer) = &vector.layer {
                let mut hash = Sha256::new();
                tree.chunks().iter().for_each(|chunk| hash.update(chunk.0));
                assert_eq!(&Digest32(hash.finalize().into()).to_string(), layer, "{vector:?}");
            }
        }
    }

    #[test]
    fn chunks_grow_with_the_file_and_cover_it() {
        const GIB: u64 = 1 << 30;
        for (len, chunk_kib, count) in [
            (0, 256, 0),
            (1, 256, 1),
            (GIB / 4, 256, 1024),
            (GIB / 4 + 1, 512, 513),
            (20_000_000_000, 16 * 1024, 1193),
            (2048 * GIB, 16 * 1024, 131_072),
            (u64::MAX, 16 * 1024, u32::MAX),
        ] {
            assert_eq!(chunk_bytes(len), chunk_kib * 1024, "{len}");
            assert_eq!(chunk_count(len), count, "{len}");
        }
        let len = GIB / 4 + 1;
        let ranges: Vec<_> = (0..514).map_while(|chunk| chunk_range(len, chunk)).collect();
        assert_eq!(ranges.len(), 513);
        let mut end = 0;
        for (offset, bytes) in ranges {
            assert_eq!(offset, end);
            end += u64::from(bytes);
        }
        assert_eq!(end, len);
        assert_eq!(chunk_range(0, 0), None);
        assert_eq!(chunk_range(u64::MAX, u32::MAX).map(|(_, bytes)| bytes), Some(CHUNK_MAX_BYTES));
    }

    #[test]
    fn a_chunk_is_hashed_alike_however_its_bytes_are_cut() {
        let len = 5 * 1024 * 1024 - 3;
        let bytes = count_bytes(0, 256 * 1024);
        let mut whole = ChunkHasher::new(len, 0);
        whole.update(&bytes);
        let whole = whole.finish();
        assert!(whole.is_some());
        for step in [1_000, 16_383, 16_385, 100_000] {
            let mut cut = ChunkHasher::new(len, 0);
            bytes.chunks(step).for_each(|piece| cut.update(piece));
            assert_eq!(cut.finish(), whole);
        }
    }

    #[test]
    fn too_few_and_too_many_bytes_have_no_hash() {
        let hash = |len, index, given: usize| {
            let mut hasher = ChunkHasher::new(len, index);
            hasher.update(&vec![0; given]);
            hasher.finish()
        };
        assert!(hash(100, 0, 100).is_some());
        assert_eq!(hash(100, 0, 99), None);
        assert_eq!(hash(100, 0, 101), None);
        assert_eq!(hash(100, 1, 0), None);
        assert_eq!(hash(0, 0, 0), None);
    }

    #[test]
    fn only_the_exact_list_of_chunks_is_verified() {
        let tree = tree_of(1024 * 1024 + 7, count_bytes);
        let (id, len, chunks) = (tree.id(), tree.len(), tree.chunks().to_vec());
        assert_eq!(FileTree::verified(&id, len, chunks.clone()), Some(tree));
        // The padding of a chunk layer must not pass for a chunk.
        let mut padded = chunks.clone();
        padded.push(uniform(4, Digest32::default()));
        assert_eq!(FileTree::verified(&id, len, padded), None);
        assert_eq!(FileTree::verified(&id, len + 1, chunks.clone()), None);
        let mut swapped = chunks;
        swapped.swap(0, 1);
        assert_eq!(FileTree::verified(&id, len, swapped), None);
    }

    #[test]
    fn the_empty_file_has_a_root_of_zeros() {
        let tree = FileTree::new(0, Vec::new()).unwrap();
        assert_eq!(tree.root(), &Digest32([0; 32]));
        assert_ne!(tree.id(), file_id(1, tree.root()));
    }
}
