//! Signals: how a mount is ended and asked.
//!
//! SIGINT, SIGTERM and SIGHUP take the mount out of the tree. It ends when its last file is closed, after some seconds
//! anyway, and at a second signal at once; all with everything on the devices. One that comes while a device is waited for gives
//! that up. SIGUSR1 has the counters printed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use super::mailbox::Mailbox;
use super::place::MountPlace;

/// How long files may stay open.
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches for signals from here on, as long as the process lives; what is set when somebody has given up.
pub(super) fn watch(place: Arc<MountPlace>, mailbox: Arc<Mailbox>) -> io::Result<Arc<AtomicBool>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])?;
    let given_up = Arc::<AtomicBool>::default();
    let gives_up = given_up.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut ending = false;
        for signal in &mut signals {
            match signal {
                SIGUSR1 => mailbox.post(Box::new(|server| Box::pin(async move { server.print_counters() }))),
                _ if !ending => {
                    ending = true;
                    place.detach();
                    close_after(PATIENCE, mailbox.clone());
                }
                _ if mailbox.is_closed() => gives_up.store(true, Ordering::Relaxed),
                _ => mailbox.close(),
            }
        }
    })?;
    Ok(given_up)
}

fn close_after(delay: Duration, mailbox: Arc<Mailbox>) {
    let wait = move || {
        thread::sleep(delay);
        mailbox.close();
    };
    // Without a thread the second signal is still there.
    let _ = thread::Builder::new().name("patience".into()).spawn(wait);
}
