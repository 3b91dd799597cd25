use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use plotters::prelude::*;
use serde_json::{Value, json};

use super::{
    results_folder,
    ways::{Cycle, Way},
};
use crate::Error;

/// Everything that was measured, by the body's number of timers.
#[derive(Default)]
pub struct Report {
    pub(crate) sizes: BTreeMap<usize, Size>,
    /// By how much the agent's memory grows at its highest for a body of 1 MB, in KiB.
    pub(crate) growth: Option<u64>,
}

/// What was measured with one body.
#[derive(Default)]
pub(crate) struct Size {
    pub bytes: usize,
    pub cycles: Vec<(Way, Vec<Cycle>)>,
    /// Peak resident memory in KiB.
    pub peaks: Vec<(Way, u64)>,
}

/// The middle of some measurements, and their ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            (values[middle - 1] + values[middle]) / 2.0
        };
        Some(Self {
            least,
            median,
            most,
        })
    }

    pub fn json(self) -> Value {
        let Self {
            least,
            median,
            most,
        } = self;
        json!({"least": least, "median": median, "most": most})
    }
}

/// A column of the table: its name, and what it shows of a cycle.
type Column = (&'static str, fn(&Cycle) -> Option<f64>);

const COLUMNS: [Column; 5] = [
    ("wall ms", |cycle| Some(milliseconds(cycle.wall))),
    ("sender CPU ms", |cycle| cycle.sender.map(milliseconds)),
    ("server CPU ms", |cycle| Some(milliseconds(cycle.server))),
    ("wire KB", |cycle| Some(cycle.traffic.bytes as f64 / 1000.0)),
    ("connections", |cycle| {
        Some(cycle.traffic.connections as f64)
    }),
];

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Size {
    fn spread(&self, way: Way, column: usize) -> Option<Spread> {
        let (_, cycles) = self.cycles.iter().find(|(of, _)| *of == way)?;
        Spread::of(cycles.iter().filter_map(COLUMNS[column].1))
    }

    fn median(&self, way: Way, column: usize) -> Option<f64> {
        self.spread(way, column).map(|spread| spread.median)
    }
}

const WALL: usize = 0;
const SENDER: usize = 1;
const SERVER: usize = 2;

impl Report {
    /// The figures as a table for people: medians, and the spread from least to most.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for (timers, size) in &self.sizes {
            let rounds = size.cycles.first().map_or(0, |(_, cycles)| cycles.len());
            out += &format!(
                "\n{timers} timers, a body of {} bytes; medians of {rounds} rounds (least to most)\n",
                size.bytes
            );
            out += &format!("{:<24}", "");
            for (name, _) in COLUMNS {
                out += &format!("{name:>27}");
            }
            out += &format!("{:>12}\n", "peak MiB");
            for (way, _) in &size.cycles {
                out += &format!("{:<24}", way.name());
                for column in 0..COLUMNS.len() {
                    let cell = size.spread(*way, column).map(shown);
                    out += &format!("{:>27}", cell.unwrap_or_else(|| "-".into()));
                }
                let peak = size.peaks.iter().find(|(of, _)| of == way);
                let peak = peak.map_or("-".into(), |(_, kib)| {
                    format!("{:.1}", *kib as f64 / 1024.0)
                });
                out += &format!("{peak:>12}\n");
            }
        }
        out + &self.targets()
    }

    /// The figures that the courier is held to.
    fn targets(&self) -> String {
        let ratio = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        let of = |timers: usize, way, column| self.sizes.get(&timers)?.median(way, column);
        let at = |way, column| of(2000, way, column);
        let growth = |column| {
            let large = of(20_000, Way::Courier, column);
            ratio(large.map(|large| large / 10.0), at(Way::Courier, column))
        };
        let rows = [
            (
                "wall: courier / floor",
                "<= 1.10",
                ratio(at(Way::Courier, WALL), at(Way::Floor, WALL)),
            ),
            (
                "CPU of the sending side: seed / courier",
                ">= 25",
                ratio(at(Way::Seed, SENDER), at(Way::Courier, SENDER)),
            ),
            (
                "wall: seed / courier",
                ">= 3",
                ratio(at(Way::Seed, WALL), at(Way::Courier, WALL)),
            ),
            (
                "server CPU: JSONPath / courier",
                ">= 2",
                ratio(at(Way::JsonPath, SERVER), at(Way::Courier, SERVER)),
            ),
            (
                "server CPU: Prometheus / courier",
                ">= 2",
                ratio(at(Way::Prometheus, SERVER), at(Way::Courier, SERVER)),
            ),
            (
                "growth of the agent, 1 MB body, MiB",
                "<= 8",
                self.growth.map(|kib| kib as f64 / 1024.0),
            ),
            ("CPU of discovery, ms", "<= 5", at(Way::Discover, SENDER)),
            (
                "wall: 20,000 timers / (10 x 2,000)",
                "0.9 to 1.1",
                growth(WALL),
            ),
            (
                "CPU: 20,000 timers / (10 x 2,000)",
                "0.9 to 1.1",
                growth(SENDER),
            ),
        ];
        let mut out = String::from("\nTargets, at 2,000 timers\n");
        for (name, target, reached) in rows {
            let reached = reached.map_or("not measured".into(), |value| format!("{value:.2}"));
            out += &format!("{name:<42}{target:>12}{reached:>14}\n");
        }
        out
    }

    /// Writes target/bench/results.json and results.svg.
    pub fn write(&self) -> Result<(), Error> {
        let folder = results_folder()?;
        let path = folder.join("results.json");
        let text = serde_json::to_string_pretty(&self.json()).unwrap_or_default();
        fs::write(&path, text).map_err(Error::io(path.display().to_string()))?;
        let path = folder.join("results.svg");
        self.plot(&path).map_err(|error| Error::Io {
            what: path.display().to_string(),
            source: std::io::Error::other(error.to_string()),
        })
    }

    fn json(&self) -> Value {
        let size = |size: &Size| {
            let ways = size.cycles.iter().map(|(way, cycles)| {
                let spreads = (0..COLUMNS.len()).filter_map(|column| {
                    let spread = size.spread(*way, column)?.json();
                    Some((COLUMNS[column].0.replace(' ', "_"), spread))
                });
                let mut figures: serde_json::Map<String, Value> = spreads.collect();
                figures.insert("rounds".into(), cycles.len().into());
                if let Some((_, kib)) = size.peaks.iter().find(|(of, _)| of == way) {
                    figures.insert("peak_KiB".into(), (*kib).into());
                }
                (way.name().to_owned(), Value::Object(figures))
            });
            json!({"body_bytes": size.bytes, "ways": ways.collect::<serde_json::Map<_, _>>()})
        };
        let sizes = self
            .sizes
            .iter()
            .map(|(timers, of)| (timers.to_string(), size(of)));
        json!({
            "timers": sizes.collect::<serde_json::Map<_, _>>(),
            "growth_at_1_MB_KiB": self.growth,
        })
    }

    /// Wall time, and CPU time of sender and server together, over the body's size; both axes logarithmic.
    fn plot(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::new(path, (1200, 520)).into_drawing_area();
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(600);
        let wall = |size: &Size, way| size.median(way, WALL);
        let cpu = |size: &Size, way| {
            let sender = size.median(way, SENDER).unwrap_or_default();
            Some(sender + size.median(way, SERVER)?)
        };
        self.panel(&left, "Wall time of a cycle, ms", wall)?;
        self.panel(&right, "CPU time of a cycle, sender and server, ms", cpu)?;
        root.present()?;
        Ok(())
    }

    fn panel(
        &self,
        area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
        title: &str,
        figure: impl Fn(&Size, Way) -> Option<f64>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let last = self.sizes.keys().max().copied().unwrap_or(1).max(2);
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(
                (1f64..last as f64).log_scale(),
                (0.1f64..100_000.0).log_scale(),
            )?;
        chart.configure_mesh().x_desc("timers").draw()?;
        for (index, way) in Way::ALL.into_iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            let points: Vec<(f64, f64)> = self
                .sizes
                .iter()
                .filter_map(|(timers, size)| Some((*timers as f64, figure(size, way)?)))
                .collect();
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(3))?
                .label(way.name())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        Ok(())
    }
}

fn shown(spread: Spread) -> String {
    let digits = if spread.most < 100.0 { 1 } else { 0 };
    let Spread {
        least,
        median,
        most,
    } = spread;
    if least == most {
        format!("{median:.digits$}")
    } else {
        format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[9.0, 1.0, 2.0]).unwrap().median, 2.0);
        let four = spread(&[1.0, 4.0, 2.0, 8.0]).unwrap();
        assert_eq!((four.least, four.median, four.most), (1.0, 3.0, 8.0));
    }
}
