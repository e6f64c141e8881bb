//! What the halves of a stream over TLS promise.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::TlsConfig;

const PATIENCE: Duration = Duration::from_secs(20);

fn tls() -> Arc<Tls> {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["h.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let file = |name| folder.path().join(name);
    fs::write(file("crt"), certificate.pem()).unwrap();
    fs::write(file("key"), key.serialize_pem()).unwrap();
    fs::write(file("ca"), issuer.pem()).unwrap();
    let config = TlsConfig::new(file("crt"), file("key"), file("ca"));
    Arc::new(Tls::load(&config, &peer()).unwrap())
}

fn peer() -> NodeName {
    "a@h.example".parse().unwrap()
}

/// Two ends of a connection that holds little.
async fn pair(tls: &Arc<Tls>) -> (Stream, Stream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    let there = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(socket.connect(there), listener.accept());
    let peer = peer();
    let dialling = tls.dial(near.unwrap(), &peer, PATIENCE);
    let (near, far) = tokio::join!(dialling, tls.accept(far.unwrap().0, PATIENCE));
    (near.unwrap(), far.unwrap())
}

async fn read_to(reader: &mut Reader, inbox: &mut BytesMut, len: usize) {
    while inbox.len() < len {
        let read = tokio::time::timeout(PATIENCE, reader.read_buf(inbox));
        assert_ne!(read.await.expect("it has been written").unwrap(), 0);
    }
}

/// As the driver of a link writes: it is called away again and again, and comes back.
#[tokio::test]
async fn what_was_written_arrives_without_a_flush() {
    let (near, far) = pair(&tls()).await;
    let (_idle, mut writer) = near.into_split();
    let (mut reader, _idle_too) = far.into_split();
    let sent: Vec<u8> = (0..3_000_000_u32)
        .map(|number| number.to_le_bytes()[1])
        .collect();
    let mut outbox = BytesMut::from(&sent[..]);
    let mut inbox = BytesMut::new();
    let mut interruptions = 0;
    while !outbox.is_empty() {
        tokio::select! {
            biased;
            written = writer.write_buf(&mut outbox) => drop(written.unwrap()),
            () = tokio::task::yield_now() => {
                interruptions += 1;
                inbox.reserve(1000);
                read_arrived(&mut reader, &mut inbox).await.transpose().unwrap();
            }
        }
    }
    assert!(interruptions > 100, "{interruptions}");
    // Nobody touches the writer any more.
    read_to(&mut reader, &mut inbox, sent.len()).await;
    assert!(inbox == sent, "something else arrived");
}

/// A record of TLS holds 16 KiB at most.
#[tokio::test]
async fn one_read_takes_all_the_records_that_have_arrived() {
    let (near, far) = pair(&tls()).await;
    let (mut reader, _idle) = near.into_split();
    let (_idle_too, mut writer) = far.into_split();
    writer.write_all(&[7; 100_000]).await.unwrap();
    let mut inbox = BytesMut::with_capacity(200_000);
    let reading = reader.read_buf(&mut inbox);
    let read = tokio::time::timeout(PATIENCE, reading).await.unwrap();
    assert!(read.unwrap() > 16 * 1024, "{} bytes", inbox.len());
}

/// A cut that an attacker makes is told apart from the peer's own end.
#[tokio::test]
async fn a_shutdown_is_an_end_and_a_cut_is_an_error() {
    let tls = tls();
    for (is_proper, kind) in [(true, None), (false, Some(io::ErrorKind::UnexpectedEof))] {
        let (near, far) = pair(&tls).await;
        let (mut reader, _writer) = near.into_split();
        let (idle, mut writer) = far.into_split();
        if is_proper {
            writer.shutdown().await.unwrap();
        }
        drop((idle, writer));
        let mut inbox = BytesMut::new();
        let read = tokio::time::timeout(PATIENCE, reader.read_buf(&mut inbox)).await;
        assert_eq!(read.unwrap().err().map(|error| error.kind()), kind);
    }
}
