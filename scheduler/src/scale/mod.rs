//! Scaling: observe, decide (pure), execute; the verbs list, scale and resize.

pub mod compose;
mod error;
mod list;
pub mod plan;
mod program;
mod resize;
mod session;
pub mod state;
pub mod swarm;
pub mod vertical;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::time::Instant;

pub use error::Error;
pub use list::list;
pub use resize::resize;

use self::plan::{Decision, Step};
use self::program::Way;
use self::session::{Service, Session, Zabbix};
use self::state::{Lock, State};
use crate::cli;
use crate::docker::{Address, tunnel::Tunnel};
use crate::environment::Environment;
use crate::report::{Answer, Exit, Outcome, Quantity};
use crate::settings;

/// When a run must have done its work, and when it must have ended.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// From here on it only tidies up.
    pub work: Instant,
    /// It returns by then.
    pub end: Instant,
}

impl Deadline {
    fn after(limit: Duration) -> Self {
        let now = Instant::now();
        let reserve = (limit / 8).min(Duration::from_secs(2));
        Self {
            work: now + limit - reserve,
            end: now + limit,
        }
    }
}

/// How far an execution came.
#[derive(Debug, Default)]
pub struct Change {
    /// The containers that were started.
    pub started: Vec<String>,
    /// The containers that were removed.
    pub removed: Vec<String>,
    /// The containers that were told to stop and have not yet.
    pub stopping: Vec<String>,
    /// The containers that may be half made.
    pub unfinished: Vec<String>,
    /// What went wrong first.
    pub error: Option<Error>,
}

/// Adds or removes replicas.
pub async fn scale(verb: &cli::Scale, environment: &Environment) -> Exit {
    let mut answer = Answer {
        verb: match verb.direction {
            cli::Direction::Up => "scale_up",
            cli::Direction::Down => "scale_down",
        },
        component: verb.component.clone(),
        dry_run: verb.action.dry_run,
        ..Answer::default()
    };
    let begun = Instant::now();
    let mut zabbix = None;
    let result = try_scale(verb, environment, &mut zabbix, &mut answer).await;
    answer.elapsed_ms = begun.elapsed().as_millis();
    finish(answer, result, zabbix, verb.action.json, environment).await
}

async fn try_scale(
    verb: &cli::Scale,
    environment: &Environment,
    zabbix: &mut Option<Zabbix>,
    answer: &mut Answer,
) -> Result<(), Error> {
    let deadline = Deadline::after(settings::timeout(&verb.target, environment)?);
    *zabbix = Zabbix::open(&verb.component, environment, deadline).await?;
    let limits = cli::Limits::default();
    let (target, bounds) = (&verb.target, &verb.bounds);
    let session = Session::open(
        &verb.component,
        target,
        bounds,
        &limits,
        zabbix.as_ref(),
        environment,
        deadline,
    )
    .await?;
    let folder = settings::state_dir(environment);
    let state = State::of(
        folder,
        &session.engine.address.to_string(),
        &session.settings.service,
    );
    let lock = if verb.action.dry_run {
        None
    } else {
        Some(state.lock(deadline.work).await?)
    };
    let run = Run {
        verb,
        session: &session,
        state: &state,
        lock: lock.as_ref(),
        deadline,
    };
    loop {
        match run.once(answer).await {
            // Someone else changed the service in between: look and decide anew.
            Err(Error::OutOfSequence(_)) if Instant::now() < deadline.work => {}
            result => return result,
        }
    }
}

struct Run<'a> {
    verb: &'a cli::Scale,
    session: &'a Session,
    state: &'a State,
    /// Absent in a dry run, which needs none.
    lock: Option<&'a Lock>,
    deadline: Deadline,
}

impl Run<'_> {
    async fn once(&self, answer: &mut Answer) -> Result<(), Error> {
        let settings = &self.session.settings;
        let mut service = self.session.locate().await?;
        let project = match &service {
            Some(Service::Compose(service)) => service.project.clone(),
            Some(Service::Swarm(service)) => service.name.clone(),
            None => settings
                .project
                .clone()
                .ok_or_else(|| self.session.missing())?,
        };
        let mut record = self.state.read(&project)?;
        if let (Some(lock), false, Some(Service::Compose(found))) =
            (self.lock, record.unfinished.is_empty(), &service)
        {
            let (engine, names) = (&self.session.engine, std::mem::take(&mut record.unfinished));
            let (_, left) = compose::clear(engine, found, &names, false, self.deadline.work).await;
            record.unfinished = left;
            self.state.write(lock, &project, &record)?;
            service = self.session.locate().await?;
        }
        let running = match &service {
            Some(Service::Compose(service)) => service.running(),
            Some(Service::Swarm(service)) => service.replicas,
            None if self.session.files(None).is_empty()
                || settings.engine == Some(cli::Engine::Swarm) =>
            {
                return Err(self.session.missing());
            }
            None => 0,
        };
        describe(answer, service.as_ref(), settings);
        answer.from = Some(Quantity::Count(running));
        answer.running = Some(running);
        let step = Step {
            direction: self.verb.direction,
            current: self.verb.current,
            increment: self.verb.increment,
        };
        let target = match plan::decide(step, running, &settings.rules, record.history, now()) {
            Decision::Change(target, reason) => {
                (answer.result, answer.reason) = (Outcome::Done, reason);
                target
            }
            Decision::Already(reason) => {
                (answer.result, answer.reason) = (Outcome::Unchanged, reason);
                answer.target = answer.from.clone();
                return Ok(());
            }
            Decision::Held(reason) => {
                (answer.result, answer.reason) = (Outcome::Held, reason);
                answer.target = answer.from.clone();
                return Ok(());
            }
        };
        answer.target = Some(Quantity::Count(target));
        let Some(lock) = self.lock else {
            return self.rehearse(service.as_ref(), target, answer);
        };
        match &service {
            Some(Service::Swarm(service)) => self.swarm(service, target, answer).await?,
            Some(Service::Compose(service)) if self.verb.action.via.is_none() => {
                let plan = service.plan(target)?;
                record
                    .unfinished
                    .extend(plan.create.iter().map(|(_, name)| name.clone()));
                if !plan.create.is_empty() {
                    self.state.write(lock, &project, &record)?;
                }
                let change =
                    compose::execute(&self.session.engine, service, &plan, self.deadline).await;
                record.unfinished = change.unfinished;
                (answer.started, answer.removed, answer.stopping) =
                    (change.started, change.removed, change.stopping);
                if let Some(error) = change.error {
                    self.state.write(lock, &project, &record)?;
                    return self.ended(answer, error);
                }
            }
            service => {
                let service = match service {
                    Some(Service::Compose(service)) => Some(service),
                    _ => None,
                };
                let files = self.session.files(service);
                program::scale(
                    &self.way()?,
                    &files,
                    &project,
                    &settings.service,
                    target,
                    self.deadline,
                )
                .await?;
            }
        }
        match self.verb.direction {
            cli::Direction::Up => record.history.up = Some(now()),
            cli::Direction::Down => record.history.down = Some(now()),
        }
        self.state.write(lock, &project, &record)?;
        if self.verb.action.wait {
            compose::wait_healthy(&self.session.engine, &answer.started, self.deadline.work)
                .await?;
        }
        answer.running = Some(match service {
            Some(Service::Swarm(_)) => target,
            _ => self.count(&project).await?,
        });
        Ok(())
    }

    /// Notes what would be done.
    fn rehearse(
        &self,
        service: Option<&Service>,
        target: u32,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        if let Some(Service::Compose(service)) = service {
            let plan = service.plan(target)?;
            let names = |places: &[usize]| -> Vec<String> {
                places
                    .iter()
                    .map(|&place| service.instances[place].name.clone())
                    .collect()
            };
            answer.started = names(&plan.start);
            answer
                .started
                .extend(plan.create.into_iter().map(|(_, name)| name));
            answer.removed = names(&plan.remove);
        }
        Ok(())
    }

    async fn swarm(
        &self,
        service: &swarm::Service,
        target: u32,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        service.scale(&self.session.engine, target).await?;
        if self.verb.direction == cli::Direction::Up {
            answer.reason.push_str("; the Swarm has taken it on");
            service
                .wait_running(&self.session.engine, target, self.deadline)
                .await?;
        }
        Ok(())
    }

    async fn count(&self, project: &str) -> Result<u32, Error> {
        let name = Some(self.session.settings.service.as_str());
        let services = compose::find(&self.session.engine, Some(project), name).await?;
        Ok(services.iter().map(compose::Service::running).sum())
    }

    fn way(&self) -> Result<Way, Error> {
        match (&self.session.engine.address, &self.session.pems) {
            (Address::Tcp(host, port), Some(pems)) => {
                Tunnel::open(self.state.folder(), host, *port, pems.client_config()?)
                    .map(Way::Tunnel)
                    .map_err(Error::Tunnel)
            }
            (address, _) => Ok(Way::Open(address.to_string())),
        }
    }

    /// What stands after an execution that did not come to its end.
    fn ended(&self, answer: &mut Answer, error: Error) -> Result<(), Error> {
        let stopping = !answer.stopping.is_empty();
        if stopping && matches!(error, Error::Timeout) {
            answer.reason.push_str(&format!(
                "; {} still stopping, for as long as its own grace lasts, and will be removed by the next step",
                answer.stopping.join(", ")
            ));
            return Ok(());
        }
        let came = answer.started.len() + answer.removed.len();
        if came > 0 {
            answer.reason.push_str(&format!(
                "; {came} containers were changed before it failed"
            ));
        }
        Err(error)
    }
}

/// Prints the outcome, notes it in the audit, tells it to Zabbix.
async fn finish(
    mut answer: Answer,
    result: Result<(), Error>,
    zabbix: Option<Zabbix>,
    json: bool,
    environment: &Environment,
) -> Exit {
    if let Err(error) = &result {
        answer.result = match error.exit() {
            Exit::Usage => Outcome::Usage,
            _ => Outcome::Failed,
        };
        answer.reason = match answer.reason.as_str() {
            "" => error.to_string(),
            reason => format!("{error} ({reason})"),
        };
    }
    if !answer.dry_run {
        let line = serde_json::to_value(&answer).map(|mut line| {
            line["clock"] = now().into();
            line.to_string()
        });
        let noted = line.map_err(|error| error.to_string()).and_then(|line| {
            state::audit(&settings::state_dir(environment), &line)
                .map_err(|error| error.to_string())
        });
        if let Err(error) = noted {
            eprintln!("concierge_scheduler: no audit: {error}");
        }
    }
    if json {
        print_json(&answer);
    } else if result.is_ok() {
        println!("{}", answer.sentence());
    }
    match &result {
        Ok(()) => eprintln!("{}", answer.reason),
        Err(_) => eprintln!("concierge_scheduler: {}", answer.reason),
    }
    if let Some(zabbix) = zabbix {
        zabbix.close(&answer).await;
    }
    answer.result.exit()
}

fn describe(answer: &mut Answer, service: Option<&Service>, settings: &settings::Settings) {
    let (engine, project, name) = match service {
        Some(Service::Compose(service)) => {
            ("compose", Some(service.project.clone()), &service.name)
        }
        Some(Service::Swarm(service)) => ("swarm", None, &service.name),
        None => ("compose", settings.project.clone(), &settings.service),
    };
    answer.engine = Some(engine);
    answer.project = project;
    answer.service = Some(name.clone());
}

fn print_json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("concierge_scheduler: {error}"),
    }
}

/// Seconds since 1970; a clock before that counts as 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}
