//! Completion: commands, nicknames (recent speakers first), offered files, paths, and hosts used
//! before.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;

use super::command::{ALIASES, COMMANDS, SLASH_COMMANDS};
use super::lines::{typed, typed_nick};
use crate::router::ids::{EntryId, FileId, MemberId};
use crate::router::notice::{FileInfo, MemberInfo, Notice};
use crate::router::text::{Untrusted, is_control, is_format};

/// Most members remembered.
const KNOWN_MAX: usize = 1_024;
/// Most offers remembered.
const OFFERS_MAX: usize = 65_536;
/// Most candidates worth listing.
const CANDIDATES_MAX: usize = 100;

/// What can be named in the room.
#[derive(Debug, Default)]
pub struct Known {
    me: Option<MemberId>,
    /// Members present, recent speakers first.
    members: Vec<(MemberId, String)>,
    /// What is offered, by offer.
    offers: BTreeMap<EntryId, (u64, FileInfo)>,
    /// How many were ever offered: the latest offers come first.
    offered: u64,
}

/// Something that a word can become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What the list shows; escaped.
    pub shown: String,
    /// What replaces the word.
    pub replacement: String,
}

/// What can be named outside the room.
pub trait OutsidePlaces {
    /// Names in a folder (as typed: may begin with `~`), and whether each is a folder itself.
    fn folder(&self, path: &str) -> Vec<(String, bool)>;
    /// Arguments of earlier `connect` commands, newest first.
    fn hosts(&self) -> Vec<String>;
}

impl Known {
    /// Notes who is here and what is offered.
    pub fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::Started { who, .. } => self.me = Some(who.id),
            Notice::Joined { members, .. } => members.iter().for_each(|m| self.meet(m)),
            Notice::MemberJoined { member } | Notice::NameChanged { member, .. } => {
                self.meet(member);
            }
            Notice::MemberLeft { member } => self.members.retain(|(id, _)| *id != member.who.id),
            Notice::Message { from, history: false, .. } => {
                if let Some(at) = self.members.iter().position(|(id, _)| *id == from.id) {
                    let speaker = self.members.remove(at);
                    self.members.insert(0, speaker);
                }
            }
            Notice::FileOffered { id, file, replaces, .. } => {
                replaces.iter().for_each(|before| drop(self.offers.remove(before)));
                if self.offers.len() < OFFERS_MAX {
                    self.offered += 1;
                    self.offers.insert(*id, (self.offered, file.clone()));
                }
            }
            Notice::FileWithdrawn { id, .. } => drop(self.offers.remove(id)),
            Notice::Left { .. } => {
                self.members.clear();
                self.offers.clear();
            }
            _ => {}
        }
    }

    fn meet(&mut self, member: &MemberInfo) {
        if self.me == Some(member.who.id) {
            return;
        }
        let name = typed_nick(&member.who);
        let is_room = self.members.len() < KNOWN_MAX;
        match self.members.iter_mut().find(|(id, _)| *id == member.who.id) {
            Some(known) => known.1 = name,
            None if is_room => self.members.push((member.who.id, name)),
            None => {}
        }
    }

    /// What the text before the cursor can become: the byte from which it is replaced, and by what.
    #[must_use]
    pub fn complete(&self, head: &str, places: &impl OutsidePlaces) -> (usize, Vec<Candidate>) {
        let (start, mut candidates) = self.candidates(head, places);
        if candidates.len() > CANDIDATES_MAX {
            // Too many to read, but their common beginning is still useful.
            let common = common_start(&candidates);
            let is_more = common.len() > head.len() - start;
            candidates.clear();
            if is_more {
                candidates.push(Candidate { shown: common.clone(), replacement: common });
            }
        }
        (start, candidates)
    }

    fn candidates(&self, head: &str, places: &impl OutsidePlaces) -> (usize, Vec<Candidate>) {
        let after_slash = usize::from(head.starts_with('/'));
        let body = head.get(after_slash..).unwrap_or_default();
        let Some((word, rest)) = body.split_once(' ') else {
            let mut found = commands(body, after_slash == 1, " ");
            if after_slash == 0 {
                // This teaches people the form that cannot be a message.
                for Candidate { replacement, .. } in &mut found {
                    replacement.insert(0, '/');
                }
                found.extend(self.names(body, ": "));
            }
            return (after_slash, found);
        };
        let rest = rest.trim_start();
        let start = head.len() - rest.len();
        let alias = ALIASES.iter().find(|(alias, _)| after_slash == 1 && *alias == word);
        let found = match alias.map_or(word, |(_, meant)| meant) {
            "send" => paths(rest, places),
            "download" | "cancel" | "files" => self.files(rest),
            "connect" => starting_with(places.hosts(), rest, ""),
            "verify" => self.nicks(rest),
            "remove" | "steward" | "ignore" if after_slash == 1 => self.nicks(rest),
            "join" if after_slash == 1 => Vec::new(),
            "invite" if after_slash == 1 => {
                starting_with(["once", "1h", "1d", "7d", "off"].map(String::from), rest, "")
            }
            "help" => commands(rest, true, ""),
            "limit" => starting_with(["up", "down"].map(String::from), rest, " "),
            "wait" => {
                let words = ["members", "file", "message", "downloads"].map(String::from);
                starting_with(words, rest, " ")
            }
            _ => {
                let last = rest.rfind(' ').map_or(0, |at| at + 1);
                let prefix = rest.get(last..).unwrap_or_default();
                let bare = prefix.strip_prefix('@').unwrap_or(prefix);
                return (head.len() - bare.len(), self.names(bare, " "));
            }
        };
        (start, found)
    }

    /// Files by name, or by id if the name cannot be typed or is ambiguous.
    fn files(&self, prefix: &str) -> Vec<Candidate> {
        let mut offers: Vec<_> = self.offers.values().collect();
        offers.sort_by_key(|(number, _)| Reverse(*number));
        let mut files: BTreeMap<String, BTreeSet<FileId>> = BTreeMap::new();
        for (_, file) in &offers {
            files.entry(file.name.raw().nfc().collect()).or_default().insert(file.id);
        }
        let (folded, mut seen) = (folded(prefix), BTreeSet::new());
        let mut found = Vec::new();
        for (_, file) in offers {
            let nfc: String = file.name.raw().nfc().collect();
            let same = files.get(&nfc).map_or(1, BTreeSet::len);
            let (word, id) = (typed(file), file.id.short());
            let begins = self::folded(&word).starts_with(&folded) || id.starts_with(&folded);
            let word = if same > 1 { id } else { word };
            if begins && seen.insert(word.clone()) {
                let name = file.name.line();
                let shown = if word == name { name } else { format!("{name} ({word})") };
                found.push(Candidate { shown, replacement: word });
            }
        }
        found
    }

    /// Names as arguments: one that ends like such a command is quoted.
    fn nicks(&self, prefix: &str) -> Vec<Candidate> {
        let mut found = self.names(prefix, "");
        for Candidate { replacement, .. } in &mut found {
            if [" off", " same"].iter().any(|end| replacement.ends_with(end)) {
                *replacement = format!("\"{replacement}\"");
            }
        }
        found
    }

    fn names(&self, prefix: &str, behind: &str) -> Vec<Candidate> {
        starting_with(self.members.iter().map(|(_, name)| name.clone()), prefix, behind)
    }
}

fn common_start(candidates: &[Candidate]) -> String {
    let mut words = candidates.iter().map(|candidate| candidate.replacement.as_str());
    let first = words.next().unwrap_or_default();
    let length = words.fold(first.len(), |length, word| {
        let same = first.char_indices().zip(word.chars()).take_while(|((_, a), b)| a == b);
        same.last().map_or(0, |((at, c), _)| at + c.len_utf8()).min(length)
    });
    first.get(..length).unwrap_or_default().to_owned()
}

fn commands(prefix: &str, slash: bool, behind: &str) -> Vec<Candidate> {
    let more = SLASH_COMMANDS.iter().filter(|_| slash);
    let aliases = ALIASES.iter().filter(|_| slash).map(|(alias, _)| *alias);
    let words = COMMANDS.iter().chain(more).map(|command| command.word).chain(aliases);
    let words = words.map(str::to_owned);
    starting_with(words, prefix, behind)
}

/// People in a hurry do not distinguish upper and lower case, nor ways of writing an accent.
fn folded(text: &str) -> String {
    text.nfc().flat_map(char::to_lowercase).collect()
}

fn starting_with(
    words: impl IntoIterator<Item = String>,
    prefix: &str,
    behind: &str,
) -> Vec<Candidate> {
    let prefix = folded(prefix);
    let found = words.into_iter().filter(|word| folded(word).starts_with(&prefix));
    found
        .map(|word| Candidate {
            shown: Untrusted::new(word.as_str()).line(),
            replacement: word + behind,
        })
        .collect()
}

/// Names with spaces are quoted, which `send` understands.
fn paths(typed: &str, places: &impl OutsidePlaces) -> Vec<Candidate> {
    let quote = typed.chars().next().filter(|c| matches!(c, '"' | '\''));
    let plain = match quote {
        Some(quote) => typed.trim_start_matches(quote).to_owned(),
        None => typed.replace("\\ ", " "),
    };
    let folder_ends = plain.rfind('/').map_or(0, |at| at + 1);
    let (folder, prefix) = plain.split_at(folder_ends);
    let mut found: Vec<_> = places
        .folder(folder)
        .into_iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .filter(|(name, _)| prefix.starts_with('.') || !name.starts_with('.'))
        .filter(|(name, _)| !name.chars().any(|c| is_control(c) || is_format(c)))
        .collect();
    found.sort();
    let candidate = |(name, is_folder): (String, bool)| {
        let slash = if is_folder { "/" } else { "" };
        let path = format!("{folder}{name}{slash}");
        let quoted = quote.is_some() || path.contains([' ', '\\', '"', '\'']);
        let quote = quote.unwrap_or('"');
        let replacement = match (quoted, is_folder) {
            (false, _) => path,
            (true, true) => format!("{quote}{path}"),
            (true, false) => format!("{quote}{path}{quote}"),
        };
        Candidate { shown: format!("{name}{slash}"), replacement }
    };
    found.into_iter().map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::notice::Who;

    struct Disk;

    impl OutsidePlaces for Disk {
        fn folder(&self, path: &str) -> Vec<(String, bool)> {
            let names: &[(&str, bool)] = match path {
                "" => &[("my files", true), ("notes.txt", false), (".hidden", false)],
                "my files/" => &[("a b.pdf", false), ("a\u{1b}[2J", false)],
                "~/" => &[("music", true)],
                _ => &[],
            };
            names.iter().map(|(name, folder)| ((*name).to_owned(), *folder)).collect()
        }

        fn hosts(&self) -> Vec<String> {
            vec!["alice.example 5000".into(), "10.0.0.1".into()]
        }
    }

    fn who(id: u8, name: &str) -> Who {
        Who { id: MemberId([id; 32]), name: Untrusted::new(name), verified: false }
    }

    fn room() -> Known {
        let mut known = Known::default();
        known.hear(&Notice::Started { who: who(0, "me"), temporary: false, locked: false });
        let off = (4, "turn it off");
        for (id, name) in [(1, "bob"), (2, "Bea"), (3, "carol"), off, (0, "me")] {
            let member = MemberInfo { who: who(id, name), address: String::new() };
            known.hear(&Notice::MemberJoined { member });
        }
        for (id, name) in [(1, "report.pdf"), (2, "my report.pdf"), (3, "a\u{202e}b")] {
            known.hear(&offer(id, name, None));
        }
        known
    }

    fn offer(id: u8, name: &str, replaces: Option<u8>) -> Notice {
        Notice::FileOffered {
            id: EntryId([id; 32]),
            file: FileInfo { id: FileId([id; 32]), name: Untrusted::new(name), size: 1 },
            folder: None,
            from: who(1, "bob"),
            time_ms: 0,
            own: false,
            history: false,
            replaces: replaces.map(|id| EntryId([id; 32])),
            order: String::new(),
            alike: false,
        }
    }

    #[test]
    fn files_of_one_name_are_completed_to_their_ids() {
        let mut known = room();
        known.hear(&offer(4, "report.pdf", None));
        assert_eq!(completed(&known, "download rep"), ["download 04040404", "download 01010101"]);
        known.hear(&offer(5, "report.pdf", Some(4)));
        assert_eq!(completed(&known, "download rep"), ["download 05050505", "download 01010101"]);
        let mut offer = |id, name: &str| known.hear(&offer(id, name, None));
        offer(6, "cafe\u{301}.txt");
        (0..2_000).for_each(|number| offer(7, &format!("later {number}")));
        assert_eq!(completed(&known, "download caf\u{e9}").len(), 1, "it is not forgotten");
    }

    fn completed(known: &Known, head: &str) -> Vec<String> {
        let (start, found) = known.complete(head, &Disk);
        found.into_iter().map(|c| head[..start].to_owned() + &c.replacement).collect()
    }

    #[test]
    fn too_many_candidates_become_what_they_have_in_common() {
        struct Full;
        impl OutsidePlaces for Full {
            fn folder(&self, _: &str) -> Vec<(String, bool)> {
                (0..1_000).map(|number| (format!("photo-{number:04}.jpg"), false)).collect()
            }
            fn hosts(&self) -> Vec<String> {
                Vec::new()
            }
        }
        let known = Known::default();
        let found = |head: &str| known.complete(head, &Full).1;
        assert_eq!(found("send p")[0].replacement, "photo-0");
        assert!(found("send photo-0").is_empty());
        assert_eq!(found("send photo-00").len(), 100);
        assert_eq!(found("send photo-001").len(), 10);
    }

    #[test]
    fn words_become_what_they_can() {
        let mut known = room();
        for (head, lines) in [
            ("dow", &["/download "][..]),
            ("/wa", &["/wait "]),
            ("b", &["/browser ", "bob: ", "Bea: "]),
            ("hello c", &["hello carol "]),
            ("hello @c", &["hello @carol "]),
            ("download rep", &["download report.pdf"]),
            ("download my", &["download my report.pdf"]),
            ("download 03", &["download 03030303"]),
            ("send no", &["send notes.txt"]),
            ("send m", &["send \"my files/"]),
            ("send \"my files/", &["send \"my files/a b.pdf\""]),
            ("send my\\ files/a", &["send \"my files/a b.pdf\""]),
            ("send ~/", &["send ~/music/"]),
            ("send .", &["send .hidden"]),
            ("connect 1", &["connect 10.0.0.1"]),
            ("verify be", &["verify Bea"]),
            ("/remove b", &["/remove bob", "/remove Bea"]),
            ("/remove tu", &["/remove \"turn it off\""]),
            ("/steward c", &["/steward carol"]),
            ("/ignore c", &["/ignore carol"]),
            ("remove c", &["remove carol "]),
            ("/inv", &["/invite "]),
            ("inv", &[]),
            ("/invite o", &["/invite once", "/invite off"]),
            ("/lo", &["/lock "]),
            ("/join kla", &[]),
            ("help verify", &["help verify"]),
            ("limit d", &["limit down "]),
            ("nothing of this", &[]),
        ] {
            assert_eq!(completed(&known, head), lines, "{head}");
        }
        known.hear(&Notice::Message {
            id: EntryId([0; 32]),
            from: who(2, "Bea"),
            text: Untrusted::new("hi"),
            time_ms: 0,
            own: false,
            history: false,
            order: String::new(),
            known: true,
        });
        assert_eq!(completed(&known, "ok b"), ["ok Bea ", "ok bob "], "who spoke last is first");
        known.hear(&Notice::Left { room: crate::router::ids::RoomId([0; 32]) });
        assert!(completed(&known, "download ").is_empty());
    }
}
