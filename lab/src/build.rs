//! What is installed on other machines, built against the oldest glibc among them.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::{
    Error, LABEL, docker,
    image::{Recipe, followed_with, lab},
    run_id,
};

/// Where the module lies in the containers that load it.
pub(crate) const MODULE: &str = "/usr/lib/zabbix/modules/libcourier.so";

/// What a build makes.
#[derive(Clone, Debug)]
pub struct Built {
    /// libcourier.so
    pub module: PathBuf,
    /// The command `courier`.
    pub command: PathBuf,
}

impl Built {
    /// Options of `docker run` that put the module and the command where an installation has them.
    pub(crate) fn mounts(&self) -> [String; 2] {
        [
            format!("--volume={}:{MODULE}:ro", self.module.display()),
            format!("--volume={}:/usr/bin/courier:ro", self.command.display()),
        ]
    }
}

/// Builds libcourier.so and the command `courier`, in release mode, against the oldest glibc among the supported
/// agents. A second build costs about a second, and one process builds once.
pub fn courier() -> Result<Built, Error> {
    static BUILT: Mutex<Option<Built>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(built) = &*built {
        return Ok(built.clone());
    }
    let title = "Building libcourier.so and the command courier";
    let release = build(title, &["--package", "courier", "--features", "vendored"])?;
    let new = Built {
        module: made(release.join("libcourier.so"))?,
        command: made(release.join("courier"))?,
    };
    Ok(built.insert(new).clone())
}

/// Builds the command `concierge_scheduler` in the same way, for servers of every supported Debian.
pub fn scheduler() -> Result<PathBuf, Error> {
    let title = "Building the command concierge_scheduler";
    let release = build(title, &["--package", "concierge_scheduler"])?;
    made(release.join("concierge_scheduler"))
}

/// Builds a package, and returns the folder that has what was made.
fn build(title: &str, package: &[&str]) -> Result<PathBuf, Error> {
    let checkout = checkout();
    let sysroot = stdout(Command::new("rustc").args(["--print", "sysroot"]))?;
    if sysroot == "/usr" {
        eprintln!(
            "This machine's Rust is the distribution's, which cannot be lent to a container: the build is made \
             against this machine's glibc, and may not serve on an older Debian."
        );
        cargo_build(title, &mut Command::new("cargo"), package, Stdio::null())?;
    } else {
        build_in_container(title, &sysroot, &checkout, package)?;
    }
    Ok(checkout.join(TARGET).join("release"))
}

/// The image that the builds are made in.
pub(crate) fn builder_image() -> Recipe {
    Recipe {
        name: "builder",
        tag: "bullseye".into(),
        suite: "bullseye",
        folder: "images/builder",
        copies: &[],
        arguments: Vec::new(),
    }
}

/// Where the build goes, under the checkout: apart from the builds for this machine.
const TARGET: &str = "target/portable";

/// PID 1 of a build: like the lab's other containers, it ends with its standard input, and so with its owner.
const BOUND_TO_INPUT: &str =
    r#""$@" </dev/null & build=$!; { cat >/dev/null; kill -KILL $build; } <&0 & wait $build"#;

fn build_in_container(
    title: &str,
    sysroot: &str,
    checkout: &Path,
    package: &[&str],
) -> Result<(), Error> {
    let image = builder_image().ensure()?;
    let cargo_home = cargo_home();
    // The container has no network: what is missing is fetched out here.
    docker::output(Command::new("cargo").args(["fetch"]).current_dir(checkout))?;
    let mut command = docker::command();
    command.args(["run", "-i", "--rm", "--network=none", "--log-driver=none"]);
    command.arg(format!("--label={LABEL}={}", run_id()));
    let user = (nix::unistd::getuid(), nix::unistd::getgid());
    command.arg(format!("--user={}:{}", user.0, user.1));
    command.arg(format!("--workdir={}", checkout.display()));
    for folder in [Path::new(sysroot), &cargo_home, checkout] {
        command.arg(format!("--volume={0}:{0}", folder.display()));
    }
    command.args(["-e", "HOME=/tmp", "-e", "CARGO_TERM_PROGRESS_WHEN=never"]);
    command.args(["-e", &format!("CARGO_HOME={}", cargo_home.display())]);
    command.args(["-e", &format!("PATH={sysroot}/bin:/usr/bin:/bin")]);
    command.args([&image, "bash", "-c", BOUND_TO_INPUT, "build", "cargo"]);
    // A Ctrl-C at the terminal is for us.
    command.process_group(0);
    cargo_build(title, &mut command, package, Stdio::piped())
}

fn cargo_build(
    title: &str,
    cargo: &mut Command,
    package: &[&str],
    input: Stdio,
) -> Result<(), Error> {
    cargo.args(["build", "--release", "--offline", "--target-dir", TARGET]);
    followed_with(title, cargo.args(package).current_dir(checkout()), input)
}

/// Docker would make a folder of a file that is not there.
fn made(file: PathBuf) -> Result<PathBuf, Error> {
    match file.metadata() {
        Ok(_) => Ok(file),
        Err(source) => Err(Error::Io {
            what: format!("the build made no {}", file.display()),
            source,
        }),
    }
}

fn checkout() -> PathBuf {
    // The package lab lies directly in the workspace.
    lab().parent().unwrap_or(lab()).to_owned()
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let home = std::env::home_dir().unwrap_or_default();
            home.join(".cargo")
        })
}

fn stdout(command: &mut Command) -> Result<String, Error> {
    let output = docker::output(command.current_dir(checkout()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
