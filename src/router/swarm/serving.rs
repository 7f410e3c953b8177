//! What this node holds and serves, and what others are told of that.

use std::collections::BTreeSet;

use super::{Portion, Swarm};
use crate::router::bitmap::Bitmap;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::message::{Held, Message};
use crate::router::timers::Timer;

/// Most chunk numbers in one message.
const GAINED_AT_ONCE: usize = 1_024;

impl Swarm {
    /// All of a file is here and served.
    pub(crate) fn share_all(&mut self, cx: &mut Context, file: FileId) {
        self.share(cx, file, Portion::Whole);
    }

    pub(super) fn share(&mut self, cx: &mut Context, file: FileId, portion: Portion) {
        self.shares.share(file, portion);
        self.tell_hosting(cx, file);
    }

    /// Every link should hear what we hold of a file.
    pub(super) fn tell_hosting(&mut self, cx: &mut Context, file: FileId) {
        for (conn, holder) in self.holders.all_mut() {
            holder.say_hosting(file);
            cx.mark(conn);
        }
    }

    /// There is a new chunk: members that fetch the file should hear of it.
    pub(super) fn tell_gained(&mut self, cx: &mut Context, file: FileId, chunk: u32) {
        if self.downloads.get(&file).is_some_and(|download| download.part.is_some()) {
            return;
        }
        for (conn, holder) in self.holders.all_mut() {
            holder.say_gained(file, chunk, cx.now);
            cx.mark(conn);
        }
    }

    /// A file is no longer served here.
    pub(crate) fn unshare(&mut self, cx: &mut Context, file: FileId) {
        if let Some(manifest) = self.manifests.remove(&file)
            && self.shares.remove_manifest(&manifest)
        {
            cx.effect(Effect::UnserveManifest { file: manifest });
            self.stopped_sharing(cx, manifest);
        }
        if self.shares.remove(&file) {
            cx.effect(Effect::Unserve { file });
            self.stopped_sharing(cx, file);
        }
    }

    /// A file is no longer shared as a file, or as a manifest; perhaps it still is as the other.
    fn stopped_sharing(&mut self, cx: &mut Context, file: FileId) {
        if !self.is_shared(&file) {
            self.holders.all_mut().for_each(|(_, holder)| holder.forget_done(&file));
            self.tell_hosting(cx, file);
            self.let_go(cx, file);
        }
    }

    /// The room is left: nothing is served, and there are no links.
    pub(crate) fn drop_shares(&mut self, cx: &mut Context) {
        for file in self.shares.take_all() {
            cx.effect(Effect::Unserve { file });
        }
        for file in std::mem::take(&mut self.manifests).into_values() {
            cx.effect(Effect::UnserveManifest { file });
        }
        self.looks.forget_kept();
        self.uploads.clear();
    }

    /// Nodes that only give wait for others, not for each other: from now on members that offer
    /// files are told if these are not fetched here.
    pub(crate) fn only_give(
        &mut self,
        cx: &mut Context,
        offered_by: impl Fn(&MemberId) -> Vec<FileId>,
    ) {
        self.shares.only_give();
        let members: Vec<_> = self.holders.all().map(|holder| holder.member()).collect();
        for member in members {
            for file in offered_by(&member) {
                self.say_done_with(cx, member, file);
            }
        }
    }

    /// Tells a member that offers a file, if it is not fetched here.
    pub(crate) fn say_done_with(&mut self, cx: &mut Context, member: MemberId, file: FileId) {
        if self.shares.done_with(&file).is_none() {
            return;
        }
        if let Some((conn, holder)) = self.holders.of_mut(&member) {
            holder.say_hosting(file);
            cx.mark(conn);
        }
    }

    /// The files that a new link is told of: those held here, and its offers that are not fetched.
    pub(super) fn to_tell(&self, offered: impl Iterator<Item = FileId>) -> BTreeSet<FileId> {
        let declined = offered.filter(|file| self.shares.done_with(file).is_some());
        self.shares.files().chain(declined).collect()
    }

    /// What a link is told now.
    pub(crate) fn flush(&mut self, cx: &mut Context, conn: ConnId, messages: &mut Vec<Message>) {
        let Some(holder) = self.holders.get_mut(conn) else { return };
        let say = holder.take_to_say(cx.now);
        cx.timers.set(Timer::SayFiles(conn), say.due);
        messages.extend(say.hosting.into_iter().map(|file| self.hosting_message(file)));
        for (file, chunks) in say.gained {
            let chunks: Vec<u32> = chunks.into_iter().collect();
            let parts = chunks.chunks(GAINED_AT_ONCE);
            messages.extend(parts.map(|part| Message::Gained { file, chunks: part.to_vec() }));
        }
    }

    fn hosting_message(&self, file: FileId) -> Message {
        match self.shares.portion(&file) {
            Some(Portion::Whole) => Message::Hosting { file, held: Held::All, fetching: false },
            Some(Portion::Part) => {
                Message::Hosting { file, held: Held::Some(self.held(&file)), fetching: true }
            }
            None => Message::Dropped { file, done: self.shares.done_with(&file) },
        }
    }

    /// The chunks that a download has.
    fn held(&self, file: &FileId) -> Bitmap {
        let Some(download) = self.downloads.get(file) else { return Bitmap::none(0) };
        let chunks = download.layout.count();
        match self.choice.picker(file) {
            // Of its bundles only some files may be here.
            _ if download.part.is_some() => Bitmap::none(chunks),
            Some(picker) => picker.held().clone(),
            None if download.is_whole() => Bitmap::all(chunks),
            None => Bitmap::none(chunks),
        }
    }

    /// A peer reports that a chunk of ours is wrong. Checking costs a read, so a peer is believed
    /// only this often.
    pub(crate) fn blamed(&mut self, cx: &mut Context, conn: ConnId, (file, chunk): (FileId, u32)) {
        let Some(holder) = self.holders.get_mut(conn) else { return };
        if holder.blames(cx.now) && self.is_shared(&file) {
            cx.effect(Effect::Recheck { file, chunk });
        }
    }

    /// A member no longer needs a chunk from us.
    pub(crate) fn unwanted(&self, cx: &mut Context, conn: ConnId, (file, chunk): (FileId, u32)) {
        if let Some(holder) = self.holders.get(conn) {
            cx.effect(Effect::CancelChunk { member: holder.member(), file, chunk });
        }
    }

    /// A serving thread sent bytes.
    pub(crate) fn chunk_served(
        &mut self,
        cx: &Context,
        (member, file): (MemberId, FileId),
        bytes: u64,
    ) {
        self.uploads.sent(member, file, bytes, cx.now);
    }

    /// What only this node has of what others are fetching, and who those are.
    pub(crate) fn needed_here(&self) -> Vec<(FileId, Vec<MemberId>)> {
        let needs = |file: &FileId| {
            let elsewhere = self.holders.all().any(|holder| holder.holds_all(file));
            let whole = self.holds_all(file) && !elsewhere;
            let fetch = self.holders.all().filter(|holder| {
                whole && holder.hosting(file).is_some_and(|hosting| hosting.is_growing())
            });
            fetch.map(|holder| holder.member()).collect::<Vec<_>>()
        };
        // A manifest is needed by those who need its folder.
        let needed = self.shares.plain().map(|file| (file, needs(&file)));
        needed.filter(|(_, members)| !members.is_empty()).collect()
    }
}
