//! How a run's outcome is told: on standard output, in the audit, to Zabbix.

use serde::Serialize;

use super::plan::Decision;
use super::session::{Service, Zabbix};
use super::{Error, now, state};
use crate::environment::Environment;
use crate::report::{Answer, Exit, Outcome};
use crate::settings::{self, Settings};

/// Notes where the service was found.
pub fn found(answer: &mut Answer, service: Option<&Service>, settings: &Settings) {
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

/// Notes a decision, and returns what is to be changed to.
pub fn decided<T>(answer: &mut Answer, decision: Decision<T>) -> Option<T> {
    let (result, reason, target) = match decision {
        Decision::Change(target, reason) => (Outcome::Done, reason, Some(target)),
        Decision::Already(reason) => (Outcome::Unchanged, reason, None),
        Decision::Held(reason) => (Outcome::Held, reason, None),
    };
    answer.result = result;
    answer.reason = reason;
    target
}

/// Prints the outcome, notes it in the audit, tells it to Zabbix.
pub async fn finish(
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
        audit(&answer, environment);
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

/// Prints the one object of a run.
pub fn print_json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("concierge_scheduler: {error}"),
    }
}

/// A run that cannot be noted was still made: that is told, and changes nothing else.
fn audit(answer: &Answer, environment: &Environment) {
    let line = serde_json::to_value(answer).map(|mut line| {
        line["clock"] = now().into();
        line.to_string()
    });
    let noted = line.map_err(|error| error.to_string()).and_then(|line| {
        state::audit(&settings::state_dir(environment), &line).map_err(|error| error.to_string())
    });
    if let Err(error) = noted {
        eprintln!("concierge_scheduler: the audit misses this run: {error}");
    }
}
