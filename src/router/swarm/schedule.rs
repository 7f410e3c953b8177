//! What is due: which downloads start, which requests are made, and when to look again.

use std::collections::BTreeSet;

use super::choice::Chosen;
use super::lanes::LANES_PER_PAIR;
use super::{DownloadStage, Swarm};
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{FileId, MemberId};
use crate::router::message::Message;
use crate::router::order::Order;
use crate::router::time::{Earliest, Millis};
use crate::router::timers::Timer;

/// How long until another host is asked for the list as well.
const LIST_MS: u64 = 1_000;

impl Swarm {
    /// A deadline of the swarm has come.
    pub(crate) fn timer(&mut self, cx: &mut Context) {
        self.fail_stuck(cx, None);
        self.look_again(cx);
        self.tell_all_progress(cx);
    }

    /// Notes which downloads have no host any more. Returns those that had one until now, and the
    /// hosts of all others.
    pub(crate) fn look_for_hosts(&mut self, cx: &Context) -> (Vec<FileId>, BTreeSet<MemberId>) {
        let (mut useful, mut alone) = (BTreeSet::new(), Vec::new());
        for (file, download) in &mut self.downloads {
            if !matches!(download.stage, DownloadStage::List(..) | DownloadStage::Fetching) {
                continue;
            }
            let Some(picker) = self.choice.picker(file) else { continue };
            let mut hosts = picker.hosts().filter(|host| picker.helps(host)).peekable();
            let hostless = hosts.peek().is_none();
            useful.extend(hosts);
            let since = download.hostless_since.take();
            download.hostless_since = hostless.then(|| since.unwrap_or(cx.now));
            if hostless && since.is_none() {
                alone.push(download.part_of.unwrap_or(*file));
            }
        }
        (alone, useful)
    }

    /// A download has no host any more. `way`: why, and who could pass it on, if its host is here.
    pub(crate) fn tell_hostless(&mut self, cx: &mut Context, file: FileId, way: Option<String>) {
        let Some(download) = self.downloads.get_mut(&file) else { return };
        if let Some(way) = way
            && !std::mem::replace(&mut download.told_no_way, true)
        {
            cx.remark(format!("{} cannot be downloaded yet: {way}", download.name().short()));
        }
        if download.stage == DownloadStage::Fetching {
            self.tell_stall(cx, file);
        }
    }

    /// Requests from every host as much as keeps it busy.
    pub(crate) fn schedule(&mut self, cx: &mut Context) {
        if !self.is_idle() {
            self.begin_queued(cx);
            self.ask_for_lists(cx);
            self.ask_for_folder_lists(cx);
        }
        for chosen in self.choice.orders(cx.now, &cx.config.limits, &mut cx.rng) {
            match chosen {
                Chosen::Ask { conn, file, want } => {
                    if let Some(turn) = self.downloads.get(&file).map(|of| of.turn) {
                        cx.effect(Effect::Fetch { file, turn, conn, want });
                    }
                }
                Chosen::Revoke { host, file, chunk } => {
                    if let Some(conn) = self.holders.conn_of(&host) {
                        cx.effect(Effect::Send {
                            conn,
                            message: Message::Unwanted { file, chunk },
                        });
                    }
                }
                Chosen::Drop { conn } => {
                    self.choice.closed(conn);
                    cx.order(Order::DropLane(conn));
                }
            }
        }
    }

    /// Requests each missing list from a host, and from another one if that takes long.
    fn ask_for_lists(&mut self, cx: &mut Context) {
        for (file, download) in &mut self.downloads {
            let DownloadStage::List(lanes, at) = &mut download.stage else { continue };
            if !lanes.is_empty() && cx.now.since(*at) < LIST_MS {
                continue;
            }
            let Some(picker) = self.choice.picker(file) else { continue };
            let asked: BTreeSet<MemberId> =
                lanes.iter().filter_map(|conn| self.choice.host_of(*conn)).collect();
            let mut others = picker.hosts().filter(|host| !asked.contains(host));
            let free = |host| self.choice.free_lane(&host, cx.now, cx.limits());
            let Some(conn) = others.find_map(free) else { continue };
            drop(others);
            lanes.insert(conn);
            *at = cx.now;
            self.choice.ask_list(conn, *file, cx.now);
            cx.effect(Effect::FetchList { file: *file, turn: download.turn, conn });
        }
    }

    /// An event is done with: sets when to look again if nothing else happens.
    pub(crate) fn rearm(&self, cx: &mut Context) {
        let due = self.deadline(cx);
        cx.timers.set(Timer::Swarm, due);
    }

    /// When there is something to do even if nothing happens.
    fn deadline(&self, cx: &Context) -> Option<Millis> {
        let mut earliest = Earliest::default();
        let no_host_ms = cx.limits().no_host_ms;
        for (file, download) in &self.downloads {
            let awaited = |since: Option<Millis>| since.filter(|_| !download.patient);
            let mut at = |time: Option<Millis>| time.into_iter().for_each(|at| earliest.at(at));
            at(awaited(download.hostless_since).map(|since| since.plus(no_host_ms)));
            at(download.progress.due().filter(|_| download.part_of.is_none()));
            at(download.lists.due().filter(|due| *due > cx.now));
            match &download.stage {
                DownloadStage::Waiting(wait) => {
                    at(wait.look_at());
                    at(awaited(download.stops.since).map(|since| since.plus(no_host_ms)));
                }
                // Only while another host can be asked; a lane that opens is an event.
                DownloadStage::List(lanes, asked) if !lanes.is_empty() => {
                    let others = self.hosts_known(file) > lanes.len();
                    at(Some(asked.plus(LIST_MS)).filter(|due| others && *due > cx.now));
                }
                _ => {}
            }
        }
        if !self.downloads.is_empty() {
            self.choice.deadlines(&mut earliest);
        }
        for (host, lanes) in &self.lanes {
            let holder = self.holders.of(host);
            let hosts = |file: &FileId| holder.is_some_and(|of| of.hosting(file).is_some());
            let wanted = lanes.fetching.len() < LANES_PER_PAIR;
            if wanted && lanes.retry_at > cx.now && self.downloads.keys().any(hosts) {
                earliest.at(lanes.retry_at);
            }
        }
        earliest.0
    }
}
