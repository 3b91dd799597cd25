//! One running container, bound to this process: its PID 1 ends when our end of its standard input closes, whatever
//! closes it (a drop, a panic, `kill -9`), and the engine then removes it.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{Error, docker};

/// The label on every container of the lab; its value is the run it belongs to ([`run_id`]).
pub const LABEL: &str = "concierge.lab";

/// How long a container may take to get ready, and to go away.
const PATIENCE: Duration = Duration::from_secs(240);

/// Which run this process belongs to: `cargo lab test` gives one name to all its test processes.
pub fn run_id() -> String {
    std::env::var("CONCIERGE_LAB_RUN").unwrap_or_else(|_| format!("pid-{}", std::process::id()))
}

/// The containers of this run.
pub fn containers() -> Result<Vec<String>, Error> {
    let filter = format!("label={LABEL}={}", run_id());
    let list = docker::run(&["ps", "-a", "--format", "{{.Names}}", "--filter", &filter])?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// What a container is started from.
pub(crate) struct Spec<'a> {
    /// The image.
    pub image: &'a str,
    /// Which service the image runs; also a part of the container's name.
    pub role: &'a str,
    /// Environment; it goes through the client's own environment, never through its command line.
    pub env: Vec<(&'a str, String)>,
    /// Further options of `docker run`.
    pub options: Vec<String>,
}

/// A running container; dropping it stops and removes it.
pub(crate) struct Container {
    name: String,
    client: Child,
    orders: Mutex<Option<ChildStdin>>,
    states: Mutex<Receiver<bool>>,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Container {
    /// Starts a container and waits until its service is ready.
    pub fn start(spec: &Spec<'_>) -> Result<Self, Error> {
        let name = unused_name(spec.role);
        let mut command = docker::command();
        command.args(["run", "-i", "--rm", "--log-driver", "none", "--name", &name]);
        command.arg(format!("--label={LABEL}={}", run_id()));
        for (key, value) in &spec.env {
            command.args(["-e", key]).env(key, value);
        }
        command.args(&spec.options).args([spec.image, spec.role]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A Ctrl-C at the terminal is for us; the client learns of our end by its standard input.
        command.process_group(0);
        let mut client = docker::spawned(&mut command, Command::spawn)?;

        let (sender, states) = channel();
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(out) = client.stdout.take() {
            follow(out, Arc::clone(&lines), Some(sender));
        }
        if let Some(err) = client.stderr.take() {
            follow(err, Arc::clone(&lines), None);
        }
        let orders = Mutex::new(client.stdin.take());
        let container = Self {
            name,
            client,
            orders,
            states: Mutex::new(states),
            lines,
        };
        container.wait_ready()?;
        Ok(container)
    }

    /// The container's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives PID 1 an order (`restart`, `stop`, `start`) and waits until it is carried out.
    pub fn order(&self, order: &str) -> Result<(), Error> {
        if let Some(stdin) = lock(&self.orders).as_mut() {
            writeln!(stdin, "{order}").map_err(Error::io(format!("{}: {order}", self.name)))?;
        }
        self.wait_ready()
    }

    /// Runs a command in the container; its exit status is the caller's to judge.
    pub fn exec(&self, arguments: &[&str]) -> Result<Output, Error> {
        let mut command = docker::command();
        command
            .arg("exec")
            .arg(&self.name)
            .args(arguments)
            .stdin(Stdio::null());
        docker::spawned(&mut command, Command::output)
    }

    /// Writes a file in the container, readable by all.
    pub fn write_file(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        let what = || format!("writing {path} in {}", self.name);
        let mut command = docker::command();
        command.args(["exec", "-i", &self.name, "bash", "-c", "cat >\"$0\"", path]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = docker::spawned(&mut command, Command::spawn)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(content).map_err(Error::io(what()))?;
        }
        let output = child.wait_with_output().map_err(Error::io(what()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Command {
            command: what(),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The process id of PID 1 as the host counts.
    pub fn host_pid(&self) -> Result<u32, Error> {
        let pid = docker::run(&["inspect", "-f", "{{.State.Pid}}", &self.name])?;
        pid.parse().map_err(|_| Error::Answer {
            from: "docker inspect".into(),
            answer: pid,
        })
    }

    /// Lets the container go, without waiting for it.
    pub fn release(&self) {
        lock(&self.orders).take();
    }

    fn wait_ready(&self) -> Result<(), Error> {
        match lock(&self.states).recv_timeout(PATIENCE) {
            Ok(true) => Ok(()),
            Ok(false) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {
                let log = lock(&self.lines)
                    .iter()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n");
                Err(Error::NotReady {
                    name: self.name.clone(),
                    log,
                })
            }
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.release();
        let deadline = Instant::now() + PATIENCE;
        while let Ok(None) = self.client.try_wait() {
            if Instant::now() > deadline {
                // Nothing more can be done here than to take the hard way; a failure shows in the final check.
                let _ = docker::run(&["rm", "-f", &self.name]);
                let _ = self.client.kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Keeps the last lines of a stream, and reports the states that PID 1 names on it.
fn follow(
    stream: impl Read + Send + 'static,
    lines: Arc<Mutex<VecDeque<String>>>,
    states: Option<Sender<bool>>,
) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let state = match line.as_str() {
                "ready" => true,
                "failed" => false,
                _ => {
                    let mut lines = lock(&lines);
                    lines.push_back(line);
                    if lines.len() > 100 {
                        lines.pop_front();
                    }
                    continue;
                }
            };
            // Nobody waits for a state any more once the container is let go.
            let _ = states.as_ref().map(|states| states.send(state));
        }
    });
}

fn unused_name(role: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("concierge-lab-{}-{count}-{role}", std::process::id())
}

/// What a thread that panicked left behind here is still whole: single pushes and takes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
