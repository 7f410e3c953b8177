//! Eve against real nodes: what must hold whatever she says, sends or withholds.
//!
//! Eve speaks the real protocol ([`eve::Eve`]); her victims are whole nodes in this process
//! ([`host::Host`]) or the program itself. Every threat that is promised to be met has a test
//! whose name begins with its number; those not found here are units of the part that meets them:
//!
//! | threat | here | elsewhere |
//! |---|---|---|
//! | W1 lying lengths | `w1_…` (as a member) | `net::tests::hostile::w1_…` |
//! | W2 a relay that splits everywhere | `w2_…` | |
//! | W4 cut at each record | `w4_…` (whole nodes) | `net::tests::hostile::w4_…`, `node::transfers::tests::faults::a_lane_that_is_cut_at_any_record_never_gives_a_chunk` |
//! | W5 replays, reflections | `w5_…` (whole nodes) | `net::tests::hostile::w5_…` |
//! | W6 counts of 2^32 | `w6_…` | `wire::tests::w6_…` |
//! | W7 connecting to oneself, at once | `w7_…` | |
//! | W8 a teller of 10,000 addresses | `w8_…` | |
//! | H3 guessing | `h3_…` | `crypto::lock::tests` |
//! | H5 "open" instead of locked | `h5_…` | `net::tests::hostile::h5_…`, `net::tests::handshake::h5_…` |
//! | H6 moved identities and proofs | `h6_…` | `net::tests::hostile::h6_…`, `crypto::binding::tests` |
//! | H10 other protocols | | `net::tests::knocking::h10_…` |
//! | R2 drips | `r2_…` (each later step) | `net::tests::knocking::r2_…` |
//! | R5 no threads, panics | `r5_…` | `net::tests::hostile::r5_…` |
//! | S1 bad bytes | `s1_…` | `node::transfers::tests::faults::one_wrong_byte_costs_one_chunk` |
//! | S8 the source changes | `s8_…` | `node::transfers::tests::faults::an_edited_truncated_or_swapped_file_is_not_served` |
//! | S9 names | `s9_…` | `files::names::tests::hostile_names_land_in_the_folder_as_one_plain_component` |
//! | S11 like names | `s11_…` | |
//! | S12 8 EiB | `s12_…` | |
//! | T1 control bytes | `t1_…` | `router::text::tests`, `ui::notice::tests` |
//! | L3 replays, clocks, numbers | `l3_…` | `crypto::identity::tests::a_malleated_signature_is_refused` |
//! | L4 claims of 2^60 | `l4_…` | |
//! | L5 poison | `l5_…` | |
//!
//! `floods` holds attacks on what a member can make another member remember, compute or send.

mod eve;
mod faults;
mod floods;
mod handshake;
mod host;
mod log;
mod middle;
mod output;
mod program;
mod swarm;
mod wire;
