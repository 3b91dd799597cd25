use std::time::Duration;

use serde_json::{Value, json};

use crate::{Error, Version};

/// The frontend's JSON-RPC API, logged in as Admin.
pub struct Api {
    url: String,
    version: Version,
    http: ureq::Agent,
    token: String,
}

/// One item of a host, as Zabbix holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// Its key, macros expanded.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its value type: 0 float, 1 character, 2 log, 3 unsigned, 4 text.
    pub value_type: u8,
    /// Whether a discovery rule made it.
    pub discovered: bool,
    /// Why it is not supported; empty while it is.
    pub error: String,
    /// Its last value, as text; empty while there is none.
    pub last_value: String,
    /// When that value was taken, seconds since 1970; 0 while there is none.
    pub last_clock: i64,
}

/// One value of an item's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The item's id.
    pub item: String,
    /// Seconds since 1970.
    pub clock: i64,
    /// Nanoseconds of that second.
    pub ns: u32,
    /// The value, as text.
    pub value: String,
}

impl Api {
    /// Logs in at a frontend.
    pub(crate) fn login(frontend: &str, version: Version) -> Result<Self, Error> {
        let http = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(300)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let url = format!("{frontend}api_jsonrpc.php");
        let mut api = Self {
            url,
            version,
            http,
            token: String::new(),
        };
        let user = if version < Version::V7_0 {
            "user"
        } else {
            "username"
        };
        let token = api.call("user.login", json!({user: "Admin", "password": "zabbix"}))?;
        api.token = text(&token);
        Ok(api)
    }

    /// Calls a method of the API and returns its result.
    pub fn call(&self, method: &str, params: Value) -> Result<Value, Error> {
        let mut body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = self
            .http
            .post(&self.url)
            .content_type("application/json-rpc");
        if !self.token.is_empty() {
            if self.version < Version::V7_0 {
                body["auth"] = json!(self.token);
            } else {
                request = request.header("Authorization", format!("Bearer {}", self.token));
            }
        }
        let failed = |message: String| Error::Api {
            method: method.into(),
            message,
        };
        let mut answer = request
            .send_json(&body)
            .map_err(|error| failed(error.to_string()))?;
        let body = answer.body_mut().with_config().limit(1 << 30);
        let text = body
            .read_to_string()
            .map_err(|error| failed(error.to_string()))?;
        let mut answer: Value =
            serde_json::from_str(&text).map_err(|_| failed(shortened(&text)))?;
        match answer.get("error") {
            Some(error) => Err(failed(format!("{} {}", error["message"], error["data"]))),
            None => Ok(answer["result"].take()),
        }
    }

    /// Imports templates from XML, as the frontend's import page does with every box ticked except deletion.
    pub fn import_template(&self, xml: &str) -> Result<(), Error> {
        let all = json!({"createMissing": true, "updateExisting": true});
        let new = json!({"createMissing": true});
        let mut rules = json!({
            "templates": all, "items": all, "discoveryRules": all, "triggers": all, "graphs": all,
            "httptests": all, "valueMaps": all, "templateLinkage": new,
        });
        match self.version {
            Version::V5_0 => {
                rules["groups"] = new.clone();
                rules["applications"] = new;
                rules["templateScreens"] = all;
            }
            Version::V6_0 => {
                rules["groups"] = all.clone();
                rules["templateDashboards"] = all;
            }
            Version::V7_0 => {
                rules["host_groups"] = all.clone();
                rules["template_groups"] = all.clone();
                rules["templateDashboards"] = all;
            }
        }
        let params = json!({"format": "xml", "rules": rules, "source": xml});
        self.call("configuration.import", params).map(drop)
    }

    /// Makes a host with an agent interface at 127.0.0.1:10050 and returns its id. Groups are made where missing;
    /// templates must be there.
    pub fn create_host(
        &self,
        name: &str,
        groups: &[&str],
        templates: &[&str],
        macros: &[(&str, &str)],
    ) -> Result<String, Error> {
        let groups = groups
            .iter()
            .map(|group| Ok(json!({"groupid": self.host_group(group)?})));
        let templates = templates
            .iter()
            .map(|template| Ok(json!({"templateid": self.template(template)?})));
        let macros = macros
            .iter()
            .map(|(name, value)| json!({"macro": name, "value": value}));
        let params = json!({
            "host": name,
            "interfaces": [{"type": 1, "main": 1, "useip": 1, "ip": "127.0.0.1", "dns": "", "port": "10050"}],
            "groups": groups.collect::<Result<Vec<_>, Error>>()?,
            "templates": templates.collect::<Result<Vec<_>, Error>>()?,
            "macros": macros.collect::<Vec<_>>(),
        });
        Ok(text(&self.call("host.create", params)?["hostids"][0]))
    }

    /// The items of a host, those that discovery made among them; discovery rules and prototypes are not.
    pub fn items(&self, host_id: &str) -> Result<Vec<Item>, Error> {
        let output = [
            "itemid",
            "key_",
            "name",
            "value_type",
            "flags",
            "error",
            "lastvalue",
            "lastclock",
        ];
        let items = self.call("item.get", json!({"hostids": host_id, "output": output}))?;
        Ok(rows(&items)
            .map(|item| Item {
                id: text(&item["itemid"]),
                key: text(&item["key_"]),
                name: text(&item["name"]),
                value_type: number(&item["value_type"]),
                discovered: text(&item["flags"]) == "4",
                error: text(&item["error"]),
                last_value: text(&item["lastvalue"]),
                last_clock: number(&item["lastclock"]),
            })
            .collect())
    }

    /// The whole history of some items, the oldest value first.
    pub fn history(&self, items: &[Item]) -> Result<Vec<Sample>, Error> {
        let mut samples = Vec::new();
        for value_type in 0..=4u8 {
            let ids: Vec<&str> = items
                .iter()
                .filter(|item| item.value_type == value_type)
                .map(|item| item.id.as_str())
                .collect();
            if ids.is_empty() {
                continue;
            }
            let params = json!({"history": value_type, "itemids": ids, "output": "extend"});
            samples.extend(rows(&self.call("history.get", params)?).map(|row| Sample {
                item: text(&row["itemid"]),
                clock: number(&row["clock"]),
                ns: number(&row["ns"]),
                value: text(&row["value"]),
            }));
        }
        samples.sort_by_key(|sample| (sample.clock, sample.ns));
        Ok(samples)
    }

    /// Has the server check items or discovery rules now, as the frontend's "Execute now" does.
    pub fn execute_now(&self, item_ids: &[&str]) -> Result<(), Error> {
        let params = item_ids
            .iter()
            .map(|id| json!({"type": 6, "request": {"itemid": id}}))
            .collect();
        self.call("task.create", params).map(drop)
    }

    fn host_group(&self, name: &str) -> Result<String, Error> {
        let found = self.call(
            "hostgroup.get",
            json!({"filter": {"name": name}, "output": ["groupid"]}),
        )?;
        if let Some(group) = rows(&found).next() {
            return Ok(text(&group["groupid"]));
        }
        Ok(text(
            &self.call("hostgroup.create", json!({"name": name}))?["groupids"][0],
        ))
    }

    fn template(&self, name: &str) -> Result<String, Error> {
        let found = self.call(
            "template.get",
            json!({"filter": {"host": name}, "output": ["templateid"]}),
        )?;
        let id = rows(&found)
            .next()
            .map(|template| text(&template["templateid"]));
        id.ok_or_else(|| Error::Api {
            method: "template.get".into(),
            message: format!("no template {name:?}"),
        })
    }
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Zabbix writes its numbers as strings; what is none counts as absent, which is 0.
fn number<T: std::str::FromStr + Default>(value: &Value) -> T {
    text(value).parse().unwrap_or_default()
}

fn shortened(text: &str) -> String {
    text.chars().take(1000).collect()
}
