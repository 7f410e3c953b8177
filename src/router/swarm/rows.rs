//! What is moving, as `transfers` and the page show it.

use super::{Router, Stage};
use crate::router::links::Link;
use crate::router::notice::{Notice, TransferLine};

/// A transfer is shown as running for so long after its last chunk was served, unless the member
/// has all of the file by then.
const SERVED_SHOWN_MS: u64 = 5_000;

impl Router {
    pub(in crate::router) fn transfers_notice(&self) -> Notice {
        Notice::Transfers { list: self.transfer_rows() }
    }

    /// What is moving, downloads first.
    pub(in crate::router) fn transfer_rows(&self) -> Vec<TransferLine> {
        let mut list: Vec<TransferLine> = self
            .swarm
            .downloads
            .iter()
            .map(|(file, download)| TransferLine {
                file: download.info(*file),
                download: true,
                bytes_done: download.bytes_done(),
                bytes_per_second: download.rate,
                seconds_left: download.seconds_left(),
                hosts: self.swarm.choice.hosts_in_use(file),
                to: None,
                waiting: matches!(download.stage, Stage::Waiting(_)),
            })
            .collect();
        for ((member, file), served) in &self.sharing.served {
            let Some(offered) = self.catalogue.any(file) else { continue };
            let has_all = |link: &Link| link.hosting.get(file).is_some_and(|h| h.held.is_none());
            let served_whole = self.link_of(member).is_some_and(|(_, link)| has_all(link));
            if self.now.since(served.last) < SERVED_SHOWN_MS && !served_whole {
                list.push(TransferLine {
                    file: offered.info(),
                    download: false,
                    bytes_done: served.bytes,
                    bytes_per_second: served.pace.rate(self.now).unwrap_or(0),
                    seconds_left: None,
                    hosts: 0,
                    to: Some(self.who(member)),
                    waiting: false,
                });
            }
        }
        list
    }
}
