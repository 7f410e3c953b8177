//! Lines from an untrusted stream: of bounded length, and never confused by their content.

use std::io::{self, BufRead, ErrorKind};

use crate::router::notice::{Code, Failure};

/// Longest line of stdin, in bytes.
pub const LINE_MAX_BYTES: usize = 64 * 1024;

/// What the stream had next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its ending (`\n` or `\r\n`); any other character is part of it.
    Text(String),
    /// A line longer than the limit: skipped to its end, and not kept.
    TooLong {
        /// Its length in bytes.
        bytes: u64,
    },
    /// A line that is not UTF-8.
    InvalidUtf8,
    /// The end of the stream.
    End,
}

impl Line {
    /// The text; `None` at the end of the stream.
    ///
    /// # Errors
    /// `message_too_long` and `invalid_utf8`: the line is lost, and the stream continues.
    pub fn into_text(self) -> Result<Option<String>, Failure> {
        match self {
            Line::Text(text) => Ok(Some(text)),
            Line::End => Ok(None),
            Line::TooLong { bytes } => {
                let text =
                    format!("the line has {bytes} bytes, too many for a message: send a file");
                Err(Failure::new(Code::MessageTooLong, text))
            }
            Line::InvalidUtf8 => {
                let text = "the line is not valid UTF-8 and was ignored: write it in UTF-8";
                Err(Failure::new(Code::InvalidUtf8, text))
            }
        }
    }
}

/// Reads lines and holds at most one, up to its limit. It takes no byte after the line's end from
/// the stream, so that others can read on from there.
#[derive(Debug)]
pub struct LineReader<R> {
    stream: R,
    max_bytes: usize,
}

impl<R: BufRead> LineReader<R> {
    /// A reader for lines of at most `max_bytes` bytes, without line endings.
    pub fn new(stream: R, max_bytes: usize) -> Self {
        Self { stream, max_bytes }
    }

    /// What follows the last line.
    pub fn rest(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The next line; a last one without a line feed counts.
    ///
    /// # Errors
    /// The stream's error; being interrupted is not one.
    pub fn next_line(&mut self) -> io::Result<Line> {
        let mut line = Vec::new();
        let mut bytes: u64 = 0;
        let mut ends_in_cr = false;
        loop {
            let chunk = match self.stream.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() && bytes == 0 {
                return Ok(Line::End);
            }
            let end = chunk.iter().position(|&b| b == b'\n');
            let (part, _) = chunk.split_at(end.unwrap_or(chunk.len()));
            bytes += part.len() as u64;
            ends_in_cr = part.last().map_or(ends_in_cr, |&b| b == b'\r');
            let room = self.max_bytes.saturating_sub(line.len());
            line.extend(part.iter().take(room));
            let is_last = end.is_some() || chunk.is_empty();
            let used = part.len() + usize::from(end.is_some());
            self.stream.consume(used);
            if is_last {
                return Ok(self.finish(line, bytes - u64::from(ends_in_cr)));
            }
        }
    }

    /// `bytes` is the line's length without its ending; `line` contains as much as fits.
    fn finish(&self, mut line: Vec<u8>, bytes: u64) -> Line {
        match usize::try_from(bytes) {
            Ok(length) if length <= self.max_bytes => line.truncate(length),
            _ => return Line::TooLong { bytes },
        }
        String::from_utf8(line).map_or(Line::InvalidUtf8, Line::Text)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor, Read};

    use super::*;

    /// All lines, read in pieces of several sizes with the same result.
    fn lines(input: &[u8], max_bytes: usize) -> Vec<Line> {
        let read = |piece: usize| {
            let mut reader =
                LineReader::new(BufReader::with_capacity(piece, Cursor::new(input)), max_bytes);
            let mut lines = Vec::new();
            loop {
                match reader.next_line().unwrap() {
                    Line::End => return lines,
                    line => lines.push(line),
                }
            }
        };
        let whole = read(8_192);
        for piece in [1, 2, 3, 7] {
            assert_eq!(read(piece), whole, "in pieces of {piece}");
        }
        whole
    }

    fn text(text: &str) -> Line {
        Line::Text(text.into())
    }

    #[test]
    fn a_pipe_is_read_line_by_line_whatever_ends_it() {
        assert_eq!(lines(b"", 9), []);
        assert_eq!(lines(b"\n\n", 9), [text(""), text("")]);
        assert_eq!(lines(b"one\r\ntwo\nthree", 9), [text("one"), text("two"), text("three")]);
        assert_eq!(lines(b"a\0b\rc\n\r\n", 9), [text("a\0b\rc"), text("")]);
    }

    #[test]
    fn bytes_that_are_no_text_cost_their_line_only() {
        assert_eq!(lines(b"\xff\xfe\nnext\n", 9), [Line::InvalidUtf8, text("next")]);
        let failure = Line::InvalidUtf8.into_text().unwrap_err();
        assert_eq!(failure.code, Code::InvalidUtf8);
    }

    #[test]
    fn the_limit_counts_the_line_without_its_ending() {
        let fits = [text("123"), text("456"), text("789")];
        assert_eq!(lines(b"123\n456\r\n789", 3), fits);
        let too_long = [Line::TooLong { bytes: 4 }, Line::TooLong { bytes: 4 }, text("ok")];
        assert_eq!(lines(b"1234\n1234\r\nok", 3), too_long);
        assert_eq!(lines(b"123\r\r\n", 3), [Line::TooLong { bytes: 4 }]);
    }

    #[test]
    fn a_line_of_a_megabyte_is_one_clear_error_and_is_never_held() {
        let endless = io::repeat(b'x').take(1 << 20).chain(&b"\nafter"[..]);
        let mut reader = LineReader::new(BufReader::new(endless), 64 * 1024);
        let line = reader.next_line().unwrap();
        assert_eq!(line, Line::TooLong { bytes: 1 << 20 });
        let failure = line.into_text().unwrap_err();
        assert_eq!(failure.code, Code::MessageTooLong);
        assert!(failure.text.contains("1048576"));
        assert_eq!(reader.next_line().unwrap(), text("after"));
        assert_eq!(reader.next_line().unwrap(), Line::End);
        assert_eq!(reader.next_line().unwrap(), Line::End);
    }

    #[test]
    fn what_follows_a_line_stays_in_the_stream() {
        let mut stream = &b"y\nhello\n"[..];
        assert_eq!(LineReader::new(&mut stream, 9).next_line().unwrap(), text("y"));
        assert_eq!(stream, b"hello\n");
    }
}
