//! Who of this machine uses an export.
//!
//! An export can't be locked. But processes of one machine can know of each other: whoever writes listens on a socket whose
//! name stands for the export. The name is in no filesystem and ends with the process. Another machine knows nothing of it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use sha2::{Digest, Sha256};

use crate::device::Access;

/// A use of an export. While there is one for writing, there is no other.
pub(super) struct Claim {
    _listener: Option<UnixListener>,
}

impl Claim {
    /// None when somebody writes to it. A reader keeps nobody out.
    pub(super) fn of(name: &str, access: Access) -> Option<Self> {
        let mut socket_name = String::from("hammer2-nbd-");
        for byte in Sha256::digest(name) {
            socket_name.push_str(&format!("{byte:02x}"));
        }
        let address = SocketAddr::from_abstract_name(socket_name).ok()?;
        match access {
            Access::Write => Some(Self { _listener: Some(UnixListener::bind_addr(&address).ok()?) }),
            Access::Read => UnixStream::connect_addr(&address).is_err().then_some(Self { _listener: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_alone() {
        let name = format!("nbd://claimed-by-{}", std::process::id());
        let readers = [Access::Read; 2].map(|access| Claim::of(&name, access));
        assert!(readers.iter().all(Option::is_some));
        let writer = Claim::of(&name, Access::Write);
        assert!(writer.is_some());
        assert!(Claim::of(&name, Access::Write).is_none() && Claim::of(&name, Access::Read).is_none());
        drop(writer);
        assert!(Claim::of(&name, Access::Read).is_some() && Claim::of(&name, Access::Write).is_some());
    }
}
