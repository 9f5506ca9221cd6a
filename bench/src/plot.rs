//! The plot: for each case, init and first answer as bars, with the floor's and the bar's length as lines.

use std::fmt::Write;

use crate::report::{Measured, Report};
use crate::stats::Summary;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 170.0;
const ROW: f64 = 26.0;
const PANEL_GAP: f64 = 64.0;
const TOP: f64 = 56.0;
const INIT: &str = "#4c78a8";
const FIRST: &str = "#f58518";
const WARM: &str = "#54a24b";
const SPREAD: &str = "#555";

pub fn svg(report: &Report) -> String {
    let rows = report.usual.len() as f64;
    let panel = rows * ROW + PANEL_GAP;
    let height = TOP + 2.0 * panel;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let cold = |one: &Measured| {
        vec![(INIT, Summary::of(&one.times.init).p50), (FIRST, Summary::of(&one.times.first).p50)]
    };
    let warm = |one: &Measured| vec![(WARM, Summary::of(&one.times.warm).p50)];
    draw(
        &mut svg,
        report,
        TOP,
        "Cold: init, then the first answer, in ms (line: p10 to p90 of both together)",
        cold,
        |one| {
            let summary = Summary::of(&one.times.cold);
            (summary.p10, summary.p90)
        },
    );
    draw(&mut svg, report, TOP + panel, "Warm: one answer, in ms (line: p50 to p99)", warm, |one| {
        let summary = Summary::of(&one.times.warm);
        (summary.p50, summary.p99)
    });
    svg.push_str("</svg>\n");
    svg
}

fn draw(
    svg: &mut String,
    report: &Report,
    top: f64,
    title: &str,
    parts: impl Fn(&Measured) -> Vec<(&'static str, f64)>,
    spread: impl Fn(&Measured) -> (f64, f64),
) {
    let most = report.usual.iter().map(|one| spread(one).1).fold(0.0_f64, f64::max).max(1e-3);
    let scale = (WIDTH - LEFT - 70.0) / most;
    let _ = writeln!(
        svg,
        "<text x=\"16\" y=\"{}\" font-size=\"14\" font-weight=\"bold\">{title}</text>",
        top - 18.0
    );
    for (row, one) in report.usual.iter().enumerate() {
        let y = top + row as f64 * ROW;
        let middle = y + ROW / 2.0 - 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            middle + 4.0,
            one.case.name()
        );
        let mut x = LEFT;
        for (colour, value) in parts(one) {
            let width = value * scale;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
                ROW - 6.0
            );
            x += width;
        }
        let (from, to) = spread(one);
        let (from, to) = (LEFT + from * scale, LEFT + to * scale);
        let _ = writeln!(
            svg,
            "<line x1=\"{from:.1}\" y1=\"{middle:.1}\" x2=\"{to:.1}\" y2=\"{middle:.1}\" stroke=\"{SPREAD}\"/>"
        );
        let total: f64 = parts(one).iter().map(|(_, value)| value).sum();
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{total:.2}</text>", to.max(x) + 6.0, middle + 4.0);
    }
}
