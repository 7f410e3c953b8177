//! `wait`: whether the condition that a script waits for is met.

use crate::router::Router;
use crate::router::command::Wait;
use crate::router::desk::ScriptWait;
use crate::router::files::fetched::Told;
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure, Notice};
use crate::router::text::Untrusted;

impl Router {
    /// Starts a wait.
    pub(crate) fn wait(&mut self, of: (FaceId, u64), what: Wait, within_ms: u64) {
        let by_others = what.is_for_others();
        if by_others && of.0 == FaceId::TERMINAL {
            self.decline_files();
        }
        let waiting = ScriptWait::new(self.cx.now, of, (what, within_ms), Told::new(&self.members));
        if let Wait::Offer(name) = waiting.what()
            && self.lookup().meant_or_around(name.as_deref()).is_empty()
        {
            let (missing, seconds) =
                (self.lookup().nobody_offers(name.as_deref()), within_ms / 1_000);
            waiting.remark(&mut self.cx, format!("{missing}; waiting up to {seconds} s for it"));
        }
        if by_others && self.members.present_count() == 0 {
            let text = "nobody else is here yet; waiting for someone to join".to_owned();
            waiting.remark(&mut self.cx, text);
        }
        self.desk.keep_waiting(&mut self.cx, vec![waiting]);
    }

    /// Ends waits that are satisfied, or whose time is up.
    pub(crate) fn check_waits(&mut self) {
        let mut waits = self.desk.take_waits();
        waits.retain_mut(|waiting| match self.how_it_ends(waiting) {
            Some(result) => {
                waiting.end(&mut self.cx, result);
                false
            }
            None => true,
        });
        self.desk.keep_waiting(&mut self.cx, waits);
    }

    fn how_it_ends(&mut self, waiting: &mut ScriptWait) -> Option<Result<(), Failure>> {
        if let Some(failure) = self.desk.is_elsewhere(waiting.face(), &self.stay.room()) {
            return Some(Err(failure));
        }
        let news = waiting.looks_at(self.files.changes() + self.swarm.changes());
        if news {
            self.tell_fetching(waiting);
        }
        let timed_out = waiting.is_over(self.cx.now);
        if self.came_about(waiting, news) || timed_out && matches!(waiting.what(), Wait::Time(_)) {
            if let Wait::Offer(name) = waiting.what() {
                let list = self.lookup().rows_meant(name.as_deref());
                waiting.tell(&mut self.cx, Notice::Files { list });
            }
            return Some(Ok(()));
        }
        if self.is_offered_no_more(waiting) {
            let text = "it is no longer offered, so nobody can download it";
            return Some(Err(Failure::new(Code::Cancelled, text)));
        }
        timed_out.then(|| match waiting.what() {
            // Like a download that nobody can serve.
            Wait::Offer(name) => {
                Err(Failure::new(Code::NoHost, self.lookup().nobody_offers(name.as_deref())))
            }
            _ => {
                if waiting.what().is_for_others() {
                    self.desk.note_waited_in_vain();
                }
                let text = format!("{} in time", self.what_did_not(waiting));
                Err(Failure::new(Code::WaitTimeout, text))
            }
        })
    }

    /// Tells a face that waits for others to fetch its offers whom it waits for.
    fn tell_fetching(&mut self, waiting: &mut ScriptWait) {
        let until = match waiting.what() {
            Wait::Fetched => None,
            Wait::FetchedBy(members) => Some(*members),
            _ => return,
        };
        let (here, face) = ((&self.files, &self.swarm, &self.members), waiting.face());
        if let Some(text) = waiting.told_mut().news(here, face, until) {
            waiting.remark(&mut self.cx, text);
        }
    }

    /// Whether nothing is left of what others should have fetched.
    fn is_offered_no_more(&self, waiting: &ScriptWait) -> bool {
        let fetched = matches!(waiting.what(), Wait::Fetched | Wait::FetchedBy(_));
        fetched && self.files.files_of(waiting.face()).is_empty()
    }

    fn came_about(&mut self, waiting: &ScriptWait, news: bool) -> bool {
        match waiting.what() {
            Wait::Time(_) => false,
            Wait::Members(count) => self.members.present_count() >= *count,
            Wait::File(name) => self.lookup().is_offered_by_others(name),
            Wait::Offer(name) => news && !self.lookup().meant_or_around(name.as_deref()).is_empty(),
            Wait::Message(text) => self.desk.find_message(text),
            Wait::Downloads => self.swarm.is_idle(),
            Wait::Fetched => waiting.told().is_fetched(),
            Wait::FetchedBy(members) => waiting.told().count() >= *members,
            Wait::Held => self.members.present_count() > 0 && !self.log.has_unheld(&self.members),
        }
    }

    fn what_did_not(&self, waiting: &ScriptWait) -> String {
        let escaped = |text: &str| Untrusted::new(text).line();
        match waiting.what() {
            Wait::Time(_) => "time did not pass".to_owned(),
            Wait::Members(count) => {
                format!("{} of {count} others came", self.members.present_count())
            }
            Wait::File(name) | Wait::Offer(Some(name)) => {
                format!("nobody present offered {}", escaped(name))
            }
            Wait::Offer(None) => "nobody present offered anything".to_owned(),
            Wait::Message(text) => format!("nobody said \"{}\"", escaped(text)),
            Wait::Downloads => "the downloads did not end".to_owned(),
            Wait::Fetched => waiting.told().why_in_vain(&self.members),
            Wait::FetchedBy(members) => {
                format!("{} of {members} members fetched what is offered", waiting.told().count())
            }
            Wait::Held => match self.members.present_count() {
                0 => "nobody who got what was said is here any more".to_owned(),
                _ => "not everybody here got what was said".to_owned(),
            },
        }
    }
}
