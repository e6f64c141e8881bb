//! Which whole names a configured one may stand for. No socket is touched here.

use hickory_resolver::proto::rr::Name;

use super::plan::QueryName;

/// How many names of the search list are tried.
const MAX_CANDIDATES: usize = 16;

/// The domain of a Kubernetes cluster that nobody names.
const USUAL_DOMAIN: &str = "cluster.local";

/// The absolute names that `query` may stand for, in the order of resolv.conf(5).
pub(super) fn candidates(query: &QueryName, search: &[Name], ndots: usize) -> Vec<Name> {
    match query {
        QueryName::Searched(query) => searched(query, search, ndots),
        QueryName::InCluster { prefix, domain } => {
            let domain = match domain {
                Some(domain) => domain.clone(),
                None => searched_domain(search).unwrap_or_else(|| USUAL_DOMAIN.to_owned()),
            };
            let text = format!("{prefix}.{}.", domain.trim_matches('.'));
            Name::from_utf8(text).into_iter().collect()
        }
    }
}

fn searched(query: &str, search: &[Name], ndots: usize) -> Vec<Name> {
    let Ok(mut absolute) = Name::from_utf8(query) else {
        return Vec::new();
    };
    if absolute.is_fqdn() {
        return vec![absolute];
    }
    let relative = absolute.clone();
    absolute.set_fqdn(true);
    let with_suffix = |suffix: &Name| {
        let mut name = relative.clone().append_domain(suffix).ok()?;
        name.set_fqdn(true);
        Some(name)
    };
    let mut names: Vec<Name> = search.iter().filter_map(with_suffix).collect();
    names.truncate(MAX_CANDIDATES - 1);
    let dots = query.matches('.').count();
    names.insert(if dots >= ndots { 0 } else { names.len() }, absolute);
    names
}

/// The cluster's domain, as a pod's search list tells it: NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN.
fn searched_domain(search: &[Name]) -> Option<String> {
    let domain = |name: &Name| {
        let text = name.to_utf8();
        Some(text.strip_prefix("svc.")?.trim_matches('.').to_owned())
    };
    search
        .iter()
        .filter_map(domain)
        .find(|domain| !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &QueryName, search: &[&str], ndots: usize) -> Vec<String> {
        let search: Vec<Name> = search
            .iter()
            .map(|name| Name::from_utf8(name).unwrap())
            .collect();
        let names = candidates(query, &search, ndots);
        names.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn check(query: &str, ndots: usize, expected: &[&str]) {
        let search = ["ns.svc.cluster.local", "svc.cluster.local."];
        let query = QueryName::Searched(query.to_owned());
        assert_eq!(names(&query, &search, ndots), expected);
    }

    /// resolv.conf(5), "search" and "ndots".
    #[test]
    fn names_with_few_dots_are_searched_first() {
        let in_namespace = "web.ns.svc.cluster.local.";
        check("web", 5, &[in_namespace, "web.svc.cluster.local.", "web."]);
        let elsewhere = [
            "web.other.ns.svc.cluster.local.",
            "web.other.svc.cluster.local.",
        ];
        check("web.other", 5, &[elsewhere[0], elsewhere[1], "web.other."]);
        check("web.other", 1, &["web.other.", elsewhere[0], elsewhere[1]]);
    }

    #[test]
    fn a_name_with_a_dot_at_the_end_stands_for_itself() {
        check("web.other.", 5, &["web.other."]);
    }

    /// libcluster takes CLUSTER_DOMAIN, and `cluster.local.` without it.
    #[test]
    fn the_domain_of_a_cluster_is_given_or_searched_or_the_usual_one() {
        let query = |domain: Option<&str>| QueryName::InCluster {
            prefix: "web.ns.svc".to_owned(),
            domain: domain.map(str::to_owned),
        };
        let pod = ["ns.svc.k8s.test", "svc.k8s.test", "k8s.test"];
        let check = |domain, search: &[&str], expected: &str| {
            assert_eq!(names(&query(domain), search, 5), [expected]);
        };
        check(Some("my.test."), &pod, "web.ns.svc.my.test.");
        check(None, &pod, "web.ns.svc.k8s.test.");
        check(None, &["example.test"], "web.ns.svc.cluster.local.");
        check(None, &[], "web.ns.svc.cluster.local.");
    }
}
