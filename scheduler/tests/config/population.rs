//! A server with everything in it: objects of every kind, actions of every source with every type of operation, services
//! three deep, and as many hosts and templates as asked.

use lab::{Api, Version};
use serde_json::{Value, json};

/// How much of what can be counted.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Hosts with items of their own.
    pub hosts: usize,
    /// Templates with every kind of entity.
    pub templates: usize,
}

/// The PSK of one of the hosts.
pub const HOST_PSK: &str = "fedcba9876543210fedcba9876543210";

/// Fills a server.
pub fn populate(api: &Api, version: Version, size: Size) {
    Populate { api, version }.everything(size);
}

struct Populate<'a> {
    api: &'a Api,
    version: Version,
}

impl Populate<'_> {
    fn everything(&self, size: Size) {
        let proxies = self.proxies();
        let groups: Vec<String> = ["Web servers", "Stores", "Web servers/Frontend"]
            .iter()
            .map(|name| self.create("hostgroup", json!({"name": name})))
            .collect();
        self.templates(size.templates);
        self.hosts(size.hosts);
        self.media_types();
        self.macros();
        let users = self.people(&groups);
        let scripts = self.scripts(&groups[0], &users.group);
        let services = self.services();
        if self.version == Version::V5_0 {
            self.of_5_0();
        } else {
            self.role(&services[0]);
            self.slas();
            self.regular_expressions();
        }
        let (rule, check) = self.discovery(&proxies[0]);
        let host = self.id("host", "host", "host 0000");
        let template = self.id("template", "host", "template 00");
        self.maintenance(&groups[1], &host);
        self.correlation(&groups[0]);
        self.maps(&host, &users.user, &users.group);
        self.dashboard(&host, &groups[0], &users);
        let trigger = self.api.call(
            "trigger.get",
            json!({"output": ["triggerid"], "hostids": host, "limit": 1, "inherited": false, "sortfield": "triggerid"}),
        );
        let trigger = text(&trigger.expect("the host's triggers")[0]["triggerid"]);
        self.actions(&Subjects {
            group: groups[0].clone(),
            host,
            template,
            trigger,
            proxy: proxies[0].clone(),
            rule,
            check,
            service: services[2].clone(),
            user: users.user.clone(),
            user_group: users.group.clone(),
            media_type: users.media_type.clone(),
            scripts,
        });
        self.settings(&groups[0], &users.group);
    }

    /// What later versions have no place for.
    fn of_5_0(&self) {
        self.create(
            "valuemap",
            json!({"name": "Own values", "mappings": [{"value": "1", "newvalue": "one"}]}),
        );
        self.create("screen", json!({"name": "Own screen", "hsize": "1", "vsize": "1",
            "screenitems": [{"resourcetype": "7", "width": "500", "height": "100", "x": "0", "y": "0"}]}));
        self.create("action", json!({"name": "On an application", "eventsource": "0", "esc_period": "1h",
            "filter": {"evaltype": "0", "conditions": [{"conditiontype": "15", "operator": "0", "value": "Application A"}]},
            "operations": [{"operationtype": "0", "esc_step_from": "1", "esc_step_to": "1", "esc_period": "0", "opmessage": {"default_msg": "1"},
                "opmessage_usr": [{"userid": "1"}]}]}));
    }

    fn proxies(&self) -> Vec<String> {
        if self.version < Version::V7_0 {
            return vec![
                self.create("proxy", json!({"host": "active proxy", "status": "5", "description": "in the cellar", "proxy_address": "10.1.0.1,proxy.example.com"})),
                self.create("proxy", json!({"host": "passive proxy", "status": "6", "interface": {"useip": "1", "ip": "10.1.0.2", "dns": "proxy2.example.com", "port": "10051"}})),
                self.create("proxy", json!({"host": "encrypted proxy", "status": "5", "tls_accept": "6", "tls_psk_identity": "PSK 001", "tls_psk": "0123456789abcdef0123456789abcdef", "tls_issuer": "CN=CA", "tls_subject": "CN=proxy"})),
            ];
        }
        let group = self.create("proxygroup", json!({"name": "proxy group", "failover_delay": "2m", "min_online": "1", "description": "both cellars"}));
        vec![
            self.create("proxy", json!({"name": "active proxy", "operating_mode": "0", "allowed_addresses": "10.1.0.1", "proxy_groupid": group, "local_address": "10.1.0.1", "local_port": "10055"})),
            self.create("proxy", json!({"name": "passive proxy", "operating_mode": "1", "address": "10.1.0.2", "port": "10051", "custom_timeouts": "1", "timeout_zabbix_agent": "5s", "timeout_simple_check": "5s", "timeout_snmp_agent": "5s", "timeout_external_check": "5s", "timeout_db_monitor": "5s", "timeout_http_agent": "5s", "timeout_ssh_agent": "5s", "timeout_telnet_agent": "5s", "timeout_script": "5s", "timeout_browser": "50s"})),
            self.create("proxy", json!({"name": "encrypted proxy", "operating_mode": "0", "tls_accept": "6", "tls_psk_identity": "PSK 001", "tls_psk": "0123456789abcdef0123456789abcdef", "tls_issuer": "CN=CA", "tls_subject": "CN=proxy"})),
        ]
    }

    /// Templates with items, triggers, graphs, discovery, web scenarios, macros, tags and links.
    fn templates(&self, count: usize) {
        let groups = if self.version < Version::V7_0 {
            "groups"
        } else {
            "template_groups"
        };
        let mut templates: Vec<Value> = (0..count).map(|index| self.template(index)).collect();
        templates.insert(0, self.template_of_the_found());
        let mut named = vec![self.with_uuid(json!({"name": "Own templates"}), "group", 0)];
        if self.version < Version::V7_0 {
            // Where the host prototypes' hosts will be.
            named.push(self.with_uuid(json!({"name": "Web servers/Frontend"}), "group", 1));
        }
        for (index, chunk) in templates.chunks(10).enumerate() {
            let mut document = json!({
                "version": self.version.to_string(),
                groups: named,
                "templates": chunk,
            });
            if index == 0 {
                document["triggers"] = json!([self.with_uuid(
                    json!({"name": "either is too high", "expression": self.either_is_too_high()}),
                    "trigger of the found",
                    1
                )]);
            }
            self.import(&document);
        }
    }

    /// What discovered hosts are linked to. One of its triggers depends on one over two items, which exports keep apart.
    fn template_of_the_found(&self) -> Value {
        let name = "the found";
        let value = |key: &str| self.expression(name, "last", key);
        let item = |key: &str| {
            self.with_uuid(
                json!({"name": key, "type": "TRAP", "key": key, "delay": "0"}),
                "item of the found",
                usize::from(key.as_bytes()[0]),
            )
        };
        let beans = self.with_uuid(
            json!({"name": "beans", "type": "JMX", "key": "jmx[beans]", "delay": "1m", "value_type": "TEXT", "trends": "0", "username": "{$JMX.USER}", "password": "{$JMX.PASSWORD}", "jmx_endpoint": "service:jmx:rmi:///jndi/rmi://{HOST.CONN}:{HOST.PORT}/jmxrmi"}),
            "item of the found",
            0,
        );
        let mut a = item("a");
        a["triggers"] = json!([self.with_uuid(
            json!({
                "expression": value("a") + ">1", "name": "one is high",
                "dependencies": [{"name": "either is too high", "expression": self.either_is_too_high()}],
            }),
            "trigger of the found",
            0
        )]);
        self.with_uuid(
            json!({
                "template": name, "name": name, "groups": [{"name": "Own templates"}],
                "items": [a, item("b"), beans],
                "macros": [{"macro": "{$HIGH}", "value": "9"}],
            }),
            "the found",
            0,
        )
    }

    fn either_is_too_high(&self) -> String {
        let value = |key: &str| self.expression("the found", "last", key);
        format!(
            "{}>{{$HIGH:\"a\"}} or {}>{{$HIGH:\"b\"}}",
            value("a"),
            value("b")
        )
    }

    fn template(&self, index: usize) -> Value {
        let name = format!("template {index:02}");
        let expression = |function: &str, key: &str| self.expression(&name, function, key);
        let item = |key: &str, number: usize| {
            self.with_uuid(json!({"name": key, "type": "TRAP", "key": key, "delay": "0", "trends": "30d", "units": "B"}), &format!("{index} item"), number)
        };
        let mut items: Vec<Value> = (0..10)
            .map(|number| item(&format!("own.value[{number}]"), number))
            .collect();
        items[0]["preprocessing"] = self.preprocessing(&json!([
            {"type": "MULTIPLIER", "parameters": ["8"]},
            {"type": "DISCARD_UNCHANGED_HEARTBEAT", "parameters": ["1h"]},
        ]));
        // The order of a step's parameters means something, and is not the alphabet's.
        items[1]["preprocessing"] = self.preprocessing(&json!([
            {"type": "REGEX", "parameters": ["used ([0-9]+)", "\\1"]},
        ]));
        items[0]["triggers"] = json!([self.with_uuid(
            json!({
                "expression": expression("last", "own.value[0]") + "=0",
                "name": format!("{name}: nothing"),
                "priority": "HIGH",
                "manual_close": "YES",
                "tags": [{"tag": "scope", "value": "availability"}],
            }),
            &format!("{index} trigger"),
            0
        )]);
        items.push(self.with_uuid(
            json!({"name": "page", "type": "HTTP_AGENT", "key": "page", "delay": "1m", "url": "http://{HOST.CONN}/", "value_type": "TEXT", "history": "1d", "trends": "0", "username": "u", "password": "item password", "authtype": "BASIC",
                "headers": [{"name": "Authorization", "value": "Bearer {$SECRET}"}, {"name": "X-Api-Token", "value": "header token"}]}),
            &format!("{index} item"),
            50,
        ));
        items.push(self.with_uuid(
            json!({"name": "dependent", "type": "DEPENDENT", "key": "dependent", "delay": "0", "master_item": {"key": "page"}}),
            &format!("{index} item"),
            51,
        ));
        let rule = self.with_uuid(
            json!({
                "name": "disks", "type": "TRAP", "key": "disks", "delay": "0",
                "filter": {"evaltype": "FORMULA", "formula": "A or B", "conditions": [
                    {"macro": "{#DISK}", "value": "^sd", "formulaid": "A"},
                    {"macro": "{#KIND}", "value": "ssd", "operator": "NOT_MATCHES_REGEX", "formulaid": "B"}]},
                "lld_macro_paths": [{"lld_macro": "{#DISK}", "path": "$.disk"}],
                "item_prototypes": [self.with_uuid(json!({
                    "name": "{#DISK} used", "type": "TRAP", "key": "disk.used[{#DISK}]", "delay": "0",
                    "trigger_prototypes": [self.with_uuid(json!({
                        "expression": expression("last", "disk.used[{#DISK}]") + ">90",
                        "name": "{#DISK} is full", "priority": "WARNING"}), &format!("{index} prototype trigger"), 0)],
                }), &format!("{index} prototype"), 0)],
                "graph_prototypes": [self.with_uuid(json!({
                    "name": format!("{{#DISK}} of {index}"),
                    "graph_items": [{"color": "1A7C11", "item": {"host": name, "key": "disk.used[{#DISK}]"}}],
                }), &format!("{index} prototype graph"), 0)],
                "host_prototypes": [self.with_uuid(json!({
                    "host": format!("{{#DISK}} of {index}"), "name": format!("{{#DISK}} of {index}"),
                    "group_links": [{"group": {"name": "Web servers/Frontend"}}],
                    "templates": [{"name": "the found"}]}), &format!("{index} host prototype"), 0)],
                "overrides": [{"name": "no alarm", "step": "1",
                    "filter": {"conditions": [{"macro": "{#DISK}", "value": "sda", "formulaid": "A"}]},
                    "operations": [{"operationobject": "TRIGGER_PROTOTYPE", "operator": "LIKE", "value": "full", "discover": "NO_DISCOVER"}]}],
            }),
            &format!("{index} rule"),
            0,
        );
        let web = self.with_uuid(
            json!({
                "name": "front page", "delay": "5m", "http_user": "u", "http_password": "scenario password", "authentication": "BASIC",
                "headers": [{"name": "Accept", "value": "text/html"}, {"name": "X-Order", "value": "2"}],
                "variables": [{"name": "{token}", "value": "regex:t=(.*)"}, {"name": "{password}", "value": "variable password"}],
                "steps": [
                    {"name": "open", "url": "http://{HOST.CONN}/", "status_codes": "200", "query_fields": [{"name": "q", "value": "1"}]},
                    {"name": "again", "url": "http://{HOST.CONN}/two", "required": "two", "posts": [{"name": "user[password]", "value": "{password}"}]}],
            }),
            &format!("{index} web"),
            0,
        );
        let mut template = self.with_uuid(
            json!({
                "template": name, "name": format!("Template number {index}"), "description": "made for a test",
                "groups": [{"name": "Own templates"}],
                "items": items,
                "discovery_rules": [rule],
                "httptests": [web],
                "macros": [
                    {"macro": "{$LIMIT}", "value": "90", "description": "percent"},
                    {"macro": "{$LIMIT:\"sda\"}", "value": "95"},
                    {"macro": "{$SECRET}", "type": "SECRET_TEXT", "description": "not to be read"}],
                "tags": [{"tag": "class", "value": "own"}, {"tag": "number", "value": index.to_string()}],
            }),
            "template",
            index,
        );
        // Every second template is linked to the one before it, which comes first in the file.
        if index % 2 == 1 {
            template["templates"] = json!([{"name": format!("template {:02}", index - 1)}]);
            // Linked templates must not have the same keys.
            template = renamed(template, index);
        }
        if self.version == Version::V5_0 {
            template["applications"] =
                json!([{"name": "Application A"}, {"name": "Application B"}]);
            template["items"][0]["applications"] = json!([{"name": "Application A"}]);
            // 5.0 exports no secret macros' values, and imports none without.
            template["macros"][2]["value"] = json!("hidden");
        } else {
            template["discovery_rules"][0]["host_prototypes"][0]["macros"] =
                json!([{"macro": "{$SECRET}", "value": "hidden", "type": "SECRET_TEXT"}]);
            template["items"][1]["tags"] = json!([{"tag": "component", "value": "own"}]);
            template["valuemaps"] = json!([self.with_uuid(
                json!({"name": "up or down", "mappings": [{"value": "1", "newvalue": "up"}, {"value": "0", "newvalue": "down"}]}),
                &format!("{index} map"),
                0
            )]);
            template["items"][2]["valuemap"] = json!({"name": "up or down"});
            template["macros"][2]["value"] = json!("hidden");
        }
        template
    }

    /// Hosts with interfaces, inventory, tags, macros, items, and graphs and triggers over several of them.
    fn hosts(&self, count: usize) {
        let version = self.version;
        let hosts: Vec<Value> = (0..count)
            .map(|index| {
                let name = format!("host {index:04}");
                let mut item = json!({
                    "name": "own", "type": "ZABBIX_PASSIVE", "key": "own.item", "delay": "30s", "interface_ref": "if1",
                });
                item["triggers"] = json!([{
                    "expression": self.expression(&name, "last", "own.item") + ">5",
                    "name": "too many on {HOST.NAME}", "priority": "AVERAGE", "opdata": "{ITEM.LASTVALUE}",
                }]);
                let mut host = json!({
                    "host": name, "name": format!("Host number {index}"),
                    "templates": [{"name": "template 00"}],
                    "groups": [{"name": "Web servers"}, {"name": "Stores"}],
                    "interfaces": [
                        {"ip": format!("10.2.{}.{}", index / 250, index % 250 + 1), "interface_ref": "if1"},
                        {"type": "SNMP", "ip": "10.3.0.1", "port": "161", "interface_ref": "if2",
                         "details": {"community": "{$SNMP_COMMUNITY}"}}],
                    "items": [item, {"name": "second", "type": "TRAP", "key": "own.second", "delay": "0"}],
                    "inventory_mode": "MANUAL",
                    "inventory": {"alias": format!("component{index}"), "location": "cellar",
                        "notes": "-----BEGIN PRIVATE KEY-----\nnot a key, but it looks like one\n-----END PRIVATE KEY-----",
                        "poc_1_notes": "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----"},
                    "macros": [
                        {"macro": "{$SCALE.MAX}", "value": "5"},
                        {"macro": "{$SECRET}", "value": "hidden", "type": "SECRET_TEXT"}],
                    "tags": [{"tag": "stage", "value": "test"}],
                });
                if index % 3 == 0 {
                    host["proxy"] = json!({"name": "active proxy"});
                    if version == Version::V7_0 {
                        host["monitored_by"] = json!("PROXY");
                        host["proxy"] = json!({"name": "passive proxy"});
                    }
                }
                host
            })
            .collect();
        for chunk in hosts.chunks(100) {
            self.import(&json!({"version": version.to_string(), "hosts": chunk}));
        }
        if count > 1 {
            self.import(&json!({
                "version": version.to_string(),
                "hosts": hosts[..2],
                "triggers": [{
                    "expression": format!("{}>1 and {}>1",
                        self.expression("host 0000", "last", "own.item"), self.expression("host 0001", "last", "own.item")),
                    "name": "both are too many", "priority": "DISASTER",
                    "dependencies": [{"name": "too many on {HOST.NAME}", "expression": self.expression("host 0000", "last", "own.item") + ">5"}],
                }],
                "graphs": [{
                    "name": "both",
                    "graph_items": [
                        {"sortorder": "0", "color": "1A7C11", "item": {"host": "host 0000", "key": "own.item"}},
                        {"sortorder": "1", "color": "F63100", "item": {"host": "host 0001", "key": "own.item"}}],
                }],
            }));
        }
        let encrypted = self.id("host", "host", "host 0001");
        self.call("host.update", json!({"hostid": encrypted, "tls_connect": "4", "tls_accept": "5", "tls_issuer": "CN=CA", "tls_subject": "CN=host"}));
        let encrypted = self.id("host", "host", "host 0002");
        self.call("host.update", json!({"hostid": encrypted, "tls_connect": "2", "tls_accept": "3", "tls_psk_identity": "PSK 003", "tls_psk": HOST_PSK}));
    }

    fn media_types(&self) {
        self.create("mediatype", json!({"name": "Own mail", "type": "0", "smtp_server": "mail.example.com", "smtp_helo": "example.com", "smtp_email": "zabbix@example.com", "smtp_authentication": "1", "username": "zabbix", "passwd": "mail password",
            "message_templates": [{"eventsource": "0", "recovery": "0", "subject": "Problem: {EVENT.NAME}", "message": "It began."}]}));
        self.create("mediatype", json!({"name": "Own webhook", "type": "4", "script": "return 'OK';", "timeout": "10s",
            "parameters": [{"name": "url", "value": "http://example.com"}, {"name": "api_token", "value": "webhook token"}]}));
        if self.version < Version::V7_0 {
            self.create("mediatype", json!({"name": "Own script", "type": "1", "exec_path": "page.sh", "exec_params": "{ALERT.SENDTO}\n{ALERT.SUBJECT}\n"}));
        } else {
            self.create("mediatype", json!({"name": "Own script", "type": "1", "exec_path": "page.sh", "parameters": [{"sortorder": "0", "value": "{ALERT.SENDTO}"}, {"sortorder": "1", "value": "{ALERT.SUBJECT}"}]}));
        }
    }

    fn macros(&self) {
        for (name, value, kind) in [
            ("{$OPEN}", "open", "0"),
            ("{$HIDDEN}", "hidden", "1"),
            ("{$VAULT}", "path/to:key", "2"),
        ] {
            if kind == "2" && self.version == Version::V5_0 {
                continue;
            }
            self.call(
                "usermacro.createglobal",
                json!({"macro": name, "value": value, "type": kind, "description": "for a test"}),
            );
        }
    }

    fn people(&self, groups: &[String]) -> People {
        let rights =
            json!([{"id": groups[0], "permission": "3"}, {"id": groups[1], "permission": "2"}]);
        let mut group = json!({"name": "Operators", "debug_mode": "0", "gui_access": "0",
            "tag_filters": [{"groupid": groups[0], "tag": "stage", "value": "test"}]});
        if self.version < Version::V7_0 {
            group["rights"] = rights;
        } else {
            group["hostgroup_rights"] = rights;
            let own = self.id("templategroup", "name", "Own templates");
            group["templategroup_rights"] = json!([{"id": own, "permission": "2"}]);
        }
        let group = self.create("usergroup", group);
        let media_type = self.id("mediatype", "name", "Own mail");
        let medias = json!([{"mediatypeid": media_type, "sendto": ["ops@example.com", "night@example.com"], "active": "0", "severity": "60", "period": "1-5,08:00-18:00"}]);
        let mut user = json!({"name": "Otto", "surname": "Operator", "passwd": "Long-enough-7", "usrgrps": [{"usrgrpid": group}], "theme": "dark-theme", "rows_per_page": "75"});
        if self.version == Version::V5_0 {
            user["alias"] = json!("otto");
            user["type"] = json!("2");
            user["user_medias"] = medias;
        } else {
            user["username"] = json!("otto");
            user["roleid"] = json!(self.id("role", "name", "Admin role"));
            user["medias"] = medias;
        }
        People {
            user: self.create("user", user),
            group,
            media_type,
        }
    }

    fn role(&self, service: &str) {
        self.create("role", json!({"name": "Own role", "type": "1", "rules": {
            "ui": [{"name": "monitoring.hosts", "status": "1"}, {"name": "monitoring.maps", "status": "0"}],
            "ui.default_access": "0",
            "services.read.mode": "0",
            "services.read.list": [{"serviceid": service}],
            "services.read.tag": {"tag": "team", "value": "web"},
            "services.write.mode": "0",
            "api.access": "1", "api.mode": "1", "api": ["host.get", "item.get"],
            "actions": [{"name": "edit_maps", "status": "0"}], "actions.default_access": "1",
        }}));
    }

    fn scripts(&self, group: &str, user_group: &str) -> Vec<String> {
        if self.version == Version::V5_0 {
            return vec![
                self.create("script", json!({"name": "Own/restart", "type": "0", "command": "systemctl restart app", "execute_on": "1", "groupid": group, "usrgrpid": user_group, "host_access": "3", "confirmation": "Really?"})),
                self.create("script", json!({"name": "Own reset", "type": "1", "command": "power reset"})),
            ];
        }
        let mut scripts = vec![
            self.create("script", json!({"name": "scale up", "type": "0", "scope": "1", "command": "concierge_scheduler scale_up {HOST.HOST} 1", "execute_on": "1", "groupid": group})),
            self.create("script", json!({"name": "restart", "type": "0", "scope": "2", "command": "systemctl restart app", "execute_on": "2", "groupid": group, "usrgrpid": user_group, "host_access": "3", "confirmation": "Really?", "menu_path": "Own/tools"})),
            self.create("script", json!({"name": "reset", "type": "1", "scope": "4", "command": "power reset"})),
            self.create("script", json!({"name": "by ssh", "type": "2", "scope": "1", "command": "uptime", "authtype": "0", "username": "root", "password": "script password", "port": "22"})),
            self.create("script", json!({"name": "by ssh with a key", "type": "2", "scope": "1", "command": "uptime", "authtype": "1", "username": "root", "publickey": "id.pub", "privatekey": "id"})),
            self.create("script", json!({"name": "by telnet", "type": "3", "scope": "1", "command": "show", "username": "root"})),
            self.create("script", json!({"name": "by webhook", "type": "5", "scope": "1", "command": "return 1;", "timeout": "20s", "parameters": [{"name": "host", "value": "{HOST.HOST}"}]})),
        ];
        if self.version == Version::V7_0 {
            scripts.push(self.create("script", json!({"name": "open", "type": "6", "scope": "2", "url": "http://example.com/{HOST.HOST}", "new_window": "0"})));
            self.create("script", json!({"name": "with a question", "type": "0", "scope": "2", "command": "ping {MANUALINPUT}", "execute_on": "1", "manualinput": "1", "manualinput_prompt": "How often?", "manualinput_validator": "^[0-9]$", "manualinput_validator_type": "0", "manualinput_default_value": "3"}));
        }
        scripts
    }

    /// Company > shop > database, the same below another company, a shop below nothing, and a till below two of the shops.
    fn services(&self) -> Vec<String> {
        let service = |name: &str, parents: &[&String], leaf: bool| {
            if self.version == Version::V5_0 {
                let mut service = json!({"name": name, "algorithm": "1", "showsla": "1", "goodsla": "99.5", "sortorder": "1"});
                if let Some(parent) = parents.first() {
                    service["parentid"] = json!(parent);
                }
                if leaf {
                    service["times"] =
                        json!([{"type": "0", "ts_from": "0", "ts_to": "3600", "note": "night"}]);
                }
                return self.create("service", service);
            }
            let mut service = json!({
                "name": name, "algorithm": "2", "sortorder": "1", "weight": "3", "propagation_rule": "1", "propagation_value": "1",
                "description": "a service", "tags": [{"tag": "team", "value": "web"}],
                "parents": parents.iter().map(|parent| json!({"serviceid": parent})).collect::<Vec<_>>(),
            });
            if leaf {
                service["problem_tags"] =
                    json!([{"tag": "service", "operator": "2", "value": "db"}]);
            } else {
                service["status_rules"] = json!([{"type": "0", "limit_value": "2", "limit_status": "3", "new_status": "4"}]);
            }
            self.create("service", service)
        };
        let company = service("Company", &[], false);
        let shop = service("Shop", &[&company], false);
        let database = service("Database", &[&shop], true);
        let other = service("Other company", &[], false);
        let second = service("Shop", &[&other], false);
        service("Database", &[&second], true);
        let root = service("Shop", &[], false);
        let till = service("Till", &[&shop, &root], true);
        if self.version == Version::V5_0 {
            self.call(
                "service.adddependencies",
                json!({"serviceid": root, "dependsOnServiceid": till, "soft": "1"}),
            );
        }
        vec![company, shop, database]
    }

    fn slas(&self) {
        self.create("sla", json!({"name": "Gold", "period": "1", "slo": "99.9", "effective_date": "1672444800", "timezone": "UTC", "status": "1",
            "service_tags": [{"tag": "team", "operator": "0", "value": "web"}],
            "schedule": [{"period_from": "28800", "period_to": "64800"}],
            "excluded_downtimes": [{"name": "move", "period_from": "1672531200", "period_to": "1672617600"}]}));
    }

    fn regular_expressions(&self) {
        self.create(
            "regexp",
            json!({"name": "Own disks", "test_string": "sda", "expressions": [
            {"expression": "^sd", "expression_type": "3", "case_sensitive": "1"},
            {"expression": "ram,loop", "expression_type": "1", "exp_delimiter": ","}]}),
        );
    }

    fn discovery(&self, proxy: &str) -> (String, String) {
        let proxy_field = if self.version < Version::V7_0 {
            "proxy_hostid"
        } else {
            "proxyid"
        };
        let rule = self.create("drule", json!({"name": "Own network", "iprange": "10.9.0.1-20", "delay": "2h", proxy_field: proxy, "status": "1", "dchecks": [
            {"type": "9", "key_": "system.uname", "ports": "10050", "uniq": "0", "host_source": "1", "name_source": "2"},
            {"type": "4", "ports": "80,8080"},
            {"type": "13", "key_": "1.3.6.1.2.1.1.1.0", "ports": "161", "snmpv3_securityname": "zabbix", "snmpv3_securitylevel": "2", "snmpv3_authprotocol": "1", "snmpv3_privprotocol": "1", "snmpv3_authpassphrase": "auth passphrase", "snmpv3_privpassphrase": "priv passphrase", "uniq": "0"}]}));
        let checks = self.call(
            "dcheck.get",
            json!({"output": "extend", "druleids": rule, "filter": {"type": "4"}}),
        );
        (rule, text(&checks[0]["dcheckid"]))
    }

    fn maintenance(&self, group: &str, host: &str) {
        let members = |maintenance: Value| {
            let mut maintenance = maintenance;
            if self.version == Version::V5_0 {
                maintenance["groupids"] = json!([group]);
                maintenance["hostids"] = json!([host]);
            } else {
                maintenance["groups"] = json!([{"groupid": group}]);
                maintenance["hosts"] = json!([{"hostid": host}]);
            }
            maintenance
        };
        self.create("maintenance", members(json!({"name": "Patch day", "active_since": "1900000000", "active_till": "1910000000", "description": "each month",
            "tags_evaltype": "2", "tags": [{"tag": "scope", "operator": "0", "value": "availability"}],
            "timeperiods": [
                {"timeperiod_type": "0", "start_date": "1900003600", "period": "3600"},
                {"timeperiod_type": "2", "every": "2", "start_time": "7200", "period": "7200"},
                {"timeperiod_type": "3", "every": "1", "dayofweek": "64", "start_time": "3600", "period": "7200"},
                {"timeperiod_type": "4", "month": "5", "day": "15", "start_time": "3600", "period": "7200"}]})));
        self.create("maintenance", members(json!({"name": "No data", "maintenance_type": "1", "active_since": "1900000000", "active_till": "1910000000",
            "timeperiods": [{"timeperiod_type": "4", "every": "1", "month": "4095", "dayofweek": "1", "start_time": "0", "period": "3600"}]})));
    }

    fn correlation(&self, group: &str) {
        self.create("correlation", json!({"name": "Own correlation", "description": "for a test",
            "filter": {"evaltype": "3", "formula": "A and B", "conditions": [
                {"type": "0", "tag": "old", "formulaid": "A"}, {"type": "2", "groupid": group, "operator": "0", "formulaid": "B"}]},
            "operations": [{"type": "0"}, {"type": "1"}]}));
    }

    fn maps(&self, host: &str, user: &str, user_group: &str) {
        let icon = self.id("image", "name", "Server_(64)");
        let inner = self.create("map", json!({"name": "Inner map", "width": "400", "height": "300",
            "selements": [{"selementid": "1", "elementtype": "0", "elements": [{"hostid": host}], "iconid_off": icon, "x": "50", "y": "60", "label": "{HOST.NAME}"},
                {"selementid": "2", "elementtype": "4", "iconid_off": icon, "x": "150", "y": "60", "label": "internet", "urls": [{"name": "home", "url": "http://example.com"}]}],
            "links": [{"selementid1": "1", "selementid2": "2", "color": "00CC00", "label": "line"}],
            "shapes": [{"type": "0", "x": "10", "y": "10", "width": "100", "height": "50", "text": "box"}]}));
        self.create("map", json!({"name": "A map around it", "width": "500", "height": "400", "private": "1", "userid": user,
            "users": [], "userGroups": [{"usrgrpid": user_group, "permission": "3"}],
            "selements": [{"selementid": "1", "elementtype": "1", "elements": [{"sysmapid": inner}], "iconid_off": icon, "x": "50", "y": "60", "label": "inner"}]}));
        self.create("iconmap", json!({"name": "Own icons", "default_iconid": icon, "mappings": [
            {"iconid": icon, "inventory_link": "1", "expression": "linux"}, {"iconid": icon, "inventory_link": "3", "expression": "aix"}]}));
    }

    fn dashboard(&self, host: &str, group: &str, people: &People) {
        let item = self.call(
            "item.get",
            json!({"output": ["itemid"], "hostids": host, "filter": {"key_": "own.item"}}),
        );
        let item = text(&item[0]["itemid"]);
        let map = self.id("map", "name", "Inner map");
        let index = if self.version == Version::V7_0 {
            ".0"
        } else {
            ""
        };
        let itemids = format!("itemids{index}");
        let groupids = format!("groupids{index}");
        let hostids = format!("hostids{index}");
        let mapid = if self.version == Version::V7_0 {
            "sysmapid.0"
        } else {
            "sysmapid"
        };
        let values = if self.version == Version::V7_0 {
            "itemhistory"
        } else {
            "plaintext"
        };
        let item_field = if self.version == Version::V7_0 {
            "columns.0.itemid"
        } else {
            itemids.as_str()
        };
        let mut item_fields = json!([{"type": "4", "name": item_field, "value": item}]);
        if self.version == Version::V7_0 {
            item_fields = json!([{"type": "4", "name": item_field, "value": item}, {"type": "1", "name": "columns.0.name", "value": "own"}]);
        }
        let widgets = json!([
            {"type": "problems", "name": "Problems", "x": 0, "y": 0, "width": 12, "height": 5, "view_mode": "0",
             "fields": [{"type": "2", "name": groupids, "value": group}, {"type": "3", "name": hostids, "value": host}, {"type": "0", "name": "show_lines", "value": 10}]},
            {"type": values, "x": 0, "y": 5, "width": 6, "height": 4, "view_mode": "1", "fields": item_fields},
            {"type": "map", "x": 6, "y": 5, "width": 6, "height": 4, "fields": [{"type": "8", "name": mapid, "value": map}]},
        ]);
        let mut dashboard = json!({"name": "Own dashboard", "private": "1", "userid": people.user,
            "users": [], "userGroups": [{"usrgrpid": people.group, "permission": "2"}]});
        if self.version == Version::V5_0 {
            dashboard["widgets"] = widgets;
        } else {
            dashboard["display_period"] = json!("30");
            dashboard["auto_start"] = json!("1");
            dashboard["pages"] = json!([{"name": "first", "display_period": "60", "widgets": widgets}, {"name": "second", "widgets": [
                {"type": "clock", "x": 0, "y": 0, "width": 4, "height": 3}]}]);
        }
        let dashboard = self.create("dashboard", dashboard);
        if self.version > Version::V5_0 {
            self.create("report", json!({"name": "Weekly", "userid": "1", "dashboardid": dashboard, "period": "1", "cycle": "1", "weekdays": "31", "start_time": "28800", "description": "to all", "subject": "Report", "message": "Attached.",
                "users": [{"userid": people.user, "access_userid": "1", "exclude": "0"}], "user_groups": [{"usrgrpid": people.group, "access_userid": "0"}]}));
        }
    }

    fn actions(&self, on: &Subjects) {
        let message = json!({"operationtype": "0", "opmessage": {"default_msg": "0", "subject": "S", "message": "M", "mediatypeid": on.media_type},
            "opmessage_grp": [{"usrgrpid": on.user_group}], "opmessage_usr": [{"userid": on.user}]});
        let commands = |targets: bool| -> Vec<Value> {
            let each = |mut operation: Value| {
                if targets {
                    operation["opcommand_grp"] = json!([{"groupid": on.group}]);
                    operation["opcommand_hst"] = json!([{"hostid": "0"}, {"hostid": on.host}]);
                }
                operation
            };
            if self.version == Version::V5_0 {
                return vec![
                    each(
                        json!({"operationtype": "1", "opcommand": {"type": "4", "scriptid": on.scripts[0]}}),
                    ),
                    each(
                        json!({"operationtype": "1", "opcommand": {"type": "0", "command": "concierge_scheduler scale_up {HOST.HOST} 1", "execute_on": "1"}}),
                    ),
                ];
            }
            on.scripts
                .iter()
                .filter(|script| self.is_for_actions(script))
                .map(|script| {
                    each(json!({"operationtype": "1", "opcommand": {"scriptid": script}}))
                })
                .collect()
        };
        let escalated = |mut operation: Value, step: usize| {
            operation["esc_step_from"] = json!(step.to_string());
            operation["esc_step_to"] = json!((step + 1).to_string());
            operation["esc_period"] = json!("2m");
            operation
        };
        let mut operations: Vec<Value> = vec![escalated(message.clone(), 1)];
        operations[0]["opconditions"] =
            json!([{"conditiontype": "14", "operator": "0", "value": "0"}]);
        operations[0]["evaltype"] = json!("0");
        operations.extend(
            commands(true)
                .into_iter()
                .enumerate()
                .map(|(index, command)| escalated(command, index + 2)),
        );
        let mut recovery = vec![
            json!({"operationtype": "11", "opmessage": {"default_msg": "1"}}),
            message.clone(),
        ];
        recovery.extend(commands(true));
        let mut update = vec![
            json!({"operationtype": "12", "opmessage": {"default_msg": "1"}}),
            message.clone(),
        ];
        update.extend(commands(true));
        let updates = if self.version == Version::V5_0 {
            "acknowledge_operations"
        } else {
            "update_operations"
        };
        let mut action = json!({"name": "On a problem", "eventsource": "0", "status": "0", "esc_period": "5m", "pause_suppressed": "0",
            "filter": {"evaltype": "3", "formula": "(A or B) and (C or D) and E and F and G", "conditions": [
                {"conditiontype": "0", "operator": "0", "value": on.group, "formulaid": "A"},
                {"conditiontype": "1", "operator": "0", "value": on.host, "formulaid": "B"},
                {"conditiontype": "2", "operator": "0", "value": on.trigger, "formulaid": "C"},
                {"conditiontype": "13", "operator": "0", "value": on.template, "formulaid": "D"},
                {"conditiontype": "4", "operator": "5", "value": "2", "formulaid": "E"},
                {"conditiontype": "26", "operator": "0", "value": "test", "value2": "stage", "formulaid": "F"},
                {"conditiontype": "6", "operator": "4", "value": "1-7,00:00-24:00", "formulaid": "G"}]},
            "operations": operations, "recovery_operations": recovery, updates: update});
        if self.version == Version::V5_0 {
            action["acknowledge_operations"] = json!(update);
        }
        self.create("action", action);
        let mut suppressed = json!({"conditiontype": "16", "operator": "11"});
        if self.version == Version::V5_0 {
            suppressed["value"] = json!("");
        }
        self.create(
            "action",
            json!({"name": "On any problem", "eventsource": "0", "esc_period": "1h",
            "filter": {"evaltype": "0", "conditions": [suppressed]},
            "operations": [escalated(message.clone(), 1)]}),
        );
        let mut host_operations = vec![
            message.clone(),
            json!({"operationtype": "2"}),
            json!({"operationtype": "4", "opgroup": [{"groupid": on.group}]}),
            json!({"operationtype": "6", "optemplate": [{"templateid": on.template}]}),
            json!({"operationtype": "8"}),
            json!({"operationtype": "10", "opinventory": {"inventory_mode": "1"}}),
        ];
        if self.version == Version::V7_0 {
            host_operations.push(
                json!({"operationtype": "13", "optag": [{"tag": "made", "value": "by discovery"}]}),
            );
        }
        host_operations.extend(commands(true));
        self.create(
            "action",
            json!({"name": "On discovery", "eventsource": "1",
            "filter": {"evaltype": "1", "conditions": [
                {"conditiontype": "18", "operator": "0", "value": on.rule},
                {"conditiontype": "19", "operator": "0", "value": on.check},
                {"conditiontype": "20", "operator": "0", "value": on.proxy},
                {"conditiontype": "7", "operator": "0", "value": "10.9.0.1-20"},
                {"conditiontype": "8", "operator": "0", "value": "4"},
                {"conditiontype": "10", "operator": "0", "value": "0"}]},
            "operations": host_operations}),
        );
        let mut removing = vec![
            json!({"operationtype": "3"}),
            json!({"operationtype": "5", "opgroup": [{"groupid": on.group}]}),
            json!({"operationtype": "7", "optemplate": [{"templateid": on.template}]}),
            json!({"operationtype": "9"}),
        ];
        if self.version == Version::V7_0 {
            removing.push(
                json!({"operationtype": "14", "optag": [{"tag": "made", "value": "by discovery"}]}),
            );
        }
        self.create("action", json!({"name": "On loss", "eventsource": "1",
            "filter": {"evaltype": "2", "conditions": [{"conditiontype": "10", "operator": "0", "value": "3"}]},
            "operations": removing}));
        self.create(
            "action",
            json!({"name": "On registration", "eventsource": "2",
            "filter": {"evaltype": "0", "conditions": [
                {"conditiontype": "24", "operator": "2", "value": "web"},
                {"conditiontype": "22", "operator": "2", "value": "host"},
                {"conditiontype": "20", "operator": "0", "value": on.proxy}]},
            "operations": host_operations}),
        );
        self.create(
            "action",
            json!({"name": "On an unsupported item", "eventsource": "3", "esc_period": "1h",
            "filter": {"evaltype": "0", "conditions": [
                {"conditiontype": "23", "operator": "0", "value": "0"},
                {"conditiontype": "0", "operator": "0", "value": on.group},
                {"conditiontype": "13", "operator": "0", "value": on.template},
                {"conditiontype": "1", "operator": "0", "value": on.host}]},
            "operations": [escalated(message.clone(), 1)],
            "recovery_operations": [{"operationtype": "11", "opmessage": {"default_msg": "1"}}]}),
        );
        if self.version > Version::V5_0 {
            let mut operations = vec![escalated(message.clone(), 1)];
            operations.extend(
                commands(false)
                    .into_iter()
                    .map(|command| escalated(command, 2)),
            );
            let mut update =
                vec![json!({"operationtype": "12", "opmessage": {"default_msg": "1"}})];
            update.extend(commands(false));
            self.create("action", json!({"name": "On a service", "eventsource": "4", "esc_period": "1h",
                "filter": {"evaltype": "0", "conditions": [
                    {"conditiontype": "27", "operator": "0", "value": on.service},
                    {"conditiontype": "28", "operator": "2", "value": "Shop"}]},
                "operations": operations,
                "recovery_operations": [{"operationtype": "11", "opmessage": {"default_msg": "0", "subject": "S", "message": "M"}}],
                "update_operations": update}));
        }
    }

    fn settings(&self, group: &str, user_group: &str) {
        self.call("autoregistration.update", json!({"tls_accept": "3", "tls_psk_identity": "PSK 002", "tls_psk": "0123456789abcdef0123456789abcdef"}));
        if self.version == Version::V5_0 {
            return;
        }
        self.call("settings.update", json!({"discovery_groupid": group, "alert_usrgrpid": user_group, "max_in_table": "60", "work_period": "1-5,08:00-17:00"}));
        self.call("housekeeping.update", json!({"hk_trends": "200d"}));
        self.call("authentication.update", json!({"passwd_min_length": "9"}));
    }

    fn is_for_actions(&self, script: &str) -> bool {
        let scripts = self.call(
            "script.get",
            json!({"output": ["scope"], "scriptids": script}),
        );
        scripts[0]["scope"] == "1"
    }

    /// Steps as an import of this version takes them.
    fn preprocessing(&self, steps: &Value) -> Value {
        steps
            .as_array()
            .map(|steps| {
                let steps = steps.iter().cloned().map(|mut step| {
                    if self.version == Version::V5_0 {
                        let parameters = step["parameters"].as_array().into_iter().flatten();
                        let parameters: Vec<&str> = parameters.filter_map(Value::as_str).collect();
                        step["params"] = json!(parameters.join("\n"));
                        if let Some(step) = step.as_object_mut() {
                            step.remove("parameters");
                        }
                    }
                    step
                });
                steps.collect()
            })
            .unwrap_or_default()
    }

    fn expression(&self, host: &str, function: &str, key: &str) -> String {
        if self.version == Version::V5_0 {
            format!("{{{host}:{key}.{function}()}}")
        } else {
            format!("{function}(/{host}/{key})")
        }
    }

    /// Zabbix 6.0 and later tell template entities apart by UUIDs, which must be of version 4.
    fn with_uuid(&self, mut object: Value, what: &str, number: usize) -> Value {
        if self.version > Version::V5_0 {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let digits = |salt: u8| {
                let mut hasher = DefaultHasher::new();
                (what, number, salt).hash(&mut hasher);
                format!("{:016x}", hasher.finish())
            };
            let mut uuid = digits(0) + &digits(1);
            uuid.replace_range(12..13, "4");
            uuid.replace_range(16..17, "8");
            object["uuid"] = json!(uuid);
        }
        object
    }

    fn import(&self, document: &Value) {
        let all = json!({"createMissing": true, "updateExisting": true});
        let new = json!({"createMissing": true});
        let mut rules = json!({"templates": all, "hosts": all, "items": all, "discoveryRules": all, "triggers": all,
            "graphs": all, "httptests": all, "valueMaps": all, "templateLinkage": new});
        match self.version {
            Version::V5_0 => {
                rules["applications"] = new.clone();
                rules["groups"] = new;
            }
            Version::V6_0 => rules["groups"] = all,
            Version::V7_0 => {
                rules["host_groups"] = all.clone();
                rules["template_groups"] = all;
            }
        }
        let source = json!({"zabbix_export": document}).to_string();
        self.call(
            "configuration.import",
            json!({"format": "json", "rules": rules, "source": source}),
        );
    }

    fn create(&self, api: &str, object: Value) -> String {
        let answer = self.call(&format!("{api}.create"), object);
        let ids = answer.as_object().and_then(|answer| answer.values().next());
        text(&ids.expect("create answers with ids")[0])
    }

    fn id(&self, api: &str, field: &str, name: &str) -> String {
        let found = self.call(
            &format!("{api}.get"),
            json!({"output": "extend", "filter": {field: name}}),
        );
        let id = match api {
            "hostgroup" | "templategroup" => "groupid".to_owned(),
            "map" => "sysmapid".to_owned(),
            api => format!("{api}id"),
        };
        assert!(found[0][&id].is_string(), "there is no {api} \"{name}\"");
        text(&found[0][&id])
    }

    fn call(&self, method: &str, params: Value) -> Value {
        match self.api.call(method, params.clone()) {
            Ok(answer) => answer,
            Err(error) => panic!("Zabbix {}: {error}\n{params:#}", self.version),
        }
    }
}

struct People {
    user: String,
    group: String,
    media_type: String,
}

/// What actions act on and ask for.
struct Subjects {
    group: String,
    host: String,
    template: String,
    trigger: String,
    proxy: String,
    rule: String,
    check: String,
    service: String,
    user: String,
    user_group: String,
    media_type: String,
    scripts: Vec<String>,
}

/// The same template with keys and names of its own.
fn renamed(template: Value, index: usize) -> Value {
    let text = template
        .to_string()
        .replace("own.value[", &format!("own.value{index}["))
        .replace("disk.used[", &format!("disk.used{index}["))
        .replace("Application A", &format!("Application A{index}"))
        .replace("\"disks\"", &format!("\"disks{index}\""))
        .replace("\"page\"", &format!("\"page{index}\""))
        .replace("\"dependent\"", &format!("\"dependent{index}\""))
        .replace("front page", &format!("front page {index}"));
    serde_json::from_str(&text).expect("replacements keep it JSON")
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
