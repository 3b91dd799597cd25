use std::{process::Output, thread, time::Duration};

use crate::{
    Error, Pod, Version, build,
    container::{Container, Spec},
    passive, zabbix_image,
};

const LOG: &str = "/var/log/zabbix/agent.log";

/// Which of Zabbix's two agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The agent written in C, which loads modules.
    Agentd,
    /// Agent 2, which has the command `courier` beside it; Debian has it from 6.0 on.
    Agent2,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Agentd => "zabbix_agentd",
            Self::Agent2 => "zabbix_agent2",
        }
    }

    fn config(self) -> String {
        format!("/etc/zabbix/{}.conf", self.name())
    }
}

/// An agent to start in a lab.
#[derive(Clone, Debug)]
pub struct AgentSpec {
    /// Which agent.
    pub program: Program,
    /// Which version; none is that of the lab's server.
    pub version: Option<Version>,
    /// The agent's own host name.
    pub hostname: String,
    /// The port it listens on.
    pub port: u16,
    /// Further lines of the agent's configuration; a repeated parameter wins over the lab's.
    pub config: String,
    /// The module's settings, /etc/zabbix/courier.toml; none is no such file.
    pub courier_toml: Option<String>,
    /// Environment of the agent.
    pub env: Vec<(String, String)>,
    /// Whether the project's own build is there: the command `courier`, and in zabbix_agentd the loaded module.
    pub module: bool,
}

impl Default for AgentSpec {
    /// An agent for the host `lab` on port 10050, with the module and without settings.
    fn default() -> Self {
        Self {
            program: Program::Agentd,
            version: None,
            hostname: "lab".into(),
            port: 10050,
            config: String::new(),
            courier_toml: None,
            env: Vec::new(),
            module: true,
        }
    }
}

impl AgentSpec {
    fn configuration(&self) -> String {
        let module = if self.module && self.program == Program::Agentd {
            format!("LoadModule={}\n", build::MODULE)
        } else {
            String::new()
        };
        format!(
            "Server=127.0.0.1\nServerActive=127.0.0.1\nHostname={}\nListenPort={}\nLogFile={LOG}\nLogFileSize=0\n\
             PidFile=/run/zabbix/agentd-{}.pid\n{module}{}\n",
            self.hostname, self.port, self.port, self.config
        )
    }
}

/// A running agent in a lab's pod.
pub struct Agent {
    container: Container,
    pod: Pod,
    program: Program,
    version: Version,
    port: u16,
}

impl Agent {
    pub(crate) fn start(pod: &Pod, server: Version, spec: &AgentSpec) -> Result<Self, Error> {
        let version = spec.version.unwrap_or(server);
        let image = zabbix_image(version).ensure()?;
        Self::start_from(&image, pod, version, spec, Vec::new())
    }

    /// Starts an agent of this version from an image that has it, with further options of `docker run`.
    pub(crate) fn start_from(
        image: &str,
        pod: &Pod,
        version: Version,
        spec: &AgentSpec,
        mut options: Vec<String>,
    ) -> Result<Self, Error> {
        options.push(format!("--network=container:{}", pod.name()));
        if spec.module {
            options.extend(build::courier()?.mounts());
        }
        let mut env = vec![
            ("AGENT_PROGRAM", spec.program.name().to_owned()),
            ("AGENT_CONFIG", spec.configuration()),
            ("PORT", spec.port.to_string()),
        ];
        env.extend(
            spec.courier_toml
                .iter()
                .map(|toml| ("COURIER_TOML", toml.clone())),
        );
        env.extend(
            spec.env
                .iter()
                .map(|(key, value)| (key.as_str(), value.clone())),
        );
        let container = Container::start(&Spec {
            image,
            role: "agent",
            env,
            options,
        })?;
        Ok(Self {
            container,
            pod: pod.clone(),
            program: spec.program,
            version,
            port: spec.port,
        })
    }

    /// Asks for an item over the passive protocol, as a server does whose timeout is generous (30 s).
    pub fn get(&self, key: &str) -> Result<String, Error> {
        self.get_within(key, Duration::from_secs(30))
    }

    /// Asks for an item as a server with this item timeout does: a 7.0 agent is told it; the answer must come within
    /// it and one more second.
    pub fn get_within(&self, key: &str, timeout: Duration) -> Result<String, Error> {
        passive::ask(self.pod.connect(self.port)?, self.version, key, timeout)
    }

    /// The agent's `-t KEY`: one item, in a process of its own.
    pub fn test(&self, key: &str) -> Result<Output, Error> {
        self.exec(&[self.program.name(), "-c", &self.program.config(), "-t", key])
    }

    /// The agent's `-p`: every item that the agent knows, in a process of its own.
    pub fn print(&self) -> Result<Output, Error> {
        self.exec(&[self.program.name(), "-c", &self.program.config(), "-p"])
    }

    /// The agent's log so far.
    pub fn log(&self) -> Result<String, Error> {
        let output = self.exec(&["cat", LOG])?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The process ids of the agent's processes, as the host counts, the parent first. It listens before it has forked
    /// them all: two looks have to agree.
    pub fn pids(&self) -> Result<Vec<u32>, Error> {
        let mut pids = self.look()?;
        loop {
            thread::sleep(Duration::from_millis(200));
            let again = self.look()?;
            if again == pids {
                return Ok(pids);
            }
            pids = again;
        }
    }

    fn look(&self) -> Result<Vec<u32>, Error> {
        let table = crate::docker::run(&["top", self.container.name(), "-eo", "pid,comm"])?;
        Ok(table
            .lines()
            .filter_map(|line| {
                line.split_once(self.program.name())
                    .map(|(pid, _)| pid.trim())
            })
            .filter_map(|pid| pid.parse().ok())
            .collect())
    }

    /// Stops the agent; its container stays.
    pub fn stop(&self) -> Result<(), Error> {
        self.container.order("stop")
    }

    /// Stops the agent and starts it again, with the files as they are now.
    pub fn restart(&self) -> Result<(), Error> {
        self.container.order("restart")
    }

    /// Runs a command in the agent's container; its exit status is the caller's to judge.
    pub fn exec(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.container.exec(arguments)
    }

    /// Writes a file in the agent's container, readable by all.
    pub fn write_file(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.container.write_file(path, content)
    }

    pub(crate) fn release(&self) {
        self.container.release();
    }
}
