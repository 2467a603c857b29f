//! Signals that end a mount, or ask for its counters.
//! SIGINT, SIGTERM and SIGHUP unmount the filesystem. The mount ends when its last file is closed, after some seconds in any
//! case, and at once at a second signal; always with everything on the devices. A signal that comes while the mount waits for a
//! device gives that up. SIGUSR1 prints the counters.

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

/// Watches for signals from here on, as long as the process lives; returns the flag that is set when a signal gives up waiting.
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
    // Without this thread, a second signal still ends the mount.
    let _ = thread::Builder::new().name("patience".into()).spawn(wait);
}
