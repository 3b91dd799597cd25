//! How long a step takes, side by side in one run: this command, docker-compose 1.29, Compose 2.26, and the floor, which
//! is the same create and start calls sent to the Engine API bare, over a connection that is open already.
//!
//! `cargo bench -p concierge_scheduler --bench scale` (as root; the lab's engine is built where it is missing) prints tables and
//! fails where a target is missed.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, EndpointSettings, NetworkingConfig};
use bollard::query_parameters::CreateContainerOptions;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::stream::{self, StreamExt};
use lab::{Compose, Engine, SAMPLE_IMAGE};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

const ROUNDS: usize = 9;
/// As many calls at a time as the command sends.
const PARALLEL: usize = 16;
const CONTENDERS: [&str; 4] = [
    "floor",
    "concierge_scheduler",
    "docker-compose 1.29",
    "Compose 2.26",
];
/// The steps, and for each what our time may be of each contender's.
const TARGETS: [(usize, [Option<f64>; 4]); 2] = [
    (1, [Some(1.15), None, Some(0.55), Some(1.0)]),
    (20, [Some(1.15), None, Some(0.95), None]),
];

fn main() {
    let engine = Engine::start().expect("the lab's engine");
    let folder = tempfile::tempdir().expect("a temporary folder");
    prepare(&engine, folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let floor = connect(&engine);
    println!("medians of {ROUNDS} interleaved rounds, in milliseconds (smallest - largest)");
    let mut missed = 0;
    for (step, targets) in TARGETS {
        let mut times: [Vec<Duration>; 4] = Default::default();
        for _ in 0..ROUNDS {
            for (contender, times) in times.iter_mut().enumerate() {
                let time = match contender {
                    0 => runtime.block_on(bare(&floor, &engine, step)),
                    1 => command(&engine, folder.path(), step),
                    2 => compose(&engine, Compose::V1, "one", step),
                    _ => compose(&engine, Compose::V2, "two", step),
                };
                times.push(time);
                reset(&engine, step);
            }
        }
        let medians = times.each_mut().map(|times| {
            times.sort();
            times[ROUNDS / 2].as_secs_f64() * 1e3
        });
        println!("\nscale_up by {step}");
        for (name, (median, times)) in CONTENDERS.iter().zip(medians.iter().zip(&times)) {
            let (least, most) = (times[0].as_millis(), times[ROUNDS - 1].as_millis());
            println!("  {name:22} {median:7.0}  ({least} - {most})");
        }
        for (other, target) in targets.into_iter().enumerate() {
            let Some(target) = target else { continue };
            let ratio = medians[1] / medians[other];
            let met = ratio <= target;
            missed += usize::from(!met);
            println!(
                "  ours / {:19} {ratio:5.2}  target {target:.2}  {}",
                CONTENDERS[other],
                if met { "met" } else { "NOT MET" }
            );
        }
    }
    assert_eq!(missed, 0, "targets not met");
}

/// A project of each generation, with one container, and credentials on both sides.
fn prepare(engine: &Engine, folder: &Path) {
    let pair = engine.client();
    for (name, text) in [
        ("ca.pem", engine.authority().pem()),
        ("cert.pem", &pair.certificate),
        ("key.pem", &pair.key),
    ] {
        std::fs::write(folder.join(name), text).expect("a file");
        engine
            .write_file(&format!("/srv/certs/{name}"), text.as_bytes())
            .expect("a file");
    }
    let file = format!(
        "version: '2.4'\nservices:\n  web:\n    image: {SAMPLE_IMAGE}\n    command: [sleep, '100000']\n    init: true\n"
    );
    for (compose, project) in [(Compose::V1, "one"), (Compose::V2, "two")] {
        engine
            .write_file(
                &format!("/srv/{project}/docker-compose.yml"),
                file.as_bytes(),
            )
            .expect("a file");
        engine
            .compose(compose, &format!("/srv/{project}"), &["up", "-d"])
            .expect("the project");
    }
}

fn command(engine: &Engine, folder: &Path, step: usize) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concierge_scheduler"));
    command.args([
        "scale_up",
        "web",
        "1",
        &step.to_string(),
        "--project",
        "two",
        "--timeout",
        "120",
    ]);
    command
        .env_clear()
        .env("DOCKER_HOST", engine.docker_host())
        .env("DOCKER_CERT_PATH", folder);
    command.env("CONCIERGE_STATE_DIR", folder.join("state"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().expect("the command");
    let time = begun.elapsed();
    assert!(status.success(), "{status}");
    time
}

/// Compose, timed by the shell beside it: reaching into the container is not its doing.
fn compose(engine: &Engine, compose: Compose, project: &str, step: usize) -> Duration {
    let script = format!(
        "cd /srv/{project}; export DOCKER_HOST=tcp://127.0.0.1:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/srv/certs; \
         TIMEFORMAT=%R; time {} up -d --no-recreate --scale web={} >/dev/null 2>/tmp/errors",
        compose.program(),
        step + 1
    );
    let output = engine
        .exec(&["bash", "-c", &script])
        .expect("the engine's container");
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(output.status.success(), "{text}");
    Duration::from_secs_f64(text.parse().expect("seconds"))
}

/// Back to one container in each project.
fn reset(engine: &Engine, step: usize) {
    let numbers = 2..=step + 1;
    let names =
        numbers.flat_map(|number| [format!("one_web_{number}"), format!("two-web-{number}")]);
    let script = format!(
        "docker rm -f {} >/dev/null 2>&1; true",
        names.collect::<Vec<_>>().join(" ")
    );
    engine
        .exec(&["bash", "-c", &script])
        .expect("the engine's container");
}

/// The calls that make `step` containers, and nothing else.
async fn bare(docker: &Docker, engine: &Engine, step: usize) -> Duration {
    let text = engine
        .docker(&["inspect", "two-web-1"])
        .expect("the first container");
    let sibling: Value = serde_json::from_str::<Value>(&text).expect("JSON")[0].take();
    let bodies: Vec<(String, ContainerCreateBody)> =
        (2..step + 2).map(|number| body(&sibling, number)).collect();
    let begun = Instant::now();
    stream::iter(bodies)
        .for_each_concurrent(PARALLEL, async |(name, body)| {
            let options = CreateContainerOptions {
                name: Some(name),
                ..CreateContainerOptions::default()
            };
            let id = docker
                .create_container(Some(options), body)
                .await
                .expect("created")
                .id;
            docker.start_container(&id, None).await.expect("started");
        })
        .await;
    begun.elapsed()
}

fn body(sibling: &Value, number: usize) -> (String, ContainerCreateBody) {
    let name = format!("two-web-{number}");
    let mut body: ContainerCreateBody =
        serde_json::from_value(sibling["Config"].clone()).expect("a configuration");
    body.hostname = None;
    body.host_config =
        serde_json::from_value(sibling["HostConfig"].clone()).expect("a configuration");
    let labels = body.labels.get_or_insert_default();
    labels.insert(
        "com.docker.compose.container-number".into(),
        number.to_string(),
    );
    let aliases = Some(vec![name.clone(), "web".to_owned()]);
    let endpoint = EndpointSettings {
        aliases,
        ..EndpointSettings::default()
    };
    let endpoints = HashMap::from([("two_default".to_owned(), endpoint)]);
    body.networking_config = Some(NetworkingConfig {
        endpoints_config: Some(endpoints),
    });
    (name, body)
}

fn connect(engine: &Engine) -> Docker {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(engine.authority().pem().as_bytes()).expect("a CA");
    roots.add(ca).expect("a CA");
    let pair = engine.client();
    let chain =
        vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .expect("a pair");
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .build();
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build(connector);
    let url = engine.docker_host().replace("tcp://", "https://");
    let docker = Docker::connect_with_custom_transport(
        move |request: bollard::BollardRequest| {
            let answer = client.request(request);
            async move { answer.await.map_err(bollard::errors::Error::from) }
        },
        Some(url),
        120,
        API_DEFAULT_VERSION,
    );
    docker.expect("a client")
}
