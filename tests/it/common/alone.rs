//! Tests that need a process of their own.

use std::process::Command;

/// Tells a test that it was started by [`alone`].
const ALONE: &str = "KLATCH_TEST_ALONE";

/// Whether [`alone`] started this process: running all ignored tests by hand must not change the
/// computer's own network.
pub(crate) fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Runs an ignored test of this binary by its path, in a process of its own behind `wrapper`, and
/// passes on its result.
pub(crate) fn alone(test: &str, wrapper: &[&str]) {
    let this = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(Into::into).chain([this.into_os_string()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", test, "--ignored", "--nocapture"]).env(ALONE, "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
