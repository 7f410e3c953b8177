//! What happened: always as a hash, and as readable lines on request.

use std::hash::{DefaultHasher, Hash, Hasher};

use klatch::router::event::{Effect, Event};
use klatch::router::message::Message;
use klatch::router::notice::Notice;

/// The trace of one world.
#[derive(Default)]
pub struct Trace {
    hasher: DefaultHasher,
    /// Whether to print each line as it happens.
    pub print: bool,
    /// Events handled.
    pub events: u64,
}

impl Trace {
    /// A node handled an event.
    pub fn handled(&mut self, now_ms: u64, name: &str, event: &Event, effects: &[Effect]) {
        self.events += 1;
        (now_ms, name, std::mem::discriminant(event)).hash(&mut self.hasher);
        for effect in effects {
            std::mem::discriminant(effect).hash(&mut self.hasher);
            match effect {
                Effect::Send { conn, message } => {
                    (conn, std::mem::discriminant(message)).hash(&mut self.hasher);
                }
                Effect::Notify(Notice::Message { id, order, .. }) => {
                    (id, order).hash(&mut self.hasher);
                }
                _ => {}
            }
        }
        if self.print {
            let quiet = matches!(event, Event::Tick) && effects.is_empty();
            if !quiet {
                println!("{now_ms:>8} {name:<7} {}", brief_event(event));
            }
            for effect in effects {
                println!("{:>8} {:<7}   -> {}", "", "", brief_effect(effect));
            }
        }
    }

    /// Something that the world did.
    pub fn remark(&mut self, now_ms: u64, text: &str) {
        (now_ms, text).hash(&mut self.hasher);
        if self.print {
            println!("{now_ms:>8} ------- {text}");
        }
    }

    /// The same hash for the same seed.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}

fn brief_event(event: &Event) -> String {
    match event {
        Event::Said { conn, message } => format!("#{} said {}", short(conn.0), brief(message)),
        Event::Commanded { line, command, .. } => format!("command {line}: {command:?}"),
        Event::HelloArrived { conn, theirs, same_room } => format!(
            "#{} hello run={:?} settled={} locked={} moves={} password={} brings={:?} same={}",
            short(conn.0),
            theirs.run,
            theirs.settled,
            theirs.locked,
            theirs.moves,
            theirs.password,
            theirs.brings,
            same_room
        ),
        Event::ConnOpened { conn, side, role, remote } => {
            format!("#{} opened {side:?} {role:?} {remote}", short(conn.0))
        }
        Event::ConnClosed { conn, how } => format!("#{} closed {how:?}", short(conn.0)),
        Event::Identified { conn, member, outcome, .. } => {
            let outcome = format!("{outcome:?}");
            let outcome: String = outcome.chars().take(60).collect();
            format!("#{} identified {member:?} {outcome}", short(conn.0))
        }
        other => cut(&format!("{other:?}")),
    }
}

fn brief_effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { conn, message } => format!("#{} say {}", short(conn.0), brief(message)),
        Effect::Dial { conn, target, role } => {
            format!("#{} dial {target:?} {role:?}", short(conn.0))
        }
        Effect::Refuse { conn, refusal } => format!("#{} refuse {:?}", short(conn.0), refusal.why),
        Effect::Close { conn } => format!("#{} close", short(conn.0)),
        Effect::Linked { conn, member } => format!("#{} linked {member:?}", short(conn.0)),
        Effect::SendHello { conn, room, .. } => format!("#{} hello {room:?}", short(conn.0)),
        other => cut(&format!("{other:?}")),
    }
}

/// One line for a message.
pub fn brief(message: &Message) -> String {
    match message {
        Message::Entry(entry) => {
            let body = &entry.body;
            format!("Entry {:?}/{:?} {} {:?}", body.chain.author, body.chain.nonce, body.seq, {
                cut(&format!("{:?}", body.kind))
            })
        }
        Message::Answer { number, entries, last } => {
            let seqs: Vec<_> = entries.iter().map(|e| (e.body.chain.nonce, e.body.seq)).collect();
            cut(&format!("Answer {number} of {} last={last} {seqs:?}", entries.len()))
        }
        Message::Have(haves) => {
            let haves: Vec<_> = haves
                .iter()
                .map(|h| {
                    let forked = if h.forked { "!" } else { "" };
                    format!("{:?}/{:?}:{}{forked}", h.chain.author, h.chain.nonce, h.len)
                })
                .collect();
            cut(&format!("Have {}", haves.join(" ")))
        }
        Message::Ask { number, chains } => {
            let chains: Vec<_> = chains
                .iter()
                .map(|w| format!("{:?}/{:?}>{}", w.chain.author, w.chain.nonce, w.from))
                .collect();
            cut(&format!("Ask {number} {}", chains.join(" ")))
        }
        Message::Presence(record) => {
            let body = &record.body;
            format!(
                "Presence {} {:?} v{} unlinked={:?} bye={}",
                body.name, body.member, body.version, body.unlinked, body.bye
            )
        }
        Message::Records(records) => {
            let records: Vec<_> = records.iter().map(|r| (r.id, &r.record)).collect();
            let text = format!("Records {records:?}");
            text.chars().take(600).collect()
        }
        other => cut(&format!("{other:?}")),
    }
}

/// Ids of dialled connections begin at 2^63: they are shown as d1, d2; accepted ones by number.
fn short(conn: u64) -> String {
    if conn >> 63 == 1 { format!("d{}", conn & !(1 << 63)) } else { format!("a{conn}") }
}

fn cut(text: &str) -> String {
    text.chars().take(220).collect()
}
