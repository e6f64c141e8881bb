//! Claims, with terms as scope processes of OTP 25 to 29 send them, and properties of machines
//! that talk to each other.

mod claims;
mod exchange;

use super::*;

fn pid(node: &str, number: u32) -> Pid {
    Pid::new(Atom::new(node).unwrap(), number, 0, 1)
}

fn scope() -> Atom {
    Atom::from_static("pg")
}

fn word(name: &'static str) -> Term {
    Term::atom(name)
}

fn effects(pg: &mut Pg) -> Vec<Effect> {
    std::iter::from_fn(|| pg.poll_effect()).collect()
}

fn events(pg: &mut Pg) -> Vec<(PgEvent, Term, Vec<Pid>)> {
    std::iter::from_fn(|| pg.poll_event()).collect()
}
