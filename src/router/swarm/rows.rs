//! What is moving, as `transfers` and the page show it.

use super::{Download, Router, Stage};
use crate::router::ids::FileId;
use crate::router::links::Link;
use crate::router::notice::{MovingFile, Notice, TransferLine, TransferState};
use crate::router::text::Untrusted;

/// A transfer is shown as running for so long after its last chunk was served, unless the member
/// has all of the file by then.
const SERVED_SHOWN_MS: u64 = 5_000;

impl Router {
    pub(in crate::router) fn transfers_notice(&self) -> Notice {
        Notice::Transfers { list: self.transfer_rows() }
    }

    /// What is moving: downloads in the order asked, but the queued ones last; then what others
    /// are sent; then what is being hashed.
    pub(in crate::router) fn transfer_rows(&self) -> Vec<TransferLine> {
        let mut downloads: Vec<_> = self.swarm.downloads.iter().collect();
        downloads.sort_by_key(|(_, download)| download.number);
        let queue = self.swarm.queue.values();
        let queued = queue.filter_map(|file| Some((file, self.swarm.queued.get(file)?)));
        let row = |(file, download): (&FileId, &Download)| TransferLine {
            file: moving(file, &download.name, download.size),
            state: match download.stage {
                _ if self.swarm.queued.contains_key(file) => TransferState::Queued,
                Stage::Waiting(_) => TransferState::Waiting,
                _ => TransferState::Fetching,
            },
            bytes_done: download.bytes_done(),
            bytes_per_second: download.progress.rate.at(self.cx.now),
            seconds_left: download.seconds_left(self.cx.now),
            hosts: self.swarm.choice.hosts_in_use(file),
            to: None,
        };
        let mut list: Vec<TransferLine> = downloads.into_iter().chain(queued).map(row).collect();
        for ((member, file), served) in &self.sharing.served {
            let Some(offered) = self.catalogue.any(file) else { continue };
            let has_all = |link: &Link| link.hosting.get(file).is_some_and(|h| h.held.is_none());
            let served_whole = self.link_of(member).is_some_and(|(_, link)| has_all(link));
            if self.cx.now.since(served.last) < SERVED_SHOWN_MS && !served_whole {
                list.push(TransferLine {
                    file: moving(file, &offered.name, offered.size),
                    state: TransferState::Serving,
                    bytes_done: served.bytes,
                    bytes_per_second: served.rate.at(self.cx.now),
                    seconds_left: None,
                    hosts: 0,
                    to: Some(self.members.who(member)),
                });
            }
        }
        list.extend(self.hash_rows());
        list
    }
}

fn moving(id: &FileId, name: &str, size: u64) -> MovingFile {
    MovingFile { id: Some(*id), name: Untrusted::new(name), size }
}
