use std::fmt;

use super::stand;
use crate::{Agent, AgentSpec, App, Error, Lab, Version, progress::Step};

/// Where valgrind writes, a file a process.
const REPORTS: &str = "/tmp/memcheck";
/// One process serves items, so that it alone runs every errand.
const AGENT: &str = "StartAgents=1\nTimeout=30\nServerActive=\n";
const VALUES: usize = 20;

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

/// Runs so many errands of all kinds in an agent under memcheck.
///
/// # Errors
/// The lab's own; [`Error::Unproven`] for an error or a definite leak with the module on its stack.
pub fn memcheck(errands: u64) -> Result<Memcheck, Error> {
    let lab = Lab::builder()
        .zabbix(Version::V6_0)
        .without_agent()
        .start()?;
    stand::host(&lab, VALUES)?;
    let app = lab.start_app(App::Dropwizard)?;
    let watch = format!(
        "valgrind --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=40 \
         --log-file={REPORTS}.%p"
    );
    let spec = AgentSpec {
        config: AGENT.into(),
        courier_toml: Some(
            "allow = ['http://127.0.0.1:*/', 'file:///srv/']\n[deliver]\nto = ['127.0.0.1']\n"
                .into(),
        ),
        env: vec![("WATCHED_BY".into(), watch)],
        ..AgentSpec::default()
    };
    let image = stand::debug_image().ensure()?;
    let agent = Agent::start_from(&image, lab.pod(), lab.version(), &spec, Vec::new())?;
    agent.exec(&["mkdir", "-p", "/srv"])?;
    agent.write_file("/srv/app.json", stand::body(VALUES, 7).as_bytes())?;
    let (file, url) = ("/srv/app.json", app.url());
    let keys = [
        format!("courier.push[{file}]"),
        format!("courier.discover[{url}]"),
        format!("courier.push[{url}]"),
        format!("courier.push[{file},,nobody]"),
        format!("courier.stats[{file},error]"),
        "courier.push[http://127.0.0.1:7/]".to_owned(),
        "courier.push[http://localhost:7/]".to_owned(),
        "courier.discover[http://10.0.0.1/]".to_owned(),
        format!("courier.push[{file},,,(]"),
        "courier.version".to_owned(),
    ];
    let step = Step::begin(format!("{errands} errands under memcheck"));
    for (number, key) in (0..errands).zip(keys.iter().cycle()) {
        match agent.get(key) {
            Ok(_) | Err(Error::NotSupported { .. }) => {}
            Err(error) => return Err(error),
        }
        step.now(&number.to_string());
    }
    step.done();
    let last = agent.get(&format!("courier.stats[{file},status]"))?;
    if last != "ok" {
        return Err(Error::Unproven(format!(
            "the last push of {file} ended as {last:?}"
        )));
    }
    // A process reports when it ends.
    agent.stop()?;
    let reports = agent.exec(&[
        "sh",
        "-c",
        &format!("cat {REPORTS}.*; ls {REPORTS}.* | wc -l >&2"),
    ])?;
    let text = String::from_utf8_lossy(&reports.stdout).into_owned();
    let processes = String::from_utf8_lossy(&reports.stderr).trim().parse();
    let (ours, others): (Vec<_>, Vec<_>) = records(&text).into_iter().partition(|one| is_ours(one));
    let memcheck = Memcheck {
        errands,
        ours,
        others: others.len(),
        processes: processes.unwrap_or_default(),
    };
    // The parent, the collector and the listener at the least.
    if memcheck.processes < 3 || text.matches("ERROR SUMMARY").count() < 3 {
        return Err(Error::Unproven(format!("memcheck did not report:\n{text}")));
    }
    match memcheck.ours.is_empty() {
        true => Ok(memcheck),
        false => Err(Error::Unproven(memcheck.to_string())),
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
            "{} errands in an agent of {} processes under memcheck: {} errors and definite leaks with the module on \
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
