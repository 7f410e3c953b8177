//! The files of the page. They are compiled into the program; a debug build reads them from
//! `frontend/` for each request, so that a reload shows a change.

use std::borrow::Cow;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "frontend/"]
struct PageFiles;

/// A file of the page.
#[derive(Debug)]
pub(super) struct Asset {
    /// Its media type.
    pub(super) kind: &'static str,
    /// Whether a browser can show it on its own, and run what is in it.
    pub(super) is_document: bool,
    pub(super) bytes: Cow<'static, [u8]>,
}

/// The file for a request's path.
pub(super) fn find(path: &str) -> Option<Asset> {
    let name = match path.strip_prefix('/')? {
        "" => "index.html",
        name => name,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let hidden = name.split('/').any(|part| part.is_empty() || part.starts_with('.'));
    if hidden || !name.chars().all(plain) {
        return None;
    }
    let (_, extension) = name.rsplit_once('.')?;
    let kind = match extension {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => return None,
    };
    let is_document = matches!(extension, "html" | "svg");
    Some(Asset { kind, is_document, bytes: PageFiles::get(name)?.data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_page_are_found() {
        assert_eq!(find("/").unwrap().kind, "text/html; charset=utf-8");
        assert_eq!(find("/").unwrap().bytes, find("/index.html").unwrap().bytes);
        for path in [
            "",
            "//index.html",
            "/../Cargo.toml",
            "/../src/main.rs",
            "/./index.html",
            "/lib/../index.html",
            "/%2e%2e/Cargo.toml",
            "/package.json",
            "/index.html/",
            "/index.html\0.js",
            "/nothing.js",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
