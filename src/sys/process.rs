//! This process, its threads and its user.

use std::ffi::OsString;

/// Lowers the priority of the calling thread and of those that it starts.
///
/// Does nothing except on Linux, because elsewhere threads have no priorities of their own, and the
/// whole program would slow down.
pub fn lower_thread_priority() {
    #[cfg(target_os = "linux")]
    // If this fails, the thread stays at normal priority, which is correct, only less polite.
    let _ = rustix::process::nice(10);
}

/// The name of this process's user, even if the environment does not have it: cron and containers
/// set no variable. Windows: from its environment.
#[must_use]
pub fn login_name() -> Option<OsString> {
    #[cfg(unix)]
    return Some(nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok()??.name.into());
    #[cfg(windows)]
    return std::env::var_os("USERNAME");
}
