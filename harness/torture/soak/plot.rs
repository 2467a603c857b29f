//! A run as a picture, drawn from its record as JSON: faults, nodes, memory, latencies and operations over time, one below the
//! other.

use std::path::Path;

use plotters::prelude::{IntoDrawingArea, SVGBackend, WHITE};
use plotters::style::RGBColor;
use serde_json::Value;

use crate::chart::{Bar, COLORS, Drawn, Line, Moment, Panel, steps_from, steps_to};
use crate::disks::Fault;
use crate::happening::Happening;
use crate::latency::CLASSES;
use hammer2_torture::failure::{Failure, Result};

const WIDTH: u32 = 1100;
/// The heights of the panels, from the top down.
const HEIGHTS: [u32; 6] = [204, 140, 150, 200, 200, 190];
/// The colours of kills of the server and of power cuts.
const KILL: RGBColor = RGBColor(120, 126, 134);
const POWER_CUT: RGBColor = RGBColor(200, 30, 40);
/// The range of latencies, from 10 us to 20 s, as powers of ten of a millisecond.
const POWERS: std::ops::Range<f64> = -2.0..4.4;

/// Draws a record, given as JSON.
pub(crate) fn draw(record: &Value, path: &Path) -> Result<()> {
    let Some(samples) = record["samples"].as_array().filter(|samples| !samples.is_empty()) else { return Ok(()) };
    let kept = Kept { samples, happened: happened(record) };
    panels(&kept, path).map_err(|error| Failure::unusable(format_args!("{}: {error}", path.display())))
}

/// The parts of the record that are drawn.
struct Kept<'j> {
    samples: &'j [Value],
    happened: Vec<(f64, Happening)>,
}

fn happened(record: &Value) -> Vec<(f64, Happening)> {
    let events = record["events"].as_array().map_or(&[][..], Vec::as_slice);
    let drawn = |event: &Value| Some((event[0].as_f64()?, Happening::parse(event[1].as_str()?)?));
    events.iter().filter_map(drawn).collect()
}

impl Kept<'_> {
    fn points(&self, of: impl Fn(&Value) -> Option<f64>) -> Vec<(f64, f64)> {
        self.samples.iter().filter_map(|sample| Some((sample["seconds"].as_f64()?, of(sample)?))).collect()
    }

    fn end(&self) -> f64 {
        self.points(|_| Some(0.0)).iter().map(|point| point.0).fold(60.0, f64::max)
    }

    /// A lane for each disk, with its faults.
    fn faults(&self) -> Vec<Bar> {
        let bar = |(begin, happening): &(f64, Happening)| match happening {
            Happening::Broken { disk, fault, time } => Some(Bar {
                color: color_of(*fault),
                seconds: *begin..begin + time.as_secs_f64(),
                values: *disk as f64 - 0.38..*disk as f64 + 0.38,
            }),
            _ => None,
        };
        self.happened.iter().filter_map(bar).collect()
    }

    fn moments(&self) -> Vec<Moment> {
        let moment = |(seconds, happening): &(f64, Happening)| {
            let color = match happening {
                Happening::Kill => KILL,
                Happening::PowerCut => POWER_CUT,
                Happening::Broken { .. } => return None,
            };
            Some(Moment { color, seconds: *seconds })
        };
        self.happened.iter().filter_map(moment).collect()
    }

    /// A number of each sample, which holds until the next sample.
    fn held(&self, name: &str, color: usize, key: &str, unit: f64) -> Line {
        let points = self.points(|sample| Some(sample[key].as_f64()? / unit));
        Line { name: name.to_owned(), color: COLORS[color], points: steps_from(&points) }
    }

    /// Operations a second, between two samples.
    fn rates(&self) -> Line {
        let acts = self.points(|sample| sample["acts"].as_f64());
        // Each round counts from 0.
        let rate =
            |pair: &[(f64, f64)]| (pair[1].0, (pair[1].1 - pair[0].1).max(0.0) / (pair[1].0 - pair[0].0).max(0.001));
        let rates: Vec<(f64, f64)> = acts.windows(2).map(rate).collect();
        Line { name: "operations".to_owned(), color: COLORS[0], points: steps_to(&rates) }
    }

    /// The latencies of each class between two samples, as powers of ten of a millisecond.
    fn latencies(&self, key: &str) -> Vec<Line> {
        let line = |(place, name): (usize, String)| {
            let power = |us: f64| (us.max(1.0) / 1000.0).log10();
            let points = self.points(|sample| Some(power(sample["latencies"][&name][key].as_f64()?)));
            Line { points: steps_to(&points), name, color: COLORS[place] }
        };
        CLASSES.iter().map(ToString::to_string).enumerate().map(line).collect()
    }
}

fn color_of(fault: Fault) -> RGBColor {
    let place = Fault::ALL.iter().position(|each| *each == fault).unwrap_or(0);
    COLORS[place % COLORS.len()]
}

fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::None => "nothing",
        Fault::Gone => "pulled out",
        Fault::ReadErrors => "reads fail",
        Fault::WriteErrors => "writes fail",
        Fault::FlushErrors => "flushes fail",
        Fault::Hang => "hangs",
        Fault::Slow => "slow",
        Fault::Lies => "lies",
    }
}

/// A range for all values from 0 up, with a little more room.
fn up_to(lines: &[Line]) -> std::ops::Range<f64> {
    let values = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    0.0..values.fold(1.0, f64::max) * 1.06
}

fn panels(kept: &Kept<'_>, path: &Path) -> Drawn {
    let root = SVGBackend::new(path, (WIDTH, HEIGHTS.iter().sum())).into_drawing_area();
    root.fill(&WHITE)?;
    let whole = |value: &f64| format!("{value:.0}");
    let node = |value: &f64| if value.fract().abs() < 0.01 { format!("{value:.0}") } else { String::new() };
    let disk = |value: &f64| if value.fract().abs() < 0.01 { format!("disk {value:.0}") } else { String::new() };
    let power = |value: &f64| match 10f64.powf(*value) {
        ms if ms >= 1000.0 => format!("{:.0} s", ms / 1000.0),
        ms => format!("{ms} ms"),
    };
    let panel = |title, lines: Vec<Line>, labels| Panel {
        title,
        values: up_to(&lines),
        labels,
        lines,
        bars: Vec::new(),
        legend: Vec::new(),
    };
    let faults = kept.faults();
    let disks = faults.iter().map(|bar| bar.values.end.ceil()).fold(1.0, f64::max);
    let mut legend: Vec<(String, RGBColor)> =
        Fault::ALL.into_iter().map(|fault| (words(fault).to_owned(), color_of(fault))).collect();
    legend.retain(|(_, color)| faults.iter().any(|bar| bar.color == *color));
    legend.extend([("the server is killed".to_owned(), KILL), ("the power goes".to_owned(), POWER_CUT)]);
    let mib = f64::from(1 << 20);
    let memory =
        vec![kept.held("resident", 0, "resident_bytes", mib), kept.held("the filesystem's", 1, "memory_bytes", mib)];
    let nodes =
        vec![kept.held("nodes in sync", 2, "nodes_in_sync", 1.0), kept.held("disks broken", 1, "disks_broken", 1.0)];
    let latencies = |title, key| Panel { values: POWERS, ..panel(title, kept.latencies(key), (8, &power)) };
    let panels = [
        Panel {
            values: -0.6..disks - 0.4,
            bars: faults,
            legend,
            ..panel("what is wrong with disks", Vec::new(), (6, &disk))
        },
        panel("the cluster", nodes, (6, &node)),
        panel("memory of the server, MiB", memory, (6, &whole)),
        latencies("99th percentile of what operations took", "p99_us"),
        latencies("the longest operation", "max_us"),
        panel("operations a second", vec![kept.rates()], (6, &whole)),
    ];
    let (moments, mut rest) = (kept.moments(), root.clone());
    for (place, (panel, height)) in panels.iter().zip(HEIGHTS).enumerate() {
        let (area, below) = rest.split_vertically(height);
        panel.draw(&area, kept.end(), &moments, place + 1 == panels.len())?;
        rest = below;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_drawn_with_what_happened() {
        let sample = |seconds: f64, nodes: u64| {
            let latencies = json!({ "read": { "p99_us": 900, "max_us": 2_000_000 } });
            json!({
                "seconds": seconds, "resident_bytes": 9 << 20, "memory_bytes": 5 << 20, "nodes_in_sync": nodes,
                "disks_broken": 1, "acts": 100, "latencies": latencies,
            })
        };
        let events =
            json!([[3.0, "disk 4 Hang for 5000 ms"], [9.0, "kill -9"], [11.0, "power cut"], [12.0, "scrub: 1"]]);
        let record = json!({ "samples": [sample(1.0, 5), sample(16.0, 4)], "events": events });
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("drawn.svg");
        draw(&record, &path).expect("a picture");
        let svg = std::fs::read_to_string(&path).expect("a text");
        roxmltree::Document::parse(&svg).expect("well-formed");
        for said in ["hangs", "the server is killed", "the power goes", "nodes in sync", "disk 4", "minutes", "10 s"] {
            assert!(svg.contains(said), "{said}");
        }
        assert!(!svg.contains("flushes fail"), "what didn't happen isn't explained");
        // There is a line across each panel for the kill, and one for the power cut.
        let hex = |color: RGBColor| format!("stroke=\"#{:02X}{:02X}{:02X}\"", color.0, color.1, color.2);
        assert_eq!([KILL, POWER_CUT].map(|color| svg.matches(&hex(color)).count()), [HEIGHTS.len(); 2]);
        let empty = draw(&json!({ "samples": [] }), &folder.path().join("empty.svg"));
        assert!(empty.is_ok() && !folder.path().join("empty.svg").exists());
    }
}
