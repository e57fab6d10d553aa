//! Charts as SVG: lines with markers, and bars. Colours are CSS classes, so that a page can have a
//! dark mode; each series has a marker and a dash of its own, too.

use std::fmt::Write as _;

use crate::escape::escape;
use crate::words::number;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 290.0;
/// Room for the title of the y axis.
const LEFT: f64 = 30.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 50.0;
/// As many series have a look of their own.
const LOOKS: usize = 7;
const BAR: f64 = 30.0;

pub(crate) struct Chart {
    pub title: String,
    /// What is to be seen, for those who cannot see it.
    pub description: String,
    pub x: Axis,
    pub y: Axis,
    pub kind: Kind,
}

pub(crate) struct Axis {
    pub label: String,
    pub logarithmic: bool,
}

pub(crate) enum Kind {
    Lines(Vec<Series>),
    /// Names and values, from zero.
    Bars(Vec<(String, f64)>),
}

pub(crate) struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// A law or an ideal: thin, without markers.
    pub drawn_only: bool,
}

impl Series {
    pub fn measured(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            drawn_only: false,
        }
    }

    pub fn law(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            drawn_only: true,
        }
    }
}

impl Axis {
    pub fn linear(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            logarithmic: false,
        }
    }

    pub fn logarithmic(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            logarithmic: true,
        }
    }

    fn place(&self, value: f64) -> f64 {
        if self.logarithmic {
            value.max(1e-12).log10()
        } else {
            value
        }
    }

    /// Ticks, and the ends of the axis.
    fn ticks(&self, low: f64, high: f64) -> (Vec<f64>, f64, f64) {
        if self.logarithmic {
            let high = if high > low { high } else { low * 2.0 };
            let decades = (high / low).log10();
            let steps: &[f64] = if decades > 2.2 {
                &[1.0]
            } else if decades > 1.4 {
                &[1.0, 3.0]
            } else {
                &[1.0, 2.0, 5.0]
            };
            let mut ticks = Vec::new();
            let mut decade = 10_f64.powf(low.log10().floor());
            while decade <= high {
                ticks.extend(
                    steps
                        .iter()
                        .map(|step| step * decade)
                        .filter(|tick| *tick >= low * 0.999 && *tick <= high * 1.001),
                );
                decade *= 10.0;
            }
            return (ticks, low, high);
        }
        let high = if high > 0.0 { high } else { 1.0 };
        let rough = high / 5.0;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .map(|factor| factor * decade)
            .into_iter()
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(decade * 10.0);
        let mut ticks = Vec::new();
        let mut tick = 0.0;
        while tick < high * 0.999 {
            ticks.push(tick);
            tick += step;
        }
        ticks.push(tick);
        (ticks, 0.0, tick)
    }
}

/// Room for the ticks of the y axis and its title: a character is 9 wide on a phone, where text is larger.
fn left_of(ticks: &[f64]) -> f64 {
    let digits = ticks.iter().map(|tick| number(*tick).chars().count());
    let longest = u32::try_from(digits.max().unwrap_or(0)).unwrap_or(u32::MAX);
    LEFT + 9.0 * f64::from(longest)
}

impl Chart {
    pub fn has_points(&self) -> bool {
        match &self.kind {
            Kind::Lines(series) => series.iter().any(|one| one.points.len() > 1),
            Kind::Bars(bars) => !bars.is_empty(),
        }
    }

    /// A `figure`. `id` is unique on the page.
    pub fn figure(&self, id: &str) -> String {
        let mut out = format!("<figure><figcaption>{}</figcaption>", escape(&self.title));
        match &self.kind {
            Kind::Lines(series) => {
                self.lines(&mut out, id, series);
                legend(&mut out, series);
            }
            Kind::Bars(bars) => self.bars(&mut out, id, bars),
        }
        out.push_str("</figure>\n");
        out
    }

    fn open(&self, out: &mut String, id: &str, height: f64) {
        let _ = write!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            escape(&self.title),
            escape(&self.description)
        );
    }

    fn lines(&self, out: &mut String, id: &str, series: &[Series]) {
        let all = || series.iter().flat_map(|one| one.points.iter().copied());
        let least = all().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let most = all().map(|point| point.0).fold(0.0, f64::max);
        let top = all().map(|point| point.1).fold(0.0, f64::max);
        let bottom = all().map(|point| point.1).fold(f64::INFINITY, f64::min);
        let (x_ticks, x_low, x_high) = self.x.ticks(least, most);
        let (y_ticks, y_low, y_high) = self.y.ticks(bottom, top);
        let left = left_of(&y_ticks);
        let place = |axis: &Axis, value: f64, (low, high): (f64, f64), (from, to): (f64, f64)| {
            let (low, high) = (axis.place(low), axis.place(high));
            from + (axis.place(value) - low) / (high - low).max(1e-12) * (to - from)
        };
        let at_x = |x: f64| place(&self.x, x, (x_low, x_high), (left, WIDTH - RIGHT));
        let at_y = |y: f64| place(&self.y, y, (y_low, y_high), (HEIGHT - BOTTOM, TOP));
        self.open(out, id, HEIGHT);
        for tick in y_ticks {
            let y = at_y(tick);
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                left - 7.0,
                y + 4.5,
                number(tick)
            );
        }
        for tick in x_ticks {
            let x = at_x(tick);
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 5.0,
                HEIGHT - BOTTOM + 19.0,
                number(tick)
            );
        }
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{left}\" x2=\"{:.1}\" y1=\"{base:.1}\" y2=\"{base:.1}\"/><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text class=\"label\" transform=\"translate(14 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            WIDTH - RIGHT,
            f64::midpoint(left, WIDTH - RIGHT),
            HEIGHT - 10.0,
            escape(&self.x.label),
            f64::midpoint(TOP, HEIGHT - BOTTOM),
            escape(&self.y.label),
            base = HEIGHT - BOTTOM,
        );
        for (index, one) in series.iter().enumerate() {
            let look = index % LOOKS;
            let points: Vec<(f64, f64)> = one
                .points
                .iter()
                .map(|&(x, y)| (at_x(x), at_y(y)))
                .collect();
            draw(out, &points, look, one.drawn_only);
        }
        out.push_str("</svg>");
    }

    fn bars(&self, out: &mut String, id: &str, bars: &[(String, f64)]) {
        const NAME: f64 = 96.0;
        const VALUE: f64 = 62.0;
        let mut height = 30.0;
        for _ in bars {
            height += BAR;
        }
        let most = bars.iter().map(|bar| bar.1).fold(0.0, f64::max);
        self.open(out, id, height);
        let mut y = 6.0;
        for (name, value) in bars {
            let width = if most > 0.0 {
                value / most * (WIDTH - NAME - VALUE)
            } else {
                0.0
            };
            let short: String = name.chars().take(12).collect();
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect class=\"bar\" x=\"{NAME}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                NAME - 8.0,
                y + 16.0,
                escape(&short),
                width.max(1.0),
                BAR - 8.0,
                NAME + width.max(1.0) + 7.0,
                y + 16.0,
                number(*value)
            );
            y += BAR;
        }
        let _ = write!(
            out,
            "<text class=\"label\" x=\"{NAME}\" y=\"{:.1}\">{}</text></svg>",
            y + 14.0,
            escape(&self.x.label)
        );
    }
}

/// The line of one series and its markers, in places of the picture.
fn draw(out: &mut String, points: &[(f64, f64)], look: usize, drawn_only: bool) {
    let places = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}"));
    let law = if drawn_only { " law" } else { "" };
    let _ = write!(
        out,
        "<polyline class=\"s{look}{law}\" points=\"{}\"/>",
        places.collect::<Vec<_>>().join(" ")
    );
    if !drawn_only {
        for &(x, y) in points {
            marker(out, look, x, y);
        }
    }
}

fn marker(out: &mut String, look: usize, x: f64, y: f64) {
    let path = |out: &mut String, d: &str| {
        let _ = write!(
            out,
            "<path class=\"m{look}\" transform=\"translate({x:.1} {y:.1})\" d=\"{d}\"/>"
        );
    };
    match look {
        0 => {
            let _ = write!(
                out,
                "<circle class=\"m{look}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>"
            );
        }
        1 => path(out, "M-4-4h8v8h-8z"),
        2 => path(out, "M0-5.5L5 4h-10z"),
        3 => path(out, "M0-5.5L5.5 0 0 5.5-5.5 0z"),
        4 => path(out, "M0 5.5L5-4h-10z"),
        5 => path(out, "M-5-1.6h3.4V-5h3.2v3.4H5v3.2H1.6V5h-3.2V1.6H-5z"),
        _ => path(out, "M-5-3h10v6h-10z"),
    }
}

fn legend(out: &mut String, series: &[Series]) {
    out.push_str("<ul class=\"legend\">");
    for (index, one) in series.iter().enumerate() {
        out.push_str("<li><svg viewBox=\"0 0 36 14\" aria-hidden=\"true\">");
        let points = [(2.0, 7.0), (34.0, 7.0)];
        draw(out, &points, index % LOOKS, true);
        if !one.drawn_only {
            marker(out, index % LOOKS, 18.0, 7.0);
        }
        let _ = write!(out, "</svg>{}</li>", escape(&one.name));
    }
    out.push_str("</ul>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_everything() {
        let (ticks, low, high) = Axis::linear("").ticks(1.0, 278.0);
        assert_eq!((low, high), (0.0, 300.0));
        assert_eq!(ticks, [0.0, 100.0, 200.0, 300.0]);
        let (ticks, ..) = Axis::logarithmic("").ticks(0.02, 8.0);
        assert_eq!(ticks.len(), 2, "0.1 and 1: {ticks:?}");
        assert!(Axis::linear("").ticks(0.0, 0.0).2 > 0.0);
    }

    #[test]
    fn a_chart_names_itself_and_escapes() {
        let chart = Chart {
            title: "a < b".to_owned(),
            description: "<script>".to_owned(),
            x: Axis::linear("n"),
            y: Axis::linear("&"),
            kind: Kind::Lines(vec![Series::measured("<i>", vec![(1.0, 1.0), (2.0, 2.0)])]),
        };
        let figure = chart.figure("c1");
        assert!(figure.contains("<title id=\"c1-t\">a &lt; b</title>"));
        assert!(!figure.contains("<script>") && !figure.contains("<i>"));
    }
}
