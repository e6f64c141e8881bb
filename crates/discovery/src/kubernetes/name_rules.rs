//! Which keys about names go together.

#[cfg(feature = "kubernetes")]
use super::config::NAMESPACE;
use super::config::{KubernetesConfig, missing};
use super::lookup::{LOOKUP_MODE, LookupMode};
use super::name_mode::{MODE, NameMode, PortSource};
use super::template::{NameTemplate, TEMPLATE_ALLOWED};
use crate::config::{ConfigError, Fields};

pub(super) const NAME_TEMPLATE: &str = "name_template";
pub(super) const CLUSTER_DOMAIN: &str = "kubernetes_cluster_domain";
pub(super) const CLUSTER_DOMAIN_ALLOWED: &str = "a DNS domain, as in cluster.local";

/// The template, if one is given.
pub(super) fn template(fields: &mut Fields) -> Result<Option<NameTemplate>, ConfigError> {
    let Some(text) = fields.text(NAME_TEMPLATE, TEMPLATE_ALLOWED)? else {
        return Ok(None);
    };
    let bad = |_| bad(NAME_TEMPLATE, text.clone(), TEMPLATE_ALLOWED);
    text.parse().map(Some).map_err(bad)
}

/// What is wrong whoever we are.
pub(super) fn check(config: &KubernetesConfig) -> Result<(), ConfigError> {
    match (config.mode, &config.name_template) {
        (NameMode::Template, None) => return Err(missing(NAME_TEMPLATE, TEMPLATE_ALLOWED)),
        (NameMode::Template, Some(_)) | (_, None) => {}
        (mode, Some(_)) => {
            let allowed = "template, where name_template is given";
            return Err(bad(MODE, mode.to_string(), allowed));
        }
    }
    let template = config.name_template.as_ref();
    let by_template = template.is_some_and(NameTemplate::needs_pods);
    let by_port = matches!(config.port, PortSource::Annotation(_));
    if (by_template || by_port) && config.lookup_mode != Some(LookupMode::Pods) {
        let lookup = config.lookup_mode.unwrap_or_default();
        let allowed = "pods, which alone tell labels, annotations, containers and subdomains";
        return Err(bad(LOOKUP_MODE, lookup.to_string(), allowed));
    }
    Ok(())
}

/// What is wrong for the node that we are: our own name and those of our peers must be all long
/// or all short. Who only looks connects nobody.
#[cfg(feature = "kubernetes")]
pub(super) fn check_own(
    config: &KubernetesConfig,
    context: &crate::source::SourceContext,
) -> Result<(), ConfigError> {
    use enmesh_identity::NameForm;

    let own = context.own();
    if context.creation().is_none() {
        return Ok(());
    }
    let several = config.namespaces.len() > 1;
    if config.mode == NameMode::Pod && own.form() == NameForm::Short && several {
        let allowed = "one namespace, where our own name is short and mode=pod makes names of pods \
                       alone: pods of two namespaces may have the same; start with a long name";
        return Err(bad(NAMESPACE, config.namespaces.join(","), allowed));
    }
    let made = match config.mode {
        NameMode::Dns | NameMode::Srv | NameMode::Hostname => Some(NameForm::Long),
        NameMode::Template => config.name_template.as_ref().and_then(NameTemplate::form),
        NameMode::Ip if own.form() == NameForm::Short => {
            tracing::warn!(
                %own,
                "our own name is short and those of the peers are addresses, so Erlang nodes \
                 cannot dial us; a name with an address after the @ lets them",
            );
            None
        }
        _ => None,
    };
    let Some(made) = made.filter(|made| *made != own.form()) else {
        return Ok(());
    };
    let (key, value) = match &config.name_template {
        Some(template) => (NAME_TEMPLATE, template.to_string()),
        None => (MODE, config.mode.to_string()),
    };
    let fix = match made {
        NameForm::Long => {
            "start with a name that has an address or a domain after the @, or take mode=pod"
        }
        NameForm::Short => {
            "put {ip} or a domain after the @ of the template, or start with a short name"
        }
    };
    let own = own.clone();
    Err(ConfigError::MixedNames {
        key,
        value,
        own,
        fix,
    })
}

fn bad(key: &'static str, value: String, allowed: &'static str) -> ConfigError {
    ConfigError::BadValue {
        key,
        value,
        allowed,
    }
}

#[cfg(all(test, feature = "kubernetes"))]
mod tests {
    use super::*;
    use crate::TopologyConfig;
    use crate::source::{Environment, SourceContext};
    use enmesh_identity::Creation;

    fn topology(keys: &str) -> Result<TopologyConfig, ConfigError> {
        format!("strategy=kubernetes kubernetes_selector=app=web {keys}").parse()
    }

    /// What the node `own` is told of a configuration that is good in itself.
    fn told(own: &str, keys: &str) -> Option<String> {
        let context = SourceContext::new(own.parse().unwrap())
            .with_creation(Creation::from_wire(4))
            .with_environment(Environment::default());
        let source = topology(keys).unwrap().source(&context);
        source.err().map(|error| error.to_string())
    }

    #[track_caller]
    fn refused(keys: &str, text: &str) {
        let error = topology(keys).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }

    #[test]
    fn a_template_and_its_mode_go_together() {
        assert!(topology("name_template={basename}@{ip}").is_ok());
        refused("mode=template", "needs key `name_template`");
        refused(
            "mode=ip name_template=a@{ip}",
            "where name_template is given",
        );
        refused(
            "name_template={ip}",
            "`{ip}` is not allowed for key `name_template`",
        );
    }

    #[test]
    fn what_pods_alone_tell_needs_pods() {
        for keys in ["name_template={label:app}@{ip}", "port=annotation:a"] {
            refused(
                keys,
                "`endpointslices` is not allowed for key `kubernetes_ip_lookup_mode`: pods",
            );
            refused(
                &format!("{keys} kubernetes_ip_lookup_mode=auto"),
                "pods, which alone",
            );
            assert!(topology(&format!("{keys} kubernetes_ip_lookup_mode=pods")).is_ok());
        }
    }

    #[test]
    fn long_and_short_names_are_not_mixed() {
        let short = "web@web-0";
        for mode in ["dns", "srv", "hostname"] {
            let error = told(short, &format!("mode={mode}")).unwrap();
            assert!(
                error.contains("makes long names and our own, web@web-0"),
                "{error}"
            );
            assert!(error.contains("mode=pod"), "{error}");
        }
        for mode in ["ip", "pod", "auto", "ask", "epmd"] {
            assert_eq!(told(short, &format!("mode={mode}")), None, "{mode}");
        }
        assert!(told(short, "name_template=a@{ip}").is_some());
        let long = "web@web-0.web.prod.svc.cluster.local";
        let error = told(long, "name_template=a@{pod}").unwrap();
        assert!(
            error.contains("makes short names") && error.contains("{ip}"),
            "{error}"
        );
        assert_eq!(told(long, "mode=pod kubernetes_namespace=a,b"), None);
        let error = told(short, "mode=pod kubernetes_namespace=a,b").unwrap();
        assert!(error.contains("start with a long name"), "{error}");
    }

    #[test]
    fn names_are_like_our_own_where_the_lookup_is_picked() {
        let mode = |keys| {
            let found = topology(keys).unwrap().to_string();
            let mode = found.split(' ').find_map(|pair| pair.strip_prefix("mode="));
            mode.map(str::to_owned)
        };
        assert_eq!(
            mode("kubernetes_ip_lookup_mode=auto").as_deref(),
            Some("auto")
        );
        assert_eq!(
            mode("kubernetes_ip_lookup_mode=auto mode=dns").as_deref(),
            Some("dns")
        );
        assert_eq!(mode("").as_deref(), Some("ip"));
    }
}
