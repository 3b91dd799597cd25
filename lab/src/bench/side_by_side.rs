use super::{
    body::Body,
    meter,
    report::{Report, Size},
    serve::serve,
    stand::{AGENT, Stand},
    ways::{Cycle, Way, Ways},
};
use crate::{Agent, Error, progress::Step};

/// The body that the agent's memory is measured with.
const MEGABYTE: usize = 1_000_000;

/// Runs every way against a real server, the ways taking turns, and adds what they took to the report.
///
/// Bodies of more than 2,000 timers get half the rounds.
pub fn side_by_side(timers: usize, rounds: usize, report: &mut Report) -> Result<(), Error> {
    let stand = Stand::start(timers)?;
    let agent = stand.agent(AGENT, Vec::new())?;
    let rounds = if timers > 2000 {
        rounds.div_ceil(2)
    } else {
        rounds
    };
    let size = measure(&stand, &agent, rounds)?;
    report.sizes.insert(timers, size);
    if timers == 2000 {
        report.growth = Some(growth(&stand, &agent)?);
    }
    Ok(())
}

fn measure(stand: &Stand, agent: &Agent, rounds: usize) -> Result<Size, Error> {
    let ways = Ways::prepare(stand, agent)?;
    stand.load(agent)?;
    let mut cycles: Vec<(Way, Vec<Cycle>)> = Way::ALL.map(|way| (way, Vec::new())).into();
    let step = Step::begin(format!("{rounds} rounds at {} timers", stand.timers));
    // The first round fills caches and connections, and is not counted.
    for round in 0..=rounds {
        for (way, cycles) in &mut cycles {
            step.now(&format!("round {round}: {}", way.name()));
            match ways.run(*way) {
                Ok(cycle) if round > 0 => cycles.push(cycle),
                Ok(_) => {}
                // A way that takes longer than the 30 s that an agent gives at the most has no figures.
                Err(Error::NotSupported { reason, .. }) if reason.starts_with("Timeout") => {
                    eprintln!("{} at {} timers: {reason}", way.name(), stand.timers);
                }
                Err(error) => return Err(error),
            }
        }
    }
    step.done();
    let peaks = vec![
        (Way::Courier, highest(agent)?),
        (Way::Seed, ways.peak("seed")?),
        (Way::Library, ways.peak("library")?),
    ];
    Ok(Size {
        bytes: Body::of(stand.timers).dropwizard.len(),
        cycles,
        peaks,
    })
}

/// The highest resident memory among the agent's processes, in KiB.
fn highest(agent: &Agent) -> Result<u64, Error> {
    let mut highest = 0;
    for pid in agent.pids()? {
        highest = highest.max(meter::resident(pid)?.1);
    }
    Ok(highest)
}

/// By how much a fresh agent grows, at its highest, through pushes of a body of 1 MB; in KiB.
fn growth(stand: &Stand, agent: &Agent) -> Result<u64, Error> {
    let port = 8082;
    let timers = MEGABYTE * 1000 / Body::of(1000).dropwizard.len();
    let _served = serve(stand.lab.pod().listen(port)?, &Body::of(timers));
    agent.restart()?;
    agent.get("agent.ping")?;
    let before: Vec<(u32, u64)> = agent
        .pids()?
        .into_iter()
        .map(|pid| Ok((pid, meter::resident(pid)?.0)))
        .collect::<Result<_, Error>>()?;
    for _ in 0..5 {
        agent.get(&format!("courier.push[http://127.0.0.1:{port}/metrics]"))?;
    }
    let mut growth = 0;
    for (pid, before) in before {
        growth = growth.max(meter::resident(pid)?.1.saturating_sub(before));
    }
    Ok(growth)
}
