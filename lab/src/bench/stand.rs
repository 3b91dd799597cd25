use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

use super::{
    body::{Body, TRAPPED, VALUES},
    hosts::{self, TRAPPED_HOST},
    serve::{Served, serve},
};
use crate::{Agent, AgentSpec, Error, Lab, Version, image, progress::Step};

/// What courier.toml calls the body.
pub(crate) const SOURCE: &str = "body";
/// The port that the body is served on.
pub(crate) const APPLICATION: u16 = 8081;
/// The server's.
pub(crate) const TRAPPER: u16 = 10051;
/// The agents'.
pub(crate) const AGENT: u16 = 10050;

const VERSION: Version = Version::V6_0;

/// Room for hundreds of thousands of items, and a configuration that is read when the bench says so.
const SERVER: &str = "\
CacheSize=2G
HistoryCacheSize=512M
HistoryIndexCacheSize=256M
ValueCacheSize=512M
TrendCacheSize=256M
CacheUpdateFrequency=3600
Timeout=30
StartPollers=1
StartPollersUnreachable=1
StartHTTPPollers=1
";

/// A server with the items of every way, and the body that all ways deliver.
pub(crate) struct Stand {
    pub lab: Lab,
    pub served: Served,
    pub timers: usize,
    image: String,
}

impl Stand {
    /// Starts a server for a body of so many timers.
    pub fn start(timers: usize) -> Result<Self, Error> {
        let image = bench_image().ensure()?;
        let step = Step::begin(format!("A Zabbix {VERSION} for {timers} timers"));
        let lab = Lab::builder()
            .zabbix(VERSION)
            .server_config(SERVER)
            .without_agent()
            .start()?;
        let served = serve(lab.pod().listen(APPLICATION)?, &Body::of(timers));
        hosts::trapped(&lab, timers)?;
        step.done();
        Ok(Self {
            lab,
            served,
            timers,
            image,
        })
    }

    /// Starts an agent that has the courier in it, and the other ways as items beside it.
    pub fn agent(&self, port: u16, options: Vec<String>) -> Result<Agent, Error> {
        let spec = AgentSpec {
            port,
            hostname: TRAPPED_HOST.into(),
            config: "Timeout=30\nStartAgents=1\n\
                     UserParameter=seed[*],python3 /benches/seed.py \"$1\" \"$2\"\n\
                     UserParameter=library[*],python3 /benches/library.py \"$1\" \"$2\"\n"
                .into(),
            // 20,000 timers are more than an errand reads by default.
            courier_toml: Some(format!(
                "[source.{SOURCE}]\nurl = \"{}\"\nmax_bytes = 67108864\n",
                url("metrics")
            )),
            ..AgentSpec::default()
        };
        let benches = image::lab().join("../benches");
        let mut options = options;
        options.push(format!("--volume={}:/benches:ro", benches.display()));
        Agent::start_from(&self.image, self.lab.pod(), VERSION, &spec, options)
    }

    /// Has the server learn of its items, and waits until it takes the values that have one.
    pub fn load(&self, agent: &Agent) -> Result<(), Error> {
        let step = Step::begin("The server reads its configuration");
        self.lab.reload_config_cache()?;
        let wanted = self.timers * TRAPPED.len();
        for _ in 0..120 {
            agent.get(&item("courier.push"))?;
            let processed = agent.get(&format!("courier.stats[{SOURCE},processed]"))?;
            if processed.parse() == Ok(wanted) {
                self.writers_rest()?;
                step.done();
                return Ok(());
            }
            thread::sleep(Duration::from_millis(500));
        }
        Err(Error::TooLate {
            what: format!(
                "the server's taking of {wanted} of {} values",
                self.timers * VALUES
            ),
            seconds: 60,
        })
    }

    /// Waits until the database has what was pushed: its writers take a second's rest between their turns.
    fn writers_rest(&self) -> Result<(), Error> {
        let (mut stored, mut since) = (0, Instant::now());
        while since.elapsed() < Duration::from_secs(3) {
            thread::sleep(Duration::from_millis(250));
            let now = hosts::stored(&self.lab)?;
            if now != stored {
                (stored, since) = (now, Instant::now());
            }
        }
        Ok(())
    }
}

/// The item that delivers the body in a way of its own: `courier.push`, `seed` or `library`.
pub(crate) fn item(way: &str) -> String {
    match way {
        "courier.push" => format!("{way}[{SOURCE},,{TRAPPED_HOST}]"),
        _ => format!("{way}[{},{TRAPPED_HOST}]", url("metrics")),
    }
}

/// Where the body is.
pub(crate) fn url(path: impl Display) -> String {
    format!("http://127.0.0.1:{APPLICATION}/{path}")
}

fn bench_image() -> image::Recipe {
    image::Recipe {
        name: "bench",
        tag: "bookworm".into(),
        suite: "bookworm",
        folder: "images/bench",
        copies: &["images/run", "images/zabbix/agent"],
        arguments: Vec::new(),
    }
}
