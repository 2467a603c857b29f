//! A cluster as a picture, and as a page around it: the content of `table`, with a bar where a number has a maximum.

use hammer2_core::cluster::Health;
use indicatif::HumanBytes;
use maud::{Markup, html};

use super::table::{UNFINISHED, shortened, wrapped};
use super::{Errors, Missing, Node, Status};
use crate::admin::Event;
use crate::picture::{Picture, Text, page, share};

const WIDTH: u64 = 860;
/// The length of a time's text up to the second.
const SECOND: usize = 19;
/// Where the first member is drawn, and how high each is.
const HEAD: u64 = 84;
const ROW: u64 = 62;
/// How high a line of text is.
const LINE: u64 = 17;
/// How wide a bar is.
const BAR: u64 = 110;
/// How many letters fit into the columns.
const NAME: usize = 22;
const CELL: usize = 22;

impl Status {
    /// The cluster as a picture: an SVG file.
    pub fn svg(&self) -> String {
        self.picture().alone()
    }

    /// The cluster as a page: the picture, advice, members, the last scrub and the known events.
    pub fn html(&self, events: Option<&[Event]>) -> String {
        let notes = self.notes();
        let body = html! {
            (self.picture().in_page())
            @if !notes.is_empty() {
                h2 { "Notes" }
                ul { @for note in &notes { li { (Text(note)) } } }
            }
            h2 { "Members" }
            div .scroll { (self.members()) }
            h2 { "Last scrub" }
            p { (Text(self.scrub_in_words())) }
            @if let Some(paused) = &self.paused_scrub { p { (Text(paused)) } }
            h2 { "Events" }
            @match events {
                None => p .quiet { "Events are known only to a mount: give the directory it is mounted on." },
                Some([]) => p .quiet { "Nothing has happened since it was mounted." },
                Some(events) => div .scroll { (table_of(events)) },
            }
        };
        page(&format!("{}: {}", self.label, self.health), &body)
    }

    fn picture(&self) -> Picture {
        let Self { label, health, version, masters, masters_in_sync, quorum, .. } = self;
        let members = (self.nodes.len() + self.missing.len()) as u64;
        let mut scrub = String::new();
        // Writing to a string can't fail.
        let _ = wrapped(&format!("last scrub: {}", self.scrub_in_words()), "  ", &mut scrub);
        let foot = HEAD + members * ROW;
        let style = match self.health() {
            Health::Healthy => "good",
            Health::Degraded => "warn",
            Health::Stopped => "bad",
        };
        let mut about = format!("{masters_in_sync} of {masters} masters in sync, quorum {quorum}, version {version}");
        if self.changing_members {
            about += ", a change of the members is unfinished";
        }
        let drawn = html! {
            text class="large" x="20" y="38" { (Text(shortened(label, 48))) }
            text x="20" y="60" { (Text(&about)) }
            (pill(WIDTH - 20 - 120, 20, 120, style, health))
            @for (place, node) in self.nodes.iter().enumerate() { (self.row(node, HEAD + place as u64 * ROW, place)) }
            @for (place, member) in (self.nodes.len()..).zip(&self.missing) {
                (missing(member, HEAD + place as u64 * ROW, place))
            }
            @for (place, line) in scrub.lines().enumerate() {
                text class="faint" x="20" y=(foot + 22 + place as u64 * LINE) { (Text(line)) }
            }
        };
        let title = format!("{label}: {health}, {about}");
        Picture { width: WIDTH, height: foot + 22 + scrub.lines().count() as u64 * LINE, title, drawn }
    }

    /// A member in a picture.
    fn row(&self, node: &Node, y: u64, place: usize) -> Markup {
        let style = match (&node.state[..], node.catching_up) {
            ("in sync", _) => "good",
            (_, Some(_)) => "busy",
            ("behind", _) => "warn",
            ("ejected" | "unread", _) => "bad",
            _ => "none",
        };
        let since = node.since_when().map(|since| format!(", since {since}"));
        let Errors { read, write, check, repaired } = node.errors;
        let (damage, mended) = if read + write + check + repaired == 0 {
            ("no errors".to_owned(), String::new())
        } else {
            (format!("read {read}, write {write}, check {check}"), format!("{repaired} blocks repaired"))
        };
        let state = if node.catching_up.is_some() { "repair" } else { &node.state };
        let version = node.version.as_deref().unwrap_or("none");
        html! {
            g class="member" {
                title { (Text(node.images.join(":"))) }
                (background(y, place))
                (pill(20, y + 13, 92, style, state))
                text class="name" x="126" y=(y + 27) { (Text(shortened(&node.name, NAME))) }
                text class="faint" x="126" y=(y + 44) { (Text(&node.role.to_lowercase())) (Text(since.unwrap_or_default())) }
                text x="352" y=(y + 27) { "version " (Text(shortened(version, CELL))) }
                text class="faint" x="352" y=(y + 44) { (Text(node.lag_in_words())) }
                text x="526" y=(y + 27) { (Text(damage)) }
                text class="faint" x="526" y=(y + 44) { (Text(if mended.is_empty() { self.scrub_of(node) } else { mended })) }
                (bar(730, y + 16, node.used_bytes(), node.total_bytes, "allocated"))
                text class="faint" x="730" y=(y + 44) { (Text(node.filling())) }
                @if let Some(catching_up) = node.catching_up {
                    @let expected = catching_up.expected_bytes.max(catching_up.seen_bytes);
                    (bar(352, y + 50, catching_up.seen_bytes, expected, "busy"))
                }
            }
        }
    }

    fn members(&self) -> Markup {
        html! {
            table {
                tr { @for head in HEADS { th { (head) } } }
                @for node in &self.nodes {
                    @let Errors { read, write, check, repaired } = node.errors;
                    tr {
                        td .long { (Text(node.images.join(":"))) }
                        td { (Text(&node.role)) }
                        td {
                            (Text(&node.state))
                            @if let Some(since) = node.since_when() { br; span .quiet { "since " (Text(since)) } }
                        }
                        td { (Text(node.version.as_deref().unwrap_or("none"))) }
                        td { (Text(node.lag_in_words())) }
                        td { (read) " / " (write) " / " (check) " / " (repaired) }
                        td { (Text(node.filling())) }
                        td { (Text(self.scrub_of(node))) }
                        td .id { code { (Text(&node.fsid)) } }
                    }
                }
                @for member in &self.missing {
                    tr {
                        td .long { (Text(if member.images.is_empty() { "-".to_owned() } else { member.images.join(":") })) }
                        td { (Text(&member.role)) }
                        td { "missing" }
                        td { (Text(&member.version)) }
                        @for _ in 0..4 { td { "-" } }
                        td .id { code { (Text(&member.fsid)) } }
                    }
                }
            }
        }
    }

    /// Remarks on the cluster and each member, with advice.
    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.refused.iter().cloned().collect();
        if self.changing_members {
            notes.push(UNFINISHED.into());
        }
        for node in &self.nodes {
            let images = node.images.join(":");
            let said = node.held_in_words().into_iter().chain(node.note_in_words());
            notes.extend(said.map(|said| format!("{images}: {said}")));
        }
        notes.extend(self.missing.iter().map(|member| member.note.clone()));
        notes
    }

    fn scrub_in_words(&self) -> String {
        self.last_scrub.as_ref().map_or_else(|| "none that this machine knows of".to_owned(), ToString::to_string)
    }

    fn scrub_of(&self, node: &Node) -> String {
        self.scrubbed_on(node).map_or_else(|| "not scrubbed".to_owned(), |day| format!("scrubbed {day}"))
    }
}

/// The columns of the members.
const HEADS: [&str; 9] =
    ["disk", "role", "state", "version", "lag", "errors: read / write / check / repaired", "used", "scrub", "fsid"];

impl Node {
    /// Since when it has its current state, to the second.
    fn since_when(&self) -> Option<&str> {
        self.since.as_deref().map(|since| since.get(..SECOND).unwrap_or(since))
    }

    fn used_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.free_bytes)
    }

    fn filling(&self) -> String {
        format!("{}% of {}", share(self.used_bytes(), self.total_bytes, 100), HumanBytes(self.total_bytes))
    }

    fn lag_in_words(&self) -> String {
        match self.lag() {
            none if none == "-" => "nothing behind".to_owned(),
            lag => format!("{lag} behind"),
        }
    }
}

fn missing(member: &Missing, y: u64, place: usize) -> Markup {
    html! {
        g class="member" {
            title { (Text(&member.note)) }
            (background(y, place))
            rect class="edge dashed" x="20.5" y=(y + 13) width="91" height="24" rx="5" {}
            text class="middle" x="66" y=(y + 29) { "missing" }
            text class="name" x="126" y=(y + 27) { (Text(shortened(&member.name, NAME))) }
            text class="faint" x="126" y=(y + 44) { (Text(member.role.to_lowercase())) }
            text x="352" y=(y + 27) { "version " (Text(shortened(&member.version, CELL))) }
            text class="faint" x="352" y=(y + 44) { "as the others know it" }
        }
    }
}

fn background(y: u64, place: usize) -> Markup {
    let style = if place.is_multiple_of(2) { "stripe" } else { "paper" };
    html! { rect class=(style) x="8" y=(y) width=(WIDTH - 16) height=(ROW) rx="6" {} }
}

/// A word on its colour.
fn pill(x: u64, y: u64, width: u64, style: &str, word: &str) -> Markup {
    html! {
        rect class=(style) x=(x) y=(y) width=(width) height="24" rx="5" {}
        text class="on middle" x=(x + width / 2) y=(y + 16) { (Text(word)) }
    }
}

fn bar(x: u64, y: u64, part: u64, whole: u64, style: &str) -> Markup {
    let filled = share(part.min(whole), whole, BAR);
    html! {
        rect class="track" x=(x) y=(y) width=(BAR) height="10" rx="3" {}
        rect class=(style) x=(x) y=(y) width=(filled) height="10" rx="3" {}
    }
}

/// The events, the newest first.
fn table_of(events: &[Event]) -> Markup {
    html! {
        table {
            tr { th { "when (UTC)" } th { "what" } th { "disk" } th { "" } }
            @for event in events.iter().rev() {
                tr {
                    td { (Text(event.second())) }
                    td { (Text(event.kind.name())) }
                    td .long { (Text(event.disk.as_deref().unwrap_or("-"))) }
                    td .long { (Text(&event.text)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::picture::tests::{HOSTILE, elements};

    /// A cluster in which every text is `text`.
    fn cluster_of(text: &str) -> Status {
        let node = |state: &str, catching_up: bool| {
            json!({
                "node": 0, "images": [text], "name": text, "fsid": text, "role": text, "state": state, "since": text,
                "note": text, "version": text, "tid": 1, "behind_tids": 0, "behind_epochs": 0, "behind_commits": 3,
                "catching_up": catching_up.then(|| json!({ "seen_bytes": 5, "expected_bytes": 2, "seconds_left": 3 })),
                "errors": { "read": 1, "write": 2, "check": 3, "repaired": u64::MAX - 9 },
                "has_left": false, "is_distrusted": false, "total_bytes": u64::MAX, "free_bytes": 1,
                "held_by": { "host": text, "time": text, "is_own": false },
            })
        };
        let states = [("in sync", false), ("behind", true), ("behind", false), ("ejected", false), ("aside", false)];
        let status = json!({
            "health": "degraded", "label": text, "clid": text, "version": text, "tid": 1, "masters": 5, "masters_in_sync": 3,
            "quorum": 3, "changing_members": true, "refused": text,
            "nodes": states.map(|(state, catching_up)| node(state, catching_up)),
            "missing": [{ "fsid": text, "images": [text], "name": text, "role": text, "version": text, "note": text }],
            "paused_scrub": text,
        });
        serde_json::from_value(status).expect("a status")
    }

    fn event_of(text: &str) -> Event {
        let event = json!({
            "number": 1, "time_us": 1, "kind": "member-left", "directory": text, "label": text, "disk": text, "fsid": text,
            "text": text,
        });
        serde_json::from_value(event).expect("an event")
    }

    #[test]
    fn nothing_is_drawn_that_a_text_made() {
        let (hostile, plain) = (cluster_of(HOSTILE), cluster_of("plain"));
        assert_eq!(elements(&hostile.svg()), elements(&plain.svg()));
        let drawn = elements(&plain.svg());
        assert_eq!(drawn.iter().filter(|name| *name == "g").count(), 6, "five nodes and one that is missing");
        let [hostile_page, plain_page] =
            [(hostile, HOSTILE), (plain, "plain")].map(|(status, text)| status.html(Some(&[event_of(text)])));
        let tags = |page: &str| page.matches('<').count();
        assert_eq!(tags(&hostile_page), tags(&plain_page));
    }

    #[test]
    fn a_page_says_all_that_is_known() {
        let status = cluster_of("plain");
        let page = status.html(Some(&[event_of("it was pulled out")]));
        for said in
            ["degraded", "3 commits", "it was pulled out", "member-left", "as the others know it", "5 B", "repair"]
        {
            assert!(page.contains(said), "{said}");
        }
        assert!(
            status.html(Some(&[])).contains("Nothing has happened") && status.html(None).contains("only to a mount")
        );
    }

    #[test]
    fn bars_are_as_long_as_what_they_show() {
        let width = |part, whole| {
            let drawn = bar(0, 0, part, whole, "allocated").into_string();
            let (_, second) = drawn.rsplit_once("width=\"").expect("a width");
            second.split('"').next().and_then(|width| width.parse::<u64>().ok())
        };
        assert_eq!((width(0, 0), width(1, 2), width(u64::MAX, u64::MAX)), (Some(0), Some(BAR / 2), Some(BAR)));
    }
}
