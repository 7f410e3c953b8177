//! Who may use the terminal: the editor's thread until the program ends, and then nobody.
//!
//! The editor sets the terminal's modes when a line begins and restores them when it ends. If
//! klatch ends at that very moment, klatch must restore them last: [`EditorGate::close`] waits
//! until the editor's thread has stopped at the gate, and it never continues from there.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::tty;
use crate::sys::terminal::Modes;

/// How long to wait for the editor. If it waits for keys it passes at once; in the middle of a
/// search or of a quoted key it reacts to nothing, but then it changes no modes either.
const PATIENCE: Duration = Duration::from_millis(300);

/// The gate of one terminal.
#[derive(Debug)]
pub(super) struct EditorGate {
    state: Mutex<EditorGateState>,
    changed: Condvar,
    wake: Sender<()>,
}

#[derive(Debug, Default)]
struct EditorGateState {
    closed: bool,
    /// The thread that is editing a line.
    inside: Option<ThreadId>,
    /// The terminal's modes while a line is edited.
    editing: Option<Modes>,
    /// The modes between two lines.
    quiet: Option<Modes>,
    /// The text in the line when the editor was stopped.
    left: Option<String>,
}

/// A line is being edited; dropping this ends it.
#[derive(Debug)]
pub(super) struct Inside<'a>(&'a EditorGate);

impl EditorGate {
    /// An open gate; `wake` makes an editor that waits for keys pass.
    pub(super) fn new(wake: Sender<()>) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), wake }
    }

    fn lock(&self) -> MutexGuard<'_, EditorGateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the editor redraw its line soon.
    pub(super) fn wake(&self) {
        // One that is under way already will do.
        let _ = self.wake.try_send(());
    }

    /// A line begins. Does not return if the program ends.
    pub(super) fn enter(&self) -> Inside<'_> {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            stand_still();
        }
        state.inside = Some(std::thread::current().id());
        Inside(self)
    }

    /// The editor passes while a line is edited, whose text is `left`. Does not return if the
    /// program ends.
    pub(super) fn pass(&self, left: impl FnOnce() -> String) {
        let mut state = self.lock();
        if !state.closed {
            if state.editing.is_none() {
                state.editing = tty::modes_of_a_line();
            }
            return;
        }
        drop(state);
        let left = left();
        let mut state = self.lock();
        state.inside = None;
        state.left = Some(left);
        drop(state);
        self.changed.notify_all();
        stand_still();
    }

    /// Sets the terminal's modes between two lines.
    pub(super) fn keep_quiet(&self, modes: Modes) {
        self.lock().quiet = Some(modes);
    }

    /// Something else had the terminal meanwhile: gives it the modes that it should have now.
    pub(super) fn resume(&self) {
        let state = self.lock();
        let editing = state.editing.as_ref().filter(|_| state.inside.is_some());
        if let Some(modes) = editing.or(state.quiet.as_ref()).filter(|_| !state.closed) {
            tty::set(modes);
        }
    }

    /// Closes the gate for good and waits until the editor stops at it. Returns the text in its
    /// line, once, if it was about to be redrawn.
    pub(super) fn close(&self) -> Option<String> {
        let mut state = self.lock();
        state.closed = true;
        let this = std::thread::current().id();
        if state.inside.is_some_and(|thread| thread != this) {
            self.wake();
            let edits = |state: &mut EditorGateState| state.inside.is_some();
            let waited = self.changed.wait_timeout_while(state, PATIENCE, edits);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            // Only one call waits.
            state.inside = None;
        }
        state.left.take()
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.inside = None;
        // The editor restores the modes that it found, which may have been a shell's.
        if let Some(quiet) = state.quiet.as_ref().filter(|_| !state.closed) {
            tty::set(quiet);
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

/// The process ends soon, and this thread with it.
fn stand_still() -> ! {
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use crossbeam_channel::bounded;

    use super::*;

    /// A gate, and the receiver through which the editor is woken.
    fn gate() -> (&'static EditorGate, crossbeam_channel::Receiver<()>) {
        let (wake, wakes) = bounded(1);
        // The editor's thread stays at it forever.
        (Box::leak(Box::new(EditorGate::new(wake))), wakes)
    }

    #[test]
    fn who_closes_waits_until_the_editor_stands_still() {
        let (gate, wakes) = gate();
        let (begun, begins) = bounded(1);
        let went_on = &*Box::leak(Box::new(AtomicBool::new(false)));
        std::thread::spawn(move || {
            let _inside = gate.enter();
            gate.pass(|| unreachable!("the gate is open"));
            begun.send(()).unwrap();
            wakes.recv().unwrap();
            gate.pass(|| "> half a li".into());
            went_on.store(true, Ordering::SeqCst);
        });
        begins.recv().unwrap();
        assert_eq!(gate.close().as_deref(), Some("> half a li"));
        assert!(gate.lock().inside.is_none());
        assert!(!went_on.load(Ordering::SeqCst));
        assert_eq!(gate.close(), None, "it is shown once");
    }

    #[test]
    fn nobody_waits_for_an_editor_that_is_out_or_closes_itself() {
        let (gate, wakes) = gate();
        drop(gate.enter());
        assert_eq!(gate.close(), None);
        assert!(wakes.try_recv().is_err(), "nobody is woken");
        let (gate, wakes) = self::gate();
        let inside = gate.enter();
        assert_eq!(gate.close(), None);
        assert!(wakes.try_recv().is_err(), "nobody is woken");
        drop(inside);
        assert!(gate.lock().inside.is_none());
    }
}
