//! Asks for the metadata at each interval.

use std::future::Future;
use std::pin::Pin;

use enmesh_identity::NodeName;
use enmesh_membership::Update;

use super::{RancherConfig, answer, fetch, place};
use crate::failure::failed;
use crate::pace::Pace;
use crate::source::{Source, SourceContext};

#[derive(Debug)]
pub(super) struct RancherSource {
    own: NodeName,
    basename: String,
    url: String,
    pace: Pace,
}

impl RancherSource {
    pub(super) fn new(config: &RancherConfig, context: &SourceContext) -> Self {
        Self {
            own: context.own().clone(),
            basename: config.node_basename.clone(),
            url: config.metadata_url.clone(),
            pace: Pace::new(config.polling_interval, context),
        }
    }

    async fn poll(&mut self) -> Update {
        self.pace.wait().await;
        let place = place(&self.url).expect("the configuration was validated");
        let update = match fetch::get(place).await {
            Ok(body) => answer::read(&body, &self.basename, &self.own),
            Err(error) => {
                let text = format!("{}: {error}; does this run in Rancher 1?", self.url);
                failed(error.kind(), text)
            }
        };
        self.pace.went(!matches!(update, Update::Failed(_)));
        update
    }
}

impl Source for RancherSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.poll())
    }
}

#[cfg(test)]
mod tests {
    use enmesh_membership::FailureKind;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::TopologyConfig;

    const BODY: &str = r#"{"containers":[{"ips":["10.0.0.1"]},{"ips":["10.0.0.2"]}]}"#;

    /// Answers one request with these bytes and gives the request's head.
    async fn serve(listener: &TcpListener, answer: &str) -> String {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).await.unwrap();
            request.push(byte[0]);
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    async fn asked(answer: &str) -> (Update, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let text = format!(
            "strategy=rancher node_basename=web metadata_url=http://127.0.0.1:{port}/latest/self/service"
        );
        let topology: TopologyConfig = text.parse().unwrap();
        let context = SourceContext::new("web@10.0.0.1".parse().unwrap());
        let mut source = topology.source(&context).unwrap();
        tokio::join!(source.next(), serve(&listener, answer))
    }

    #[tokio::test]
    async fn the_service_s_metadata_is_asked_for_and_read() {
        let length = BODY.len();
        let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{BODY}");
        let closed = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{BODY}");
        let (first, second) = BODY.split_at(20);
        let chunked = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            first.len(),
            second.len()
        );
        for answer in [whole, closed, chunked] {
            let (update, request) = asked(&answer).await;
            let name: NodeName = "web@10.0.0.2".parse().unwrap();
            assert_eq!(update, Update::snapshot([name]), "{answer}");
            assert!(
                request.starts_with("GET /latest/self/service HTTP/1.1\r\n"),
                "{request}"
            );
            assert!(
                request.contains("accept: application/json\r\n"),
                "{request}"
            );
        }
    }

    #[tokio::test]
    async fn whatever_is_no_good_answer_is_a_failure() {
        let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{BODY}");
        for (answer, kind) in [
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                FailureKind::NotFound,
            ),
            (
                "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
                FailureKind::Other,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
                FailureKind::Malformed,
            ),
            ("SSH-2.0-OpenSSH\r\n", FailureKind::Unreachable),
            ("", FailureKind::Unreachable),
            (cut.as_str(), FailureKind::Unreachable),
        ] {
            match asked(answer).await.0 {
                Update::Failed(failure) => assert_eq!(failure.kind(), kind, "{answer}: {failure}"),
                other => panic!("{answer}: {other:?}"),
            }
        }
    }
}
