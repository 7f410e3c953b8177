//! The bridge of this program: started at once in browser mode, otherwise by the first `browser`.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::opener::OpenerFile;
use crate::bridge::{Bridge, BridgeConfig, BridgeListener};
use crate::config::{ListenAt, Settings};
use crate::node::Access;
use crate::router::notice::{Code, Failure};

/// How long the end waits for the bridge's threads.
const LAST_PAGES: Duration = Duration::from_secs(1);

/// The bridge, or what is needed to start it.
pub(super) struct Pages {
    node: Access,
    at: ListenAt,
    share_dir: Option<PathBuf>,
    secret: Option<[u8; 32]>,
    open_browser: bool,
    state: Mutex<PagesState>,
    /// The page that the browser was opened with.
    opener: Mutex<Option<OpenerFile>>,
}

enum PagesState {
    Unwanted,
    Open(Bridge),
    Ended,
}

impl Pages {
    pub(super) fn new(node: Access, settings: &Settings, secret: Option<[u8; 32]>) -> Self {
        Self {
            node,
            at: settings.bridge,
            // If nothing is kept, copies are removed with the program.
            share_dir: settings.share_dir.clone(),
            secret,
            open_browser: settings.open_browser,
            state: Mutex::new(PagesState::Unwanted),
            opener: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, PagesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts serving on a port that is already bound.
    pub(super) fn start(&self, listener: BridgeListener) -> Result<(), Failure> {
        *self.lock() = PagesState::Open(self.bridge(listener)?);
        Ok(())
    }

    fn bridge(&self, listener: BridgeListener) -> Result<Bridge, Failure> {
        let (secret, share_dir) = (self.secret, self.share_dir.clone());
        let config = BridgeConfig { secret, share_dir };
        Bridge::start(listener, self.node.clone(), config)
    }

    pub(super) fn is_started(&self) -> bool {
        matches!(*self.lock(), PagesState::Open(_))
    }

    /// A new address of the page; starts the bridge if necessary.
    pub(super) fn address(&self) -> Result<String, Failure> {
        let mut state = self.lock();
        if let PagesState::Unwanted = *state {
            *state = PagesState::Open(self.bridge(BridgeListener::bind(&self.at)?)?);
        }
        match &*state {
            PagesState::Open(bridge) => Ok(bridge.address()),
            _ => Err(Failure::new(Code::Cancelled, "klatch is ending")),
        }
    }

    /// Opens the browser with an address of its own, if wanted.
    pub(super) fn open_browser(&self) -> Result<(), Failure> {
        if !self.open_browser {
            return Ok(());
        }
        let failed = |what: &str, error: io::Error| {
            tracing::info!(%error, "no browser could be opened");
            Failure::new(Code::IoError, format!("{what}: open the address above yourself"))
        };
        let opener = OpenerFile::new(&self.address()?)
            .map_err(|error| failed("the file that opens a browser cannot be written", error))?;
        open::that_detached(opener.path())
            .map_err(|error| failed("no browser was found here", error))?;
        *self.opener.lock().unwrap_or_else(PoisonError::into_inner) = Some(opener);
        Ok(())
    }

    /// Stops the bridge; it cannot be started again.
    pub(super) fn stop(&self) {
        *self.opener.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let before = std::mem::replace(&mut *self.lock(), PagesState::Ended);
        if let PagesState::Open(mut bridge) = before
            && !bridge.stop(LAST_PAGES)
        {
            tracing::error!("some threads of the page did not end in time");
        }
    }
}
