//! The one answer that every command gets.

use std::collections::BTreeMap;

use super::ids::FaceId;
use super::notice::{Code, Failure};

/// Most failures of one command that are reported one by one.
const FAILURES_SHOWN: usize = 8;

/// Answers that wait for several files, and whether any command failed.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// Downloads that one command requested: how many have yet to end, and the failures of those
    /// that did.
    several: BTreeMap<(FaceId, u64), (usize, Vec<Failure>)>,
    failed: bool,
}

impl Replies {
    /// A command is answered when this many downloads have ended.
    pub(crate) fn await_several(&mut self, of: (FaceId, u64), count: usize) {
        self.several.insert(of, (count, Vec::new()));
    }

    /// A face ended: none of its commands are answered any more.
    pub(crate) fn forget(&mut self, face: FaceId) {
        self.several.retain(|(of, _), _| *of != face);
    }

    /// Whether a command of the terminal failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// The result of a whole command, once the last of its downloads has ended.
    pub(crate) fn settle(
        &mut self,
        (face, line): (FaceId, u64),
        command: &str,
        result: Result<(), Failure>,
    ) -> Option<Result<(), Failure>> {
        let several = self.several.get_mut(&(face, line)).filter(|_| command == "download");
        let result = match several {
            None => result,
            Some((left, failures)) => {
                *left -= 1;
                failures.extend(result.err());
                if *left > 0 {
                    return None;
                }
                let (_, failures) = self.several.remove(&(face, line))?;
                all_of(failures)
            }
        };
        // A page reports failures itself, where its person sees them.
        self.failed |= result.is_err() && face == FaceId::TERMINAL;
        Some(result)
    }
}

/// A command's answer about those of its files that could not be offered.
pub(crate) fn all_of(mut failures: Vec<Failure>) -> Result<(), Failure> {
    if failures.len() < 2 {
        return failures.pop().map_or(Ok(()), Err);
    }
    let code = failures.first().map_or(Code::IoError, |failure| failure.code);
    let more = failures.len().saturating_sub(FAILURES_SHOWN);
    let shown = failures.into_iter().take(FAILURES_SHOWN).map(|failure| failure.text);
    let more = (more > 0).then(|| format!("and {more} more failed"));
    let texts: Vec<String> = shown.chain(more).collect();
    Err(Failure::new(code, texts.join("; ")))
}
