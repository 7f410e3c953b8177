//! Browser input as text, for tests that give the bridge's parsers what no browser would send.

use super::http::{Head, Reject};
use super::orders::{self, For, TabGreeting};
use super::range::{self, WantedRange};
use crate::router::command::Command;
use crate::router::notice::Failure;

/// What was understood of a request's head.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Bytes of the head.
    pub length: usize,
    /// Without the query.
    pub path: String,
    /// The parameter `name`, decoded.
    pub name: Option<String>,
    /// It is a valid request for a WebSocket.
    pub is_websocket: bool,
    /// First and last byte that it wants of a file, if not all of them.
    pub part: Option<(u64, u64)>,
}

/// Reads the head of a request for a file of `size` bytes; `None` until it is complete.
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

/// Whether a text is a possible first message from a page.
#[must_use]
pub fn is_greeting(text: &str) -> bool {
    serde_json::from_str::<TabGreeting>(text).is_ok()
}

/// Reads a page's command; `None` means one that the bridge itself answers.
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
