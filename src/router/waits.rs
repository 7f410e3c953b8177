//! `wait`: what scripts wait for.

use std::collections::VecDeque;

use super::Router;
use super::command::Wait;
use super::event::Effect;
use super::fetched::Told;
use super::ids::FaceId;
use super::notice::{Code, Failure, Notice};
use super::text::Untrusted;
use super::time::Millis;

/// Messages of others that no `wait message` has looked at yet.
const SEEN_MAX: usize = 4_096;

/// A `wait` that is not satisfied yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) face: FaceId,
    pub(super) line: u64,
    pub(super) what: Wait,
    pub(super) until: Millis,
    /// Changes of the catalogue when it last looked at offers and who has them.
    pub(super) looked: Option<u64>,
    /// Of those who are to fetch what is offered.
    pub(super) told: Told,
}

/// Texts of others, oldest first, behind the one that satisfied the last `wait message`.
#[derive(Debug, Default)]
pub(super) struct Seen(VecDeque<Untrusted>);

impl Router {
    /// Somebody else said something.
    pub(super) fn message_seen(&mut self, text: &Untrusted) {
        let seen = &mut self.commands.seen.0;
        if seen.len() >= SEEN_MAX {
            seen.pop_front();
        }
        seen.push_back(text.clone());
    }

    pub(super) fn check_waits(&mut self) {
        if self.commands.waits.is_empty() {
            return;
        }
        for mut waiting in std::mem::take(&mut self.commands.waits) {
            if let Some(failure) = self.is_elsewhere(waiting.face) {
                self.cx.reply(waiting.face, waiting.line, "wait", Err(failure));
                continue;
            }
            let changes = self.catalogue.changes() + self.swarm.changes();
            let news = waiting.looked.replace(changes) != Some(changes);
            if news {
                self.tell_fetching(&mut waiting);
            }
            let satisfied = self.holds(&waiting, news);
            let timed_out = self.cx.now >= waiting.until;
            if satisfied || (timed_out && matches!(waiting.what, Wait::Time(_))) {
                if let Wait::Offer(name) = &waiting.what {
                    let (face, line) = (waiting.face, waiting.line);
                    let notice = Notice::Files { list: self.meant_by(name.as_deref()) };
                    self.cx.effect(Effect::Tell { face, line, notice });
                }
                self.cx.reply(waiting.face, waiting.line, "wait", Ok(()));
            } else if self.is_offered_no_more(&waiting) {
                let text = "it is not offered any more, so nobody can fetch it";
                let failure = Failure::new(Code::Cancelled, text);
                self.cx.reply(waiting.face, waiting.line, "wait", Err(failure));
            } else if timed_out {
                let failure = match &waiting.what {
                    // As a download that nobody can serve.
                    Wait::Offer(name) => {
                        Failure::new(Code::NoHost, self.nobody_offers(name.as_deref()))
                    }
                    _ => {
                        self.commands.told_in_vain |= waiting.what.is_for_others();
                        let text = format!("{} in time", self.what_did_not(&waiting));
                        Failure::new(Code::WaitTimeout, text)
                    }
                };
                self.cx.reply(waiting.face, waiting.line, "wait", Err(failure));
            } else {
                self.commands.waits.push(waiting);
            }
        }
    }

    /// Tells whoever waits until others have fetched what is offered for whom that is.
    fn tell_fetching(&mut self, waiting: &mut Waiting) {
        let Waiting { face, line, what, told, .. } = waiting;
        let until = match what {
            Wait::Fetched => None,
            Wait::FetchedBy(members) => Some(*members),
            _ => return,
        };
        let (face, line) = (*face, *line);
        if let Some(text) = self.fetching_news(face, told, until) {
            self.cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
        }
    }

    /// Nothing is left of what others were to fetch.
    fn is_offered_no_more(&self, waiting: &Waiting) -> bool {
        let fetched = matches!(waiting.what, Wait::Fetched | Wait::FetchedBy(_));
        fetched && self.sharing.files_of(waiting.face).is_empty()
    }

    /// A face ended: it waits for nothing any more.
    pub(super) fn end_face(&mut self, face: FaceId, keep_offers: bool) {
        self.commands.forget(face);
        self.cx.replies.forget(face);
        self.swarm.end_face(&mut self.cx, face);
        self.end_offers_of(face, keep_offers);
    }

    fn holds(&mut self, waiting: &Waiting, news: bool) -> bool {
        match &waiting.what {
            Wait::Time(_) => false,
            Wait::Members(count) => self.members.present_count() >= *count,
            Wait::File(name) => self.is_offered_by_somebody(name),
            Wait::Offer(name) => news && !self.meant_by(name.as_deref()).is_empty(),
            Wait::Message(text) => {
                let seen = &mut self.commands.seen.0;
                let found = seen.iter().position(|said| said.raw().contains(text.as_str()));
                if let Some(index) = found {
                    seen.drain(..=index);
                }
                found.is_some()
            }
            Wait::Downloads => self.swarm.is_idle(),
            Wait::Fetched => Self::is_fetched(&waiting.told),
            Wait::FetchedBy(members) => waiting.told.count() >= *members,
            Wait::Held => self.members.present_count() > 0 && !self.log.has_unheld(&self.members),
        }
    }

    fn what_did_not(&self, Waiting { what, told, .. }: &Waiting) -> String {
        let escaped = |text: &str| super::text::Untrusted::new(text).line();
        match what {
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
            Wait::Fetched => self.not_fetched(told),
            Wait::FetchedBy(members) => {
                format!("{} of {members} members fetched what is offered", told.count())
            }
            Wait::Held => match self.members.present_count() {
                0 => "nobody is here any more who got what was said".to_owned(),
                _ => "not everybody here got what was said".to_owned(),
            },
        }
    }
}
