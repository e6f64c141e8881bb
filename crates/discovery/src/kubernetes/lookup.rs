//! Which objects of the API tell the peers, and which are tried in which order.

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "kubernetes")]
use enmesh_membership::{FailureKind, SourceFailure};

use crate::config::ConfigError;

/// The key that names a lookup.
pub(super) const LOOKUP_MODE: &str = "kubernetes_ip_lookup_mode";
pub(super) const LOOKUP_MODE_ALLOWED: &str = "endpointslices, endpoints, pods or auto";

/// Which objects of the API tell the peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookupMode {
    /// `endpointslices`: the slices of Services that the selector matches, or of the one that
    /// `kubernetes_service_name` names. Needs `list` and `watch` on
    /// `endpointslices.discovery.k8s.io`.
    #[default]
    EndpointSlices,
    /// `endpoints`: the addresses of Services, as libcluster reads them. They cannot tell that a
    /// pod is being ended. Needs `list` and `watch` on `endpoints`.
    Endpoints,
    /// `pods`: the pods that the selector matches. Needs `list` and `watch` on `pods`.
    Pods,
    /// `auto`: slices, else Endpoints, else pods: the first that we may read and that tells
    /// somebody. Which it is, and why, is logged.
    Auto,
}

impl FromStr for LookupMode {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "endpointslices" => Ok(Self::EndpointSlices),
            "endpoints" => Ok(Self::Endpoints),
            "pods" => Ok(Self::Pods),
            "auto" => Ok(Self::Auto),
            other => Err(ConfigError::BadValue {
                key: LOOKUP_MODE,
                value: other.to_owned(),
                allowed: LOOKUP_MODE_ALLOWED,
            }),
        }
    }
}

impl fmt::Display for LookupMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndpointSlices => "endpointslices",
            Self::Endpoints => "endpoints",
            Self::Pods => "pods",
            Self::Auto => "auto",
        })
    }
}

/// A kind of object that is read.
#[cfg(feature = "kubernetes")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    Slices,
    Endpoints,
    Pods,
}

#[cfg(feature = "kubernetes")]
impl Lookup {
    /// The resource's name in a path and in texts.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::Slices => "endpointslices",
            Self::Endpoints => "endpoints",
            Self::Pods => "pods",
        }
    }

    /// The resource's name as `kubectl create role --resource` wants it.
    pub(super) fn rule(self) -> &'static str {
        match self {
            Self::Slices => "endpointslices.discovery.k8s.io",
            Self::Endpoints => "endpoints",
            Self::Pods => "pods",
        }
    }
}

/// What to do where a lookup did not work.
#[cfg(feature = "kubernetes")]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read another kind of object, at once.
    Try(Lookup),
    /// Nothing is left to be tried: this is why, and the next round begins anew.
    Failed(SourceFailure),
}

/// The lookups of one namespace in the order in which they are tried.
#[cfg(feature = "kubernetes")]
#[derive(Debug)]
pub(super) struct Order {
    lookups: &'static [Lookup],
    place: usize,
    /// Whether what has once worked is kept.
    sticky: bool,
    settled: bool,
    /// What the lookup that is wanted most said in this round.
    first: Option<SourceFailure>,
}

#[cfg(feature = "kubernetes")]
impl Order {
    /// What is tried for a lookup mode, none where the user named none. Pods need a selector.
    pub(super) fn new(mode: Option<LookupMode>, has_selector: bool) -> Self {
        use Lookup::{Endpoints, Pods, Slices};
        let lookups: &[Lookup] = match mode {
            Some(LookupMode::EndpointSlices) => &[Slices],
            Some(LookupMode::Endpoints) => &[Endpoints],
            Some(LookupMode::Pods) => &[Pods],
            None => &[Slices, Endpoints],
            Some(LookupMode::Auto) if has_selector => &[Slices, Endpoints, Pods],
            Some(LookupMode::Auto) => &[Slices, Endpoints],
        };
        Self {
            lookups,
            place: 0,
            sticky: mode == Some(LookupMode::Auto),
            settled: false,
            first: None,
        }
    }

    /// The lookup whose turn it is.
    pub(super) fn current(&self) -> Lookup {
        self.lookups[self.place]
    }

    /// Why the one before it did not do, the first time that there is one to say it of.
    pub(super) fn first_failure(&self) -> Option<&SourceFailure> {
        self.first.as_ref()
    }

    /// Whether the lookup that is read now was picked out of several.
    pub(super) fn picks(&self) -> bool {
        self.sticky
    }

    /// A whole list is known. Answers whether this is news.
    pub(super) fn settle(&mut self) -> bool {
        !std::mem::replace(&mut self.settled, true)
    }

    /// The session ended for other reasons: the lookup that is wanted most is tried again, unless
    /// one was picked.
    pub(super) fn restart(&mut self) {
        if !(self.sticky && self.settled) {
            self.place = 0;
            self.settled = false;
        }
        self.first = None;
    }

    /// Whether a list without any object is an answer: pods that are asked for by name of the
    /// lookup. Where it is one of several, or reads what is made of Services, it is most likely
    /// a mistake in the selector.
    pub(super) fn trusts_empty(&self) -> bool {
        self.current() == Lookup::Pods && (!self.sticky || self.settled)
    }

    /// The lookup worked and told nothing, which makes only who picks out of several go on.
    pub(super) fn empty(&mut self, failure: SourceFailure) -> Next {
        if self.sticky && !self.settled {
            self.failed(failure)
        } else {
            Next::Failed(failure)
        }
    }

    /// The lookup failed. Only what says that we will never get an answer from it leads on to the
    /// next one: that it is forbidden or does not exist.
    pub(super) fn failed(&mut self, failure: SourceFailure) -> Next {
        let hopeless = matches!(
            failure.kind(),
            FailureKind::Forbidden | FailureKind::NotFound
        );
        let picked = self.sticky && self.settled;
        if hopeless && !picked && self.place + 1 < self.lookups.len() {
            self.place += 1;
            self.settled = false;
            self.first.get_or_insert(failure);
            return Next::Try(self.current());
        }
        let failure = match self.first.take() {
            Some(first) if hopeless => first,
            _ => failure,
        };
        self.restart();
        Next::Failed(failure)
    }
}

#[cfg(all(test, feature = "kubernetes"))]
mod tests {
    use super::*;

    fn refused(kind: FailureKind, text: &str) -> SourceFailure {
        SourceFailure::new(kind, text)
    }

    #[test]
    fn a_lookup_that_the_user_named_is_never_replaced() {
        for (mode, lookup) in [
            (LookupMode::EndpointSlices, Lookup::Slices),
            (LookupMode::Endpoints, Lookup::Endpoints),
            (LookupMode::Pods, Lookup::Pods),
        ] {
            let mut order = Order::new(Some(mode), true);
            let failure = refused(FailureKind::Forbidden, "no");
            assert_eq!(order.failed(failure.clone()), Next::Failed(failure));
            assert_eq!(order.current(), lookup);
        }
    }

    #[test]
    fn where_none_is_named_endpoints_stand_in_for_slices_that_we_may_not_read() {
        for kind in [FailureKind::Forbidden, FailureKind::NotFound] {
            let mut order = Order::new(None, true);
            let next = order.failed(refused(kind, "slices"));
            assert_eq!(next, Next::Try(Lookup::Endpoints));
            assert!(order.settle());
            // When the session has ended, slices are asked for again.
            order.restart();
            assert_eq!(order.current(), Lookup::Slices);
        }
        let mut order = Order::new(None, true);
        let failure = refused(FailureKind::Unreachable, "down");
        assert_eq!(order.failed(failure.clone()), Next::Failed(failure));
    }

    #[test]
    fn of_two_refusals_the_one_of_the_wanted_lookup_is_told() {
        let mut order = Order::new(None, true);
        let slices = refused(FailureKind::Forbidden, "slices");
        order.failed(slices.clone());
        let next = order.failed(refused(FailureKind::Forbidden, "endpoints"));
        assert_eq!(next, Next::Failed(slices.clone()));
        assert_eq!(order.current(), Lookup::Slices);
        order.failed(slices);
        let down = refused(FailureKind::Unreachable, "down");
        assert_eq!(order.failed(down.clone()), Next::Failed(down));
    }

    #[test]
    fn what_auto_has_picked_stays() {
        let mut order = Order::new(Some(LookupMode::Auto), true);
        order.failed(refused(FailureKind::Forbidden, "slices"));
        let next = order.failed(refused(FailureKind::NotFound, "endpoints"));
        assert_eq!(next, Next::Try(Lookup::Pods));
        assert!(order.settle() && !order.settle());
        order.restart();
        assert_eq!(order.current(), Lookup::Pods);
        let failure = refused(FailureKind::Forbidden, "pods");
        assert_eq!(order.failed(failure.clone()), Next::Failed(failure));
        assert_eq!(order.current(), Lookup::Pods);
        let order = Order::new(Some(LookupMode::Auto), false);
        assert_eq!(order.lookups, [Lookup::Slices, Lookup::Endpoints]);
    }
}
