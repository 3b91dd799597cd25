//! The host's own log as the logger of the crate `log`.

use std::ffi::{CString, c_char, c_int};
use std::panic;

use log::{Level, LevelFilter, Log, Metadata, Record};

unsafe extern "C" {
    fn courier_host_log_level() -> c_int;
    fn courier_host_log(level: c_int, text: *const c_char);
}

/// Zabbix's levels.
const ERR: c_int = 2;
const WARNING: c_int = 3;
const DEBUG: c_int = 4;
const TRACE: c_int = 5;
/// Always printed.
const INFORMATION: c_int = 127;

struct HostLog;

/// Sends what this crate logs, and where it panics, to the host's log at the host's level.
pub fn install() {
    // A second module in the same process has its own copy of this crate; a second call finds its own logger set.
    if log::set_logger(&HostLog).is_ok() {
        log::set_max_level(LevelFilter::Trace);
        panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    }
}

impl Log for HostLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = level(metadata.level());
        // SAFETY: it reads an integer of the host's.
        let up_to = unsafe { courier_host_log_level() };
        // What libraries say at length belongs into nobody's agent log.
        metadata.target().starts_with("courier") && (level == INFORMATION || level <= up_to)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = format!("courier: {}", record.args()).replace(['\0', '\n', '\r'], " ");
        if let Ok(line) = CString::new(line) {
            // SAFETY: the text ends in NUL and lives until the call returns; the host copies it.
            unsafe { courier_host_log(level(record.level()), line.as_ptr()) };
        }
    }

    fn flush(&self) {}
}

fn level(level: Level) -> c_int {
    match level {
        Level::Error => ERR,
        Level::Warn => WARNING,
        Level::Info => INFORMATION,
        Level::Debug => DEBUG,
        Level::Trace => TRACE,
    }
}
