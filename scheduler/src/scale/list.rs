//! The verb list: what runs.

use std::io::{self, Write};

use serde::Serialize;
use tokio::time::timeout_at;

use super::outcome::print_json;
use super::session::{Service, Session, Zabbix};
use super::{Deadline, Error, compose, swarm};
use crate::cli;
use crate::environment::Environment;
use crate::report::Exit;
use crate::settings;

/// The services found.
#[derive(Debug, Serialize)]
struct Listing {
    services: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Found {
    engine: &'static str,
    project: Option<String>,
    service: String,
    running: u32,
    replicas: Vec<Replica>,
}

#[derive(Debug, Serialize)]
struct Replica {
    name: String,
    status: String,
    image: String,
}

/// Prints a component's replicas, or those of all services of the project.
pub async fn list(verb: &cli::List, environment: &Environment) -> Result<Exit, Error> {
    let deadline = Deadline::after(settings::timeout(&verb.target, environment)?);
    let component = verb.component.as_deref().unwrap_or_default();
    let zabbix = match verb.component {
        Some(_) => Zabbix::open(component, environment, deadline).await?,
        None => None,
    };
    let listing = listing(verb, zabbix.as_ref(), environment, deadline);
    let listing = timeout_at(deadline.cleared, listing)
        .await
        .unwrap_or(Err(Error::Timeout));
    if let Some(zabbix) = zabbix {
        zabbix.log_out().await;
    }
    let listing = listing?;
    if verb.json {
        print_json(&listing);
    } else {
        // A closed pipe is no reason to fail: there is nobody left to tell.
        let _ = print(&listing, io::stdout().lock());
    }
    Ok(Exit::Done)
}

async fn listing(
    verb: &cli::List,
    zabbix: Option<&Zabbix>,
    environment: &Environment,
    deadline: Deadline,
) -> Result<Listing, Error> {
    let component = verb.component.as_deref().unwrap_or_default();
    let (bounds, limits) = (cli::Bounds::default(), cli::Limits::default());
    let session = Session::open(
        component,
        &verb.target,
        &bounds,
        &limits,
        zabbix,
        environment,
        deadline,
    )?;
    let found = match verb.component {
        Some(_) => vec![session.locate().await?.ok_or_else(|| session.missing())?],
        None => session.all().await?,
    };
    let mut listing = Listing {
        services: Vec::new(),
    };
    for service in found {
        listing.services.push(match service {
            Service::Compose(service) => composed(service),
            Service::Swarm(service) => swarmed(&session, *service).await?,
        });
    }
    Ok(listing)
}

fn composed(service: compose::Service) -> Found {
    let running = service.running();
    let replicas = service.instances.into_iter().map(|instance| Replica {
        name: instance.name,
        status: instance.status,
        image: instance.image,
    });
    Found {
        engine: "compose",
        running,
        replicas: replicas.collect(),
        project: Some(service.project),
        service: service.name,
    }
}

async fn swarmed(session: &Session, service: swarm::Service) -> Result<Found, Error> {
    let tasks = service.tasks(&session.engine).await?;
    let wanted = tasks.iter().filter(|task| swarm::is_wanted(task));
    let mut replicas: Vec<Replica> = wanted
        .map(|task| swarm_replica(&service.name, task))
        .collect();
    replicas.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Found {
        engine: "swarm",
        project: None,
        running: swarm::running(&tasks),
        replicas,
        service: service.name,
    })
}

fn swarm_replica(service: &str, task: &bollard::models::Task) -> Replica {
    let status = task.status.clone().unwrap_or_default();
    let state = status
        .state
        .map_or_else(String::new, |state| state.to_string());
    let error = status
        .err
        .filter(|error| !error.is_empty())
        .map(|error| format!(": {error}"));
    let container = task
        .spec
        .as_ref()
        .and_then(|spec| spec.container_spec.as_ref());
    // A global service's tasks have no numbers: there is one on each node.
    let place = match task.slot {
        Some(number) if number > 0 => number.to_string(),
        _ => task.node_id.clone().unwrap_or_default(),
    };
    Replica {
        name: format!("{service}.{place}"),
        status: state + &error.unwrap_or_default(),
        image: container
            .and_then(|container| container.image.clone())
            .unwrap_or_default(),
    }
}

fn print(listing: &Listing, mut out: impl Write) -> io::Result<()> {
    let replicas = || {
        listing
            .services
            .iter()
            .flat_map(|service| &service.replicas)
    };
    let wide = |column: fn(&Replica) -> &str, title: &str| {
        replicas()
            .map(|replica| column(replica).chars().count())
            .max()
            .unwrap_or(0)
            .max(title.len())
    };
    let (name, status) = (
        wide(|replica| &replica.name, "NAME"),
        wide(|replica| &replica.status, "STATUS"),
    );
    writeln!(out, "{:name$}  {:status$}  IMAGE", "NAME", "STATUS")?;
    for replica in replicas() {
        writeln!(
            out,
            "{:name$}  {:status$}  {}",
            replica.name, replica.status, replica.image
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_a_table() {
        let replica = |name: &str, status: &str| Replica {
            name: name.into(),
            status: status.into(),
            image: "shop:1".into(),
        };
        let service = Found {
            engine: "compose",
            project: Some("p".into()),
            service: "web".into(),
            running: 1,
            replicas: vec![
                replica("p_web_1", "Up 2 seconds"),
                replica("p_web_10", "Exited"),
            ],
        };
        let mut out = Vec::new();
        print(
            &Listing {
                services: vec![service],
            },
            &mut out,
        )
        .unwrap();
        let expected = "NAME      STATUS        IMAGE\np_web_1   Up 2 seconds  shop:1\np_web_10  Exited        shop:1\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
