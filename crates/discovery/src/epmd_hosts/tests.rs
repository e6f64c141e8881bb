use proptest::prelude::*;

use super::*;

fn book() -> Book {
    Book::new("own@here".parse().unwrap())
}

fn good(host: &str, names: &[(&str, u16)]) -> (String, Result<Listing, AskError>) {
    let names = names.iter().map(|(name, port)| ((*name).to_owned(), *port));
    (host.to_owned(), Ok(names.collect()))
}

fn dead(host: &str) -> (String, Result<Listing, AskError>) {
    (host.to_owned(), Err(AskError::TimedOut))
}

/// One word for each update: `=` for the whole, `+` and `-` for changes, `!` for a failure.
fn said(updates: Vec<Update>) -> Vec<String> {
    let list = |peers: Vec<Sighting>| {
        let peers = peers.iter().map(|seen| seen.peer.to_string());
        peers.collect::<Vec<_>>().join(",")
    };
    updates
        .into_iter()
        .map(|update| match update {
            Update::Snapshot(peers) => format!("={}", list(peers)),
            Update::Changed { present, gone } => {
                let gone: Vec<_> = gone.iter().map(NodeName::as_str).collect();
                format!("+{} -{}", list(present), gone.join(","))
            }
            Update::Failed(failure) => format!("!{}", failure.kind().label()),
            Update::Draining(_) => panic!("an epmd knows nothing of that"),
        })
        .collect()
}

#[test]
fn every_name_of_every_host_is_a_peer_with_its_port() {
    let answers = vec![
        good("h1", &[("api", 1), ("queue", 2)]),
        good("h2", &[("api", 3)]),
    ];
    assert_eq!(
        said(book().read(answers)),
        ["=api@h1 at port 1,api@h2 at port 3,queue@h1 at port 2"]
    );
}

#[test]
fn we_ourselves_remote_shells_and_what_is_no_name_are_left_out() {
    let names = [("own", 1), ("rem-12ab", 2), ("a b", 3), ("web", 4)];
    let updates = book().read(vec![good("localhost", &names), good("far", &[("own", 5)])]);
    assert_eq!(said(updates), ["=own@far at port 5,web@here at port 4"]);
}

#[test]
fn a_host_that_died_keeps_its_own_and_takes_nothing_from_others() {
    let mut book = book();
    book.read(vec![good("h1", &[("a", 1)]), good("h2", &[("a", 2)])]);
    assert_eq!(
        said(book.read(vec![dead("h1"), good("h2", &[("a", 2)])])),
        ["!timed_out"]
    );
    // Whoever leaves a host that answers has left.
    assert_eq!(
        said(book.read(vec![dead("h1"), good("h2", &[("b", 3)])])),
        ["=a@h1 at port 1,b@h2 at port 3", "!timed_out"]
    );
    assert_eq!(
        said(book.read(vec![good("h1", &[("a", 1)]), good("h2", &[("b", 3)])])),
        ["=a@h1 at port 1,b@h2 at port 3"]
    );
}

#[test]
fn while_a_host_was_never_heard_nothing_is_the_whole() {
    let mut book = book();
    let first = book.read(vec![dead("h1"), good("h2", &[("a", 1), ("b", 2)])]);
    assert_eq!(
        said(first),
        ["+a@h2 at port 1,b@h2 at port 2 -", "!timed_out"]
    );
    let then = book.read(vec![dead("h1"), good("h2", &[("a", 1)])]);
    assert_eq!(said(then), ["+a@h2 at port 1 -b@h2", "!timed_out"]);
    assert_eq!(
        said(book.read(vec![dead("h1"), dead("h2")])),
        ["!timed_out"]
    );
}

#[test]
fn a_host_that_is_no_longer_listed_takes_its_peers_along() {
    let mut book = book();
    book.read(vec![good("h1", &[("a", 1)]), good("h2", &[("a", 2)])]);
    assert_eq!(
        said(book.read(vec![good("h2", &[("a", 2)])])),
        ["=a@h2 at port 2"]
    );
}

#[test]
fn an_epmd_that_forgot_everybody_is_doubted_once() {
    let mut book = book();
    book.read(vec![good("h1", &[("a", 1)])]);
    assert_eq!(said(book.read(vec![good("h1", &[])])), ["!empty"]);
    assert_eq!(said(book.read(vec![good("h1", &[])])), ["="]);
    book.read(vec![good("h1", &[("a", 1)])]);
    assert_eq!(said(book.read(vec![good("h1", &[])])), ["!empty"]);
    assert_eq!(said(book.read(vec![dead("h1")])), ["!timed_out"]);
    assert_eq!(said(book.read(vec![good("h1", &[])])), ["!empty"]);
}

#[test]
fn a_node_that_was_started_anew_has_another_life() {
    let mut book = book();
    let life = |updates: Vec<Update>| match &updates[0] {
        Update::Snapshot(peers) => peers[0].life,
        other => panic!("{other:?}"),
    };
    let first = life(book.read(vec![good("h1", &[("a", 1)])]));
    assert_ne!(life(book.read(vec![good("h1", &[("a", 2)])])), first);
}

#[test]
fn many_dead_hosts_make_a_short_text() {
    let answers = (0..MAX_HOSTS).map(|number| dead(&format!("h{number}")));
    match book().read(answers.collect()).pop() {
        Some(Update::Failed(failure)) => {
            let text = failure.to_string();
            assert!(
                text.starts_with("1024 of 1024 hosts gave no list: h0: "),
                "{text}"
            );
            assert!(text.contains("h2") && !text.contains("h3:"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_interval_a_host_that_stays_dead_is_asked_ever_more_seldom() {
    let mut epmds = EpmdHosts::new(&SourceContext::new("own@h".parse().unwrap()), None);
    let mut last = Duration::ZERO;
    for _ in 0..8 {
        epmds.read(vec![good("h1", &[("a", 1)]), dead("h2")]);
        let begin = tokio::time::Instant::now();
        epmds.pace.wait().await;
        last = begin.elapsed();
    }
    assert!(
        last >= Duration::from_secs(15) && !epmds.finished,
        "{last:?}"
    );
    epmds.read(vec![good("h1", &[("a", 1)]), good("h2", &[("b", 2)])]);
    assert!(epmds.finished);
}

proptest! {
    /// Replayed at a reader's, the updates give what the last answer of each host says.
    #[test]
    fn updates_add_up_to_the_last_answers(
        rounds in prop::collection::vec(
            prop::collection::vec(prop::option::of(prop::collection::btree_set("[a-c]", 1..3)), 3),
            1..8,
        )
    ) {
        let mut book = book();
        let mut model: BTreeMap<usize, BTreeMap<String, u16>> = BTreeMap::new();
        let mut reader: BTreeMap<NodeName, Sighting> = BTreeMap::new();
        for round in rounds {
            let mut answers = Vec::new();
            for (number, names) in round.into_iter().enumerate() {
                let host = format!("h{number}");
                match names {
                    None => answers.push(dead(&host)),
                    Some(names) => {
                        let names: Vec<_> = names.iter().map(|name| (name.as_str(), 7)).collect();
                        answers.push(good(&host, &names));
                        let named = names.iter().map(|(name, port)| (format!("{name}@{host}"), *port));
                        model.insert(number, named.collect());
                    }
                }
            }
            for update in book.read(answers) {
                match update {
                    Update::Snapshot(peers) => {
                        reader = peers.into_iter().map(|seen| (seen.name().clone(), seen)).collect();
                    }
                    Update::Changed { present, gone } => {
                        reader.retain(|name, _| !gone.contains(name));
                        reader.extend(present.into_iter().map(|seen| (seen.name().clone(), seen)));
                    }
                    _ => {}
                }
            }
            let expected: Vec<_> = model.values().flat_map(|names| names.keys().cloned()).collect();
            let mut read: Vec<_> = reader.keys().map(NodeName::to_string).collect();
            let mut expected = expected;
            expected.sort();
            read.sort();
            prop_assert_eq!(read, expected);
        }
    }
}
