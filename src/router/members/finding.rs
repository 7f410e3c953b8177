//! Which member a name means, and names in a sentence.

use super::{Members, with_digits};
use crate::router::ids::MemberId;
use crate::router::notice::{Code, Failure};
use crate::router::text::{Untrusted, VERIFIED_MARK};

/// Names in one sentence.
const NAMED_MAX: usize = 8;

impl Members {
    /// Names in a sentence, or the first of very many.
    pub(crate) fn names(&self, ids: &[MemberId]) -> String {
        let mut names: Vec<String> =
            ids.iter().take(NAMED_MAX).map(|id| self.who(id).marked()).collect();
        if ids.len() > NAMED_MAX {
            names.push(format!("{} others", ids.len() - NAMED_MAX));
        }
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, first)) => format!("{} and {last}", first.join(", ")),
            None => String::new(),
        }
    }

    /// The member that a name means: as it is shown, or one that only one member has.
    pub(crate) fn find_present(&self, nick: &str) -> Result<MemberId, Failure> {
        // A name copied from the screen may include its mark.
        let nick = nick.strip_suffix(VERIFIED_MARK).unwrap_or(nick);
        let found = |wanted: &dyn Fn(&MemberId) -> bool| -> Vec<MemberId> {
            self.present().filter(wanted).collect()
        };
        let mut candidates = found(&|id| {
            let name = self.name_of(id);
            name.raw() == nick || with_digits(name.raw(), id) == nick
        });
        if candidates.is_empty() {
            candidates = found(&|id| self.bare_name(id).unwrap_or_default() == nick);
        }
        let quoted = Untrusted::new(nick);
        match candidates.as_slice() {
            [one] => Ok(*one),
            [] => {
                let text = format!("nobody here is called {quoted}: members shows who is");
                Err(Failure::new(Code::NameNotFound, text))
            }
            several => {
                let names: Vec<String> = several.iter().map(|id| self.who(id).marked()).collect();
                let text = format!("several here are called {quoted}: {}", names.join(", "));
                Err(Failure::new(Code::AmbiguousName, text))
            }
        }
    }

    /// The member that a name means, present or not.
    pub(crate) fn find_known(&self, nick: &str) -> Result<MemberId, Failure> {
        let present = self.find_present(nick);
        if present.is_ok() {
            return present;
        }
        let bare = nick.strip_suffix(VERIFIED_MARK).unwrap_or(nick);
        match self.known_as(bare).as_slice() {
            [one] => Ok(*one),
            [] => present,
            several => {
                let names = self.names(several);
                let text = format!("several are called {}: {names}", Untrusted::new(bare));
                Err(Failure::new(Code::AmbiguousName, text))
            }
        }
    }
}
