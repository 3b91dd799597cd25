//! A private socket that leads to a TLS engine, so that a program that knows no credentials in memory needs none in files.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// The socket; it is gone when this is dropped.
pub struct Tunnel {
    folder: PathBuf,
    server: JoinHandle<()>,
}

impl Tunnel {
    /// Opens a socket, in a new folder of this user alone below `parent`, that leads to `host:port`.
    pub fn open(
        parent: &Path,
        host: &str,
        port: u16,
        tls: rustls::ClientConfig,
    ) -> io::Result<Self> {
        let name = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let folder = parent.join(format!("tunnel-{}", std::process::id()));
        // Left behind by a killed process whose number this one has now.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let listener = UnixListener::bind(folder.join("docker.sock"))?;
        let connector = TlsConnector::from(Arc::new(tls));
        let remote = format!("{host}:{port}");
        let server = tokio::spawn(async move {
            while let Ok((mut local, _)) = listener.accept().await {
                let (connector, name, remote) = (connector.clone(), name.clone(), remote.clone());
                tokio::spawn(async move {
                    let remote = TcpStream::connect(remote).await?;
                    let mut remote = connector.connect(name, remote).await?;
                    copy_bidirectional(&mut local, &mut remote).await
                });
            }
        });
        Ok(Self { folder, server })
    }

    /// What DOCKER_HOST must be to use it.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.folder.join("docker.sock").display())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.server.abort();
        // What stays is an empty socket in a private folder, and the next run clears it.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
