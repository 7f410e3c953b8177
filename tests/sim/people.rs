//! What people do, and what tests look at.

use klatch::crypto::password::Password;
use klatch::router::command::{Command, LockWish, NewPassword};
use klatch::router::inspect::Inspection;
use klatch::router::invite_link::InviteLink;
use klatch::router::notice::{Code, Notice};

use crate::world::{PORT, World};

impl World {
    /// Says a text.
    pub fn say(&mut self, node: usize, text: &str) -> u64 {
        self.command(node, Command::Say { text: text.to_owned() })
    }

    /// Connects without a password.
    pub fn connect(&mut self, node: usize, to: usize) -> u64 {
        self.connect_as(node, to, LockWish::Unknown)
    }

    /// Connects with a password.
    pub fn connect_with(&mut self, node: usize, to: usize, password: &str) -> u64 {
        self.connect_as(node, to, LockWish::Password(Password::new(password).unwrap()))
    }

    pub fn connect_as(&mut self, node: usize, to: usize, lock: LockWish) -> u64 {
        let host = self.nodes[to].ip.to_string();
        self.command(node, Command::Connect { host, port: PORT, lock })
    }

    /// Locks the room.
    pub fn lock(&mut self, node: usize, password: &str) -> u64 {
        let password = Some(NewPassword::Set(Password::new(password).unwrap()));
        self.command(node, Command::Password { password, asks: false })
    }

    /// Closes the room without a password.
    pub fn shut_door(&mut self, node: usize) -> u64 {
        let password = Some(NewPassword::Nothing);
        self.command(node, Command::Password { password, asks: false })
    }

    /// Removes a member; `nick` is the name under which the node knows it.
    pub fn remove(&mut self, node: usize, who: usize, undo: bool) -> u64 {
        let nick = self.nick(who);
        self.command(node, Command::Remove { nick, undo, asks: false })
    }

    /// Makes a member a steward.
    pub fn steward(&mut self, node: usize, who: usize, off: bool) -> u64 {
        let nick = self.nick(who);
        self.command(node, Command::Steward { nick, off })
    }

    /// A member's name, with its digits if another has the same one.
    pub fn nick(&self, who: usize) -> String {
        let digits: String = self.id(who).short().chars().take(4).collect();
        format!("{}·{digits}", self.nodes[who].called)
    }

    /// The password in force, as far as a node knows.
    pub fn password_of(&self, node: usize) -> Option<String> {
        let (_, hash) = self.nodes[node].router.as_ref()?.membership().password()?;
        self.passwords.get(&hash.0).cloned()
    }

    /// Whether a node counts another as a member.
    pub fn counts(&self, node: usize, who: usize) -> bool {
        let router = self.nodes[node].router.as_ref().unwrap();
        router.membership().is_member(&self.id(who))
    }

    /// Makes an invitation; `None` if that fails.
    pub fn invite(&mut self, node: usize, once: bool) -> Option<InviteLink> {
        let line = self.command(node, Command::Invite { once, for_ms: None });
        let result = self.finish(node, line);
        if result.is_err() {
            return None;
        }
        self.invitation_of(node)
    }

    /// The latest invitation that a node made.
    pub fn invitation_of(&self, node: usize) -> Option<InviteLink> {
        let text = self.nodes[node].notices.iter().rev().find_map(|(_, notice)| match notice {
            Notice::Invitation { text, .. } => Some(text.clone()),
            _ => None,
        });
        Some(InviteLink::from_text(&text?).unwrap())
    }

    /// Enters a room by an invitation.
    pub fn enter(&mut self, node: usize, link: &InviteLink) -> u64 {
        self.command(node, Command::Join { link: link.clone() })
    }

    /// Offers a file of `size` bytes.
    pub fn send_file(&mut self, node: usize, name: &str, size: u64) -> u64 {
        let seed = self.rng.next_u64();
        self.nodes[node].disk.local.insert(name.to_owned(), (size, seed));
        self.command(node, Command::Send { paths: vec![name.into()] })
    }

    /// Fetches a file.
    pub fn download(&mut self, node: usize, name: &str) -> u64 {
        self.command(
            node,
            Command::Download {
                wanted: name.to_owned(),
                paths: Vec::new(),
                patient: true,
                asks: false,
            },
        )
    }

    /// Whether a command succeeded; `None`: it has not ended.
    pub fn result(&self, node: usize, line: u64) -> Option<Result<(), Code>> {
        let (_, result) = self.nodes[node].replies.get(&line)?;
        Some(result.clone().map_err(|failure| failure.code))
    }

    /// Waits for the end of a command.
    pub fn finish(&mut self, node: usize, line: u64) -> Result<(), Code> {
        self.run_until(130_000, |world| world.result(node, line).is_some());
        let name = &self.nodes[node].name;
        self.result(node, line).unwrap_or_else(|| panic!("line {line} of {name} never ended"))
    }

    /// Connects, and expects success.
    pub fn join(&mut self, node: usize, to: usize) {
        let line = self.connect(node, to);
        assert_eq!(self.finish(node, line), Ok(()), "{} connects", self.nodes[node].name);
    }

    /// What a node takes to be so.
    pub fn inspect(&mut self, node: usize) -> Inspection {
        self.nodes[node].router.as_mut().unwrap().inspect()
    }

    /// Texts in the order in which a page shows them.
    pub fn texts(&self, node: usize) -> Vec<String> {
        let mut shown: Vec<_> = self.nodes[node].view.messages.values().collect();
        shown.sort_by(|a, b| a.order.cmp(&b.order));
        shown.into_iter().map(|shown| shown.text.clone()).collect()
    }

    /// How many different members a node is linked with.
    pub fn links(&mut self, node: usize) -> usize {
        self.inspect(node).links.len()
    }

    /// How many notices fit.
    pub fn count(&self, node: usize, fits: impl Fn(&Notice) -> bool) -> usize {
        self.nodes[node].notices.iter().filter(|(_, notice)| fits(notice)).count()
    }

    /// Remarks and errors that a person saw, for looking into them.
    pub fn remarks(&self, node: usize) -> Vec<String> {
        let text = |notice: &Notice| match notice {
            Notice::Remark { text } => Some(text.clone()),
            Notice::Error { failure, .. } => {
                Some(format!("{}: {}", failure.code.word(), failure.text))
            }
            _ => None,
        };
        self.nodes[node].notices.iter().filter_map(|(_, notice)| text(notice)).collect()
    }

    /// The text of a failed command.
    pub fn failure(&self, node: usize, line: u64) -> String {
        match self.nodes[node].replies.get(&line) {
            Some((_, Err(failure))) => failure.text.clone(),
            other => panic!("no failure but {other:?}"),
        }
    }
}
