//! Throughput and the slowest answers over batch size, as a picture (SVG).

use std::fmt;
use std::path::PathBuf;

/// Names the file to draw.
const PLOT: &str = "SALVER_PLOT";

/// Where to draw, if that is wanted.
pub(super) fn wanted() -> Option<PathBuf> {
    std::env::var_os(PLOT).map(PathBuf::from)
}

pub(super) struct Picture {
    pub(super) title: String,
    pub(super) series: Vec<Series>,
    pub(super) marks: Vec<Mark>,
}

/// Settings that differ in batch size.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

/// What a target for latency has found.
pub(super) struct Mark {
    pub(super) target_ms: f64,
    pub(super) point: Point,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) rows: f64,
    pub(super) per_second: f64,
    pub(super) p99_ms: f64,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
/// The panels: where the first begins, how high each is, and what is between them.
const TOP: f64 = 72.0;
const PANEL: f64 = 230.0;
const GAP: f64 = 62.0;
const HEIGHT: f64 = TOP + 2.0 * PANEL + GAP + 52.0;

/// Told apart without red and green (Okabe and Ito).
const COLOURS: [&str; 3] = ["#0072b2", "#e69f00", "#56b4e9"];
const MARK: &str = "#d55e00";

impl Picture {
    fn points(&self) -> impl Iterator<Item = Point> {
        let of_series = self.series.iter().flat_map(|series| series.points.iter().copied());
        of_series.chain(self.marks.iter().map(|mark| mark.point))
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" fill="#222">"##
        )?;
        writeln!(f, r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>"##)?;
        writeln!(f, r#"<text x="{LEFT}" y="24" font-size="16">{}</text>"#, self.title)?;
        self.legend(f)?;
        let most = |figure: fn(&Point) -> f64| self.points().map(|point| figure(&point)).fold(1.0, f64::max);
        let sizes = Sizes { most: most(|point| point.rows).log2() };
        let throughput = Panel {
            title: "requests a second",
            top: TOP,
            most: most(|point| point.per_second),
            figure: |point| point.per_second,
        };
        // What takes much longer than the targets is out of the picture.
        let targets = self.marks.iter().map(|mark| mark.target_ms).fold(0.0, f64::max);
        let slowest = most(|point| point.p99_ms);
        let latency = Panel {
            title: "milliseconds until 99 of 100 are answered",
            top: TOP + PANEL + GAP,
            most: if targets > 0.0 { slowest.min(2.0 * targets) } else { slowest },
            figure: |point| point.p99_ms,
        };
        for panel in [&throughput, &latency] {
            panel.axes(f, sizes)?;
            for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
                panel.line(f, sizes, &series.points, colour)?;
            }
            for mark in &self.marks {
                panel.mark(f, sizes, mark)?;
            }
        }
        for mark in &self.marks {
            latency.target(f, mark.target_ms)?;
        }
        writeln!(
            f,
            r#"<text x="{}" y="{}" text-anchor="middle">max_batch_size, in rows; of a latency_target, the rows of its batches in the mean</text>"#,
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 10.0
        )?;
        writeln!(f, "</svg>")
    }
}

impl Picture {
    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut x = LEFT;
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            writeln!(f, r#"<path d="M{x} 41h24" stroke="{colour}" stroke-width="2.5"/>"#)?;
            writeln!(f, r#"<text x="{}" y="45">{}</text>"#, x + 30.0, series.name)?;
            x += 172.0;
        }
        if !self.marks.is_empty() {
            diamond(f, x + 6.0, 41.0)?;
            writeln!(f, r#"<text x="{}" y="45">latency_target</text>"#, x + 18.0)?;
        }
        Ok(())
    }
}

/// Where a batch size lies: doubling it is a step.
#[derive(Clone, Copy)]
struct Sizes {
    most: f64,
}

impl Sizes {
    fn x(self, rows: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (0.02 + 0.96 * rows.max(1.0).log2() / self.most.max(1.0))
    }
}

/// One figure over batch size.
struct Panel {
    title: &'static str,
    top: f64,
    most: f64,
    figure: fn(&Point) -> f64,
}

impl Panel {
    fn y(&self, figure: f64) -> f64 {
        self.top + PANEL * (1.0 - (figure / self.highest()).min(1.0))
    }

    /// The end of the axis: so many steps.
    fn highest(&self) -> f64 {
        let step = self.step();
        (self.most / step).ceil() * step
    }

    /// 1, 2 or 5 times a power of ten, of which four or more make the axis.
    fn step(&self) -> f64 {
        let about = (self.most / 4.0).max(f64::MIN_POSITIVE);
        let power = 10f64.powf(about.log10().floor());
        let step = [5.0, 2.0].into_iter().find(|step| step * power <= about);
        step.unwrap_or(1.0) * power
    }

    fn axes(&self, f: &mut fmt::Formatter<'_>, sizes: Sizes) -> fmt::Result {
        let (right, bottom, step) = (WIDTH - RIGHT, self.top + PANEL, self.step());
        writeln!(f, r#"<text x="{LEFT}" y="{}" font-weight="bold">{}</text>"#, self.top - 10.0, self.title)?;
        let mut figure = 0.0;
        while figure <= self.highest() {
            let y = self.y(figure);
            writeln!(f, r##"<path d="M{LEFT} {y:.1}H{right}" stroke="#ddd"/>"##)?;
            let x = LEFT - 8.0;
            writeln!(f, r#"<text x="{x}" y="{:.1}" text-anchor="end">{figure}</text>"#, y + 4.0)?;
            figure += step;
        }
        let mut rows = 1.0f64;
        while rows.log2() <= sizes.most + 1e-9 {
            let x = sizes.x(rows);
            writeln!(f, r#"<text x="{x:.1}" y="{}" text-anchor="middle">{rows}</text>"#, bottom + 18.0)?;
            rows *= 2.0;
        }
        Ok(())
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, sizes: Sizes, points: &[Point], colour: &str) -> fmt::Result {
        write!(f, r#"<path fill="none" stroke="{colour}" stroke-width="2.5" d=""#)?;
        for (index, point) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            write!(f, "{command}{:.1} {:.1}", sizes.x(point.rows), self.y((self.figure)(point)))?;
        }
        writeln!(f, r#""/>"#)?;
        for point in points.iter().filter(|point| (self.figure)(point) <= self.highest()) {
            let (x, y) = (sizes.x(point.rows), self.y((self.figure)(point)));
            writeln!(f, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#)?;
        }
        Ok(())
    }

    fn mark(&self, f: &mut fmt::Formatter<'_>, sizes: Sizes, mark: &Mark) -> fmt::Result {
        let (x, y) = (sizes.x(mark.point.rows), self.y((self.figure)(&mark.point)));
        diamond(f, x, y)?;
        let (x, target) = (x + 10.0, mark.target_ms);
        writeln!(f, r#"<text x="{x:.1}" y="{:.1}" fill="{MARK}">{target} ms</text>"#, y + 16.0)
    }

    /// Where answers should stay below.
    fn target(&self, f: &mut fmt::Formatter<'_>, target_ms: f64) -> fmt::Result {
        let (y, right) = (self.y(target_ms), WIDTH - RIGHT);
        writeln!(f, r#"<path d="M{LEFT} {y:.1}H{right}" stroke="{MARK}" stroke-dasharray="3 5"/>"#)
    }
}

fn diamond(f: &mut fmt::Formatter<'_>, x: f64, y: f64) -> fmt::Result {
    writeln!(f, r#"<path d="M{x:.1} {:.1}l7 7l-7 7l-7 -7z" fill="{MARK}"/>"#, y - 7.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps_and_reach_beyond_every_figure() {
        let panel = |most| Panel { title: "", top: 0.0, most, figure: |point| point.rows };
        for (most, step, highest) in
            [(648.0, 100.0, 700.0), (41.0, 10.0, 50.0), (9.0, 2.0, 10.0), (0.7, 0.1, 0.7)]
        {
            let panel = panel(most);
            assert!((panel.step() - step).abs() < 1e-9 && (panel.highest() - highest).abs() < 1e-9, "{most}");
        }
    }

    #[test]
    fn every_setting_is_in_the_picture() {
        let point = |rows, per_second| Point { rows, per_second, p99_ms: 10.0 };
        let picture = Picture {
            title: "of a test".to_owned(),
            series: vec![Series {
                name: "one".to_owned(),
                points: vec![point(1.0, 50.0), point(8.0, 400.0)],
            }],
            marks: vec![Mark { target_ms: 20.0, point: point(6.0, 300.0) }],
        };
        let drawn = picture.to_string();
        assert_eq!(drawn.matches("<circle").count(), 4, "two points in each panel: {drawn}");
        // The mark is in the legend and in both panels, its target in one.
        assert_eq!(drawn.matches("l7 7l-7 7l-7 -7z").count(), 3, "{drawn}");
        assert_eq!(drawn.matches("stroke-dasharray").count(), 1, "{drawn}");
    }
}
