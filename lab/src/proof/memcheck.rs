use std::fmt;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;

use super::stand;
use crate::{Agent, AgentSpec, App, Application, Error, Lab, Version, progress::Step};

/// Where valgrind writes, a file a process.
const REPORTS: &str = "/tmp/memcheck";
/// One process serves items, so that it alone runs every errand.
const AGENT: &str = "StartAgents=1\nTimeout=30\nServerActive=\n";
const VALUES: usize = 20;
/// Under valgrind everything takes some fifty times as long.
const TIMEOUT: Duration = Duration::from_secs(120);
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// What valgrind's memcheck says of an agent.
pub struct Memcheck {
    errands: u64,
    /// Its reports on code of the module.
    ours: Vec<String>,
    /// How many reports there are on the agent's own code alone.
    others: usize,
    /// The processes that it reports on.
    processes: usize,
}

/// Runs so many errands in agents under memcheck: of every source and format to a server in the clear, and, one in four,
/// by a pre-shared key beside a server that is gone, for which the snapshots wait in a spool.
///
/// # Errors
/// The lab's own; [`Error::Unproven`] for an error or a definite leak with the module on its stack.
pub fn memcheck(errands: u64) -> Result<Memcheck, Error> {
    let lab = Lab::builder()
        .zabbix(Version::V6_0)
        .without_agent()
        .start()?;
    let host = stand::host(&lab, VALUES)?;
    // In the clear and by key.
    let accept =
        json!({"hostid": host, "tls_accept": 3, "tls_psk_identity": "lab key", "tls_psk": KEY});
    lab.api().call("host.update", accept)?;
    lab.reload_config_cache()?;
    let apps = [App::Dropwizard, App::NodeExporter, App::Pyctuator];
    let [dropwizard, exporter, actuator] = apps.map(|app| lab.start_app(app));
    let urls = [dropwizard?, exporter?, actuator?];
    let [url, prometheus, actuator] = urls.each_ref().map(Application::url);
    let (file, gone) = ("/srv/app.json", "http://127.0.0.1:7/");

    let plain = Watched::start(&lab, 10050, "", "to = ['127.0.0.1']", Vec::new())?;
    let of_all_kinds = [
        format!("courier.push[{file}]"),
        format!("courier.discover[{url}]"),
        format!("courier.push[{url}]"),
        format!("courier.discover[{prometheus}]"),
        format!("courier.push[{prometheus},,,node_cpu]"),
        format!("courier.discover[{actuator}]"),
        format!("courier.push[{actuator}]"),
        format!("courier.push[{file},,nobody]"),
        format!("courier.push[{gone}]"),
        "courier.push[http://localhost:7/]".to_owned(),
        "courier.discover[http://10.0.0.1/]".to_owned(),
        format!("courier.push[{file},,,(]"),
    ];
    let unwritten = |error: io::Error| Error::Unproven(format!("the key's file: {error}"));
    let mut key = tempfile::NamedTempFile::new().map_err(unwritten)?;
    key.write_all(KEY.as_bytes()).map_err(unwritten)?;
    let open = Permissions::from_mode(0o644);
    key.as_file().set_permissions(open).map_err(unwritten)?;
    let encrypted = Watched::start(
        &lab,
        10060,
        "TLSConnect=psk\nTLSAccept=unencrypted\nTLSPSKIdentity=lab key\nTLSPSKFile=/run/psk\n",
        "to = ['127.0.0.1', '127.0.0.1:7']\nspool = '/tmp/spool'\nspool_max_bytes = 20000\ncompress = true",
        vec![format!("--volume={}:/run/psk:ro", key.path().display())],
    )?;
    let by_key = [format!("courier.push[{file}]")];

    let quarter = errands / 4;
    plain.run(errands - quarter, &of_all_kinds)?;
    plain.says(&format!("courier.stats[{file},status]"), "ok")?;
    encrypted.run(quarter, &by_key)?;
    let took = format!("127.0.0.1:10051: {VALUES} processed, 0 refused");
    encrypted.says(&format!("courier.stats[{file},destinations]"), &took)?;

    let mut memcheck = Memcheck {
        errands,
        ours: Vec::new(),
        others: 0,
        processes: 0,
    };
    for agent in [plain, encrypted] {
        agent.end(&mut memcheck)?;
    }
    match memcheck.ours.is_empty() {
        true => Ok(memcheck),
        false => Err(Error::Unproven(memcheck.to_string())),
    }
}

/// An agent under memcheck.
struct Watched(Agent);

impl Watched {
    fn start(
        lab: &Lab,
        port: u16,
        config: &str,
        deliver: &str,
        options: Vec<String>,
    ) -> Result<Self, Error> {
        let watch = format!(
            "valgrind --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=40 \
             --log-file={REPORTS}.%p"
        );
        let spec = AgentSpec {
            port,
            config: format!("{AGENT}{config}"),
            courier_toml: Some(format!(
                "allow = ['http://127.0.0.1:*/', 'file:///srv/']\n[deliver]\n{deliver}\n"
            )),
            env: vec![("WATCHED_BY".into(), watch)],
            ..AgentSpec::default()
        };
        let image = stand::debug_image().ensure()?;
        let agent = Agent::start_from(&image, lab.pod(), lab.version(), &spec, options)?;
        agent.exec(&["mkdir", "-p", "/srv"])?;
        agent.write_file("/srv/app.json", stand::body(VALUES, 7).as_bytes())?;
        Ok(Watched(agent))
    }

    fn run(&self, errands: u64, keys: &[String]) -> Result<(), Error> {
        let step = Step::begin(format!("{errands} errands under memcheck"));
        for (number, key) in (0..errands).zip(keys.iter().cycle()) {
            match self.0.get_within(key, TIMEOUT) {
                Ok(_) | Err(Error::NotSupported { .. }) => {}
                Err(error) => return Err(error),
            }
            step.now(&number.to_string());
        }
        step.done();
        Ok(())
    }

    fn says(&self, key: &str, what: &str) -> Result<(), Error> {
        let said = self.0.get_within(key, TIMEOUT)?;
        match said.contains(what) {
            true => Ok(()),
            false => Err(Error::Unproven(format!("{key} is {said:?}, not {what:?}"))),
        }
    }

    /// Stops the agent, and adds what its processes report when they end.
    fn end(self, memcheck: &mut Memcheck) -> Result<(), Error> {
        self.0.stop()?;
        let read = format!("cat {REPORTS}.*; ls {REPORTS}.* | wc -l >&2");
        let reports = self.0.exec(&["sh", "-c", &read])?;
        let text = String::from_utf8_lossy(&reports.stdout);
        let processes = String::from_utf8_lossy(&reports.stderr).trim().parse();
        let processes: usize = processes.unwrap_or_default();
        // The parent, the collector and the listener at the least.
        if processes < 3 || text.matches("ERROR SUMMARY").count() < 3 {
            return Err(Error::Unproven(format!("memcheck did not report:\n{text}")));
        }
        let (ours, others): (Vec<_>, Vec<_>) =
            records(&text).into_iter().partition(|one| is_ours(one));
        memcheck.ours.extend(ours);
        memcheck.others += others.len();
        memcheck.processes += processes;
        Ok(())
    }
}

/// The reports on single errors and leaks: each has the stack of where it came from.
fn records(text: &str) -> Vec<String> {
    // A line is `==PID== text`; one without text ends a record.
    let lines = text.lines().map(|line| match line.splitn(3, "==").nth(2) {
        Some(rest) => rest.trim_end(),
        None => "",
    });
    let mut records = vec![String::new()];
    for line in lines {
        match (line, records.last_mut()) {
            ("", _) => records.push(String::new()),
            (line, Some(last)) => *last += &format!("{line}\n"),
            (_, None) => {}
        }
    }
    records.retain(|record| record.contains("   at 0x"));
    records
}

/// Rust's sources are the module's alone, and so is its file.
fn is_ours(record: &str) -> bool {
    record.contains(".rs:") || record.contains("courier")
}

impl fmt::Display for Memcheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} errands in two agents of {} processes under memcheck: {} errors and definite leaks with the module on \
             their stack, {} of the agent's own",
            self.errands,
            self.processes,
            self.ours.len(),
            self.others
        )?;
        self.ours
            .iter()
            .try_for_each(|record| write!(f, "\n\n{record}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
==7== Memcheck, a memory error detector
==7== 
==7== Invalid read of size 8
==7==    at 0x1: courier::item::push (push.rs:7)
==7==    by 0x2: main (in /usr/sbin/zabbix_agentd)
==7== 
==7== 40 bytes in 1 blocks are definitely lost in loss record 1 of 2
==7==    at 0x3: malloc (in /usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so)
==7==    by 0x4: ??? (in /usr/sbin/zabbix_agentd)
==7== 
==7== ERROR SUMMARY: 2 errors from 2 contexts (suppressed: 0 from 0)
";

    #[test]
    fn a_record_is_ours_where_the_module_is_on_its_stack() {
        let records = records(REPORT);
        let ours: Vec<bool> = records.iter().map(|record| is_ours(record)).collect();
        assert_eq!(ours, [true, false]);
    }
}
