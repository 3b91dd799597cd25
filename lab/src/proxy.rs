use serde_json::json;

use crate::{
    Error, Lab, Version, build,
    container::{Container, Spec},
    image::Recipe,
};

const LOG: &str = "/var/log/zabbix/proxy.log";

/// A Zabbix proxy to start in a lab.
#[derive(Clone, Debug)]
pub struct ProxySpec {
    /// Its name in Zabbix.
    pub name: String,
    /// The port it listens on.
    pub port: u16,
    /// Further lines of zabbix_proxy.conf; a repeated parameter wins over the lab's.
    pub config: String,
    /// Whether libcourier.so is loaded.
    pub module: bool,
}

impl Default for ProxySpec {
    /// The proxy `proxy` on port 10061, without the module.
    fn default() -> Self {
        Self {
            name: "proxy".into(),
            port: 10061,
            config: String::new(),
            module: false,
        }
    }
}

impl ProxySpec {
    fn configuration(&self, version: Version) -> String {
        let fetch_configuration = if version < Version::V7_0 {
            "ConfigFrequency"
        } else {
            "ProxyConfigFrequency"
        };
        let module = if self.module {
            format!("LoadModule={}\n", build::MODULE)
        } else {
            String::new()
        };
        format!(
            "Server=127.0.0.1\nHostname={}\nListenPort={}\nDBName=/tmp/proxy.db\nLogFile={LOG}\nLogFileSize=0\n\
             PidFile=/run/zabbix/proxy.pid\nSocketDir=/run/zabbix\n{fetch_configuration}=1\nDataSenderFrequency=1\n\
             {module}{}\n",
            self.name, self.port, self.config
        )
    }
}

/// A running active proxy in a lab's pod, which its server knows.
pub struct Proxy {
    container: Container,
    id: String,
    port: u16,
}

impl Proxy {
    pub(crate) fn start(lab: &Lab, spec: &ProxySpec) -> Result<Self, Error> {
        let version = lab.version();
        let params = match version {
            Version::V5_0 | Version::V6_0 => json!({"host": spec.name, "status": 5}),
            Version::V7_0 => json!({"name": spec.name, "operating_mode": 0}),
        };
        let created = lab.api().call("proxy.create", params)?;
        let id = created["proxyids"][0]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut options = vec![format!("--network=container:{}", lab.pod().name())];
        if spec.module {
            options.extend(build::courier()?.mounts());
        }
        let container = Container::start(&Spec {
            image: &image(version).ensure()?,
            role: "proxy",
            env: vec![
                ("PROXY_CONFIG", spec.configuration(version)),
                ("PORT", spec.port.to_string()),
            ],
            options,
        })?;
        Ok(Self {
            container,
            id,
            port: spec.port,
        })
    }

    /// Its id in Zabbix.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The proxy's log so far.
    pub fn log(&self) -> Result<String, Error> {
        let output = self.container.exec(&["cat", LOG])?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The image of a proxy.
pub(crate) fn image(version: Version) -> Recipe {
    Recipe {
        name: "proxy",
        tag: version.to_string(),
        suite: version.suite(),
        folder: "images/proxy",
        copies: &["images/run"],
        arguments: Vec::new(),
    }
}
