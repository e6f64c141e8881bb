use proptest::prelude::{prop_assert_eq, proptest};

use super::*;
use crate::{EpmdConfig, KubernetesConfig, NameMode};

fn parsed(text: &str) -> TopologyConfig {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn refused(text: &str, message: &str) {
    assert_eq!(
        text.parse::<TopologyConfig>().unwrap_err().to_string(),
        message
    );
}

fn kubernetes(text: &str) -> KubernetesConfig {
    match parsed(text).strategy {
        Strategy::Kubernetes(config) => config,
        other => panic!("{other:?}"),
    }
}

#[derive(Deserialize, Serialize)]
struct File {
    topology: Vec<TopologyConfig>,
}

fn from_table(table: &str) -> Result<TopologyConfig, String> {
    let file = toml::from_str::<File>(&format!("[[topology]]\n{table}"));
    file.map(|mut file| file.topology.remove(0))
        .map_err(|error| error.message().to_owned())
}

#[test]
fn a_list_of_nodes_is_a_topology() {
    let topology = parsed("strategy=epmd hosts=b@127.0.0.1,c@127.0.0.1 name=web");
    assert_eq!(topology.name.as_str(), "web");
    let hosts = ["b@127.0.0.1", "c@127.0.0.1"]
        .map(|name| name.parse().unwrap())
        .into();
    assert_eq!(
        topology.strategy,
        Strategy::Epmd(EpmdConfig {
            hosts,
            timeout: None
        })
    );
}

#[test]
fn a_topology_without_a_name_has_its_strategy_s() {
    assert_eq!(parsed("strategy=local_epmd").name.as_str(), "local_epmd");
    let dns = parsed("strategy=Cluster.Strategy.DNSPoll query=web node_basename=a");
    assert_eq!(dns.name.as_str(), "dns_poll");
}

#[test]
fn libcluster_s_names_of_strategies_are_understood() {
    let keys = "kubernetes_selector=app=web kubernetes_node_basename=a";
    for (module, name) in [
        ("Cluster.Strategy.Kubernetes", "kubernetes"),
        ("Elixir.Cluster.Strategy.Kubernetes", "kubernetes"),
    ] {
        assert_eq!(
            parsed(&format!("strategy={module} {keys}")).strategy.name(),
            name
        );
    }
    assert_eq!(
        parsed("strategy=Cluster.Strategy.LocalEpmd")
            .strategy
            .name(),
        "local_epmd"
    );
    let epmd = parsed("strategy=Cluster.Strategy.Epmd hosts=a@b");
    assert_eq!(epmd.strategy.name(), "epmd");
    let dns = parsed("strategy=Cluster.Strategy.Kubernetes.DNS service=s application_name=a");
    assert_eq!(dns.strategy.name(), "kubernetes_dns");
}

#[test]
fn a_selector_keeps_its_commas() {
    let config = kubernetes("strategy=kubernetes kubernetes_selector=app=myapp,tier=web");
    assert_eq!(config.selector.as_deref(), Some("app=myapp,tier=web"));
    let config = kubernetes(r#"strategy=kubernetes kubernetes_selector="tier in (a, b)""#);
    assert_eq!(config.selector.as_deref(), Some("tier in (a, b)"));
}

#[test]
fn kubernetes_has_libcluster_s_defaults() {
    let config = kubernetes("strategy=kubernetes kubernetes_selector=app=web");
    assert_eq!(config.lookup_mode, None);
    assert!(config.namespaces.is_empty());
    assert_eq!(config.mode, NameMode::Ip);
    assert_eq!((config.cluster_name, config.cluster_domain), (None, None));
    assert!(!config.use_cached_resources);
    assert_eq!(config.polling_interval.as_millis(), 5_000);
}

#[test]
fn durations_have_units_or_count_milliseconds() {
    for (text, millis) in [("2s", 2_000), ("2500", 2_500), ("1m", 60_000)] {
        match parsed(&format!("strategy=local_epmd polling_interval={text}")).strategy {
            Strategy::LocalEpmd(config) => {
                assert_eq!(config.polling_interval.as_millis(), millis);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    let strategies = super::strategy::STRATEGIES.join(", ");
    assert!(strategies.starts_with("epmd, local_epmd, "), "{strategies}");
    refused(
        "hosts=a@b",
        &format!("key `strategy` is missing, allowed: {strategies}"),
    );
    refused(
        "strategy=consul",
        &format!("strategy `consul` is unknown, allowed: {strategies}"),
    );
    refused(
        "strategy=epmd host=a@b hosts=a@b",
        "key `host` is unknown to strategy epmd, allowed: name, strategy, \
         stabilisation_window, jitter, hosts, timeout",
    );
    refused(
        "strategy=epmd",
        "strategy epmd needs key `hosts`: 1 to 10000 node names separated by commas, as in \
         b@127.0.0.1",
    );
    refused(
        "strategy=kubernetes kubernetes_selector=a=b kubernetes_service_name=A",
        "`A` is not allowed for key `kubernetes_service_name`: the name of a Service: 1 to 63 of \
         a-z, 0-9 and -",
    );
}

#[test]
fn a_value_out_of_range_is_named_with_the_range() {
    refused(
        "strategy=local_epmd polling_interval=99ms",
        "`99ms` is not allowed for key `polling_interval`: a duration from 100ms to 1h, as in 5s, \
         or milliseconds as a bare number",
    );
    refused(
        "strategy=kubernetes kubernetes_selector=a mode=fqdn",
        "`fqdn` is not allowed for key `mode`: ip, dns, srv, hostname, pod, template (with \
         name_template), ask, epmd or auto",
    );
    refused(
        "strategy=epmd hosts=a@b,c",
        "`c` is not allowed for key `hosts`: 1 to 10000 node names separated by commas, as in \
         b@127.0.0.1",
    );
    refused(
        "strategy=local_epmd name=a/b",
        "`a/b` is not allowed for key `name`: 1 to 64 letters, digits, or characters of _.-",
    );
    for text in [
        "strategy=dns_poll query=10.0.0.1 node_basename=a",
        "strategy=dns_poll query=a..b node_basename=a",
        "strategy=dns_poll query=a node_basename=a@b",
        "strategy=kubernetes kubernetes_selector=a kubernetes_namespace=A",
        "strategy=kubernetes kubernetes_selector=a kubernetes_master=http://x",
        "strategy=kubernetes kubernetes_selector=a kubernetes_use_cached_resources=yes",
        "strategy=epmd hosts=a@b timeout=1ms",
    ] {
        let error = text.parse::<TopologyConfig>().unwrap_err();
        assert!(
            matches!(error, ConfigError::BadValue { .. }),
            "{text}: {error}"
        );
    }
}

/// libcluster, app_test.exs: "start/2 calls strategy with right arguments". The functions to connect,
/// disconnect and list are a connector, one for all topologies.
#[tokio::test]
async fn start_calls_strategy_with_right_arguments() {
    let table = r#"
        name = "test"
        strategy = "Cluster.Strategy.Epmd"
        hosts = ["foo@bar"]"#;
    let topology = from_table(table).unwrap();
    assert_eq!(topology.name.as_str(), "test");
    let context = crate::SourceContext::new("own@host".parse().unwrap());
    let mut source = topology.source(&context).unwrap();
    let foo = "foo@bar".parse::<enmesh_identity::NodeName>().unwrap();
    assert_eq!(
        source.next().await,
        enmesh_membership::Update::snapshot([foo])
    );
}

#[test]
fn a_table_takes_the_same_road_as_the_string() {
    let table = r#"
        strategy = "epmd"
        hosts = ["b@127.0.0.1", "c@127.0.0.1"]
        timeout = 500
        name = "web""#;
    let text = "strategy=epmd hosts=b@127.0.0.1,c@127.0.0.1 timeout=500 name=web";
    assert_eq!(from_table(table).unwrap(), parsed(text));
    let table = r#"
        strategy = "kubernetes"
        kubernetes_selector = "app=web"
        kubernetes_use_cached_resources = true
        polling_interval = "10s""#;
    let text = "strategy=kubernetes kubernetes_selector=app=web \
                kubernetes_use_cached_resources=true polling_interval=10000";
    assert_eq!(from_table(table).unwrap(), parsed(text));
}

#[test]
fn every_strategy_has_a_window_and_jitter() {
    let topology = parsed("strategy=epmd hosts=a@b");
    assert_eq!(topology.stabilisation_window.as_millis(), 0);
    assert_eq!(topology.jitter.to_string(), "0.1");
    let topology = parsed("strategy=epmd hosts=a@b stabilisation_window=1500 jitter=0");
    assert_eq!(topology.stabilisation_window.as_millis(), 1_500);
    assert_eq!(topology.jitter, Jitter::NONE);
    let table = "strategy = \"local_epmd\"\nstabilisation_window = \"2s\"\njitter = 0.5";
    let text = "strategy=local_epmd stabilisation_window=2000 jitter=0.5";
    assert_eq!(from_table(table).unwrap(), parsed(text));
    refused(
        "strategy=local_epmd stabilisation_window=2h",
        "`7200s` is not allowed for key `stabilisation_window`: a duration from 0 to 1h, as in 2s, \
         or milliseconds as a bare number",
    );
    refused(
        "strategy=local_epmd jitter=2",
        "`2` is not allowed for key `jitter`: a number from 0 to 1, as in 0.1",
    );
    let message = from_table("strategy = \"local_epmd\"\njitter = [0.1]").unwrap_err();
    assert!(
        message.starts_with("`[0.1]` is not allowed for key `jitter`"),
        "{message}"
    );
}

#[test]
fn a_table_is_refused_in_the_same_words() {
    let message = from_table("strategy = \"local_epmd\"\ninterval = 5").unwrap_err();
    assert_eq!(
        message,
        "key `interval` is unknown to strategy local_epmd, allowed: name, strategy, \
         stabilisation_window, jitter, polling_interval"
    );
    let message = from_table("strategy = \"local_epmd\"\npolling_interval = -5").unwrap_err();
    assert!(
        message.starts_with("`-5` is not allowed for key `polling_interval`"),
        "{message}"
    );
}

#[test]
fn a_value_of_a_wrong_type_is_named_with_its_key() {
    for (key, written, shown) in [
        ("timeout", "1.5", "1.5"),
        ("timeout", "[1]", "1"),
        ("timeout", "{ seconds = 5 }", "a table or a date"),
        ("timeout", "2026-01-01", "a table or a date"),
        ("hosts", "[\"a@b\", 5]", "5"),
        ("hosts", "[[\"a@b\"], 1.5]", "[a@b, 1.5]"),
        ("hosts", "1.5", "1.5"),
    ] {
        let hosts = if key == "hosts" {
            ""
        } else {
            "hosts = \"a@b\""
        };
        let table = format!("strategy = \"epmd\"\n{hosts}\n{key} = {written}");
        let message = from_table(&table).unwrap_err();
        let expected = format!("`{shown}` is not allowed for key `{key}`: ");
        assert!(message.starts_with(&expected), "{written}: {message}");
    }
    let message = from_table("strategy = \"local_epmd\"\ninterval = 1.5").unwrap_err();
    assert!(
        message.starts_with("key `interval` is unknown"),
        "{message}"
    );
}

#[test]
fn what_is_wrong_is_shown_on_one_line_and_not_at_any_length() {
    refused(
        "strategy=epmd hosts=\"a\u{1b}[31m\nb\"",
        "`a\\u{1b}[31m\\nb` is not allowed for key `hosts`: 1 to 10000 node names separated by \
         commas, as in b@127.0.0.1",
    );
    let long = "x".repeat(100_000);
    for text in [
        format!("strategy=epmd hosts={long}"),
        format!("strategy={long}"),
        format!("strategy=epmd hosts=a@b {long}=5"),
        long,
    ] {
        let message = text.parse::<TopologyConfig>().unwrap_err().to_string();
        assert!(message.len() < 400, "{} bytes", message.len());
    }
}

#[test]
fn a_topology_is_written_as_it_is_read() {
    for text in [
        "strategy=epmd hosts=a@b timeout=500ms",
        "strategy=local_epmd name=here",
        "strategy=epmd_all hosts=db1,10.0.0.1 polling_interval=1500",
        "strategy=erlang_hosts timeout=infinity",
        r#"strategy=exec command="/bin/peers --zone eu" timeout=2s"#,
        r#"strategy=file path="/etc/my peers""#,
        r#"strategy=kubernetes kubernetes_selector="tier in (a, b)" mode=dns"#,
        "strategy=kubernetes kubernetes_service_name=web kubeconfig=/tmp/config",
        "strategy=kubernetes_dns service=web.ns application_name=a polling_interval=1s",
        "strategy=local_epmd stabilisation_window=2s jitter=0.25",
        "strategy=dns_poll query=web.test. node_basename=a nameserver=127.0.0.1:8600",
        "strategy=kubernetes_dns_srv service=_dist._tcp.web namespace=ns application_name=a port=srv \
         kubernetes_cluster_domain=my.test",
        "strategy=dns domain=web record_type=srv host_type=ip ipv6=true lookup_timeout=1500 \
         node_basename=b refresh_interval_ms=7000",
        "strategy=dns domain=web host_type=hostname port=epmd",
        r#"strategy=dns_cluster query="a.internal b/b.internal" resource_types=aaaa,srv port=srv"#,
        "strategy=dns_cluster query=:ignore interval=1s connect_timeout=2s",
    ] {
        let topology = parsed(text);
        assert_eq!(parsed(&topology.to_string()), topology, "{topology}");
        let file = File {
            topology: vec![topology.clone()],
        };
        let written = toml::to_string(&file).unwrap();
        let read: File = toml::from_str(&written).unwrap();
        assert_eq!(read.topology, [topology], "{written}");
    }
}

proptest! {
    #[test]
    fn any_text_gives_a_topology_or_an_error(text in "(strategy=(epmd|kubernetes|dns_poll|dns|dns_cluster) )?.{0,99}") {
        let _ = text.parse::<TopologyConfig>();
    }

    #[test]
    fn any_selector_is_read_back(selector in "[^\\x00-\\x1f]{1,40}") {
        let config = KubernetesConfig { selector: Some(selector), ..KubernetesConfig::default() };
        let name = "web".parse().unwrap();
        let topology = TopologyConfig::new(name, Strategy::Kubernetes(config));
        prop_assert_eq!(parsed(&topology.to_string()), topology);
    }
}
