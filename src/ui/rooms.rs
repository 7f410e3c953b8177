//! Sentences about a room: whose it is, who may come in, who was put out, and invitations.

use super::lines::{counted, listed, nick, safe, typed_nick};
use super::paint::Style;
use super::tables::table;
use crate::router::invite_link::command_line;
use crate::router::notice::{InvitationLine, MemberInfo, Notice, Who};

/// What klatch says for such a notice; `None` for a notice about something else.
pub(super) fn sentences(notice: &Notice, style: &Style) -> Option<Vec<String>> {
    let one = match notice {
        Notice::Joined { members, locked, founder, .. } => joined(members, *locked, founder, style),
        Notice::RoomLocked { by, password, out, me_out, own } => {
            closed((&subject(by, *own), *own), *password, (out, *me_out), style)
        }
        Notice::RoomUnlocked { by, own } => {
            let by = subject(by, *own);
            format!("{by} opened the room: anyone who can reach it can join")
        }
        Notice::MemberRemoved { member, by, own, me_out, also } => {
            removed(member, &subject(by, *own), (*me_out, also), style)
        }
        Notice::StewardChanged { member, own, off } => steward(member, *own, *off, style),
        Notice::Invitation { text, until_ms, once } => {
            return Some(invitation(text, *until_ms, *once, style));
        }
        // The one that was just made is on the screen already.
        Notice::Invitations { list } if list.len() == 1 => return Some(Vec::new()),
        Notice::Invitations { list } => return Some(invitations(list, style)),
        Notice::Words { member, words, asked } => {
            return Some(compare(&member.who, words, *asked));
        }
        _ => return None,
    };
    Some(vec![one])
}

fn subject(by: &Who, own: bool) -> String {
    if own { "you".to_owned() } else { nick(by) }
}

fn joined(members: &[MemberInfo], locked: bool, founder: &Who, style: &Style) -> String {
    let whose = match style.seen.is_me(founder) {
        true => "your room".to_owned(),
        // Nobody has told its name yet.
        false if founder.name.raw() == founder.id.short() => "a room".to_owned(),
        false => format!("{}'s room", nick(founder)),
    };
    let others = members.iter().map(|member| nick(&member.who));
    let others: Vec<String> = others.collect();
    let with = match others.as_slice() {
        [] => String::new(),
        others => format!(" with {}", listed(others)),
    };
    let kind = if locked { "closed" } else { "open: anyone who can reach it can join" };
    format!("you are in {whose}{with} ({kind})")
}

fn closed(
    (by, own): (&str, bool),
    password: bool,
    (out, me_out): (&[Who], bool),
    style: &Style,
) -> String {
    let changed = style.seen.closed;
    if me_out {
        let did = if changed { "changed the password of" } else { "closed" };
        return format!("{by} {did} the room, and you are no longer in it");
    }
    let what = match (changed, password) {
        (false, true) => {
            "closed the room: those here stay; others need the password or an invitation"
        }
        (false, false) => "closed the room: those here stay; others need an invitation",
        (true, true) if own => "changed the password of the room",
        (true, true) => {
            "changed the password of the room: the old one no longer works (/password sets another)"
        }
        (true, false) => "removed the room's password: others need an invitation",
    };
    format!("{by} {what}{}", are_out(out))
}

/// `; dora and emil are out`.
fn are_out(out: &[Who]) -> String {
    let names: Vec<String> = out.iter().map(nick).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!("; {one} is out"),
        names => format!("; {} are out", listed(names)),
    }
}

fn removed(member: &Who, by: &str, (me_out, also): (bool, &[Who]), style: &Style) -> String {
    let eve = nick(member);
    match (me_out, style.seen.me) {
        (true, Some(me)) if me != member.id => {
            format!("{by} removed {eve}, through whom you came in: you are out of the room as well")
        }
        (true, _) => format!("{by} removed you from this room"),
        (false, _) => {
            let names: Vec<String> = also.iter().map(nick).collect();
            match names.as_slice() {
                [] => format!("{by} removed {eve}"),
                [one] => format!("{by} removed {eve}, and {one}, whom {eve} had let in"),
                names => {
                    format!("{by} removed {eve}, and whom {eve} had let in: {}", listed(names))
                }
            }
        }
    }
}

fn steward(member: &Who, own: bool, off: bool, style: &Style) -> String {
    let name = nick(member);
    match (style.seen.is_me(member), own, off) {
        (true, _, false) => {
            "you are a steward of the room now: you can remove everybody but its founder and \
             earlier stewards"
                .into()
        }
        (true, _, true) => "you are no longer a steward of the room".into(),
        (false, true, false) => {
            format!("you made {name} a steward, above everybody but you and earlier stewards")
        }
        (false, false, false) => {
            format!("{name} is a steward now, above everybody but the founder and earlier stewards")
        }
        (false, _, true) => format!("{name} is no longer a steward"),
    }
}

fn invitation(text: &str, until_ms: i64, once: bool, style: &Style) -> Vec<String> {
    let until = style.moment(until_ms);
    let what = if once {
        format!("send this to the person you invite; it admits one person, until {until}:")
    } else {
        format!("send this to the people you invite; anyone who has it can join until {until}:")
    };
    vec![what, command_line(&safe(text))]
}

fn invitations(list: &[InvitationLine], style: &Style) -> Vec<String> {
    if list.is_empty() {
        return vec!["no invitation can be used now".into()];
    }
    let row = |line: &InvitationLine| {
        let left = match line.left {
            None => "any number of people".to_owned(),
            Some(1) => "one person".to_owned(),
            Some(left) => format!("{left} people"),
        };
        vec![
            if line.own { "yours".to_owned() } else { format!("by {}", nick(&line.maker)) },
            format!("until {}", style.moment(line.until_ms)),
            left,
        ]
    };
    let rows: Vec<_> = list.iter().map(row).collect();
    let end = list.iter().any(|line| line.own).then(|| "/invite off ends yours".to_owned());
    std::iter::once(format!("{} can be used:", counted(list.len(), "invitation")))
        .chain(table(&rows, style.columns))
        .chain(end)
        .collect()
}

fn compare(who: &Who, words: &str, asked: bool) -> Vec<String> {
    let name = nick(who);
    let first = match asked {
        true => format!("{name} wants to compare words with you, in person or by phone:"),
        false => format!("compare these words with {name}, in person or by phone:"),
    };
    vec![
        first,
        format!("  {}", safe(words)),
        format!("if {name} reads the same words, type: verify {} same", typed_nick(who)),
    ]
}

#[cfg(test)]
#[path = "rooms_tests.rs"]
mod tests;
