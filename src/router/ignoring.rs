//! `/ignore`: hiding somebody here. The log, links and presence go on, because what others say
//! refers to it; faces are not told of what the ignored say and offer, and nothing is served to
//! them.

use super::Router;
use super::ids::FaceId;
use super::notice::{Code, Failure};

/// Members that one node ignores at most.
const IGNORED_MAX: usize = 1_024;

impl Router {
    pub(super) fn ignore(&mut self, face: FaceId, line: u64, nick: &str, off: bool) {
        let result = self.find_known(nick).and_then(|member| {
            let name = self.members.who(&member).marked();
            if member == self.cx.my_id {
                return Err(Failure::new(Code::Usage, "you cannot ignore yourself"));
            }
            if off && !self.members.hear_again(&member) {
                return Err(Failure::new(Code::Usage, format!("you do not ignore {name}")));
            }
            if !off && self.members.ignored_count() >= IGNORED_MAX {
                return Err(Failure::new(Code::Usage, "you ignore too many: /ignore <nick> off"));
            }
            if off {
                self.cx
                    .remark(format!("you hear {name} again; what was said meanwhile is not shown"));
            } else {
                self.members.ignore(member);
                self.close_lanes_of(member);
                self.cx.remark(format!(
                    "you ignore {name}: nothing of it is shown here or served to it; \
                     /ignore {name} off ends that"
                ));
            }
            Ok(())
        });
        self.cx.reply(face, line, "ignore", result);
    }
}
