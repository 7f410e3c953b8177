//! This process, its threads and its user.

use std::ffi::OsString;

/// Lowers the priority of the calling thread and of those that it starts.
///
/// Only Linux has priorities of threads; elsewhere nothing is done, for it would slow the whole
/// program down.
pub fn lower_thread_priority() {
    #[cfg(target_os = "linux")]
    // A failure leaves the thread at normal priority, which is correct, only less polite.
    let _ = rustix::process::nice(10);
}

/// The name of this process's user, where the environment may not say it: cron and containers set
/// no variable. Windows: what its environment says.
#[must_use]
pub fn login_name() -> Option<OsString> {
    #[cfg(unix)]
    return Some(nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok()??.name.into());
    #[cfg(windows)]
    return std::env::var_os("USERNAME");
}
