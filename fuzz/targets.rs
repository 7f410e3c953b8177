//! A function for each parser of foreign bytes: it takes any bytes, returns whether they were
//! valid, and panics if something that must hold then does not. The fuzzer and `tests/corpus.rs`
//! call them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use klatch::crypto::binding::Role;
use klatch::crypto::hash::digest;
use klatch::crypto::identity::Identity;
use klatch::crypto::noise::Handshake;
use klatch::files::disk::{Disk, SystemDisk};
use klatch::files::folder::manifest::{Manifest, PATH_MAX_BYTES};
use klatch::files::folder::paths::LocalPaths;
use klatch::files::folder::units::{UnitContent, Units};
use klatch::files::names::{SAFE_NAME_MAX_BYTES, download_name, is_download_of, safe_name};
use klatch::limits::Limits;
use klatch::net::lane::{Header, Request, Status};
use klatch::net::preamble::{CLEAR_BYTES, MAGIC, parse_clear};
use klatch::router::command::Command;
use klatch::router::ids::RoomId;
use klatch::router::invite_link::{InviteLink, SCHEME};
use klatch::router::signed::{
    KEPT_MAX, PARENTS_MAX, SignedEntry, SignedInvitation, SignedPresence, SignedRecord,
};
use klatch::router::text::{
    Untrusted, check_message, check_name, is_control, is_format, read_name,
};
use klatch::settings::Saved;
use klatch::wire::message::{self, size_hint};
use klatch::wire::opening::Opening;
use klatch::{bridge, files, program};

/// A parser and its name, which also names its folder in `fuzz/corpus`.
type Target = (&'static str, fn(&[u8]) -> bool);

pub(crate) const TARGETS: &[Target] = &[
    ("entry", entry),
    ("head", head),
    ("invitation", invitation),
    ("invite-link", invite_link),
    ("job-frame", job_frame),
    ("job-request", job_request),
    ("lane", lane),
    ("leftovers", leftovers),
    ("manifest", manifest),
    ("message", message),
    ("opening", opening),
    ("order", order),
    ("preamble", preamble),
    ("presence", presence),
    ("record", record),
    ("safe-name", name),
    ("settings", settings),
    ("text", text),
    ("verified", verified),
];

/// The room for which everything in the corpora is signed.
const ROOM: RoomId = RoomId([7; 32]);

/// The signer.
fn alice() -> Identity {
    Identity::from_seed([1; 32])
}

/// What is signed over these labels (PROTOCOL.md): the fuzzer cannot sign, and would get no further
/// without a signature.
fn signature(id: &[u8], label: &[u8], bytes: &[u8]) -> [u8; 64] {
    alice().sign(&[label, &digest(&[id, &ROOM.0, bytes])].concat())
}

/// Whether a text is harmless on a terminal.
fn is_safe(text: &str) -> bool {
    !text.contains(|c| (is_control(c) && !"\n\t".contains(c)) || is_format(c))
}

/// A value that was read is the same when it is written and read again.
fn same<T: PartialEq + Debug, E: Debug + PartialEq>(again: Result<T, E>, value: T) {
    assert_eq!(again, Ok(value));
}

fn preamble(bytes: &[u8]) -> bool {
    let Some((clear, noise)) = bytes.split_first_chunk::<CLEAR_BYTES>() else { return false };
    let Ok((major, role)) = parse_clear(*clear) else { return false };
    assert_eq!([&MAGIC[..], &[major, role]].concat(), clear);
    if let Some(role) = Role::from_byte(role) {
        assert_eq!(role.byte(), clear[7]);
    }
    for handshake in [Handshake::listener(clear), Handshake::dialer(clear)] {
        let mut handshake = handshake.expect("a handshake begins");
        // A dialer reads nothing before it has written.
        if handshake.read(noise).is_ok() && handshake.write(&mut [0; 64]).is_ok() {
            handshake.finish().expect("both messages have passed");
        }
    }
    true
}

fn opening(bytes: &[u8]) -> bool {
    let Ok(opening) = Opening::decode(bytes, &ROOM) else { return false };
    same(Opening::decode(&opening.encode(&roomy()).expect("it fits"), &ROOM), opening);
    true
}

fn message(bytes: &[u8]) -> bool {
    let limits = Limits::default();
    let Ok(Some(message)) = message::decode(bytes, &ROOM, &limits) else { return false };
    let mut again = Vec::new();
    message::encode(&message, &roomy(), &mut again).expect("it fits");
    let hint = size_hint(&message);
    assert!(hint + 256 > again.len(), "{hint} bytes predicted, not {}: {message:?}", again.len());
    same(message::decode(&again, &ROOM, &limits), Some(message));
    true
}

/// Fields that were left out are written in full, so a message can get longer.
fn roomy() -> Limits {
    Limits { message_max_bytes: 1 << 20, ..Limits::default() }
}

fn entry(bytes: &[u8]) -> bool {
    let signature = signature(b"klatch entry 1\0", b"klatch entry signature 1\0", bytes);
    let Ok(entry) = SignedEntry::verify(&ROOM, bytes, &signature) else { return false };
    assert!(entry.body.parents.len() <= PARENTS_MAX);
    let again = SignedEntry::sign(&ROOM, &alice(), entry.body.clone());
    let read = SignedEntry::verify(&ROOM, again.bytes(), &again.signature);
    assert_eq!(again.body, entry.body);
    same(read, again);
    true
}

fn presence(bytes: &[u8]) -> bool {
    let signature = alice().sign(&[&b"klatch presence 1\0"[..], &ROOM.0, bytes].concat());
    let Ok(presence) = SignedPresence::verify(&ROOM, bytes, &signature) else { return false };
    same(read_name(&presence.body.name), presence.body.name.clone());
    let again = SignedPresence::sign(&ROOM, &alice(), presence.body.clone());
    assert_eq!(again.body, presence.body);
    same(SignedPresence::verify(&ROOM, &again.bytes, &again.signature), again);
    true
}

fn invitation(bytes: &[u8]) -> bool {
    let signature = signature(b"klatch invitation 1\0", b"klatch invitation signature 1\0", bytes);
    let Ok(invitation) = SignedInvitation::verify(&ROOM, bytes, &signature) else { return false };
    let again = SignedInvitation::sign(&ROOM, &alice(), invitation.body.clone());
    assert_eq!(again.body, invitation.body);
    same(SignedInvitation::verify(&ROOM, &again.bytes, &again.signature), again);
    true
}

fn record(bytes: &[u8]) -> bool {
    use klatch::router::membership::record::Record;
    let signature = signature(b"klatch record 1\0", b"klatch record signature 1\0", bytes);
    let Ok(record) = SignedRecord::verify(&ROOM, bytes, &signature) else { return false };
    let kept = match &record.record {
        Record::Ticket(_) => 0,
        Record::Removal(removal) => removal.kept.len(),
        Record::Lock(lock) => lock.kept.len(),
    };
    assert!(kept <= KEPT_MAX);
    let (said, claim) = (record.record.clone(), record.claim.clone());
    let again = SignedRecord::sign(&ROOM, &alice(), said, claim);
    assert_eq!(again.claim, record.claim);
    same(SignedRecord::verify(&ROOM, &again.bytes, &again.signature), again.clone());
    // The members that it keeps may change their order, but only the first time.
    let (said, claim) = (again.record.clone(), again.claim.clone());
    assert_eq!(SignedRecord::sign(&ROOM, &alice(), said, claim), again);
    true
}

fn lane(bytes: &[u8]) -> bool {
    let header = Header::from_bytes(bytes);
    if let Some(header) = &header {
        assert_eq!(header.to_bytes(), bytes);
    }
    let Some(request) = Request::from_bytes(bytes) else { return header.is_some() };
    assert_eq!(request.to_bytes(), bytes);
    let own = Header::of(&request, 0, Status::NotHeld, 0);
    assert!(request.is_answered_by(&Header::from_bytes(&own.to_bytes()).expect("a header")));
    let _ = header.is_some_and(|header| request.is_answered_by(&header));
    true
}

fn manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::decode(bytes.to_vec()) else { return false };
    let entries: Vec<_> = manifest.iter().collect();
    assert_eq!(entries.len(), manifest.len() as usize);
    same(Manifest::encode(&entries), manifest.clone());
    for exec in [false, true] {
        // Safe names may together be too long.
        let Ok(paths) = LocalPaths::of(&manifest, exec) else { continue };
        let mut places = BTreeSet::new();
        for (index, entry) in (0..).zip(&entries) {
            assert_eq!(manifest.entry(index).as_ref(), Some(entry));
            let place = paths.path(index, &entry.path).expect("it is an entry");
            assert!(place.len() <= PATH_MAX_BYTES && is_safe(&place), "{place:?}");
            let mut parts = Path::new(&place).components();
            assert!(parts.all(|part| matches!(part, Component::Normal(_))), "{place:?}");
            assert!(places.insert(place.to_lowercase()), "{place:?} twice");
        }
    }
    // Only their number can be wrong: there may be too many.
    let Ok(units) = Units::of(&manifest) else { return true };
    let mut total = 0;
    for unit in 0..units.count().min(64) {
        let len = units.len_bytes(unit).expect("it is a unit");
        total += u64::from(len);
        if let Some(UnitContent::Bundle(files)) = units.content(unit) {
            assert_eq!(files.iter().map(|file| file.len).sum::<u32>(), len);
        }
    }
    assert!(total <= manifest.total_bytes());
    true
}

fn head(bytes: &[u8]) -> bool {
    const SIZE: u64 = 1_000;
    let read = bridge::foreign::request(bytes, SIZE);
    let request = match &read {
        Ok(Some(request)) => request,
        Ok(None) => return false,
        Err(status) => {
            assert!((400..600).contains(status), "{status}");
            return false;
        }
    };
    assert!(request.path.starts_with('/') && !request.path.contains(char::is_whitespace));
    if let Some((first, last)) = request.part {
        assert!(first <= last && last < SIZE, "{first} to {last}");
    }
    // What follows a head does not change it, and nothing shorter is a head.
    assert_eq!(bridge::foreign::request(&bytes[..request.length], SIZE), read);
    let less = bridge::foreign::request(&bytes[..request.length - 1], SIZE);
    assert_eq!(less, Ok(None), "a head that is not whole");
    true
}

fn order(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let _ = bridge::foreign::is_greeting(text);
    let order = bridge::foreign::order(text);
    let understood = order.is_ok();
    match order {
        Ok(Some(Command::Say { text })) => same(check_message(&text), ()),
        Ok(Some(Command::Name { name })) => same(check_name(&name), name),
        Ok(Some(Command::Connect { port, .. })) => assert_ne!(port, 0),
        Ok(_) => {}
        Err(failure) => assert!(is_safe(&failure.text), "{:?}", failure.text),
    }
    understood
}

fn invite_link(bytes: &[u8]) -> bool {
    let is_text = std::str::from_utf8(bytes).is_ok_and(reads);
    // The fuzzer would not find the checksum, which is verified first.
    let check = digest(&[b"klatch invite check 1\0", bytes]);
    let whole = BASE32_NOPAD.encode(&[bytes, &check[..2]].concat());
    reads(&format!("{SCHEME}{whole}")) || is_text
}

fn reads(text: &str) -> bool {
    let Ok(link) = InviteLink::from_text(text) else { return false };
    let is_canonical = |addr: &SocketAddr| addr.ip() == addr.ip().to_canonical();
    assert!(link.addrs.iter().all(is_canonical), "{link:?}");
    // Addresses may change their order, but only the first time.
    let text = link.to_text();
    assert_eq!(InviteLink::from_text(&text).map(|again| again.to_text()), Ok(text));
    true
}

fn job_frame(mut bytes: &[u8]) -> bool {
    let all = bytes;
    let Ok(Some((kind, body))) = program::foreign::frame(&mut bytes) else { return false };
    let length = u32::try_from(body.len()).expect("a length").to_be_bytes();
    assert_eq!([&[kind], &length[..], &body, bytes].concat(), all);
    true
}

fn job_request(bytes: &[u8]) -> bool {
    let Some(request) = program::foreign::request(bytes) else { return false };
    assert_eq!(program::foreign::request(request.as_bytes()), Some(request));
    true
}

fn settings(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Saved::parse(text) {
        Ok(saved) => {
            let _ = (saved.limit_up(), saved.limit_down(), saved.downloads(), saved.share_dir());
            true
        }
        Err((line, what)) => {
            assert!((1..=text.lines().count() + 1).contains(&line), "line {line}");
            assert!(!what.contains('\n'), "{what:?}");
            false
        }
    }
}

fn verified(bytes: &[u8]) -> bool {
    let members = program::foreign::verified(bytes).expect("nothing fails in memory");
    let lines = members.iter().map(|(id, name)| format!("{id} {name}\n"));
    let again = program::foreign::verified(lines.collect::<String>().as_bytes());
    assert_eq!(again.expect("nothing fails in memory"), members);
    !members.is_empty()
}

/// The first line is a file name in a downloads folder, the rest is the content of its hints.
fn leftovers(bytes: &[u8]) -> bool {
    let (name, hints) = bytes.split_at(bytes.iter().position(|&b| b == b'\n').unwrap_or(0));
    let name = Path::new(OsStr::from_bytes(name));
    if name.components().count() != 1
        || !matches!(name.components().next(), Some(Component::Normal(_)))
    {
        return false;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let part = folder.path().join(name);
    if fs::write(&part, "part").is_err()
        || fs::write(part.with_extension("claims"), &hints[1..]).is_err()
    {
        return false;
    }
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let mut named = false;
    for left in files::leftovers::find(&disk, folder.path()).expect("it can be read") {
        assert!(left.id.bytes().all(|b| b.is_ascii_hexdigit()), "{left:?}");
        named |= left.name.is_some();
        assert!(left.name.is_none_or(|name| name.len() <= 1_024));
        let removed = files::leftovers::remove(&disk, folder.path(), &left.id);
        assert!(matches!(removed, Ok(files::leftovers::PartRemoval::Removed(_))), "{removed:?}");
        assert!(!part.exists());
    }
    named
}

fn name(bytes: &[u8]) -> bool {
    let foreign = String::from_utf8_lossy(bytes);
    let name = safe_name(&foreign);
    assert_eq!(safe_name(&name), name, "made safe twice");
    assert!(!name.is_empty() && name.len() <= SAFE_NAME_MAX_BYTES);
    assert!(is_safe(&name) && !name.contains(['/', '\\', ':', '\n', '\t']), "{name:?}");
    assert_eq!(
        Path::new(&name).components().collect::<Vec<_>>(),
        [Component::Normal(name.as_ref())]
    );
    assert!(is_download_of(&download_name("2026-11-22_14-05-33", &foreign), &foreign));
    true
}

/// What others say, and how it is shown.
fn text(bytes: &[u8]) -> bool {
    let foreign = String::from_utf8_lossy(bytes);
    let text = Untrusted::new(&foreign);
    assert_eq!(text.raw(), foreign);
    for line in [text.line(), text.short()] {
        assert!(is_safe(&line) && !line.contains(['\n', '\t']), "{line:?}");
    }
    let block = text.block();
    // Joiners, which emoji need, may remain in a message.
    assert!(is_safe(&block.replace(['\u{200c}', '\u{200d}'], "")), "{block:?}");
    assert!(block.lines().skip(1).all(|line| line.starts_with("    ")), "{block:?}");
    if let Ok(name) = check_name(&foreign) {
        same(check_name(&name), name);
    }
    true
}
