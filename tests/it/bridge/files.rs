//! Files that a page sends, and files of the room viewed in it.

use std::io::Write;
use std::net::Shutdown;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::page::{Page, answer, browser, connect, get, request};
use crate::common::{Folder, Peer, content, join, same};
#[cfg(target_os = "linux")]
use crate::hostile::{status_of, stop_for_a_while, wait_until};

/// Headers of the page's own `PUT`.
pub(super) fn headers(page: &Page, length: usize) -> String {
    let (addr, token) = (page.addr, &page.token);
    format!(
        "Origin: http://{addr}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n"
    )
}

/// Gives a file; returns its id.
fn share(page: &Page, name: &str, bytes: &[u8]) -> String {
    let mut stream = connect(page.addr);
    let (addr, headers) = (page.addr, headers(page, bytes.len()));
    let head = format!("PUT /share?name={name} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(bytes).unwrap();
    let answer = answer(&mut stream);
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["file"]["size"], bytes.len());
    answer.json()["file"]["id"].as_str().unwrap().to_owned()
}

/// Everything in a folder, hidden or not.
pub(super) fn lying(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A browser peer whose share folder the test looks into.
pub(super) fn sharing(folder: &Folder) -> (Peer, Page, PathBuf) {
    let dir = folder.path("share");
    let options = crate::common::Options::bare("alice").args(super::page::BROWSER);
    let data = folder.path("data");
    std::fs::create_dir(&data).unwrap();
    let settings = format!("share_dir = {:?}\n", dir.to_str().unwrap());
    std::fs::write(data.join("settings.toml"), settings).unwrap();
    let options = options.args(["--bridge", "0", "--data-dir", data.to_str().unwrap()]);
    let (alice, address) = super::page::started(options);
    (alice, Page::open(&address), dir)
}

#[test]
fn a_file_given_in_the_page_is_offered_under_its_name_and_arrives_whole() {
    let folder = Folder::new();
    let (mut alice, mut page, dir) = sharing(&folder);
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    let bytes = content(1, 5_000_000);
    let id = share(&page, "holiday%20%28new%29.jpg", &bytes);
    let name = "holiday (new).jpg";
    let named = |id: &str| json!({"event": "file_offered", "file": {"id": id, "name": name}});
    let first = page.expect(named(&id))["id"].clone();
    assert!(same(&dir.join("holiday (new).jpg"), &bytes));
    bob.done("wait file holiday (new).jpg");
    bob.done("download holiday (new).jpg");
    assert!(same(&bob.saved()[0], &bytes));
    // Another file of that name is stored beside it, and so is the same file sent again.
    let other = content(2, 1_000);
    let second = share(&page, "holiday%20%28new%29.jpg", &other);
    assert_eq!(page.expect(named(&second))["replaces"], json!(null));
    share(&page, "holiday%20%28new%29.jpg", &other);
    let third = page.expect(named(&second))["id"].clone();
    bob.refused("download holiday (new).jpg", "ambiguous_name");
    assert_eq!(lying(&dir).len(), 3);
    // Each offer has its own copy, which goes with it; what is still offered is still served.
    page.done(json!({"command": "withdraw", "offer": third}));
    page.expect(json!({"event": "file_withdrawn", "id": third}));
    bob.done(&format!("download {second}"));
    alice.done(&format!("cancel {second}"));
    page.expect(json!({"event": "file_withdrawn", "file": {"id": second}}));
    page.done(json!({"command": "withdraw", "offer": first}));
    page.refused(json!({"command": "withdraw", "offer": first}), "no_such_offer");
    alice.quit();
    assert_eq!(bob.end(), 1, "one name was ambiguous");
    assert_eq!(lying(&dir), Vec::<PathBuf>::new(), "no copy outlives its offer");
}

#[test]
fn a_withdrawn_file_can_be_had_back_and_its_copy_goes_when_it_cannot_any_more() {
    let folder = Folder::new();
    let (mut alice, mut page, dir) = sharing(&folder);
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    let bytes = content(1, 100_000);
    let id = share(&page, "a.bin", &bytes);
    let offered = || json!({"event": "file_offered", "file": {"id": id}});
    let first = page.expect(offered())["id"].clone();
    bob.expect(offered());
    page.done(json!({"command": "withdraw", "offer": first}));
    bob.expect(json!({"event": "file_withdrawn", "file": {"id": id}}));
    assert!(same(&dir.join("a.bin"), &bytes), "for as long as it can be undone");
    page.done(json!({"command": "restore", "offer": first}));
    let second = page.expect(offered())["id"].clone();
    assert_ne!(first, second);
    bob.expect(offered());
    bob.done("download a.bin");
    assert!(same(&bob.saved()[0], &bytes));
    page.done(json!({"command": "withdraw", "offer": second}));
    page.done(json!({"command": "leave"}));
    page.refused(json!({"command": "restore", "offer": second}), "no_such_offer");
    alice.quit();
    bob.quit();
    assert_eq!(lying(&dir), Vec::<PathBuf>::new(), "no copy outlives its offer");
}

#[test]
fn many_are_withdrawn_and_had_back_with_one_command_each() {
    let folder = Folder::new();
    let (mut alice, mut page, dir) = sharing(&folder);
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    // As many as a page allows in one drop.
    let count = 300;
    let mut offers = Vec::new();
    for seed in 0..count {
        let id = share(&page, &format!("{seed}.bin"), format!("file {seed}").as_bytes());
        let offered = page.expect(json!({"event": "file_offered", "file": {"id": id}}));
        offers.push(offered["id"].clone());
    }
    let unknown = "ab".repeat(32);
    let some = json!([offers[0], unknown, offers[1]]);
    page.refused(json!({"command": "withdraw", "offers": some}), "no_such_offer");
    page.done(json!({"command": "withdraw", "offers": offers[2..]}));
    bob.expect(json!({"event": "file_withdrawn", "file": {"name": format!("{}.bin", count - 1)}}));
    assert_eq!(lying(&dir).len(), count);
    page.done(json!({"command": "restore", "offers": offers}));
    for name in ["0.bin", "1.bin", "299.bin"] {
        bob.expect(json!({"event": "file_offered", "file": {"name": name}}));
    }
    bob.done("download 1.bin");
    assert!(same(&bob.saved()[0], b"file 1"));
    page.refused(json!({"command": "restore", "offers": offers}), "no_such_offer");
    alice.quit();
    bob.quit();
}

#[test]
fn a_file_of_the_persons_own_is_never_removed() {
    let folder = Folder::new();
    let (mut alice, mut page, _) = sharing(&folder);
    let path = folder.file("own.txt", b"mine");
    alice.done(&format!("send {path}"));
    let offered = page.expect(json!({"event": "file_offered"}));
    page.done(json!({"command": "withdraw", "offer": offered["id"]}));
    alice.quit();
    assert!(same(Path::new(&path), b"mine"));
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let folder = Folder::new();
    let (mut alice, page, dir) = sharing(&folder);
    let mut stream = connect(page.addr);
    let (addr, headers) = (page.addr, headers(&page, 1_000_000));
    let head = format!("PUT /share?name=a.txt HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[0; 500_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // Klatch answers nothing, closes, and has removed what it received.
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut rest).unwrap();
    assert_eq!(rest, b"");
    assert_eq!(lying(&dir), Vec::<PathBuf>::new());
    alice.quit();
}

/// As with Ctrl-Z and `fg`: what was under way continues.
#[test]
#[cfg(target_os = "linux")]
fn a_klatch_that_is_stopped_for_a_while_breaks_nothing_off() {
    let folder = Folder::new();
    let (mut alice, mut page, dir) = sharing(&folder);
    let bytes = content(3, 1_000_000);
    let mut stream = connect(page.addr);
    let (addr, headers) = (page.addr, headers(&page, bytes.len()));
    let head = format!("PUT /share?name=a.bin HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let (first, rest) = bytes.split_at(500_000);
    stream.write_all(first).unwrap();
    let came = |path: &PathBuf| path.metadata().is_ok_and(|it| it.len() == first.len() as u64);
    wait_until("the first half lies there", || lying(&dir).iter().any(came));
    for _ in 0..3 {
        stop_for_a_while(alice.program.pid(), || {});
    }
    page.done(json!({"command": "say", "text": "still here"}));
    stream.write_all(rest).unwrap();
    assert_eq!(answer(&mut stream).status, 201);
    assert!(same(&dir.join("a.bin"), &bytes));
    alice.quit();
}

/// The bytes go through klatch, not into its memory.
#[cfg(target_os = "linux")]
#[test]
fn a_large_file_costs_no_memory() {
    const BYTES: usize = 200_000_000;
    let folder = Folder::new();
    let (mut alice, mut page, dir) = sharing(&folder);
    // The first file has costs that later ones do not have.
    share(&page, "small.bin", &content(5, 3_000_000));
    let before_kb = status_of(alice.program.pid(), "VmHWM:");
    let mut stream = connect(page.addr);
    let (addr, headers) = (page.addr, headers(&page, BYTES));
    let head = format!("PUT /share?name=large.bin HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let piece = content(6, 1_000_000);
    for _ in 0..BYTES / piece.len() {
        stream.write_all(&piece).unwrap();
    }
    assert_eq!(answer(&mut stream).status, 201);
    page.expect(json!({"event": "file_offered", "file": {"name": "large.bin", "size": BYTES}}));
    let grown_kb = status_of(alice.program.pid(), "VmHWM:") - before_kb;
    assert!(grown_kb < 32 * 1024, "it grew by {grown_kb} kB");
    assert_eq!(std::fs::metadata(dir.join("large.bin")).unwrap().len(), BYTES as u64);
    alice.quit();
}

#[test]
fn only_the_page_gives_files_and_only_what_fits() {
    let folder = Folder::new();
    let (mut alice, page, dir) = sharing(&folder);
    let addr = page.addr;
    let put = |name: &str, headers: &str| request(addr, &format!("PUT /share{name}"), headers);
    let own = format!("Origin: http://{addr}\r\n");
    let token = format!("Authorization: Bearer {}\r\n", page.token);
    let (small, huge) = ("Content-Length: 0\r\n", format!("Content-Length: {}\r\n", 1_u64 << 41));
    for (name, headers, status) in [
        ("?name=a", format!("{token}{small}"), 403),
        ("?name=a", format!("Origin: http://evil.example\r\n{token}{small}"), 403),
        ("?name=a", format!("{own}{small}"), 401),
        ("?name=a", format!("{own}Authorization: Bearer x\r\n{small}"), 401),
        ("", format!("{own}{token}{small}"), 400),
        ("?name=", format!("{own}{token}{small}"), 400),
        ("?name=%ff", format!("{own}{token}{small}"), 400),
        ("?name=a", format!("{own}{token}"), 411),
        ("?name=a", format!("{own}{token}Transfer-Encoding: chunked\r\n"), 411),
        ("?name=a", format!("{own}{token}{small}{small}"), 400),
        ("?name=a", format!("{own}{token}Content-Length: -1\r\n"), 400),
        ("?name=a", format!("{own}{token}Content-Length: 99999999999999\r\n"), 413),
    ] {
        assert_eq!(put(name, &headers).status, status, "{name} {headers}");
    }
    let disk = rustix::fs::statvfs(folder.path(".")).unwrap();
    if disk.f_bavail.saturating_mul(disk.f_frsize) < 1 << 41 {
        let answer = put("?name=a", &format!("{own}{token}{huge}"));
        assert_eq!((answer.status, &answer.json()["code"]), (507, &json!("disk_full")));
    }
    assert_eq!(lying(&dir), Vec::<PathBuf>::new());
    // None of that counts as a failure of the program.
    alice.quit();
}

#[test]
fn any_part_of_a_file_can_be_read() {
    let folder = Folder::new();
    let (mut alice, address) = browser("alice");
    let mut page = Page::open(&address);
    let bytes = content(3, 700_001);
    alice.done(&format!("send {}", folder.file("film é.webm", &bytes)));
    let offered = page.expect(json!({"event": "file_offered"}));
    let id = offered["id"].as_str().unwrap().to_owned();
    let path = page.media(&id);
    let whole = get(page.addr, &path, "");
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("video/webm")));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert!(whole.body == bytes);
    let tag = whole.header("etag").unwrap().to_owned();
    for (range, first, last) in [
        ("bytes=0-99", 0, 99),
        ("bytes=699990-", 699_990, 700_000),
        ("bytes=-5", 699_996, 700_000),
        ("bytes=262000-263000", 262_000, 263_000),
    ] {
        let part = get(page.addr, &path, &format!("Range: {range}\r\nIf-Range: {tag}\r\n"));
        assert_eq!(part.status, 206, "{range}");
        let told = format!("bytes {first}-{last}/700001");
        assert_eq!(part.header("content-range"), Some(told.as_str()));
        assert!(part.body == bytes[first..=last], "{range}");
    }
    let beyond = get(page.addr, &path, "Range: bytes=700001-\r\n");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */700001")));
    let another = get(page.addr, &path, "Range: bytes=0-9\r\nIf-Range: \"another\"\r\n");
    assert_eq!((another.status, another.body.len()), (200, 700_001));
    let saved = get(page.addr, &format!("{path}?save"), "");
    assert_eq!(saved.header("content-type"), Some("application/octet-stream"));
    let disposition = saved.header("content-disposition").unwrap();
    assert_eq!(disposition, "attachment; filename*=UTF-8''film%20%C3%A9.webm");
    let (_, name) = path.rsplit_once('/').unwrap();
    for wrong in
        [format!("/files/AAAAAAAAAAAAAAAAAAAAAA/{name}"), format!("{path}x"), "/files/".into()]
    {
        assert_eq!(get(page.addr, &wrong, "").status, 404, "{wrong}");
    }
    alice.quit();
}

#[test]
fn a_file_is_shown_while_it_arrives() {
    let folder = Folder::new();
    let (mut alice, address) = browser("alice");
    let mut page = Page::open(&address);
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    let bytes = content(4, 20_000_000);
    bob.done(&format!("send {}", folder.file("film.mp4", &bytes)));
    let offered = page.expect(json!({"event": "file_offered"}));
    let id = offered["id"].as_str().unwrap().to_owned();
    let path = page.media(&id);
    // Nothing can arrive yet: the only host is stopped.
    bob.program.signal(Signal::STOP);
    let download = page.give(json!({"command": "download", "offer": id}));
    page.expect(json!({"event": "download_started"}));
    let mut stream = connect(page.addr);
    let addr = page.addr;
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nRange: bytes=15000000-15999999\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    bob.program.signal(Signal::CONT);
    let part = answer(&mut stream);
    assert_eq!(part.status, 206);
    assert!(part.body == bytes[15_000_000..16_000_000]);
    page.expect(json!({"event": "command_done", "line": download}));
    let count = 20_000_000_u64.div_ceil(256 << 10);
    page.expect_that("all chunks", |event| {
        event["event"] == "chunks" && event["count"] == count && held(event) == count
    });
    alice.quit();
    bob.quit();
}

/// How many chunks are here, by this event.
fn held(chunks: &Value) -> u64 {
    let bitmap = BASE64.decode(chunks["held"].as_str().unwrap().as_bytes()).unwrap();
    bitmap.iter().map(|byte| u64::from(byte.count_ones())).sum()
}

/// B9: what could run in a browser is shown as text, or saved.
#[test]
fn b9_nothing_that_members_send_acts() {
    let folder = Folder::new();
    let (mut alice, address) = browser("alice");
    let mut page = Page::open(&address);
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    let act = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    for (name, kind) in [
        ("a.html", "text/plain; charset=utf-8"),
        ("a.svg", "text/plain; charset=utf-8"),
        ("a.xml", "text/plain; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.xhtml", "application/octet-stream"),
        ("a.pdf", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ] {
        bob.done(&format!("send {}", folder.file(name, act)));
        let offered = page.expect(json!({"event": "file_offered", "file": {"name": name}}));
        let id = offered["id"].clone();
        page.done(json!({"command": "download", "offer": id}));
        let path = page.media(id.as_str().unwrap());
        let shown = get(page.addr, &path, "");
        assert_eq!(shown.status, 200);
        assert_eq!(shown.header("content-type"), Some(kind), "{name}");
        assert_eq!(shown.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(shown.header("content-security-policy"), Some("sandbox; default-src 'none'"));
        assert_eq!(shown.header("cross-origin-resource-policy"), Some("same-origin"));
        let saved = kind == "application/octet-stream";
        let disposition = shown.header("content-disposition").unwrap();
        assert_eq!(disposition.starts_with("attachment"), saved, "{name}");
        bob.done(&format!("cancel {name}"));
        page.expect(json!({"event": "file_withdrawn", "file": {"name": name}}));
    }
    alice.quit();
    bob.quit();
}
