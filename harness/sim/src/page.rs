//! A run as one page for a browser: the events of each node, client and cluster over virtual time.
//! The page needs no other files: it contains the events as data, and a script that draws them.

use hammer2_sim::{Entry, Run, Settings, Tally, first_wrong};
use serde_json::{Value, json};

use crate::report::command;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page of a run; `parting` is the first event that differs from the run with the rule that this one leaves out.
pub(crate) fn page(seed: u64, settings: &Settings, run: &Run, entries: &[Entry], parting: Option<usize>) -> String {
    // The same form as printed: the sum of all runs, of which this is the only one.
    let mut total = Tally::default();
    total.add(&run.tally);
    let data = json!({
        "seed": seed,
        "command": command(seed, settings),
        "rule": settings.without.map(|rule| rule.name()),
        "violation": run.violation,
        "wrong": run.violation.as_ref().and_then(|violation| first_wrong(entries, violation)),
        "parting": parting,
        "tally": {
            "operations": total.operations,
            "acked_syncs": total.acked_syncs,
            "crashes": total.crashes,
            "trace": format!("{:016x}", total.trace_hash),
        },
        "entries": entries,
    });
    // The data comes last, as it may hold anything, and no marks must be searched for in it.
    let page = PAGE.replace("{style}\n", STYLE).replace("{script}\n", SCRIPT);
    page.replacen("{data}", &embedded(&data), 1)
}

/// JSON that can't end or begin an element of a page.
fn embedded(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hammer2_sim::{NodeState, Rule, What, run_told};

    use super::*;

    /// Text that may be anywhere in a run, for all that the page knows.
    const HOSTILE: &str = "]]> </script><script>alert(1)</script> <!-- & &amp; \u{2028}\u{1} \" '";

    /// One event of each kind.
    fn all_kinds() -> Vec<What> {
        let text = || HOSTILE.to_owned();
        let all = vec![
            What::Begun { disks: vec![1], clusters: Vec::new() },
            What::Round { name: "work", cluster: text() },
            What::Opened { nodes: vec![Some(0), None], cluster: text() },
            What::Refused { why: text(), text: text() },
            What::Ended { by_power_cut: true },
            What::PowerCut,
            What::Fault { name: text(), disk: Some(0) },
            What::FaultOver { name: text(), disk: 0, has_struck: false },
            What::Node { disk: 0, node: 0, state: NodeState::Repair, detail: text() },
            What::Commit { disk: 0, version: text() },
            What::Cluster { epoch: 1, version: text(), health: "degraded", in_sync: 1, masters: 3 },
            What::Members { cluster: text(), change: text(), roles: vec![Some("master")], outcome: "begun" },
            What::Step { client: 0, number: 0, what: "sync", detail: text(), has_failed: true, began: 0 },
            What::Durable { error: Some(text()) },
            What::Served,
            What::Kept { text: text() },
            What::Verdict { name: text() },
            What::Suspicion { text: text() },
            What::Wrong { text: text() },
            What::Held { disk: 0, text: text() },
        ];
        // The compiler points here when a kind is added, which then belongs into the list above.
        all.iter().for_each(|what| match what {
            What::Begun { .. }
            | What::Round { .. }
            | What::Opened { .. }
            | What::Refused { .. }
            | What::Ended { .. } => {}
            What::PowerCut | What::Fault { .. } | What::FaultOver { .. } | What::Node { .. } | What::Commit { .. } => {}
            What::Cluster { .. } | What::Members { .. } | What::Step { .. } | What::Durable { .. } | What::Served => {}
            What::Kept { .. }
            | What::Verdict { .. }
            | What::Suspicion { .. }
            | What::Wrong { .. }
            | What::Held { .. } => {}
        });
        all
    }

    fn hostile_page() -> String {
        let entry = |what| Entry { nanoseconds: 5, trace: 0, what };
        let entries: Vec<Entry> = all_kinds().into_iter().map(entry).collect();
        let run = Run { tally: Tally::default(), violation: Some(HOSTILE.to_owned()) };
        page(3, &Settings::default(), &run, &entries, Some(2))
    }

    fn data_of(page: &str) -> Value {
        let (_, data) = page.split_once("id=\"run\">").expect("data");
        let (data, _) = data.split_once("</script>").expect("an end");
        serde_json::from_str(data).expect("JSON")
    }

    #[test]
    fn every_kind_of_event_is_in_the_page_and_has_words_there() {
        let data = data_of(&hostile_page());
        let kinds: BTreeSet<&str> =
            data["entries"].as_array().expect("a list").iter().filter_map(|entry| entry["kind"].as_str()).collect();
        assert_eq!(kinds.len(), all_kinds().len());
        for kind in kinds {
            assert!(SCRIPT.contains(&format!("\n  \"{kind}\": (")), "the script has no words for {kind}");
            assert!(SCRIPT.contains(&format!("case \"{kind}\":")), "the script doesn't draw {kind}");
        }
    }

    #[test]
    fn nothing_in_a_run_can_be_anything_but_data() {
        let page = hostile_page();
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(!page.contains("<script>alert"));
        let data = data_of(&page);
        assert_eq!(data["violation"], HOSTILE);
        assert_eq!(data["entries"][data["wrong"].as_u64().expect("a place") as usize]["kind"], "suspicion");
    }

    #[test]
    fn a_page_is_whole_and_needs_nothing_else() {
        let settings = Settings { steps: 40, without: Some(Rule::Rollforward), ..Settings::default() };
        let (run, entries) = run_told(1, &settings);
        for page in [page(1, &settings, &run, &entries, None), hostile_page()] {
            let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
            let document = roxmltree::Document::parse_with_options(&page, options).expect("well-formed");
            let is_fetched = |name: &str| ["src", "href", "data", "action"].contains(&name);
            let fetched = document.descendants().flat_map(|node| node.attributes()).filter(|a| is_fetched(a.name()));
            assert_eq!(fetched.count(), 0);
            for fetching in ["@import", "url(", "fetch(", "XMLHttpRequest", "import("] {
                assert!(!page.contains(fetching), "{fetching}");
            }
        }
    }
}
