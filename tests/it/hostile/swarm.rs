//! Hosts that lie, files that change, names and sizes that cannot be.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};

use klatch::files::merkle::{chunk_bytes, file_id};
use klatch::limits::Limits;
use klatch::router::command::{Command, LeaveWhen, Wait};
use klatch::router::ids::Digest32;
use klatch::router::message::{Held, Message};
use klatch::router::notice::{Code, Notice};
use klatch::router::signed::{Kind, Offer};
use klatch::router::text::{is_control, is_format};

use super::eve::Eve;
use super::host::{Host, content};
use crate::common::{Folder, Peer, Tap};

/// Alters a byte in every chunk of a file, without changing its length or time.
pub(super) fn spoil(path: &Path, len: usize) {
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    for at in (1_000..len as u64).step_by(chunk_bytes(len as u64) as usize) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
    file.set_modified(modified).unwrap();
}

/// The most that can be in flight to one member: a chunk of 256 KiB for each thread.
const IN_FLIGHT_BYTES: u64 = 32 * 256 * 1024;

/// The bytes of a finished download.
fn bytes_fetched(host: &mut Host) -> u64 {
    host.hears("the end", |notice| match notice {
        Notice::DownloadFinished { bytes_fetched, .. } => Some(*bytes_fetched),
        _ => None,
    })
}

/// How often somebody was called a liar.
fn accusations(host: &mut Host) -> usize {
    let accuses = |notice: &Notice| match notice {
        Notice::Error { failure, .. } => failure.code == Code::BadChunk,
        _ => false,
    };
    host.rest().iter().filter(|notice| accuses(notice)).count()
}

/// Every chunk that eve sends has a wrong byte: the result is exact all the same, and she is
/// dropped at the first one, and named once.
#[test]
fn s1_a_host_that_flips_a_byte_in_each_chunk_is_dropped_and_named() {
    let (mut alice, mut bob, mut eve) = (Host::new("alice"), Host::new("bob"), Host::new("eve"));
    eve.connect(alice.addr()).unwrap();
    bob.connect(alice.addr()).unwrap();
    bob.run(Command::Wait { what: Wait::Members(2), within_ms: 20_000 }).unwrap();
    let bytes = content(1, 24 << 20);
    let path = eve.send("report.pdf", &bytes);
    spoil(&path, bytes.len());
    bob.hears_offer("report.pdf");
    // Only eve has the file: nothing that she sends is kept.
    let line = bob.give(Command::Download {
        wanted: "report.pdf".into(),
        paths: Vec::new(),
        patient: true,
        asks: false,
    });
    let told = bob.hears_failure(Code::BadChunk);
    assert!(told.contains("eve") && told.contains("report.pdf"), "{told}");
    assert!(bob.saved().is_empty());
    alice.send("report.pdf", &bytes);
    assert_eq!(bob.outcome(line), Ok(()));
    assert!(bob.saved()[0].1 == bytes);
    assert!(bytes_fetched(&mut bob) <= bytes.len() as u64 + IN_FLIGHT_BYTES);
    assert_eq!(accusations(&mut bob), 0, "once is enough");
    // Eve checked her copy again, and no longer offers it.
    eve.hears_failure(Code::HostChangedFile);
}

/// Alice's file is damaged while bob fetches it from her and from carol.
fn harmed(harm: impl Fn(&Path)) {
    let (mut alice, mut bob, mut carol) =
        (Host::new("alice"), Host::new("bob"), Host::new("carol"));
    carol.connect(alice.addr()).unwrap();
    bob.connect(alice.addr()).unwrap();
    bob.run(Command::Wait { what: Wait::Members(2), within_ms: 20_000 }).unwrap();
    let bytes = content(8, 24 << 20);
    let path = alice.send("a.bin", &bytes);
    carol.send("a.bin", &bytes);
    bob.hears_offer("a.bin");
    bob.hears_offer("a.bin");
    let line = bob.give(Command::Download {
        wanted: "a.bin".into(),
        paths: Vec::new(),
        patient: true,
        asks: false,
    });
    bob.hears("the beginning", |notice| {
        matches!(notice, Notice::DownloadStarted { .. }).then_some(())
    });
    harm(&path);
    assert_eq!(bob.outcome(line), Ok(()));
    assert!(bob.saved()[0].1 == bytes);
    assert_eq!(accusations(&mut bob), 0, "an honest host was called a liar");

    // The next to ask finds the offer withdrawn, even if bob did not.
    let mut dave = Host::new("dave");
    carol.run(Command::Cancel { wanted: "a.bin".into() }).unwrap();
    bob.run(Command::Leave(LeaveWhen::Now)).unwrap();
    dave.connect(alice.addr()).unwrap();
    if let Ok(()) = dave.run(Command::Wait { what: Wait::File("a.bin".into()), within_ms: 10_000 })
    {
        let line = dave.give(Command::Download {
            wanted: "a.bin".into(),
            paths: Vec::new(),
            patient: true,
            asks: false,
        });
        alice.hears_failure(Code::HostChangedFile);
        dave.run(Command::Cancel { wanted: "a.bin".into() }).unwrap();
        let failure = dave.outcome(line).unwrap_err();
        assert_eq!(failure.code, Code::Cancelled);
    } else {
        alice.hears_failure(Code::HostChangedFile);
    }
    assert!(dave.saved().is_empty());
}

#[test]
fn s8_a_source_that_is_edited_while_it_is_fetched_harms_nobody() {
    harmed(|path| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        (0..24).for_each(|at| file.write_all_at(&[0; 512], at << 20).unwrap());
    });
}

#[test]
fn s8_a_source_that_is_truncated_while_it_is_fetched_harms_nobody() {
    harmed(|path| OpenOptions::new().write(true).open(path).unwrap().set_len(9).unwrap());
}

#[test]
fn s8_a_source_that_becomes_a_link_while_it_is_fetched_harms_nobody() {
    harmed(|path| {
        std::fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    });
}

#[test]
fn s8_a_source_that_can_no_longer_be_read_harms_nobody() {
    // Root may read every file, so this one is moved away.
    harmed(|path| std::fs::rename(path, path.with_extension("moved")).unwrap());
}

/// The only host, a program, is killed five times in the middle, and returns with a new identity.
#[test]
fn s5_a_download_outlives_its_only_host() {
    // Slow enough to be killed in the middle on any machine.
    let limits = Limits { down_bytes_per_s: Some(1_500_000), ..Limits::default() };
    let (mut bob, folder) = (Host::with("bob", limits), Folder::new());
    let bytes = content(4, 24 << 20);
    let path = folder.file("a.bin", &bytes);
    let start = |bob: &Host| {
        let mut alice = Peer::start("alice");
        alice.done(&format!("connect {}", bob.addr()));
        alice.done(&format!("send {path}"));
        alice
    };
    let mut alice = start(&bob);
    bob.hears_offer("a.bin");
    let line = bob.give(Command::Download {
        wanted: "a.bin".into(),
        paths: Vec::new(),
        patient: true,
        asks: false,
    });
    for kill in 1..=5 {
        bob.hears("progress", |notice| match notice {
            Notice::DownloadProgress { bytes_done, .. } if *bytes_done >= kill * 3_333_333 => {
                Some(())
            }
            _ => None,
        });
        let _ = alice.killed();
        assert!(bob.saved().is_empty());
        alice = start(&bob);
    }
    assert_eq!(bob.outcome(line), Ok(()));
    assert!(bob.saved()[0].1 == bytes);
    let again = bytes_fetched(&mut bob) - bytes.len() as u64;
    assert!(again <= 5 * IN_FLIGHT_BYTES.min(3_333_333), "{again} bytes came twice");
}

/// All hosts but one send a byte each second: the rest comes from that one, and almost nothing
/// comes twice. (The simulator measures the time.)
#[test]
fn s3_hosts_that_drip_do_not_keep_a_download_from_its_end() {
    // Nobody dials by itself, so the taps are the only way to the slow hosts.
    let limits = Limits { stuck_link_ms: 2_000, dials: 0, ..Limits::default() };
    let host = |name: &str| Host::with(name, limits.clone());
    let (mut bob, mut alice) = (host("bob"), host("alice"));
    let bytes = content(3, 24 << 20);
    let mut slow: Vec<Host> = ["carol", "dave", "erin"].map(host).into();
    let room = alice.addr();
    bob.connect(room).unwrap();
    for host in &mut slow {
        host.connect(room).unwrap();
        let (tap, way) = Tap::before(&host.addr().to_string());
        tap.drip();
        bob.connect(way).unwrap();
        host.send("a.bin", &bytes);
    }
    alice.send("a.bin", &bytes);
    (0..4).for_each(|_| bob.hears_offer("a.bin"));
    assert_eq!(bob.linked(), 4);
    assert_eq!(bob.download("a.bin"), Ok(()));
    assert!(bob.saved()[0].1 == bytes);
    let again = bytes_fetched(&mut bob) - bytes.len() as u64;
    assert!(again <= bytes.len() as u64 / 50, "{again} bytes came twice");
    assert_eq!(accusations(&mut bob), 0, "slow is not bad");
}

fn hostile_names() -> Vec<String> {
    let roots =
        ["", "../", "/", "C:\\", "..\\..\\", "./", "a/../../", "~/", "file:///", "\u{202e}"];
    let cores = [
        "",
        ".",
        "..",
        "x",
        ".bashrc",
        "-rf",
        "CON",
        "nul.txt",
        "COM¹",
        "a:stream",
        "x\n* eve left",
        "\u{1b}[2Jx",
        "x\u{9b}31m",
        "nul\0byte",
        "$(reboot)",
        "a;b|c&d",
        "*.*",
        "trail. . ",
        "e\u{301}",
        "\u{202e}fdp.exe",
        "<b>",
        "\"q\"",
        "%2e%2e%2f",
        "..%c0%af",
        "x\ry",
    ];
    let mut names: Vec<String> = roots
        .iter()
        .flat_map(|root| cores.iter().map(move |core| format!("{root}{core}")))
        .collect();
    names.extend(["a", "é", "漢", "😀"].map(|unit| unit.repeat(250)));
    names.extend(["é", "😀"].map(|unit| format!("{}.jpeg", unit.repeat(200))));
    names.push("x/".repeat(500));
    names.push("../".repeat(300) + "etc/passwd");
    names
}

/// Each name arrives over the wire, in an offer of the empty file, which needs no host.
#[test]
fn s9_hostile_names_land_in_the_folder_as_one_plain_component() {
    let mut alice = Host::new("alice");
    let mut session = Eve::new().join(alice.addr());
    let names = hostile_names();
    let mut writer = session.chain();
    for name in &names {
        let (size, root) = (0, Digest32::default());
        let entry = writer.write(Kind::Offer(Offer {
            name: name.clone(),
            size,
            root,
            folder: None,
            replaces: None,
        }));
        session.say(&Message::Entry(entry.into()));
    }
    session.settle();
    for name in &names {
        alice.download_again(name);
    }
    let saved = alice.saved();
    assert_eq!(saved.len(), names.len());
    for (name, bytes) in &saved {
        assert!(bytes.is_empty());
        let parts: Vec<_> = Path::new(name).components().collect();
        assert!(matches!(parts[..], [Component::Normal(_)]), "{name:?}");
        let clean = |c: char| !is_control(c) && !is_format(c) && !"/\\:<>\"|?*".contains(c);
        assert!(name.chars().all(clean), "{name:?}");
        // `[datetime]_` and what remains of the name.
        assert!(name.len() > 20 && name.len() < 255, "{name:?}");
    }
    let around = std::fs::read_dir(alice.folder.path()).unwrap().count();
    assert_eq!(around, 1, "something lies beside the folder");
}

#[test]
fn s11_one_name_for_two_files_is_told_and_like_names_replace_nothing() {
    let (mut alice, mut bob) = Host::pair();
    let mut carol = Host::new("carol");
    carol.connect(alice.addr()).unwrap();
    bob.run(Command::Wait { what: Wait::Members(2), within_ms: 20_000 }).unwrap();
    let (one, two) = (content(1, 1_000), content(2, 300_000));
    alice.send("report.txt", &one);
    carol.send("report.txt", &two);
    bob.hears_offer("report.txt");
    bob.hears_offer("report.txt");
    let failure = bob.download("report.txt").unwrap_err();
    assert_eq!(failure.code, Code::AmbiguousName);
    assert!(failure.text.contains("alice") && failure.text.contains("carol"), "{}", failure.text);
    bob.run(Command::Files).unwrap();
    let Some(Notice::Files { list }) = bob.told.take() else { panic!("no files") };
    let ids: Vec<_> = list.iter().map(|row| row.file.id).collect();
    assert_eq!(ids.len(), 2);
    for id in ids {
        assert_eq!(bob.download(&id.to_string()), Ok(()));
    }
    // Equal except for case, and except for normalisation.
    let like = ["Plan.txt", "plan.txt", "PLAN.TXT", "pl\u{e4}n.txt", "pla\u{308}n.txt"];
    for (seed, name) in like.iter().enumerate() {
        alice.send(name, &content(10 + seed as u64, 500 + seed));
        bob.hears_offer(name);
        if seed + 1 < like.len() {
            assert_eq!(bob.download(name), Ok(()), "{name:?}");
        }
    }
    // Two spellings of one name are one name.
    let failure = bob.download(like[4]).unwrap_err();
    assert_eq!(failure.code, Code::AmbiguousName, "{failure:?}");
    bob.run(Command::Files).unwrap();
    let Some(Notice::Files { list }) = bob.told.take() else { panic!("no files") };
    let last = list.iter().find(|row| row.file.name.raw() == like[4]).unwrap();
    assert_eq!(bob.download(&last.id.to_string()), Ok(()));
    let saved: Vec<_> = bob.saved().into_iter().map(|(_, bytes)| bytes).collect();
    let mut expected = vec![one, two];
    expected.extend((0..like.len()).map(|seed| content(10 + seed as u64, 500 + seed)));
    assert_eq!(saved.len(), expected.len());
    assert!(expected.iter().all(|bytes| saved.contains(bytes)));
}

#[test]
fn s12_an_offer_of_8_eib_allocates_nothing_and_is_refused_clearly() {
    let (mut alice, mut bob) = Host::pair();
    let mut session = Eve::new().join(alice.addr());
    let mut writer = session.chain();
    for size in [1 << 63, u64::MAX, (1 << 41) + 1] {
        let (name, root) = (format!("huge {size}"), Digest32([7; 32]));
        let entry = writer.write(Kind::Offer(Offer {
            name: name.clone(),
            size,
            root,
            folder: None,
            replaces: None,
        }));
        session.say(&Message::Entry(entry.into()));
        let file = file_id(size, &root);
        session.say(&Message::Hosting { file, held: Held::All, fetching: false });
        session.settle();
        let failure = alice.download(&name).unwrap_err();
        assert!(failure.text.contains(&name) && failure.text.contains("2 TiB"), "{failure:?}");
    }
    alice.run(Command::Files).unwrap();
    assert_eq!(std::fs::read_dir(alice.downloads()).unwrap().count(), 0);
    alice.say("unharmed");
    bob.hears_text("unharmed");
}

/// The longest file allowed: no space is reserved before there is something to write.
#[test]
fn s12_a_file_of_2_tib_that_nobody_sends_takes_no_room() {
    let mut alice = Host::new("alice");
    let mut session = Eve::new().join(alice.addr());
    let (size, root) = (1 << 41, Digest32([7; 32]));
    let entry = session.chain().write(Kind::Offer(Offer {
        name: "huge".into(),
        size,
        root,
        folder: None,
        replaces: None,
    }));
    session.say(&Message::Entry(entry.into()));
    let held = Held::All;
    session.say(&Message::Hosting { file: file_id(size, &root), held, fetching: false });
    session.settle();
    let line = alice.give(Command::Download {
        wanted: "huge".into(),
        paths: Vec::new(),
        patient: true,
        asks: false,
    });
    alice.hears("the beginning", |notice| {
        matches!(notice, Notice::DownloadStarted { .. }).then_some(())
    });
    session.settle();
    alice.run(Command::Cancel { wanted: "huge".into() }).unwrap();
    let failure = alice.outcome(line).unwrap_err();
    assert!(matches!(failure.code, Code::Cancelled | Code::DiskFull), "{failure:?}");
    // A cancelled file may be just being removed.
    let blocks = |entry: std::io::Result<std::fs::DirEntry>| {
        let metadata = entry.unwrap().metadata();
        metadata.map_or(0, |metadata| std::os::unix::fs::MetadataExt::blocks(&metadata))
    };
    let taken: u64 = std::fs::read_dir(alice.downloads()).unwrap().map(blocks).sum();
    assert!(taken < 2_048, "{taken} blocks");
}
