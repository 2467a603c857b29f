//! Progress of long commands, shown on standard error when that is a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::admin::{BULKFREE_PASSES, Copied, Freeing, Scrubbing};

/// How often a sign of life is shown for work without known progress.
const BETWEEN_TICKS: Duration = Duration::from_millis(200);

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // However the work ends, the bar disappears from the terminal.
    bar.with_style(style).with_finish(ProgressFinish::AndClear)
}

/// A bar that counts `unit`s up to about `expected`.
pub(super) fn bar(unit: &'static str, expected: u64) -> ProgressBar {
    styled(ProgressBar::new(expected), &format!("{{bar:40}} {{human_pos}} of {{human_len}} {unit} ({{elapsed}})"))
}

/// A bar that counts bytes up to about `expected`, and shows speed and remaining time.
pub(super) fn byte_bar(expected: u64) -> ProgressBar {
    let template = "{bar:20} {bytes} of {total_bytes} ({bytes_per_sec}, {elapsed}, {eta} left)";
    styled(ProgressBar::new(expected), template)
}

/// A bar that shows which part of the work is done, and the remaining time.
pub(super) fn share_bar() -> ProgressBar {
    styled(ProgressBar::new(1), "{bar:40} {percent}% ({elapsed}, {eta} left) {msg}")
}

/// Counts bytes without a known total, and shows their speed.
pub(super) fn byte_counter() -> ProgressBar {
    styled(ProgressBar::new_spinner(), "{spinner} {bytes} ({bytes_per_sec}, {elapsed}) {msg}")
}

/// Counts `unit`s without a known total.
pub(super) fn counter(unit: &'static str) -> ProgressBar {
    styled(ProgressBar::new_spinner(), &format!("{{spinner}} {{human_pos}} {unit} ({{elapsed}})"))
}

/// Shows that work goes on, and for how long, until it is dropped.
pub(super) fn waiting(what: &'static str) -> Waiting {
    let bar = styled(ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})").with_message(what);
    bar.tick();
    bar.enable_steady_tick(BETWEEN_TICKS);
    Waiting(bar)
}

/// Shows work until it is dropped.
pub(super) struct Waiting(ProgressBar);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The same bar, hidden if it would stand between lines of output on the same terminal.
pub(super) fn beside_output(bar: ProgressBar) -> ProgressBar {
    if io::stdout().is_terminal() { ProgressBar::hidden() } else { bar }
}

/// Shows the progress of a copy.
pub(super) fn show_copy(counter: &ProgressBar, called: &str, Copied { compared, copied, bytes, .. }: &Copied) {
    counter.set_position(*bytes);
    counter.set_message(format!("{called}: {compared} elements compared, {copied} copied"));
}

/// Shows the progress of a scrub.
pub(super) fn show_scrub(bar: &ProgressBar, Scrubbing { bytes, expected_bytes }: Scrubbing) {
    bar.set_length(expected_bytes.max(bytes));
    bar.set_position(bytes);
}

/// Shows the progress of bulkfree: a pass is a part of the whole.
pub(super) fn show_freeing(bar: &ProgressBar, Freeing { pass, bytes, expected_bytes }: Freeing) {
    let passes = BULKFREE_PASSES as u64;
    bar.set_length(expected_bytes.max(1) * passes);
    bar.set_message(format!("pass {pass} of {passes}"));
    bar.set_position(bytes + expected_bytes * (pass as u64).saturating_sub(1).min(passes));
}
