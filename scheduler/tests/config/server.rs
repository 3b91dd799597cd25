//! Zabbix servers of the lab, and their databases at the points where tests begin.

use lab::{Api, Lab, Version};

/// A server without its daemon: the API and the database are all that configuration needs.
pub struct Server {
    lab: Lab,
}

impl Server {
    /// Starts one with the stock database.
    pub fn start(version: Version) -> Self {
        let lab = Lab::builder()
            .zabbix(version)
            .without_agent()
            .start()
            .expect("a lab");
        lab.stop_server().expect("the daemon stops");
        let server = Self { lab };
        server.save("stock");
        server
    }

    /// The API.
    pub fn api(&self) -> &Api {
        self.lab.api()
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.lab.version()
    }

    /// The address, as ZBX_API_HOST takes it.
    pub fn address(&self) -> &str {
        self.lab.frontend_url()
    }

    /// Keeps the database as it is now, by a name.
    pub fn save(&self, name: &str) {
        self.postgres(&format!("DROP DATABASE IF EXISTS {name}"));
        self.disconnect("zabbix");
        self.postgres(&format!(
            "CREATE DATABASE {name} OWNER zabbix TEMPLATE zabbix"
        ));
    }

    /// Brings the database back to what was kept.
    pub fn load(&self, name: &str) {
        self.disconnect("zabbix");
        self.postgres("DROP DATABASE zabbix");
        self.postgres(&format!(
            "CREATE DATABASE zabbix OWNER zabbix TEMPLATE {name}"
        ));
    }

    /// Removes the stock templates, hosts, actions and all that hangs on them, and keeps the rest as "bare".
    pub fn strip(&self) {
        let also = match self.version() {
            Version::V5_0 => "",
            Version::V6_0 | Version::V7_0 => ", regexps",
        };
        self.sql(&format!(
            "TRUNCATE hosts, triggers, graphs, dashboard, sysmaps, actions, drules, scripts{also} CASCADE"
        ));
        self.save("bare");
    }

    /// Lets every object that is made from now on have another id than it would have had.
    pub fn shift_ids(&self) {
        let tables = [
            ("proxy", "proxyid"),
            ("proxy_group", "proxy_groupid"),
            ("role", "roleid"),
            ("sla", "slaid"),
            ("maintenances", "maintenanceid"),
            ("hosts", "hostid"),
            ("items", "itemid"),
            ("triggers", "triggerid"),
            ("hstgrp", "groupid"),
            ("users", "userid"),
            ("usrgrp", "usrgrpid"),
            ("scripts", "scriptid"),
            ("media_type", "mediatypeid"),
            ("actions", "actionid"),
            ("services", "serviceid"),
            ("drules", "druleid"),
            ("dchecks", "dcheckid"),
            ("graphs", "graphid"),
            ("dashboard", "dashboardid"),
            ("sysmaps", "sysmapid"),
        ];
        let known = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
        let there = tables
            .into_iter()
            .filter(|(table, _)| known.lines().any(|known| known == *table));
        let shift = there.map(|(table, id)| {
            format!(
                "DELETE FROM ids WHERE table_name = '{table}' AND field_name = '{id}';
                 INSERT INTO ids VALUES ('{table}', '{id}', (SELECT COALESCE(MAX({id}), 0) + 70000 FROM {table}));"
            )
        });
        self.sql(&shift.collect::<String>());
    }

    /// Runs SQL in the server's database.
    pub fn sql(&self, statement: &str) -> String {
        self.psql("zabbix", statement)
    }

    fn postgres(&self, statement: &str) {
        self.psql("postgres", statement);
    }

    fn psql(&self, database: &str, statement: &str) -> String {
        let arguments = [
            "psql",
            "-qAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            if database == "postgres" {
                "postgres"
            } else {
                "zabbix"
            },
            "-c",
            statement,
            database,
        ];
        let output = self.lab.pod().exec(&arguments).expect("psql runs");
        assert!(
            output.status.success(),
            "{statement}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn disconnect(&self, database: &str) {
        self.postgres(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        ));
    }
}
