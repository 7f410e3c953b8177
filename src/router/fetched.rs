//! Whether those who are here have what this node offers: what a one-shot offer waits for.

use super::Router;

impl Router {
    /// Somebody is here, and all of them hold all of every file offered here.
    pub(super) fn is_fetched_by_all(&self) -> bool {
        let mut present = self.roster.present().map(|(id, _)| id).peekable();
        let files = self.sharing.files();
        present.peek().is_some()
            && !files.is_empty()
            && present.all(|id| {
                let link = self.link_of(id).map(|(_, link)| link);
                files.iter().all(|file| {
                    let hosting = link.and_then(|link| link.hosting.get(file));
                    hosting.is_some_and(|hosting| hosting.held.is_none())
                })
            })
    }
}
