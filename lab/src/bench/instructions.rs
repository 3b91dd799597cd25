use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use super::{body::Body, body::VALUES, results_folder, serve::serve, sink::sink};
use crate::{Error, build, docker, image};

/// Timers of the body.
const TIMERS: usize = 2000;

/// What the courier may grow by.
const GROWTH: f64 = 1.05;

/// The phases of a push, each the function that is the whole of it.
const PHASES: [(&str, &str); 3] = [
    ("fetch", "courier::source::fetch"),
    ("read", "courier::errand::Target::read"),
    ("send", "courier::trapper::deliver::deliver"),
];

/// Instructions that a push takes for one value, by phase: the same on every run, where seconds are not.
#[derive(Clone, Debug, PartialEq)]
pub struct Instructions(BTreeMap<String, f64>);

impl Instructions {
    /// Counts them with callgrind, in `courier push` to a loopback sink at 2,000 timers.
    pub fn count() -> Result<Self, Error> {
        let courier = build::courier()?.command;
        let folder = results_folder()?;
        let local = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("a listener"));
        let port = |listener: &TcpListener| {
            let address = listener.local_addr();
            address
                .map(|address| address.port())
                .map_err(Error::io("a listener"))
        };
        let (application, trapper) = (local()?, local()?);
        let url = format!("http://127.0.0.1:{}/metrics", port(&application)?);
        let to = format!("127.0.0.1:{}", port(&trapper)?);
        let _served = serve(application, &Body::of(TIMERS));
        let _requests = sink(trapper);
        let config = folder.join("agent.conf");
        // Valgrind takes some fifty times as long as the processor alone.
        fs::write(&config, "Hostname=lab\nTimeout=30\n")
            .map_err(Error::io(config.display().to_string()))?;
        let counts = PHASES.map(|(phase, function)| {
            let out = folder.join(format!("callgrind.{phase}.out"));
            let mut command = Command::new("valgrind");
            command
                .args(["--tool=callgrind", &format!("--toggle-collect={function}")])
                .arg(format!("--callgrind-out-file={}", out.display()))
                .arg(&courier)
                .args(["push", &url, "--to", &to, "--config"])
                .arg(&config);
            docker::output(&mut command)?;
            let count = total(&out)?;
            if count == 0 {
                return Err(Error::Missing {
                    what: format!("{function} in {}", courier.display()),
                    remedy:
                        "name the function that is this phase now in lab/src/bench/instructions.rs"
                            .into(),
                });
            }
            Ok((phase.to_owned(), count as f64 / (TIMERS * VALUES) as f64))
        });
        Ok(Self(counts.into_iter().collect::<Result<_, Error>>()?))
    }

    /// The committed figures.
    pub fn committed() -> Result<Self, Error> {
        let path = committed_path();
        let failed = || Error::io(path.display().to_string());
        let text = fs::read_to_string(&path).map_err(failed())?;
        let figures = serde_json::from_str(&text).map_err(|error| failed()(error.into()))?;
        Ok(Self(figures))
    }

    /// Makes these the committed figures.
    pub fn commit(&self) -> Result<(), Error> {
        let path = committed_path();
        let rounded: BTreeMap<&str, f64> = self
            .0
            .iter()
            .map(|(phase, count)| (phase.as_str(), (count * 10.0).round() / 10.0))
            .collect();
        let text = serde_json::to_string_pretty(&rounded).unwrap_or_default() + "\n";
        fs::write(&path, text).map_err(Error::io(path.display().to_string()))
    }

    /// Each phase's.
    pub fn phases(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(phase, count)| (phase.as_str(), *count))
    }

    /// Those of the whole push.
    pub fn sum(&self) -> f64 {
        self.0.values().sum()
    }

    /// Fails when they are more than 5 % above the committed ones.
    pub fn check(&self, committed: &Self) -> Result<(), Error> {
        if self.sum() <= committed.sum() * GROWTH {
            return Ok(());
        }
        Err(Error::Slower {
            now: self.sum(),
            committed: committed.sum(),
        })
    }
}

fn committed_path() -> PathBuf {
    image::lab().join("../benches/instructions.json")
}

/// The instructions that a profile collected.
fn total(profile: &Path) -> Result<u64, Error> {
    let text = fs::read_to_string(profile).map_err(Error::io(profile.display().to_string()))?;
    let line = text.lines().find_map(|line| {
        line.strip_prefix("totals: ")
            .or(line.strip_prefix("summary: "))
    });
    line.and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| Error::Answer {
            from: format!("callgrind ({})", profile.display()),
            answer: "no total".into(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_more_are_let_pass_and_not_a_sixth() {
        let figures = |read: f64| Instructions(BTreeMap::from([("read".to_owned(), read)]));
        let committed = figures(100.0);
        assert!(figures(104.9).check(&committed).is_ok());
        assert!(figures(106.0).check(&committed).is_err());
    }
}
