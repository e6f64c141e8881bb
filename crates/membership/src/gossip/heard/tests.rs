#![allow(clippy::disallowed_methods, reason = "tests begin somewhere in time")]

use super::*;

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn proof(creation: u32, millis: u64) -> GossipProof {
    GossipProof {
        creation: Creation::from_wire(creation),
        millis,
        code: [0; 32],
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One peer and what is said of it, with a clock.
struct Story {
    heard: Heard,
    now: Instant,
}

impl Story {
    fn new() -> Self {
        Self {
            heard: Heard::default(),
            now: Instant::now(),
        }
    }

    fn pass(&mut self, time: u64) {
        self.now += seconds(time);
        if self.heard.deadline().is_some_and(|at| at <= self.now) {
            self.heard.handle_timeout(self.now);
        }
    }

    fn signed(&mut self, creation: u32, millis: u64) -> Hearing {
        self.heard
            .signed(self.now, &name("a@b"), &proof(creation, millis))
    }

    fn goodbye(&mut self, creation: u32, millis: u64) -> Hearing {
        self.heard
            .goodbye(self.now, &name("a@b"), &proof(creation, millis))
    }

    fn unsigned(&mut self) -> Hearing {
        self.heard.unsigned(self.now, &name("a@b"))
    }

    /// What is told next, as words.
    fn told(&mut self) -> String {
        match self.heard.poll_update() {
            None => "nothing".to_owned(),
            Some(Update::Changed { present, gone }) => {
                let present = present.iter().map(|sighting| {
                    let creation = sighting.life >> 32;
                    let returns = sighting.life & 0xffff_ffff;
                    format!("{:?} {creation}.{returns}", sighting.standing)
                });
                let gone = gone.iter().map(|_| "gone".to_owned());
                present.chain(gone).collect::<Vec<_>>().join(", ")
            }
            Some(other) => format!("{other:?}"),
        }
    }
}

#[test]
fn a_peer_is_told_once_however_often_it_is_heard() {
    let mut story = Story::new();
    for round in 0..20 {
        assert_eq!(story.unsigned(), Hearing::Counted);
        assert_eq!(
            story.told(),
            if round == 0 { "Ready 0.0" } else { "nothing" }
        );
        story.pass(5);
    }
}

#[test]
fn silence_makes_silent_and_never_gone() {
    let mut story = Story::new();
    story.unsigned();
    story.told();
    story.pass(59);
    assert_eq!(story.told(), "nothing");
    story.pass(2);
    assert_eq!(story.told(), "Silent 0.0");
    assert_eq!(story.heard.deadline(), None);
    for _ in 0..1_000 {
        story.pass(60);
        assert_eq!(story.told(), "nothing");
    }
    story.unsigned();
    assert_eq!(story.told(), "Ready 0.1");
    assert!(story.heard.deadline().is_some());
    story.pass(61);
    assert_eq!(story.told(), "Silent 0.1");
}

#[test]
fn many_that_fall_silent_cost_one_look_a_second() {
    let mut story = Story::new();
    for number in 0..1_000_u32 {
        story
            .heard
            .unsigned(story.now, &name(&format!("n{number}@b")));
        story.now += Duration::from_millis(10);
    }
    story.heard.poll_update();
    let (mut looks, mut silent) = (0, 0);
    while let Some(at) = story.heard.deadline() {
        story.now = story.now.max(at);
        story.heard.handle_timeout(story.now);
        looks += 1;
        if let Some(Update::Changed { present, gone }) = story.heard.poll_update() {
            silent += present.len();
            assert!(gone.is_empty());
        }
    }
    assert_eq!(silent, 1_000);
    assert!(looks <= 15, "{looks} looks");
}

#[test]
fn what_was_heard_is_not_heard_again() {
    let mut story = Story::new();
    assert_eq!(story.signed(7, 100), Hearing::Counted);
    assert_eq!(story.told(), "Ready 7.0");
    for millis in [100, 99, 0] {
        assert_eq!(story.signed(7, millis), Hearing::Replayed);
    }
    assert_eq!(story.signed(7, 101), Hearing::Counted);
    assert_eq!(story.told(), "nothing");
    // A recording does not put silence off.
    for _ in 0..7 {
        story.pass(10);
        assert_eq!(story.signed(7, 101), Hearing::Replayed);
    }
    assert_eq!(story.told(), "Silent 7.0");
}

#[test]
fn a_restart_counts_at_once_and_its_predecessor_no_more() {
    let mut story = Story::new();
    story.signed(7, 100);
    story.told();
    story.pass(1);
    assert_eq!(story.signed(8, 200), Hearing::Counted);
    assert_eq!(story.told(), "Ready 8.0");
    // Recordings of the predecessor, and of one before it that we never heard.
    assert_eq!(story.signed(7, 100), Hearing::Replayed);
    assert_eq!(story.signed(6, 50), Hearing::Replayed);
    assert_eq!(story.goodbye(7, 99), Hearing::Replayed);
    assert_eq!(story.told(), "nothing");
}

#[test]
fn a_clock_that_was_put_back_holds_a_restart_up_for_a_minute() {
    let mut story = Story::new();
    story.signed(7, 1_000_000);
    story.told();
    story.pass(30);
    assert_eq!(story.signed(8, 100), Hearing::Replayed);
    story.pass(31);
    assert_eq!(story.told(), "Silent 7.0");
    assert_eq!(story.signed(8, 200), Hearing::Counted);
    assert_eq!(story.told(), "Ready 8.1");
    // The same after a goodbye.
    story.goodbye(8, 300);
    assert_eq!(story.told(), "gone");
    assert_eq!(story.signed(9, 250), Hearing::Replayed);
    story.pass(60);
    assert_eq!(story.signed(9, 260), Hearing::Counted);
    assert_eq!(story.told(), "Ready 9.2");
}

#[test]
fn a_goodbye_is_believed_once_and_does_not_come_back() {
    let mut story = Story::new();
    story.signed(7, 100);
    story.told();
    assert_eq!(story.goodbye(7, 101), Hearing::Counted);
    assert_eq!(story.told(), "gone");
    assert_eq!(story.goodbye(7, 101), Hearing::Replayed);
    // A heartbeat that was overtaken by the goodbye, and one that anybody could have sent.
    assert_eq!(story.signed(7, 100), Hearing::Replayed);
    assert_eq!(story.unsigned(), Hearing::Unsigned);
    assert_eq!(story.told(), "nothing");
    assert_eq!(story.signed(8, 500), Hearing::Counted);
    assert_eq!(story.told(), "Ready 8.1");
    // A recording of the goodbye, while the successor lives.
    assert_eq!(story.goodbye(7, 101), Hearing::Replayed);
    assert_eq!(story.told(), "nothing");
}

#[test]
fn who_comes_back_as_the_same_incarnation_counts_again() {
    let mut story = Story::new();
    story.signed(7, 100);
    story.goodbye(7, 101);
    story.told();
    assert_eq!(story.signed(7, 102), Hearing::Counted);
    assert_eq!(story.told(), "Ready 7.1");
}

#[test]
fn an_old_life_that_leaves_late_does_not_take_its_successor_along() {
    let mut story = Story::new();
    story.signed(7, 100);
    story.signed(8, 200);
    story.told();
    // Both may be running for a moment, and their clocks differ.
    assert_eq!(story.goodbye(7, 150), Hearing::Counted);
    assert_eq!(story.told(), "nothing");
    assert_eq!(story.goodbye(8, 201), Hearing::Counted);
    assert_eq!(story.told(), "gone");
}

#[test]
fn a_goodbye_of_nobody_changes_nothing() {
    let mut story = Story::new();
    assert_eq!(story.goodbye(7, 100), Hearing::Counted);
    assert_eq!(story.told(), "nothing");
    assert!(story.heard.peers.is_empty());
}

#[test]
fn who_signs_is_not_made_up_by_those_who_do_not() {
    let mut story = Story::new();
    assert_eq!(story.unsigned(), Hearing::Counted);
    assert_eq!(story.signed(7, 100), Hearing::Counted);
    assert_eq!(story.told(), "Ready 7.0");
    for _ in 0..6 {
        assert_eq!(story.unsigned(), Hearing::Unsigned);
        story.pass(10);
    }
    // The unsigned ones have not put silence off; now a node of libcluster's may have the name.
    assert_eq!(story.told(), "Silent 7.0");
    assert_eq!(story.unsigned(), Hearing::Counted);
    assert_eq!(story.told(), "Ready 0.1");
}

#[test]
fn lives_of_a_name_are_bounded() {
    let mut story = Story::new();
    for creation in 0..100 {
        story.signed(creation, 100 + u64::from(creation));
    }
    let peer = &story.heard.peers[&name("a@b")];
    assert_eq!(peer.lives.len(), MAX_LIVES);
    assert_eq!(story.told(), "Ready 99.0");
}

/// A table of what comes at the bound: who is there, and what becomes of one more.
#[test]
fn names_are_bounded() {
    let full = || {
        let mut story = Story::new();
        for number in 0..MAX_GOSSIP_PEERS {
            story
                .heard
                .unsigned(story.now, &name(&format!("n{number}@b")));
        }
        story.heard.poll_update();
        story
    };
    // (how long all are silent, whether one has left, what becomes of one more, what is told)
    for (silence, one_left, hearing, gone) in [
        (0, false, Hearing::NoRoom, 0),
        (61, false, Hearing::NoRoom, 0),
        (3599, false, Hearing::NoRoom, 0),
        (3600, false, Hearing::Counted, 1),
        (59, true, Hearing::NoRoom, 0),
        (60, true, Hearing::Counted, 0),
    ] {
        let mut story = full();
        if one_left {
            let leaver = name("n7@b");
            story.heard.signed(story.now, &leaver, &proof(7, 1));
            story.heard.goodbye(story.now, &leaver, &proof(7, 2));
        }
        story.pass(silence);
        story.heard.poll_update();
        let text = format!("{silence} s, one left: {one_left}");
        assert_eq!(story.unsigned(), hearing, "{text}");
        assert_eq!(story.heard.peers.len(), MAX_GOSSIP_PEERS, "{text}");
        let told = story.told();
        assert_eq!(told.matches("gone").count(), gone, "{text}: {told}");
        assert_eq!(
            told.contains("Ready"),
            hearing == Hearing::Counted,
            "{text}"
        );
    }
}

/// Whoever makes names up costs a full table one search in ten milliseconds.
#[test]
fn a_full_table_is_searched_now_and_then() {
    let mut story = Story::new();
    for number in 0..MAX_GOSSIP_PEERS {
        let name = name(&format!("n{number}@b"));
        story.heard.unsigned(story.now, &name);
    }
    story.pass(3600);
    for (millis, expected) in [(0, 1), (9, 0), (1, 1), (10, 1)] {
        story.now += Duration::from_millis(millis);
        let newcomer = |number| name(&format!("new{number}at{millis}@b"));
        let mut hear = |number| story.heard.unsigned(story.now, &newcomer(number));
        let counted = (0..3).filter(|number| hear(*number) == Hearing::Counted);
        assert_eq!(counted.count(), expected, "{millis} ms later");
    }
}
