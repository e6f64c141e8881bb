//! Logs as they are, and as they must not be.

use super::*;

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// `10+b 20-b`: at second 10 b came, at 20 it went; the lists are right.
fn log(node: &str, story: &str) -> NodeLog {
    let mut there = BTreeSet::new();
    let changes = story.split_whitespace().map(|word| {
        let sign = word.find(['+', '-']).unwrap();
        let (is_up, peer) = (&word[sign..=sign] == "+", word[sign + 1..].to_owned());
        if is_up {
            there.insert(peer.clone());
        } else {
            there.remove(&peer);
        }
        Change {
            at: time(word[..sign].parse().unwrap()),
            is_up,
            node: peer,
            cluster: Some(there.iter().cloned().collect()),
        }
    });
    NodeLog {
        node: node.to_owned(),
        changes: changes.collect(),
        ..NodeLog::default()
    }
}

fn set(nodes: &str) -> BTreeSet<String> {
    nodes.split_whitespace().map(str::to_owned).collect()
}

fn rests() -> [Rest; 3] {
    [(10, "a"), (20, "a b c"), (30, "a c")].map(|(at, nodes)| Rest {
        at: time(at),
        nodes: set(nodes),
    })
}

#[track_caller]
fn refused<T>(result: Result<T>, text: &str) {
    let error = result.err().expect("it is refused").to_string();
    assert!(error.contains(text), "{error}");
}

#[test]
fn a_log_that_says_what_the_story_says_is_taken() {
    for (node, story) in [
        ("a", "12+c 13+b 25-b"),
        ("c", "12+a 13+b 25-b"),
        // It ends, and sees them go; some of it may be said after the others are at rest.
        ("b", "13+a 13+c 25-c 31-a"),
    ] {
        ensure_follows(&log(node, story), &rests()).unwrap();
    }
}

#[test]
fn a_log_that_strays_from_the_story_is_refused() {
    for (node, story) in [
        ("a", "12+c 25-b"),                // One is missing, and goes without having come.
        ("a", "12+c 13+b"),                // It does not see b go.
        ("a", "12+c 13+b 14-b 15+b 25-b"), // A link fell in between.
        ("a", "9+b 12+c 25-b"),            // It came before the story says.
        ("a", "12+c 13+b 25-b 40-c"),      // Something happens afterwards.
        ("b", "13+a 13+c 25-c"),           // It ends and leaves a nodedown out.
        ("b", "13+a 13+c 25-c 26-a 27+a"), // It comes back to somebody.
        ("c", "12+a 13+b 13+d 25-b"),      // A stranger.
    ] {
        assert!(
            ensure_follows(&log(node, story), &rests()).is_err(),
            "{story}"
        );
    }
    let mut wrong = log("a", "12+c 13+b 25-b");
    wrong.changes[1].cluster = Some(vec!["b".into()]);
    refused(
        ensure_follows(&wrong, &rests()),
        "the list is not who is there",
    );
}

fn lived(node: &str, story: &str, end: Option<u64>) -> Lived {
    Lived {
        log: log(node, story),
        terminating: end.map(time),
        leaving: end.map(time),
        ended: end.map(time),
        began: time(0),
    }
}

#[test]
fn halves_are_found_and_newcomers_are_none() {
    // d comes late, and c to d before anybody else; then a goes.
    let good = Nodes {
        all: vec![
            lived("a", "1+b 1+c 12+d 15-b 15-c 15-d", Some(15)),
            lived("b", "1+a 1+c 11+d 15-a", None),
            lived("c", "1+a 1+b 10+d 15-a", None),
            lived("d", "10+c 11+b 12+a 15-a", None),
        ],
    };
    good.ensure_never_halved(&set("a b c")).unwrap();
    assert_eq!(
        good.ensure_departures(Duration::ZERO, Duration::ZERO)
            .unwrap(),
        [Duration::ZERO; 3]
    );
    // Who has met the old one alone is cut off by its end.
    let bad = Nodes {
        all: vec![
            lived("a", "1+b 12+d 15-b 15-d", Some(15)),
            lived("b", "1+a 15-a 16+d", None),
            lived("d", "12+a 15-a 16+b", None),
        ],
    };
    refused(bad.ensure_never_halved(&set("a b")), "in halves");
    refused(bad.ensure_never_halved(&set("a b x")), "never whole");
}

#[test]
fn departures_are_seen_once_and_in_time() {
    for (story, text) in [
        ("41+a 55-a 56+a 57-a", "b says of a"),
        ("41+a", "b says of a"),
        ("", "b says of a"),
        ("41+a 58-a", "3s after its end"),
        ("41+a 57-a", "by median seen 2s"),
        ("41+a 54-a", "before it began to leave"),
    ] {
        let limit = Duration::from_secs(1);
        let all = vec![lived("a", "41+b 55-b", Some(55)), lived("b", story, None)];
        refused(Nodes { all }.ensure_departures(limit, limit), text);
    }
}

#[test]
fn somebody_must_have_seen_each_departure() {
    let late = Lived {
        began: time(14),
        ..lived("b", "", None)
    };
    // b came too late to meet a; c ends together with it.
    let all = vec![
        lived("a", "1+c 15-c", Some(15)),
        late,
        lived("c", "1+a 15-a", Some(15)),
    ];
    let nodes = Nodes { all };
    let limit = Duration::from_secs(1);
    refused(
        nodes.ensure_departures(limit, Duration::ZERO),
        "nobody is left who saw a go",
    );
}

#[test]
fn a_late_dial_is_found_until_the_name_comes_again() {
    let second = Duration::from_secs(1);
    let dialled = |at: &[u64], peer: &str| {
        let mut b = lived("b", "1+a", None);
        b.log.dials = at.iter().map(|at| (time(*at), peer.to_owned())).collect();
        let again = Lived {
            began: time(20),
            ..lived("a", "", None)
        };
        let all = vec![lived("a", "1+b 15-b", Some(15)), b, again];
        Nodes { all }.ensure_no_late_dial(second, second)
    };
    for (at, peer, late) in [
        (1, "a", 0),
        (16, "a", 0),
        (17, "a", 1),
        (21, "a", 0),
        (18, "c", 0),
    ] {
        assert_eq!(dialled(&[at], peer).unwrap(), late);
    }
    refused(dialled(&[18], "a"), "b dials a");
    refused(dialled(&[17, 17], "a"), "b dials a");
    let mut own = lived("a", "1+b 15-b", Some(15));
    own.log.dials = vec![(time(18), "b".into())];
    refused(
        Nodes { all: vec![own] }.ensure_no_late_dial(second, second),
        "a dials b",
    );
}
