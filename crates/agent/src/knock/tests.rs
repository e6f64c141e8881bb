use super::*;

/// Answers as a BEAM does.
#[derive(Default)]
struct Beam {
    flags: Vec<(&'static str, &'static str)>,
    address: Option<Term>,
    port: Option<Term>,
    /// How long the answer about the port, or the connection, takes.
    takes: Duration,
    socket: Option<Term>,
}

fn ok(parts: &[Term]) -> Term {
    let ok = std::iter::once(Term::atom("ok"));
    Term::tuple(ok.chain(parts.iter().cloned()).collect::<Vec<_>>())
}

fn port(number: i64) -> Option<Term> {
    Some(Term::tuple([
        Term::atom("port"),
        Term::Int(number),
        Term::Int(6),
    ]))
}

impl Calls for Beam {
    async fn call(
        &self,
        module: &'static str,
        function: &'static str,
        args: Vec<Term>,
    ) -> Result<Term, RpcError> {
        let undef = || RpcError::Failed {
            reason: Term::atom("undef"),
            stack: Term::nil(),
        };
        match (module, function) {
            ("net_kernel", "epmd_module") => Ok(Term::atom("erl_epmd")),
            ("init", "get_argument") => {
                let given = self.flags.iter().find(|(flag, _)| args[0].is_atom(flag));
                Ok(match given {
                    Some((_, value)) => ok(&[Term::list([Term::list([Term::charlist(value)])])]),
                    None => Term::atom("error"),
                })
            }
            ("erlang", "apply") => {
                assert!(args[0].is_atom("erl_epmd"));
                if args[1].is_atom("address_please") {
                    return self.address.clone().ok_or_else(undef);
                }
                assert!(args[1].is_atom("port_please"));
                tokio::time::sleep(self.takes).await;
                self.port.clone().ok_or_else(undef)
            }
            ("gen_tcp", "connect") => {
                tokio::time::sleep(self.takes).await;
                self.socket.clone().ok_or_else(undef)
            }
            other => panic!("nobody calls {other:?}"),
        }
    }
}

async fn verdict(beam: Beam) -> Verdict {
    let peer = PeerAddr::new("web@web-0.web".parse().unwrap());
    Doors::of(&beam).await.knock(&beam, &peer).await
}

fn found() -> Beam {
    Beam {
        address: Some(ok(&[Term::tuple([10, 0, 0, 1].map(Term::Int))])),
        port: port(9100),
        ..Beam::default()
    }
}

fn timed_out() -> Verdict {
    Verdict::Leave(DialFailure::TimedOut.into())
}

#[tokio::test(start_paused = true)]
async fn whoever_stands_in_its_epmd_is_connected() {
    assert_eq!(verdict(found()).await, Verdict::Connect);
    let slow = Beam {
        takes: Duration::from_secs(2),
        ..found()
    };
    assert_eq!(verdict(slow).await, Verdict::Connect);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_answer_is_left_alone() {
    for said in ["noport", "closed"] {
        let quick = || Beam {
            port: Some(Term::atom(said)),
            ..found()
        };
        assert_eq!(verdict(quick()).await, Verdict::Explain);
        let hangs = Beam {
            takes: PATIENCE,
            ..quick()
        };
        assert_eq!(verdict(hangs).await, timed_out());
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_up_here_is_left_to_the_node() {
    let nowhere = Beam {
        address: Some(Term::tuple([Term::atom("error"), Term::atom("nxdomain")])),
        ..found()
    };
    let without = || Beam {
        address: None,
        ..found()
    };
    let other = Beam {
        port: None,
        ..found()
    };
    for beam in [nowhere, without(), other] {
        assert_eq!(verdict(beam).await, Verdict::Connect);
    }
}

/// Without epmd nobody has been asked yet when the port is known.
#[tokio::test(start_paused = true)]
async fn a_fixed_port_is_tried() {
    let fixed = |socket: Term, takes: Duration| Beam {
        flags: vec![("erl_epmd_port", "9100"), ("proto_dist", "inet6_tls")],
        socket: Some(socket),
        takes,
        ..found()
    };
    let refused = || Term::tuple([Term::atom("error"), Term::atom("econnrefused")]);
    let timeout = || Term::tuple([Term::atom("error"), Term::atom("timeout")]);
    let open = ok(&[Term::atom("socket")]);
    assert_eq!(verdict(fixed(open, Duration::ZERO)).await, Verdict::Connect);
    let soon = fixed(refused(), Duration::ZERO);
    assert_eq!(verdict(soon).await, Verdict::Explain);
    // The port's answer comes at once in a real node; here both take their time.
    let dead = fixed(timeout(), PATIENCE / 2);
    assert_eq!(verdict(dead).await, timed_out());
}

#[tokio::test]
async fn the_family_is_that_of_the_node_s_carrier() {
    for (flags, wanted) in [
        (vec![], "inet"),
        (vec![("proto_dist", "inet_tls")], "inet"),
        (vec![("proto_dist", "inet6_tcp")], "inet6"),
    ] {
        let beam = Beam {
            flags,
            ..Beam::default()
        };
        assert!(Doors::of(&beam).await.family.is_atom(wanted));
    }
}
