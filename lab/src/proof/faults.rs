use std::{
    fmt,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::stand;
use crate::{
    Agent, AgentSpec, Error, Lab, Pod, Version, image::Recipe, passive, progress::Step,
    zabbix_image,
};

/// The agent's Timeout, and that of whoever asks it.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The agent's processes that serve items.
const LISTENERS: usize = 8;
/// The values of a push.
const VALUES: usize = 50;
const SOURCE: &str = "/srv/app.json";

/// What became of the pushes under each fault.
pub struct Faults(Vec<Fault>);

/// A fault, and what became of the pushes under it.
struct Fault {
    name: &'static str,
    answers: Vec<Answer>,
}

/// A push's value, NaN where none came, and when it came.
struct Answer {
    value: f64,
    after: Duration,
}

/// Pushes `times` under each fault.
///
/// # Errors
/// The lab's own; [`Error::Unproven`] where a push gave no answer, a late one, or the wrong one,
/// and once more when repeated.
pub fn faults(version: Version, times: u64) -> Result<Faults, Error> {
    let lab = Lab::builder()
        .zabbix(version)
        .server_config("HistoryCacheSize=128K\nHistoryIndexCacheSize=128K\nStartTrappers=8\nStartDBSyncers=1\n")
        .without_agent()
        .start()?;
    stand::host(&lab, VALUES)?;
    let agent = agent(&lab, 10050, Vec::new())?;
    let pids = agent.pids()?;
    let mut faults = Faults(Vec::new());
    let mut run = |name, agent: &Agent, port, deliver: String, right: fn(f64) -> bool| {
        let step = Step::begin(name);
        configure(agent, &deliver)?;
        let log = |error| match agent.log() {
            Ok(log) => Error::Unproven(format!("{name}: {error}\n{log}")),
            Err(_) => error,
        };
        let is_wrong = |answer: &&Answer| answer.after >= TIMEOUT || !right(answer.value);
        let mut answers = push(&lab, port, times).map_err(log)?;
        // A busy machine may hold up any of them, but not the same again.
        let wrong = answers.iter().filter(is_wrong).count();
        let again = push(&lab, port, wrong as u64).map_err(log)?;
        step.done();
        if let Some(Answer { value, after }) = again.iter().find(is_wrong) {
            return Err(Error::Unproven(format!(
                "{name}: {wrong} answers were late or wrong, and one more: {value} after {after:?}"
            )));
        }
        answers.extend(again);
        faults.0.push(Fault { name, answers });
        Ok::<_, Error>(())
    };

    let to = |port| format!("to = ['127.0.0.1:{port}']");
    let failed: fn(f64) -> bool = |value| value == 0.0;
    let timed_out: fn(f64) -> bool = |value| value == -1.0;
    let went: fn(f64) -> bool = |value| value >= 1.0;
    let pod = lab.pod();
    run("the server is gone", &agent, 10050, to(7), failed)?;
    for (name, behaviour, right) in [
        (
            "the server dies while it is sent to",
            dies_early as Behaviour,
            failed,
        ),
        (
            "the server dies after it took the values",
            dies_late,
            failed,
        ),
        ("the connection is reset at once", |_, _| Ok(()), failed),
        (
            "the trapper is silent",
            |stream, _| stand::silent(stream),
            timed_out,
        ),
        ("half a frame comes back", half_a_frame, failed),
        (
            "half a frame comes back, and silence",
            half_and_silence,
            timed_out,
        ),
        (
            "another protocol answers",
            |stream, _| answer(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            failed,
        ),
        (
            "the answer claims 4 GiB",
            |stream, _| answer(stream, b"ZBXD\x01\xff\xff\xff\xff\0\0\0\0{\"response\""),
            failed,
        ),
        (
            "the answer is no trapper's",
            |stream, _| answer(stream, b"ZBXD\x01\x0d\0\0\0\0\0\0\0{\"failed\":1}\n"),
            failed,
        ),
    ] {
        let behind = pod.clone();
        let port = stand::serve(pod, 0, move |stream| behaviour(stream, &behind))?;
        run(name, &agent, 10050, to(port), right)?;
    }

    let small = self::agent(
        &lab,
        10060,
        vec!["--tmpfs=/spool:size=64k,mode=700,uid=100".into()],
    )?;
    let full = format!("{}\nspool = '/spool'", to(7));
    run("the spool's disk is full", &small, 10060, full, failed)?;
    if times > 20 {
        says(&small, "No space left")?;
    }
    run(
        "the disk is full, and the server is there",
        &small,
        10060,
        format!("{}\nspool = '/spool'", to(stand::TRAPPER)),
        went,
    )?;
    let locked = self::agent(
        &lab,
        10070,
        vec!["--tmpfs=/spool:ro,mode=700,uid=100".into()],
    )?;
    let read_only = |port| format!("{}\nspool = '/spool'", to(port));
    run(
        "the spool is read-only",
        &locked,
        10070,
        read_only(7),
        failed,
    )?;
    says(&locked, "Read-only file system")?;
    run(
        "the spool is read-only, and the server is there",
        &locked,
        10070,
        read_only(stand::TRAPPER),
        went,
    )?;

    let jumping = self::agent_from(
        &lab,
        &stand::debug_image(),
        10090,
        faked_clock(),
        Vec::new(),
    )?;
    // A day ahead, two days back, and a moment back.
    for (name, offset) in [
        ("the clock jumps a day ahead", "+1d"),
        ("the clock jumps two days back", "-1d"),
        ("the clock jumps ahead again", "+0"),
        ("the clock jumps two seconds back", "-2"),
    ] {
        set_clock(&jumping, offset)?;
        run(name, &jumping, 10090, to(stand::TRAPPER), went)?;
    }

    // It says that the cache is full at this level alone.
    lab.server_order("log_level_increase=preprocessing manager")?;
    database(&lab, "STOP")?;
    let full = fill_history_cache(&lab, &agent).and_then(|()| {
        let name = "the server's history cache is full";
        run(name, &agent, 10050, to(stand::TRAPPER), timed_out)
    });
    database(&lab, "CONT")?;
    full?;
    if agent.pids()? != pids {
        return Err(Error::Unproven(
            "the agent has other processes than before".into(),
        ));
    }
    Ok(faults)
}

/// What the agent's clock is ahead of the machine's.
const CLOCK: &str = "/srv/clock";

/// In one step: libfaketime ends a process that reads half a file.
fn set_clock(agent: &Agent, offset: &str) -> Result<(), Error> {
    let set = "echo \"$0\" >$1.new && mv $1.new $1";
    let output = agent.exec(&["sh", "-c", set, offset, CLOCK])?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::Unproven(format!(
            "the clock cannot be set: {output:?}"
        ))),
    }
}

fn faked_clock() -> Vec<(String, String)> {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", CLOCK),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

type Behaviour = fn(TcpStream, &Pod) -> io::Result<()>;

/// Some of the request is read; what is not makes the kernel reset the connection, as it does when a process dies.
fn dies_early(mut stream: TcpStream, _: &Pod) -> io::Result<()> {
    stream.read_exact(&mut [0; 100])
}

/// The real server gets the request, and its answer is withheld.
fn dies_late(mut stream: TcpStream, pod: &Pod) -> io::Result<()> {
    let frame = stand::request(&mut stream)?;
    let mut server = pod.connect(stand::TRAPPER).map_err(io::Error::other)?;
    server.write_all(&frame)?;
    server.read_exact(&mut [0; 13])
}

fn half_a_frame(stream: TcpStream, _: &Pod) -> io::Result<()> {
    answer(stream, b"ZBXD\x01\x5a\0\0\0\0\0\0\0{\"response\":\"succ")
}

fn half_and_silence(mut stream: TcpStream, _: &Pod) -> io::Result<()> {
    stand::request(&mut stream)?;
    stream.write_all(b"ZBXD\x01\x5a\0")?;
    stand::silent(stream)
}

fn answer(mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    stand::request(&mut stream)?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Both)
}

fn agent(lab: &Lab, port: u16, options: Vec<String>) -> Result<Agent, Error> {
    agent_from(lab, &zabbix_image(lab.version()), port, Vec::new(), options)
}

fn agent_from(
    lab: &Lab,
    image: &Recipe,
    port: u16,
    env: Vec<(String, String)>,
    options: Vec<String>,
) -> Result<Agent, Error> {
    let spec = AgentSpec {
        port,
        env,
        config: format!("StartAgents={LISTENERS}\nTimeout={}", TIMEOUT.as_secs()),
        ..AgentSpec::default()
    };
    let agent = Agent::start_from(&image.ensure()?, lab.pod(), lab.version(), &spec, options)?;
    agent.exec(&["mkdir", "-p", "/srv"])?;
    agent.write_file(SOURCE, stand::body(VALUES, 7).as_bytes())?;
    Ok(agent)
}

/// Writes the agent's courier.toml with these lines of `[deliver]`.
fn configure(agent: &Agent, deliver: &str) -> Result<(), Error> {
    let settings = format!("allow = ['file:///srv/']\n[deliver]\n{deliver}\n");
    agent.write_file("/etc/zabbix/courier.toml", settings.as_bytes())
}

/// Pushes from as many clients as the agent has listeners.
fn push(lab: &Lab, port: u16, times: u64) -> Result<Vec<Answer>, Error> {
    let next = AtomicU64::new(0);
    let answers = Mutex::new(Vec::new());
    let key = format!("courier.push[{SOURCE}]");
    let client = || -> Result<(), Error> {
        lab.pod().enter()?;
        while next.fetch_add(1, Ordering::Relaxed) < times {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .map_err(Error::io("connecting to the agent"))?;
            let started = Instant::now();
            let answer = passive::ask(stream, lab.version(), &key, TIMEOUT);
            let after = started.elapsed();
            let value = match answer {
                Ok(text) => text.parse().map_err(|_| Error::Unproven(text))?,
                Err(Error::TooLate { .. }) => f64::NAN,
                Err(error) => return Err(error),
            };
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.push(Answer { value, after });
        }
        Ok(())
    };
    let results: Vec<Result<(), Error>> = thread::scope(|scope| {
        let running: Vec<_> = (0..LISTENERS).map(|_| scope.spawn(client)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(join).collect()
    });
    results.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(answers.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Pushes until nothing is taken any more: the history cache, as small as it can be, has no room for what the database
/// does not take, the preprocessing manager waits for room, and each trapper for the manager.
fn fill_history_cache(lab: &Lab, agent: &Agent) -> Result<(), Error> {
    configure(agent, &format!("to = ['127.0.0.1:{}']", stand::TRAPPER))?;
    let step = Step::begin("filling the server's history cache");
    for _ in 0..100 {
        let answers = push(lab, 10050, 2 * LISTENERS as u64)?;
        if answers.iter().all(|answer| answer.value == -1.0)
            && lab.server_log()?.contains("History cache is full")
        {
            step.done();
            return Ok(());
        }
    }
    Err(Error::Unproven(
        "1,600 pushes while the database stood still did not fill the server's history cache"
            .into(),
    ))
}

/// Whether the agent's log has these words.
fn says(agent: &Agent, words: &str) -> Result<(), Error> {
    match agent.log()? {
        log if log.contains(words) => Ok(()),
        log => Err(Error::Unproven(format!(
            "the log does not say {words:?}:\n{log}"
        ))),
    }
}

/// Sends a signal to all of PostgreSQL.
fn database(lab: &Lab, signal: &str) -> Result<(), Error> {
    let all = "for comm in /proc/[0-9]*/comm; do \
               [ \"$(cat $comm)\" = postgres ] && kill -$0 $(basename $(dirname $comm)); done; true";
    lab.pod().exec(&["bash", "-c", all, signal]).map(drop)
}

impl Fault {
    fn late(&self) -> usize {
        let late = |answer: &&Answer| answer.after >= TIMEOUT;
        self.answers.iter().filter(late).count()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<50} {:>6} {:>8} {:>5} {:>5} {:>5} {:>12}",
            "fault", "pushes", "in time", "ms", "0", "-1", "slowest (ms)"
        )?;
        for fault in &self.0 {
            let count = |right: fn(f64) -> bool| {
                let right = |answer: &&Answer| right(answer.value);
                fault.answers.iter().filter(right).count()
            };
            let slowest = fault.answers.iter().map(|answer| answer.after).max();
            write!(
                f,
                "\n{:<50} {:>6} {:>8} {:>5} {:>5} {:>5} {:>12}",
                fault.name,
                fault.answers.len(),
                fault.answers.len() - fault.late(),
                count(|value| value > 0.0),
                count(|value| value == 0.0),
                count(|value| value < 0.0),
                slowest.unwrap_or_default().as_millis()
            )?;
        }
        Ok(())
    }
}
