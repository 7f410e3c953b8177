//! Random bytes from the operating system.

/// `N` bytes from the operating system's cryptographic generator, as [`fill`] draws them.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Fills `out` from the operating system's cryptographic generator.
/// If the system has none (no known one fails once it is running), the process is aborted with a
/// sentence on stderr: every key would be guessable, and no caller could do anything better with an
/// error. A panic would not do, because it ends one thread and leaves the others running.
pub fn fill(out: &mut [u8]) {
    if let Err(error) = getrandom::fill(out) {
        abort(&error);
    }
}

#[expect(clippy::print_stderr, reason = "the last words of the process; the log may lag")]
fn abort(error: &getrandom::Error) -> ! {
    eprintln!("klatch: the system gives no random numbers ({error}), so no key would be safe");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(random::<32>(), random::<32>());
        assert_ne!(random::<16>(), [0; 16]);
    }
}
