//! Limits how many earlier messages are printed: only the last ones, which are known once nothing
//! older arrives any more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::router::notice::Notice;

/// Earlier messages arrive without longer gaps than this.
const QUIET: Duration = Duration::from_millis(300);

/// Earlier messages and offers, held back until the last ones are known.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    /// How many messages are printed; `None`: all of them, at once.
    most: Option<usize>,
    held: VecDeque<Notice>,
    messages: usize,
    came: Option<Instant>,
}

impl HeldBack {
    /// Prints the last `most` of the earlier messages; `None`: all.
    pub(super) fn new(most: Option<usize>) -> Self {
        Self { most, ..Self::default() }
    }

    /// Whether a notice is held back. Offers are always printed, in their place.
    pub(super) fn holds(&mut self, notice: &Notice) -> bool {
        let Some(most) = self.most else { return false };
        let is_old = matches!(
            notice,
            Notice::Message { history: true, .. }
                | Notice::FileOffered { history: true, .. }
                | Notice::FileWithdrawn { history: true, .. }
        );
        if let Notice::MessageWithdrawn { id, .. } = notice {
            let is = |held: &Notice| matches!(held, Notice::Message { id: of, .. } if of == id);
            let Some(place) = self.held.iter().position(is) else { return false };
            self.held.remove(place);
            self.messages -= 1;
            return true;
        }
        if !is_old {
            return false;
        }
        self.came = Some(Instant::now());
        self.messages += usize::from(is_message(notice));
        self.held.push_back(notice.clone());
        if self.messages > most
            && let Some(oldest) = self.held.iter().position(is_message)
        {
            self.held.remove(oldest);
            self.messages -= 1;
        }
        true
    }

    /// What to print before this notice: everything held, if the notice is not history.
    pub(super) fn before(&mut self, notice: &Notice) -> VecDeque<Notice> {
        let is_present = matches!(
            notice,
            Notice::Message { history: false, .. }
                | Notice::FileOffered { history: false, .. }
                | Notice::FileWithdrawn { history: false, .. }
                | Notice::CommandDone { .. }
                | Notice::Error { .. }
                | Notice::Left { .. }
                | Notice::Stopped { .. }
        );
        if is_present { self.release() } else { VecDeque::new() }
    }

    /// What to print because nothing older will come.
    pub(super) fn due(&mut self) -> VecDeque<Notice> {
        match self.patience() {
            Some(left) if left.is_zero() => self.release(),
            _ => VecDeque::new(),
        }
    }

    /// How long something older may still come; `None` if nothing is held.
    pub(super) fn patience(&self) -> Option<Duration> {
        let came = self.came.filter(|_| !self.held.is_empty())?;
        Some(QUIET.saturating_sub(came.elapsed()))
    }

    /// Everything that is held.
    pub(super) fn release(&mut self) -> VecDeque<Notice> {
        self.messages = 0;
        std::mem::take(&mut self.held)
    }
}

fn is_message(notice: &Notice) -> bool {
    matches!(notice, Notice::Message { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::ids::{EntryId, FileId, MemberId};
    use crate::router::notice::{FileInfo, Who};
    use crate::router::text::Untrusted;

    fn from() -> Who {
        Who { id: MemberId([1; 32]), name: Untrusted::new("ana"), verified: false }
    }

    fn message(text: &str, history: bool) -> Notice {
        Notice::Message {
            id: EntryId([0; 32]),
            from: from(),
            text: Untrusted::new(text),
            time_ms: 0,
            own: false,
            history,
            order: String::new(),
            known: true,
        }
    }

    fn offer() -> Notice {
        Notice::FileOffered {
            id: EntryId([2; 32]),
            replaces: None,
            alike: false,
            file: FileInfo { id: FileId([1; 32]), name: Untrusted::new("a.txt"), size: 1 },
            folder: None,
            from: from(),
            time_ms: 0,
            own: false,
            history: true,
            order: String::new(),
        }
    }

    #[test]
    fn the_last_messages_are_printed_and_every_offer() {
        let mut backlog = HeldBack::new(Some(2));
        for notice in ["a", "b", "c"].map(|text| message(text, true)) {
            assert!(backlog.holds(&notice));
        }
        assert!(backlog.holds(&offer()));
        assert!(backlog.holds(&message("d", true)));
        let now = message("now", false);
        assert!(!backlog.holds(&now));
        let printed: Vec<_> = backlog.before(&now).into();
        assert_eq!(printed, [message("c", true), offer(), message("d", true)]);
        assert!(backlog.before(&now).is_empty() && backlog.patience().is_none());
    }

    #[test]
    fn none_are_offers_only_and_all_is_at_once() {
        let mut none = HeldBack::new(Some(0));
        assert!(none.holds(&message("a", true)) && none.holds(&offer()));
        assert_eq!(Vec::from(none.release()), [offer()]);
        assert!(!HeldBack::new(None).holds(&message("a", true)));
    }
}
