use std::process::Output;

use crate::{
    Error, Pod,
    container::{Container, Spec},
    docker,
    image::Recipe,
    pki::{Authority, Pair},
};

/// The image that every engine has, made of nothing but busybox.
pub const SAMPLE_IMAGE: &str = "sample:1";

/// What an engine in a container needs: all but what `--privileged` gives beyond it, which not every machine has.
const RIGHTS: [&str; 8] = [
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup",
];

/// A generation of Compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compose {
    /// 1.29, in Python.
    V1,
    /// 2.26, in Go.
    V2,
}

impl Compose {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// Where the engine's container has it.
    pub fn program(self) -> &'static str {
        match self {
            Self::V1 => "/usr/bin/docker-compose",
            Self::V2 => "/opt/compose-v2/usr/libexec/docker/cli-plugins/docker-compose",
        }
    }
}

/// A Docker engine in a container, reached by TLS with client certificates, apart from the engine that the lab itself
/// runs on. Dropping it stops and removes it with everything in it.
pub struct Engine {
    container: Container,
    authority: Authority,
    client: Pair,
    port: u16,
}

impl Engine {
    /// Starts an engine that is reached from this machine.
    pub fn start() -> Result<Self, Error> {
        let mut engine = Self::run(vec!["--publish=127.0.0.1::2376".into()])?;
        let published = docker::run(&["port", engine.container.name(), "2376/tcp"])?;
        let port = published
            .lines()
            .next()
            .and_then(|line| line.rsplit(':').next()?.parse().ok());
        engine.port = port.ok_or_else(|| Error::Answer {
            from: "docker port".into(),
            answer: published,
        })?;
        Ok(engine)
    }

    /// Starts an engine in a pod, where it listens on 127.0.0.1:2376.
    pub fn start_in(pod: &Pod) -> Result<Self, Error> {
        Self::run(vec![format!("--network=container:{}", pod.name())])
    }

    /// The engine's address, as DOCKER_HOST has it.
    pub fn docker_host(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// Who signs the certificates of this engine and its clients.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The certificate of a client that the engine lets in.
    pub fn client(&self) -> &Pair {
        &self.client
    }

    /// Runs a command in the engine's container; its exit status is the caller's to judge.
    pub fn exec(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.container.exec(arguments)
    }

    /// Runs the engine's own docker command and returns its standard output, trimmed.
    pub fn docker(&self, arguments: &[&str]) -> Result<String, Error> {
        self.checked(&[&["docker"], arguments].concat())
    }

    /// Writes a file in the engine's container; its folder is made where it is missing.
    pub fn write_file(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.checked(&["mkdir", "-p", folder])?;
        }
        self.container.write_file(path, content)
    }

    /// Runs a generation of Compose in the folder of a compose file and returns what it wrote.
    pub fn compose(
        &self,
        compose: Compose,
        folder: &str,
        arguments: &[&str],
    ) -> Result<String, Error> {
        let program = compose.program();
        let script = "cd \"$0\" && exec \"$@\" 2>&1";
        self.checked(&[&["bash", "-c", script, folder, program], arguments].concat())
    }

    /// Kills the engine as a crash would: at once, its containers with it.
    pub fn kill(&self) -> Result<(), Error> {
        self.checked(&["pkill", "-KILL", "dockerd"]).map(drop)
    }

    /// Starts the engine again after [`Engine::kill`].
    pub fn start_again(&self) -> Result<(), Error> {
        self.container.order("start")
    }

    /// A command that must succeed; its standard output, trimmed.
    fn checked(&self, arguments: &[&str]) -> Result<String, Error> {
        let output = self.exec(arguments)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(Error::Command {
            command: arguments.join(" "),
            status: output.status.to_string(),
            output: docker::tail(&text(&[output.stdout, output.stderr].concat()), 30),
        })
    }

    fn run(network: Vec<String>) -> Result<Self, Error> {
        let authority = Authority::new("lab engine CA")?;
        let server = authority.sign("engine", Authority::VALID)?;
        let client = authority.sign("scheduler", Authority::VALID)?;
        let mut options = network;
        options.extend(RIGHTS.map(str::to_owned));
        // Overlays cannot be stacked on the container's own.
        options.push("--volume=/var/lib/docker".into());
        let container = Container::start(&Spec {
            image: &image().ensure()?,
            role: "engine",
            env: vec![
                ("CA", authority.pem().to_owned()),
                ("CERTIFICATE", server.certificate),
                ("KEY", server.key),
            ],
            options,
        })?;
        let engine = Self {
            container,
            authority,
            client,
            port: 2376,
        };
        let import = format!("tar -C /lab/sample -c . | docker import - {SAMPLE_IMAGE}");
        engine.checked(&["bash", "-c", &import])?;
        Ok(engine)
    }
}

/// The image of the engine.
pub(crate) fn image() -> Recipe {
    Recipe {
        name: "engine",
        tag: "bookworm".into(),
        suite: "bookworm",
        folder: "images/engine",
        copies: &["images/run"],
        arguments: Vec::new(),
    }
}
