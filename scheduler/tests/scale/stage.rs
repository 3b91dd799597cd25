//! An engine, and the command run against it as Zabbix runs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lab::{Compose, Engine, Pair, SAMPLE_IMAGE};
use serde_json::Value;
use tempfile::TempDir;

/// An engine with a folder of credentials and a folder of state.
pub struct Stage {
    pub engine: Engine,
    folder: TempDir,
}

/// How a run of the command ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The longest that a test waits for what is to come, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until something is so, and says whether it came to be within `limit`.
pub fn comes(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

/// Waits until something is so.
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(comes(PATIENCE, is_so), "{what} did not come");
}

/// Two engines at a time are as many as two cores serve.
static PLACES: Mutex<()> = Mutex::new(());

impl Stage {
    pub fn new() -> Self {
        // Starting is what costs most; a panic of another test leaves nothing half done here.
        let _one = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        Self::of(Engine::start().unwrap())
    }

    /// A stage on an engine that was started elsewhere.
    pub fn of(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stage = Self { engine, folder };
        stage.store(
            "certs",
            stage.engine.authority().pem(),
            stage.engine.client(),
        );
        stage
    }

    /// Puts credentials into a folder and returns it.
    pub fn store(&self, name: &str, ca: &str, pair: &Pair) -> PathBuf {
        let certs = self.folder.path().join(name);
        std::fs::create_dir_all(&certs).unwrap();
        for (name, text) in [
            ("ca.pem", ca),
            ("cert.pem", &pair.certificate),
            ("key.pem", &pair.key),
        ] {
            std::fs::write(certs.join(name), text).unwrap();
        }
        certs
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The command with `arguments`, ready to run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_concierge_scheduler"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("DOCKER_HOST", self.engine.docker_host());
        command.env("DOCKER_CERT_PATH", self.folder.path().join("certs"));
        command.env("CONCIERGE_STATE_DIR", self.state());
        // What a run does is not a matter of how busy this machine is; tests of the limit give their own.
        command.env("SCALE_TIMEOUT", "120");
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the command with a line of arguments.
    pub fn run(&self, line: &str) -> Run {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        Run::of(self.command(&arguments).output().unwrap())
    }

    /// Runs the command, which must succeed.
    pub fn done(&self, line: &str) -> Run {
        let run = self.run(line);
        assert_eq!(run.code, 0, "{line}: {run:?}");
        run
    }

    /// Starts a project of one service `web`, and returns its folder.
    pub fn project(&self, compose: Compose, name: &str, service: &str) -> String {
        let folder = format!("/srv/{name}");
        let file =
            format!("version: '2.4'\nservices:\n  web:\n    image: {SAMPLE_IMAGE}\n{service}");
        self.engine
            .write_file(&format!("{folder}/docker-compose.yml"), file.as_bytes())
            .unwrap();
        self.engine
            .compose(compose, &folder, &["up", "-d"])
            .unwrap();
        folder
    }

    /// The containers of a project: name and id.
    pub fn containers(&self, project: &str) -> BTreeMap<String, String> {
        let label = format!("label=com.docker.compose.project={project}");
        let list = self.engine.docker(&[
            "ps",
            "-a",
            "--no-trunc",
            "--format",
            "{{.Names}} {{.ID}}",
            "--filter",
            &label,
        ]);
        let list = list.unwrap();
        list.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, id)| (name.into(), id.into()))
            .collect()
    }

    /// The names of all containers that run.
    pub fn running(&self) -> Vec<String> {
        let list = self
            .engine
            .docker(&["ps", "--format", "{{.Names}}"])
            .unwrap();
        let mut names: Vec<String> = list.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// What the engine says of a container.
    pub fn inspect(&self, name: &str) -> Value {
        let text = self.engine.docker(&["inspect", name]).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }
}

impl Run {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one object on standard output.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The one sentence that says what is wrong.
    pub fn failure(&self) -> &str {
        assert_eq!(self.code, 1, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let sentence = self.stderr.trim_end();
        assert_eq!(sentence.lines().count(), 1, "{self:?}");
        sentence
    }
}
