//! S5: programs that are killed in the middle of a transfer, and what they find when they restart.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::common::{Folder, Options, Peer, Tap, content, join, same};

const CHUNK: usize = 256 * 1024;
const CHUNKS: usize = 64;
const SIZE: usize = CHUNK * CHUNKS;
const NAME: &str = "film.mkv";

/// Hidden files with this ending in a folder.
fn hidden(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.file_name().unwrap().as_encoded_bytes().starts_with(b"."))
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect()
}

/// Chunks that a folder's partial file claims to have. Each must be right, because a killed program
/// loses nothing that it wrote.
fn verified(folder: &Path, bytes: &[u8]) -> usize {
    let (parts, claims) = (hidden(folder, "part"), hidden(folder, "claims"));
    let ([part], [claims]) = (&parts[..], &claims[..]) else { panic!("{parts:?} {claims:?}") };
    let (part, claims) = (fs::read(part).unwrap(), fs::read(claims).unwrap());
    let claimed = |chunk: &usize| claims[chunk / 8] >> (7 - chunk % 8) & 1 == 1;
    let claimed: Vec<usize> = (0..CHUNKS).filter(claimed).collect();
    for chunk in &claimed {
        let range = chunk * CHUNK..(chunk + 1) * CHUNK;
        assert!(part.get(range.clone()) == Some(&bytes[range]), "chunk {chunk} is wrong");
    }
    claimed.len()
}

/// Alice, who offers the file, bob behind a tap on the way to her, and the file.
struct Scene {
    alice: Peer,
    bob: Peer,
    tap: Tap,
    way: String,
    path: String,
    bytes: Vec<u8>,
    _folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let bytes = content(42, SIZE);
        let path = folder.file(NAME, &bytes);
        let (alice, bob) = (Peer::start("alice"), Peer::start("bob"));
        let (tap, way) = Tap::before(&alice.address);
        let way = format!("connect {way}");
        let mut scene = Self { alice, bob, tap, way, path, bytes, _folder: folder };
        scene.alice.done(&format!("send {}", scene.path));
        scene.meet();
        scene
    }

    /// Bob connects and sees the file.
    fn meet(&mut self) {
        self.bob.done(&self.way);
        self.bob.done(&format!("wait file {NAME}"));
    }

    /// Lets the running download get `bytes` further.
    fn move_on(&mut self, bytes: u64) {
        self.tap.allow(bytes);
        self.tap.stands();
    }

    fn start_bob(&mut self, home: TempDir) {
        self.bob = Options::new("bob").at_home(home).start();
    }

    fn kill_bob(&mut self) -> TempDir {
        std::mem::replace(&mut self.bob, Peer::start("nobody")).killed()
    }

    fn kill_alice(&mut self) {
        drop(std::mem::replace(&mut self.alice, Peer::start("alice")).killed());
        self.tap.lead_to(&self.alice.address);
        self.alice.done(&format!("send {}", self.path));
    }

    fn download(&mut self) -> u64 {
        let number = self.bob.say(&format!("download {NAME}"));
        self.bob.expect(json!({"event": "download_started"}));
        number
    }
}

#[test]
fn s5_ten_kills_of_downloader_and_host_lose_no_verified_chunk() {
    let mut scene = Scene::new();
    let mut number = scene.download();
    let mut before = 0;
    for kill in 0..10u64 {
        // The tenth kill still comes before the last chunks have arrived.
        scene.move_on(CHUNK as u64 * 5 + kill * 7_919);
        assert!(scene.bob.saved().is_empty(), "no false completion");
        // Through a pipe one cannot connect again during a download.
        if kill % 2 == 0 {
            scene.kill_alice();
            scene.bob.expect(json!({"event": "member_left"}));
        }
        let home = scene.kill_bob();
        let now = verified(home.path(), &scene.bytes);
        assert!(now >= before, "{now} chunks are verified, and {before} were");
        before = now;
        scene.start_bob(home);
        scene.meet();
        number = scene.download();
    }
    scene.tap.allow(u64::MAX);
    scene.bob.ended_well(number);
    let finished = scene.bob.expect(json!({"event": "download_finished"}));
    assert!(same(finished["path"].as_str().unwrap().as_ref(), &scene.bytes));
    assert!(before > 0, "nothing was verified before a kill");
    let fetched = finished["bytes_fetched"].as_u64().unwrap() as usize;
    assert_eq!(fetched, (CHUNKS - before) * CHUNK, "chunks in flight come again, others do not");
    let left = fs::read_dir(scene.bob.folder()).unwrap().count();
    assert_eq!(left, 1, "something is left beside the download");
}

#[test]
fn what_a_kill_left_is_told_at_the_start_and_can_be_removed() {
    let mut scene = Scene::new();
    scene.download();
    scene.move_on(20 * CHUNK as u64);
    let home = scene.kill_bob();
    assert!(verified(home.path(), &scene.bytes) > 0);
    scene.start_bob(home);
    let told = scene.bob.expect_that("what is left", |event| {
        event["event"] == "notice" && event["text"].as_str().unwrap().contains("1 unfinished")
    });
    // `… in <folder>: <name> (<size>); …`, though nobody here offers it.
    let text = told["text"].as_str().unwrap();
    assert!(text.contains(&format!(": {NAME} (")), "{text}");
    scene.bob.refused("cancel 0123456789", "no_such_offer");
    scene.bob.done(&format!("cancel {NAME}"));
    assert_eq!(fs::read_dir(scene.bob.folder()).unwrap().count(), 0);
    scene.bob.refused(&format!("cancel {NAME}"), "no_such_offer");
}

#[test]
fn cancelling_what_is_not_under_way_removes_its_partial_file() {
    let mut scene = Scene::new();
    scene.download();
    scene.move_on(20 * CHUNK as u64);
    let home = scene.kill_bob();
    scene.start_bob(home);
    scene.meet();
    scene.bob.done(&format!("cancel {NAME}"));
    scene.bob.expect_that("it is removed", |event| {
        let removed = "the partial file of film.mkv is removed";
        event["event"] == "notice" && event["text"].as_str().unwrap().starts_with(removed)
    });
    assert_eq!(fs::read_dir(scene.bob.folder()).unwrap().count(), 0);
    scene.bob.refused(&format!("cancel {NAME}"), "no_such_offer");
    // It can be fetched again, from the beginning.
    let number = scene.download();
    scene.tap.allow(u64::MAX);
    scene.bob.ended_well(number);
    let finished = scene.bob.expect(json!({"event": "download_finished"}));
    assert!(same(finished["path"].as_str().unwrap().as_ref(), &scene.bytes));
    // A chunk may come twice where one lane helps another.
    assert!(finished["bytes_fetched"].as_u64().unwrap() >= SIZE as u64);
    assert_eq!(fs::read_dir(scene.bob.folder()).unwrap().count(), 1);
}

#[test]
fn two_who_share_a_folder_leave_each_other_their_partial_files() {
    let mut scene = Scene::new();
    scene.download();
    scene.move_on(20 * CHUNK as u64);
    let shared = scene.bob.folder().to_str().unwrap().to_owned();
    let mut carol = Options::new("carol").args(["--downloads", &shared]).start();
    join(&mut carol, &mut scene.alice);
    carol.done(&format!("wait file {NAME}"));
    let text = carol.refused(&format!("cancel {NAME}"), "io_error");
    assert!(text.contains("another program"), "{text}");
    assert!(verified(scene.bob.folder(), &scene.bytes) > 0);
}
