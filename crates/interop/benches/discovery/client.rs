//! A client of the API, as a kubeconfig says.

use std::path::Path;

use anyhow::Result;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Connects as the current context of `file`.
pub(crate) async fn client(file: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(file)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
