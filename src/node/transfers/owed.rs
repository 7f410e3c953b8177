//! Answers that the router waits for.

use crossbeam_channel::Sender;

use crate::router::event::Event;

/// An event that the router waits for. It is sent however the work ends: if that panics, the event
/// given at the start is sent.
pub(super) struct ReplyGuard<'a> {
    inbox: &'a Sender<Event>,
    otherwise: Option<Event>,
}

impl<'a> ReplyGuard<'a> {
    /// Promises `inbox` an event; `otherwise` reports that the work failed.
    pub(super) fn new(inbox: &'a Sender<Event>, otherwise: Event) -> Self {
        Self { inbox, otherwise: Some(otherwise) }
    }

    /// Sends the event.
    pub(super) fn send(mut self, event: Event) {
        self.otherwise = Some(event);
    }
}

impl Drop for ReplyGuard<'_> {
    fn drop(&mut self) {
        if let Some(event) = self.otherwise.take() {
            // Without a router nobody waits.
            let _ = self.inbox.send(event);
        }
    }
}
