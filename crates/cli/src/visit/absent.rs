//! What it means that a node cannot be reached.

use enmesh::{DialFailure, Failure, TlsFault};

/// What is known of a node that could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It is the node of our own pod, in which nobody listens for it: it has ended, or has not begun.
    Ended,
    /// Somebody took the connection and let it fall, as a node does that ends at this moment; asking
    /// again will tell.
    Falling,
    /// Nothing: it may run where we do not see it, or does not let us in.
    Unknown,
}

impl Absent {
    /// What the failures at all of a node's addresses say, `in_pod` if our pod's address is one of them.
    ///
    /// Beyond our pod a refused connection is no proof: there may be a firewall, or another port.
    pub(super) fn of(failures: &[Failure], in_pod: bool) -> Self {
        // After our digest was sent, an end looks like the refusal of a wrong cookie.
        let falls = |failure: &Failure| match failure {
            Failure::Closed | Failure::WrongCookie => true,
            Failure::Dial(DialFailure::Tls(fault)) => {
                matches!(fault, TlsFault::NotSpoken | TlsFault::Other)
            }
            _ => false,
        };
        let is_refused = |failure: &Failure| match failure {
            Failure::Dial(failure) => matches!(
                failure,
                DialFailure::Refused | DialFailure::NotRegistered | DialFailure::EpmdUnreachable
            ),
            _ => false,
        };
        // There is no way to IPv6's loopback in a pod that has IPv4 alone, and names end with their pods.
        let is_nowhere = |failure: &Failure| match failure {
            Failure::Dial(failure) => {
                matches!(failure, DialFailure::Unreachable | DialFailure::NoSuchHost)
            }
            _ => false,
        };
        let nobody_listens = failures.iter().any(is_refused)
            && failures
                .iter()
                .all(|failure| is_refused(failure) || is_nowhere(failure));
        if in_pod && nobody_listens {
            Self::Ended
        } else if failures.iter().any(falls) {
            Self::Falling
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Failure = Failure::Dial(DialFailure::Refused);
    const NOT_REGISTERED: Failure = Failure::Dial(DialFailure::NotRegistered);
    const NO_EPMD: Failure = Failure::Dial(DialFailure::EpmdUnreachable);
    const NO_HOST: Failure = Failure::Dial(DialFailure::NoSuchHost);
    const NO_WAY: Failure = Failure::Dial(DialFailure::Unreachable);
    const SILENT: Failure = Failure::Dial(DialFailure::TimedOut);

    #[track_caller]
    fn check(failures: &[Failure], wanted: Absent) {
        assert_eq!(Absent::of(failures, true), wanted, "{failures:?}");
    }

    #[test]
    fn a_node_for_which_nobody_listens_in_our_pod_has_ended() {
        check(&[REFUSED, REFUSED], Absent::Ended);
        check(&[NOT_REGISTERED, NO_EPMD], Absent::Ended);
        // Loopback of both families, the pod's address, and a name that DNS has forgotten.
        check(&[REFUSED, NO_WAY, REFUSED, NO_HOST], Absent::Ended);
    }

    #[test]
    fn a_node_that_is_silent_or_refuses_us_or_is_looked_for_nowhere_may_run() {
        check(&[REFUSED, SILENT], Absent::Unknown);
        check(&[NO_EPMD, Failure::NotAllowed], Absent::Unknown);
        check(&[NOT_REGISTERED, Failure::WrongName], Absent::Unknown);
        check(&[NO_WAY, NO_HOST], Absent::Unknown);
        check(&[], Absent::Unknown);
    }

    #[test]
    fn a_node_that_lets_a_connection_fall_is_asked_again() {
        check(&[Failure::Closed, REFUSED], Absent::Falling);
        check(&[Failure::WrongCookie], Absent::Falling);
        let tls = |fault| Failure::Dial(DialFailure::Tls(fault));
        check(&[tls(TlsFault::NotSpoken)], Absent::Falling);
        check(&[tls(TlsFault::Untrusted)], Absent::Unknown);
    }

    #[test]
    fn elsewhere_a_refused_connection_proves_nothing() {
        for failures in [&[REFUSED, REFUSED][..], &[NOT_REGISTERED], &[NO_EPMD]] {
            assert_eq!(Absent::of(failures, false), Absent::Unknown, "{failures:?}");
        }
    }
}
