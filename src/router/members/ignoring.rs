//! `/ignore`: hides somebody on this side only. The log, links and presence go on, because what
//! others say refers to it; but faces are not told what the ignored say and offer, and nothing is
//! served to them.

use super::Members;
use crate::router::ids::MemberId;
use crate::router::notice::{Code, Failure};

/// Members that one node ignores at most.
const IGNORED_MAX: usize = 1_024;

impl Members {
    /// Ignores a member, or hears it again; returns what the person is told of that.
    pub(crate) fn change_ignored(&mut self, id: MemberId, off: bool) -> Result<String, Failure> {
        let name = self.who(&id).marked();
        let refused = |text: String| Err(Failure::new(Code::Usage, text));
        if id == self.me {
            return refused("you cannot ignore yourself".to_owned());
        }
        if off {
            return match self.ignored.remove(&id) {
                true => Ok(format!("you hear {name} again; what was said meanwhile is not shown")),
                false => refused(format!("you do not ignore {name}")),
            };
        }
        if self.ignored.len() >= IGNORED_MAX {
            return refused("you ignore too many people: /ignore <nick> off".to_owned());
        }
        self.ignored.insert(id);
        Ok(format!(
            "you ignore {name}: nothing of it is shown here or served to it; /ignore {name} off \
             ends that"
        ))
    }
}
