use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crate::{Error, docker};

/// How long processes must rest before they count as done.
const REST: Duration = Duration::from_millis(300);
/// Less than this between two looks is a timer that ticks, not work.
const TICK: Duration = Duration::from_micros(300);
/// When processes that never rest are given up on.
const PATIENCE: Duration = Duration::from_secs(120);

/// CPU time of a container, of its processes that have ended too, from the kernel's control group.
pub(crate) struct Group {
    usage: PathBuf,
    nanoseconds: u64,
    peak: PathBuf,
}

impl Group {
    /// The group that process `pid` is in.
    pub fn of(pid: u32) -> Result<Self, Error> {
        let path = format!("/proc/{pid}/cgroup");
        let groups = read(&path)?;
        // A line is `number:controllers:path`; version 2 of control groups has one without controllers.
        let of = |controller: &str| {
            groups.lines().find_map(|line| {
                let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
                let found = controllers.split(',').any(|one| one == controller);
                found.then(|| group.to_owned())
            })
        };
        match (of("cpuacct"), of("memory"), of("")) {
            (Some(cpu), Some(memory), _) => Ok(Self {
                usage: format!("/sys/fs/cgroup/cpuacct{cpu}/cpuacct.usage").into(),
                nanoseconds: 1,
                peak: format!("/sys/fs/cgroup/memory{memory}/memory.max_usage_in_bytes").into(),
            }),
            (_, _, Some(group)) => Ok(Self {
                usage: format!("/sys/fs/cgroup{group}/cpu.stat").into(),
                nanoseconds: 1000,
                peak: format!("/sys/fs/cgroup{group}/memory.peak").into(),
            }),
            _ => Err(unreadable(&path, &groups)),
        }
    }

    /// The most memory that it had at once, in KiB: of all processes, and of the files that they read.
    pub fn peak(&self) -> Result<u64, Error> {
        let path = self.peak.display().to_string();
        let text = read(&path)?;
        let bytes: u64 = text.trim().parse().map_err(|_| unreadable(&path, &text))?;
        Ok(bytes / 1024)
    }

    /// What it has used.
    pub fn cpu(&self) -> Result<Duration, Error> {
        let path = self.usage.display().to_string();
        let text = read(&path)?;
        // Version 2's first line is `usage_usec 123`.
        let first = text.lines().next().unwrap_or_default();
        let count: u64 = first
            .trim_start_matches("usage_usec ")
            .parse()
            .map_err(|_| unreadable(&path, first))?;
        Ok(Duration::from_nanos(count * self.nanoseconds))
    }
}

/// CPU time of some processes, from the kernel's scheduler.
pub(crate) fn cpu(pids: &[u32]) -> Result<Duration, Error> {
    pids.iter()
        .map(|pid| {
            let path = format!("/proc/{pid}/schedstat");
            let text = read(&path)?;
            let on_cpu = text.split(' ').next().and_then(|count| count.parse().ok());
            on_cpu
                .map(Duration::from_nanos)
                .ok_or_else(|| unreadable(&path, &text))
        })
        .sum()
}

/// Waits until the processes rest, and answers when they last worked.
pub(crate) fn rest(pids: &[u32]) -> Result<Instant, Error> {
    let began = Instant::now();
    let (mut worked, mut before) = (began, cpu(pids)?);
    while worked.elapsed() < REST {
        thread::sleep(Duration::from_millis(5));
        let now = cpu(pids)?;
        if now - before > TICK {
            worked = Instant::now();
        }
        before = now;
        if began.elapsed() > PATIENCE {
            return Err(Error::TooLate {
                what: "the end of the server's work".into(),
                seconds: PATIENCE.as_secs(),
            });
        }
    }
    Ok(worked)
}

/// The server's processes of which the titles begin with one of `kinds`, as the host counts.
pub(crate) fn server_processes(container: &str, kinds: &[&str]) -> Result<Vec<u32>, Error> {
    let table = docker::run(&["top", container, "-eo", "pid,args"])?;
    let of_kind = |title: &str| kinds.iter().any(|kind| title.starts_with(kind));
    Ok(table
        .lines()
        .filter_map(|line| line.split_once("zabbix_server: "))
        .filter(|(_, title)| of_kind(title))
        .filter_map(|(pid, _)| pid.trim().parse().ok())
        .collect())
}

/// A process's resident memory in KiB: now, and at its highest.
pub(crate) fn resident(pid: u32) -> Result<(u64, u64), Error> {
    let path = format!("/proc/{pid}/status");
    let text = read(&path)?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
            .ok_or_else(|| unreadable(&path, name))
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

fn read(path: &str) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::io(path))
}

fn unreadable(path: &str, text: &str) -> Error {
    Error::Answer {
        from: path.into(),
        answer: text.chars().take(200).collect(),
    }
}
