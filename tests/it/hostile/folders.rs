//! Lists of folders that no honest program makes.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use klatch::files::folder::manifest::folder_id;
use klatch::files::merkle::{ChunkHasher, file_id};
use klatch::router::command::{Command, LeaveWhen, Wait};
use klatch::router::ids::FileId;
use klatch::router::message::{Held, Message};
use klatch::router::notice::{Code, Notice};
use klatch::router::signed::{FolderSummary, Kind, Offer};

use super::eve::Eve;
use super::host::{Host, content};
use super::swarm::spoil;

/// An entry of a manifest, which lists an empty file or an empty folder.
fn entry(kind: u8, shared: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(shared.to_be_bytes());
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend(rest);
    if kind < 2 {
        bytes.extend([0; 16]);
    }
    bytes
}

/// A manifest that says that it has so many entries.
fn manifest(count: u32, entries: &[Vec<u8>]) -> Vec<u8> {
    [b"klatch folder 1\n", &count.to_be_bytes()[..], &entries.concat()].concat()
}

fn of(entries: &[Vec<u8>]) -> Vec<u8> {
    manifest(u32::try_from(entries.len()).unwrap(), entries)
}

/// What lies beside and in the downloads folder.
fn around(host: &Host) -> BTreeSet<String> {
    let names = |path| std::fs::read_dir(path).unwrap().map(|of| of.unwrap().file_name());
    let all = names(host.folder.path().to_owned()).chain(names(host.downloads()));
    all.map(|name| name.into_string().unwrap()).collect()
}

/// F1: paths that lead out, that no system takes, or that contradict each other: the folder is
/// refused by its list, and nothing is created.
#[test]
fn f1_a_folder_with_a_hostile_list_is_refused_before_anything_is_created() {
    let deep = ["d"; 33].join("/").into_bytes();
    let long = vec![b'a'; 256];
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("dotdot", of(&[entry(0, 0, b"../evil")])),
        ("inside", of(&[entry(0, 0, b"a/../../evil")])),
        ("dot", of(&[entry(0, 0, b"a/./b")])),
        ("absolute", of(&[entry(0, 0, b"/tmp/evil")])),
        ("empty", of(&[entry(0, 0, b"a//b")])),
        ("slash", of(&[entry(2, 0, b"a/")])),
        ("nothing", of(&[entry(0, 0, b"")])),
        ("zero", of(&[entry(0, 0, b"a\0b")])),
        ("latin", of(&[entry(0, 0, b"\xe4")])),
        ("deep", of(&[entry(0, 0, &deep)])),
        ("long", of(&[entry(0, 0, &long)])),
        ("twice", of(&[entry(0, 0, b"a"), entry(0, 1, b"")])),
        ("unsorted", of(&[entry(0, 0, b"b"), entry(0, 0, b"a")])),
        ("both", of(&[entry(0, 0, b"a"), entry(0, 1, b"/b")])),
        ("shared", of(&[entry(0, 0, b"ab"), entry(0, 0, b"ac")])),
        ("more", manifest(2, &[entry(0, 0, b"a")])),
        ("most", manifest(u32::MAX, &[entry(0, 0, b"a")])),
        ("after", [of(&[entry(0, 0, b"a")]), vec![0]].concat()),
        ("kind", of(&[entry(3, 0, b"a")])),
        ("magic", b"klatch folder 2\n\0\0\0\0".to_vec()),
    ];
    let hostile = hostile.into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    let components: [(&str, &[u8]); 6] = [
        ("dotdot", b".."),
        ("dot", b"."),
        ("empty", b""),
        ("zero", b"a\0b"),
        ("latin", b"\xe4"),
        ("long", &[b'a'; 256]),
    ];
    let deeper = components.iter().flat_map(|(name, component)| {
        (1..=3).map(move |depth| {
            let path = [&b"d/".repeat(depth)[..], component, b"/x"].concat();
            (format!("{name} at depth {depth}"), of(&[entry(0, 0, &path)]))
        })
    });
    let (mut alice, mut bob) = Host::pair();
    let mut session = Eve::new().join(bob.addr());
    let mut writer = session.chain();
    for (name, bytes) in &hostile.chain(deeper).collect::<Vec<_>>() {
        // Whoever serves the list need not know what it is.
        alice.send(name, bytes);
        bob.hears_offer(name);
        let size = bytes.len() as u64;
        let mut hasher = ChunkHasher::new(size, 0);
        hasher.update(bytes);
        let root = hasher.finish().unwrap();
        let file = FileId(folder_id(&file_id(size, &root)));
        let folder = Some(FolderSummary { files: 1, bytes: 0, units: 0 });
        let name = format!("{name}.folder");
        let offer = Offer { name: name.clone(), size, root, folder, replaces: None };
        session.say(&Message::Entry(writer.write(Kind::Offer(offer)).into()));
        session.say(&Message::Hosting { file, held: Held::All, fetching: false });
        bob.hears_offer(&name);
        let before = around(&bob);
        let failure = bob.download(&name).unwrap_err();
        assert_eq!(failure.code, Code::BadManifest, "{name}: {failure:?}");
        assert_eq!(around(&bob), before, "{name}");
    }
    // The room goes on.
    alice.send("plan.txt", b"the plan");
    bob.hears_offer("plan.txt");
    bob.download("plan.txt").unwrap();
    assert_eq!(bob.saved()[0].1, b"the plan");
    alice.run(Command::Leave(LeaveWhen::Now)).unwrap();
    let accused = |notice: &Notice| match notice {
        Notice::Error { failure, .. } => failure.code == Code::BadChunk,
        _ => false,
    };
    assert!(
        !bob.rest().iter().any(|notice| accused(notice)),
        "who served the list lied in nothing"
    );
}

/// F4: a host that changes what it has of a folder is named, and the folder arrives exact from
/// others.
#[test]
fn f4_whoever_sends_wrong_bytes_of_a_folder_is_dropped_and_named() {
    let (mut alice, mut bob, mut eve) = (Host::new("alice"), Host::new("bob"), Host::new("eve"));
    eve.connect(alice.addr()).unwrap();
    bob.connect(alice.addr()).unwrap();
    bob.run(Command::Wait { what: Wait::Members(2), within_ms: 20_000 }).unwrap();
    let files = [("small.txt", content(1, 9_000)), ("long.bin", content(2, 3 << 20))];
    let make = |host: &mut Host| {
        let top = host.folder.path().join("photos");
        std::fs::create_dir(&top).unwrap();
        for (name, bytes) in &files {
            std::fs::write(top.join(name), bytes).unwrap();
            let file = std::fs::File::open(top.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        }
        host.run(Command::Send { paths: vec![top.to_str().unwrap().into()] }).unwrap();
        top
    };
    let top = make(&mut eve);
    bob.hears_offer("photos");
    for (name, bytes) in &files {
        spoil(&top.join(name), bytes.len());
    }
    let (wanted, paths) = ("photos".into(), Vec::new());
    let line = bob.give(Command::Download { wanted, paths, patient: true, asks: false });
    let told = bob.hears_failure(Code::BadChunk);
    assert!(told.contains("eve") && told.contains("photos"), "{told}");
    make(&mut alice);
    assert_eq!(bob.outcome(line), Ok(()));
    let saved = bob.hears("the end", |notice| match notice {
        Notice::DownloadFinished { path, .. } => Some(path.clone()),
        _ => None,
    });
    for (name, bytes) in &files {
        assert!(std::fs::read(saved.join(name)).unwrap() == *bytes, "{name}");
    }
}
