//! pictures: pages and pictures as a browser sees them.

use std::fs;
use std::path::Path;

use super::context::Context;
use crate::system::command::{Run, program};
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// What every page of a run has.
const LANES: [&str; 5] =
    ["data-drawn=", "data-lane=\"rounds\"", "data-lane=\"cluster\"", "data-lane=\"disk-0\"", "data-lane=\"client-0\""];

/// A run, one with a violation, a cluster, a freemap, a soak.
pub(crate) fn pictures(step: &Context) -> Done {
    step.needs.program("chromium", "chromium")?;
    step.build_all()?;
    run_of_the_simulator(step)?;
    cluster(step)?;
    let soak = in_browser(step, &step.checkout.root().join("docs/soak.svg"))?;
    seen(&soak, &["nodes in sync"])?;
    say!("ok      a cluster, a freemap, a soak");
    Ok(())
}

fn run_of_the_simulator(step: &Context) -> Done {
    let page = step.path("run.html");
    let simulate = |words: &[&str]| {
        let mut simulate = program(step.programs().join("hammer2-sim"), words);
        simulate.stderr(std::process::Stdio::null());
        simulate
    };
    simulate(&["--seeds", "1", "--html"]).arg(&page).quietly()?;
    let drawn = in_browser(step, &page)?;
    seen(&drawn, &LANES)?;
    seen(&drawn, &["class=\"state-in-sync\"", "class=\"commit\"", "nothing was wrong"])?;
    say!("ok      a run of the simulator");
    // Both end with 1, as they should.
    let report = step.path("report");
    simulate(&["--seeds", "100", "--without", "rollforward"]).noted(&report)?;
    let told = fs::read_to_string(&report).about(report.display())?;
    let seed = failed_seed(&told).ok_or_else(|| Trouble::failed("no seed misses the rule rollforward"))?;
    let words = ["--start", seed, "--seeds", "1", "--without", "rollforward", "--html"];
    simulate(&words).arg(&page).noted(&step.path("violation"))?;
    let drawn = in_browser(step, &page)?;
    seen(&drawn, &LANES)?;
    seen(&drawn, &["id=\"to-wrong\"", "class=\"wrong-line\"", "class=\"chosen wrong-row\""])?;
    say!("ok      a run with a violation");
    Ok(())
}

fn cluster(step: &Context) -> Done {
    let mut images = Vec::new();
    for name in ["a.img", "b.img"] {
        let image = step.path(name).display().to_string();
        program("truncate", &["--size", "256M", &image]).run()?;
        step.tool(&["newfs", &image]).quietly()?;
        images.push(image);
    }
    step.tool(&["cluster", "create", "-L", "<W&\"", &images[0], &images[1]]).quietly()?;
    let cluster = format!("{}+{}@<W&\"", images[0], images[1]);
    let written = |name: &str, text: String| {
        let path = step.path(name);
        fs::write(&path, text).about(path.display())?;
        in_browser(step, &path)
    };
    let status = written("status.html", step.tool(&["cluster", "status", "--html", &cluster]).read()?)?;
    seen(&status, &["class=\"member\"", "healthy</text>", "&lt;W&amp;\"", "b.img</text>"])?;
    let freemap = written("freemap.svg", step.tool(&["freemap", "--svg", &images[0]]).read()?)?;
    seen(&freemap, &["class=\"cells\"", "free: "])
}

/// What chromium makes of a file. It must be whole, and no script of it may fail.
fn in_browser(step: &Context, file: &Path) -> Done<String> {
    let mut browser = program("timeout", &["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu"]);
    browser.arg(format!("--user-data-dir={}", step.path("browser").display()));
    browser.args(["--virtual-time-budget=5000", "--dump-dom"]).arg(format!("file://{}", file.display()));
    let log = step.path("log");
    browser.stderr(fs::File::create(&log).about(log.display())?);
    let drawn = match browser.read() {
        Ok(drawn) => drawn,
        Err(Trouble::Failed(_)) => return Err(Trouble::failed(fs::read_to_string(&log).unwrap_or_default())),
        Err(other) => return Err(other),
    };
    broken(&drawn).map_or(Ok(()), |what| Err(Trouble::failed(what)))?;
    Ok(drawn)
}

/// What says in a page that a script has failed or that it isn't well-formed.
fn broken(drawn: &str) -> Option<&str> {
    let found = ["data-error=\"", "<parsererror"].into_iter().find_map(|mark| drawn.find(mark))?;
    drawn.get(found..)?.lines().next()
}

/// All of these are in what the browser made.
fn seen(drawn: &str, words: &[&str]) -> Done {
    let unseen = words.iter().find(|words| !drawn.contains(**words));
    unseen.map_or(Ok(()), |words| Err(Trouble::failed(format!("the browser doesn't show {words}"))))
}

/// The first seed that the simulator tells of: `seed N: WHAT`.
fn failed_seed(told: &str) -> Option<&str> {
    let seeds = told.lines().filter_map(|line| line.strip_prefix("seed ")?.split_once(": "));
    seeds.map(|(seed, _)| seed).find(|seed| seed.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{broken, failed_seed, seen};
    use crate::trouble::Trouble;

    #[test]
    fn a_page_that_is_broken_or_lacks_something_is_found() {
        assert_eq!(broken("<p data-drawn=\"1\">"), None);
        assert_eq!(broken("<p>\n<p data-error=\"no such lane\">\n"), Some("data-error=\"no such lane\">"));
        assert_eq!(broken("<svg><parsererror>line 1"), Some("<parsererror>line 1"));
        assert_eq!(seen("one two", &["one", "two"]), Ok(()));
        assert_eq!(seen("one two", &["one", "three"]), Err(Trouble::failed("the browser doesn't show three")));
    }

    #[test]
    fn the_first_seed_is_taken() {
        assert_eq!(failed_seed("seed x: no\nseed 12: lost\nseed 13: lost\n"), Some("12"));
        assert_eq!(failed_seed("100 seeds, nothing wrong\n"), None);
    }
}
