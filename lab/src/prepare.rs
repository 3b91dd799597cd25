//! Makes a machine ready for the lab: packages, the Docker engine, the images.

use std::{
    env,
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use crate::{
    App, Error, Version, build, docker, engine, image::Recipe, image::fetched, progress::Step,
    proof, proxy, zabbix_image,
};

/// Where a `dockerd` that was started here writes its log.
const ENGINE_LOG: &str = "/var/log/dockerd.log";

/// Where the engine and its containerd note their process ids.
const PID_FILES: [(&str, &str); 2] = [
    ("/var/run/docker.pid", "dockerd"),
    ("/var/run/docker/containerd/containerd.pid", "containerd"),
];

/// Something that building or testing takes.
struct Need {
    present: fn() -> bool,
    packages: &'static [&'static str],
}

const NEEDS: &[Need] = &[
    Need {
        present: || program("docker"),
        packages: &["docker.io"],
    },
    Need {
        present: || program("dockerd") || engine_answers(),
        packages: &["docker.io"],
    },
    Need {
        present: || program("iptables"),
        packages: &["iptables"],
    },
    Need {
        present: || program("debootstrap"),
        packages: &["debootstrap"],
    },
    Need {
        present: || program("gcc"),
        packages: &["gcc", "libc6-dev"],
    },
    // What the emulators of cloud storage come with.
    Need {
        present: python_makes_environments,
        packages: &["python3", "python3-venv"],
    },
    Need {
        present: || program("npm"),
        packages: &["npm"],
    },
    Need {
        present: || program("make"),
        packages: &["make"],
    },
    Need {
        present: || program("perl"),
        packages: &["perl"],
    },
    Need {
        present: || program("valgrind"),
        packages: &["valgrind"],
    },
    Need {
        present: || program("docker-compose"),
        packages: &["docker-compose"],
    },
    // A test watches what the scheduler writes.
    Need {
        present: || program("strace"),
        packages: &["strace"],
    },
    Need {
        present: libclang,
        packages: &["libclang-dev"],
    },
    Need {
        present: || program("pkg-config") && Path::new("/usr/include/openssl/ssl.h").exists(),
        packages: &["libssl-dev", "pkg-config"],
    },
    Need {
        present: || Path::new("/etc/ssl/certs/ca-certificates.crt").exists(),
        packages: &["ca-certificates"],
    },
];

/// Installs what is missing and starts the Docker engine, as root; for anybody else, says how.
pub fn machine() -> Result<(), Error> {
    let mut missing: Vec<&str> = NEEDS
        .iter()
        .filter(|need| !(need.present)())
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        install(missing)?;
    }
    if engine_answers() {
        Ok(())
    } else {
        start_engine()
    }
}

/// Builds every image that is missing or whose recipe changed, two at a time.
pub fn images() -> Result<(), Error> {
    let apps = [App::Dropwizard, App::NodeExporter, App::Pyctuator].map(App::image);
    let queue: Mutex<Vec<Recipe>> = Mutex::new(
        apps.into_iter()
            .chain(Version::ALL.map(zabbix_image))
            .chain([Version::V6_0, Version::V7_0].map(proxy::image))
            .chain([
                build::builder_image(),
                engine::image(),
                proof::stand::debug_image(),
            ])
            .collect(),
    );
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop());
    let work = || {
        while let Some(recipe) = next() {
            recipe.ensure()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        work().and(
            other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        )
    })
}

/// Refuses anybody but root, who alone can put a test's own sockets into a lab's network.
pub fn root() -> Result<(), Error> {
    if is_root() {
        return Ok(());
    }
    Err(Error::Missing {
        what: "the right to enter a lab's network".into(),
        remedy: "run it as root: sudo -E env PATH=\"$PATH\" cargo lab test".into(),
    })
}

fn install(mut packages: Vec<&str>) -> Result<(), Error> {
    if !is_root() || !program("apt-get") {
        with_client(&mut packages);
        return Err(Error::Missing {
            what: packages.join(", "),
            remedy: format!("install with: sudo apt-get install {}", packages.join(" ")),
        });
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    fetched("Reading the package lists", apt().args(["update", "-q"]))?;
    with_client(&mut packages);
    let what = format!("Installing {}", packages.join(", "));
    fetched(
        &what,
        apt()
            .args(["install", "-qy", "--no-install-recommends"])
            .args(&packages),
    )
}

/// Adds the engine's client, which is a package of its own since Debian 13.
fn with_client(packages: &mut Vec<&str>) {
    let of_its_own =
        || docker::output(Command::new("apt-cache").args(["show", "docker-cli"])).is_ok();
    if packages.contains(&"docker.io") && of_its_own() {
        packages.push("docker-cli");
    }
}

fn start_engine() -> Result<(), Error> {
    if !is_root() {
        return Err(Error::Missing {
            what: "an answer from the Docker engine".into(),
            remedy: "start it with: sudo systemctl start docker (and be in the group docker)"
                .into(),
        });
    }
    let step = Step::begin("Starting the Docker engine");
    if Path::new("/run/systemd/system").exists() {
        docker::output(Command::new("systemctl").args(["start", "docker"]))?;
    } else {
        for (file, program) in PID_FILES {
            forget_dead(file, program);
        }
        let log = File::create(ENGINE_LOG).map_err(Error::io(ENGINE_LOG))?;
        let errors = log.try_clone().map_err(Error::io(ENGINE_LOG))?;
        let mut command = Command::new("dockerd");
        // A group of its own: it serves on after this command, and after a Ctrl-C.
        command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        docker::spawned(&mut command, Command::spawn)?;
    }
    let deadline = Instant::now() + Duration::from_secs(180);
    while !engine_answers() {
        if Instant::now() > deadline {
            let output = docker::tail(&fs::read_to_string(ENGINE_LOG).unwrap_or_default(), 20);
            return Err(Error::Command {
                command: "dockerd".into(),
                status: "no answer".into(),
                output,
            });
        }
        thread::sleep(Duration::from_millis(100));
    }
    step.done();
    Ok(())
}

/// Removes a pid file whose number is no longer the program's: an engine that was killed leaves it behind, and the next
/// one would take whatever process has the number by now for it.
fn forget_dead(file: &str, program: &str) {
    let Ok(pid) = fs::read_to_string(file) else {
        return;
    };
    // A killed process that nobody has waited for still has its number, but no program.
    let running = fs::read_link(format!("/proc/{}/exe", pid.trim())).unwrap_or_default();
    if running.file_name().is_none_or(|name| name != program) {
        // What cannot be removed is named by the engine itself.
        let _ = fs::remove_file(file);
    }
}

fn engine_answers() -> bool {
    docker::run(&["version", "--format", "{{.Server.Version}}"]).is_ok()
}

fn python_makes_environments() -> bool {
    let imported = Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .stderr(Stdio::null())
        .status();
    imported.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian leaves the system's programs out of an ordinary user's PATH.
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(name).is_file())
}

/// Whether bindgen will find a libclang.
fn libclang() -> bool {
    let versions = || -> io::Result<bool> {
        let mut folders = fs::read_dir("/usr/lib")?
            .flatten()
            .map(|entry| entry.path());
        Ok(folders.any(|path| {
            path.join("lib/libclang.so").exists() || path.join("lib/libclang.so.1").exists()
        }))
    };
    env::var_os("LIBCLANG_PATH").is_some() || versions().unwrap_or(false)
}
