use super::*;
use proptest::prelude::*;
use tokio::net::TcpListener;

/// What OTP 25 answers as `b@127.0.0.1`.
const STATUS: &[u8] = b"\0\x03sok";
const CHALLENGE: &[u8] =
    b"\0\x1eN\0\0\0\x0d\x07\xdf\x7f\xbd\x1e\x04\xa3\xb2\x65\x81\xff\x02\0\x0bb@127.0.0.1";

const SOON: Duration = Duration::from_secs(20);

/// A listener that says each of `answers` to one connection after the other, and then waits for
/// the other side to close, or closes itself.
async fn peer(answers: Vec<Vec<u8>>, closes: bool) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut name = [0; 64];
            let read = socket.read(&mut name).await.unwrap();
            assert!(name[..read].ends_with(b"@127.0.0.1"), "{name:?}");
            socket.write_all(&answer).await.unwrap();
            if !closes {
                assert!(matches!(socket.read(&mut name).await, Ok(0) | Err(_)));
            }
        }
    });
    (address, task)
}

#[tokio::test]
async fn the_name_is_told_and_the_connection_closed() {
    let (address, task) = peer(vec![[STATUS, CHALLENGE].concat()], false).await;
    let probed = probe(address, SOON).await.unwrap();
    assert_eq!(probed.name.as_str(), "b@127.0.0.1");
    task.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_is_busy_with_our_name_is_asked_under_another() {
    let good = [STATUS, CHALLENGE].concat();
    let busy = b"\0\x04snok".to_vec();
    let (address, _) = peer(vec![busy.clone(), busy.clone(), good], false).await;
    assert!(probe(address, SOON).await.is_ok());
    let (address, _) = peer(vec![busy.clone(), busy.clone(), busy], false).await;
    let error = probe(address, SOON).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_peer_that_closes_early_told_no_name() {
    for answer in [
        &b""[..],
        b"\0",
        STATUS,
        &[STATUS, &CHALLENGE[..20]].concat(),
    ] {
        let (address, _) = peer(vec![answer.to_vec()], true).await;
        let error = probe(address, SOON).await.unwrap_err();
        assert!(matches!(error, ProbeError::Closed { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_peer_without_a_word_is_given_up_in_time() {
    let (address, _) = peer(vec![STATUS.to_vec()], false).await;
    let error = probe(address, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, ProbeError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = probe(address, SOON).await.unwrap_err();
    assert!(matches!(error, ProbeError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn another_protocol_is_said_to_be_one() {
    let alert = b"\x15\x03\x03\0\x02\x02\x0a".to_vec();
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    for (answer, wanted) in [
        (alert, ProbeFault::Tls),
        (http, ProbeFault::NotDistribution),
    ] {
        let (address, _) = peer(vec![answer], true).await;
        let error = probe(address, SOON).await.unwrap_err();
        let ProbeError::Fault { fault, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*fault, wanted);
        assert!(!error.is_transient());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_a_peer_says_the_probe_ends(
        garbage in proptest::collection::vec(any::<u8>(), 0..5000),
        welcome: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answer = if welcome { [STATUS, &garbage].concat() } else { garbage };
            let (address, _) = peer(vec![answer], true).await;
            let outcome = probe(address, SOON).await;
            assert!(!matches!(outcome, Err(ProbeError::TimedOut { .. })));
        });
    }
}
