//! The vertical verbs: one more, or one less, of memory or CPU for each replica.

use tokio::time::Instant;

use super::limit::{self, Resource};
use super::plan::Decision;
use super::session::{Service, Session, Zabbix};
use super::vertical;
use super::{Deadline, Error, outcome};
use crate::cli::{self, Amount, Direction};
use crate::environment::Environment;
use crate::report::{Answer, Exit, Quantity};
use crate::settings;

/// Raises or lowers a limit.
pub async fn resize(verb: &cli::Resize, environment: &Environment) -> Exit {
    let mut answer = Answer {
        verb: match (verb.direction, verb.amount) {
            (Direction::Up, Amount::Memory(_)) => "increase_memory",
            (Direction::Down, Amount::Memory(_)) => "decrease_memory",
            (Direction::Up, Amount::Cpu(_)) => "increase_cpu",
            (Direction::Down, Amount::Cpu(_)) => "decrease_cpu",
        },
        component: verb.component.clone(),
        dry_run: verb.action.dry_run,
        ..Answer::default()
    };
    let begun = Instant::now();
    let mut zabbix = None;
    let result = try_resize(verb, environment, &mut zabbix, &mut answer).await;
    answer.elapsed_ms = begun.elapsed().as_millis();
    outcome::finish(answer, result, zabbix, verb.action.json, environment).await
}

async fn try_resize(
    verb: &cli::Resize,
    environment: &Environment,
    zabbix: &mut Option<Zabbix>,
    answer: &mut Answer,
) -> Result<(), Error> {
    let deadline = Deadline::after(settings::timeout(&verb.target, environment)?);
    *zabbix = Zabbix::open(&verb.component, environment, deadline).await?;
    let bounds = cli::Bounds::default();
    let (target, limits) = (&verb.target, &verb.limits);
    let session = Session::open(
        &verb.component,
        target,
        &bounds,
        limits,
        zabbix.as_ref(),
        environment,
        deadline,
    )?;
    let dry_run = verb.action.dry_run;
    let (_state, _lock) = session.state(dry_run, environment, deadline).await?;
    let work = async {
        loop {
            match once(verb, &session, answer, deadline).await {
                Err(Error::OutOfSequence(_)) => {}
                result => return result,
            }
        }
    };
    tokio::time::timeout_at(deadline.cleared, work)
        .await
        .unwrap_or(Err(Error::Timeout))
}

async fn once(
    verb: &cli::Resize,
    session: &Session,
    answer: &mut Answer,
    deadline: Deadline,
) -> Result<(), Error> {
    let (resource, _) = verb.amount.parts();
    let (engine, settings) = (&session.engine, &session.settings);
    let service = session.locate().await?.ok_or_else(|| session.missing())?;
    outcome::found(answer, Some(&service), settings);
    let current = match &service {
        Service::Compose(service) => vertical::compose_limit(engine, service, resource).await?,
        Service::Swarm(service) => {
            // What has none is refused before anything is changed.
            service.replicas()?;
            vertical::swarm_limit(service, resource)
        }
    };
    let in_use = match (verb.direction, &service) {
        (Direction::Up, _) => 0,
        (Direction::Down, Service::Compose(service)) => {
            vertical::compose_in_use(engine, service, resource).await?
        }
        (Direction::Down, Service::Swarm(service)) => {
            vertical::swarm_in_use(engine, service, resource).await?
        }
    };
    answer.from = Some(shown(resource, current));
    answer.target = answer.from.clone();
    let decision = if settings.rules.paused {
        Decision::Held("scaling is paused".to_owned())
    } else {
        limit::decide(
            verb.direction,
            verb.amount,
            current,
            in_use,
            settings.ceiling,
        )?
    };
    let Some(target) = outcome::decided(answer, decision) else {
        return Ok(());
    };
    answer.target = Some(shown(resource, Some(target)));
    if verb.action.dry_run {
        return Ok(());
    }
    match &service {
        Service::Compose(service) => {
            vertical::set_compose_limit(engine, service, resource, target).await
        }
        Service::Swarm(service) => {
            vertical::set_swarm_limit(engine, service, resource, target).await?;
            if verb.action.wait {
                let replicas = service.replicas()?;
                service.wait_running(engine, replicas, deadline).await?;
            }
            Ok(())
        }
    }
}

fn shown(resource: Resource, limit: Option<u64>) -> Quantity {
    Quantity::Limit(limit.map_or_else(|| "unlimited".to_owned(), |limit| resource.show(limit)))
}
