//! The verbs scale_up and scale_down: more replicas, or fewer.

use tokio::time::{Instant, timeout_at};

use super::plan::{self, Step};
use super::program::{self, Way};
use super::session::{Service, Session, Zabbix};
use super::state::{Lock, Record, State};
use super::{Deadline, Error, compose, now, outcome, swarm};
use crate::cli::{self, Direction};
use crate::docker::{Address, tunnel::Tunnel};
use crate::environment::Environment;
use crate::report::{Answer, Exit, Quantity};
use crate::settings;

/// Adds or removes replicas.
pub async fn scale(verb: &cli::Scale, environment: &Environment) -> Exit {
    let mut answer = Answer {
        verb: match verb.direction {
            Direction::Up => "scale_up",
            Direction::Down => "scale_down",
        },
        component: verb.component.clone(),
        dry_run: verb.action.dry_run,
        ..Answer::default()
    };
    let begun = Instant::now();
    let mut zabbix = None;
    let result = try_scale(verb, environment, &mut zabbix, &mut answer).await;
    answer.elapsed_ms = begun.elapsed().as_millis();
    outcome::finish(answer, result, zabbix, verb.action.json, environment).await
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
    )?;
    let dry_run = verb.action.dry_run;
    let (state, lock) = session.state(dry_run, environment, deadline).await?;
    let run = Run {
        verb,
        session: &session,
        state: &state,
        lock: lock.as_ref(),
        deadline,
    };
    let work = async {
        loop {
            match run.once(answer).await {
                // Someone else changed the service in between: look and decide anew.
                Err(Error::OutOfSequence(_)) if Instant::now() < deadline.work => {}
                result => return result,
            }
        }
    };
    timeout_at(deadline.cleared, work)
        .await
        .unwrap_or(Err(Error::Timeout))
}

struct Run<'a> {
    verb: &'a cli::Scale,
    session: &'a Session,
    state: &'a State,
    /// Absent in a dry run, which needs none.
    lock: Option<&'a Lock>,
    deadline: Deadline,
}

/// What there is before a step.
struct Observed {
    service: Option<Service>,
    project: String,
    record: Record,
}

impl Run<'_> {
    async fn once(&self, answer: &mut Answer) -> Result<(), Error> {
        let settings = &self.session.settings;
        let mut observed = self.observe().await?;
        let running = self.running(&observed)?;
        outcome::found(answer, observed.service.as_ref(), settings);
        answer.from = Some(Quantity::Count(running));
        answer.target = answer.from.clone();
        answer.running = Some(running);
        let step = Step {
            direction: self.verb.direction,
            current: self.verb.current,
            increment: self.verb.increment,
        };
        let decision = plan::decide(
            step,
            running,
            &settings.rules,
            observed.record.history,
            now(),
        );
        let Some(target) = outcome::decided(answer, decision) else {
            return Ok(());
        };
        answer.target = Some(Quantity::Count(target));
        match (self.lock, observed.service.take()) {
            (None, service) => rehearse(service.as_ref(), target, answer),
            (Some(lock), Some(Service::Swarm(service))) => {
                self.swarm(lock, &service, observed, target, answer).await
            }
            (Some(lock), Some(Service::Compose(service))) if self.verb.action.via.is_none() => {
                self.compose(lock, &service, observed, target, answer).await
            }
            (Some(lock), service) => {
                self.program(lock, service.as_ref(), observed, target, answer)
                    .await
            }
        }
    }

    /// Looks for the service, and first clears away what an earlier run left half made.
    async fn observe(&self) -> Result<Observed, Error> {
        let service = self.session.locate().await?;
        let project = match &service {
            Some(Service::Compose(service)) => service.project.clone(),
            Some(Service::Swarm(service)) => service.name.clone(),
            None => self
                .session
                .settings
                .project
                .clone()
                .ok_or_else(|| self.session.missing())?,
        };
        let mut record = self.state.read(&project)?;
        let (Some(lock), Some(Service::Compose(found)), false) =
            (self.lock, &service, record.unfinished.is_empty())
        else {
            return Ok(Observed {
                service,
                project,
                record,
            });
        };
        let names = std::mem::take(&mut record.unfinished);
        let (_, left) = compose::clear(
            &self.session.engine,
            found,
            &names,
            false,
            self.deadline.work,
        )
        .await;
        record.unfinished = left;
        self.state.write(lock, &project, &record)?;
        Ok(Observed {
            service: self.session.locate().await?,
            project,
            record,
        })
    }

    fn running(&self, observed: &Observed) -> Result<u32, Error> {
        let settings = &self.session.settings;
        match &observed.service {
            Some(Service::Compose(service)) => Ok(service.running()),
            Some(Service::Swarm(service)) => service.replicas(),
            // Nothing is there yet: only a compose file can say what it is to be.
            None if settings.engine == Some(cli::Engine::Swarm)
                || self.session.files(None).is_empty() =>
            {
                Err(self.session.missing())
            }
            None => Ok(0),
        }
    }

    async fn compose(
        &self,
        lock: &Lock,
        service: &compose::Service,
        mut observed: Observed,
        target: u32,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let engine = &self.session.engine;
        let plan = service.plan(target)?;
        if !plan.create.is_empty() {
            observed
                .record
                .unfinished
                .extend(plan.create.iter().map(|(_, name)| name.clone()));
            self.state
                .write(lock, &observed.project, &observed.record)?;
        }
        let change = compose::execute(engine, service, &plan, self.deadline).await;
        observed.record.unfinished = change.unfinished;
        (answer.started, answer.removed, answer.stopping) =
            (change.started, change.removed, change.stopping);
        answer.running = Some(left(service, answer));
        if [&answer.started, &answer.removed, &answer.stopping]
            .iter()
            .any(|names| !names.is_empty())
        {
            self.note(&mut observed.record);
        }
        self.state
            .write(lock, &observed.project, &observed.record)?;
        if let Some(error) = change.error {
            return ended(answer, error);
        }
        self.healthy(answer).await
    }

    async fn swarm(
        &self,
        lock: &Lock,
        service: &swarm::Service,
        mut observed: Observed,
        target: u32,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let engine = &self.session.engine;
        service.scale(engine, target).await?;
        // From here on the Swarm goes on by itself, whatever becomes of this run.
        self.note(&mut observed.record);
        self.state
            .write(lock, &observed.project, &observed.record)?;
        if self.verb.direction == Direction::Up {
            service.wait_running(engine, target, self.deadline).await?;
        }
        answer.running = Some(target);
        Ok(())
    }

    async fn program(
        &self,
        lock: &Lock,
        service: Option<&Service>,
        mut observed: Observed,
        target: u32,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let service = match service {
            Some(Service::Compose(service)) => Some(service),
            _ => None,
        };
        let (name, files) = (&self.session.settings.service, self.session.files(service));
        program::scale(
            &self.way()?,
            &files,
            &observed.project,
            name,
            target,
            self.deadline,
        )
        .await?;
        self.note(&mut observed.record);
        self.state
            .write(lock, &observed.project, &observed.record)?;
        let engine = &self.session.engine;
        let after = compose::find(engine, Some(&observed.project), Some(name)).await?;
        answer.running = Some(after.iter().map(compose::Service::running).sum());
        let before = service.map_or(&[][..], |service| &service.instances);
        let after: Vec<_> = after.into_iter().flat_map(|s| s.instances).collect();
        (answer.started, answer.removed) = changed(before, &after);
        self.healthy(answer).await
    }

    /// Waits for the health of what was started, where that is asked for.
    async fn healthy(&self, answer: &Answer) -> Result<(), Error> {
        if !self.verb.action.wait {
            return Ok(());
        }
        compose::wait_healthy(&self.session.engine, &answer.started, self.deadline.work).await
    }

    /// Notes that a step was made, from which its cool-down counts.
    fn note(&self, record: &mut Record) {
        match self.verb.direction {
            Direction::Up => record.history.up = Some(now()),
            Direction::Down => record.history.down = Some(now()),
        }
    }

    fn way(&self) -> Result<Way, Error> {
        match (&self.session.engine.address, &self.session.pems) {
            (Address::Tcp(host, port), Some(pems)) => {
                let tunnel = Tunnel::open(self.state.folder(), host, *port, pems.client_config()?);
                tunnel.map(Way::Tunnel).map_err(Error::Tunnel)
            }
            (address, _) => Ok(Way::Open(address.to_string())),
        }
    }
}

/// Notes what would be done.
fn rehearse(service: Option<&Service>, target: u32, answer: &mut Answer) -> Result<(), Error> {
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

/// The names of the containers that were started in between, also of new ones that have ended already, and of those that
/// were removed.
fn changed(
    before: &[compose::Instance],
    after: &[compose::Instance],
) -> (Vec<String>, Vec<String>) {
    let runs = |instance: &compose::Instance| instance.state == compose::State::Running;
    let is_started = |new: &&compose::Instance| {
        let old = before.iter().find(|old| old.id == new.id);
        old.is_none_or(|old| runs(new) && !runs(old))
    };
    let is_gone = |old: &&compose::Instance| after.iter().all(|new| new.id != old.id);
    let name = |instance: &compose::Instance| instance.name.clone();
    (
        after.iter().filter(is_started).map(name).collect(),
        before.iter().filter(is_gone).map(name).collect(),
    )
}

/// How many replicas run after what was done to them.
fn left(service: &compose::Service, answer: &Answer) -> u32 {
    let gone = |name| answer.removed.contains(name);
    let before = service
        .instances
        .iter()
        .filter(|instance| instance.state == compose::State::Running);
    let kept = before.filter(|instance| !gone(&instance.name)).count();
    // No engine runs 2^32 containers.
    (kept + answer.started.len()) as u32
}

/// What an execution comes to that did not reach its end.
fn ended(answer: &mut Answer, error: Error) -> Result<(), Error> {
    if matches!(error, Error::Timeout) && !answer.stopping.is_empty() {
        answer.reason.push_str(&format!(
            "; still stopping, for as long as their own grace lasts: {}; the next step removes what has stopped",
            answer.stopping.join(", ")
        ));
        return Ok(());
    }
    let changed = answer.started.len() + answer.removed.len();
    if changed > 0 {
        answer.reason.push_str(&format!(
            "; {changed} containers were changed before it failed"
        ));
    }
    Err(error)
}
