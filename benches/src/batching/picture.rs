//! Lines over batch size, in panels under one another, as an SVG.

use std::fmt;
use std::path::PathBuf;

/// Names the file to draw.
const PLOT: &str = "SALVER_PLOT";

/// Where to draw, if that is wanted.
pub(super) fn wanted() -> Option<PathBuf> {
    std::env::var_os(PLOT).map(PathBuf::from)
}

/// Panels that share their axis of batch sizes.
pub(super) struct Picture {
    pub(super) panels: Vec<Panel>,
    pub(super) x_title: String,
    /// What the marks are called.
    pub(super) mark_name: String,
}

/// One figure over batch size.
pub(super) struct Panel {
    pub(super) title: String,
    /// What is above is not shown; `None`: everything is.
    pub(super) most: Option<f64>,
    /// A line across, dotted.
    pub(super) line: Option<f64>,
    pub(super) series: Vec<Series>,
    pub(super) mark: Option<Mark>,
}

/// Settings that differ in batch size.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

/// What was found without being set.
pub(super) struct Mark(pub(super) Point);

#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = WIDTH - 20.0;
/// Where the first panel begins, how high each is, and what is below it.
const TOP: f64 = 72.0;
const PANEL: f64 = 220.0;
const BELOW: f64 = 64.0;

/// Told apart without red and green (Okabe and Ito).
const COLOURS: [&str; 3] = ["#0072b2", "#e69f00", "#56b4e9"];
const MARK: &str = "#d55e00";

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = TOP + self.panels.len() as f64 * (PANEL + BELOW);
        let size = format!(r#"viewBox="0 0 {WIDTH} {height}""#);
        let font = r##"font-family="sans-serif" font-size="13" fill="#222""##;
        writeln!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>"#)?;
        writeln!(f, r##"<rect width="{WIDTH}" height="{height}" fill="#fff"/>"##)?;
        self.legend(f)?;
        let points = self.panels.iter().flat_map(Panel::points);
        let sizes = Sizes { most: points.map(|point| point.x).fold(2.0, f64::max) };
        for (index, panel) in self.panels.iter().enumerate() {
            let frame = Frame::of(panel, TOP + index as f64 * (PANEL + BELOW));
            panel.draw(f, sizes, frame)?;
        }
        let (x, y) = (f64::midpoint(LEFT, RIGHT), height - 18.0);
        writeln!(f, r#"<text x="{x}" y="{y}" text-anchor="middle">{}</text>"#, self.x_title)?;
        writeln!(f, "</svg>")
    }
}

impl Picture {
    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let series = self.panels.first().map_or(&[][..], |panel| &panel.series);
        let mut x = LEFT;
        for (series, colour) in series.iter().zip(COLOURS) {
            writeln!(f, r#"<path d="M{x} 20h24" stroke="{colour}" stroke-width="2.5"/>"#)?;
            writeln!(f, r#"<text x="{}" y="24">{}</text>"#, x + 30.0, series.name)?;
            x += 168.0;
        }
        diamond(f, x + 6.0, 20.0)?;
        writeln!(f, r#"<text x="{}" y="24">{}</text>"#, x + 18.0, self.mark_name)
    }
}

impl Panel {
    fn points(&self) -> impl Iterator<Item = Point> {
        let of_series = self.series.iter().flat_map(|series| series.points.iter().copied());
        of_series.chain(self.mark.iter().map(|mark| mark.0))
    }

    fn draw(&self, f: &mut fmt::Formatter<'_>, sizes: Sizes, frame: Frame) -> fmt::Result {
        let y = frame.top - 12.0;
        writeln!(f, r#"<text x="{LEFT}" y="{y}" font-weight="bold">{}</text>"#, self.title)?;
        frame.axes(f, sizes)?;
        for (series, colour) in self.series.iter().zip(COLOURS) {
            let shown = series.points.iter().filter(|point| point.y <= frame.most);
            let shown: Vec<_> = shown.map(|point| (sizes.x(point.x), frame.y(point.y))).collect();
            write!(f, r#"<path fill="none" stroke="{colour}" stroke-width="2.5" d=""#)?;
            for (index, (x, y)) in shown.iter().enumerate() {
                write!(f, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' })?;
            }
            writeln!(f, r#""/>"#)?;
            for (x, y) in shown {
                writeln!(f, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#)?;
            }
        }
        if let Some(line) = self.line {
            let y = frame.y(line);
            writeln!(f, r#"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="{MARK}" stroke-dasharray="3 5"/>"#)?;
        }
        if let Some(Mark(point)) = self.mark.as_ref().filter(|mark| mark.0.y <= frame.most) {
            diamond(f, sizes.x(point.x), frame.y(point.y))?;
        }
        Ok(())
    }
}

/// Where a batch size lies: twice as large is a step further.
#[derive(Clone, Copy)]
struct Sizes {
    most: f64,
}

impl Sizes {
    fn x(self, size: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (0.02 + 0.96 * size.max(1.0).log2() / self.most.log2())
    }
}

/// Where a panel's figures lie.
#[derive(Clone, Copy)]
struct Frame {
    top: f64,
    /// The end of the axis, and the steps to it.
    most: f64,
    step: f64,
}

impl Frame {
    fn of(panel: &Panel, top: f64) -> Self {
        let found = panel.points().map(|point| point.y).fold(f64::MIN_POSITIVE, f64::max);
        let most = panel.most.unwrap_or(found);
        let step = step(most);
        Self { top, most: (most / step).ceil() * step, step }
    }

    fn y(self, figure: f64) -> f64 {
        self.top + PANEL * (1.0 - figure / self.most)
    }

    fn axes(self, f: &mut fmt::Formatter<'_>, sizes: Sizes) -> fmt::Result {
        let steps = (self.most / self.step).round() as u32;
        for figure in (0..=steps).map(|index| f64::from(index) * self.step) {
            let (x, y) = (LEFT - 8.0, self.y(figure));
            writeln!(f, r##"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="#ddd"/>"##)?;
            writeln!(f, r#"<text x="{x}" y="{:.1}" text-anchor="end">{figure}</text>"#, y + 4.0)?;
        }
        let mut size = 1.0;
        while size <= sizes.most {
            let (x, y) = (sizes.x(size), self.top + PANEL + 18.0);
            writeln!(f, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{size}</text>"#)?;
            size *= 2.0;
        }
        Ok(())
    }
}

/// 1, 2 or 5 times a power of ten, of which four to ten make an axis.
fn step(most: f64) -> f64 {
    let about = most / 4.0;
    let power = 10f64.powf(about.log10().floor());
    let step = [5.0, 2.0].into_iter().find(|step| step * power <= about);
    step.unwrap_or(1.0) * power
}

fn diamond(f: &mut fmt::Formatter<'_>, x: f64, y: f64) -> fmt::Result {
    writeln!(f, r#"<path d="M{x:.1} {:.1}l7 7l-7 7l-7 -7z" fill="{MARK}"/>"#, y - 7.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: &[(f64, f64)], most: Option<f64>) -> Panel {
        let points = points.iter().map(|&(x, y)| Point { x, y }).collect();
        let series = vec![Series { name: "one".to_owned(), points }];
        let mark = Some(Mark(Point { x: 6.0, y: 20.0 }));
        Panel { title: "of a test".to_owned(), most, line: most, series, mark }
    }

    #[test]
    fn axes_have_round_steps_and_reach_as_far_as_every_figure() {
        for (found, step, most) in [(648.0, 100.0, 700.0), (41.0, 10.0, 50.0), (190.0, 20.0, 200.0)] {
            let frame = Frame::of(&panel(&[(1.0, found)], None), 0.0);
            assert_eq!((frame.step, frame.most), (step, most), "{found}");
        }
    }

    #[test]
    fn every_setting_is_in_the_picture_but_for_what_is_off_it() {
        let points = [(1.0, 400.0), (8.0, 50.0)];
        let picture = |most| {
            let panels = vec![panel(&points, most)];
            Picture { panels, x_title: String::new(), mark_name: String::new() }.to_string()
        };
        assert_eq!(picture(None).matches("<circle").count(), 2);
        let cut = picture(Some(100.0));
        assert_eq!(cut.matches("<circle").count(), 1, "{cut}");
        assert_eq!(cut.matches("stroke-dasharray").count(), 1, "{cut}");
        assert_eq!(cut.matches("l7 7l-7 7l-7 -7z").count(), 2, "in the legend and in the panel: {cut}");
    }
}
