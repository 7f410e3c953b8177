//! The properties of lock.md for sets of records that honest and hostile authors might sign.

use proptest::prelude::*;

use super::*;

const PEOPLE: [char; 7] = ['F', 'A', 'B', 'C', 'D', 'X', 'Y'];

/// A record to be made, as numbers that choose from what exists by then.
#[derive(Debug, Clone)]
struct Choice {
    kind: u8,
    name: u16,
    parent: u8,
    by: u8,
    member: u8,
    mask: u32,
}

fn choice() -> impl Strategy<Value = Choice> {
    let numbers = (0..100_u8, any::<u16>(), any::<u8>(), any::<u8>(), 0..64_u8, any::<u32>());
    numbers.prop_map(|(kind, name, parent, by, member, mask)| Choice {
        kind,
        name,
        parent,
        by,
        member,
        mask,
    })
}

fn sets() -> impl Strategy<Value = Vec<Named>> {
    proptest::collection::vec(choice(), 1..24).prop_map(|choices| {
        let mut draft = Draft::default();
        choices.iter().enumerate().for_each(|(number, choice)| draft.add(number, choice));
        draft.records
    })
}

/// Records so far, with what later ones may name.
#[derive(Default)]
struct Draft {
    records: Vec<Named>,
    /// Tickets with their holders and those above them.
    tickets: Vec<(RecordId, char, Vec<char>)>,
    acts: Vec<RecordId>,
}

impl Draft {
    fn add(&mut self, number: usize, choice: &Choice) {
        let name = id(&format!("{:04x}-{number}", choice.name));
        let parent = self.pick(choice.parent).cloned();
        let above = parent.as_ref().map_or_else(
            || vec!['F'],
            |(_, holder, above)| [&[*holder], above.as_slice()].concat(),
        );
        // Mostly somebody above, but sometimes anybody.
        let by = match choice.by {
            0..16 => PEOPLE[usize::from(choice.by) % PEOPLE.len()],
            by => above[usize::from(by) % above.len()],
        };
        let member = PEOPLE[1 + usize::from(choice.member) % (PEOPLE.len() - 1)];
        let parent = parent.map(|(id, ..)| id);
        let record = match choice.kind {
            0..45 => Record::Ticket(self.ticket(choice, by, parent, member)),
            45..55 => Record::Ticket(self.invited(choice, by, parent, member)),
            55..78 => Record::Removal(Removal {
                by: who(by),
                member: (choice.kind < 74).then(|| who(member)),
                invitations: (choice.mask & 1 == 1).then(|| invitation("i")).into_iter().collect(),
                earlier: 0,
                kept: self.kept(choice, parent),
            }),
            _ => Record::Lock(Lock {
                by: who(by),
                standing: self.standing(by),
                closed: choice.kind < 92,
                password: (choice.mask & 1 == 1).then_some(Digest32(name.0)),
                over: self.some_acts(choice.mask),
                kept: self.kept(choice, parent),
            }),
        };
        if let Record::Ticket(ticket) = &record {
            let above = if ticket.how == How::Steward { vec!['F'] } else { above };
            self.tickets.push((name, member, above));
        } else {
            self.acts.push(name);
            for kept in record.kept() {
                let above = [&[by], above.as_slice()].concat();
                let holder = char::from(kept.member.0[0]);
                self.tickets.push((kept_id(&name, &kept.member), holder, above));
            }
        }
        self.records.push((name, record));
    }

    fn pick(&self, number: u8) -> Option<&(RecordId, char, Vec<char>)> {
        self.tickets.get(usize::from(number) % (self.tickets.len() + 1))
    }

    fn some_acts(&self, mask: u32) -> BTreeSet<RecordId> {
        let acts = self.acts.iter().enumerate();
        acts.filter(|(number, _)| mask >> (number % 32) & 1 == 1).map(|(_, id)| *id).collect()
    }

    fn standing(&self, by: char) -> BTreeSet<RecordId> {
        let own = self.tickets.iter().filter(|(_, holder, _)| *holder == by);
        own.map(|(id, ..)| *id).collect()
    }

    fn ticket(&self, choice: &Choice, by: char, parent: Option<RecordId>, member: char) -> Ticket {
        let how = [How::Open, How::Password, How::Kept, How::Kept][usize::from(choice.kind) % 4];
        let steward = choice.kind < 4;
        let named = self.some_acts(choice.mask);
        Ticket {
            by: if steward { who('F') } else { who(by) },
            parent: parent.filter(|_| !steward),
            member: who(member),
            how: if steward { How::Steward } else { how },
            rank: u32::from(choice.kind),
            knows: named.clone(),
            pardons: named,
            invited: None,
        }
    }

    fn invited(&self, choice: &Choice, by: char, parent: Option<RecordId>, member: char) -> Ticket {
        let standing = self.pick((choice.mask % 251) as u8);
        let invited = Invited {
            invitation: invitation(if choice.mask & 4 == 4 { "i" } else { "j" }),
            answerer: who(standing.map_or('F', |(_, holder, _)| *holder)),
            standing: standing.map(|(id, ..)| *id),
        };
        let ticket = self.ticket(choice, by, parent, member);
        Ticket {
            by: who(by),
            parent,
            how: How::Invitation,
            knows: BTreeSet::new(),
            pardons: BTreeSet::new(),
            invited: Some(invited),
            ..ticket
        }
    }

    fn kept(&self, choice: &Choice, parent: Option<RecordId>) -> Vec<Kept> {
        let count = usize::from(choice.member) % 3;
        let below = parent.map_or(Below::Founder, Below::Ticket);
        let first = usize::from(choice.by);
        let member = |number: usize| who(PEOPLE[1 + (first + number) % (PEOPLE.len() - 1)]);
        let pardons = self.some_acts(choice.mask);
        (0..count)
            .map(|number| Kept {
                member: member(number),
                below: if number == 0 { below } else { Below::Kept(member(number - 1)) },
                pardons: pardons.clone(),
            })
            .collect()
    }
}

fn living(room: &Membership) -> Vec<Seat> {
    room.members()
        .flat_map(|member| room.tickets_of(&member).cloned().collect::<Vec<_>>())
        .collect()
}

fn closings(room: &Membership) -> BTreeSet<RecordId> {
    room.closings().map(|closing| closing.id).collect()
}

/// How high somebody is above a ticket.
fn height(above: &[MemberId], member: &MemberId) -> Option<usize> {
    above.iter().rposition(|upper| upper == member)
}

/// A ticket's pardons, including those of one that a removal itself keeps.
fn pardons(records: &[Named], seat: &Seat) -> BTreeSet<RecordId> {
    let (_, record) = records.iter().find(|(id, _)| *id == seat.record).unwrap();
    match record {
        Record::Ticket(ticket) => ticket.pardons.clone(),
        record => {
            let kept = record.kept().iter().find(|kept| kept.member == seat.member).unwrap();
            let mut pardons = kept.pardons.clone();
            if matches!(record, Record::Removal(removal) if removal.member == Some(seat.member)) {
                pardons.insert(seat.record);
            }
            pardons
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn p2_nobody_is_below_whoever_removed_it_without_a_pardon(records in sets()) {
        let room = room(&records);
        for seat in living(&room) {
            let above = room.above(&seat.id);
            prop_assert!(seat.parent.is_none_or(|parent| room.lives(&parent)));
            prop_assert!(above.contains(&seat.by));
            if let Some(invited) = seat.invited {
                prop_assert!(room.is_member(&invited.answerer));
                prop_assert!(invited.standing.is_none_or(|standing| room.lives(&standing)));
            }
            for (name, record) in &records {
                let Record::Removal(removal) = record else { continue };
                let used = seat.invited.map(|invited| invited.invitation);
                let names = removal.member == Some(seat.member)
                    || removal.member.is_some()
                        && used.is_some_and(|used| removal.invitations.contains(&used));
                let Some(top) = height(&above, &removal.by).filter(|_| names) else { continue };
                prop_assert!(pardons(&records, &seat).contains(name));
                prop_assert!(height(&above, &seat.by) >= Some(top));
            }
        }
    }

    #[test]
    fn p3_a_record_moves_only_those_that_hang_below_its_signer(
        records in sets(),
        which in any::<prop::sample::Index>(),
    ) {
        let which = which.index(records.len());
        let mut fewer = records.clone();
        let (_, record) = fewer.remove(which);
        let (before, after) = (room(&fewer), room(&records));
        for (one, other) in [(&before, &after), (&after, &before)] {
            for member in one.members().filter(|member| !other.is_member(member)) {
                for seat in one.tickets_of(&member) {
                    // All that have lost it were below the signer; so are new ones.
                    prop_assert!(reached_by(one, &seat.id).contains(&record.signer()));
                }
            }
        }
    }

    #[test]
    fn p4_the_order_of_arrival_never_matters(
        (records, shuffled) in sets().prop_flat_map(|set| {
            (Just(set.clone()), Just(set).prop_shuffle())
        }),
    ) {
        let mut one = super::register::Room::new(who(FOUNDER));
        let mut other = super::register::Room::new(who(FOUNDER));
        for (id, record) in &records {
            one.insert(*id, super::register::stored(record));
        }
        for (id, record) in &shuffled {
            other.insert(*id, super::register::stored(record));
            // Makes what follows take the short way.
            other.membership();
        }
        prop_assert_eq!(one.digest(), other.digest());
        let sound: Vec<Named> = one.values().map(|(id, record)| (id, record.clone())).collect();
        let fresh = room(&sound);
        for room in [one.membership(), other.membership()] {
            prop_assert_eq!(living(room), living(&fresh));
            prop_assert_eq!(closings(room), closings(&fresh));
            prop_assert_eq!(room.password(), fresh.password());
        }
    }

    #[test]
    fn p6_an_open_ticket_lives_only_where_every_closing_above_it_was_known(records in sets()) {
        let room = room(&records);
        for seat in living(&room).into_iter().filter(|seat| seat.how == How::Open) {
            let (_, record) = records.iter().find(|(id, _)| *id == seat.record).unwrap();
            let Record::Ticket(ticket) = record else { panic!("an open ticket is a record") };
            for (name, record) in &records {
                let Record::Lock(lock) = record else { continue };
                let above = lock.closed && room.is_above(&lock.by, &seat.id);
                prop_assert!(!above || ticket.knows.contains(name));
            }
        }
    }

    #[test]
    fn p7_the_removed_set_no_password_and_none_is_in_force_without_knowing_a_removal(
        records in sets(),
    ) {
        let room = room(&records);
        if let Some((lock, _)) = room.password() {
            let closing = room.closings().find(|closing| closing.id == lock).unwrap();
            prop_assert!(room.is_member(&closing.by));
            for removal in room.holds() {
                prop_assert!(room.knows(&lock, &removal));
            }
            for other in room.closings() {
                prop_assert!(!room.knows(&other.id, &lock));
            }
        }
        prop_assert!(room.closings().all(|closing| room.is_member(&closing.by)));
    }

    #[test]
    fn p9_only_who_may_opens_what_is_closed(records in sets(), by in 0..7_usize, mask: u32) {
        let before = room(&records);
        let acts: Vec<RecordId> = before.acts_new_to(&who('!')).into_iter().collect();
        let known = acts.iter().enumerate().filter(|(n, _)| mask >> (n % 32) & 1 == 1);
        let over: BTreeSet<RecordId> = known.map(|(_, id)| *id).collect();
        let opening = Lock {
            by: who(PEOPLE[by]),
            standing: BTreeSet::new(),
            closed: false,
            password: None,
            over: over.clone(),
            kept: Vec::new(),
        };
        let mut records = records;
        records.push((id("~"), Record::Lock(opening)));
        let after = room(&records);
        for opened in closings(&before).difference(&closings(&after)) {
            prop_assert!(after.may_open(&who(PEOPLE[by]), opened));
            prop_assert!(after.knows(&id("~"), opened) && after.is_member(&who(PEOPLE[by])));
        }
        for closing in closings(&after) {
            let undone = over.contains(&closing) && after.is_member(&who(PEOPLE[by]));
            prop_assert!(!undone || !after.may_open(&who(PEOPLE[by]), &closing));
        }
    }
}
