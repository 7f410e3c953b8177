//! Which bytes lie in which unit.

use proptest::prelude::*;

use super::*;
use crate::files::merkle::{chunk_count, chunk_range};
use crate::router::ids::Digest32;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A file of this size, and a content that this number stands for.
fn file(size: u64, content: u64) -> Option<ListedFile> {
    let mut root = [0; 32];
    root[..8].copy_from_slice(&content.to_be_bytes());
    Some(ListedFile { size, root: Digest32(root), modified_s: 0, executable: false })
}

/// Files of these sizes, all different.
fn files(sizes: &[u64]) -> Vec<Option<ListedFile>> {
    (0..).zip(sizes).map(|(content, size)| file(*size, content)).collect()
}

fn units(files: &[Option<ListedFile>]) -> Units {
    Units::of_files(files.iter().copied()).unwrap()
}

fn bundle(units: &Units, unit: u32) -> Vec<(u32, u32, u32)> {
    let Some(UnitContent::Bundle(files)) = units.content(unit) else { panic!("no bundle {unit}") };
    files.iter().map(|file| (file.entry, file.offset, file.len)).collect()
}

#[test]
fn small_files_gather_around_large_ones() {
    let sizes = [100 * KIB, 300 * KIB, 100 * KIB, 0, 56 * KIB, 1, 256 * KIB, 256 * KIB + 1];
    let units = units(&files(&sizes));
    assert_eq!(units.count(), 7);
    let kib = |n: u64| u32::try_from(n * KIB).unwrap();
    assert_eq!(
        bundle(&units, 0),
        [(0, 0, kib(100)), (2, kib(100), kib(100)), (4, kib(200), kib(56)),]
    );
    let chunks = |chunks, entry, offset| UnitContent::Chunks { entry, chunks, offset };
    assert_eq!(units.content(1), Some(chunks(0..1, 1, 0)));
    assert_eq!(units.content(2), Some(chunks(1..2, 1, 256 * KIB)));
    assert_eq!(units.len_bytes(2), Some(kib(44)));
    assert_eq!(bundle(&units, 3), [(5, 0, 1)]);
    assert_eq!(bundle(&units, 4), [(6, 0, kib(256))]);
    assert_eq!(units.content(6), Some(chunks(1..2, 7, 256 * KIB)));
    assert_eq!((units.content(7), units.len_bytes(7)), (None, None));
    assert_eq!(units.source(1), Some(EntrySource::Units(1..3)));
    assert_eq!(units.source(3), Some(EntrySource::Nothing));
    assert_eq!(units.source(4), Some(EntrySource::Units(0..1)));
    assert_eq!(units.source(8), None);
}

#[test]
fn what_occurred_before_takes_no_place() {
    let list = [file(5, 1), None, file(5, 1), file(6, 1), file(MIB, 2), file(MIB, 2), file(0, 0)];
    let units = units(&list);
    let sources: Vec<_> = (0..7).map(|entry| units.source(entry).unwrap()).collect();
    assert_eq!(
        sources,
        [
            EntrySource::Units(0..1),
            EntrySource::Nothing,
            EntrySource::Copy(0),
            EntrySource::Units(0..1),
            EntrySource::Units(1..5),
            EntrySource::Copy(4),
            EntrySource::Nothing,
        ]
    );
    assert_eq!(units.total_bytes(), 11 + MIB);
    assert_eq!(bundle(&units, 0), [(0, 0, 5), (3, 5, 6)]);
}

#[test]
fn a_bundle_has_no_more_files_than_are_allowed() {
    let units = units(&files(&[1; 1_025]));
    assert_eq!(units.count(), 3);
    assert_eq!(units.len_bytes(0), Some(512));
    assert_eq!(bundle(&units, 2), [(1_024, 0, 1)]);
}

#[test]
fn a_file_alone_has_the_chunks_of_any_file() {
    let size = 700 * MIB + 5;
    let units = units(&files(&[size]));
    assert_eq!(units.count(), chunk_count(size));
    for unit in [0, 1, units.count() - 1] {
        let (offset, len) = chunk_range(size, unit).unwrap();
        let content = UnitContent::Chunks { entry: 0, chunks: unit..unit + 1, offset };
        assert_eq!((units.content(unit), units.len_bytes(unit)), (Some(content), Some(len)));
    }
}

#[test]
fn the_span_doubles_until_there_are_few_enough_units() {
    let most = units(&files(&[200 * KIB; UNITS_MAX as usize]));
    assert_eq!((most.span, most.count()), (CHUNK_MIN_BYTES, UNITS_MAX));
    let doubled = units(&files(&[200 * KIB; UNITS_MAX as usize + 1]));
    assert_eq!((doubled.span, doubled.count()), (2 * CHUNK_MIN_BYTES, UNITS_MAX / 2 + 1));
    // Each has 1,000 chunks of 256 KiB.
    let videos = units(&files(&[250 * MIB; 262]));
    assert_eq!((videos.span, videos.count()), (2 * CHUNK_MIN_BYTES, 131_000));
    let chunks = UnitContent::Chunks { entry: 0, chunks: 998..1_000, offset: 499 * 512 * KIB };
    assert_eq!(videos.content(499), Some(chunks));
    let largest = units(&files(&[8 * MIB; 262_144]));
    assert_eq!((largest.span, largest.count()), (CHUNK_MAX_BYTES, UNITS_MAX));
    let too_many = Units::of_files(files(&[8 * MIB + 1; 200_000]).into_iter());
    assert_eq!(too_many, Err(ManifestError::TooManyUnits));
}

proptest! {
    #[test]
    fn every_byte_lies_in_exactly_one_unit(
        list in proptest::collection::vec(
            (prop_oneof![0..3 * KIB, 0..2 * MIB, 255 * KIB..257 * KIB, 0..2_000 * MIB], 0..40_u64),
            0..300,
        ),
    ) {
        let list: Vec<_> = list.into_iter().map(|(size, content)| file(size, content)).collect();
        let units = units(&list);
        // Up to where each file came so far.
        let mut came = vec![0; list.len()];
        let mut total = 0;
        for unit in 0..units.count() {
            let len = units.len_bytes(unit).unwrap();
            prop_assert!(len > 0 && len <= CHUNK_MAX_BYTES.max(units.span));
            total += u64::from(len);
            match units.content(unit).unwrap() {
                UnitContent::Chunks { entry, chunks, offset } => {
                    let size = list[entry as usize].unwrap().size;
                    let mut end = offset;
                    for chunk in chunks {
                        let (at, bytes) = chunk_range(size, chunk).unwrap();
                        prop_assert_eq!(at, end);
                        end += u64::from(bytes);
                    }
                    prop_assert_eq!(end - offset, u64::from(len));
                    prop_assert_eq!(came[entry as usize], offset);
                    came[entry as usize] = end;
                    prop_assert!(is_source(&units, entry, unit));
                }
                UnitContent::Bundle(files) => {
                    prop_assert!(files.len() <= BUNDLE_FILES_MAX as usize);
                    let mut end = 0;
                    for file in files {
                        prop_assert_eq!(file.offset, end);
                        end += file.len;
                        prop_assert_eq!(came[file.entry as usize], 0);
                        came[file.entry as usize] = u64::from(file.len);
                        prop_assert!(is_source(&units, file.entry, unit));
                    }
                    prop_assert_eq!(end, len);
                }
            }
        }
        prop_assert_eq!(total, units.total_bytes());
        for (entry, came) in (0..).zip(came) {
            let wanted = list[entry as usize].unwrap();
            match units.source(entry).unwrap() {
                EntrySource::Nothing => prop_assert_eq!(wanted.size, 0),
                EntrySource::Copy(of) => {
                    prop_assert!(of < entry && came == 0);
                    prop_assert_eq!(list[of as usize].unwrap(), wanted);
                    prop_assert!(matches!(units.source(of), Some(EntrySource::Units(_))));
                }
                EntrySource::Units(_) => prop_assert_eq!(came, wanted.size),
            }
        }
    }
}

fn is_source(units: &Units, entry: u32, unit: u32) -> bool {
    matches!(units.source(entry), Some(EntrySource::Units(of)) if of.contains(&unit))
}
