//! A folder arrives exact, by its manifest, its lists and its units.

use std::fs;

use super::*;
use crate::files::merkle::file_id;
use crate::files::testing::write;
use crate::router::command::SaveAs;
use crate::router::event::ReadManifest;
use crate::router::layout::Layout;
use crate::router::notice::Code;

impl Node {
    fn answers(&self, effect: Effect) -> Event {
        let answer = self.perform(effect);
        answer.unwrap_or_else(|| {
            self.find(|event| match event {
                Event::HashBegan { .. } | Event::ChunkServed { .. } => None,
                event => Some(event),
            })
        })
    }

    /// Fetches the manifest of what alice offers, which is a single chunk.
    fn reads_manifest(&self, offer: &Hashed, conn: ConnId) -> (FileId, ReadManifest) {
        let (size, root, turn) = (offer.size, offer.root, TURN);
        let file = file_id(size, &root);
        let open = Effect::OpenManifest { file, turn, size, root, copy: false };
        let Event::PartOpened { result: Ok(PartState::Verified(held)), .. } = self.answers(open)
        else {
            panic!("the manifest was not opened");
        };
        assert_eq!((held.count(), held.len()), (0, 1));
        self.fetch_all(file, &[conn], &[0]);
        match self.answers(Effect::ReadManifest { file, turn }) {
            Event::ManifestRead { result, .. } => (file, result.unwrap()),
            event => panic!("{event:?}"),
        }
    }
}

#[test]
fn a_folder_arrives_exact() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let top = alice.dir.path().join("photos");
    fs::create_dir_all(top.join("2024/empty")).unwrap();
    let long = bytes(3 * 256 * 1024 + 7);
    let files: [(&str, &[u8]); 5] = [
        ("2024/a.jpg", b"first"),
        ("2024/b.jpg", b"second"),
        ("copy of a.jpg", b"first"),
        ("film.mp4", &long),
        ("nothing", b""),
    ];
    for (path, content) in files {
        write(&top, path, content);
    }
    let offer = alice.offer(&top);
    let folder = offer.folder.unwrap();
    assert_eq!((offer.name.as_str(), folder.files, folder.units), ("photos", 5, 5));

    let (asks, _serves) = lane(&alice, &bob);
    let (manifest, read) = bob.reads_manifest(&offer, asks.conn);
    assert_eq!(read.summary, folder);
    let lists = read.layout.lists.clone();
    assert_eq!(Layout::Folder(Arc::new(read.layout)).total_bytes(), 11 + long.len() as u64);

    let (file, turn, conn) = (offer.file, TURN, asks.conn);
    let (name, part, copy, folder) = (offer.name.clone(), None, false, None);
    let save = SaveAs::Dated;
    let open = Effect::OpenFolder { file, turn, manifest, name, part, copy, folder, save };
    let Event::PartOpened { result, .. } = bob.answers(open) else { panic!("not opened") };
    assert!(matches!(result, Ok(PartState::Verified(held)) if held.count() == 0));
    for list in lists {
        let entry = list.entry;
        let event = bob.answers(Effect::FetchFolderList { file, turn, conn, entry });
        let listed = matches!(event, Event::FolderListFetched { result: Ok(_), .. });
        assert!(listed, "{event:?}");
    }
    bob.fetch_all(file, &[conn], &[0, 1, 2, 3, 4]);
    let saved = bob.finish(file);
    for (path, content) in files {
        assert_eq!(fs::read(saved.join(path)).unwrap(), content, "{path}");
    }
    assert!(saved.join("2024/empty").is_dir());
}

#[test]
fn a_manifest_that_is_cancelled_is_not_served_any_more() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let top = alice.dir.path().join("photos");
    fs::create_dir(&top).unwrap();
    write(&top, "a.jpg", b"first");
    let offer = alice.offer(&top);
    let (size, root) = (offer.size, offer.root);
    let file = file_id(size, &root);
    let sources = &bob.transfers.shared.host.sources;
    let opens = |turn| {
        let open = Effect::OpenManifest { file, turn, size, root, copy: false };
        assert!(matches!(bob.answers(open), Event::PartOpened { result: Ok(_), .. }));
    };
    opens(1);
    assert!(sources.get(&file).is_some());
    // A late step of an earlier opening does nothing to the next.
    bob.perform(Effect::DropPart { file, turn: 1 });
    assert!(sources.get(&file).is_none());
    opens(2);
    let read = bob.answers(Effect::ReadManifest { file, turn: 1 });
    assert!(matches!(read, Event::ManifestRead { turn: 1, result: Err(_), .. }), "{read:?}");
    bob.perform(Effect::DropPart { file, turn: 1 });
    assert!(bob.transfers.shared.lock().manifest(file, 2).is_some());
    assert!(sources.get(&file).is_some());
    bob.perform(Effect::DropPart { file, turn: 2 });
    assert!(sources.get(&file).is_none());
}

#[test]
fn a_manifest_can_be_shared_as_a_file_as_well() {
    let alice = Node::new(Limits::default());
    let top = alice.dir.path().join("photos");
    fs::create_dir(&top).unwrap();
    write(&top, "a.jpg", b"first");
    let offer = alice.offer(&top);
    let sources = &alice.transfers.shared.host.sources;
    let list = sources.get(&file_id(offer.size, &offer.root)).unwrap();
    let manifest = list.manifest().unwrap();
    let plain = alice.offer(&write(alice.dir.path(), "list", manifest.bytes()));
    let file = plain.file;
    assert_eq!(file, list.tree().id());
    let path = |of: &FileId| sources.get(of).and_then(|served| served.path());
    assert_eq!(path(&file), Some(plain.path.clone()));
    alice.perform(Effect::Unserve { file });
    assert!(Arc::ptr_eq(&sources.get(&file).unwrap(), &list), "the folder still needs it");
    let again = alice.offer(&plain.path);
    alice.perform(Effect::Unserve { file: offer.file });
    alice.perform(Effect::UnserveManifest { file });
    assert_eq!(path(&file), Some(again.path));
    alice.perform(Effect::Unserve { file });
    assert!(sources.get(&file).is_none());
}

#[test]
fn a_folder_that_was_parked_is_served_with_the_manifest_that_it_had() {
    use crate::router::event::Parking;
    let alice = Node::new(Limits::default());
    let top = alice.dir.path().join("photos");
    fs::create_dir(&top).unwrap();
    write(&top, "a.jpg", b"first");
    let offer = alice.offer(&top);
    let (file, manifest) = (offer.file, file_id(offer.size, &offer.root));
    let sources = &alice.transfers.shared.host.sources;
    let list = sources.get(&manifest).unwrap();
    alice.perform(Effect::Park { file, step: Parking::Begin });
    alice.perform(Effect::Unserve { file });
    alice.perform(Effect::UnserveManifest { file: manifest });
    assert!(sources.get(&manifest).is_none() && sources.folder(&file).is_none());
    alice.perform(Effect::Park { file, step: Parking::Resume });
    assert!(Arc::ptr_eq(&sources.get(&manifest).unwrap(), &list), "nothing is hashed again");
    assert!(sources.folder(&file).is_some());
}

/// Opens a folder that bob fetches from alice; returns what it is offered as.
fn opened(alice: &Node, bob: &Node, top: &Path, conn: ConnId) -> Hashed {
    let offer = alice.offer(top);
    let (manifest, _) = bob.reads_manifest(&offer, conn);
    let (file, turn, name) = (offer.file, TURN, offer.name.clone());
    let (part, copy, folder, save) = (None, false, None, SaveAs::Dated);
    let open = Effect::OpenFolder { file, turn, manifest, name, part, copy, folder, save };
    assert!(matches!(bob.answers(open), Event::PartOpened { result: Ok(_), .. }));
    offer
}

#[test]
fn the_file_that_changed_in_a_folder_is_named() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let top = alice.dir.path().join("photos");
    fs::create_dir_all(top.join("2024")).unwrap();
    write(&top, "2024/a.jpg", b"first");
    write(&top, "2024/b.jpg", b"second");
    let (asks, _serves) = lane(&alice, &bob);
    let offer = opened(&alice, &bob, &top, asks.conn);
    fs::write(top.join("2024/b.jpg"), b"edited since").unwrap();
    bob.fetch(offer.file, asks.conn, 0);
    assert!(bob.fetched().2.is_err());
    let changed = alice.find(|event| match event {
        Event::SourceChecked { file, intact: false, path } if file == offer.file => Some(path),
        _ => None,
    });
    assert_eq!(changed.as_deref(), Some("2024/b.jpg"));
}

#[test]
fn names_in_a_folder_are_told_and_nothing_of_it_stays_in_memory() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let top = alice.dir.path().join("photos");
    fs::create_dir_all(top.join(".git")).unwrap();
    write(&top, ".git/config", b"first");
    write(&top, ".hidden", b"second");
    let (asks, _serves) = lane(&alice, &bob);
    let file = opened(&alice, &bob, &top, asks.conn).file;
    bob.fetch_all(file, &[asks.conn], &[0]);
    let (name, save) = ("photos".to_owned(), Default::default());
    let event = bob.answers(Effect::FinishPart { file, turn: TURN, name, save });
    let Event::PartFinished { result: Ok(path), names, .. } = event else { panic!("{event:?}") };
    assert_eq!(names.as_deref(), Some("1 hidden, 1 renamed: .git"));
    assert_eq!(fs::read(path.join("-.git/config")).unwrap(), b"first");
    let shared = &bob.transfers.shared;
    assert!(shared.built.is_empty(), "no key stays");
    let state = shared.lock();
    assert!(state.folders.is_empty() && state.manifests.is_empty());
}

#[test]
fn what_is_no_manifest_is_told_as_such() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let offer = alice.offer(&write(alice.dir.path(), "lie", b"klatch folder 2"));
    let (asks, _serves) = lane(&alice, &bob);
    let (size, root, turn, file) = (offer.size, offer.root, TURN, offer.file);
    let copy = false;
    bob.answers(Effect::OpenManifest { file, turn, size, root, copy });
    bob.fetch_all(file, &[asks.conn], &[0]);
    match bob.answers(Effect::ReadManifest { file, turn }) {
        Event::ManifestRead { result, .. } => {
            assert_eq!(result.unwrap_err().code, Code::BadManifest);
        }
        event => panic!("{event:?}"),
    }
}
