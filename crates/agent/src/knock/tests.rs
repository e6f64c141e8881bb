use super::*;

/// Answers as a BEAM does.
#[derive(Default)]
struct Beam {
    flags: Vec<(&'static str, &'static str)>,
    module: Option<&'static str>,
    address: Option<Term>,
    /// What becomes of a connection to this port.
    takes: Option<(i64, Term)>,
}

fn ok(value: Term) -> Term {
    Term::tuple([Term::atom("ok"), value])
}

fn error(why: &'static str) -> Term {
    Term::tuple([Term::atom("error"), Term::atom(why)])
}

impl Calls for Beam {
    async fn call(
        &self,
        module: &'static str,
        function: &'static str,
        args: Vec<Term>,
    ) -> Result<Term, RpcError> {
        match (module, function) {
            ("net_kernel", "epmd_module") => Ok(Term::atom(self.module.unwrap_or("erl_epmd"))),
            ("init", "get_argument") => {
                let given = self.flags.iter().find(|(flag, _)| args[0].is_atom(flag));
                let values = |value| Term::list([Term::list([Term::charlist(value)])]);
                Ok(given.map_or(Term::atom("error"), |(_, value)| ok(values(value))))
            }
            ("inet", "getaddr") => self.address.clone().ok_or(RpcError::NoConnection),
            ("gen_tcp", "connect") => {
                let (port, answer) = self.takes.clone().ok_or(RpcError::NoConnection)?;
                assert_eq!(args[1..], [Term::Int(port), Term::nil(), Term::Int(3000)]);
                Ok(answer)
            }
            other => panic!("nobody calls {other:?}"),
        }
    }
}

async fn verdict(beam: Beam) -> Result<(), Failure> {
    let peer = PeerAddr::new("web@web-0.web".parse().unwrap());
    let doors = Doors::of(&beam).await.unwrap();
    doors.knock(&beam, &peer).await
}

/// One whose connection to that port ends so.
fn taken(port: i64, answer: Term) -> Beam {
    Beam {
        address: Some(ok(Term::tuple([10, 0, 0, 1].map(Term::Int)))),
        takes: Some((port, answer)),
        ..Beam::default()
    }
}

fn left(failure: DialFailure) -> Result<(), Failure> {
    Err(failure.into())
}

#[tokio::test]
async fn whoever_takes_the_connection_is_connected() {
    let socket = ok(Term::atom("socket"));
    assert_eq!(verdict(taken(4369, socket)).await, Ok(()));
}

#[tokio::test]
async fn where_nobody_takes_it_the_peer_is_left_alone() {
    for (why, failure) in [
        ("timeout", DialFailure::TimedOut),
        ("etimedout", DialFailure::TimedOut),
        ("ehostunreach", DialFailure::Unreachable),
        ("enetunreach", DialFailure::Unreachable),
        ("econnrefused", DialFailure::EpmdUnreachable),
    ] {
        assert_eq!(verdict(taken(4369, error(why))).await, left(failure));
    }
}

#[tokio::test]
async fn what_cannot_be_found_out_here_is_left_to_the_node() {
    let nowhere = Beam {
        address: Some(error("nxdomain")),
        ..Beam::default()
    };
    let gone = Beam {
        takes: None,
        ..taken(0, Term::nil())
    };
    for beam in [
        nowhere,
        gone,
        Beam::default(),
        taken(4369, error("emfile")),
        taken(4369, Term::atom("odd")),
    ] {
        assert_eq!(verdict(beam).await, Ok(()));
    }
}

#[tokio::test]
async fn the_port_is_that_of_the_node_s_flags() {
    let refused = || error("econnrefused");
    let other = Beam {
        flags: vec![("epmd_port", "5000")],
        ..taken(5000, refused())
    };
    assert_eq!(verdict(other).await, left(DialFailure::EpmdUnreachable));
    let fixed = Beam {
        flags: vec![("epmd_port", "5000"), ("erl_epmd_port", "9100")],
        ..taken(9100, refused())
    };
    assert_eq!(verdict(fixed).await, left(DialFailure::Refused));
}

#[tokio::test]
async fn a_way_of_its_own_is_not_tried() {
    let refused = || taken(4369, error("econnrefused"));
    let module = Beam {
        module: Some("Elixir.Epmdless"),
        ..refused()
    };
    let carrier = Beam {
        flags: vec![("proto_dist", "gen_quic")],
        ..refused()
    };
    for beam in [module, carrier] {
        assert_eq!(verdict(beam).await, Ok(()));
    }
}

#[tokio::test]
async fn the_family_is_that_of_the_node_s_carrier() {
    for (carrier, wanted) in [
        (None, "inet"),
        (Some("inet_tls"), "inet"),
        (Some("inet6_tcp"), "inet6"),
        (Some("inet6_tls"), "inet6"),
    ] {
        let beam = Beam {
            flags: carrier.map(|it| ("proto_dist", it)).into_iter().collect(),
            ..Beam::default()
        };
        let doors = Doors::of(&beam).await.unwrap();
        assert!(matches!(doors, Doors::Known { family, .. } if family == wanted));
    }
}
