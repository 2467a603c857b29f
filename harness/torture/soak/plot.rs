//! The run as a picture: memory, latencies, nodes and operations over time, one below the other.

use std::error::Error;
use std::path::Path;

use hammer2_torture::failure::{Failure, Result};
use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::Shift;
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::{
    BLACK, BLUE, DrawingArea, GREEN, IntoDrawingArea, LineSeries, MAGENTA, PathElement, RED, SVGBackend, WHITE,
};
use plotters::style::{Color, RGBColor};

use crate::latency::{CLASSES, Class, Percentiles};
use crate::record::{Record, Sample};

const SIZE: (u32, u32) = (1000, 1200);
const COLORS: [RGBColor; 5] = [BLUE, GREEN, RED, MAGENTA, BLACK];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = std::result::Result<(), Box<dyn Error>>;

/// A line: what it is and its points.
struct Line(String, Vec<(f64, f64)>);

/// Draws a record.
pub(crate) fn draw(record: &Record, path: &Path) -> Result<()> {
    if record.samples.is_empty() {
        return Ok(());
    }
    panels(record, path).map_err(|error| Failure::unusable(format_args!("{}: {error}", path.display())))
}

fn panels(record: &Record, path: &Path) -> Drawn {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((5, 1));
    let samples = &record.samples;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let memory = [
        line(samples, "resident", |sample| mib(sample.resident_bytes)),
        line(samples, "the filesystem's", |sample| mib(sample.counters.memory_bytes)),
    ];
    panel(&areas[0], "memory of the server, MiB", &memory)?;
    let nodes = [
        line(samples, "nodes in sync", |sample| sample.counters.in_sync.len() as f64),
        line(samples, "disks broken", |sample| sample.broken as f64),
    ];
    panel(&areas[1], "the cluster", &nodes)?;
    latencies(&areas[2], "99th percentile, ms", samples, |of| of.p99_us)?;
    latencies(&areas[3], "longest, ms", samples, |of| of.max_us)?;
    panel(&areas[4], "operations a second", &[Line("all".to_owned(), rates(samples))])?;
    root.present()?;
    Ok(())
}

fn line(samples: &[Sample], name: &str, of: impl Fn(&Sample) -> f64) -> Line {
    Line(name.to_owned(), samples.iter().map(|sample| (sample.seconds, of(sample))).collect())
}

fn rates(samples: &[Sample]) -> Vec<(f64, f64)> {
    let rate = |pair: &[Sample]| {
        let seconds = (pair[1].seconds - pair[0].seconds).max(0.001);
        (pair[1].seconds, pair[1].acts.saturating_sub(pair[0].acts) as f64 / seconds)
    };
    samples.windows(2).map(rate).collect()
}

fn panel(area: &Area<'_>, title: &str, lines: &[Line]) -> Drawn {
    let points = || lines.iter().flat_map(|Line(_, points)| points);
    let end = points().map(|point| point.0).fold(1.0, f64::max);
    let top = points().map(|point| point.1).fold(1.0, f64::max) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(20)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart.configure_mesh().max_light_lines(0).x_labels(12).y_labels(6).draw()?;
    for (Line(name, points), color) in lines.iter().zip(COLORS) {
        let drawn = chart.draw_series(LineSeries::new(points.iter().copied(), color))?;
        drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw()?;
    Ok(())
}

/// Times span four powers of ten: the axis is logarithmic.
fn latencies(area: &Area<'_>, title: &str, samples: &[Sample], of: impl Fn(&Percentiles) -> u64) -> Drawn {
    let end = samples.iter().map(|sample| sample.seconds).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(20)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..end, (0.01..20_000.0).log_scale())?;
    chart.configure_mesh().max_light_lines(0).x_labels(12).y_labels(6).draw()?;
    for (class, color) in CLASSES.into_iter().zip(COLORS) {
        let drawn = chart.draw_series(LineSeries::new(times(samples, class, &of), color))?;
        drawn.label(class.to_string()).legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw()?;
    Ok(())
}

fn times(samples: &[Sample], class: Class, of: impl Fn(&Percentiles) -> u64) -> Vec<(f64, f64)> {
    let all = samples.iter().map(|sample| (sample.seconds, sample.latencies.of(class)));
    let all = all.filter(|(_, of)| of.count > 0);
    all.map(|(seconds, percentiles)| (seconds, of(&percentiles) as f64 / 1000.0)).collect()
}
