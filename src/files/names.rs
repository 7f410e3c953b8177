//! File names: what a file is called when offered, and how a peer's name is made safe.
//!
//! Members may be hostile: whatever they send, [`safe_name`] turns it into one plain path
//! component, and none of klatch's paths contains a peer's name in any other form.

use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use crate::router::text::{is_control, is_format};

/// Longest safe name in bytes: most disks allow 255, and a date and a number need room as well.
pub const SAFE_NAME_MAX_BYTES: usize = 150;
/// Longest safe component of a path inside a folder, in bytes: what most disks take.
pub const SAFE_COMPONENT_MAX_BYTES: usize = 255;
/// Longest extension in bytes, without the dot, that is kept when a name is shortened.
const EXTENSION_MAX_BYTES: usize = 16;
/// Replaces a name of which nothing is left.
const NAMELESS: &str = "file";

/// Makes a name from a peer safe to create in a folder: the last component after `/`, `\` and `:`,
/// in NFC, without control, format and bidirectional characters, `<>"|?*` replaced by `_`, no
/// leading dots, dashes or spaces, no trailing dots or spaces, no device name of Windows, at most
/// 150 bytes, never empty. A name that is safe already stays as it is.
#[must_use]
pub fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\', ':']).next().unwrap_or_default();
    made_safe(last, "", SAFE_NAME_MAX_BYTES)
}

/// Makes one component of a peer's path inside a folder safe, as [`safe_name`] does, except that
/// separators of other systems become `_`, a leading dot stays, and 255 bytes are allowed.
#[must_use]
pub fn safe_component(name: &str) -> String {
    made_safe(&name.replace(['/', '\\', ':'], "_"), ".", SAFE_COMPONENT_MAX_BYTES)
}

/// Makes a name without separators safe; `kept` may be at its beginning, but not alone.
fn made_safe(name: &str, kept: &str, max_bytes: usize) -> String {
    // Invisible characters go first: they can separate what NFC would compose.
    let visible = name.chars().filter(|&c| !is_control(c) && !is_format(c));
    let plain: String =
        visible.nfc().map(|c| if "<>\"|?*".contains(c) { '_' } else { c }).collect();
    let kept = if plain.starts_with(kept) { kept } else { "" };
    let leading = |c: char| c == '.' || c == '-' || c.is_whitespace();
    let name = shortened(plain.trim_start_matches(leading), max_bytes - kept.len());
    let name = format!("{kept}{name}");
    // Shortening can expose a device name, so it comes first.
    if is_device(&name) { shortened(&format!("_{name}"), max_bytes) } else { name }
}

/// Removes dots and spaces from the end of `name`.
fn trimmed(name: &str) -> String {
    let name = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    if name.is_empty() { NAMELESS.to_owned() } else { name.to_owned() }
}

/// The name shortened to this many bytes, without dots and spaces at its end.
pub(super) fn shortened(name: &str, max_bytes: usize) -> String {
    trimmed(&cut(&trimmed(name), max_bytes))
}

/// Shortens `name` to `max_bytes`, which must exceed an extension's length; splits no character and
/// keeps a short extension.
#[must_use]
pub fn cut(name: &str, max_bytes: usize) -> String {
    if name.len() <= max_bytes {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    let kept = if extension.len() <= 1 + EXTENSION_MAX_BYTES { extension } else { "" };
    let stem = if kept.is_empty() { name } else { stem };
    let end = stem.floor_char_boundary(max_bytes.saturating_sub(kept.len()));
    format!("{}{kept}", stem.get(..end).unwrap_or_default())
}

/// A safe name in ASCII only, for disks that allow no other characters.
pub(super) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect()
}

/// The name without its extension, and the extension with its dot, or empty.
fn split_extension(name: &str) -> (&str, &str) {
    let dot = name.rfind('.').filter(|&dot| dot > 0).unwrap_or(name.len());
    name.split_at_checked(dot).unwrap_or((name, ""))
}

/// Whether Windows takes `name` for a device, whatever its extension.
fn is_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    match base.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$" => true,
        _ => ["COM", "LPT"].iter().any(|port| {
            let mut number = base.strip_prefix(port).unwrap_or_default().chars();
            matches!(number.next(), Some('0'..='9' | '¹' | '²' | '³')) && number.next().is_none()
        }),
    }
}

/// The name of a download: the time when it finished, as [`stamp`] writes it, then the safe name.
#[must_use]
pub fn download_name(stamp: &str, name: &str) -> String {
    format!("{stamp}_{}", safe_name(name))
}

/// Whether a download of `name` would be saved as `saved`, with a date or without.
#[must_use]
pub fn is_download_of(saved: &str, name: &str) -> bool {
    let stamp = saved.strip_suffix(safe_name(name).as_str());
    stamp.is_some_and(|stamp| {
        let as_stamped =
            |(shape, is): (u8, u8)| shape == is || shape == b'0' && is.is_ascii_digit();
        let shape = "0000-00-00_00-00-00_";
        stamp.is_empty()
            || stamp.len() == shape.len() && shape.bytes().zip(stamp.bytes()).all(as_stamped)
    })
}

/// `name` for the `number`th file with that name: the second `a.txt` is `a (2).txt`.
#[must_use]
pub fn numbered(name: &str, number: u32) -> String {
    if number < 2 {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    format!("{stem} ({number}){extension}")
}

/// The name under which a file of ours is offered: the last component of its path. Bytes that are
/// not UTF-8 become U+FFFD.
#[must_use]
pub fn offer_name(path: &Path) -> String {
    path.file_name().map_or_else(|| NAMELESS.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Date and time as they begin a download's name: `2026-11-22_14-05-33`. Sorts by time and needs no
/// escaping on any disk or in any shell.
#[must_use]
pub fn stamp(local: time::OffsetDateTime) -> String {
    let (year, month, day) = local.to_calendar_date();
    let (hour, minute, second) = local.to_hms();
    format!("{year:04}-{:02}-{day:02}_{hour:02}-{minute:02}-{second:02}", u8::from(month))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::OpenOptions;
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;
    use crate::sys::testing::no_text;

    /// S9: names that have hurt others, alone and combined.
    fn hostile_names() -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let roots = [
            "",
            "/",
            "//",
            "\\",
            "\\\\",
            "../",
            "..\\",
            "../../../../",
            "..\\..\\..\\",
            "./",
            ".\\",
            "C:",
            "C:\\",
            "c:/",
            "\\\\?\\C:\\",
            "\\\\.\\",
            "\\\\host\\share\\",
            "~/",
            "~root/",
            "/etc/",
            "/dev/",
            "/proc/self/fd/",
            "file:///",
            "%2e%2e%2f",
            "..%c0%af",
            "....//",
            "..;/",
            "a/../",
            "a\\..\\..\\",
            "\u{202e}",
            "\u{200b}",
            "\u{feff}",
            "\0",
            "\n",
            "\r\n",
            "\u{1b}]0;x\u{7}",
            "-",
            "--",
            "-rf ",
            ".",
            "..",
            "...",
            " ",
            "  ",
            "\t",
            "$(id)",
            "`id`",
            "|id",
            ";id;",
            "&",
            "&&",
            ">",
            "<",
            "\"",
            "'",
            "*",
            "?",
            "!",
            "#",
            "%s%n",
            "{}",
            "$HOME",
            "\u{ff0f}",
            "\u{2044}",
            "\u{2215}",
            "\u{29f8}",
            "\u{ff3c}",
            "\u{2024}\u{2024}/",
            "\u{301}",
            "e\u{301}",
            "\u{212b}",
            "\u{1100}\u{1161}",
            "\u{1d160}",
            "<\u{338}",
        ];
        let cores = [
            "",
            "passwd",
            ".bashrc",
            ".ssh/authorized_keys",
            "report.pdf",
            "a.tar.gz",
            "..",
            "...",
            "CON",
            "con",
            "PrN",
            "aux.txt",
            "NUL",
            "nul.tar.gz",
            "COM1",
            "com0.log",
            "COM¹",
            "LPT³.x",
            "lpt9 ",
            "CONIN$",
            "conout$.txt",
            "CLOCK$",
            "CON .txt",
            "NUL...",
            "AUX  . .",
            "COM1:",
            "a:stream",
            "a.txt::$DATA",
            "x\u{202e}fdp.exe",
            "x\u{200d}y\u{2066}z",
            "\u{1b}[2Jx",
            "x\u{9b}31m",
            "x\ny",
            "x\ry.txt",
            "x\u{2028}y",
            "tab\tname",
            "del\u{7f}",
            "nul\0byte.txt",
            "desktop.ini",
            "$(reboot).sh",
            "`x`",
            "a;b|c&d",
            "*.*",
            "?",
            "<script>.html",
            "\"q\"",
            "'q'",
            "-rf",
            "--help",
            "- x",
            "trail. ",
            "trail...",
            "trail\u{a0}",
            " lead",
            ".-. -x",
            "\u{e9}.txt",
            "e\u{301}.txt",
            "\u{ac00}",
            "\u{1100}\u{1161}\u{11a8}",
            "\u{1f600}.png",
            "\u{0344}",
            "\u{fb2c}",
            "\u{37e}",
            "\u{1fef}",
            "e\u{200b}\u{301}",
            "a\u{34f}\u{323}",
        ];
        let ends = ["", ".", " ", "/", "\\", ":", ".txt", " .", "\0", "\u{202c}"];
        for root in roots {
            for core in cores {
                names.extend(ends.map(|end| format!("{root}{core}{end}")));
            }
        }
        for length in 100..300 {
            for unit in ["a", "é", "漢", "😀", "e\u{301}", "\u{1d160}", ". ", "NUL ", "a."] {
                names.insert(unit.repeat(length));
                names.insert(format!("{}.jpeg", unit.repeat(length)));
                names.insert(format!("x.{}", unit.repeat(length)));
                names.insert(format!("NUL{}x.txt", " ".repeat(length)));
            }
        }
        names
    }

    fn assert_safe(raw: &str) {
        let safe = safe_name(raw);
        let clean = |c: char| !is_control(c) && !is_format(c) && !"/\\:<>\"|?*".contains(c);
        assert!(!safe.is_empty() && safe.len() <= SAFE_NAME_MAX_BYTES, "{raw:?} {safe:?}");
        assert!(safe.chars().all(clean), "{raw:?} {safe:?}");
        assert!(!safe.starts_with(['.', '-', ' ']), "{raw:?} {safe:?}");
        assert!(!safe.ends_with(['.', ' ']), "{raw:?} {safe:?}");
        assert!(!is_device(&safe), "{raw:?} {safe:?}");
        assert!(safe.nfc().eq(safe.chars()), "{raw:?} {safe:?}");
        assert_eq!(safe_name(&safe), safe, "{raw:?}");
        let parts: Vec<_> = Path::new(&safe).components().collect();
        assert!(matches!(parts[..], [Component::Normal(_)]), "{raw:?} {safe:?}");
    }

    #[test]
    fn hostile_names_land_in_the_folder_as_one_plain_component() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("downloads");
        std::fs::create_dir(&folder).unwrap();
        let names = hostile_names();
        assert!(names.len() >= 2_000);
        for (index, name) in names.iter().enumerate() {
            assert_safe(name);
            let path = folder.join(download_name(&index.to_string(), name));
            OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), names.len());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_become_what_a_person_would_expect() {
        for (raw, safe) in [
            ("report.pdf", "report.pdf"),
            ("Été à la plage (2).jpg", "Été à la plage (2).jpg"),
            ("e\u{301}te\u{301}.txt", "été.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a.txt", "a.txt"),
            ("a.txt::$DATA", "$DATA"),
            ("folder/", "file"),
            ("..", "file"),
            ("", "file"),
            (".bashrc", "bashrc"),
            ("--help", "help"),
            ("what?.txt. ", "what_.txt"),
            ("nul.tar.gz", "_nul.tar.gz"),
            ("COM¹", "_COM¹"),
            ("COM10", "COM10"),
            ("console.log", "console.log"),
            ("ann\u{202e}gpj.exe", "anngpj.exe"),
            ("e\u{200b}\u{301}", "é"),
            ("CON .txt", "_CON .txt"),
        ] {
            assert_eq!(safe_name(raw), safe);
        }
        let long = safe_name(&format!("{}.jpeg", "é".repeat(200)));
        assert!(long.len() == 149 && long.ends_with("é.jpeg"), "{long}");
        assert_eq!(safe_name(&format!("a.{}", "b".repeat(200))).len(), 150);
    }

    #[test]
    fn inside_a_folder_a_leading_dot_and_long_names_stay() {
        for (raw, safe) in [
            (".bashrc", ".bashrc"),
            ("..", ".file"),
            (". -x", ".x"),
            ("\u{200b}.a", ".a"),
            ("-.git", "git"),
            ("a\\..\\b:c", "a_.._b_c"),
            ("aux.c", "_aux.c"),
            (".aux", ".aux"),
            ("a. ", "a"),
        ] {
            assert_eq!(safe_component(raw), safe);
        }
        assert_eq!(safe_component(&"b".repeat(255)), "b".repeat(255));
        let long = safe_component(&format!(".{}.jpeg", "é".repeat(200)));
        assert!(long.len() == 254 && long.ends_with("é.jpeg"), "{long}");
        for name in hostile_names() {
            let safe = safe_component(&name);
            assert_eq!(safe_component(&safe), safe, "{name:?}");
            let parts: Vec<_> = Path::new(&safe).components().collect();
            assert!(matches!(parts[..], [Component::Normal(_)]), "{name:?} {safe:?}");
            assert!(safe.len() <= 255 && !safe.contains(['\\', ':']) && !is_device(&safe));
        }
    }

    #[test]
    fn downloads_carry_their_date_and_a_number_where_needed() {
        let at = time::macros::datetime!(2026-11-22 14:05:33.9 +1);
        assert_eq!(stamp(at), "2026-11-22_14-05-33");
        let name = download_name(&stamp(at), "../report.pdf");
        assert_eq!(name, "2026-11-22_14-05-33_report.pdf");
        assert!(is_download_of(&name, "../report.pdf") && is_download_of("a", "a"));
        assert!(!is_download_of("old_a", "a") && !is_download_of("2026-11-22_14-05_a", "a"));
        assert_eq!(numbered(&name, 1), name);
        assert_eq!(numbered(&name, 2), "2026-11-22_14-05-33_report (2).pdf");
        assert_eq!(numbered("README", 3), "README (3)");
    }

    #[test]
    fn an_offer_bears_the_last_component() {
        assert_eq!(offer_name(Path::new("/home/ana/a b.txt")), "a b.txt");
        assert_eq!(offer_name(Path::new("/home/..")), "file");
        assert_eq!(offer_name(Path::new(&no_text("dir/a", ".txt"))), "a\u{fffd}.txt");
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_safe_name(raw in any::<String>()) {
            assert_safe(&raw);
        }

        #[test]
        fn any_long_text_becomes_a_safe_name(
            raw in "[-. a\u{300}-\u{303}e\u{1100}-\u{1112}\u{1161}-\u{1175}漢😀\u{200b}CON]{100,300}"
        ) {
            assert_safe(&raw);
        }
    }
}
