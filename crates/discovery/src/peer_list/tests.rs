use proptest::prelude::*;

use super::*;

fn listed(bytes: &[u8], end: End) -> Result<Vec<Sighting>, PeerListError> {
    parse(bytes, end).map(|list| list.peers)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let peers = listed(text.as_bytes(), End::Untold).unwrap_or_else(|error| panic!("{error}"));
    let peers: Vec<_> = peers.iter().map(Sighting::to_string).collect();
    assert_eq!(peers, expected, "{text}");
}

#[track_caller]
fn refused(text: &str, message: &str) {
    let error = listed(text.as_bytes(), End::Untold)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with(message), "{text:?}: {error}");
}

#[test]
fn a_line_is_a_name_and_perhaps_where_it_is() {
    check(
        "# our nodes\n\n  a@h1 \nb@h2 10.0.0.2\r\nc@h3 10.0.0.3:9000 # by hand\n",
        &["a@h1", "b@h2 at 10.0.0.2", "c@h3 at 10.0.0.3:9000"],
    );
    check(
        "d@h fd00::1\ne@h [fd00::1]:9\nf@h :9000\n",
        &["d@h at fd00::1", "e@h at [fd00::1]:9", "f@h at port 9000"],
    );
}

#[test]
fn json_is_names_and_objects() {
    check("[]", &[]);
    check(" [\"a@h\", \"b@h\"]\n", &["a@h", "b@h"]);
    check(
        r#"[{"name":"a@h","address":"10.0.0.1","port":9},{"name":"b@h","address":null,"topologies":["x"]}]"#,
        &["a@h at 10.0.0.1:9", "b@h"],
    );
    check(
        "{\"name\":\"a@h\"}\n{\"name\":\"b@h\",\"port\":9,\"standing\":\"unready\"}\n",
        &["a@h", "b@h at port 9, perhaps not ready"],
    );
}

/// The blocks of docs/discovery/exec.md that show what a command prints.
#[test]
fn what_the_page_shows_is_understood() {
    let page = include_str!("../../../../docs/discovery/exec.md");
    let (_, printed) = page.split_once("## What it prints").unwrap();
    let mut blocks = printed.split("```").skip(1).step_by(2);
    let mut block = |language: &str| {
        let block = blocks.next().expect("the page shows it");
        block.strip_prefix(language).unwrap().trim_start()
    };
    check(
        block(""),
        &[
            "web@10.0.0.1",
            "web@db.internal at 10.0.0.2",
            "web@six.internal at [fd00::1]:9000",
        ],
    );
    check(
        block("json"),
        &["web@10.0.0.1", "web@db.internal at 10.0.0.2:9000"],
    );
}

#[test]
fn an_empty_text_names_nobody_and_says_nothing() {
    for text in ["", "\n", "# nobody\n"] {
        refused(
            text,
            "it names nobody; if nobody is what is meant, write []",
        );
    }
}

#[test]
fn what_is_half_written_is_refused() {
    let half = "no line break ends the last line";
    refused("a@10.0.0.1\nb@10.0.0.1", half);
    let told = listed(b"a@h\nb@h", End::Told).unwrap();
    assert_eq!(told.len(), 2);
    refused("[\"a@h\"", "EOF while parsing a list");
    refused("{\"name\":\"a@h\"}\n{\"na", "EOF while parsing");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    refused("a@h\nb\n", "line 2: `b` is no node name");
    refused("a@h h2\n", "line 1: `h2` is no address");
    for place in [
        "10.0.0.1:",
        "10.0.0.1:0",
        "h:1",
        "fd00::1:99999",
        "[fd00::1]",
        ":+1",
        "[]:1",
    ] {
        refused(&format!("a@h {place}\n"), "line 1: `");
    }
    refused(
        "a@h 10.0.0.1 9000\n",
        "line 1: more than a name and an address: `9000`",
    );
    refused("[1]", "invalid type: integer `1`, expected a node name");
    refused("[\"a\"]", "`a` is no node name at line 1");
    refused(
        "[{\"name\":\"a@h\",\"adress\":\"\"}]",
        "unknown field `adress`",
    );
    refused("[{\"port\":1}]", "missing field `name`");
    refused("[] []", "trailing characters");
    assert!(matches!(
        listed(&[0xff, b'\n'], End::Told),
        Err(PeerListError::NotText)
    ));
    let long = vec![b'#'; MAX_TEXT_BYTES + 1];
    assert!(matches!(
        listed(&long, End::Told),
        Err(PeerListError::TooLong)
    ));
}

#[test]
fn no_more_peers_are_read_than_there_may_be() {
    let line = |number: usize| format!("a{number}@h\n");
    let text: String = (0..MAX_PEERS_PER_UPDATE + 1).map(line).collect();
    let list = parse(text.as_bytes(), End::Untold).unwrap();
    assert_eq!((list.peers.len(), list.left_out), (MAX_PEERS_PER_UPDATE, 1));
    // Those who are left out may have been named before, and have not left.
    match list.into_update() {
        Update::Changed { present, gone } => {
            assert_eq!((present.len(), gone.len()), (MAX_PEERS_PER_UPDATE, 0));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_that_is_too_long_is_said_once_while_it_lasts() {
    let mut left_out = LeftOut::default();
    let news: Vec<_> = [0, 2, 2, 3, 0, 0, 2]
        .into_iter()
        .map(|count| left_out.is_news(count))
        .collect();
    assert_eq!(news, [false, true, false, true, false, false, true]);
}

prop_compose! {
    fn any_peer()(
        alive in "[a-z]{1,9}",
        address in prop::option::of(any::<IpAddr>()),
        port in prop::option::of(1..=u16::MAX),
    ) -> PeerAddr {
        at(PeerAddr::new(NodeName::new(&alive, "h").unwrap()), address, port)
    }
}

fn line(peer: &PeerAddr) -> String {
    let name = peer.name();
    match (peer.address(), peer.port()) {
        (None, None) => format!("{name}\n"),
        (Some(address), None) => format!("{name} {address}\n"),
        (None, Some(port)) => format!("{name} :{port}\n"),
        (Some(address), Some(port)) => {
            format!("{name} {}\n", std::net::SocketAddr::new(address, port))
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_peers_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = listed(&bytes, End::Untold);
    }

    #[test]
    fn anything_like_a_list_gives_peers_or_an_error(text in "[\\[{]?([a-z@:.\"{},\\[\\] \\n#0-9]|name|port){0,60}") {
        let _ = listed(text.as_bytes(), End::Told);
    }

    #[test]
    fn peers_are_read_back_and_never_from_half_a_line(
        peers in prop::collection::vec(any_peer(), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let text: String = peers.iter().map(line).collect();
        let expected: Vec<_> = peers.iter().cloned().map(Sighting::from).collect();
        prop_assert_eq!(listed(text.as_bytes(), End::Untold).unwrap(), expected.clone());
        let half = &text[..cut.index(text.len())];
        if let Ok(some) = listed(half.as_bytes(), End::Untold) {
            prop_assert!(expected.starts_with(&some));
        }
    }
}
