//! Signals: how a mount is ended and asked.
//!
//! SIGINT, SIGTERM and SIGHUP take the mount out of the tree. It ends when its last file is closed, after some seconds
//! anyway, and at a second signal at once; all with everything on the devices. SIGUSR1 has the counters printed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use super::mailbox::Mailbox;

/// How long files may stay open.
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches for signals from here on, as long as the process lives.
pub(super) fn watch(directory: PathBuf, mailbox: Arc<Mailbox>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut ending = false;
        for signal in &mut signals {
            match signal {
                SIGUSR1 => mailbox.post(Box::new(|server| Box::pin(async { server.print_counters() }))),
                _ if ending => mailbox.close(),
                _ => {
                    ending = true;
                    detach(&directory);
                    close_after(PATIENCE, mailbox.clone());
                }
            }
        }
    })?;
    Ok(())
}

/// Takes a mount out of the tree. Where that fails, waiting is all that is left.
pub(super) fn detach(directory: &Path) {
    if rustix::mount::unmount(directory, UnmountFlags::DETACH) == Err(Errno::PERM) {
        let _ = Command::new("fusermount3").args(["-u", "-q", "-z", "--"]).arg(directory).status();
    }
}

fn close_after(delay: Duration, mailbox: Arc<Mailbox>) {
    let wait = move || {
        thread::sleep(delay);
        mailbox.close();
    };
    // Without a thread the second signal is still there.
    let _ = thread::Builder::new().name("patience".into()).spawn(wait);
}
