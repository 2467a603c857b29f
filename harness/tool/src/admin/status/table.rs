//! A cluster in words, 80 columns wide: a line for each disk, and then advice.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration};

use super::{CatchingUp, Errors, Held, Missing, Node, Status};

/// The width of everything except commands, which stay whole.
const COLUMNS: usize = 80;

/// The part of a time's text from the month to the minute.
const MINUTE: std::ops::Range<usize> = 5..16;

/// The length of a time's text up to the day.
const DAY: usize = 10;

/// The remark while members change.
pub(super) const UNFINISHED: &str =
    "a change of the members is unfinished: the next mount that changes something finishes it";

/// A line of the table.
struct Row {
    disk: String,
    role: String,
    state: String,
    since: String,
    behind: String,
    errors: String,
    scrubbed: String,
}

impl Row {
    fn head() -> Self {
        let [disk, role, state] = ["disk", "role", "state"].map(str::to_owned);
        let [since, behind, errors, scrubbed] = ["since", "behind", "errors", "scrubbed"].map(str::to_owned);
        Self { disk, role, state, since, behind, errors, scrubbed }
    }

    fn of(node: &Node, status: &Status) -> Self {
        let since = node.since.as_deref().and_then(|since| since.get(MINUTE)).unwrap_or("-");
        let Errors { read, write, check, .. } = node.errors;
        Self {
            disk: node.name.clone(),
            role: node.role.clone(),
            state: node.state.clone(),
            since: since.into(),
            behind: node.lag(),
            errors: format!("{read}/{write}/{check}"),
            scrubbed: status.scrubbed_on(node).unwrap_or_else(|| "-".to_owned()),
        }
    }

    fn missing(missing: &Missing) -> Self {
        let none = || "-".to_owned();
        Self {
            disk: missing.name.clone(),
            role: missing.role.clone(),
            state: "missing".into(),
            since: none(),
            behind: none(),
            errors: none(),
            scrubbed: none(),
        }
    }

    /// All but the first column, each as wide as in the widest line.
    fn rest(&self, widths: &[usize; 6]) -> String {
        let Self { role, state, since, behind, errors, scrubbed, .. } = self;
        let mut line = String::new();
        for (cell, width) in [role, state, since, behind, errors, scrubbed].into_iter().zip(widths) {
            let _ = write!(line, "  {cell:width$}");
        }
        line
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, health, version, masters_in_sync, masters, quorum, .. } = self;
        let label = label.replace(char::is_control, "?");
        let head = format!(
            "{label}: {health}, {masters_in_sync} of {masters} masters in sync, quorum {quorum}, version {version}"
        );
        wrapped(&head, "  ", f)?;
        if let Some(refused) = &self.refused {
            f.write_char('\n')?;
            wrapped(refused, "  ", f)?;
        }
        if self.changing_members {
            f.write_char('\n')?;
            wrapped(UNFINISHED, "  ", f)?;
        }
        self.table(f)?;
        for node in &self.nodes {
            if let Some(held) = node.held_in_words() {
                f.write_char('\n')?;
                wrapped(&format!("{}: {held}", node.image()), "  ", f)?;
            }
        }
        for node in &self.nodes {
            if let Some(note) = node.note_in_words() {
                f.write_char('\n')?;
                wrapped(&format!("{}: {note}", node.image()), "  ", f)?;
            }
        }
        for missing in &self.missing {
            f.write_char('\n')?;
            wrapped(&missing.note, "  ", f)?;
        }
        if let Some(paused) = &self.paused_scrub {
            f.write_char('\n')?;
            wrapped(paused, "  ", f)?;
        }
        match &self.last_scrub {
            Some(scrub) if !scrub.was_good() => {
                f.write_char('\n')?;
                wrapped(&format!("the last scrub found: {scrub}"), "  ", f)
            }
            _ => Ok(()),
        }
    }
}

impl Status {
    /// The day of the last scrub, if it has read a node.
    pub(super) fn scrubbed_on(&self, node: &Node) -> Option<String> {
        let scrub = self.last_scrub.as_ref().filter(|scrub| scrub.has_read(&node.fsid))?;
        Some(scrub.at().get(..DAY).unwrap_or("-").to_owned())
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.nodes.iter().map(|node| Row::of(node, self));
        let rows: Vec<Row> =
            std::iter::once(Row::head()).chain(nodes).chain(self.missing.iter().map(Row::missing)).collect();
        let mut widths = [0; 6];
        for Row { role, state, since, behind, errors, scrubbed, .. } in &rows {
            let cells = [role, state, since, behind, errors, scrubbed];
            cells.into_iter().zip(&mut widths).for_each(|(cell, width)| *width = (*width).max(cell.chars().count()));
        }
        let others: usize = widths.iter().map(|width| width + 2).sum();
        let widest = rows.iter().map(|row| row.disk.chars().count()).max().unwrap_or(0);
        let width = widest.min(COLUMNS.saturating_sub(others)).max("disk".len());
        for row in &rows {
            let line = format!("{:width$}{}", shortened(&row.disk, width), row.rest(&widths));
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Display for CatchingUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seen_bytes, expected_bytes, seconds_left } = self;
        let expected = HumanBytes((*expected_bytes).max(*seen_bytes));
        write!(f, "it is brought in step: {} of {expected} were looked at", HumanBytes(*seen_bytes))?;
        match seconds_left {
            Some(0) if seen_bytes >= expected_bytes => write!(f, ", and what came later follows"),
            Some(seconds) => write!(f, ", some {} are left", HumanDuration(Duration::from_secs((*seconds).max(1)))),
            None => Ok(()),
        }
    }
}

impl Node {
    /// Its images as users name them, fit for a terminal.
    fn image(&self) -> String {
        self.images.join(":").replace(char::is_control, "?")
    }

    /// The other mount that writes to it, if there is one.
    pub(super) fn held_in_words(&self) -> Option<String> {
        let Held { host, time, .. } = self.held_by.as_ref().filter(|held| !held.is_own)?;
        Some(format!("written to by {host}, last at {time} UTC by its clock"))
    }

    /// The progress of bringing it in step, or another remark, if there is one.
    pub(super) fn note_in_words(&self) -> Option<String> {
        let note = self.catching_up.as_ref().map_or_else(|| self.note.clone(), CatchingUp::to_string);
        Some(note).filter(|note| !note.is_empty())
    }

    pub(super) fn lag(&self) -> String {
        let lag = self.lag_in_commits();
        match self.catching_up.and_then(|catching_up| catching_up.seconds_left) {
            Some(seconds) => format!("{lag}, {}s", seconds.max(1)),
            None => lag,
        }
    }

    fn lag_in_commits(&self) -> String {
        match (self.behind_epochs, self.behind_commits) {
            (Some(epochs @ 1..), _) => format!("{epochs} epochs"),
            (_, Some(commits @ 1..)) => format!("{commits} commits"),
            _ if self.backlog > 0 => format!("{} orders", self.backlog),
            _ => "-".to_owned(),
        }
    }
}

/// Shortens a name to at most `most` letters: names mostly differ at their end, or at their beginning.
pub(super) fn shortened(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_owned();
    }
    let (before, after) = ((most - 1) / 2, most - 1 - (most - 1) / 2);
    let (before, after) = (&letters[..before], &letters[letters.len() - after..]);
    before.iter().chain(&['~']).chain(after).collect()
}

/// Wraps text into lines, all but the first of which begin with `indent`. Text in backquotes stays whole, so that it can be
/// copied.
pub(super) fn wrapped(text: &str, indent: &str, f: &mut impl Write) -> fmt::Result {
    let mut column = 0;
    for word in words(text) {
        let letters = word.chars().count();
        if column > 0 && column + 1 + letters > COLUMNS {
            write!(f, "\n{indent}{word}")?;
            column = indent.len() + letters;
        } else {
            let space = if column > 0 { " " } else { "" };
            write!(f, "{space}{word}")?;
            column += space.len() + letters;
        }
    }
    Ok(())
}

/// The pieces between which a line may be broken.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut start, mut is_quoted) = (Vec::new(), 0, false);
    for (place, letter) in text.char_indices() {
        match letter {
            '`' => is_quoted = !is_quoted,
            ' ' if !is_quoted => {
                words.extend(Some(&text[start..place]).filter(|word| !word.is_empty()));
                start = place + 1;
            }
            _ => {}
        }
    }
    words.extend(Some(&text[start..]).filter(|word| !word.is_empty()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_and_commands_stay_whole() {
        let command = format!("`hammer2 cluster replace /mnt /{} NEW`", "x".repeat(60));
        let text = format!("{}: {command} and so on", "word ".repeat(20));
        let mut lines = String::new();
        wrapped(&text, "  ", &mut lines).unwrap();
        assert!(lines.lines().all(|line| line.len() <= COLUMNS || line.trim() == command), "{lines}");
        assert!(lines.contains(&command) && lines.lines().skip(1).all(|line| line.starts_with("  ")), "{lines}");
        assert_eq!(lines.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("v.img", 10), "v.img");
        assert_eq!(shortened("abcdefghij", 5), "ab~ij");
        assert_eq!(shortened("abcdefghij", 4), "a~ij");
    }
}
