//! The protocol between the tool and the process that serves a mount: lines of JSON over a [socket](super::socket).
//! `docs/orders.md` has the lines.
//! Neither end trusts the other: the length of a line is limited, and so is the time for it.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use hammer2_host::clock::time_left;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Copied, Done, Event, Freeing, Metric, NodeFacts, Order, PfsFacts, Refused, Scrubbing, Status};

/// The longest line: many times what eight nodes of many volumes with long names take.
pub const MOST_LINE_BYTES: usize = 1 << 20;

/// How often a mount that has nothing to report says that it is there.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a line may take: many heartbeats, as the machine may have other things to do.
pub const LINE_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes read at a time.
const PIECE_BYTES: usize = 4096;

/// The version of the protocol. It is raised when an older message would be understood otherwise, or not at all.
pub const VERSION: u32 = 1;

/// The tool's first line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked<Q> {
    /// Which version of the questions and answers it speaks.
    pub version: u32,
    /// What it asks.
    pub question: Q,
}

/// What the tool asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// The state of the cluster.
    Status,
    /// To carry out an order.
    Order(Order),
    /// Which PFSs there are.
    Pfss,
    /// Facts about the nodes, and the PFSs.
    Info,
    /// To make an empty PFS.
    CreatePfs {
        /// Its label.
        label: Vec<u8>,
        /// What it is in its cluster.
        kind: String,
        /// The cluster that it belongs to, if it isn't to have a new one.
        clid: Option<String>,
    },
    /// To remove a PFS.
    DeletePfs {
        /// Its label.
        label: Vec<u8>,
        /// Even if some members aren't there.
        force: bool,
    },
    /// To free blocks that nothing refers to.
    Bulkfree {
        /// The freed space is discarded on the devices.
        discard: bool,
    },
    /// The limits that apply to the content of a directory.
    Quotas {
        /// Its path from the root of the filesystem.
        path: Vec<u8>,
        /// Those of all directories below it instead.
        below: bool,
    },
    /// To give a directory limits.
    SetQuota {
        /// Its path from the root of the filesystem.
        path: Vec<u8>,
        /// Bytes; 0 is no limit, `None` leaves the limit as it is.
        bytes: Option<u64>,
        /// Inodes, likewise.
        inodes: Option<u64>,
    },
    /// To prepare for other mount options.
    Remount {
        /// Nothing is to be changed any more: everything is made durable.
        read_only: bool,
    },
    /// To take the new space of the devices.
    Grow {
        /// Bytes of each node's last volume, if it isn't to take all of its device; a smaller image is extended.
        volume_bytes: Option<u64>,
    },
    /// Facts about a file.
    Stat {
        /// Its path in the PFS.
        path: Vec<u8>,
    },
    /// To set how new data of a file, or of files made in a directory, is stored.
    SetMethods {
        /// Its path in the PFS.
        path: Vec<u8>,
        /// As stored.
        compression: Option<u8>,
        /// As stored.
        check: Option<u8>,
        /// Everything below it, too.
        recursive: bool,
    },
    /// Past events, or events as they happen, until the client hangs up.
    Events {
        /// Send the events so far.
        past: bool,
        /// Send the events from now on.
        future: bool,
    },
    /// The counters.
    Metrics,
    /// To pause the scrub that is under way.
    PauseScrub,
    /// To keep the disks unchanged for a while. The client sends [`Rest`] from time to time, as long as it needs that.
    AtRest,
    /// To make a snapshot of what is mounted.
    Snapshot {
        /// Its label; otherwise that of the PFS and the time.
        label: Option<Vec<u8>>,
    },
}

/// What the client says while nothing is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// It is still needed.
    On,
    /// It isn't needed any more.
    Over,
}

/// A node whose disks can be looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeAtRest {
    /// What it is called.
    pub called: String,
    /// Its images.
    pub images: Vec<String>,
}

/// An answer of the mount.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is there, and another answer follows.
    Working,
    /// The state of the cluster; the last answer.
    Status(Status),
    /// Facts about the nodes.
    Nodes(Vec<NodeFacts>),
    /// A PFS.
    Pfs(PfsFacts),
    /// The progress of the copy to a node.
    Copied {
        /// What the node is called.
        called: String,
        /// So far.
        copied: Copied,
    },
    /// How far a scrub is.
    Scrubbing(Scrubbing),
    /// How far bulkfree is.
    Freeing(Freeing),
    /// Something that happened.
    Event(Event),
    /// A number.
    Metric(Metric),
    /// From here on, nothing changes on these nodes, which are those in step.
    AtRest(Vec<NodeAtRest>),
    /// The result; the last answer.
    Ended(Result<Done, Refused>),
}

impl Answer {
    /// The last answer when everything was sent.
    pub(crate) fn told() -> Self {
        Self::Ended(Ok(Done::Told { damage: None }))
    }
}

/// One end of a conversation.
pub struct Line {
    stream: UnixStream,
    deadline: Duration,
    /// Bytes that were read and aren't a whole line yet.
    read: Vec<u8>,
}

impl Line {
    /// A conversation over a connection, in which each line must be complete within `deadline`.
    pub fn over(stream: UnixStream, deadline: Duration) -> Self {
        Self { stream, deadline, read: Vec::new() }
    }

    /// Sends a line. Fails with `TimedOut` when nobody reads it.
    pub fn say(&mut self, what: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        let (end, mut rest) = (Instant::now() + self.deadline, &line[..]);
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(time_left(end)?))?;
            match self.stream.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) => wait_over(error)?,
            }
        }
        Ok(())
    }

    /// Receives a line; none when the other end is gone. Fails with `TimedOut` when it takes too long, and with `InvalidData`
    /// when it makes no sense.
    pub fn hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let (end, mut seen) = (Instant::now() + self.deadline, 0);
        loop {
            if let Some(length) = self.read[seen..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=seen + length).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            seen = self.read.len();
            if seen >= MOST_LINE_BYTES {
                return Err(io::Error::new(ErrorKind::InvalidData, "a line without an end"));
            }
            self.stream.set_read_timeout(Some(time_left(end)?))?;
            let mut piece = [0; PIECE_BYTES];
            match self.stream.read(&mut piece) {
                // Half a line is as good as none.
                Ok(0) => return Ok(None),
                Ok(count) => self.read.extend_from_slice(&piece[..count]),
                Err(error) => wait_over(error)?,
            }
        }
    }
}

/// Ignores the end of a wait without data; the caller looks whether time is left for another.
fn wait_over(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    fn pair() -> (Line, UnixStream) {
        let (one, other) = UnixStream::pair().unwrap();
        (Line::over(one, SHORT), other)
    }

    #[test]
    fn what_is_said_is_heard_a_line_at_a_time() {
        let (mut line, other) = pair();
        let mut back = Line::over(other, SHORT);
        for _ in 0..2 {
            line.say(&Question::Status).unwrap();
        }
        for _ in 0..2 {
            assert!(matches!(back.hear(), Ok(Some(Question::Status))));
        }
        drop(line);
        assert!(matches!(back.hear::<Question>(), Ok(None)));
        assert!(back.say(&Question::Status).is_err());
    }

    #[test]
    fn a_line_is_whole_in_time_or_never() {
        let (mut line, mut other) = pair();
        let begun = Instant::now();
        let dripping = thread::spawn(move || {
            // Until nobody reads any more.
            while other.write_all(b"[").is_ok() {
                thread::sleep(SHORT / 20);
            }
        });
        assert_eq!(line.hear::<Question>().unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() >= SHORT && begun.elapsed() < 20 * SHORT);
        drop(line);
        dripping.join().unwrap();

        let (mut line, other) = pair();
        let much = "x".repeat(MOST_LINE_BYTES);
        assert_eq!(line.say(&much).unwrap_err().kind(), ErrorKind::TimedOut, "nobody reads it");
        drop(other);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let (mut line, mut other) = pair();
        let endless = thread::spawn(move || while other.write_all(&[b'['; 65536]).is_ok() {});
        line.deadline = 100 * SHORT;
        assert_eq!(line.hear::<Question>().unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(line.read.len() <= MOST_LINE_BYTES + PIECE_BYTES);
        drop(line);
        endless.join().unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_an_error_and_half_a_line_is_nothing() {
        for nonsense in ["\n", "{\n", "\"Stat\"\n", "\u{0}\u{1}\n", "[[[[[[[[\n"] {
            let (mut line, mut other) = pair();
            other.write_all(nonsense.as_bytes()).unwrap();
            assert!(line.hear::<Question>().is_err(), "{nonsense:?}");
        }
        let (mut line, mut other) = pair();
        other.write_all(b"\"Status\"").unwrap();
        other.shutdown(Shutdown::Write).unwrap();
        assert!(matches!(line.hear::<Question>(), Ok(None)));
    }
}
