//! Eve against real nodes: what must hold whatever she says, sends or withholds.
//!
//! Eve speaks the real protocol ([`eve::Eve`]); her victims are whole nodes in this process
//! ([`host::Host`]) or the program itself. Every threat that klatch must withstand has a test whose
//! name begins with its number; those not found here are unit tests of the part concerned:
//!
//! | threat | here | units elsewhere |
//! |---|---|---|
//! | W1 lying lengths | `w1_…`: members, 1,000 strangers | `net::tests::hostile::w1_…` |
//! | W2 a relay that splits everywhere | `w2_…` | |
//! | W4 cut at each record | `w4_…`: whole nodes | `net::tests::hostile::w4_…`; lanes: [1] |
//! | W5 replays, reflections | `w5_…`: whole nodes | `net::tests::{hostile,moved}::w5_…` |
//! | W6 counts of 2^32 | `w6_…` | `wire::tests::w6_…` |
//! | W7 connecting to oneself, at once | `w7_…` | |
//! | W8 a teller of 10,000 addresses | `w8_…` | `router::members` |
//! | H3 guessing | `h3_…` | `crypto::opaque::tests` |
//! | H5 "open" instead of locked | `h5_…` | `h5_…` in `net::tests` |
//! | H6 moved identities and proofs | `h6_…` | `net::tests::moved::h6_…`, `crypto::binding` |
//! | H10 other protocols | | `net::tests::knocking::h10_…` |
//! | H11 former members | `h11_…` | `router::membership` |
//! | H12 records abandoned, replayed, withheld, parallel | `h12_…` | the simulator |
//! | H13 another change to each | `h13_…` | the simulator |
//! | H14 another's run, hanging handshakes | `h14_…` | |
//! | H15 refusals that lie | `h15_…` | `wire::tests::records::h15_…` |
//! | H16 secrets | `h16_…` | |
//! | H17 the removed comes back | `h17_…`, `it::removing` | the simulator |
//! | N2 invitations | `n2_…` | `router::invite_link`, `n2_…` in `wire`, `net` |
//! | R7 floods, each kind of message | `r7_…`, `floods` | `r7_…`: `net::pace`, `router::quiet` |
//! | R8 victims as scanners | `w8_…` | `r8_…`: `router::members` |
//! | R2 drips | `r2_…`: each later step | `net::tests::knocking::r2_…` |
//! | R5 no threads, panics | `r5_…`: no threads | `net::tests::hostile::r5_…`: panics |
//! | R9 strangers who hold places | `r9_…`, `it::bridge::guards` | `r9_…`: `net::gate` and [4] |
//! | S1 bad bytes | `s1_…` | [2] |
//! | S2 lying bitmaps | | the simulator: `s2_…` |
//! | S3 drips | `s3_…` | |
//! | S5 all hosts vanish | `it::kills::s5_…` | the simulator: `s5_…` at 100 points |
//! | S7 full and broken disks | `it::disks::s7_…` | `s7_…`: `files::part`, `node`, the simulator |
//! | S8 the source changes | `s8_…` | [3] |
//! | S9 names | `s9_…`: end to end | `files::names`: 2,000 names |
//! | S11 like names | `s11_…` | |
//! | S12 8 EiB | `s12_…` | |
//! | F1, F2 hostile lists of folders | `f1_…` | `files::folder::{manifest,paths}` |
//! | F3 links in what is being built | | `files::folder::staging` |
//! | F4 a lying unit | `f4_…` | the simulator |
//! | T1 control bytes, long texts | `t1_…`, `it::live` | `router::text`, `ui::{notice,live}` |
//! | T6 ground digits | | `t6_…`: `router::members`, `router::text` |
//! | L3 replays, clocks, numbers | `l3_…` | `crypto::identity` |
//! | L4 claims of 2^60 | `l4_…` | |
//! | L5 poison | `l5_…` | `router::log` |
//! | L6 chains and bytes of strangers | `l6_…` | `router::log`, the simulator |
//! | L7 forks by the hundred | `l7_…` | `router::log`, `router::files` |
//!
//! Of `node::transfers::tests::faults`:
//! [1] `a_lane_that_is_cut_at_any_record_never_gives_a_chunk`,
//! [2] `one_wrong_byte_costs_one_chunk`,
//! [3] `an_edited_truncated_or_swapped_file_is_not_served`;
//! [4] `router::admission`, `node::transfers`.
//!
//! `floods` holds attacks on what a member can make another member remember, compute or send.

mod door;
mod eve;
mod faults;
mod floods;
mod folders;
mod handshake;
mod host;
mod inviting;
mod log;
mod middle;
mod offers;
pub(crate) mod output;
mod program;
mod records;
mod returning;
mod shares;
mod stories;
mod swarm;
mod tamper;
mod wire;
mod writer;

#[cfg(target_os = "linux")]
pub(crate) use eve::{wait_until, wait_within};
#[cfg(target_os = "linux")]
pub(crate) use program::{status_of, stop_for_a_while};
