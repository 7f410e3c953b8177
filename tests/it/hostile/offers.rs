//! Offers that interfere with those of others, or exceed what a node stores.

use std::sync::Arc;

use klatch::router::command::Command;
use klatch::router::ids::{Digest32, EntryId};
use klatch::router::message::{Held, Message};
use klatch::router::notice::{FileLine, Notice};
use klatch::router::signed::{Kind, Offer};

use super::eve::Eve;
use super::host::Host;

fn offered(name: &str, replaces: Option<EntryId>) -> Kind {
    Kind::Offer(Offer {
        name: name.into(),
        size: 1,
        root: Digest32([1; 32]),
        folder: None,
        replaces,
    })
}

fn files(host: &mut Host) -> Vec<FileLine> {
    host.run(Command::Files).unwrap();
    match host.told.take() {
        Some(Notice::Files { list }) => list,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_takes_back_or_replaces_what_others_offer() {
    let (mut alice, mut bob) = Host::pair();
    alice.send("plan.txt", b"the plan");
    bob.hears_offer("plan.txt");
    let plan = files(&mut alice)[0].id;
    let mut session = Eve::new().join(alice.addr());
    let mut writer = session.chain();
    for kind in [
        Kind::Withdraw(plan),
        offered("plan.txt", Some(plan)),
        Kind::Withdraw(EntryId([9; 32])),
        offered("unknown.txt", Some(EntryId([9; 32]))),
    ] {
        let entry = writer.write(kind);
        session.say(&Message::Entry(entry.into()));
    }
    let text = writer.text("done");
    session.say(&text);
    bob.hears_text("done");
    for host in [&mut alice, &mut bob] {
        let rows = files(host);
        let names: Vec<_> = rows.iter().map(|row| row.file.name.raw()).collect();
        assert_eq!(names, ["plan.txt", "plan.txt", "unknown.txt"]);
        assert!(rows.iter().any(|row| row.id == plan && row.hosts > 0), "{rows:?}");
        let lies = |notice: &Arc<Notice>| match &**notice {
            Notice::FileWithdrawn { .. } => true,
            Notice::FileOffered { replaces, .. } => replaces.is_some(),
            _ => false,
        };
        assert!(!host.rest().iter().any(lies));
    }
    // Her file of that name, which nobody here has, does not hide alice's.
    bob.download("plan.txt").unwrap();
    assert_eq!(bob.saved()[0].1, b"the plan");
    // She can take back what is her own.
    let own = files(&mut bob).into_iter().find(|row| row.file.name.raw() == "unknown.txt");
    let entry = writer.write(Kind::Withdraw(own.unwrap().id));
    session.say(&Message::Entry(entry.into()));
    let withdrawn = |notice: &Notice| matches!(notice, Notice::FileWithdrawn { .. }).then_some(());
    bob.hears("a withdrawal", withdrawn);
}

#[test]
fn a_member_that_claims_to_have_twenty_thousand_files_costs_little() {
    let (mut alice, mut bob) = Host::pair();
    let mut session = Eve::new().join(alice.addr());
    // More than klatch accepts from one member at once: it reads on slowly while the others go on.
    for number in 0..20_000_u32 {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let file = klatch::router::ids::FileId(id);
        session.say(&Message::Hosting { file, held: Held::All, fetching: false });
    }
    bob.send("plan.txt", b"the plan");
    alice.hears_offer("plan.txt");
    alice.download("plan.txt").unwrap();
    assert_eq!(alice.saved()[0].1, b"the plan");
}
