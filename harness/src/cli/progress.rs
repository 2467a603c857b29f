//! Progress of what runs long, shown on standard error when that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts `unit`s up to about `expected`.
pub(super) fn bar(unit: &'static str, expected: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template(&format!("{{bar:40}} {{human_pos}} of {{human_len}} {unit} ({{elapsed}})"));
    ProgressBar::new(expected).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A bar that counts bytes up to about `expected`, and shows how fast they come and how long it will take.
pub(super) fn byte_bar(expected: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:20} {bytes} of {total_bytes} ({bytes_per_sec}, {elapsed}, {eta} left)");
    ProgressBar::new(expected).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Counts bytes, of which nobody knows how many there will be, and shows how fast they come.
pub(super) fn byte_counter() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bytes} ({bytes_per_sec}, {elapsed}) {msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
