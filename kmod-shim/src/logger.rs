//! The `log` crate's records as lines on the kernel's output.

use core::fmt::Write;

use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;

/// A sink for records. Make it a `static` and [`install`](Self::install) it.
pub struct Logger<W> {
    sink: Mutex<W>,
}

impl<W: Write + Send + 'static> Logger<W> {
    /// A logger that writes to `sink`.
    pub const fn new(sink: W) -> Self {
        Self { sink: Mutex::new(sink) }
    }

    /// Makes this the program's logger, for records of `level` and above. Only the first logger installed counts.
    pub fn install(&'static self, level: LevelFilter) {
        if log::set_logger(self).is_ok() {
            log::set_max_level(level);
        }
    }
}

impl<W: Write + Send> Log for Logger<W> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    /// Writes a line. A record logged while another is being written (from a fault handler, say) is lost rather than waited for;
    /// so is one that the sink refuses.
    fn log(&self, record: &Record<'_>) {
        if let Some(mut sink) = self.sink.try_lock() {
            let _ = writeln!(sink, "[{}] {}: {}", record.level(), record.target(), record.args());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn one_record_is_one_line() {
        let logger = Logger::new(String::new());
        logger.log(&Record::builder().level(log::Level::Warn).target("disk").args(format_args!("gone")).build());
        assert_eq!(*logger.sink.lock(), "[WARN] disk: gone\n");
    }
}
