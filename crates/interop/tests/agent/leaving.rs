//! Links that are cut: one by one, or all together.

use std::time::Duration;

use enmesh_interop::{Enmesh, Otp};

use crate::sidecar::{A, B, C, Place, count_nodedowns, nodedowns, says, sees};

const POP_OFF: [&str; 3] = ["-kernel", "prevent_overlapping_partitions", "false"];

pub(crate) fn single_nodes_are_not_cut_where_that_cuts_more(otp: Otp) {
    for cuts_wide in [true, false] {
        let place = Place::new(otp);
        let extra: &[&str] = if cuts_wide { &[] } else { &POP_OFF };
        let [mut a, mut b, mut c] =
            [A, B, C].map(|name| place.beam_with(name, crate::sidecar::COOKIE, extra));
        let file = place.write("peers", &format!("{B}\n{C}\n"));
        let topology = format!("strategy=file name=list polling_interval=200 path={file}");
        let args = ["--topology", &topology[..], "--prune", "immediate"];
        let agent = place.agent(A, &args);
        sees(&mut a, &[B, C]);
        sees(&mut b, &[A, C]);
        sees(&mut c, &[A, B]);
        for beam in [&mut a, &mut b, &mut c] {
            count_nodedowns(beam);
        }
        place.write("peers", &format!("{B}\n"));
        if cuts_wide {
            let said = agent.enmesh.wait_for(Duration::from_secs(20), |record| {
                let text = record["message"].as_str().unwrap_or_default();
                text.contains("prevent_overlapping_partitions")
            });
            assert_eq!(said.unwrap()["peer"], C);
            std::thread::sleep(Duration::from_secs(1));
            for beam in [&mut a, &mut b, &mut c] {
                assert_eq!(nodedowns(beam), "[]");
            }
            assert_eq!(agent.count("node disconnected"), 0);
        } else {
            let down = agent.disconnected(0, C);
            assert_eq!(down["reason"], "pruned");
            sees(&mut a, &[B]);
            sees(&mut b, &[A, C]);
        }
    }
}

pub(crate) fn a_node_that_is_told_to_leave(otp: Otp) {
    for on_leave in ["stay", "disconnect"] {
        let place = Place::new(otp);
        let [mut a, mut b, mut c] = [A, B, C].map(|name| place.beam(name));
        let file = place.write("peers", &format!("{B}\n{C}\n"));
        let topology = format!("strategy=file name=list polling_interval=200 path={file}");
        let args = ["--topology", &topology[..], "--on-leave", on_leave];
        let agent = place.agent(A, &args);
        sees(&mut a, &[B, C]);
        sees(&mut b, &[A, C]);
        sees(&mut c, &[A, B]);
        count_nodedowns(&mut b);
        // As a preStop hook does.
        let program = Enmesh::program().unwrap().to_str().unwrap();
        let cookie = place.path("cookie").to_str().unwrap().to_owned();
        let args = ["leave", "--name", A, "--cookie-file", &cookie];
        place.ns.run(program, args).unwrap();
        if on_leave == "stay" {
            // Who comes later is not connected by us.
            let mut d = place.beam("d@127.0.0.4");
            place.write("peers", &format!("{B}\n{C}\nd@127.0.0.4\n"));
            std::thread::sleep(Duration::from_secs(2));
            sees(&mut d, &[]);
            sees(&mut a, &[B, C]);
            assert_eq!(nodedowns(&mut b), "[]");
            assert_eq!(agent.count("node disconnected"), 0);
            // Its container was only to be started anew, and the sidecar stayed.
            let mark = agent.mark();
            a.kill9().unwrap();
            drop(a);
            let mut a = place.beam(A);
            agent.attached(mark);
            sees(&mut a, &[B, C, "d@127.0.0.4"]);
        } else {
            sees(&mut a, &[]);
            for peer in [B, C] {
                assert_eq!(agent.disconnected(0, peer)["reason"], "disconnect");
            }
            // It is gone for them, once, and they keep each other.
            sees(&mut b, &[C]);
            sees(&mut c, &[B]);
            std::thread::sleep(Duration::from_secs(2));
            sees(&mut a, &[]);
            assert_eq!(nodedowns(&mut b), format!("['{A}']"));
            // The agent is still there, to be asked by whoever wants to know.
            says(&mut a, "is_pid(whereis(enmesh_agent))", "true");
        }
    }
}
