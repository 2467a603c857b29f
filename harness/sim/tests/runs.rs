//! The simulator itself: the same seed is the same run, a cluster keeps its promises, and leaving out a rule is found.

use hammer2_sim::{Rule, Settings, run, shrink};

#[test]
fn the_same_seed_is_the_same_run() {
    let settings = Settings::default();
    let first = run(7, &settings);
    // Another run in between leaves nothing behind.
    let other = run(8, &settings);
    assert_eq!(run(7, &settings), first);
    assert_ne!(other.tally.trace_hash, first.tally.trace_hash);
}

#[test]
fn clusters_keep_their_promises() {
    let settings = Settings::default();
    for seed in 1..=6 {
        let run = run(seed, &settings);
        assert_eq!(run.violation, None, "seed {seed}");
        assert!(run.tally.operations >= 300 && run.tally.acked_syncs > 0, "{:?}", run.tally);
    }
}

#[test]
fn a_cluster_without_a_rule_is_found_out_and_the_run_made_smaller() {
    let settings = Settings { nodes: Some(3), without: Some(Rule::Rollforward), ..Settings::default() };
    let seed = (1..100).find(|seed| run(*seed, &settings).violation.is_some()).expect("a run that fails");
    let least = shrink(seed, &settings);
    assert!(run(seed, &least).violation.is_some());
    assert!(least.left_out.len() > settings.left_out.len() || least.steps < settings.steps);
    assert_eq!(run(seed, &Settings { without: None, ..settings }).violation, None, "with it, nothing is wrong");
}
