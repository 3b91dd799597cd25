use std::{
    collections::BTreeMap,
    fmt, fs,
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::stand;
use crate::{App, Error, Lab, Version, bench::resident, passive, progress::Step};

/// The agent's processes that serve items, and the clients that ask them.
const LISTENERS: usize = 4;
/// The agent's Timeout.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How many calls go before the first look at memory and open files.
const WARM: u64 = 10_000;
/// What a process may have grown by since, in KiB.
const GROWTH: u64 = 1024;
/// A machine that has more to do can be too slow for a good call; of so many calls there may be one.
const LATE: &str = "late";
const LATE_SHARE: u64 = 100;
/// The values of the body that the server takes.
const VALUES: usize = 20;

/// What many calls of all kinds did to an agent.
pub struct Soak {
    calls: BTreeMap<&'static str, u64>,
    took: Duration,
    processes: Vec<Process>,
}

/// One of the agent's processes: after the first calls, and at its worst since.
struct Process {
    pid: u32,
    before: Look,
    after: Look,
}

#[derive(Clone, Copy)]
struct Look {
    /// Resident memory in KiB.
    resident: u64,
    /// Open files.
    files: usize,
}

/// An item's key, and whether an answer is the right one.
struct Call {
    kind: &'static str,
    key: String,
    right: fn(&Answer) -> bool,
}

/// An item's value, or why it is not supported.
type Answer = Result<String, String>;

/// Asks an agent for items that go well, fail, time out and are refused, `calls` times, and looks whether it is
/// what it was.
///
/// # Errors
/// The lab's own; [`Error::Unproven`] for a wrong answer, another process, more memory or more open files.
pub fn soak(version: Version, calls: u64) -> Result<Soak, Error> {
    let lab = Lab::builder()
        .zabbix(version)
        .agent_config(&format!(
            "StartAgents={LISTENERS}\nTimeout={}",
            TIMEOUT.as_secs()
        ))
        .courier_toml("allow = ['http://127.0.0.1:*/', 'file:///srv/']\n")
        .start()?;
    stand::host(&lab, VALUES)?;
    let mix = mix(&lab)?;
    // Before that there are no statistics to ask for.
    lab.agent().get("courier.push[/srv/app.json]")?;
    let pids = lab.agent().pids()?;
    let step = Step::begin(format!("{calls} calls to an agent of Zabbix {version}"));
    let started = Instant::now();
    let warm = WARM.min(calls / 2);
    let mut counts = BTreeMap::new();
    run(&lab, &mix, 0..warm, &mut counts)?;
    let before = look(&pids)?;
    let mut worst = before.clone();
    let part = ((calls - warm) / 20).max(1);
    let mut done = warm;
    while done < calls {
        let next = (done + part).min(calls);
        run(&lab, &mix, done..next, &mut counts)?;
        done = next;
        for (worst, now) in worst.iter_mut().zip(look_after(&before, &pids)?) {
            worst.resident = worst.resident.max(now.resident);
            worst.files = worst.files.max(now.files);
        }
        step.now(&format!("{done}"));
    }
    let took = started.elapsed();
    step.done();
    if lab.agent().pids()? != pids {
        return Err(Error::Unproven(format!(
            "the agent's processes were {pids:?} and are {:?}",
            lab.agent().pids()?
        )));
    }
    let late = counts.get(LATE).copied().unwrap_or_default();
    if late > calls / LATE_SHARE {
        return Err(Error::Unproven(format!(
            "{late} of {calls} calls that should have gone well were late"
        )));
    }
    let processes = pids.iter().zip(before.iter().zip(&worst));
    let soak = Soak {
        calls: counts,
        took,
        processes: processes
            .map(|(pid, (before, after))| Process {
                pid: *pid,
                before: *before,
                after: *after,
            })
            .collect(),
    };
    let grew = |one: &&Process| {
        one.after.resident > one.before.resident + GROWTH || one.after.files > one.before.files
    };
    match soak.processes.iter().find(grew) {
        Some(_) => Err(Error::Unproven(format!("a process grew:\n{soak}"))),
        None => Ok(soak),
    }
}

/// A hundred calls in the order they are asked; one in a thousand is a slow one besides.
fn mix(lab: &Lab) -> Result<Vec<Call>, Error> {
    let app = lab.start_app(App::Dropwizard)?;
    let url = app.url();
    // It lives as long as the lab, which ends with this process.
    std::mem::forget(app);
    let pod = lab.pod();
    let broken = stand::serve(
        pod,
        0,
        stand::http("500 Internal Server Error", String::new()),
    )?;
    let garbage = stand::serve(pod, 0, stand::http("200 OK", "{\"timers\":{\"a\":".into()))?;
    let agent = lab.agent();
    agent.exec(&["mkdir", "-p", "/srv"])?;
    agent.write_file("/srv/app.json", stand::body(VALUES, 7).as_bytes())?;
    let number: fn(&Answer) -> bool = |answer| elapsed(answer).is_some_and(|ms| ms >= 1.0);
    let zero: fn(&Answer) -> bool = |answer| elapsed(answer) == Some(0.0);
    let kinds = [
        (
            35,
            "taken",
            "courier.push[/srv/app.json]".to_owned(),
            number,
        ),
        (
            10,
            "refused",
            "courier.push[/srv/app.json,,nobody]".to_owned(),
            number,
        ),
        (
            5,
            "half refused",
            "courier.push[/srv/app.json,,,,,other.]".to_owned(),
            number,
        ),
        (5, "over HTTP", format!("courier.push[{url}]"), number),
        (
            10,
            "discovered",
            format!("courier.discover[{url}]"),
            |answer| answer.as_ref().is_ok_and(|rows| rows.starts_with("[{")),
        ),
        (
            10,
            "stats",
            "courier.stats[/srv/app.json,values]".to_owned(),
            |answer| *answer == Ok(VALUES.to_string()),
        ),
        (5, "version", "courier.version".to_owned(), Result::is_ok),
        (
            5,
            "misused",
            "courier.push[http://10.0.0.1/]".to_owned(),
            Result::is_err,
        ),
        (
            5,
            "misused",
            "courier.discover[/srv/app.json,,(]".to_owned(),
            Result::is_err,
        ),
        (
            4,
            "failed",
            "courier.push[http://127.0.0.1:7/]".to_owned(),
            zero,
        ),
        (
            3,
            "failed",
            format!("courier.push[http://127.0.0.1:{broken}/]"),
            zero,
        ),
        (
            3,
            "failed",
            format!("courier.push[http://127.0.0.1:{garbage}/]"),
            zero,
        ),
    ];
    let mut mix = Vec::new();
    for (share, kind, key, right) in kinds {
        mix.extend((0..share).map(|_| Call {
            kind,
            key: key.clone(),
            right,
        }));
    }
    let silent = stand::serve(pod, 0, stand::silent)?;
    mix.push(Call {
        kind: "slow",
        key: format!("courier.push[http://127.0.0.1:{silent}/]"),
        right: |answer| elapsed(answer) == Some(-1.0),
    });
    Ok(mix)
}

/// Makes the calls of these numbers, from as many clients as the agent has listeners.
fn run(
    lab: &Lab,
    mix: &[Call],
    numbers: std::ops::Range<u64>,
    counts: &mut BTreeMap<&'static str, u64>,
) -> Result<(), Error> {
    let next = AtomicU64::new(numbers.start);
    let client = || -> Result<BTreeMap<&'static str, u64>, Error> {
        lab.pod().enter()?;
        let mut counts = BTreeMap::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return Ok(counts);
            }
            let call = pick(mix, number);
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 10050))
                .map_err(Error::io("connecting to the agent"))?;
            let answer = passive::ask(stream, lab.version(), &call.key, TIMEOUT)
                .map_err(|error| error.to_string());
            let right = (call.right)(&answer);
            if !right && !is_late(&answer) {
                // The others need not go on.
                next.store(numbers.end, Ordering::Relaxed);
                return Err(Error::Unproven(format!(
                    "call {number}, {}, answered {answer:?}",
                    call.key
                )));
            }
            *counts
                .entry(if right { call.kind } else { LATE })
                .or_default() += 1;
        }
    };
    let results: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..LISTENERS).map(|_| scope.spawn(client)).collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    for result in results {
        for (kind, count) in result? {
            *counts.entry(kind).or_default() += count;
        }
    }
    Ok(())
}

/// The value of a push.
fn elapsed(answer: &Answer) -> Option<f64> {
    answer.as_ref().ok()?.parse().ok()
}

/// Whether the agent gave up in time what would have gone well, or was held up together with who asked.
fn is_late(answer: &Answer) -> bool {
    let reason = answer.as_ref().err();
    let is_of_time = |reason: &String| {
        ["in time", "did not happen within", "fill whole buffer"]
            .iter()
            .any(|words| reason.contains(words))
    };
    elapsed(answer) == Some(-1.0) || reason.is_some_and(is_of_time)
}

/// The last of the mix is the slow one, of which one in a thousand is enough; 37 and 100 have no common divisor, so that
/// kinds follow each other closely.
fn pick(mix: &[Call], number: u64) -> &Call {
    let quick = mix.len() as u64 - 1;
    if number % 1000 == 999 {
        return &mix[quick as usize];
    }
    &mix[(number * 37 % quick) as usize]
}

/// A look, repeated for some seconds while there are more open files than before.
fn look_after(before: &[Look], pids: &[u32]) -> Result<Vec<Look>, Error> {
    let mut looks = look(pids)?;
    for _ in 0..20 {
        if looks
            .iter()
            .zip(before)
            .all(|(now, before)| now.files <= before.files)
        {
            break;
        }
        looks = look(pids)?;
    }
    Ok(looks)
}

fn look(pids: &[u32]) -> Result<Vec<Look>, Error> {
    // A client has its answer some time before the agent has closed the connection.
    thread::sleep(Duration::from_millis(500));
    let one = |pid: &u32| {
        let path = format!("/proc/{pid}/fd");
        Ok(Look {
            resident: resident(*pid)?.0,
            files: fs::read_dir(&path).map_err(Error::io(path))?.count(),
        })
    };
    pids.iter().map(one).collect()
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: u64 = self.calls.values().sum();
        let seconds = self.took.as_secs_f64();
        write!(f, "{calls} calls in {seconds:.0} s:")?;
        for (kind, count) in &self.calls {
            write!(f, " {count} {kind},")?;
        }
        write!(f, " each answered in time")?;
        for Process { pid, before, after } in &self.processes {
            write!(
                f,
                "\nprocess {pid}: {} KiB resident and {} open files at first, {} KiB and {} at the most since",
                before.resident, before.files, after.resident, after.files
            )?;
        }
        Ok(())
    }
}
