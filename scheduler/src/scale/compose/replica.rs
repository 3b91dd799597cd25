//! A new replica, made as Compose would make it: everything as its sibling has it, but what is one's own. Pure.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig, MountType,
    NetworkingConfig,
};

/// The label of a container's number in its service.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// What Compose 2 notes on a container that took another's place.
const REPLACE: &str = "com.docker.compose.replace";

/// What must be asked of the engine to make a replica.
#[derive(Debug)]
pub struct Replica {
    /// The container's name.
    pub name: String,
    /// The container.
    pub body: ContainerCreateBody,
    /// The networks to connect before the start; older engines take but one while creating.
    pub networks: Vec<(String, EndpointSettings)>,
}

/// The replica number `number` called `name`, beside `sibling`, of the image `image`.
pub fn beside(sibling: &ContainerInspectResponse, name: &str, number: u32, image: &str) -> Replica {
    let id = sibling.id.clone().unwrap_or_default();
    let old_name = sibling
        .name
        .as_deref()
        .unwrap_or_default()
        .trim_start_matches('/');
    let config = sibling.config.clone().unwrap_or_default();
    let host_config = sibling.host_config.clone().unwrap_or_default();
    let mut labels = config.labels.unwrap_or_default();
    labels.insert(NUMBER.to_owned(), number.to_string());
    labels.remove(REPLACE);
    let endpoints = sibling
        .network_settings
        .clone()
        .and_then(|settings| settings.networks)
        .unwrap_or_default();
    let mut networks: Vec<(String, EndpointSettings)> = endpoints
        .into_iter()
        .map(|(network, endpoint)| (network, endpoint_of(endpoint, &id, old_name, name)))
        .collect();
    let mode = host_config.network_mode.clone().unwrap_or_default();
    // The network of the mode first, the others in a fixed order.
    networks.sort_by(|(a, _), (b, _)| (a != &mode, a).cmp(&(b != &mode, b)));
    let first = networks
        .first()
        .is_some_and(|(network, _)| network == &mode);
    let own = first.then(|| networks.remove(0));
    let networking_config = own.map(|(network, endpoint)| NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network, endpoint)])),
    });
    let body = ContainerCreateBody {
        // By default the engine's own choice: the container's id.
        hostname: config
            .hostname
            .filter(|hostname| !is_short_id(hostname, &id)),
        domainname: config.domainname,
        user: config.user,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: config.exposed_ports,
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env,
        cmd: config.cmd,
        healthcheck: config.healthcheck,
        args_escaped: config.args_escaped,
        image: Some(image.to_owned()),
        volumes: config.volumes,
        working_dir: config.working_dir,
        entrypoint: config.entrypoint,
        network_disabled: config.network_disabled,
        on_build: config.on_build,
        labels: Some(labels),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        shell: config.shell,
        host_config: Some(without_anonymous_volumes(host_config)),
        networking_config,
    };
    Replica {
        name: name.to_owned(),
        body,
        networks,
    }
}

/// An endpoint as it was asked for: without what the engine assigned, and with the new container's name.
fn endpoint_of(
    endpoint: EndpointSettings,
    id: &str,
    old_name: &str,
    name: &str,
) -> EndpointSettings {
    let aliases = endpoint.aliases.map(|aliases| {
        aliases
            .into_iter()
            .filter(|alias| !is_short_id(alias, id))
            .map(|alias| {
                if alias == old_name {
                    name.to_owned()
                } else {
                    alias
                }
            })
            .collect()
    });
    EndpointSettings {
        aliases,
        ipam_config: endpoint.ipam_config,
        links: endpoint.links,
        driver_opts: endpoint.driver_opts,
        gw_priority: endpoint.gw_priority,
        ..EndpointSettings::default()
    }
}

/// A sibling that Compose recreated holds on to its own anonymous volumes by name; a replica gets new ones.
fn without_anonymous_volumes(mut config: HostConfig) -> HostConfig {
    config.container_id_file = None;
    if let Some(binds) = &mut config.binds {
        binds.retain(|bind| !is_anonymous(bind.split(':').next().unwrap_or_default()));
    }
    for mount in config.mounts.iter_mut().flatten() {
        if mount.typ == Some(MountType::VOLUME) && mount.source.as_deref().is_some_and(is_anonymous)
        {
            mount.source = None;
        }
    }
    config
}

fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_short_id(text: &str, id: &str) -> bool {
    text.len() == 12 && id.starts_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ID: &str = "d7e71a12cc6c1d8efcd438e9f1c6851aacc12faa75a7af80d5164dcbd21bd574";
    const VOLUME: &str = "04eb0aaaee41aad3b6b06fc6f1eec7173de774bfbb8a882a58e29999f681ed95";

    fn sibling() -> ContainerInspectResponse {
        serde_json::from_value(json!({
            "Id": ID,
            "Name": "/p-web-1",
            "Config": {
                "Hostname": &ID[..12],
                "Image": "shop:1",
                "Env": ["A=1"],
                "Volumes": {"/anon": {}},
                "StopTimeout": 30,
                "Labels": {
                    "com.docker.compose.config-hash": "f361",
                    "com.docker.compose.container-number": "1",
                    "com.docker.compose.replace": "p-web-1",
                    "own": "kept"
                }
            },
            "HostConfig": {
                "NetworkMode": "p_default",
                "Memory": 67108864,
                "Binds": ["p_data:/data:rw", format!("{VOLUME}:/anon:rw")],
                "Mounts": [{"Type": "volume", "Source": VOLUME, "Target": "/m"}, {"Type": "bind", "Source": "/etc", "Target": "/e"}],
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8000-8010"}]}
            },
            "NetworkSettings": {"Networks": {
                "p_back": {"Aliases": [&ID[..12], "p-web-1", "web"], "IPAddress": "172.19.0.2", "MacAddress": "02:42:ac:13:00:02"},
                "p_default": {"Aliases": ["web", "www"], "IPAddress": "172.18.0.2"}
            }}
        }))
        .unwrap()
    }

    fn made() -> (Replica, Value) {
        let replica = beside(&sibling(), "p-web-2", 2, "shop:1");
        let body = serde_json::to_value(&replica.body).unwrap();
        (replica, body)
    }

    #[test]
    fn labels_are_verbatim_but_the_number() {
        let (_, body) = made();
        let labels = json!({
            "com.docker.compose.config-hash": "f361",
            "com.docker.compose.container-number": "2",
            "own": "kept"
        });
        assert_eq!(body["Labels"], labels);
    }

    #[test]
    fn what_the_sibling_owns_alone_is_not_shared() {
        let (_, body) = made();
        assert_eq!(body.get("Hostname"), None);
        assert_eq!(body["HostConfig"]["Binds"], json!(["p_data:/data:rw"]));
        assert_eq!(body["HostConfig"]["Mounts"][0].get("Source"), None);
        assert_eq!(body["HostConfig"]["Mounts"][1]["Source"], "/etc");
        assert_eq!(body["Volumes"], json!({"/anon": {}}));
    }

    #[test]
    fn a_host_name_that_was_asked_for_is_kept() {
        let mut named = sibling();
        named.config.as_mut().unwrap().hostname = Some("fixed".into());
        assert_eq!(
            beside(&named, "p-web-2", 2, "shop:1")
                .body
                .hostname
                .as_deref(),
            Some("fixed")
        );
    }

    #[test]
    fn limits_ports_and_stop_rules_are_kept() {
        let (_, body) = made();
        assert_eq!(body["HostConfig"]["Memory"], 67_108_864);
        assert_eq!(
            body["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"],
            "8000-8010"
        );
        assert_eq!(body["StopTimeout"], 30);
        assert_eq!(body["Env"], json!(["A=1"]));
    }

    #[test]
    fn networks_keep_their_aliases_and_lose_what_was_assigned() {
        let (replica, body) = made();
        let own = json!({"p_default": {"Aliases": ["web", "www"]}});
        assert_eq!(body["NetworkingConfig"]["EndpointsConfig"], own);
        let [(network, endpoint)] = replica.networks.as_slice() else {
            panic!("one more network")
        };
        assert_eq!(network, "p_back");
        assert_eq!(
            serde_json::to_value(endpoint).unwrap(),
            json!({"Aliases": ["p-web-2", "web"]})
        );
    }

    #[test]
    fn without_a_network_none_is_asked_for() {
        let mut alone = sibling();
        alone.host_config.as_mut().unwrap().network_mode = Some("container:abc".into());
        alone.network_settings = None;
        let replica = beside(&alone, "p-web-2", 2, "shop:1");
        assert!(replica.body.networking_config.is_none() && replica.networks.is_empty());
    }
}
