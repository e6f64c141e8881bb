//! How a connection ends before the link is up, and what the peer takes that for.

use std::net::Ipv4Addr;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::transport::Stream;

/// Two ends of a connection over loopback.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap());
    let (dialled, accepted) = tokio::join!(dialled, listener.accept());
    (dialled.unwrap(), accepted.unwrap().0)
}

/// Dials a link that answers the second question with `verdict`, or is stopped then, with
/// `cookie`. How the link fails for the one who dialled, and how for the other.
async fn ends(cookie: &str, verdict: Option<Verdict>) -> (LinkError, LinkEnd) {
    let now = Instant::now();
    let (mut socket, accepted) = connection().await;
    let (wires, mut reported, judge) = wires();
    let stop = wires.stop.clone();
    let link = Link::accept(now, config("b@127.0.0.1"), 2);
    let accepting = tokio::spawn(drive(Stream::from(accepted), link, wires));
    tokio::spawn(async move {
        while let Some(Report::Asks(_, question)) = reported.recv().await {
            match (question, verdict) {
                (Question::Authenticated(_), None) => stop.cancel(),
                (Question::Authenticated(_), Some(verdict)) => judge.send(verdict).await.unwrap(),
                _ => judge.send(Verdict::Accept).await.unwrap(),
            }
        }
    });
    let mut config = Arc::unwrap_or_clone(config("a@127.0.0.1"));
    config.cookies = enmesh_proto::Cookies::new(Cookie::new(cookie).unwrap());
    let name = "b@127.0.0.1".parse().unwrap();
    let mut link = Link::dial(now, Arc::new(config), name, 1);
    let mut inbox = BytesMut::new();
    let error = loop {
        let said = link.take_output(now).unwrap_or_default();
        socket.write_all(&said).await.unwrap();
        match socket.read_buf(&mut inbox).await {
            Ok(0) => break link.handle_eof(),
            Ok(_) => link.handle_bytes(now, &mut inbox).unwrap(),
            Err(error) if is_broken(&error) => break link.handle_broken(),
            Err(error) => panic!("{error}"),
        }
    };
    (error, accepting.await.unwrap())
}

#[tokio::test]
async fn a_wrong_digest_alone_ends_in_order() {
    let peer = "b@127.0.0.1".parse().unwrap();
    let (told, end) = ends("another", Some(Verdict::Admit)).await;
    assert_eq!(told, LinkError::ClosedAfterDigest { peer });
    assert!(
        matches!(end, LinkEnd::Failed(LinkError::WrongDigest { .. })),
        "{end:?}"
    );
}

#[tokio::test]
async fn who_is_not_wanted_or_comes_to_our_end_is_not_told_of_another_cookie() {
    for verdict in [Some(Verdict::Discard), None] {
        let (told, end) = ends("secret", verdict).await;
        assert!(matches!(told, LinkError::ClosedInSetup { .. }), "{told:?}");
        assert!(
            matches!(
                end,
                LinkEnd::Stopped | LinkEnd::Failed(LinkError::Discarded)
            ),
            "{end:?}"
        );
    }
}
