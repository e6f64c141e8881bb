//! One member, one BEAM, one case each.

use std::time::{Duration, Instant};

use enmesh_interop::{Beam, Epmd, NetNs, Otp, poll_until};

use crate::bench::{COOKIE, Member, SOON, beam, list, says, sees};

const BEAM: &str = "b@127.0.0.1";
const US: &str = "r@127.0.0.1";

/// The promise is a second; the rest is for a machine that runs many of these at once.
const A_SECOND: Duration = Duration::from_secs(1);

/// The port of everybody where there is no epmd.
const PORT: &str = "9100";

pub(crate) fn each_side_dials_and_says_who_died(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let mut r = Member::start(&ns, US, &["--topology", &list(&[BEAM])]);
    let up = r.connected(0, BEAM);
    assert_eq!(up["topology"], serde_json::json!(["list"]));
    assert_eq!(up["cluster"], serde_json::json!([BEAM]));
    sees(&mut b, &[US]);

    // The BEAM dies.
    let mark = r.mark();
    b.kill9().unwrap();
    let killed = Instant::now();
    let down = r.disconnected(mark, BEAM);
    assert!(killed.elapsed() < A_SECOND, "{:?}", killed.elapsed());
    assert_eq!(down["reason"], "connection_closed");
    assert_eq!(down["cluster"], serde_json::json!([]));

    // It comes back and is dialled again by itself; then it dials a member that knows nobody.
    let mark = r.mark();
    let mut b = beam(otp, &ns, BEAM, &[]);
    r.connected(mark, BEAM);
    let lonely = Member::start(&ns, "lonely@127.0.0.1", &[]);
    assert_eq!(b.eval("net_adm:ping('lonely@127.0.0.1')").unwrap(), "pong");
    let up = lonely.connected(0, BEAM);
    assert_eq!(up["topology"], serde_json::json!([]), "nobody invited it");

    // Our death is seen as soon.
    b.eval("net_kernel:monitor_nodes(true, [{node_type, all}])")
        .unwrap();
    let watch = "Me = self(), ok = net_kernel:monitor_nodes(true, [{node_type, all}]), \
                 receive {nodedown, N, _} -> N after 15000 -> Me end";
    let watcher = std::thread::spawn(move || (b.eval_within(SOON, watch), Instant::now()));
    std::thread::sleep(Duration::from_millis(300));
    r.enmesh.process().kill9().unwrap();
    let killed = Instant::now();
    let (seen, at) = watcher.join().unwrap();
    assert_eq!(seen.unwrap(), format!("'{US}'"));
    assert!(at.saturating_duration_since(killed) < A_SECOND);
}

pub(crate) fn hidden_and_visible(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let args = ["--topology", &list(&[BEAM])];
    let hidden = Member::start(&ns, US, &[&args[..], &["--hidden"]].concat());
    let visible = Member::start(&ns, "v@127.0.0.1", &args);
    hidden.connected(0, BEAM);
    visible.connected(0, BEAM);
    says(&mut b, "nodes()", "['v@127.0.0.1']");
    says(&mut b, "nodes(hidden)", "['r@127.0.0.1']");
    assert_eq!(b.eval("net_adm:ping('v@127.0.0.1')").unwrap(), "pong");
    assert_eq!(b.eval("net_adm:ping('r@127.0.0.1')").unwrap(), "pong");
    assert_eq!(b.eval("global:sync()").unwrap(), "ok");
    for member in [&visible, &hidden] {
        assert_eq!(member.count(|record| record["level"] == "WARN"), 0);
    }
}

pub(crate) fn short_names(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, "b@localhost", &[]);
    let r = Member::start(&ns, "r@localhost", &["--topology", &list(&["b@localhost"])]);
    r.connected(0, "b@localhost");
    let s = Member::start(&ns, "s@localhost", &[]);
    assert_eq!(b.eval("net_adm:ping('s@localhost')").unwrap(), "pong");
    s.connected(0, "b@localhost");
    sees(&mut b, &["r@localhost", "s@localhost"]);
}

pub(crate) fn our_cookie_is_wrong(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let r = Member::start_with(&ns, US, "another", &["--topology", &list(&[BEAM])]);
    let about_cookie = |direction: &'static str| {
        move |record: &serde_json::Value| {
            record["level"] == "WARN"
                && record["node"] == BEAM
                && record["direction"] == direction
                && record["message"].as_str().unwrap_or("").contains("cookie")
        }
    };
    r.enmesh.wait_for(SOON, about_cookie("dialled")).unwrap();
    // The other direction: the BEAM dials, and its digest is wrong to us.
    assert_eq!(b.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pang");
    r.enmesh.wait_for(SOON, about_cookie("accepted")).unwrap();
    // No storm: what the BEAM had to refuse in ten seconds are the few dials of the longest
    // back-off, and the warning is not said again.
    std::thread::sleep(Duration::from_secs(10));
    let refusals = b
        .output()
        .all()
        .iter()
        .filter(|line| line.contains("Invalid challenge"))
        .count();
    assert!(
        (1..=4).contains(&refusals),
        "{refusals} dials in ten seconds"
    );
    assert_eq!(r.count(about_cookie("dialled")), 1);
    assert_eq!(r.count(about_cookie("accepted")), 1);
    // Put right, it heals by itself.
    b.eval("erlang:set_cookie(node(), another)").unwrap();
    r.connected(0, BEAM);
    sees(&mut b, &[US]);
}

pub(crate) fn another_name_answers(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let mut b = epmdless_beam(otp, &ns, "b@127.0.0.2", "{127,0,0,2}");
    let topology = list(&["x@127.0.0.2"]);
    let r = epmdless_member(&ns, "r@127.0.0.3", "127.0.0.3", &["--topology", &topology]);
    let failed = r.said(0, "cannot connect to node; trying again quietly");
    assert_eq!(
        (&failed["node"], &failed["reason"]),
        (&"x@127.0.0.2".into(), &"wrong_name".into())
    );
    // The BEAM finds another name at our address, too, and nobody comes to harm.
    assert_eq!(b.eval("net_adm:ping('y@127.0.0.3')").unwrap(), "pang");
    assert_eq!(b.eval("net_adm:ping('r@127.0.0.3')").unwrap(), "pong");
    sees(&mut b, &["r@127.0.0.3"]);
}

/// A new life of ours comes while the BEAM still holds the link of the old one: it says `alive`,
/// we insist, and it drops the old link for the new.
pub(crate) fn a_fast_restart_of_ours_is_alive_to_the_beam(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let mut b = epmdless_beam(otp, &ns, "b@127.0.0.2", "{127,0,0,2}");
    let topology = list(&["b@127.0.0.2"]);
    let args = ["--topology", topology.as_str()];
    let mut old = epmdless_member(&ns, "r@127.0.0.3", "127.0.0.3", &args);
    old.connected(0, "b@127.0.0.2");
    old.enmesh.process().stop().unwrap();
    let new = epmdless_member(&ns, "r@127.0.0.3", "127.0.0.4", &args);
    new.connected(0, "b@127.0.0.2");
    sees(&mut b, &["r@127.0.0.3"]);
    old.enmesh.process().kill9().unwrap();
    assert_eq!(b.eval("net_adm:ping('r@127.0.0.3')").unwrap(), "pong");
    assert_eq!(
        new.count(|record| record["message"] == "node disconnected"),
        0
    );
}

/// The same the other way round: here it is we who say `alive`.
pub(crate) fn a_fast_restart_of_the_beam_is_alive_to_us(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let r = epmdless_member(&ns, "r@127.0.0.3", "127.0.0.3", &[]);
    let mut old = epmdless_beam(otp, &ns, "b@127.0.0.2", "{127,0,0,2}");
    assert_eq!(old.eval("net_adm:ping('r@127.0.0.3')").unwrap(), "pong");
    r.connected(0, "b@127.0.0.2");
    let mark = r.mark();
    old.stop().unwrap();
    let mut new = epmdless_beam(otp, &ns, "b@127.0.0.2", "{127,0,0,5}");
    assert_eq!(new.eval("net_adm:ping('r@127.0.0.3')").unwrap(), "pong");
    let down = r.disconnected(mark, "b@127.0.0.2");
    assert_eq!(down["reason"], "superseded");
    r.connected(mark, "b@127.0.0.2");
    let order: Vec<String> = r
        .enmesh
        .log()
        .iter()
        .filter_map(|record| record["message"].as_str().map(str::to_owned))
        .filter(|message| message.starts_with("node ") && message.ends_with("connected"))
        .collect();
    assert_eq!(
        order,
        ["node connected", "node disconnected", "node connected"]
    );
    old.kill9().unwrap();
    assert_eq!(new.eval("net_adm:ping('r@127.0.0.3')").unwrap(), "pong");
}

pub(crate) fn ten_pairs_dial_each_other_at_once(otp: Otp) {
    const ROUNDS: usize = 6;
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    // Half of the names are greater than the BEAM's and half are smaller, so that both rules for
    // colliding dials are met.
    let names: Vec<String> = (0..10)
        .map(|n| format!("{}{n}@127.0.0.1", if n % 2 == 0 { 'a' } else { 'z' }))
        .collect();
    let mut m = beam(otp, &ns, "m@127.0.0.1", &[]);
    let members: Vec<Member> = names
        .iter()
        // Hidden, so that global tells none of the others and each has one link alone.
        .map(|name| {
            Member::start(
                &ns,
                name,
                &["--hidden", "--topology", &list(&["m@127.0.0.1"])],
            )
        })
        .collect();
    let all: Vec<&str> = members.iter().map(Member::name).collect();
    sees(&mut m, &all);
    let dial_all = format!(
        "Ns = ['{}'], [erlang:disconnect_node(N) || N <- Ns], \
         timer:sleep(180 + rand:uniform(140)), \
         [spawn(fun() -> net_kernel:connect_node(N) end) || N <- Ns], ok",
        names.join("','")
    );
    for _ in 0..ROUNDS {
        m.eval(&dial_all).unwrap();
        sees(&mut m, &all);
    }
    for member in &members {
        member.enmesh.wait_cluster(SOON, &["m@127.0.0.1"]).unwrap();
        let ups = member.count(|record| record["message"] == "node connected");
        let downs = member.count(|record| record["message"] == "node disconnected");
        assert_eq!(ups, downs + 1, "{} is told each link once", member.name());
        assert!(
            downs <= 2 * ROUNDS,
            "{} flaps: {downs} nodedowns",
            member.name()
        );
    }
}

/// Longer than any net_ticktime allows without ticks: one BEAM at the default of 60 s, one at 4 s,
/// whose ticks we must answer though ours is the default too.
pub(crate) fn idle_links_live_by_ticks(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut slow = beam(otp, &ns, BEAM, &[]);
    let mut quick = beam(otp, &ns, "q@127.0.0.1", &["-kernel", "net_ticktime", "4"]);
    // No link between the two, as a visible member's `global` would make: with such different
    // ticks they would take each other for dead.
    let hosts = list(&[BEAM, "q@127.0.0.1"]);
    let r = Member::start(&ns, US, &["--hidden", "--topology", &hosts]);
    r.connected(0, BEAM);
    r.connected(0, "q@127.0.0.1");
    sees(&mut slow, &[US]);
    sees(&mut quick, &[US]);
    let counts = |beam: &mut Beam| -> (u64, u64) {
        let text = beam
            .eval(&format!(
                "{{_, P}} = lists:keyfind('{US}', 1, erlang:system_info(dist_ctrl)), \
                 {{ok, [{{_, R}}, {{_, S}}]}} = inet:getstat(P, [recv_cnt, send_cnt]), {{R, S}}"
            ))
            .unwrap();
        let (read, sent) = text.trim_matches(['{', '}']).split_once(',').unwrap();
        (read.parse().unwrap(), sent.parse().unwrap())
    };
    let before = (counts(&mut slow), counts(&mut quick));
    std::thread::sleep(Duration::from_secs(80));
    let after = (counts(&mut slow), counts(&mut quick));
    for (what, least, (read, sent), (later_read, later_sent)) in [
        ("slow", 4, before.0, after.0),
        ("quick", 30, before.1, after.1),
    ] {
        let (read, sent) = (later_read - read, later_sent - sent);
        assert!(
            read >= least && sent >= least,
            "{what}: {read} read and {sent} sent in 80 s"
        );
        assert!(
            read < 200 && sent < 200,
            "{what}: two sides echo each other's ticks"
        );
    }
    sees(&mut slow, &[US]);
    sees(&mut quick, &[US]);
    assert_eq!(
        r.count(|record| record["message"] == "node disconnected"),
        0
    );
}

pub(crate) fn a_frozen_beam_is_down_by_ticks_and_comes_back(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let b = beam(otp, &ns, BEAM, &["-kernel", "net_ticktime", "4"]);
    let args = ["--net-ticktime", "4", "--topology", &list(&[BEAM])];
    let r = Member::start(&ns, US, &args);
    r.connected(0, BEAM);
    let mark = r.mark();
    b.stop().unwrap();
    let frozen = Instant::now();
    let down = r.disconnected(mark, BEAM);
    assert_eq!(down["reason"], "net_tick_timeout");
    let after = frozen.elapsed();
    assert!(
        after > Duration::from_secs(3) && after < Duration::from_secs(8),
        "{after:?}"
    );
    let mark = r.mark();
    b.cont().unwrap();
    r.connected(mark, BEAM);
}

pub(crate) fn a_beam_that_disconnects_us_is_dialled_again(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let r = Member::start(&ns, US, &["--topology", &list(&[BEAM])]);
    r.connected(0, BEAM);
    sees(&mut b, &[US]);
    let mark = r.mark();
    assert_eq!(
        b.eval(&format!("erlang:disconnect_node('{US}')")).unwrap(),
        "true"
    );
    assert_eq!(r.disconnected(mark, BEAM)["reason"], "connection_closed");
    r.connected(mark, BEAM);
    sees(&mut b, &[US]);
}

/// Nothing that a BEAM can ask of a neighbour hangs, and nothing costs the link.
pub(crate) fn what_a_beam_asks_is_answered(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let r = Member::start(&ns, US, &["--visible", "--topology", &list(&[BEAM])]);
    r.connected(0, BEAM);
    sees(&mut b, &[US]);
    let ask = |b: &mut Beam, expression: &str, wanted: &str| {
        let expression = expression.replace("US", &format!("'{US}'"));
        assert_eq!(b.eval(&expression).unwrap(), wanted, "{expression}");
    };
    ask(&mut b, "net_adm:ping(US)", "pong");
    ask(
        &mut b,
        "R = monitor(process, {nobody, US}), \
         receive {'DOWN', R, process, O, I} -> {O, I} after 5000 -> silence end",
        &format!("{{{{nobody,'{US}'}},noproc}}"),
    );
    ask(
        &mut b,
        "catch gen_server:call({nobody, US}, hello, 5000)",
        &format!(
            "{{'EXIT',{{{{nodedown,'{US}'}},{{gen_server,call,[{{nobody,'{US}'}},hello,5000]}}}}}}"
        )
        .replace(&format!("{{nodedown,'{US}'}}"), "noproc"),
    );
    ask(
        &mut b,
        "rpc:call(US, m, f, [1], 5000)",
        "{badrpc,{'EXIT',{undef,[{m,f,[1],[]}]}}}",
    );
    ask(
        &mut b,
        "try erpc:call(US, m, f, [1], 5000) catch C:E -> {C, E} end",
        "{error,{exception,undef,[{m,f,[1],[]}]}}",
    );
    ask(
        &mut b,
        "{P, R} = spawn_monitor(US, m, f, [1]), true = node(P) =:= US, \
         receive {'DOWN', R, process, P, I} -> I after 5000 -> silence end",
        "{undef,[{m,f,[1],[]}]}",
    );
    ask(
        &mut b,
        "process_flag(trap_exit, true), P = spawn_link(US, m, f, [1]), \
         receive {'EXIT', P, I} -> I after 5000 -> silence end",
        "{undef,[{m,f,[1],[]}]}",
    );
    ask(
        &mut b,
        "process_flag(trap_exit, true), P = spawn(US, m, f, []), link(P), \
         receive {'EXIT', P, I} -> I after 5000 -> silence end",
        "noproc",
    );
    ask(
        &mut b,
        "process_flag(trap_exit, true), P = spawn(US, m, f, []), link(P), unlink(P), exit(P, kill), \
         {nobody, US} ! hello, P ! hello, done",
        "done",
    );
    ask(
        &mut b,
        "{_, Bad} = gen_server:multi_call([node(), US], nobody, hello, 5000), lists:sort(Bad)",
        &format!("['{BEAM}','{US}']"),
    );
    assert_eq!(b.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pong");
    assert_eq!(
        r.count(|record| record["message"] == "node disconnected"),
        0
    );
}

/// A BEAM that neither starts nor asks an epmd, listening on one address.
pub(crate) fn epmdless_beam(otp: Otp, ns: &NetNs, name: &str, interface: &str) -> Beam {
    let args = [
        "-erl_epmd_port",
        PORT,
        "-kernel",
        "inet_dist_use_interface",
        interface,
        "-hidden",
    ];
    Beam::start(otp, ns, name, COOKIE, &args).unwrap()
}

pub(crate) fn epmdless_member(ns: &NetNs, name: &str, listen: &str, args: &[&str]) -> Member {
    let own = ["--epmd", "none", "--dist-port", PORT, "--listen", listen];
    Member::start(ns, name, &[&own[..], args].concat())
}

/// Used by cases that must see something stay as it is.
pub(crate) fn stays_so(what: &str, time: Duration, mut probe: impl FnMut() -> anyhow::Result<()>) {
    let until = Instant::now() + time;
    let held = poll_until(what, time + SOON, || {
        probe().unwrap();
        anyhow::ensure!(Instant::now() >= until, "not long enough yet");
        Ok(())
    });
    held.unwrap();
}
