//! What every scaling verb begins with: the service host, the settings, the engine, the service on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::state::{Lock, State};
use super::{Deadline, Error, compose, swarm};
use crate::cli;
use crate::docker::{Address, Engine};
use crate::environment::Environment;
use crate::pem::Pems;
use crate::report::Answer;
use crate::service_host::{self, ServiceHost};
use crate::settings::{self, Macros, Settings};
use crate::zabbix::{self, Access, Client};

/// The port of a Zabbix server's trapper.
const TRAPPER_PORT: u16 = 10051;
/// The answer to Zabbix is an extra: it may not cost much.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const LOGOUT_LIMIT: Duration = Duration::from_millis(500);

/// What is known of a component's place.
pub struct Session {
    /// Its settings.
    pub settings: Settings,
    /// Its engine.
    pub engine: Engine,
    /// The credentials of the engine.
    pub pems: Option<Pems>,
    deadline: Deadline,
}

/// The part of Zabbix in a run: none without ZBX_API_HOST.
pub struct Zabbix {
    client: Client,
    host: Option<ServiceHost>,
    macros: Macros,
    trapper: String,
    deadline: Deadline,
}

/// A service, wherever it is.
pub enum Service {
    /// In a Compose project.
    Compose(compose::Service),
    /// In a Swarm.
    Swarm(Box<swarm::Service>),
}

impl Zabbix {
    /// Logs in and reads what Zabbix knows of `component`.
    pub async fn open(
        component: &str,
        environment: &Environment,
        deadline: Deadline,
    ) -> Result<Option<Self>, Error> {
        let limit = deadline.end.saturating_duration_since(Instant::now());
        let Some(access) = Access::from_environment(environment, limit)? else {
            return Ok(None);
        };
        let unanswered = |_| zabbix::Error::Timeout {
            url: access.url.to_string(),
            method: "host.get".to_owned(),
            timeout: limit,
        };
        let connecting = timeout_at(deadline.work, Client::connect(&access));
        let client = connecting.await.map_err(unanswered)??;
        let known = timeout_at(deadline.work, async {
            let host = ServiceHost::find(&client, component).await?;
            let macros = service_host::macros(&client, host.as_ref()).await?;
            Ok::<_, service_host::Error>((host, macros))
        });
        let known = known.await.map_err(|late| unanswered(late).into());
        let (host, macros) = match known.and_then(|known| known.map_err(Error::from)) {
            Ok(known) => known,
            Err(error) => {
                log_out(&client, deadline).await;
                return Err(error);
            }
        };
        if host.is_none() {
            eprintln!(
                "{}; its bounds and credentials come from flags and the environment alone",
                service_host::Error::Missing(component.to_owned())
            );
        }
        let trapper = match environment.get("ZBX_SERVER") {
            Some(server) if server.contains(':') => server.to_owned(),
            Some(server) => format!("{server}:{TRAPPER_PORT}"),
            None => format!(
                "{}:{TRAPPER_PORT}",
                access.url.host_str().unwrap_or("127.0.0.1")
            ),
        };
        Ok(Some(Self {
            client,
            host,
            macros,
            trapper,
            deadline,
        }))
    }

    /// Sends the outcome to the items of the service host that are made for it, and logs out.
    pub async fn close(self, answer: &Answer) {
        let told = async {
            match &self.host {
                Some(host) if !answer.dry_run => self.tell(host, answer).await,
                _ => Ok(None),
            }
        };
        let limit = self.deadline.told.min(Instant::now() + ANSWER_LIMIT);
        let told = timeout_at(limit, told)
            .await
            .unwrap_or(Err("no answer in time".to_owned()));
        match told {
            Ok(None) => {}
            Ok(Some(warning)) => eprintln!("{warning}"),
            Err(reason) => eprintln!("the outcome was not sent to {}: {reason}", self.trapper),
        }
        self.log_out().await;
    }

    /// Logs out, where there is nothing to tell.
    pub async fn log_out(self) {
        log_out(&self.client, self.deadline).await;
    }

    /// Sends the outcome. A server that refuses some of it is a warning.
    async fn tell(&self, host: &ServiceHost, answer: &Answer) -> Result<Option<String>, String> {
        let items = host
            .answer_items(&self.client)
            .await
            .map_err(|error| error.to_string())?;
        let target = answer.target.as_ref().map(ToString::to_string);
        let result = format!("{:?}", answer.result).to_lowercase();
        let values = [
            ("scale.target", target),
            ("scale.result", Some(result)),
            ("scale.reason", Some(answer.reason.clone())),
        ];
        let wanted = values
            .into_iter()
            .filter(|(key, _)| items.iter().any(|item| item == key));
        let values: Vec<(&str, String)> = wanted
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        if values.is_empty() {
            return Ok(None);
        }
        let refused = zabbix::sender::send(&self.trapper, &host.name, &values)
            .await
            .map_err(|error| error.to_string())?;
        let keys: Vec<&str> = values.iter().map(|(key, _)| *key).collect();
        Ok((refused > 0).then(|| {
            format!(
                "{} refused {refused} of the values {} of the host {}: items must be enabled, be trapper items and allow \
                 this machine, and the server knows a new one within a minute",
                self.trapper,
                keys.join(", "),
                host.name
            )
        }))
    }
}

impl Session {
    /// Settles the settings and connects to the engine.
    pub fn open(
        component: &str,
        target: &cli::Target,
        bounds: &cli::Bounds,
        limits: &cli::Limits,
        zabbix: Option<&Zabbix>,
        environment: &Environment,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let none = Macros::new();
        let macros = zabbix.map_or(&none, |zabbix| &zabbix.macros);
        let settings = Settings::resolve(component, target, bounds, limits, macros, environment)?;
        let pems = match &settings.docker_host {
            Address::Unix(_) => None,
            Address::Tcp(..) => {
                let inventory = zabbix
                    .and_then(|zabbix| zabbix.host.as_ref())
                    .map(ServiceHost::pems);
                match inventory.transpose()?.flatten() {
                    Some(pems) => Some(pems),
                    None => settings::cert_path(environment)?,
                }
            }
        };
        let limit = settings
            .request_limit
            .unwrap_or(deadline.end.saturating_duration_since(Instant::now()));
        let engine = Engine::connect(&settings.docker_host, pems.as_ref(), limit)?;
        Ok(Self {
            settings,
            engine,
            pems,
            deadline,
        })
    }

    /// What earlier runs left, and the lock that keeps others away until it is dropped; a dry run needs none.
    pub async fn state(
        &self,
        dry_run: bool,
        environment: &Environment,
        deadline: Deadline,
    ) -> Result<(State, Option<Lock>), Error> {
        let address = self.engine.address.to_string();
        let folder = settings::state_dir(environment);
        let state = State::of(folder, &address, &self.settings.service);
        let lock = match dry_run {
            true => None,
            false => Some(state.lock(deadline.work).await?),
        };
        Ok((state, lock))
    }

    /// The service, if there is one.
    pub async fn locate(&self) -> Result<Option<Service>, Error> {
        let (settings, engine) = (&self.settings, &self.engine);
        let (project, name) = (settings.project.as_deref(), settings.service.as_str());
        let composed = async {
            match settings.engine {
                Some(cli::Engine::Swarm) => Ok(Vec::new()),
                _ => compose::find(engine, project, Some(name)).await,
            }
        };
        let swarmed = async {
            match settings.engine {
                Some(cli::Engine::Compose) => Ok(None),
                chosen => swarm::find(engine, project, name, chosen.is_some()).await,
            }
        };
        let asking = async { tokio::try_join!(composed, swarmed) };
        let (composed, swarmed) = self.answered(asking).await?;
        if composed.len() > 1 {
            let projects: Vec<&str> = composed
                .iter()
                .map(|service| service.project.as_str())
                .collect();
            return Err(Error::SeveralProjects {
                service: name.to_owned(),
                projects: projects.join(", "),
            });
        }
        match (composed.into_iter().next(), swarmed) {
            (Some(_), Some(_)) => Err(Error::BothEngines(name.to_owned())),
            (Some(service), None) => Ok(Some(Service::Compose(service))),
            (None, swarmed) => Ok(swarmed.map(Box::new).map(Service::Swarm)),
        }
    }

    /// All services of the project and of the stack of this name, or of the whole engine.
    pub async fn all(&self) -> Result<Vec<Service>, Error> {
        let (settings, engine) = (&self.settings, &self.engine);
        let project = settings.project.as_deref();
        let composed = async {
            match settings.engine {
                Some(cli::Engine::Swarm) => Ok(Vec::new()),
                _ => compose::find(engine, project, None).await,
            }
        };
        let swarmed = async {
            match settings.engine {
                Some(cli::Engine::Compose) => Ok(Vec::new()),
                chosen => swarm::all(engine, project, chosen.is_some()).await,
            }
        };
        let asking = async { tokio::try_join!(composed, swarmed) };
        let (composed, swarmed) = self.answered(asking).await?;
        let swarmed = swarmed.into_iter().map(Box::new).map(Service::Swarm);
        Ok(composed
            .into_iter()
            .map(Service::Compose)
            .chain(swarmed)
            .collect())
    }

    /// What the engine answers, as long as there is time.
    async fn answered<T>(
        &self,
        asking: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let late = |_| Error::Unreachable(self.engine.address.to_string());
        timeout_at(self.deadline.work, asking).await.map_err(late)?
    }

    /// The error of a service that is not there.
    pub fn missing(&self) -> Error {
        let project = self.settings.project.as_ref();
        Error::NoService {
            address: self.engine.address.to_string(),
            service: self.settings.service.clone(),
            place: project.map_or_else(String::new, |project| format!(" in the project {project}")),
        }
    }

    /// The compose files: as they are set, else where the service's containers come from, else the usual place.
    pub fn files(&self, service: Option<&compose::Service>) -> Vec<PathBuf> {
        if !self.settings.files.is_empty() {
            return self.settings.files.clone();
        }
        let own = service
            .and_then(compose::Service::newest)
            .map_or_else(Vec::new, |newest| newest.files.clone());
        if !own.is_empty() && own.iter().all(|file| file.is_file()) {
            return own;
        }
        let project = service
            .map(|service| &service.project)
            .or(self.settings.project.as_ref());
        let usual =
            project.map(|project| Path::new("/etc/docker").join(project).join("compose.yml"));
        usual.into_iter().filter(|file| file.is_file()).collect()
    }
}

/// Ends a session; one that stays open because Zabbix does not answer ends by itself.
async fn log_out(client: &Client, deadline: Deadline) {
    let limit = deadline.end.min(Instant::now() + LOGOUT_LIMIT);
    let _ = timeout_at(limit, client.logout()).await;
}
