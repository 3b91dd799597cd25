//! The object storage that a location names, with the credentials of the environment.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, RetryConfig};
use reqwest::Url;

use super::Error;
use crate::environment::Environment;

/// How long a request is tried again before it counts as failed.
const RETRY: Duration = Duration::from_secs(30);

/// Settings that the libraries of the three clouds know, by the names that their own tools use.
const SETTINGS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
    "AZURE_ALLOW_HTTP",
];

/// The storage behind a URL.
pub fn open(
    url: &Url,
    environment: &Environment,
    location: &str,
) -> Result<Arc<dyn ObjectStore>, Error> {
    // Fails only where another provider was installed before, and then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wrong = |source| Error::Store {
        what: "use",
        place: location.to_owned(),
        source,
    };
    let retry = RetryConfig {
        max_retries: 5,
        retry_timeout: RETRY,
        ..RetryConfig::default()
    };
    let settings = SETTINGS
        .iter()
        .filter_map(|name| Some((name.to_ascii_lowercase(), environment.get(name)?)));
    match url.scheme() {
        "gs" => {
            let key = environment
                .get("GCP_CREDENTIAL_FILE")
                .ok_or(Error::NoCredentials)?;
            let builder = GoogleCloudStorageBuilder::new()
                .with_url(url.as_str())
                .with_service_account_path(key)
                .with_client_options(client(environment))
                .with_retry(retry);
            Ok(Arc::new(builder.build().map_err(wrong)?))
        }
        "s3" => {
            let mut builder = AmazonS3Builder::new()
                .with_url(url.as_str())
                .with_retry(retry);
            for (name, value) in settings {
                if let Ok(key) = AmazonS3ConfigKey::from_str(&name) {
                    builder = builder.with_config(key, value);
                }
            }
            Ok(Arc::new(builder.build().map_err(wrong)?))
        }
        "az" => {
            let mut builder = MicrosoftAzureBuilder::new()
                .with_url(url.as_str())
                .with_retry(retry);
            for (name, value) in settings {
                if let Ok(key) = AzureConfigKey::from_str(&name) {
                    builder = builder.with_config(key, value);
                }
            }
            Ok(Arc::new(builder.build().map_err(wrong)?))
        }
        "file" => {
            let folder = url
                .to_file_path()
                .map_err(|()| Error::Location(location.to_owned()))?;
            // What is written there shall be readable to nobody else, as in the local folder.
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
            let store = LocalFileSystem::new_with_prefix(folder)
                .map_err(wrong)?
                .with_automatic_cleanup(true);
            Ok(Arc::new(store))
        }
        _ => Err(Error::Location(location.to_owned())),
    }
}

/// A key file may name another address (gcs_base_url), for a storage of one's own.
fn client(environment: &Environment) -> object_store::ClientOptions {
    object_store::ClientOptions::new().with_allow_http(environment.is_on("GOOGLE_ALLOW_HTTP"))
}
