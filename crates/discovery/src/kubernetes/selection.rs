//! Which objects are asked for.

use std::fmt;

use super::config::KubernetesConfig;
use super::lookup::Lookup;
use super::objects::SERVICE_LABEL;

/// The selectors of a LIST and a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
    /// The Service whose name selects.
    pub(super) service: Option<String>,
}

impl Selection {
    /// Slices and Endpoints are selected by their Service: by its name where it is given, else by
    /// its labels, which they carry as well. Pods are selected by their own labels.
    pub(super) fn new(config: &KubernetesConfig, lookup: Lookup) -> Self {
        let further = config.field_selector.clone();
        match (lookup, &config.service_name) {
            (Lookup::Slices, Some(service)) => Self {
                labels: Some(format!("{SERVICE_LABEL}={service}")),
                fields: further,
                service: Some(service.clone()),
            },
            (Lookup::Endpoints, Some(service)) => {
                let by_name = format!("metadata.name={service}");
                Self {
                    labels: None,
                    fields: Some(match further {
                        Some(further) => format!("{by_name},{further}"),
                        None => by_name,
                    }),
                    service: Some(service.clone()),
                }
            }
            (Lookup::Pods, _) | (_, None) => Self {
                labels: config.selector.clone(),
                fields: further,
                service: None,
            },
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.labels, &self.fields) {
            (Some(labels), Some(fields)) => write!(f, "{labels} and {fields}"),
            (Some(only), None) | (None, Some(only)) => f.write_str(only),
            (None, None) => f.write_str("anything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: &KubernetesConfig, lookup: Lookup, expected: (Option<&str>, Option<&str>)) {
        let selection = Selection::new(config, lookup);
        let found = (selection.labels.as_deref(), selection.fields.as_deref());
        assert_eq!(found, expected, "{lookup:?}");
    }

    #[test]
    fn a_selector_selects_by_labels() {
        let config = KubernetesConfig {
            selector: Some("app=web,tier=front".to_owned()),
            ..KubernetesConfig::default()
        };
        for lookup in [Lookup::Slices, Lookup::Endpoints, Lookup::Pods] {
            check(&config, lookup, (Some("app=web,tier=front"), None));
        }
    }

    #[test]
    fn the_name_of_a_service_goes_before_the_selector_but_for_pods() {
        let mut config = KubernetesConfig {
            selector: Some("app=web".to_owned()),
            service_name: Some("web".to_owned()),
            ..KubernetesConfig::default()
        };
        let by_label = Some("kubernetes.io/service-name=web");
        check(&config, Lookup::Slices, (by_label, None));
        check(
            &config,
            Lookup::Endpoints,
            (None, Some("metadata.name=web")),
        );
        check(&config, Lookup::Pods, (Some("app=web"), None));
        config.field_selector = Some("metadata.namespace=prod".to_owned());
        let fields = config.field_selector.as_deref();
        check(&config, Lookup::Slices, (by_label, fields));
        let both = Some("metadata.name=web,metadata.namespace=prod");
        check(&config, Lookup::Endpoints, (None, both));
        check(&config, Lookup::Pods, (Some("app=web"), fields));
    }
}
