//! Retrying disks that were named and couldn't be opened when a cluster was mounted, as for disks that left.
//! Opening an export waits for its server, and requests would wait meanwhile; so a thread of its own first sees whether a server
//! answers.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

use hammer2_core::cluster::NodeIndex;
use hammer2_host::clock::HostClock;
use hammer2_host::device::{ExportAddress, NbdDevice};

use super::nodes::{FIRST_TRY, MOST_BETWEEN_TRIES};
use super::server::Server;
use crate::admin::{Known, LeftOut};

/// How often to look whether a server has answered.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Tries to open nodes that are left out, until none is; the task that brings nodes in step does the rest.
pub(super) async fn take_in_absent(server: &Server, clock: &HostClock) {
    let (images, mut between_tries) = (&server.administration.images, FIRST_TRY);
    let mut unjudged: Vec<NodeIndex> = Vec::new();
    while !images.left_out().is_empty() || !unjudged.is_empty() {
        clock.sleep(between_tries).await;
        between_tries = (2 * between_tries).min(MOST_BETWEEN_TRIES);
        for LeftOut { images: volumes, .. } in images.left_out() {
            if let Err(why) = answers(&volumes, clock).await {
                images.note_left_out(&volumes, &why);
                continue;
            }
            // An order may have opened it meanwhile; one under way isn't to be disturbed.
            let is_left_out = images.left_out().iter().any(|left_out| left_out.images == volumes);
            if !is_left_out || server.administration.busy.get() {
                continue;
            }
            let _begun = server.under_way.begin();
            match server.open_absent(&volumes).await {
                Ok(node) => unjudged.push(node),
                Err(why) => images.note_left_out(&volumes, &why),
            }
        }
        let mut rest = Vec::new();
        for node in unjudged {
            let _begun = server.under_way.begin();
            if let Err(error) = server.fs.look_again(node).await {
                let known = Known::of_mount(images, &server.fs);
                log::warn!("{}: {}", images.called(node), known.return_error(&error));
                rest.push(node);
            }
        }
        unjudged = rest;
    }
}

impl Server {
    /// Opens volumes as one more node, which hasn't been looked at yet.
    async fn open_absent(&self, volumes: &[PathBuf]) -> Result<NodeIndex, String> {
        let disks = (self.administration.open)(volumes).map_err(|why| why.to_string())?;
        let node = self.fs.open_node(disks).await.map_err(|error| error.to_string())?;
        self.administration.images.note(node, volumes.to_vec());
        log::info!("{} can be opened by now", self.administration.images.called(node));
        Ok(node)
    }
}

/// Waits until it is known whether the server of each volume that is an export answers.
pub(super) async fn answers(volumes: &[PathBuf], clock: &HostClock) -> Result<(), String> {
    for address in volumes.iter().filter_map(|volume| export(volume)) {
        let (sender, answer) = mpsc::channel();
        let ask = move || {
            // The receiver may be gone: the mount may be over.
            let _ = sender.send(NbdDevice::look(address).map(drop).map_err(|error| error.to_string()));
        };
        thread::Builder::new().name("absent".into()).spawn(ask).map_err(|error| error.to_string())?;
        loop {
            match answer.try_recv() {
                Ok(answer) => break answer?,
                Err(TryRecvError::Empty) => clock.sleep(BETWEEN_LOOKS).await,
                Err(TryRecvError::Disconnected) => return Err("the thread that asks is gone".into()),
            }
        }
    }
    Ok(())
}

/// True for a volume that is on another machine.
pub(super) fn is_export(volume: &Path) -> bool {
    export(volume).is_some()
}

fn export(volume: &Path) -> Option<ExportAddress> {
    ExportAddress::parse(volume.to_str()?)?.ok()
}
