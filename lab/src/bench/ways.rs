use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    body::TRAPPED,
    floor::Floor,
    hosts::{self, TRAPPED_HOST},
    meter::{self, Group},
    sink::sink,
    stand::{AGENT, APPLICATION, SOURCE, Stand, TRAPPER, item, url},
    wire::{Traffic, Wire},
};
use crate::{Agent, Error};

/// What the server does for values that come in; its history writers are left out.
const SERVING: &[&str] = &["trapper", "preprocessing", "poller", "http poller"];
const WRITING: &[&str] = &["history syncer"];

/// How long a check that was ordered may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(60);

/// A way for the body's values to get into Zabbix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Bare sockets.
    Floor,
    /// The courier in zabbix_agentd.
    Courier,
    /// A program of the seeds' kind.
    Seed,
    /// The official client library.
    Library,
    /// Zabbix's HTTP agent and dependent items by JSONPath.
    JsonPath,
    /// Zabbix's HTTP agent and dependent items by Prometheus pattern.
    Prometheus,
    /// No delivery: the courier's discovery of the same body.
    Discover,
}

impl Way {
    pub const ALL: [Way; 7] = [
        Way::Floor,
        Way::Courier,
        Way::Seed,
        Way::Library,
        Way::JsonPath,
        Way::Prometheus,
        Way::Discover,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Way::Floor => "floor",
            Way::Courier => "courier",
            Way::Seed => "seed",
            Way::Library => "zabbix_utils",
            Way::JsonPath => "http agent, JSONPath",
            Way::Prometheus => "http agent, Prometheus",
            Way::Discover => "courier.discover",
        }
    }
}

/// What one cycle took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cycle {
    pub wall: Duration,
    /// CPU time of the agent's container; none where the server does it all, or this process did.
    pub sender: Option<Duration>,
    pub server: Duration,
    pub traffic: Traffic,
}

/// All ways, ready to run.
pub(crate) struct Ways<'a> {
    stand: &'a Stand,
    agent: &'a Agent,
    group: Group,
    wire: Wire,
    floor: Floor,
    json_path: hosts::Master,
    prometheus: hosts::Master,
    serving: Vec<u32>,
    writing: Vec<u32>,
}

impl<'a> Ways<'a> {
    /// Makes what the ways take; the server has yet to learn of the items.
    pub fn prepare(stand: &'a Stand, agent: &'a Agent) -> Result<Self, Error> {
        let (lab, pod) = (&stand.lab, stand.lab.pod());
        let processes = |kinds| meter::server_processes(pod.name(), kinds);
        Ok(Self {
            stand,
            agent,
            group: Group::of(agent.pids()?.first().copied().unwrap_or_default())?,
            wire: Wire::watch(pod, &[APPLICATION, TRAPPER, AGENT])?,
            floor: Floor::new(pod, APPLICATION, TRAPPER, request(stand, agent)?)?,
            json_path: hosts::by_json_path(lab, stand.timers, APPLICATION)?,
            prometheus: hosts::by_prometheus(lab, stand.timers, APPLICATION)?,
            serving: processes(SERVING)?,
            writing: processes(WRITING)?,
        })
    }

    /// Runs one cycle of a way; the server rests before and after.
    pub fn run(&self, way: Way) -> Result<Cycle, Error> {
        meter::rest(&[&self.serving[..], &self.writing].concat())?;
        let stored = hosts::stored(&self.stand.lab)?;
        let traffic = self.wire.read()?;
        let (sender, server) = (self.group.cpu()?, meter::cpu(&self.serving)?);
        let ended = match way {
            Way::Floor => Ended::After(self.floor.run()?),
            Way::Courier => self.ask(&item("courier.push"))?,
            Way::Seed => self.ask(&item("seed"))?,
            Way::Library => self.ask(&item("library"))?,
            Way::Discover => self.ask(&format!("courier.discover[{SOURCE}]"))?,
            Way::JsonPath => self.order(&self.json_path)?,
            Way::Prometheus => self.order(&self.prometheus)?,
        };
        let sender = self.group.cpu()? - sender;
        let worked = meter::rest(&self.serving)?;
        let (wall, sends) = match ended {
            Ended::After(wall) => (wall, way != Way::Floor),
            Ended::WithTheServer { began } => (worked - began, false),
        };
        let cycle = Cycle {
            wall,
            sender: sends.then_some(sender),
            server: meter::cpu(&self.serving)? - server,
            traffic: self.wire.read()? - traffic,
        };
        if way != Way::Discover {
            self.all_stored(way, stored)?;
        }
        Ok(cycle)
    }

    /// Waits until the database has every value of the way's cycle, where it had `before` values: a way that delivered
    /// fewer has no figures.
    fn all_stored(&self, way: Way, before: usize) -> Result<(), Error> {
        let wanted = before + self.stand.timers * TRAPPED.len();
        let began = Instant::now();
        loop {
            let stored = hosts::stored(&self.stand.lab)?;
            if stored == wanted {
                return Ok(());
            }
            if stored > wanted || began.elapsed() > PATIENCE {
                let what = format!("{}: {stored} values in history, not {wanted}", way.name());
                return Err(Error::Unproven(what));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks the agent for an item, as a server does.
    fn ask(&self, key: &str) -> Result<Ended, Error> {
        let start = Instant::now();
        let answer = self.agent.get(key)?;
        let wall = start.elapsed();
        // A time in milliseconds, or discovery's rows; a push that failed answers 0 or -1.
        let failed = answer.is_empty() || answer == "[]" || answer.starts_with(['-', '0']);
        if failed {
            let from = key.into();
            return Err(Error::Answer { from, answer });
        }
        Ok(Ended::After(wall))
    }

    /// Has the server run a check of its own.
    fn order(&self, master: &hosts::Master) -> Result<Ended, Error> {
        while self.stand.served.try_recv().is_ok() {}
        self.stand.lab.api().execute_now(&[&master.id])?;
        let began = self.stand.served.recv_timeout(PATIENCE);
        let began = began.map_err(|_| Error::TooLate {
            what: "the HTTP agent's request".into(),
            seconds: PATIENCE.as_secs(),
        })?;
        Ok(Ended::WithTheServer { began })
    }

    /// The highest resident memory, in KiB, of a program that is not the agent.
    pub fn peak(&self, program: &str) -> Result<u64, Error> {
        let command = [
            "time",
            "-f",
            "%M",
            "-o",
            "/tmp/peak",
            "python3",
            &format!("/benches/{program}.py"),
            &url("metrics"),
            TRAPPED_HOST,
        ];
        self.agent.exec(&command)?;
        let peak = self.agent.exec(&["cat", "/tmp/peak"])?;
        let text = String::from_utf8_lossy(&peak.stdout).into_owned();
        text.trim().parse().map_err(|_| Error::Answer {
            from: "time".into(),
            answer: text,
        })
    }
}

/// How a cycle's end is known.
enum Ended {
    /// By the answer.
    After(Duration),
    /// By the rest of the server's processes.
    WithTheServer { began: Instant },
}

/// The request that the courier makes of the body, frame and all.
fn request(stand: &Stand, agent: &Agent) -> Result<Vec<u8>, Error> {
    let listener = stand.lab.pod().listen(0)?;
    let port = listener
        .local_addr()
        .map_err(Error::io("a listener in the pod"))?
        .port();
    let requests = sink(listener);
    let to = format!("127.0.0.1:{port}");
    let push = [
        "courier",
        "push",
        SOURCE,
        "--to",
        &to,
        "--host",
        TRAPPED_HOST,
    ];
    let output = agent.exec(&push)?;
    requests.recv_timeout(PATIENCE).map_err(|_| Error::Command {
        command: push.join(" "),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
