//! What a reference may point to: which method lists it, which field is its id, and what names it.

use serde_json::{Value, json};

use crate::zabbix::{Request, Version, dialect};

/// A thing that has an id on one server and a name on all of them.
#[derive(Debug)]
pub struct Target {
    /// What users call it.
    pub name: &'static str,
    /// The prefix of its methods: `host` of `host.get`.
    pub api: &'static str,
    /// Its id field.
    pub id: &'static str,
    /// How it is named.
    pub naming: Naming,
    /// The first version that has it.
    pub since: Version,
}

/// How a thing is named.
#[derive(Debug, Clone, Copy)]
pub enum Naming {
    /// By one field.
    Field(fn(Version) -> &'static str),
    /// By its place in the menu, where that tells it from others of its name: a script.
    InMenu,
    /// By its place below its parents: a service.
    InTree,
    /// By its host and one field of its own; looked up as needed, for there may be very many.
    OnHost(&'static str),
    /// By its discovery rule and what it checks.
    Check,
    /// There is only one.
    Single,
}

impl Target {
    /// Asks for ids and names of all of them, or of those with these ids.
    pub fn by_ids(&self, version: Version, ids: Option<&[String]>) -> Request {
        let mut params = match self.naming {
            Naming::Field(field) => json!({"output": [self.id, field(version)]}),
            Naming::InMenu if dialect::scripts_by_menu_path(version) => {
                json!({"output": [self.id, "name", "menu_path"]})
            }
            Naming::InMenu => json!({"output": [self.id, "name"]}),
            Naming::InTree => {
                json!({"output": [self.id, "name"], dialect::service_parents(version): [self.id]})
            }
            Naming::OnHost(field) => {
                json!({"output": [self.id, field], "selectHosts": ["host"]})
            }
            Naming::Check | Naming::Single => json!({"output": "extend"}),
        };
        if self.api == "usermacro" {
            params["globalmacro"] = json!(true);
        }
        if self.api == "host"
            && let Some(output) = params["output"].as_array_mut()
        {
            output.push(json!("flags"));
        }
        if let Some(ids) = ids {
            params[format!("{}s", self.id)] = json!(ids);
        }
        Request::new(format!("{}.get", self.api), params)
    }

    /// Asks for those of these names, for targets that are looked up as needed.
    pub fn by_names(&self, names: &[Value]) -> Option<Request> {
        let Naming::OnHost(field) = self.naming else {
            return None;
        };
        let own: Vec<&Value> = names.iter().filter_map(|name| name.get(field)).collect();
        Some(Request::new(
            format!("{}.get", self.api),
            json!({"output": [self.id, field], "selectHosts": ["host"], "filter": {field: own}}),
        ))
    }

    /// The field that names it, where it is one field.
    pub fn name_field(&self, version: Version) -> Option<&'static str> {
        match self.naming {
            Naming::Field(field) => Some(field(version)),
            Naming::InMenu | Naming::InTree => Some("name"),
            Naming::OnHost(field) => Some(field),
            Naming::Check | Naming::Single => None,
        }
    }

    /// Whether all of them can be listed at once.
    pub fn is_listed_whole(&self) -> bool {
        !matches!(self.naming, Naming::OnHost(_) | Naming::Single)
    }
}
