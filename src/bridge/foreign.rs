//! Browser input as text, for tests that feed the bridge's parsers what no browser would send.

use super::http::{Head, Reject};
use super::orders::{self, For, TabGreeting};
use super::range::{self, WantedRange};
use crate::router::command::Command;
use crate::router::notice::Failure;

/// What was understood of the head of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Bytes that the head takes.
    pub length: usize,
    /// Without the query.
    pub path: String,
    /// The parameter `name`, decoded.
    pub name: Option<String>,
    /// It is a valid request for a WebSocket.
    pub is_websocket: bool,
    /// First and last of the bytes that it wants of a file, if not all of them.
    pub part: Option<(u64, u64)>,
}

/// Reads the head of a request for a file of `size` bytes; `None` until all of it is there.
///
/// # Errors
/// The status of the answer.
pub fn request(bytes: &[u8], size: u64) -> Result<Option<RequestHead>, u16> {
    let read = Head::read(bytes).map_err(|reject| match reject {
        Reject::With(status) => status,
        Reject::Gone => 0,
    });
    Ok(read?.map(|(length, head)| RequestHead {
        length,
        name: head.parameter("name"),
        is_websocket: head.websocket_accept().is_some(),
        part: match range::wanted(head.only("range"), size) {
            WantedRange::Part { first, last } => Some((first, last)),
            WantedRange::All | WantedRange::Nothing => None,
        },
        path: head.path,
    }))
}

/// Whether a page's first message can be one.
#[must_use]
pub fn is_greeting(text: &str) -> bool {
    serde_json::from_str::<TabGreeting>(text).is_ok()
}

/// Reads a command of a page; `None` is one that the bridge answers by itself.
///
/// # Errors
/// What is wrong with it.
pub fn order(text: &str) -> Result<Option<Command>, Failure> {
    let given = orders::read(text).map_err(|(_, failure)| failure)?;
    Ok(match given.order.addressed()? {
        For::Router(command) => Some(command),
        _ => None,
    })
}
