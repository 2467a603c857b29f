//! Signals that end a command: they are noted, and whoever waits for something looks, so that nothing is left behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::trouble::{About, Done, Trouble};

static CAUGHT: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on the signals that end a command are noted.
pub(crate) fn catch() -> Done {
    let caught = CAUGHT.get_or_init(Arc::default);
    // A terminal that is gone ends a command as somebody does who asks it to end.
    for (signal, as_if) in [(SIGINT, SIGINT), (SIGTERM, SIGTERM), (SIGHUP, SIGTERM)] {
        signal_hook::flag::register_usize(signal, Arc::clone(caught), as_if.cast_unsigned() as usize)
            .about("signals can't be caught")?;
    }
    Ok(())
}

/// Trouble, if there was such a signal.
pub(crate) fn check() -> Done {
    let caught = CAUGHT.get().map_or(0, |caught| caught.load(Ordering::Relaxed));
    match u8::try_from(caught) {
        Ok(0) | Err(_) => Ok(()),
        Ok(signal) => Err(Trouble::Interrupted(signal)),
    }
}
