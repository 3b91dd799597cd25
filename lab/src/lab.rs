use std::{path::Path, sync::Arc};

use crate::{
    Agent, AgentSpec, Api, App, Application, Error, Pod, Proxy, ProxySpec, Version, build,
    container::{Container, Spec},
    docker, zabbix_image,
};

/// A real Zabbix server with PostgreSQL, its frontend, and agents, in a pod of their own. Dropping it stops and removes
/// all of it; so does the end of the process, however it comes.
pub struct Lab {
    version: Version,
    frontend: String,
    api: Api,
    agent: Option<Agent>,
    pod: Pod,
    server: Arc<Container>,
}

/// What a lab shall hold.
#[derive(Clone, Debug)]
pub struct LabBuilder {
    version: Version,
    server_config: String,
    server_module: bool,
    agent: Option<AgentSpec>,
}

impl Lab {
    /// A lab of Zabbix 6.0 with one agent that has the module loaded, to be changed and started.
    pub fn builder() -> LabBuilder {
        LabBuilder {
            version: Version::V6_0,
            server_config: String::new(),
            server_module: false,
            agent: Some(AgentSpec::default()),
        }
    }

    /// The server's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The network that the lab's containers share.
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// The frontend's API, logged in.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The frontend's address, for a browser on this machine.
    pub fn frontend_url(&self) -> &str {
        &self.frontend
    }

    /// The lab's own agent.
    ///
    /// # Panics
    /// If the lab was built without one: that is a mistake in the calling code.
    pub fn agent(&self) -> &Agent {
        match &self.agent {
            Some(agent) => agent,
            None => panic!("this lab was built without_agent()"),
        }
    }

    /// Starts a further agent in the same pod.
    pub fn start_agent(&self, spec: &AgentSpec) -> Result<Agent, Error> {
        Agent::start(&self.pod, self.version, spec)
    }

    /// Makes a proxy known to the server and starts it in the same pod.
    pub fn start_proxy(&self, spec: &ProxySpec) -> Result<Proxy, Error> {
        Proxy::start(self, spec)
    }

    /// Starts an application in the same pod, on its usual port.
    pub fn start_app(&self, app: App) -> Result<Application, Error> {
        self.start_app_on(app, app.port())
    }

    /// Starts an application on a port of the caller's choice: for a second one of its kind.
    pub fn start_app_on(&self, app: App, port: u16) -> Result<Application, Error> {
        Application::start(&self.pod, app, port)
    }

    /// Has the server read its configuration anew. It returns when the order is given, not when it is carried out.
    pub fn reload_config_cache(&self) -> Result<(), Error> {
        self.server_order("config_cache_reload")
    }

    /// Gives the running server an order (`zabbix_server -R`).
    pub fn server_order(&self, order: &str) -> Result<(), Error> {
        let config = "/etc/zabbix/zabbix_server.conf";
        let command = ["zabbix_server", "-c", config, "-R", order];
        // A busy server's main process may not take it within the three seconds that this has.
        let mut output = self.pod.exec(&command)?;
        for _ in 0..4 {
            if output.status.success() {
                return Ok(());
            }
            output = self.pod.exec(&command)?;
        }
        Err(Error::Command {
            command: command.join(" "),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        })
    }

    /// The server's log so far.
    pub fn server_log(&self) -> Result<String, Error> {
        let output = self.pod.exec(&["cat", "/var/log/zabbix/server.log"])?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Stops the server alone; its database, the frontend and the agents stay.
    pub fn stop_server(&self) -> Result<(), Error> {
        self.server.order("stop")
    }

    /// Starts the server again after [`Lab::stop_server`].
    pub fn start_server(&self) -> Result<(), Error> {
        self.server.order("start")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // All go at once; each is then waited for as it is dropped.
        if let Some(agent) = &self.agent {
            agent.release();
        }
        self.server.release();
    }
}

impl LabBuilder {
    /// The server's version.
    pub fn zabbix(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Further lines of zabbix_server.conf; a repeated parameter wins over the lab's.
    pub fn server_config(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.server_config);
        self
    }

    /// The module, in the server too.
    pub fn server_module(mut self) -> Self {
        self.server_module = true;
        self
    }

    /// No agent.
    pub fn without_agent(mut self) -> Self {
        self.agent = None;
        self
    }

    /// The agent to start, instead of the default one.
    pub fn agent(mut self, spec: AgentSpec) -> Self {
        self.agent = Some(spec);
        self
    }

    /// Further lines of the agent's configuration.
    pub fn agent_config(self, lines: &str) -> Self {
        self.change(|agent| lines.clone_into(&mut agent.config))
    }

    /// The module's settings, courier.toml.
    pub fn courier_toml(self, toml: &str) -> Self {
        self.change(|agent| agent.courier_toml = Some(toml.to_owned()))
    }

    /// A variable in the agent's environment.
    pub fn agent_env(self, key: &str, value: &str) -> Self {
        self.change(|agent| agent.env.push((key.to_owned(), value.to_owned())))
    }

    /// An agent as Debian ships it, without the module.
    pub fn without_module(self) -> Self {
        self.change(|agent| agent.module = false)
    }

    /// Starts it all and waits until the server, the API and the agent answer.
    pub fn start(self) -> Result<Lab, Error> {
        let image = zabbix_image(self.version).ensure()?;
        let mut config = self.server_config;
        let mut options = vec!["--publish=127.0.0.1::10080".to_owned()];
        if Path::new("/proc/sys/net/ipv6").exists() {
            // As any machine has it; older engines leave it out.
            options.push("--sysctl=net.ipv6.conf.lo.disable_ipv6=0".to_owned());
        }
        if self.server_module {
            config = format!("LoadModule={}\n{config}", build::MODULE);
            options.extend(build::courier()?.mounts());
        }
        let server = Arc::new(Container::start(&Spec {
            image: &image,
            role: "server",
            env: vec![("SERVER_CONFIG", config)],
            options,
        })?);
        let pod = Pod::of(Arc::clone(&server))?;
        let published = docker::run(&["port", server.name(), "10080/tcp"])?;
        let frontend = format!("http://{}/", published.lines().next().unwrap_or_default());
        let api = Api::login(&frontend, self.version)?;
        let agent = self
            .agent
            .map(|spec| Agent::start(&pod, self.version, &spec))
            .transpose()?;
        Ok(Lab {
            version: self.version,
            frontend,
            api,
            agent,
            pod,
            server,
        })
    }

    fn change(mut self, change: impl FnOnce(&mut AgentSpec)) -> Self {
        change(self.agent.get_or_insert_default());
        self
    }
}
