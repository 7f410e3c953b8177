//! Serves files of the room for the page to show or save, even while they are still downloading.
//!
//! Members' files are hostile: a browser may show only passive content (pictures, audio, video,
//! plain text), in a sandbox, and at unguessable paths.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::http::{Client, Head, Method, Reply, percent_decoded};
use super::keys::FileTicket;
use super::range::{WantedRange, wanted};
use super::server::BridgeShared;
use crate::files::merkle::chunk_bytes;
use crate::files::served::Served;
use crate::router::ids::FileId;

/// No file may do anything, whatever its type.
const POLICY: &str = "sandbox; default-src 'none'";
/// Bytes read and sent at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// How long a download may take until it can have some of the file.
const BEGINNING: Duration = Duration::from_secs(10);
/// How long requested bytes may take to come.
const ARRIVAL: Duration = Duration::from_secs(60);
/// How often to check whether the download is still running.
const LOOK: Duration = Duration::from_millis(200);
/// Chunks to fetch first, from the awaited one on: those that a player will want next.
const AHEAD_CHUNKS: u32 = 8;

/// How a file is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaKind {
    Image(&'static str),
    Audio(&'static str),
    Video(&'static str),
    Text,
    /// Only saved.
    Other,
}

impl MediaKind {
    /// The page's word for it.
    pub(super) fn face(self) -> &'static str {
        match self {
            Self::Image(_) => "image",
            Self::Audio(_) => "audio",
            Self::Video(_) => "video",
            Self::Text => "text",
            Self::Other => "none",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Image(kind) | Self::Audio(kind) | Self::Video(kind) => kind,
            Self::Text => "text/plain; charset=utf-8",
            Self::Other => "application/octet-stream",
        }
    }
}

/// How a file with this name is shown. Active types, such as HTML and SVG, count as text.
pub(super) fn kind_of(name: &str) -> MediaKind {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "png" => MediaKind::Image("image/png"),
        "jpg" | "jpeg" => MediaKind::Image("image/jpeg"),
        "gif" => MediaKind::Image("image/gif"),
        "webp" => MediaKind::Image("image/webp"),
        "avif" => MediaKind::Image("image/avif"),
        "mp3" => MediaKind::Audio("audio/mpeg"),
        "m4a" | "aac" => MediaKind::Audio("audio/mp4"),
        "ogg" | "oga" | "opus" => MediaKind::Audio("audio/ogg"),
        "wav" => MediaKind::Audio("audio/wav"),
        "flac" => MediaKind::Audio("audio/flac"),
        "weba" => MediaKind::Audio("audio/webm"),
        "mp4" | "m4v" => MediaKind::Video("video/mp4"),
        "webm" => MediaKind::Video("video/webm"),
        "ogv" => MediaKind::Video("video/ogg"),
        "txt" | "md" | "log" | "csv" | "tsv" | "json" | "xml" | "html" | "htm" | "svg" | "css"
        | "js" | "mjs" | "ts" | "rs" | "py" | "sh" | "c" | "h" | "cpp" | "hpp" | "go" | "java"
        | "rb" | "pl" | "lua" | "sql" | "toml" | "yaml" | "yml" | "ini" | "conf" | "tex"
        | "diff" | "patch" | "srt" | "vtt" => MediaKind::Text,
        _ => MediaKind::Other,
    }
}

/// The path of a file under a ticket. The name is there for people and for saving.
pub(super) fn path_of(ticket: &str, name: &str) -> String {
    format!("/files/{ticket}/{}", percent_encoded(name))
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Answers a request for a file; false if the connection must not be used again.
pub(super) fn serve(
    shared: &BridgeShared,
    client: &mut Client<'_>,
    head: &Head,
) -> io::Result<bool> {
    let Some(ticket) = ticket_of(shared, head) else {
        client.respond(head, &Reply::new(404), b"there is nothing here")?;
        return Ok(true);
    };
    client.prove();
    let FileTicket { file, size, name, .. } = &ticket;
    let served = shared.node.library.file(file, BEGINNING);
    let Some(served) = served.filter(|served| served.tree().len() == *size) else {
        client.respond(head, &Reply::new(404), b"this file is not here: download it first")?;
        return Ok(true);
    };
    let tag = format!("\"{file}\"");
    let fresh = head.count("if-range") == 0 || head.only("if-range") == Some(&tag);
    let wanted = wanted(head.only("range").filter(|_| fresh), *size);
    let (status, first, length) = match wanted {
        WantedRange::All => (200, 0, *size),
        WantedRange::Part { first, last } => (206, first, last - first + 1),
        WantedRange::Nothing => (416, 0, 0),
    };
    let mut reply = described(head, name, Reply::new(status).policy(POLICY))
        .header("Accept-Ranges", "bytes")
        .header("ETag", &tag);
    reply = match wanted {
        WantedRange::All => reply,
        WantedRange::Part { first, last } => {
            reply.header("Content-Range", &format!("bytes {first}-{last}/{size}"))
        }
        WantedRange::Nothing => reply.header("Content-Range", &format!("bytes */{size}")),
    };
    client.begin(head, &reply, length)?;
    if head.method == Method::Head {
        return Ok(true);
    }
    let mut bytes = Bytes { shared, file, served, urgent: None };
    bytes.send(client, first, length)?;
    Ok(true)
}

/// The file that a path is valid for; the path's last part is for people.
fn ticket_of(shared: &BridgeShared, head: &Head) -> Option<FileTicket> {
    let (ticket, name) = head.path.strip_prefix("/files/")?.split_once('/')?;
    let named = percent_decoded(name)?;
    shared.keys.ticket(ticket).filter(|ticket| ticket.name == named)
}

/// Adds its type, and whether it should be saved.
fn described(head: &Head, name: &str, reply: Reply) -> Reply {
    let kind = kind_of(name);
    if kind == MediaKind::Other || head.query.split('&').any(|word| word == "save") {
        let safe = crate::files::names::safe_name(name);
        let disposition = format!("attachment; filename*=UTF-8''{}", percent_encoded(&safe));
        let reply = reply.header("Content-Type", MediaKind::Other.media_type());
        return reply.header("Content-Disposition", &disposition);
    }
    reply.header("Content-Type", kind.media_type()).header("Content-Disposition", "inline")
}

/// A file on its way to a browser.
struct Bytes<'a> {
    shared: &'a BridgeShared,
    file: &'a FileId,
    served: Arc<Served>,
    /// The last chunk that was requested urgently.
    urgent: Option<u32>,
}

impl Bytes<'_> {
    /// Sends the bytes that are here, and waits for those that are not.
    fn send(&mut self, client: &mut Client<'_>, first: u64, length: u64) -> io::Result<()> {
        let mut buffer = vec![0; PIECE_BYTES];
        let chunk_bytes = u64::from(chunk_bytes(self.served.tree().len()));
        let (mut offset, end) = (first, first + length);
        while offset < end {
            let chunk = u32::try_from(offset / chunk_bytes).map_err(io::Error::other)?;
            self.wait_for(chunk)?;
            let chunk_end = (u64::from(chunk) + 1) * chunk_bytes;
            let count = (end.min(chunk_end) - offset).min(PIECE_BYTES as u64);
            let piece = buffer.get_mut(..usize::try_from(count).unwrap_or(PIECE_BYTES));
            let piece = piece.unwrap_or_default();
            self.served.read_at(offset, piece).map_err(io::Error::other)?;
            client.write(piece)?;
            offset += count;
        }
        Ok(())
    }

    /// Waits for a chunk, and lets it be fetched first.
    fn wait_for(&mut self, chunk: u32) -> io::Result<()> {
        let deadline = Instant::now() + ARRIVAL;
        while !self.served.holds(chunk) {
            if self.urgent != Some(chunk) {
                self.urgent = Some(chunk);
                let last = chunk.saturating_add(AHEAD_CHUNKS);
                let told = self.shared.node.handle.urgent(*self.file, chunk, last);
                told.map_err(io::Error::other)?;
            }
            if self.served.chunks().wait_for(chunk, LOOK) {
                return Ok(());
            }
            let gone = !self.shared.node.library.is_current(self.file, &self.served);
            if gone || self.shared.is_stopping() || Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_is_never_shown_as_what_it_is() {
        for name in ["a.html", "a.svg", "a.xml", "a.HTM", "x.js"] {
            assert_eq!(kind_of(name), MediaKind::Text, "{name}");
        }
        for name in ["a.xhtml", "a.pdf", "a.swf", "a", "", ".png.", "a.html "] {
            assert_eq!(kind_of(name), MediaKind::Other, "{name}");
        }
        assert_eq!(kind_of("holiday.JPG"), MediaKind::Image("image/jpeg"));
        assert_eq!(kind_of("film.webm").face(), "video");
    }

    #[test]
    fn names_stand_in_paths_as_they_can_be_read_back() {
        for name in ["a b.png", "../x", "a?b#c%d.txt", "éñ漢😀.jpg", "\r\nx"] {
            let path = path_of("ticket", name);
            let last = path.strip_prefix("/files/ticket/").unwrap();
            assert!(last.bytes().all(|b| b.is_ascii_graphic() && b != b'/'), "{path}");
            assert_eq!(percent_decoded(last).as_deref(), Some(name));
        }
    }
}
