//! Progress of what runs long, shown on standard error when that is a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// How often it is shown that something goes on of which nobody knows how far it is.
const BETWEEN_TICKS: Duration = Duration::from_millis(200);

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // Whatever ends the work, nothing of it stays on the terminal.
    bar.with_style(style).with_finish(ProgressFinish::AndClear)
}

/// A bar that counts `unit`s up to about `expected`.
pub(super) fn bar(unit: &'static str, expected: u64) -> ProgressBar {
    styled(ProgressBar::new(expected), &format!("{{bar:40}} {{human_pos}} of {{human_len}} {unit} ({{elapsed}})"))
}

/// A bar that counts bytes up to about `expected`, and shows how fast they come and how long it will take.
pub(super) fn byte_bar(expected: u64) -> ProgressBar {
    let template = "{bar:20} {bytes} of {total_bytes} ({bytes_per_sec}, {elapsed}, {eta} left)";
    styled(ProgressBar::new(expected), template)
}

/// A bar that shows which part is done of something, and how long it will take.
pub(super) fn share_bar() -> ProgressBar {
    styled(ProgressBar::new(1), "{bar:40} {percent}% ({elapsed}, {eta} left) {msg}")
}

/// Counts bytes, of which nobody knows how many there will be, and shows how fast they come.
pub(super) fn byte_counter() -> ProgressBar {
    styled(ProgressBar::new_spinner(), "{spinner} {bytes} ({bytes_per_sec}, {elapsed}) {msg}")
}

/// Counts `unit`s, of which nobody knows how many there will be.
pub(super) fn counter(unit: &'static str) -> ProgressBar {
    styled(ProgressBar::new_spinner(), &format!("{{spinner}} {{human_pos}} {unit} ({{elapsed}})"))
}

/// Shows that something goes on, and for how long, until it is dropped.
pub(super) fn waiting(what: &'static str) -> Waiting {
    let bar = styled(ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})").with_message(what);
    bar.tick();
    bar.enable_steady_tick(BETWEEN_TICKS);
    Waiting(bar)
}

/// Something goes on as long as this is there.
pub(super) struct Waiting(ProgressBar);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The same bar, not shown where it would be between the lines of what is printed on the same terminal.
pub(super) fn beside_output(bar: ProgressBar) -> ProgressBar {
    if io::stdout().is_terminal() { ProgressBar::hidden() } else { bar }
}
