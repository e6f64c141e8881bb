//! Global names and process groups between visible Rust members.

#[path = "loopback/loopback.rs"]
mod loopback;
#[path = "loopback/visible.rs"]
mod visible;

use std::time::{Duration, Instant};

use enmesh::{
    Atom, ConnectError, DownReason, Event, Failure, GlobalError, Mailbox, Node, PgEvent, Pid,
    Received, Term, ToTerm,
};
use tokio::time::timeout;

use crate::loopback::{PATIENCE, free_port, name};
use crate::visible::{until, visible};

async fn next(mailbox: &mut Mailbox) -> Received {
    timeout(PATIENCE, mailbox.recv()).await.unwrap().unwrap()
}

async fn register(node: &Node, global: &'static str, pid: &Pid) -> Result<(), GlobalError> {
    let name = Term::atom(global);
    node.register_global(&name, pid, PATIENCE).await
}

#[tokio::test]
async fn a_global_name_is_known_everywhere_until_its_process_ends() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    one.connect(name(3)).await.unwrap();
    let leader = one.anonymous_mailbox().unwrap();
    let rival = other.anonymous_mailbox().unwrap();
    let word = Term::atom("leader");
    assert_eq!(register(&one, "leader", leader.pid()).await, Ok(()));
    let pid = Some(leader.pid().clone());
    until(pid.clone(), || other.whereis_global(&word)).await;
    let taken = register(&other, "leader", rival.pid()).await;
    assert_eq!(taken, Err(GlobalError::Taken));
    assert_eq!(other.global_names(), std::slice::from_ref(&word));
    drop(leader);
    until(None, || other.whereis_global(&word)).await;
    until(None, || one.whereis_global(&word)).await;
    assert_eq!(register(&other, "leader", rival.pid()).await, Ok(()));
    until(Some(rival.pid().clone()), || one.whereis_global(&word)).await;
    assert_eq!(one.unregister_global(&word, PATIENCE).await, Ok(()));
    until(None, || other.whereis_global(&word)).await;
}

#[tokio::test]
async fn a_registration_waits_for_the_lock_no_longer_than_it_is_told_to() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    one.connect(name(3)).await.unwrap();
    let mailbox = one.anonymous_mailbox().unwrap();
    assert_eq!(register(&one, "first", mailbox.pid()).await, Ok(()));
    until(Some(mailbox.pid().clone()), || {
        other.whereis_global(&Term::atom("first"))
    })
    .await;
    let lock = async |word: &'static str| {
        let id = Term::tuple([Term::atom("global"), Term::atom("somebody")]);
        let request = Term::tuple([Term::atom(word), id]);
        let server = ("global_name_server", &name(3));
        one.call(server, &request, PATIENCE).await.unwrap()
    };
    // Whoever told the other of the name, the registrar or a merge, may be freeing the lock yet.
    let deadline = Instant::now() + PATIENCE;
    while !lock("set_lock").await.is_atom("true") {
        assert!(Instant::now() < deadline, "the lock is never free");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (late, short) = (one.anonymous_mailbox().unwrap(), Duration::from_millis(300));
    let begin = Instant::now();
    let refused = one.register_global("late", late.pid(), short).await;
    assert_eq!(refused, Err(GlobalError::TimedOut(short)));
    let refused = one.unregister_global(&Term::atom("first"), short).await;
    assert_eq!(refused, Err(GlobalError::TimedOut(short)));
    assert!(begin.elapsed() >= short * 2 && begin.elapsed() < PATIENCE);
    assert!(lock("del_lock").await.is_atom("true"));
    // Neither is done afterwards: what is asked for now has its turn before they would have.
    let done = one.register_global("last", late.pid(), PATIENCE).await;
    assert_eq!(done, Ok(()));
    assert_eq!(one.whereis_global("late"), None);
    assert!(other.whereis_global(&Term::atom("first")).is_some());
    assert_eq!(other.whereis_global("last"), Some(late.pid().clone()));
}

#[tokio::test]
async fn who_knows_one_member_is_led_to_all_by_global() {
    let port = free_port();
    let (one, two, three) = (
        visible(2, port).await,
        visible(3, port).await,
        visible(4, port).await,
    );
    one.connect(name(3)).await.unwrap();
    three.connect(name(3)).await.unwrap();
    for (node, others) in [(&one, [3, 4]), (&two, [2, 4]), (&three, [2, 3])] {
        until(others.map(name).to_vec(), || node.nodes()).await;
    }
    let view = three.view();
    let learned = view.peer(&name(2)).unwrap();
    let by_global = |node: &Node, host| {
        let view = node.view();
        let peer = view.peer(&name(host)).unwrap();
        peer.topologies.iter().any(|name| name.as_str() == "global")
    };
    assert!(
        by_global(&three, 2) || by_global(&one, 4),
        "one of them dialled what it learned: {learned:?}"
    );
}

#[tokio::test]
async fn who_is_told_to_go_comes_back_by_itself_also_to_who_had_dialled_it() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    // By this dial alone the two know each other: nobody else is there to tell of either.
    other.connect(name(2)).await.unwrap();
    let mut events = one.events();
    let mailbox = other.anonymous_mailbox().unwrap();
    let leader = one.anonymous_mailbox().unwrap();
    assert_eq!(register(&one, "leader", leader.pid()).await, Ok(()));
    let word = Term::atom("leader");
    let pid = Some(leader.pid().clone());
    until(pid.clone(), || other.whereis_global(&word)).await;

    let node = Term::Atom(Atom::new(name(3).as_str()).unwrap());
    let remove = Term::tuple([Term::atom("remove_connection"), node]);
    let server = ("global_name_server", &name(2));
    mailbox.send(server, &remove).await.unwrap();
    let told = Instant::now();
    until(None, || other.whereis_global(&word)).await;
    let refused = one.connect(name(3)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            ConnectError::Failed {
                failure: Failure::Away,
                ..
            }
        ),
        "{refused}"
    );

    until(pid, || other.whereis_global(&word)).await;
    let away = told.elapsed();
    assert!(away >= Duration::from_secs(4), "it was back after {away:?}");
    let mut story = Vec::new();
    while story.len() < 3 {
        match timeout(PATIENCE, events.next()).await.unwrap().unwrap() {
            Event::Nodeup { peer } => story.push((peer.name, None)),
            Event::Nodedown { peer, reason } => story.push((peer.name, reason)),
            other => panic!("{other:?}"),
        }
    }
    let peer = |reason| (name(3), reason);
    assert_eq!(
        story,
        [peer(None), peer(Some(DownReason::Away)), peer(None)]
    );
}

/// How many nodes are of the partition of a member.
async fn known_to(asker: &Node, host: u8) -> usize {
    let server = ("global_name_server", &name(host));
    let known = asker.call(server, &Term::atom("get_known"), PATIENCE).await;
    known.unwrap().as_list().map_or(0, <[Term]>::len)
}

/// Two are told to go, the second one when the first is on its way out, away, or just back; both dial everybody then.
#[tokio::test]
async fn two_that_leave_at_overlapping_times_are_back_with_each_other() {
    let apart = [0, 40, 2500, 5200].map(|millis| {
        tokio::spawn(async move {
            let port = free_port();
            let hub = visible(2, port).await;
            let members = [visible(3, port).await, visible(4, port).await];
            for member in &members {
                member.connect(name(2)).await.unwrap();
            }
            let are_whole = || [&hub, &members[0], &members[1]].map(|node| node.nodes().len());
            until([2; 3], are_whole).await;
            let mailbox = hub.anonymous_mailbox().unwrap();
            let by = Term::Atom(Atom::new(name(2).as_str()).unwrap());
            let remove = Term::tuple([Term::atom("remove_connection"), by]);
            let go = ("global_name_server", &name(3));
            mailbox.send(go, &remove).await.unwrap();
            tokio::time::sleep(Duration::from_millis(millis)).await;
            let go = ("global_name_server", &name(4));
            mailbox.send(go, &remove).await.unwrap();
            until(0, || members[1].nodes().len()).await;
            until([2; 3], are_whole).await;
            // Of one partition, too: what one registers all have.
            let leader = members[0].anonymous_mailbox().unwrap();
            let deadline = Instant::now() + PATIENCE;
            for host in [2, 3, 4] {
                while known_to(&hub, host).await != 2 {
                    assert!(Instant::now() < deadline, "n{host} does not know all");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            assert_eq!(register(&members[0], "leader", leader.pid()).await, Ok(()));
            let found = members[1].whereis_global(&Term::atom("leader"));
            assert_eq!(found.as_ref(), Some(leader.pid()));
        })
    });
    for cluster in apart {
        cluster.await.unwrap();
    }
}

#[tokio::test]
async fn members_of_a_group_are_seen_from_everywhere_and_their_changes_told() {
    let port = free_port();
    let (one, other) = (visible(2, port).await, visible(3, port).await);
    let (here, there) = (one.pg("scope").unwrap(), other.pg("scope").unwrap());
    let worker = one.anonymous_mailbox().unwrap();
    here.join("workers", worker.pid());
    one.connect(name(3)).await.unwrap();
    let member = vec![worker.pid().clone()];
    until(member.clone(), || there.members("workers")).await;
    assert!(there.local_members("workers").is_empty());
    assert_eq!(there.groups(), ["workers".to_term()]);

    let mut watcher = other.anonymous_mailbox().unwrap();
    let monitor = there.monitor("workers", watcher.process());
    let second = one.anonymous_mailbox().unwrap();
    here.join("workers", second.pid());
    drop(worker);
    for (expected, who) in [
        (PgEvent::Join, second.pid().clone()),
        (PgEvent::Leave, member[0].clone()),
    ] {
        match next(&mut watcher).await {
            Received::Group {
                reference,
                event,
                group,
                pids,
            } => {
                assert_eq!((reference, event), (monitor.clone(), expected));
                assert_eq!((group, pids), ("workers".to_term(), vec![who]));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(here.leave("workers", second.pid()));
    assert!(!here.leave("workers", second.pid()));
    until(Vec::new(), || there.members("workers")).await;
}
