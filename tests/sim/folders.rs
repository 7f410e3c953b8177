//! Folders: the shell's part in them, and what a room does with them.

use klatch::files::folder::manifest::folder_id;
use klatch::files::merkle;
use klatch::router::event::{Event, FetchError, Hashed, PartState, ReadManifest};
use klatch::router::ids::{ConnId, Digest32, FileId};
use klatch::router::layout::{FolderLayout, ListedUnits};
use klatch::router::notice::Notice;
use klatch::router::signed::FolderSummary;

use crate::disk::{Disk, Stored, Units, content};
use crate::pipe::Request;
use crate::swarms::fetched;
use crate::world::World;

/// Paths that end so are those of folders.
pub const FOLDER: &str = ".dir";
/// Bytes of every unit but the last ones.
const UNIT_BYTES: u64 = 262_144;
/// Bytes of a list of chunk hashes, roughly.
const LIST_BYTES: u64 = 32 * 1024;

/// In which units a folder of so many bytes is fetched: a third of it is small files, the rest two
/// long ones.
fn shape(bytes: u64) -> FolderLayout {
    let mut lens_bytes = Vec::new();
    let mut add = |mut bytes: u64| {
        let first = u32::try_from(lens_bytes.len()).unwrap();
        while bytes > 0 {
            let unit = bytes.min(UNIT_BYTES);
            lens_bytes.push(u32::try_from(unit).unwrap());
            bytes -= unit;
        }
        first..u32::try_from(lens_bytes.len()).unwrap()
    };
    let third = bytes / 3;
    add(bytes - 2 * third);
    let lists = [7, 9].map(|entry| ListedUnits { entry, units: add(third) });
    FolderLayout {
        lens_bytes,
        lists: lists.into_iter().filter(|of| !of.units.is_empty()).collect(),
    }
}

/// What the offer of a folder says, and its manifest's length.
fn summary(bytes: u64) -> (FolderSummary, u64) {
    let units = u32::try_from(shape(bytes).lens_bytes.len()).unwrap();
    (FolderSummary { files: 12, bytes, units }, 300 + bytes / 100)
}

impl Stored {
    /// Bytes of a chunk or unit.
    pub fn unit_bytes(&self, unit: u32) -> u64 {
        match &self.folder {
            Some(of) => of.layout.lens_bytes.get(unit as usize).copied().map_or(0, u64::from),
            None => merkle::chunk_range(self.size, unit).map_or(0, |(_, bytes)| u64::from(bytes)),
        }
    }

    /// Whether the list that verifies a unit is here.
    pub fn is_verifiable(&self, unit: u32) -> bool {
        let lists = self.folder.iter().flat_map(|of| &of.layout.lists);
        let mut of = lists.filter(|list| list.units.contains(&unit));
        of.all(|list| self.folder.as_ref().is_some_and(|of| of.lists.contains(&list.entry)))
    }
}

impl Disk {
    /// Hashes what is in the folder at a path, and makes its manifest.
    pub fn hash_folder(&mut self, job: u64, path: &str, bytes: u64, seed: u64) -> Hashed {
        let mut root = Digest32([7; 32]);
        root.0[..8].copy_from_slice(&seed.to_be_bytes());
        root.0[8..16].copy_from_slice(&bytes.to_be_bytes());
        let (folder, size) = summary(bytes);
        let manifest = merkle::file_id(size, &root);
        let file = FileId(folder_id(&manifest));
        let all = |file: &FileId, count| (0..count).map(|c| Some(content(file, c))).collect();
        let layout = shape(bytes);
        let lists = layout.lists.iter().map(|list| list.entry).collect();
        self.files.insert(
            file,
            Stored {
                size: bytes,
                chunks: all(&file, folder.units),
                list: true,
                manifest: None,
                folder: Some(Units { layout, lists }),
            },
        );
        let chunks = all(&manifest, merkle::chunk_count(size));
        let manifest_of = Stored { size, chunks, list: true, manifest: Some(root), folder: None };
        self.files.insert(manifest, manifest_of);
        self.jobs.insert(job, file);
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let folder = Some(folder);
        Hashed { path: path.into(), name, file, size, root, folder, left_out: None }
    }

    /// The manifest of a folder that is here.
    pub fn manifest_of(&self, folder: &FileId) -> Option<FileId> {
        let manifests = self.files.iter().filter(|(_, stored)| stored.manifest.is_some());
        let mut of = manifests.map(|(file, _)| *file);
        of.find(|manifest| folder_id(manifest) == folder.0)
    }

    /// What a manifest says that came.
    pub fn read_manifest(&mut self, manifest: FileId) -> ReadManifest {
        assert!(self.exact(&manifest), "a manifest is read before it is whole");
        self.open.remove(&manifest);
        self.serving.insert(manifest);
        let bytes = self.bytes_listed(&manifest);
        ReadManifest { summary: summary(bytes).0, layout: shape(bytes) }
    }

    fn bytes_listed(&self, manifest: &FileId) -> u64 {
        let root = self.files[manifest].manifest.expect("it is a manifest");
        u64::from_be_bytes(root.0[8..16].try_into().unwrap())
    }

    /// Begins to build a folder, or goes on with it.
    pub fn open_folder(
        &mut self,
        (file, turn): (FileId, u64),
        manifest: FileId,
        copy: bool,
    ) -> PartState {
        self.open.insert(file, turn);
        if copy && self.serving.contains(&file) {
            return PartState::Complete;
        }
        let bytes = self.bytes_listed(&manifest);
        let stored = self.files.entry(file).or_insert_with(|| {
            let layout = shape(bytes);
            let chunks = vec![None; layout.lens_bytes.len()];
            let folder = Some(Units { layout, lists: Default::default() });
            Stored { size: bytes, chunks, list: true, manifest: None, folder }
        });
        // The lists of an earlier run are not kept.
        if let Some(of) = &mut stored.folder {
            of.lists.clear();
        }
        PartState::Verified(self.held(&file).unwrap())
    }
}

impl World {
    /// Requests the list of a long file in a folder.
    pub(crate) fn ask_folder_list(
        &mut self,
        node: usize,
        (file, turn, conn): (FileId, u64, ConnId),
        entry: u32,
    ) {
        let (want, chunk, bytes, entry) = (None, None, LIST_BYTES, Some(entry));
        self.request(node, conn, Request { file, turn, want, chunk, bytes, entry });
    }

    /// What a host answers to that.
    pub(crate) fn answer_folder_list(
        &mut self,
        (to, host, conn): (usize, usize, ConnId),
        (file, turn): (FileId, u64),
        entry: u32,
    ) {
        let has =
            |stored: &Stored| stored.folder.as_ref().is_some_and(|of| of.lists.contains(&entry));
        let host = &self.nodes[host].disk;
        let serves = host.list(&file) && has(&host.files[&file]);
        let disk = &mut self.nodes[to].disk;
        let folder = disk.files.get_mut(&file).and_then(|stored| stored.folder.as_mut());
        let result = match folder.filter(|_| serves) {
            Some(of) => {
                of.lists.insert(entry);
                Ok(disk.held(&file).unwrap())
            }
            None => Err(FetchError::NotHeld),
        };
        self.feed(to, Event::FolderListFetched { file, turn, conn, entry, result });
    }
}

const MIB: u64 = 1 << 20;

/// A room of a host that offers a folder, and others.
fn room(seed: u64, others: usize, bytes: u64) -> (World, usize, Vec<usize>) {
    let mut world = World::new(seed);
    let host = world.add("host");
    let others: Vec<_> = (0..others).map(|n| world.add(&format!("n{n}"))).collect();
    for node in &others {
        world.join(*node, host);
    }
    let line = world.send_file(host, "photos.dir", bytes);
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(3_000);
    (world, host, others)
}

#[test]
fn folders_of_every_size_arrive_exact() {
    for bytes in [0, 1, 262_144, 3 * MIB, 600 * MIB + 1] {
        let (mut world, host, others) = room(1, 1, bytes);
        let line = world.download(others[0], "photos.dir");
        assert_eq!(world.finish(others[0], line), Ok(()), "{bytes}");
        assert_eq!(fetched(&world, others[0])[0].0, bytes);
        world.run(10_000);
        world.check_room(&[host, others[0]]);
    }
}

#[test]
fn who_has_a_part_of_a_folder_serves_it() {
    let (mut world, _, others) = room(2, 6, 100 * MIB);
    let lines: Vec<_> =
        others.iter().map(|node| (*node, world.download(*node, "photos.dir"))).collect();
    for (node, line) in lines {
        assert_eq!(world.finish(node, line), Ok(()));
    }
    for node in others {
        let (bytes, hosts) = fetched(&world, node)[0];
        assert!((100 * MIB..=101 * MIB).contains(&bytes), "{bytes}");
        assert!(hosts > 1, "only the first host served");
    }
}

#[test]
fn whoever_lies_about_a_unit_is_found_out() {
    let (mut world, host, others) = room(3, 2, 20 * MIB);
    let [eve, bob] = others[..] else { panic!("two others") };
    let line = world.download(eve, "photos.dir");
    assert_eq!(world.finish(eve, line), Ok(()));
    world.nodes[eve].disk.lies = true;
    world.run(1_000);
    let line = world.download(bob, "photos.dir");
    assert_eq!(world.finish(bob, line), Ok(()));
    world.run(2_000);
    world.check_room(&[host, eve, bob]);
}

#[test]
fn a_folder_goes_on_after_a_crash_and_comes_from_those_who_are_left() {
    for seed in 10..20 {
        let (mut world, host, others) = room(seed, 2, 60 * MIB);
        let [ann, bob] = others[..] else { panic!("two others") };
        let line = world.download(ann, "photos.dir");
        assert_eq!(world.finish(ann, line), Ok(()));
        let _ = world.download(bob, "photos.dir");
        let wait = 500 + 300 * (seed - 10);
        world.run(wait);
        world.crash(bob, false);
        world.start(bob);
        world.join(bob, ann);
        world.crash(host, false);
        world.run(3_000);
        let line = world.download(bob, "photos.dir");
        assert_eq!(world.finish(bob, line), Ok(()), "{seed}");
        let done = |notice: &Notice| matches!(notice, Notice::DownloadFinished { .. });
        assert_eq!(world.count(bob, done), 1);
    }
}
