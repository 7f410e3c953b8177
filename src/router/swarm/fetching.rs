//! A running download, from its partial file to the last chunk.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::picker::Picker;
use super::{DownloadStage, Portion, Swarm};
use crate::router::bitmap::Bitmap;
use crate::router::context::Context;
use crate::router::event::{DiskError, Effect, FetchError, Fetched, PartState};
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::members::Members;
use crate::router::message::Message;
use crate::router::notice::{Code, Failure};
use crate::router::order::Order;
use crate::router::time::Millis;

impl Swarm {
    /// [`Effect::OpenPart`] is done.
    pub(crate) fn part_opened(
        &mut self,
        cx: &mut Context,
        (file, turn): (FileId, u64),
        result: Result<PartState, DiskError>,
    ) {
        if result.is_ok() && self.live(&file, turn).is_some() {
            self.relieve(cx, file);
        }
        let Some(download) = self.live(&file, turn) else { return };
        match result {
            Err(error) => self.disk_failed(cx, file, error),
            Ok(PartState::NeedsList) => {
                download.stage = DownloadStage::List(BTreeSet::new(), Millis(0));
                self.begin_choice(file);
            }
            Ok(PartState::Verified(held)) => self.begin_fetching(cx, file, &held),
            Ok(PartState::Partly { held, needed, begun }) => {
                if let Some(needed) = &needed {
                    download.file.size = download.layout.bytes_of(needed);
                }
                self.begin_fetching(cx, file, &held);
                self.choice.begun(&file, &begun);
                if let Some(needed) = needed {
                    self.choice.skip(&file, &needed);
                    self.skip_lists(&file, &needed);
                }
                self.finish_if_done(cx, file);
            }
            Ok(PartState::Complete) => self.finish(cx, file),
        }
    }

    /// Tells the choice about the file, and who has it.
    fn begin_choice(&mut self, file: FileId) {
        let Some(download) = self.downloads.get(&file) else { return };
        self.choice.begin(download.turn, file, download.layout.clone());
        for holder in self.holders.all() {
            if let Some(hosting) = holder.hosting(&file) {
                self.choice.hosted(holder.member(), &file, hosting.held());
            }
        }
    }

    fn begin_fetching(&mut self, cx: &mut Context, file: FileId, held: &Bitmap) {
        let Some(download) = self.downloads.get_mut(&file) else { return };
        // A second list, or a late one, changes nothing.
        let awaited = match &download.stage {
            DownloadStage::Opening | DownloadStage::List(..) => true,
            DownloadStage::Waiting(wait) => wait.needs_list(),
            DownloadStage::Manifest | DownloadStage::Fetching | DownloadStage::Finishing => false,
        };
        if held.len() != download.layout.count() || !awaited {
            return;
        }
        download.stage = DownloadStage::Fetching;
        if held.is_all() {
            return self.finish(cx, file);
        }
        if self.choice.picker(&file).is_none() {
            self.begin_choice(file);
        }
        self.choice.pause(&file, false);
        self.relieve(cx, file);
        self.want_lists(&file, held);
        self.choice.listed(&file, held);
        if !self.holds_all(&file) {
            self.share(cx, file, Portion::Part);
        }
    }

    /// [`Effect::FetchList`] is done.
    pub(crate) fn list_fetched(
        &mut self,
        cx: &mut Context,
        (file, turn, conn): (FileId, u64, ConnId),
        result: Result<Bitmap, FetchError>,
        members: &Members,
    ) {
        let host = self.choice.host_of(conn);
        self.choice.failed(conn, &file, None, 0, cx.now);
        self.lane_suffers(cx, conn, result.as_ref().err());
        let Some(download) = self.live(&file, turn) else { return };
        if let DownloadStage::List(lanes, _) = &mut download.stage {
            lanes.remove(&conn);
        }
        match result {
            Ok(held) => self.begin_fetching(cx, file, &held),
            Err(error) => self.fetch_failed(cx, file, (host, None), error, members),
        }
    }

    /// A lane's host picked this chunk.
    pub(crate) fn chunk_picked(&mut self, (file, turn): (FileId, u64), conn: ConnId, chunk: u32) {
        if self.live(&file, turn).is_some() {
            self.choice.picked(conn, &file, chunk);
        }
    }

    /// A part of a chunk came.
    pub(crate) fn chunk_came(
        &mut self,
        cx: &mut Context,
        (file, chunk): (FileId, u32),
        conn: ConnId,
        bytes: u64,
    ) {
        self.choice.came(conn, &file, chunk, bytes, cx.now);
        if let Some(download) = self.downloads.get_mut(&file) {
            download.progress.came(cx.now, bytes);
            self.tell_progress(cx, file);
        }
    }

    /// [`Effect::Fetch`] is done.
    pub(crate) fn chunk_fetched(&mut self, cx: &mut Context, fetched: Fetched, members: &Members) {
        let Fetched { file, turn, conn, chunk, bytes, more, result } = fetched;
        let (host, now) = (self.choice.host_of(conn), cx.now);
        let result = match (result, host.zip(chunk)) {
            // That a chunk is not needed is told outside the lanes, so it may cross with a later
            // request.
            (Err(FetchError::NotHeld), Some((host, chunk)))
                if self.choice.was_called_off(&host, &file, chunk) =>
            {
                Err(FetchError::Busy)
            }
            (result, _) => result,
        };
        // What an earlier opening requested is no news to this one: it asks again, at no cost.
        let live = self.live(&file, turn).is_some();
        let (new, matters) = match (chunk, &result) {
            (Some(chunk), Ok(())) if live => {
                (self.choice.fetched(conn, &file, chunk, more, now), true)
            }
            _ => (false, self.choice.failed(conn, &file, chunk, more, now)),
        };
        if result == Err(FetchError::Elsewhere) {
            self.choice.elsewhere(conn, &file, now);
        }
        if matters || result == Err(FetchError::Lane) {
            self.lane_suffers(cx, conn, result.as_ref().err());
        }
        let Some(download) = self.live(&file, turn) else { return };
        download.bytes_fetched += bytes;
        download.progress.came(now, more);
        if let Err(error) = result {
            if matters || matches!(error, FetchError::Disk(_) | FetchError::Bad) {
                self.fetch_failed(cx, file, (host, chunk), error, members);
            }
            return;
        }
        // Something was written.
        download.stops.since = None;
        download.helped.extend(host);
        let Some(chunk) = chunk.filter(|_| new) else { return };
        self.tell_gained(cx, file, chunk);
        self.finish_if_done(cx, file);
    }

    pub(super) fn finish_if_done(&mut self, cx: &mut Context, file: FileId) {
        if self.choice.picker(&file).is_some_and(Picker::is_done) {
            self.finish(cx, file);
        } else {
            self.tell_progress(cx, file);
        }
    }

    /// What an error says of the lane over which it came.
    pub(super) fn lane_suffers(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        error: Option<&FetchError>,
    ) {
        match error {
            Some(FetchError::Busy) => self.choice.rest(conn, cx.now),
            // The lane must not be chosen again, however late the news of its end comes.
            Some(FetchError::Lane) => {
                self.choice.closed(conn);
                cx.order(Order::DropLane(conn));
            }
            _ => {}
        }
    }

    pub(super) fn fetch_failed(
        &mut self,
        cx: &mut Context,
        file: FileId,
        (host, chunk): (Option<MemberId>, Option<u32>),
        error: FetchError,
        members: &Members,
    ) {
        let Some(download) = self.downloads.get_mut(&file) else { return };
        match (error, host) {
            (FetchError::Bad, Some(host)) => {
                // What else was under way from there is just as bad, and reported already.
                if !self.choice.ban(host, &file) {
                    return;
                }
                let (name, from) = (download.name(), members.who(&host).marked());
                let what = chunk.map_or("the list of chunks".to_owned(), |c| format!("chunk {c}"));
                cx.complain(Failure::new(
                    Code::BadChunk,
                    format!(
                        "bad chunk: {what} of {name} from {from} is not what was offered; it is \
                         downloaded from others"
                    ),
                ));
                if let (Some(conn), Some(chunk)) = (self.holders.conn_of(&host), chunk) {
                    let message = Message::BadChunk { file, chunk };
                    cx.effect(Effect::Send { conn, message });
                }
            }
            (FetchError::NotHeld, Some(host)) => {
                let chunks = download.layout.count();
                self.not_held(&host, file, chunk, chunks);
            }
            (FetchError::Disk(error), _) => self.write_failed(cx, file, error),
            _ => {}
        }
    }

    /// Somebody waits for these chunks: they are fetched before any others.
    pub(crate) fn chunk_urgent(
        &mut self,
        cx: &mut Context,
        file: FileId,
        (first, last): (u32, u32),
    ) {
        self.begin_download(cx, file);
        self.choice.prefer(&file, first..last.saturating_add(1));
    }

    fn finish(&mut self, cx: &mut Context, file: FileId) {
        let Some(download) = self.downloads.get_mut(&file) else { return };
        download.stage = DownloadStage::Finishing;
        let (turn, save) = (download.turn, download.place.0.clone());
        let name = download.file.name.clone();
        let is_manifest = download.part_of.is_some();
        self.choice.end(&file);
        cx.effect(match is_manifest {
            true => Effect::ReadManifest { file, turn },
            false => Effect::FinishPart { file, turn, name, save },
        });
    }

    /// [`Effect::FinishPart`] is done.
    pub(crate) fn part_finished(
        &mut self,
        cx: &mut Context,
        (file, turn): (FileId, u64),
        result: Result<PathBuf, DiskError>,
        names: Option<String>,
    ) {
        let Some(download) = self.live(&file, turn) else { return };
        let name = download.name();
        match result {
            Ok(path) => {
                self.end_download(cx, file, path);
                if let Some(names) = names {
                    cx.remark(format!("names in {name}: {names}"));
                }
            }
            Err(error) => self.disk_failed(cx, file, error),
        }
    }
}
