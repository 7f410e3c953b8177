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
