//! Messages go to standard error, or, for a mount in the background, to the system's log or a file.
//! Records of the crate `log` become lines here. Those of a mount in the background wait in a queue for a thread of their own: no
//! request to the filesystem waits for a log that hangs, and lines that find no place in the queue are counted.
//!
//! The system's log is reached by the crate `syslog`, over the socket that syslogd and journald both listen on.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;
use std::{process, thread};

use hammer2_core::fs::TimeSource as _;
use hammer2_core::media::Timestamp;
use hammer2_host::time_source::HostTime;
use log::{Level, LevelFilter, Log, Metadata, Record};
use syslog::{Facility, Formatter3164, LoggerBackend};

use super::told;

/// Lines that wait to be written.
const MOST_WAITING: usize = 1000;

/// How long the end of a process waits for them.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The tool's name in the system's log.
const PROGRAM: &str = "hammer2";

/// The modules whose records users see, and from which level up. Lower levels, and records of other crates, are for developers.
const SPEAKERS: [(&str, Level); 3] =
    [("hammer2_tool", Level::Trace), ("hammer2_host", Level::Trace), ("hammer2_core", Level::Warn)];

/// Where a process in the background puts its lines.
pub(super) enum Destination {
    /// Into a file, each with the time.
    File(File),
    /// Into the system's log.
    System,
}

/// The tool's logger.
struct Logger {
    /// None as long as lines go to standard error.
    background: RwLock<Option<SyncSender<Entry>>>,
    /// Lines that found no place in the queue.
    lost: AtomicU64,
}

/// An entry of the queue.
enum Entry {
    Line(Line),
    /// A mark: everything before it is written when it is dropped.
    Mark(SyncSender<()>),
}

/// A line and when it was logged.
struct Line {
    at: Timestamp,
    level: Level,
    text: String,
}

/// The name that the program was called by, if it isn't [`PROGRAM`].
static CALLED: OnceLock<&str> = OnceLock::new();

static LOGGER: Logger = Logger { background: RwLock::new(None), lost: AtomicU64::new(0) };

/// Sends records from this level up to standard error.
pub(super) fn to_terminal(level: LevelFilter) {
    // This fails if it was done before.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

/// Sends everything to another destination from here on.
pub(super) fn to_background(destination: Destination) -> io::Result<()> {
    let writer = match destination {
        Destination::File(file) => Writer::File(file),
        Destination::System => Writer::System(System::new(None)),
    };
    let (sender, entries) = sync_channel(MOST_WAITING);
    thread::Builder::new().name("log".into()).spawn(move || write_all(&entries, writer, &LOGGER.lost))?;
    *LOGGER.background.write().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    std::panic::set_hook(Box::new(|panic| {
        log::error!("{panic}");
        log::logger().flush();
        process::abort();
    }));
    Ok(())
}

/// Has a panic of any thread be the end of the program, as it is in what is released, however this is compiled: nothing goes on
/// beside a thread that is gone.
pub(super) fn end_at_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        process::abort();
    }));
}

/// True when there is a system's log.
pub(super) fn system_listens() -> bool {
    System::new(None).connect().is_ok()
}

/// Makes lines on standard error begin with the name that the program was called by.
pub(super) fn set_program(name: &'static str) {
    // This fails if it was done before.
    let _ = CALLED.set(name);
}

/// A line on standard error about something that is wrong. Where even that is closed, there is nobody to tell.
pub(super) fn write_on_terminal(text: &str) {
    if let Some(object) = told::problem(text) {
        return told::object_beside(&object);
    }
    let called = CALLED.get().unwrap_or(&PROGRAM);
    let _ = writeln!(io::stderr(), "{called}: {}", one_line(text));
}

/// Text as a single line that does nothing to a terminal.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let speaker = SPEAKERS.iter().find(|(speaker, _)| metadata.target().starts_with(speaker));
        speaker.is_some_and(|(_, least)| metadata.level() <= *least)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (at, level, text) = (HostTime.now(), record.level(), one_line(&record.args().to_string()));
        match &*self.background.read().unwrap_or_else(PoisonError::into_inner) {
            None => write_on_terminal(&text),
            Some(queue) if queue.try_send(Entry::Line(Line { at, level, text })).is_err() => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => {}
        }
    }

    /// Waits until all records are written, but not for ever.
    fn flush(&self) {
        let (mark, written) = sync_channel(0);
        let queue = self.background.read().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().is_some_and(|queue| queue.try_send(Entry::Mark(mark)).is_ok()) {
            // An error either way: nothing is ever sent.
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

/// The body of the writing thread.
fn write_all(entries: &Receiver<Entry>, mut writer: Writer, lost: &AtomicU64) {
    for entry in entries {
        let line = match entry {
            Entry::Line(line) => line,
            Entry::Mark(waiting) => {
                drop(waiting);
                continue;
            }
        };
        let (at, count) = (line.at, lost.swap(0, Ordering::Relaxed));
        writer.write(&line);
        if count > 0 {
            let text = format!("{count} messages are lost: there were too many at a time");
            writer.write(&Line { at, level: Level::Warn, text });
        }
    }
}

enum Writer {
    File(File),
    System(System),
}

impl Writer {
    /// Writes a line. Where that fails, there is nobody to tell.
    fn write(&mut self, line: &Line) {
        let Line { at, level, text } = line;
        match self {
            Self::File(file) => {
                let level = level.as_str().to_lowercase();
                // In one piece: others may append to the same file.
                let _ = file.write_all(format!("{} {level:5} {text}\n", *at).as_bytes());
            }
            Self::System(system) => system.write(*level, text),
        }
    }
}

/// The system's log.
struct System {
    formatter: Formatter3164,
    /// Instead of the usual ones.
    socket: Option<PathBuf>,
    connected: Option<syslog::Logger<LoggerBackend, Formatter3164>>,
}

impl System {
    fn new(socket: Option<PathBuf>) -> Self {
        let (process, pid) = (PROGRAM.to_owned(), std::process::id());
        let formatter = Formatter3164 { facility: Facility::LOG_DAEMON, hostname: None, process, pid };
        Self { formatter, socket, connected: None }
    }

    fn connect(&self) -> syslog::Result<syslog::Logger<LoggerBackend, Formatter3164>> {
        match &self.socket {
            Some(path) => syslog::unix_custom(self.formatter.clone(), path),
            None => syslog::unix(self.formatter.clone()),
        }
    }

    fn write(&mut self, level: Level, text: &str) {
        // The log daemon may have been restarted.
        for _ in 0..2 {
            let Some(log) = self.connected.take().or_else(|| self.connect().ok()) else { return };
            let log = self.connected.insert(log);
            let written = match level {
                Level::Error => log.err(text),
                Level::Warn => log.warning(text),
                Level::Info => log.info(text),
                Level::Debug | Level::Trace => log.debug(text),
            };
            if written.is_ok() {
                return;
            }
            self.connected = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixDatagram;

    use tempfile::TempDir;

    use super::*;

    fn line(level: Level, text: &str) -> Line {
        Line { at: Timestamp { microseconds: 951_782_400_000_042 }, level, text: text.to_owned() }
    }

    #[test]
    fn a_file_is_told_the_time_and_the_level() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        let mut writer = Writer::File(File::create(&path).unwrap());
        writer.write(&line(Level::Warn, "/dev/sdb (node 1) left the cluster"));
        writer.write(&line(Level::Info, "back"));
        let expected = "2000-02-29 00:00:00.000042 warn  /dev/sdb (node 1) left the cluster\n\
                        2000-02-29 00:00:00.000042 info  back\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn the_systems_log_is_told_the_level_and_may_be_started_anew() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let heard = |listener: &UnixDatagram| {
            let mut bytes = [0; 1000];
            let count = listener.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..count].to_vec()).unwrap()
        };
        let mut system = System::new(Some(path.clone()));
        system.write(Level::Error, "to nobody");
        // The facility is 3, of daemons, the severities 3 to 6.
        for (level, priority) in [(Level::Error, "<27>"), (Level::Warn, "<28>"), (Level::Info, "<30>")] {
            let listener = UnixDatagram::bind(&path).unwrap();
            system.write(level, "what happened");
            let said = heard(&listener);
            let end = format!(" hammer2[{}]: what happened", std::process::id());
            assert!(said.starts_with(priority) && said.ends_with(&end), "{said}");
            drop(listener);
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_log_that_hangs_is_waited_for_by_nobody() {
        let (queue, entries) = sync_channel(MOST_WAITING);
        let logger = Logger { background: RwLock::new(Some(queue)), lost: AtomicU64::new(0) };
        for number in 0..MOST_WAITING + 5 {
            logger.log(
                &Record::builder()
                    .target("hammer2_core")
                    .level(Level::Warn)
                    .args(format_args!("line\n{number}"))
                    .build(),
            );
        }
        assert_eq!(logger.lost.load(Ordering::Relaxed), 5);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        drop(logger.background);
        write_all(&entries, Writer::File(File::create(&path).unwrap()), &logger.lost);
        let said = fs::read_to_string(&path).unwrap();
        assert!(said.contains(" warn  line 0\n") && said.contains(" 5 messages are lost"), "{said}");
        assert_eq!(said.lines().count(), MOST_WAITING + 1);
    }

    #[test]
    fn what_the_core_says_besides_is_for_those_who_look_into_it() {
        let enabled = |target, level| LOGGER.enabled(&Metadata::builder().target(target).level(level).build());
        assert!(enabled("hammer2_core::cluster", Level::Warn) && !enabled("hammer2_core::cluster", Level::Info));
        assert!(enabled("hammer2_tool::mount", Level::Info) && enabled("hammer2_host::device", Level::Info));
        assert!(!enabled("fuser::session", Level::Warn));
    }
}
