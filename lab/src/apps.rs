use crate::{
    Error, Pod,
    container::{Container, Spec},
    image::Recipe,
};

/// A real application that the lab can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum App {
    /// Dropwizard Metrics on Jetty. `POST /registry`, `/freeze` and `/thaw` set what it measures and hold it still:
    /// see apps/dropwizard/Application.java.
    Dropwizard,
    /// Prometheus' exporter of the machine's own metrics.
    NodeExporter,
    /// Prometheus' exporter of the metrics of the lab's PostgreSQL.
    PostgresExporter,
    /// A Spring Boot Actuator API, as pyctuator serves it.
    Pyctuator,
    /// Prometheus' own Python client, which serves OpenMetrics to those who ask for it.
    PrometheusClient,
}

impl App {
    /// The port it usually listens on.
    pub fn port(self) -> u16 {
        match self {
            Self::Dropwizard => 8081,
            Self::NodeExporter => 9100,
            Self::PostgresExporter => 9187,
            Self::Pyctuator => 8082,
            Self::PrometheusClient => 8083,
        }
    }

    /// The path of its metrics.
    fn path(self) -> &'static str {
        match self {
            Self::Pyctuator => "/actuator/metrics",
            _ => "/metrics",
        }
    }

    /// What the image calls it.
    fn role(self) -> &'static str {
        match self {
            Self::Dropwizard => "dropwizard",
            Self::NodeExporter => "node-exporter",
            Self::PostgresExporter => "postgres-exporter",
            Self::Pyctuator => "pyctuator",
            Self::PrometheusClient => "prometheus-client",
        }
    }

    pub(crate) fn image(self) -> Recipe {
        let (name, folder, copies): (_, _, &[_]) = match self {
            Self::Dropwizard => (
                "dropwizard",
                "images/dropwizard",
                &["images/run", "apps/dropwizard"],
            ),
            Self::NodeExporter | Self::PostgresExporter => {
                ("exporters", "images/exporters", &["images/run"])
            }
            Self::Pyctuator | Self::PrometheusClient => {
                ("python", "images/python", &["images/run", "apps/python"])
            }
        };
        Recipe {
            name,
            tag: "bookworm".into(),
            suite: "bookworm",
            folder,
            copies,
            arguments: Vec::new(),
        }
    }
}

/// A running application in a lab's pod.
pub struct Application {
    container: Container,
    pod: Pod,
    app: App,
    port: u16,
}

impl Application {
    pub(crate) fn start(pod: &Pod, app: App, port: u16) -> Result<Self, Error> {
        let container = Container::start(&Spec {
            image: &app.image().ensure()?,
            role: app.role(),
            env: vec![("PORT", port.to_string())],
            options: vec![format!("--network=container:{}", pod.name())],
        })?;
        Ok(Self {
            container,
            pod: pod.clone(),
            app,
            port,
        })
    }

    /// The address of its metrics, as everything in the pod reaches it.
    pub fn url(&self) -> String {
        self.at(self.app.path())
    }

    /// Its metrics as they are served now.
    pub fn metrics(&self) -> Result<String, Error> {
        self.get(self.app.path())
    }

    /// GETs a path and returns the body of a good answer.
    pub fn get(&self, path: &str) -> Result<String, Error> {
        self.answer(path, |url| ureq::get(url).call())
    }

    /// POSTs a body to a path and returns the body of a good answer.
    pub fn post(&self, path: &str, body: impl Into<String>) -> Result<String, Error> {
        let body = body.into();
        self.answer(path, move |url| ureq::post(url).send(body))
    }

    /// The end of what the application wrote to its log.
    pub fn log(&self) -> Result<String, Error> {
        let output = self.container.exec(&["cat", "/lab/log"])?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn answer<F>(&self, path: &str, ask: F) -> Result<String, Error>
    where
        F: FnOnce(&str) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> + Send + 'static,
    {
        let url = self.at(path);
        self.pod.inside(move || {
            let mut answer = ask(&url).map_err(ureq::Error::into_io)?;
            let body = answer.body_mut().with_config().limit(1 << 30);
            body.read_to_string().map_err(ureq::Error::into_io)
        })
    }
}
