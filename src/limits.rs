//! Bounds that a test or a setting changes, each with its unit and its reason. The others are
//! beside their use.

/// The bounds. All are enforced when something is accepted or allocated, and never decide whether
/// what others signed is *valid*: members with other limits would disagree about the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    // Before admission everything is small and short.
    /// Connections that are not admitted yet, at once: bounds the threads that strangers can cost.
    pub pending_conns: usize,
    /// The same per IPv4 address or IPv6 /64 (loopback excepted).
    pub pending_conns_per_addr: usize,
    /// Handshakes accepted per second, sustained.
    pub handshakes_per_s: u32,
    /// Handshakes accepted in a burst.
    pub handshake_burst: u32,
    /// From the first byte to admission, in all.
    pub handshake_deadline_ms: u64,
    /// The same when a password is exchanged (Argon2 on a slow machine).
    pub password_deadline_ms: u64,
    /// Wrong passwords from this computer are not counted.
    pub trust_loopback: bool,
    /// Password attempts that did not succeed, per address and ten minutes.
    pub password_attempts_per_addr: usize,
    /// Password attempts that did not succeed, in all, per hour.
    pub password_attempts_per_hour: usize,

    // A session.
    /// Bytes of one control message (a JSON object in one Noise record).
    pub message_max_bytes: usize,
    /// Messages queued for one peer.
    pub outbox_messages: usize,
    /// Bytes queued for one peer.
    pub outbox_bytes: usize,
    /// A link whose peer takes nothing for this long is closed.
    pub stuck_link_ms: u64,
    /// A link idle for this long is pinged.
    pub ping_after_idle_ms: u64,
    /// A link silent for this long is dead.
    pub dead_after_ms: u64,

    // The room.
    /// Most links.
    pub peers: usize,
    /// Members known, present or not.
    pub members: usize,
    /// Bytes of log kept for a room.
    pub log_bytes: usize,
    /// Chains in the log of a room.
    pub chains: usize,
    /// Entries that wait for their parents.
    pub waiting_entries: usize,
    /// Entries in one answer of repair.
    pub answer_entries: usize,
    /// Have-vector entries in one message.
    pub have_page: usize,

    // Finding each other.
    /// Addresses that one member may give for itself.
    pub addresses_per_member: usize,
    /// Dials in flight.
    pub dials: usize,
    /// First wait before a lost link is redialled; doubles up to the next.
    pub redial_min_ms: u64,
    /// Longest wait between redials.
    pub redial_max_ms: u64,

    // Files.
    /// Unanswered requests to hosts at once, over all lanes.
    pub unanswered_requests: usize,
    /// Threads that serve a lane: twice as many as members that can fetch from here at once.
    pub serve_threads: usize,
    /// A lane idle for this long closes.
    pub lane_idle_ms: u64,
    /// How many of a member's files are remembered as held by it. It is asked about further ones
    /// when they are fetched.
    pub hosted_files_per_member: usize,
    /// Files kept open for serving; others are opened again when they are requested.
    pub open_files: usize,
    /// Downloads that run at once; further ones are queued.
    pub moving_downloads: usize,
    /// Most bytes of files sent per second, when the program starts; `None`: no limit.
    pub up_bytes_per_s: Option<u64>,
    /// The same for fetching.
    pub down_bytes_per_s: Option<u64>,
    /// A download that a script waits for fails after this long without a host, or without a room.
    pub no_host_ms: u64,
    /// How often a full or broken disk is tried again.
    pub disk_look_ms: u64,

    // The node.
    /// Threads are joined within this time at shutdown.
    pub shutdown_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_conns: 64,
            pending_conns_per_addr: 4,
            handshakes_per_s: 50,
            handshake_burst: 200,
            handshake_deadline_ms: 3_000,
            password_deadline_ms: 10_000,
            trust_loopback: false,
            password_attempts_per_addr: 5,
            password_attempts_per_hour: 60,
            message_max_bytes: 32 * 1024,
            outbox_messages: 1_024,
            outbox_bytes: 1024 * 1024,
            stuck_link_ms: 20_000,
            ping_after_idle_ms: 5_000,
            dead_after_ms: 15_000,
            peers: 128,
            members: 1_024,
            log_bytes: 256 * 1024 * 1024,
            chains: 4_096,
            waiting_entries: 4_096,
            answer_entries: 256,
            have_page: 100,
            addresses_per_member: 4,
            dials: 8,
            redial_min_ms: 250,
            redial_max_ms: 30_000,
            unanswered_requests: 32,
            serve_threads: 64,
            lane_idle_ms: 5_000,
            hosted_files_per_member: 4_096,
            open_files: 64,
            moving_downloads: 8,
            up_bytes_per_s: None,
            down_bytes_per_s: None,
            no_host_ms: 60_000,
            disk_look_ms: 3_000,
            shutdown_ms: 2_000,
        }
    }
}
