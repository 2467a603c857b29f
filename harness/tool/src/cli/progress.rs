//! Progress of what runs long, shown on standard error when that is a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::admin::{BULKFREE_PASSES, Copied, Freeing, Scrubbing};

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

/// Shows how far a copy is.
pub(super) fn show_copy(counter: &ProgressBar, called: &str, Copied { compared, copied, bytes, .. }: &Copied) {
    counter.set_position(*bytes);
    counter.set_message(format!("{called}: {compared} elements compared, {copied} copied"));
}

/// Shows how far a scrub is.
pub(super) fn show_scrub(bar: &ProgressBar, Scrubbing { bytes, expected_bytes }: Scrubbing) {
    bar.set_length(expected_bytes.max(bytes));
    bar.set_position(bytes);
}

/// Shows how far bulkfree is: a pass is a part of all of it.
pub(super) fn show_freeing(bar: &ProgressBar, Freeing { pass, bytes, expected_bytes }: Freeing) {
    let passes = BULKFREE_PASSES as u64;
    bar.set_length(expected_bytes.max(1) * passes);
    bar.set_message(format!("pass {pass} of {passes}"));
    bar.set_position(bytes + expected_bytes * (pass as u64).saturating_sub(1).min(passes));
}
