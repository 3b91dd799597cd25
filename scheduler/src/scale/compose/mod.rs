//! Compose projects, through the Engine API: what there is, what is to be done (pure), and doing it.

mod execute;
mod replica;

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as Condition};
use bollard::query_parameters::ListContainersOptions;

pub use execute::{clear, execute, wait_healthy};

use self::replica::NUMBER;
use super::Error;
use crate::docker::Engine;

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const HASH: &str = "com.docker.compose.config-hash";
const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
const WORKING_DIR: &str = "com.docker.compose.project.working_dir";

/// A service of a Compose project.
#[derive(Debug, Clone)]
pub struct Service {
    /// The project.
    pub project: String,
    /// The service.
    pub name: String,
    /// Its containers, in the order of their numbers.
    pub instances: Vec<Instance>,
}

/// A container of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The engine's name for it.
    pub id: String,
    /// The container's name.
    pub name: String,
    /// Its number in the service.
    pub number: u32,
    /// What Compose knows its settings by.
    pub hash: String,
    /// When it was created, in seconds since 1970.
    pub created: i64,
    /// Whether it runs.
    pub state: State,
    /// The engine's words on its state.
    pub status: String,
    /// Its image: by name, or by id where the name means another image by now.
    pub image: String,
    /// The compose files that it was made from.
    pub files: Vec<PathBuf>,
}

/// What a container counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, is paused, or is restarting.
    Running,
    /// It can be started.
    Stopped,
    /// It is going away.
    Gone,
}

/// What is to be done to a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The containers to start, by their place among the instances.
    pub start: Vec<usize>,
    /// The containers to make: number and name.
    pub create: Vec<(u32, String)>,
    /// The containers to stop and remove, by their place among the instances.
    pub remove: Vec<usize>,
}

/// The services called `name`, of `project` or of any; all of the project's where no name is given.
pub async fn find(
    engine: &Engine,
    project: Option<&str>,
    name: Option<&str>,
) -> Result<Vec<Service>, Error> {
    let mut labels = vec![format!("{ONE_OFF}=False")];
    labels.push(project.map_or(PROJECT.to_owned(), |project| format!("{PROJECT}={project}")));
    labels.extend(name.map(|name| format!("{SERVICE}={name}")));
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("label".to_owned(), labels)])),
        ..ListContainersOptions::default()
    };
    let found = engine.api.list_containers(Some(options)).await;
    let mut services: Vec<Service> = Vec::new();
    for container in
        found.map_err(|error| engine.error("cannot ask the engine for its containers", error))?
    {
        let labels = container.labels.clone().unwrap_or_default();
        let (Some(project), Some(name)) = (labels.get(PROJECT), labels.get(SERVICE)) else {
            continue;
        };
        let instance = Instance::new(&container, &labels);
        match services
            .iter_mut()
            .find(|service| &service.project == project && &service.name == name)
        {
            Some(service) => service.instances.push(instance),
            None => services.push(Service {
                project: project.clone(),
                name: name.clone(),
                instances: vec![instance],
            }),
        }
    }
    for service in &mut services {
        service.instances.sort_by_key(|instance| instance.number);
    }
    services.sort_by(|a, b| (&a.project, &a.name).cmp(&(&b.project, &b.name)));
    Ok(services)
}

impl Instance {
    fn new(container: &ContainerSummary, labels: &HashMap<String, String>) -> Self {
        let names = container.names.iter().flatten();
        // A linked container has names of its links too: a/b.
        let name = names
            .map(|name| name.trim_start_matches('/'))
            .find(|name| !name.contains('/'));
        let folder = PathBuf::from(labels.get(WORKING_DIR).map_or("", String::as_str));
        let files = labels
            .get(CONFIG_FILES)
            .map_or("", String::as_str)
            .split(',');
        Self {
            id: container.id.clone().unwrap_or_default(),
            name: name.unwrap_or_default().to_owned(),
            number: labels
                .get(NUMBER)
                .and_then(|number| number.parse().ok())
                .unwrap_or(0),
            hash: labels.get(HASH).cloned().unwrap_or_default(),
            created: container.created.unwrap_or(0),
            state: match container.state {
                Some(Condition::RUNNING | Condition::PAUSED | Condition::RESTARTING) => {
                    State::Running
                }
                Some(Condition::CREATED | Condition::EXITED) => State::Stopped,
                _ => State::Gone,
            },
            status: container.status.clone().unwrap_or_default(),
            image: container.image.clone().unwrap_or_default(),
            files: files
                .filter(|file| !file.is_empty())
                .map(|file| folder.join(file))
                .collect(),
        }
    }
}

impl Service {
    /// How many replicas run.
    pub fn running(&self) -> u32 {
        // No engine runs 2^32 containers.
        self.instances
            .iter()
            .filter(|instance| instance.state == State::Running)
            .count() as u32
    }

    /// What brings the service to `target` running replicas.
    pub fn plan(&self, target: u32) -> Result<Plan, Error> {
        let running = self.running();
        if target >= running {
            self.plan_up((target - running) as usize)
        } else {
            Ok(self.plan_down(target as usize))
        }
    }

    /// Stopped replicas first, as Compose does; then new ones behind the highest number, gaps not filled.
    fn plan_up(&self, more: usize) -> Result<Plan, Error> {
        let current = self.newest().map(|newest| &newest.hash);
        let mut start = self.places(State::Stopped);
        start.sort_by_key(|&place| {
            (
                Some(&self.instances[place].hash) != current,
                self.instances[place].number,
            )
        });
        start.truncate(more);
        let missing = more - start.len();
        let highest = self
            .instances
            .iter()
            .map(|instance| instance.number)
            .max()
            .unwrap_or(0);
        let numbers = (1..=missing as u32).map(|nth| highest + nth);
        let create = if missing == 0 {
            Vec::new()
        } else {
            let separator = self.separator()?;
            let name = |number: u32| {
                [self.project.as_str(), &self.name, &number.to_string()].join(separator)
            };
            numbers.map(|number| (number, name(number))).collect()
        };
        Ok(Plan {
            start,
            create,
            remove: Vec::new(),
        })
    }

    /// What stands idle goes first, then what is obsolete, then the highest numbers.
    fn plan_down(&self, target: usize) -> Plan {
        let current = self.newest().map(|newest| &newest.hash);
        let mut remove = self.places(State::Running);
        remove.extend(self.places(State::Stopped));
        remove.sort_by_key(|&place| {
            let instance = &self.instances[place];
            let is_current = Some(&instance.hash) == current;
            (
                instance.state == State::Running,
                is_current,
                std::cmp::Reverse(instance.number),
            )
        });
        remove.truncate(remove.len().saturating_sub(target));
        Plan {
            remove,
            ..Plan::default()
        }
    }

    fn places(&self, state: State) -> Vec<usize> {
        (0..self.instances.len())
            .filter(|&place| self.instances[place].state == state)
            .collect()
    }

    /// The container that Compose made last, whose settings are the service's.
    pub fn newest(&self) -> Option<&Instance> {
        self.instances
            .iter()
            .filter(|instance| instance.state != State::Gone)
            .max_by_key(|instance| (instance.created, instance.number))
    }

    /// What stands between the parts of a name: `_` of Compose 1, `-` of Compose 2.
    fn separator(&self) -> Result<&'static str, Error> {
        let is_made_with = |separator: &&str| {
            self.instances.iter().any(|instance| {
                let number = instance.number.to_string();
                instance.name == [self.project.as_str(), &self.name, &number].join(separator)
            })
        };
        ["-", "_"]
            .into_iter()
            .find(is_made_with)
            .ok_or_else(|| Error::FixedName {
                service: self.name.clone(),
                name: self
                    .newest()
                    .map_or_else(String::new, |newest| newest.name.clone()),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn instance(number: u32, state: State, hash: &str, created: i64) -> Instance {
        Instance {
            id: format!("id{number}"),
            name: format!("p_web_{number}"),
            number,
            hash: hash.to_owned(),
            created,
            state,
            status: String::new(),
            image: String::new(),
            files: Vec::new(),
        }
    }

    fn service(instances: Vec<Instance>) -> Service {
        Service {
            project: "p".into(),
            name: "web".into(),
            instances,
        }
    }

    fn numbers(service: &Service, places: &[usize]) -> Vec<u32> {
        places
            .iter()
            .map(|&place| service.instances[place].number)
            .collect()
    }

    #[test]
    fn new_replicas_follow_the_highest_number_and_gaps_stay() {
        let service = service(vec![
            instance(1, State::Running, "a", 1),
            instance(4, State::Running, "a", 2),
        ]);
        let plan = service.plan(4).unwrap();
        assert_eq!(
            plan.create,
            [(5, "p_web_5".to_owned()), (6, "p_web_6".to_owned())]
        );
        assert!(plan.start.is_empty() && plan.remove.is_empty());
    }

    #[test]
    fn names_are_those_of_the_compose_that_made_the_project() {
        let mut second = instance(1, State::Running, "a", 1);
        second.name = "p-web-1".into();
        assert_eq!(
            service(vec![second]).plan(2).unwrap().create[0].1,
            "p-web-2"
        );
    }

    #[test]
    fn a_fixed_container_name_forbids_a_second_one() {
        let mut named = instance(1, State::Running, "a", 1);
        named.name = "frontend".into();
        let error = service(vec![named]).plan(2).unwrap_err().to_string();
        assert!(
            error.contains("container_name") && error.contains("frontend"),
            "{error}"
        );
    }

    #[test]
    fn stopped_replicas_are_started_before_new_ones_are_made() {
        let service = service(vec![
            instance(1, State::Running, "a", 1),
            instance(2, State::Stopped, "a", 2),
            instance(3, State::Gone, "a", 3),
        ]);
        let plan = service.plan(3).unwrap();
        assert_eq!(numbers(&service, &plan.start), [2]);
        assert_eq!(plan.create, [(4, "p_web_4".to_owned())]);
    }

    #[test]
    fn idle_then_obsolete_then_the_highest_numbers_go() {
        let service = service(vec![
            instance(1, State::Running, "old", 1),
            instance(2, State::Running, "new", 9),
            instance(3, State::Running, "new", 9),
            instance(4, State::Stopped, "new", 9),
        ]);
        assert_eq!(numbers(&service, &service.plan(2).unwrap().remove), [4, 1]);
        assert_eq!(
            numbers(&service, &service.plan(1).unwrap().remove),
            [4, 1, 3]
        );
    }

    prop_compose! {
        fn any_service()(states in proptest::collection::vec((0..3u8, 0..3u8, 0..9i64), 1..12)) -> Service {
            let instances = states.into_iter().enumerate().map(|(place, (state, hash, created))| {
                let state = [State::Running, State::Stopped, State::Gone][usize::from(state)];
                instance(place as u32 * 2 + 1, state, &hash.to_string(), created)
            });
            service(instances.collect())
        }
    }

    /// The service after its plan was executed.
    fn after(service: &Service, plan: &Plan) -> Service {
        let mut after = service.clone();
        plan.start
            .iter()
            .for_each(|&place| after.instances[place].state = State::Running);
        let newest = service
            .newest()
            .map_or_else(String::new, |newest| newest.hash.clone());
        after.instances.extend(
            plan.create
                .iter()
                .map(|(number, _)| instance(*number, State::Running, &newest, 9)),
        );
        let removed: Vec<u32> = numbers(service, &plan.remove);
        after
            .instances
            .retain(|instance| !removed.contains(&instance.number));
        after
    }

    proptest! {
        #[test]
        fn a_plan_ends_at_its_target_and_goes_one_way(service in any_service(), target in 0..20u32) {
            let plan = service.plan(target).unwrap();
            let after = after(&service, &plan);
            prop_assert_eq!(after.running(), target);
            let adds = !plan.start.is_empty() || !plan.create.is_empty();
            prop_assert!(!adds || plan.remove.is_empty());
            prop_assert!(!adds || target > service.running());
            prop_assert!(plan.remove.is_empty() || target < service.running());
            let mut all: Vec<u32> = after.instances.iter().map(|instance| instance.number).collect();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), after.instances.len(), "a number is given once");
        }

        #[test]
        fn a_plan_that_was_executed_leaves_nothing_to_do(service in any_service(), target in 0..20u32) {
            let after = after(&service, &service.plan(target).unwrap());
            prop_assert_eq!(after.plan(target).unwrap(), Plan::default());
        }
    }
}
