use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::stand;
use crate::{Agent, Error, Item, Lab, Pod, Version, progress::Step};

/// How long a push waits for its answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long the server may take to write what it took to its database.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most pushes that an outage lasts.
const LONGEST: u64 = 12;

/// What is done to the agent and its server.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Where chance begins: the same number makes the same plan.
    pub seed: u64,
    /// Snapshots that are pushed.
    pub snapshots: u64,
    /// Times that the server is cut off, in the midst of whatever is said.
    pub outages: u64,
    /// Times that all of the agent's processes are killed while it pushes.
    pub kills: u64,
}

/// What became of the snapshots.
pub struct Outages {
    plan: Plan,
    took: Duration,
    /// Answered with the errand's time.
    acknowledged: BTreeSet<u64>,
    /// Answered 0 or -1.
    failed: BTreeSet<u64>,
    /// Never answered: the agent was killed.
    cut: BTreeSet<u64>,
    /// How often each number is in the server's history.
    history: BTreeMap<u64, u64>,
    /// Snapshots that the agent's log names as lost.
    lost: usize,
}

/// Pushes numbered snapshots through outages of the server and deaths of the agent, and compares the server's history.
///
/// # Errors
/// The lab's own; [`Error::Unproven`] where a snapshot is twice in the history, or missing without account.
pub fn outages(version: Version, plan: Plan) -> Result<Outages, Error> {
    let lab = Lab::builder()
        .zabbix(version)
        .agent_config(&format!("Timeout={}", TIMEOUT.as_secs()))
        .start()?;
    let host = stand::host(&lab, 1)?;
    // What the first pushes try out is none of the snapshots.
    let number = Arc::new(AtomicU64::new(1 << 40));
    let up = Arc::new(AtomicBool::new(true));
    let relay = relay(&lab, &up)?;
    let port = serve(&lab, &number)?;
    let settings = format!(
        "allow = ['http://127.0.0.1:{port}/']\n[deliver]\nto = ['127.0.0.1:{relay}']\n\
         spool = '/var/lib/zabbix/courier'\n"
    );
    let agent = lab.agent();
    agent.write_file("/etc/zabbix/courier.toml", settings.as_bytes())?;
    agent.exec(&["install", "-d", "-o", "zabbix", "/var/lib/zabbix"])?;
    let key = format!("courier.push[http://127.0.0.1:{port}/]");
    // The server learns of a new item some time after it is made.
    let known = Instant::now();
    while push(agent, &key)? < 1.0 || refused(agent, port)? {
        if known.elapsed() > PATIENCE {
            return Err(Error::Unproven(
                "the server does not take the item's values".into(),
            ));
        }
        thread::sleep(Duration::from_millis(500));
    }
    number.store(1, Ordering::SeqCst);

    let mut result = Outages {
        plan,
        took: Duration::ZERO,
        acknowledged: BTreeSet::new(),
        failed: BTreeSet::new(),
        cut: BTreeSet::new(),
        history: BTreeMap::new(),
        lost: 0,
    };
    let step = Step::begin(format!(
        "{} snapshots, {} outages, {} kills, seed {}",
        plan.snapshots, plan.outages, plan.kills, plan.seed
    ));
    let started = Instant::now();
    run(&lab, &key, &number, &up, &mut result)?;
    // What waits goes out with the next pushes.
    let mut rest = 0;
    while push(agent, &key)? < 1.0 {
        rest += 1;
        if rest > 100 {
            return Err(Error::Unproven(format!(
                "what waits does not go out:\n{}",
                agent.log()?
            )));
        }
        thread::sleep(Duration::from_millis(200));
    }
    result.took = started.elapsed();
    step.done();
    let items = lab.api().items(&host)?;
    result.read_history(&lab, &items)?;
    let log = agent.log()?;
    result.lost = log
        .lines()
        .filter(|line| line.contains(" is lost: "))
        .count();
    result.judged()
}

/// Serves a number that no two requests get.
fn serve(lab: &Lab, number: &Arc<AtomicU64>) -> Result<u16, Error> {
    let number = Arc::clone(number);
    stand::serve(lab.pod(), 0, move |mut stream| {
        let _ = stream.read(&mut [0; 4096])?;
        let body = stand::body(1, number.fetch_add(1, Ordering::SeqCst));
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
    })
}

/// A push's value.
fn push(agent: &Agent, key: &str) -> Result<f64, Error> {
    let answer = agent.get(key)?;
    answer.parse().map_err(|_| Error::Unproven(answer))
}

/// Whether the server refused the last push's value.
fn refused(agent: &Agent, port: u16) -> Result<bool, Error> {
    let key = format!("courier.stats[http://127.0.0.1:{port}/,failed]");
    Ok(agent.get(&key)? != "0")
}

/// Passes requests on to the server while `up`; while it is not, connections are refused, and those that are open are
/// dropped where they are. The server itself goes on: one that stops loses values that it has acknowledged and not yet
/// written.
fn relay(lab: &Lab, up: &Arc<AtomicBool>) -> Result<u16, Error> {
    let (up, pod) = (Arc::clone(up), lab.pod().clone());
    let mut listener = Some(pod.listen(0)?);
    let address = listener.as_ref().map(TcpListener::local_addr);
    let port = address
        .transpose()
        .map_err(Error::io("the relay's address"))?
        .map_or(0, |address| address.port());
    thread::spawn(move || {
        loop {
            let is_up = up.load(Ordering::SeqCst);
            listener = match listener.take() {
                Some(listener) if is_up => Some(listener),
                None if is_up => pod.listen(port).ok(),
                _ => None,
            };
            let accepted = listener.as_ref().map(|listener| {
                listener.set_nonblocking(true)?;
                listener.accept()
            });
            match accepted {
                Some(Ok((near, _))) => {
                    let (up, pod) = (Arc::clone(&up), pod.clone());
                    // A connection that is cut off is what this is about.
                    thread::spawn(move || drop(pass_on(near, &pod, &up)));
                }
                _ => thread::sleep(Duration::from_millis(1)),
            }
        }
    });
    Ok(port)
}

fn pass_on(mut near: TcpStream, pod: &Pod, up: &AtomicBool) -> io::Result<()> {
    let goes_on = || match up.load(Ordering::SeqCst) {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    };
    near.set_nonblocking(false)?;
    let request = stand::request(&mut near)?;
    goes_on()?;
    let mut far = pod.connect(stand::TRAPPER).map_err(io::Error::other)?;
    far.write_all(&request)?;
    let mut answer = Vec::new();
    far.read_to_end(&mut answer)?;
    goes_on()?;
    near.write_all(&answer)
}

fn run(
    lab: &Lab,
    key: &str,
    number: &AtomicU64,
    up: &AtomicBool,
    result: &mut Outages,
) -> Result<(), Error> {
    let plan = result.plan;
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut chosen = |count| {
        let mut all = BTreeSet::new();
        while (all.len() as u64) < count {
            all.insert(random.u64(2..=plan.snapshots));
        }
        all
    };
    let (outages, deaths) = (chosen(plan.outages), chosen(plan.kills));
    let (mut pushes, mut until) = (0, 0);
    while number.load(Ordering::SeqCst) <= plan.snapshots {
        pushes += 1;
        if pushes >= until {
            up.store(true, Ordering::SeqCst);
        }
        // Some time after the push began.
        let mut moment =
            |chosen: bool| chosen.then(|| Duration::from_micros(random.u64(0..10_000)));
        let (outage, death) = (
            moment(outages.contains(&pushes)),
            moment(deaths.contains(&pushes)),
        );
        if outage.is_some() {
            until = pushes + random.u64(1..=LONGEST);
        }
        thread::scope(|scope| {
            if let Some(moment) = outage {
                scope.spawn(move || {
                    thread::sleep(moment);
                    up.store(false, Ordering::SeqCst);
                });
            }
            one(lab.agent(), key, number, death, result)
        })?;
    }
    up.store(true, Ordering::SeqCst);
    Ok(())
}

/// One push, and where chance will have it the agent's death some time after it began.
fn one(
    agent: &Agent,
    key: &str,
    number: &AtomicU64,
    death: Option<Duration>,
    result: &mut Outages,
) -> Result<(), Error> {
    let before = number.load(Ordering::SeqCst);
    let pids = match death {
        Some(_) => agent.pids()?,
        None => Vec::new(),
    };
    let answer = thread::scope(|scope| {
        if let Some(delay) = death {
            scope.spawn(move || {
                thread::sleep(delay);
                kill(&pids);
            });
        }
        push(agent, key)
    });
    let answer = match (death, answer) {
        (None, answer) => Some(answer?),
        (Some(_), answer) => {
            agent.restart()?;
            answer.ok()
        }
    };
    // A push that was cut off early has fetched nothing.
    for snapshot in before..number.load(Ordering::SeqCst) {
        match answer {
            Some(value) if value >= 1.0 => result.acknowledged.insert(snapshot),
            Some(_) => result.failed.insert(snapshot),
            None => result.cut.insert(snapshot),
        };
    }
    Ok(())
}

fn kill(pids: &[u32]) {
    // One that is gone already is what was wanted.
    let _ = Command::new("kill")
        .arg("-9")
        .args(pids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status();
    // Until it has let go of its sockets, a process that dies looks like one that serves.
    let holds = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        files.is_ok_and(|mut files| files.next().is_some())
    };
    while pids.iter().any(holds) {
        thread::sleep(Duration::from_millis(1));
    }
}

impl Outages {
    /// Reads until the history has all that was acknowledged, and then all there is.
    fn read_history(&mut self, lab: &Lab, items: &[Item]) -> Result<(), Error> {
        let begun = Instant::now();
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        loop {
            let params = json!({"history": 3, "itemids": ids, "output": ["value"]});
            let rows = lab.api().call("history.get", params)?;
            self.history.clear();
            for row in rows.as_array().into_iter().flatten() {
                let value = row["value"].as_str().and_then(|value| value.parse().ok());
                *self.history.entry(value.unwrap_or_default()).or_default() += 1;
            }
            let there = self
                .acknowledged
                .iter()
                .all(|one| self.history.contains_key(one));
            if there || begun.elapsed() > PATIENCE {
                return Ok(());
            }
            thread::sleep(Duration::from_secs(1));
        }
    }

    fn missing<'a>(&'a self, of: &'a BTreeSet<u64>) -> impl Iterator<Item = &'a u64> {
        of.iter().filter(|one| !self.history.contains_key(one))
    }

    fn judged(self) -> Result<Self, Error> {
        let numbers = 1..=self.plan.snapshots;
        let twice = numbers.filter(|one| self.history.get(one).is_some_and(|count| *count > 1));
        let twice: Vec<u64> = twice.collect();
        let missing: Vec<&u64> = self.missing(&self.acknowledged).collect();
        // A kill may take the one snapshot with it that its process had in hand; all others that are missing are named.
        let gone = self.missing(&self.failed).count() + self.missing(&self.cut).count();
        let unaccounted = gone > self.lost + self.plan.kills as usize;
        if twice.is_empty() && missing.is_empty() && !unaccounted {
            return Ok(self);
        }
        Err(Error::Unproven(format!(
            "twice in the history: {twice:?}; acknowledged and missing: {missing:?}\n{self}"
        )))
    }
}

impl fmt::Display for Outages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            seed,
            outages,
            kills,
            ..
        } = self.plan;
        writeln!(
            f,
            "the server cut off {outages} times and {kills} kills of the agent in {:.0} s (seed {seed}):",
            self.took.as_secs_f64()
        )?;
        for (what, of) in [
            ("acknowledged", &self.acknowledged),
            ("answered 0 or -1", &self.failed),
            ("cut off by a kill", &self.cut),
        ] {
            let missing = self.missing(of).count();
            let there = of.len() - missing;
            writeln!(
                f,
                "{:>5} snapshots {what}: {there} in the history, {missing} not",
                of.len()
            )?;
        }
        write!(f, "{:>5} named as lost in the agent's log", self.lost)
    }
}
