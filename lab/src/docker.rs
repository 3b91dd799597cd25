//! The Docker command line: the engine's own client, so that the lab runs what a user would type.

use std::process::{Command, Output};

use crate::Error;

/// A `docker` command.
pub(crate) fn command() -> Command {
    let mut command = Command::new("docker");
    // The classic builder is in every engine; BuildKit's client part is a package of its own.
    command.env("DOCKER_BUILDKIT", "0");
    command
}

/// Runs docker and returns its standard output, trimmed.
pub(crate) fn run(arguments: &[&str]) -> Result<String, Error> {
    let output = output(command().args(arguments))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a command to its end; a failure carries the end of what it wrote.
pub(crate) fn output(command: &mut Command) -> Result<Output, Error> {
    let output = spawned(command, Command::output)?;
    if output.status.success() {
        return Ok(output);
    }
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    Err(Error::Command {
        command: line(command),
        status: output.status.to_string(),
        output: tail(&String::from_utf8_lossy(&text), 30),
    })
}

/// Starts a command by `start`; a missing program is named with its remedy.
pub(crate) fn spawned<T>(
    command: &mut Command,
    start: impl FnOnce(&mut Command) -> std::io::Result<T>,
) -> Result<T, Error> {
    start(command).map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        if error.kind() == std::io::ErrorKind::NotFound {
            Error::Missing {
                what: format!("the command `{program}`"),
                remedy: "run `cargo lab prepare` as root".into(),
            }
        } else {
            Error::io(program)(error)
        }
    })
}

/// The last `lines` lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A command as a user would type it, shortened.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut line = words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    if let Some((end, _)) = line.char_indices().nth(300) {
        line.truncate(end);
        line.push_str(" ...");
    }
    line
}
