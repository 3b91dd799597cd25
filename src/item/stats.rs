//! `courier.stats[source,field]`: what became of a source's last push, in any process of the agent.

use std::borrow::Cow;
use std::time::SystemTime;

use super::Parameters;
use crate::abi::Answer;
use crate::board::Status;
use crate::environment::Environment;
use crate::errand::Target;
use crate::spool::Spool;

const FIELDS: &str = "status, error, destinations, elapsed, fetch, parse, send, server, bytes, values, processed, \
    failed, skipped, age, waiting, lost";

/// Answers one field.
///
/// # Errors
/// The reason why the item is unsupported: the source was never pushed, or there is no such field.
pub fn stats(environment: &Environment, parameters: &[Cow<'_, str>]) -> Result<Answer, String> {
    let parameters = Parameters::new("courier.stats", &["source", "field"], parameters)?;
    let target = Target::find(environment, parameters.at(0)).map_err(|error| error.to_string())?;
    let field = parameters.at(1);
    let now = SystemTime::now();
    let (record, age) = environment
        .board
        .read(&target.id, now)
        .ok_or_else(|| format!("{} was not pushed since the start", target.id))?;
    Ok(match field {
        "status" => Answer::Text(
            match record.status {
                Status::Ok => "ok",
                Status::Timeout => "timeout",
                Status::Failed => "failed",
            }
            .to_owned(),
        ),
        "error" if record.status == Status::Ok => Answer::Text(String::new()),
        "error" => Answer::Text(record.told),
        "destinations" if record.delivered => Answer::Text(record.told),
        "destinations" => Answer::Text(String::new()),
        "elapsed" => Answer::Number(record.elapsed),
        "fetch" => Answer::Number(record.fetch),
        "parse" => Answer::Number(record.parse),
        "send" => Answer::Number(record.send),
        "server" => Answer::Number(record.server),
        "bytes" => Answer::Integer(record.bytes),
        "values" => Answer::Integer(record.values),
        "processed" => Answer::Integer(record.processed),
        "failed" => Answer::Integer(record.failed),
        "skipped" => Answer::Integer(record.skipped),
        "age" => Answer::Number(age.as_secs_f64()),
        "waiting" => {
            let spool = Spool::new(&target.settings.deliver, environment.board);
            Answer::Integer(spool.map_or(0, |spool| spool.waiting()))
        }
        "lost" => Answer::Integer(environment.board.lost()),
        _ => return Err(format!("unknown field {field:?}: use one of {FIELDS}")),
    })
}
