//! The byte range that a request asks for (RFC 9110, 14): one range at most.

use super::http::read_number;

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WantedRange {
    /// 200: all of it.
    All,
    /// 206: from the first to the last of these bytes.
    Part { first: u64, last: u64 },
    /// 416: the file has none of it.
    Nothing,
}

/// Reads the value of `Range` for a file of `size` bytes. What is not understood, including several
/// ranges, means all of it, as the RFC allows.
pub(super) fn wanted(range: Option<&str>, size: u64) -> WantedRange {
    let Some(range) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return WantedRange::All;
    };
    let Some((first, last)) = range.split_once('-') else { return WantedRange::All };
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return match read_number(last).filter(|_| !last.is_empty()) {
            None => WantedRange::All,
            Some(0) => WantedRange::Nothing,
            Some(_) if size == 0 => WantedRange::Nothing,
            Some(count) => WantedRange::Part { first: size.saturating_sub(count), last: size - 1 },
        };
    }
    let last = if last.is_empty() { Some(u64::MAX) } else { read_number(last) };
    match (read_number(first), last) {
        (Some(first), Some(last)) if first > last => WantedRange::All,
        (Some(first), Some(_)) if first >= size => WantedRange::Nothing,
        (Some(first), Some(last)) => WantedRange::Part { first, last: last.min(size - 1) },
        _ => WantedRange::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let part = |first, last| WantedRange::Part { first, last };
        for (range, size, answer) in [
            ("bytes=0-0", 10, part(0, 0)),
            ("bytes=0-", 10, part(0, 9)),
            ("bytes=3-5", 10, part(3, 5)),
            ("bytes=3-500", 10, part(3, 9)),
            ("bytes=-4", 10, part(6, 9)),
            ("bytes=-40", 10, part(0, 9)),
            ("bytes=9-9", 10, part(9, 9)),
            ("bytes=10-", 10, WantedRange::Nothing),
            ("bytes=-0", 10, WantedRange::Nothing),
            ("bytes=0-", 0, WantedRange::Nothing),
            ("bytes=-1", 0, WantedRange::Nothing),
            ("bytes=5-3", 10, WantedRange::All),
            ("bytes=0-1,4-5", 10, WantedRange::All),
            ("bytes=+1-2", 10, WantedRange::All),
            ("bytes=-", 10, WantedRange::All),
            ("bytes=99999999999999999999-", 10, WantedRange::All),
            ("lines=1-2", 10, WantedRange::All),
            ("", 10, WantedRange::All),
        ] {
            assert_eq!(wanted(Some(range), size), answer, "{range} of {size}");
        }
        assert_eq!(wanted(None, 10), WantedRange::All);
    }
}
