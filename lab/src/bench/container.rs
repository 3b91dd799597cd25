use std::{
    fmt, fs, thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    meter::{self, Group},
    report::Spread,
    results_folder,
    stand::{AGENT, Stand, item},
};
use crate::{Agent, Error, progress::Step};

/// The body of the seeds' load test.
const TIMERS: usize = 2000;
/// How often it was delivered.
const INTERVAL: Duration = Duration::from_secs(30);
/// The container of the seeds' load test: 128 MB and a fifth of a core.
const LIMITS: [&str; 2] = ["--memory=128m", "--cpus=0.2"];

/// What a way took in the small container.
pub struct Contained {
    way: &'static str,
    pushes: usize,
    failures: Vec<String>,
    wall: Spread,
    /// CPU time for each push, in milliseconds, of everything in the container.
    cpu: Spread,
    /// The highest resident memory of any of the agent's processes, in KiB.
    agent_peak: u64,
    /// The most memory of the container at once, files that it read among it, in KiB.
    peak: u64,
}

impl fmt::Display for Contained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread {
            least,
            median,
            most,
        } = self.wall;
        write!(
            f,
            "{:<14}{:>3} pushes, {} failed; wall {median:.0} ms ({least:.0}-{most:.0}), CPU {:.1} ms ({:.1}-{:.1}), \
             agent's peak {:.1} MiB, the container's {:.1} MiB",
            self.way,
            self.pushes,
            self.failures.len(),
            self.cpu.median,
            self.cpu.least,
            self.cpu.most,
            self.agent_peak as f64 / 1024.0,
            self.peak as f64 / 1024.0
        )?;
        self.failures
            .iter()
            .try_for_each(|failure| write!(f, "\n    {failure}"))
    }
}

/// Runs the courier and the seeds' way side by side, each in a container of its own of 128 MB and a fifth of a core,
/// with a push every 30 s.
pub fn in_a_small_container(minutes: u64) -> Result<Vec<Contained>, Error> {
    let stand = Stand::start(TIMERS)?;
    let limits = || LIMITS.map(str::to_owned).to_vec();
    let agents = [
        ("courier.push", stand.agent(AGENT, limits())?),
        ("seed", stand.agent(AGENT + 2, limits())?),
    ];
    stand.load(&agents[0].1)?;
    let step = Step::begin(format!("A push every 30 s for {minutes} minutes"));
    let started = Instant::now();
    let rounds = minutes * 60 / INTERVAL.as_secs();
    let results = thread::scope(|scope| {
        let running: Vec<_> = agents
            .iter()
            .zip([Duration::ZERO, INTERVAL / 2])
            .map(|((way, agent), shift)| {
                scope.spawn(move || run(way, agent, started + shift, rounds))
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    step.done();
    write(&results)?;
    Ok(results)
}

/// Pushes once an interval from `start` on.
fn run(way: &'static str, agent: &Agent, start: Instant, rounds: u64) -> Result<Contained, Error> {
    let group = Group::of(agent.pids()?.first().copied().unwrap_or_default())?;
    let (mut walls, mut cpus, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let due = start + INTERVAL * round as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let (began, cpu) = (Instant::now(), group.cpu()?);
        match agent.get(&item(way)) {
            Ok(answer) if answer.parse().is_ok_and(|elapsed: f64| elapsed > 0.0) => {}
            Ok(answer) => failures.push(format!("push {round}: {answer}")),
            Err(error) => failures.push(format!("push {round}: {error}")),
        }
        walls.push(began.elapsed().as_secs_f64() * 1000.0);
        cpus.push((group.cpu()? - cpu).as_secs_f64() * 1000.0);
    }
    let mut agent_peak = 0;
    for pid in agent.pids()? {
        agent_peak = agent_peak.max(meter::resident(pid)?.1);
    }
    Ok(Contained {
        way,
        pushes: walls.len(),
        failures,
        wall: Spread::of(walls).unwrap_or_default(),
        cpu: Spread::of(cpus).unwrap_or_default(),
        agent_peak,
        peak: group.peak()?,
    })
}

fn write(results: &[Contained]) -> Result<(), Error> {
    let path = results_folder()?.join("container.json");
    let rows: Vec<_> = results
        .iter()
        .map(|one| {
            json!({
                "way": one.way, "pushes": one.pushes, "failures": one.failures, "wall_ms": one.wall.json(),
                "cpu_ms": one.cpu.json(), "agent_peak_KiB": one.agent_peak,
                "container_peak_KiB": one.peak,
            })
        })
        .collect();
    let text = serde_json::to_string_pretty(&rows).unwrap_or_default();
    fs::write(&path, text).map_err(Error::io(path.display().to_string()))
}
