//! The service host of a component in Zabbix: its inventory's credentials, its macros, its items.

use std::collections::HashMap;

use serde_json::{Value, json};
use thiserror::Error;

use crate::pem::{self, Pems};
use crate::settings::Macros;
use crate::zabbix::{self, Client, Request};

/// The trapper items that take a run's outcome, where a host has them.
pub const ANSWER_ITEMS: [&str; 3] = ["scale.target", "scale.result", "scale.reason"];
/// How deep templates may be nested before this stops following them.
const MAX_DEPTH: usize = 10;

/// The host that stands for a component.
#[derive(Debug)]
pub struct ServiceHost {
    /// Zabbix's id of it.
    pub id: String,
    /// Its technical name.
    pub name: String,
    key: String,
    ca: String,
    certificate: String,
}

/// Why the service host cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// The API failed.
    #[error(transparent)]
    Zabbix(#[from] zabbix::Error),
    /// Two hosts claim the component.
    #[error("{hosts} have the inventory alias {component:?}; let one of them have it", hosts = hosts.join(" and "))]
    Ambiguous {
        /// The component.
        component: String,
        /// The hosts.
        hosts: Vec<String>,
    },
    /// No host stands for the component.
    #[error("no host in Zabbix has the inventory alias or the name {0:?}")]
    Missing(String),
    /// The inventory's credentials.
    #[error(transparent)]
    Pem(#[from] pem::Error),
}

impl ServiceHost {
    /// The host whose inventory alias, else whose name, is exactly `component`.
    pub async fn find(client: &Client, component: &str) -> Result<Option<Self>, Error> {
        let by_alias = json!({
            "output": ["hostid", "host"],
            "selectInventory": ["alias"],
            "searchInventory": {"alias": component},
        });
        let by_name = json!({"output": ["hostid", "host"], "filter": {"host": [component]}});
        let requests = [by_alias, by_name].map(|params| Request::new("host.get", params));
        let mut answers = client.call_all(&requests).await.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Value::Null)).map(rows);
        // The search finds parts of aliases too.
        let aliased: Vec<Value> = next()?
            .into_iter()
            .filter(|host| host["inventory"]["alias"] == component)
            .collect();
        let named = next()?;
        if aliased.len() > 1 {
            let hosts = aliased.iter().map(|host| text(host, "host")).collect();
            return Err(Error::Ambiguous {
                component: component.to_owned(),
                hosts,
            });
        }
        let Some(host) = aliased.into_iter().chain(named).next() else {
            return Ok(None);
        };
        let id = text(&host, "hostid");
        let inventory = Request::new(
            "host.get",
            json!({
                "output": ["hostid"],
                "hostids": [id],
                "selectInventory": ["notes", "poc_1_notes", "poc_2_notes"],
            }),
        );
        let answer = rows(client.call(&inventory).await?);
        let inventory = answer
            .first()
            .map_or(&Value::Null, |host| &host["inventory"]);
        Ok(Some(Self {
            name: text(&host, "host"),
            key: text(inventory, "notes"),
            ca: text(inventory, "poc_1_notes"),
            certificate: text(inventory, "poc_2_notes"),
            id,
        }))
    }

    /// The inventory's credentials, if it holds any at all.
    pub fn pems(&self) -> Result<Option<Pems>, Error> {
        let texts = [&self.key, &self.ca, &self.certificate];
        if texts.iter().all(|text| !text.contains("-----BEGIN")) {
            return Ok(None);
        }
        let source = format!("inventory of the host {}", self.name);
        Ok(Some(Pems::mend(
            &self.key,
            &self.ca,
            &self.certificate,
            &source,
        )?))
    }

    /// Stores credentials into the inventory, which is switched on where it is off.
    pub async fn store(&self, client: &Client, pems: &Pems) -> Result<(), Error> {
        let [(_, key), (_, ca), (_, certificate)] = pems.files();
        let mode = json!({"output": ["inventory_mode"], "hostids": [self.id]});
        let hosts = rows(client.call(&Request::new("host.get", mode)).await?);
        let mode = hosts
            .first()
            .map_or_else(String::new, |host| text(host, "inventory_mode"));
        let mut params = json!({
            "hostid": self.id,
            "inventory": {"notes": key, "poc_1_notes": ca, "poc_2_notes": certificate},
        });
        if mode != "0" && mode != "1" {
            params["inventory_mode"] = json!(0);
        }
        client.call(&Request::new("host.update", params)).await?;
        Ok(())
    }

    /// Which of [`ANSWER_ITEMS`] the host has.
    pub async fn answer_items(&self, client: &Client) -> Result<Vec<String>, Error> {
        let params =
            json!({"output": ["key_"], "hostids": [self.id], "filter": {"key_": ANSWER_ITEMS}});
        let items = rows(client.call(&Request::new("item.get", params)).await?);
        Ok(items.iter().map(|item| text(item, "key_")).collect())
    }
}

/// The macros that hold for `host`: its own, else those of its templates, the nearest first, else the global ones.
pub async fn macros(client: &Client, host: Option<&ServiceHost>) -> Result<Macros, Error> {
    let global = json!({"output": ["macro", "value"], "globalmacro": true});
    let mut found = Macros::new();
    let mut levels = match host {
        Some(host) => templates(client, &host.id).await?,
        None => Vec::new(),
    };
    if let Some(host) = host {
        levels.insert(0, vec![host.id.clone()]);
    }
    let owners: Vec<&String> = levels.iter().flatten().collect();
    let own = json!({"output": ["hostid", "macro", "value"], "hostids": owners});
    let mut requests = vec![Request::new("usermacro.get", global)];
    if !owners.is_empty() {
        requests.push(Request::new("usermacro.get", own));
    }
    let mut answers = Vec::new();
    for answer in client.call_all(&requests).await {
        answers.extend(rows(answer?));
    }
    // Of one level the lowest id wins, as it does in Zabbix.
    let place: HashMap<&String, usize> = owners
        .iter()
        .enumerate()
        .map(|(place, owner)| (*owner, place))
        .collect();
    let rank = |row: &Value| {
        row["hostid"]
            .as_str()
            .and_then(|id| place.get(&id.to_owned()).copied())
            .unwrap_or(usize::MAX)
    };
    answers.sort_by_key(rank);
    for row in &answers {
        // A secret macro has no value here, and counts as unset.
        if row.get("value").is_some() {
            found
                .entry(text(row, "macro"))
                .or_insert_with(|| text(row, "value"));
        }
    }
    Ok(found)
}

/// The ids of a host's templates, level by level.
async fn templates(client: &Client, host: &str) -> Result<Vec<Vec<String>>, Error> {
    let params =
        json!({"output": ["hostid"], "hostids": [host], "selectParentTemplates": ["templateid"]});
    let mut above = parents(&rows(client.call(&Request::new("host.get", params)).await?));
    let mut levels = Vec::new();
    while !above.is_empty() && levels.len() < MAX_DEPTH {
        let params = json!({"output": ["templateid"], "templateids": above, "selectParentTemplates": ["templateid"]});
        let next = parents(&rows(
            client.call(&Request::new("template.get", params)).await?,
        ));
        levels.push(std::mem::replace(&mut above, next));
    }
    Ok(levels)
}

fn parents(rows: &[Value]) -> Vec<String> {
    let ids = rows
        .iter()
        .filter_map(|row| row["parentTemplates"].as_array())
        .flatten();
    let mut ids: Vec<String> = ids.map(|template| text(template, "templateid")).collect();
    ids.sort_by_key(|id| id.parse().unwrap_or(u64::MAX));
    ids.dedup();
    ids
}

fn rows(answer: Value) -> Vec<Value> {
    match answer {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    }
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}
