//! Pods that alone know what their nodes are called.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::super::asking::tests::node;
use super::*;
use crate::kubernetes::{NameMode, PortSource};

/// A node that says its name to whoever comes.
async fn listen(address: &str, port: u16, name: &'static str) -> u16 {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = [0; 64];
            let _ = socket.read(&mut asked).await;
            let _ = socket.write_all(&node(name)).await;
        }
    });
    port
}

#[tokio::test]
async fn nobody_is_gone_before_every_pod_has_told_its_name() {
    let port = listen("127.0.0.1", 0, "api@one.example").await;
    let pods = [pod("p1", "127.0.0.1", 9), pod("p2", "127.0.0.2", 10)];
    let replies = vec![list(11, &pods), Reply::Watch(Vec::new())];
    let (mut source, _server) = scripted_as(replies, |config| {
        config.mode = NameMode::Ask;
        config.port = PortSource::Fixed(port);
    })
    .await;
    check_changed(&next(&mut source).await, &["api@one.example"], &[]);
    listen("127.0.0.2", port, "queue@two.example").await;
    check_changed(&next(&mut source).await, &["queue@two.example"], &[]);
    let both = ["api@one.example", "queue@two.example"];
    check_snapshot(&next(&mut source).await, &both);
}

#[tokio::test]
async fn a_pod_that_goes_without_a_word_is_waited_for_no_longer() {
    let port = listen("127.0.0.1", 0, "api@one.example").await;
    let pods = [pod("p1", "127.0.0.1", 9), pod("p2", "127.0.0.2", 10)];
    let deleted = event("DELETED", &pod("p2", "127.0.0.2", 12));
    let replies = vec![list(11, &pods), Reply::Watch(vec![deleted])];
    let (mut source, _server) = scripted_as(replies, |config| {
        config.mode = NameMode::Ask;
        config.port = PortSource::Fixed(port);
    })
    .await;
    check_changed(&next(&mut source).await, &["api@one.example"], &[]);
    check_snapshot(&next(&mut source).await, &["api@one.example"]);
}

#[tokio::test]
async fn names_in_the_cluster_s_domain_have_the_one_that_is_configured() {
    let (mut source, _server) =
        scripted_as(vec![list(11, &[pod("p1", "10.0.0.1", 9)])], |config| {
            config.mode = NameMode::Dns;
            config.cluster_domain = Some("k8s.example.org".to_owned());
        })
        .await;
    check_snapshot(
        &next(&mut source).await,
        &["web@10-0-0-1.prod.pod.k8s.example.org"],
    );
}
