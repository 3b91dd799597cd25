//! The lab's images, made where they are missing: a recipe that changed is built again, one that did not costs nothing.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::{Error, docker, progress::Step};

/// The label that holds the hash of the recipe an image was built by.
const RECIPE: &str = "concierge.lab.recipe";

/// What an image is made from.
pub(crate) struct Recipe {
    /// The image's repository, without the common prefix.
    pub name: &'static str,
    /// Its tag.
    pub tag: String,
    /// The Debian release it stands on.
    pub suite: &'static str,
    /// The folder of its Dockerfile, under lab/.
    pub folder: &'static str,
    /// What else under lab/ it copies: files and folders.
    pub copies: &'static [&'static str],
    /// Further build arguments.
    pub arguments: Vec<(&'static str, &'static str)>,
}

impl Recipe {
    /// The image's full name; it is built first where it is missing or its recipe changed.
    pub fn ensure(&self) -> Result<String, Error> {
        let image = format!("concierge-lab-{}:{}", self.name, self.tag);
        let hash = self.hash()?;
        if recipe_of(&image)? == Some(hash.clone()) {
            return Ok(image);
        }
        let _only_one = lock(&image)?;
        if recipe_of(&image)? == Some(hash.clone()) {
            return Ok(image);
        }
        let base = base(self.suite)?;
        let mut command = docker::command();
        command.args([
            "build",
            "--force-rm",
            "-t",
            &image,
            "--label",
            &format!("{RECIPE}={hash}"),
        ]);
        command.args(["--build-arg", &format!("FROM={base}")]);
        for (name, value) in &self.arguments {
            command.args(["--build-arg", &format!("{name}={value}")]);
        }
        command
            .arg("-f")
            .arg(lab().join(self.folder).join("Dockerfile"))
            .arg(lab());
        let old = docker::run(&["image", "inspect", "-f", "{{.Id}}", &image]).ok();
        fetched(&format!("Building the image {image}"), &mut command)?;
        if let Some(old) = old {
            // It stays while a container or another image stands on it.
            let _ = docker::run(&["rmi", &old]);
        }
        Ok(image)
    }

    fn hash(&self) -> Result<String, Error> {
        let mut hash = Sha256::new();
        hash.update(self.suite);
        for (name, value) in &self.arguments {
            hash.update(format!("{name}={value}\n"));
        }
        for path in [self.folder, "images/base"].iter().chain(self.copies) {
            add(&mut hash, &lab().join(path))?;
        }
        Ok(hex(hash))
    }
}

/// Removes every image of the lab and says which.
pub fn remove_all() -> Result<Vec<String>, Error> {
    let list = docker::run(&[
        "images",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        "--filter",
        "reference=concierge-lab-*",
    ])?;
    let images: Vec<String> = list.lines().map(str::to_owned).collect();
    for image in &images {
        docker::run(&["rmi", "-f", image])?;
    }
    Ok(images)
}

/// The lab's own folder in the checkout.
pub(crate) fn lab() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command whose output is progress; the output is shown only if the command fails.
pub(crate) fn followed(what: &str, command: &mut Command) -> Result<(), Error> {
    followed_with(what, command, Stdio::null())
}

/// The same for what fetches from elsewhere, which may break off: tried three times.
pub(crate) fn fetched(what: &str, command: &mut Command) -> Result<(), Error> {
    for pause in [5, 20] {
        match followed(what, command) {
            Err(Error::Command { .. }) => thread::sleep(Duration::from_secs(pause)),
            ended => return ended,
        }
    }
    followed(what, command)
}

/// The same with a standard input of the caller's choice; a pipe stays open until the command ends, or this process.
pub(crate) fn followed_with(what: &str, command: &mut Command, input: Stdio) -> Result<(), Error> {
    let step = Step::begin(what);
    let (reader, writer) = std::io::pipe().map_err(Error::io(what))?;
    let errors = writer.try_clone().map_err(Error::io(what))?;
    command.stdin(input).stdout(writer).stderr(errors);
    let mut child = docker::spawned(command, Command::spawn)?;
    // Our copies of the pipe's writing end would keep the reading end open for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut output = String::new();
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        step.now(line.trim());
        output.push_str(&line);
        output.push('\n');
    }
    let status = child.wait().map_err(Error::io(what))?;
    if !status.success() {
        let output = docker::tail(&output, 40);
        return Err(Error::Command {
            command: what.to_owned(),
            status: status.to_string(),
            output,
        });
    }
    step.done();
    Ok(())
}

/// The base image of a Debian release: a bare Debian made lean and quiet.
fn base(suite: &str) -> Result<String, Error> {
    let image = format!("concierge-lab-base:{suite}");
    let mut hash = Sha256::new();
    add(&mut hash, &lab().join("images/base"))?;
    let hash = hex(hash);
    if recipe_of(&image)? == Some(hash.clone()) {
        return Ok(image);
    }
    let _only_one = lock(&image)?;
    if recipe_of(&image)? == Some(hash.clone()) {
        return Ok(image);
    }
    let bare = bare(suite)?;
    let context = tempfile::tempdir().map_err(Error::io("a temporary folder"))?;
    let dockerfile = lab().join("images/base/Dockerfile");
    fs::copy(&dockerfile, context.path().join("Dockerfile"))
        .map_err(Error::io("the base image's Dockerfile"))?;
    copy_certificates(&context.path().join("ca"))?;
    let mut command = docker::command();
    command.args([
        "build",
        "--force-rm",
        "-t",
        &image,
        "--label",
        &format!("{RECIPE}={hash}"),
    ]);
    command.args([
        "--build-arg",
        &format!("FROM={bare}"),
        "--build-arg",
        &format!("SUITE={suite}"),
    ]);
    command.arg(context.path());
    followed(&format!("Building the image {image}"), &mut command)?;
    Ok(image)
}

/// A bare Debian: the official image where a registry can be reached, else one made here.
fn bare(suite: &str) -> Result<String, Error> {
    let official = format!("debian:{suite}-slim");
    let own = format!("concierge-lab-bare:{suite}");
    for image in [&official, &own] {
        if docker::run(&["image", "inspect", image]).is_ok() {
            return Ok(image.clone());
        }
    }
    if pull(&official) {
        return Ok(official);
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::Missing {
            what: format!("the image {official}, and no registry to pull it from,"),
            remedy: "run `cargo lab prepare` as root: it makes a base image by debootstrap".into(),
        });
    }
    let folder = tempfile::tempdir().map_err(Error::io("a temporary folder"))?;
    let root = folder.path().join("root");
    let mut command = Command::new("debootstrap");
    command
        .args(["--variant=minbase", suite])
        .arg(&root)
        .arg("http://deb.debian.org/debian");
    followed(
        &format!("Making a bare Debian {suite} by debootstrap"),
        &mut command,
    )?;
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c"]);
    command.arg(
        "tar -C \"$0\" --exclude=./var/cache/apt/archives/*.deb --exclude=./var/lib/apt/lists/* --exclude=./dev/* -c . \
         | docker import - \"$1\"",
    );
    command.arg(&root).arg(&own);
    followed(&format!("Importing it as {own}"), &mut command)?;
    Ok(own)
}

/// Keeps every other thread and process of this checkout from building the same image, until it is dropped.
fn lock(image: &str) -> Result<Flock<File>, Error> {
    let folder = lab().join("../target/lab");
    let path = folder.join(format!("{}.lock", image.replace(':', "-")));
    fs::create_dir_all(&folder)
        .and_then(|()| File::create(&path))
        .and_then(|file| {
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, reason)| reason.into())
        })
        .map_err(Error::io(path.display().to_string()))
}

/// Tries to pull an image, for a short time only: it is small, and there is another way.
fn pull(image: &str) -> bool {
    // Whoever waited once for a registry that does not answer need not wait for it again.
    static NO_REGISTRY: AtomicBool = AtomicBool::new(false);
    if NO_REGISTRY.load(Ordering::Relaxed) {
        return false;
    }
    let pulled = pulled_in_time(image);
    NO_REGISTRY.store(!pulled, Ordering::Relaxed);
    pulled
}

fn pulled_in_time(image: &str) -> bool {
    let mut command = docker::command();
    command
        .args(["pull", "-q", image])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return status.success();
        }
        thread::sleep(Duration::from_millis(100));
    }
    // A client that is already gone needs no killing.
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// The certificates that this machine's administrator trusts beside Debian's own: downloads inside a build go the
/// same way as downloads outside.
fn copy_certificates(to: &Path) -> Result<(), Error> {
    fs::create_dir(to).map_err(Error::io("a temporary folder"))?;
    let Ok(entries) = fs::read_dir("/usr/local/share/ca-certificates") else {
        return Ok(());
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if let (Some("crt"), Some(name)) =
            (path.extension().and_then(|e| e.to_str()), path.file_name())
        {
            fs::copy(&path, to.join(name)).map_err(Error::io(path.display().to_string()))?;
        }
    }
    Ok(())
}

/// The recipe hash that an image carries; none where there is no such image.
fn recipe_of(image: &str) -> Result<Option<String>, Error> {
    let format = format!("{{{{index .Config.Labels {RECIPE:?}}}}}");
    match docker::run(&["image", "inspect", "-f", &format, image]) {
        Ok(hash) => Ok(Some(hash)),
        Err(Error::Command { output, .. }) if output.contains("No such image") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds a file, or all files below a folder in the order of their names, to a hash.
fn add(hash: &mut Sha256, path: &Path) -> Result<(), Error> {
    let failed = || Error::io(path.display().to_string());
    if path.is_dir() {
        let entries =
            fs::read_dir(path).and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect());
        let mut entries: Vec<PathBuf> = entries.map_err(failed())?;
        entries.sort();
        return entries.iter().try_for_each(|entry| add(hash, entry));
    }
    let mut content = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut content))
        .map_err(failed())?;
    hash.update(
        path.file_name()
            .map(|name| name.as_encoded_bytes())
            .unwrap_or_default(),
    );
    hash.update((content.len() as u64).to_le_bytes());
    hash.update(&content);
    Ok(())
}

fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
