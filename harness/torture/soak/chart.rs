//! Panels below each other over the same time: curves and steps, with legends beside them, and marks across all.

use std::error::Error;
use std::ops::Range;

use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoFont, LineSeries, PathElement, Rectangle, SVGBackend, Text};
use plotters::style::{Color, RGBColor, TextStyle};

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = std::result::Result<(), Box<dyn Error>>;

/// Colours that can be told apart without telling red from green (Okabe and Ito).
pub(crate) const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(60, 60, 60),
];
const INK: RGBColor = RGBColor(40, 44, 50);
const GRID: RGBColor = RGBColor(222, 226, 231);

/// The widths of the legend beside a panel, and of the space to its left.
const BESIDE: i32 = 170;
const LEFT: u32 = 62;
const HEAD: i32 = 24;

/// A line of points, seconds and values.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A stretch of time that is marked in a panel: between two values, from one second to another.
pub(crate) struct Bar {
    pub(crate) color: RGBColor,
    pub(crate) seconds: Range<f64>,
    pub(crate) values: Range<f64>,
}

/// A moment that is marked across all panels.
pub(crate) struct Moment {
    pub(crate) color: RGBColor,
    pub(crate) seconds: f64,
}

/// Formats a value at an axis.
pub(crate) type Labels<'l> = &'l dyn Fn(&f64) -> String;

/// A panel.
pub(crate) struct Panel<'l> {
    pub(crate) title: &'l str,
    /// The range of values, how many of them are labelled, and how.
    pub(crate) values: Range<f64>,
    pub(crate) labels: (usize, Labels<'l>),
    pub(crate) lines: Vec<Line>,
    pub(crate) bars: Vec<Bar>,
    /// Further entries of its legend, besides its lines.
    pub(crate) legend: Vec<(String, RGBColor)>,
}

impl Panel<'_> {
    /// Draws it over the time from 0 to `end`; the lowest panel has the time axis.
    pub(crate) fn draw(&self, area: &Area<'_>, end: f64, moments: &[Moment], is_lowest: bool) -> Drawn {
        let (width, _) = area.dim_in_pixel();
        let (curves, beside) = area.split_horizontally(width as i32 - BESIDE);
        let text = |size: i32| TextStyle::from(("sans-serif", size).into_font()).color(&INK);
        curves.draw(&Text::new(self.title.to_owned(), (LEFT as i32, 4), text(14)))?;
        let mut chart = ChartBuilder::on(&curves)
            .margin_top(HEAD)
            .margin_right(8)
            .x_label_area_size(if is_lowest { 38 } else { 6 })
            .y_label_area_size(LEFT)
            .build_cartesian_2d(0.0..end / 60.0, self.values.clone())?;
        // The axis of a short run has fractions of minutes.
        let digits = usize::from(end < 12.0 * 60.0);
        let minutes = |minute: &f64| if is_lowest { format!("{minute:.digits$}") } else { String::new() };
        let mut mesh = chart.configure_mesh();
        mesh.max_light_lines(0).x_labels(13).x_label_formatter(&minutes);
        mesh.y_labels(self.labels.0).y_label_formatter(self.labels.1);
        mesh.bold_line_style(GRID).axis_style(INK.mix(0.6)).label_style(text(11));
        if is_lowest {
            mesh.x_desc("minutes");
        }
        mesh.draw()?;
        let bar = |bar: &Bar| {
            let corners = [(bar.seconds.start / 60.0, bar.values.start), (bar.seconds.end / 60.0, bar.values.end)];
            Rectangle::new(corners, bar.color.filled())
        };
        chart.draw_series(self.bars.iter().map(bar))?;
        let moment = |moment: &Moment| {
            let at = moment.seconds / 60.0;
            PathElement::new([(at, self.values.start), (at, self.values.end)], moment.color.mix(0.55))
        };
        chart.draw_series(moments.iter().map(moment))?;
        for line in &self.lines {
            let points = line.points.iter().map(|(seconds, value)| (seconds / 60.0, *value));
            chart.draw_series(LineSeries::new(points, line.color.stroke_width(1)))?;
        }
        let named = self.lines.iter().map(|line| (line.name.clone(), line.color));
        for (place, (name, color)) in (0..).zip(named.chain(self.legend.iter().cloned())) {
            let y = HEAD + 3 + place * 18;
            beside.draw(&Rectangle::new([(10, y), (24, y + 11)], color.filled()))?;
            beside.draw(&Text::new(name, (31, y), text(12)))?;
        }
        Ok(())
    }
}

/// Points as steps: each value holds until the next.
pub(crate) fn steps_from(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let corners = points.windows(2).flat_map(|pair| [pair[0], (pair[1].0, pair[0].1)]);
    corners.chain(points.last().copied()).collect()
}

/// Points as steps: each value holds since the point before, as it is that of the time between.
pub(crate) fn steps_to(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let corners = points.windows(2).flat_map(|pair| [pair[0], (pair[0].0, pair[1].1)]);
    corners.chain(points.last().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_up_and_to_the_side_only() {
        let points = [(1.0, 5.0), (2.0, 7.0), (4.0, 3.0)];
        assert_eq!(steps_from(&points), [(1.0, 5.0), (2.0, 5.0), (2.0, 7.0), (4.0, 7.0), (4.0, 3.0)]);
        assert_eq!(steps_to(&points), [(1.0, 5.0), (1.0, 7.0), (2.0, 7.0), (2.0, 3.0), (4.0, 3.0)]);
        assert_eq!((steps_from(&points[..1]), steps_to(&[])), (vec![(1.0, 5.0)], Vec::new()));
    }
}
