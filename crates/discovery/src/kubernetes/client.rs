//! The connection to the API server.
//!
//! kube's own speaks HTTP/1.1, where a watch whose server has died without a word looks like one
//! that has nothing to tell: only asking anew, all the time, would find out. Over HTTP/2, which
//! every API server speaks, a PING does, and costs the server nothing.

use std::time::Duration;

use hyper_rustls::builderstates::WantsSchemes;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::middleware::AuthLayer;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use rustls_pki_types::ServerName;
use tokio::sync::oneshot;
use tower::{BoxError, ServiceBuilder};

use super::transport::Bounds;

/// After how long without a byte of the server it is asked whether it lives.
const PING_AFTER: Duration = Duration::from_secs(20);

/// How long it has to answer; then the connection is broken, and a watch on it has failed.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The certificates, keys or headers cannot be used.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// The kubeconfig's `tls-server-name` is none.
    #[error("`{name}` in the kubeconfig's tls-server-name is no name of a server")]
    ServerName {
        /// What stands there.
        name: String,
    },
    /// The system has no thread for the kubeconfig's command.
    #[error("the command of the kubeconfig's user cannot be waited for")]
    Thread(#[source] std::io::Error),
    /// Whoever waited for the kubeconfig's command has ended without a word.
    #[error("nobody knows what became of the command of the kubeconfig's user")]
    Died,
}

/// Who we are to the server, and whom we take for it.
struct Credentials {
    tls: HttpsConnectorBuilder<WantsSchemes>,
    auth: Option<AuthLayer>,
}

impl Credentials {
    /// Runs the command that a kubeconfig may have for a token or a certificate, and waits for it.
    fn read(api: &Config) -> Result<Self, ClientError> {
        let tls = HttpsConnectorBuilder::new().with_tls_config(api.rustls_client_config()?);
        let auth = api.auth_layer()?;
        Ok(Self { tls, auth })
    }

    /// The same, with such a command in a thread of its own: it may take long, or for ever, and
    /// then neither hinders others nor our end.
    async fn find(api: Config) -> Result<(Config, Self), ClientError> {
        let user = &api.auth_info;
        if user.exec.is_none() && user.auth_provider.is_none() {
            let found = Self::read(&api)?;
            return Ok((api, found));
        }
        let (sender, receiver) = oneshot::channel();
        let read = move || {
            let found = Self::read(&api);
            // Nobody waits any more where the topology was taken away.
            let _ = sender.send(found.map(|found| (api, found)));
        };
        let thread = std::thread::Builder::new().name("kubeconfig-exec".to_owned());
        thread.spawn(read).map_err(ClientError::Thread)?;
        receiver.await.unwrap_or(Err(ClientError::Died))
    }
}

/// A client of the API server within `bounds`. The server is not asked for anything yet.
pub(super) async fn client(api: Config, bounds: &Bounds) -> Result<Client, ClientError> {
    let (api, Credentials { tls, auth }) = Credentials::find(api).await?;
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(api.connect_timeout);
    let secure = tls.https_or_http();
    let secure = match &api.tls_server_name {
        None => secure,
        Some(name) => match ServerName::try_from(name.clone()) {
            Ok(name) => secure.with_server_name_resolver(FixedServerNameResolver::new(name)),
            Err(_) => return Err(ClientError::ServerName { name: name.clone() }),
        },
    };
    let http: Http<_, Body> = Http::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(secure.enable_all_versions().wrap_connector(connector));
    let service = ServiceBuilder::new()
        .layer(api.base_uri_layer())
        .option_layer(auth)
        .layer(api.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    let client = ClientBuilder::new(service, api.default_namespace);
    Ok(client.with_layer(bounds).build())
}
