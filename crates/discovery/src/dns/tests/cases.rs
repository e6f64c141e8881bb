//! The test cases of libcluster's DNS strategies and of dns_cluster, under their own names.

mod cluster;

use super::*;
use cluster::Cluster;

/// libcluster, test/dns_poll_test.exs.
mod dns_poll {
    use super::*;

    fn topology(server: &Server) -> String {
        let address = server.address();
        format!(
            "strategy=Cluster.Strategy.DNSPoll query=app.test. node_basename=node nameserver={address}"
        )
    }

    #[tokio::test]
    async fn adds_new_nodes() {
        let server = Server::start().await;
        server.addresses("app.test.", &["10.0.0.1", "10.0.0.2"]);
        let v6 = "2a09:8280:1:a270:b8f5:b9f7:8891:f3";
        server.set("app.test.", RecordType::AAAA, Say::Answer(5, vec![v6]));
        let mut cluster = Cluster::new("me@host.test", &topology(&server));
        cluster.round().await;
        let v6 = format!("node@{v6}");
        cluster.check(&["node@10.0.0.1", "node@10.0.0.2", &v6], &[]);
    }

    #[tokio::test]
    async fn removes_nodes() {
        let server = Server::start().await;
        server.addresses("app.test.", &["10.0.0.1", "10.0.0.2"]);
        let mut cluster = Cluster::new("me@host.test", &topology(&server));
        cluster.round().await;
        cluster.check(&["node@10.0.0.1", "node@10.0.0.2"], &[]);
        server.addresses("app.test.", &["10.0.0.1"]);
        cluster.round().await;
        cluster.check(&[], &["node@10.0.0.2"]);
    }

    #[tokio::test]
    async fn keeps_state() {
        let server = Server::start().await;
        server.addresses("app.test.", &["10.0.0.1", "10.0.0.2"]);
        let mut cluster = Cluster::new("me@host.test", &topology(&server));
        cluster.round().await;
        cluster.check(&["node@10.0.0.1", "node@10.0.0.2"], &[]);
        cluster.round().await;
        cluster.check(&[], &[]);
    }

    #[test]
    fn does_not_connect_to_anything_with_missing_config_params() {
        for text in [
            "strategy=dns_poll",
            "strategy=dns_poll query=app.test.",
            "strategy=dns_poll node_basename=node",
        ] {
            let error = text.parse::<TopologyConfig>().unwrap_err();
            let missing = matches!(error, crate::ConfigError::MissingKey { .. });
            assert!(missing, "{text}: {error}");
        }
    }

    #[test]
    fn does_not_connect_to_anything_with_invalid_config_params() {
        for text in [
            "strategy=dns_poll query=:app node_basename=node",
            "strategy=dns_poll query=app.test. node_basename=\"\"",
            "strategy=dns_poll query=app.test. node_basename=a@b",
        ] {
            text.parse::<TopologyConfig>().expect_err(text);
        }
    }

    /// There the name is example.org, which needs the internet.
    #[tokio::test]
    async fn looks_up_both_a_and_aaaa_records() {
        let server = Server::start().await;
        server.addresses("example.test.", &["192.0.2.1"]);
        let v6 = Say::Answer(5, vec!["2001:db8::1"]);
        server.set("example.test.", RecordType::AAAA, v6);
        let mut source = source(&server, "example.test.");
        let both = ["node@192.0.2.1", "node@2001:db8::1"];
        check_snapshot(&next(&mut source).await, &both);
        let mut asked = server.asked();
        asked.sort();
        let name = "example.test.".to_owned();
        assert_eq!(
            asked,
            [(name.clone(), RecordType::A), (name, RecordType::AAAA)]
        );
    }

    /// libcluster's documentation says `poll_interval`, which its code does not read.
    #[test]
    fn the_interval_has_both_names_of_the_documentation() {
        let interval = |key: &str| {
            let text = format!("strategy=dns_poll query=app node_basename=node {key}");
            match text.parse::<TopologyConfig>()?.strategy {
                crate::Strategy::DnsPoll(config) => Ok(config.polling_interval.as_secs()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(interval("poll_interval=7000"), Ok(7));
        assert_eq!(interval("polling_interval=7s"), Ok(7));
        let error: crate::ConfigError =
            interval("polling_interval=7s poll_interval=8s").unwrap_err();
        assert!(error.to_string().contains("poll_interval"), "{error}");
    }
}

/// libcluster, test/kubernetes_dns_test.exs.
mod kubernetes_dns {
    use super::*;

    fn topology(server: &Server) -> String {
        let address = server.address();
        format!(
            "strategy=Cluster.Strategy.Kubernetes.DNS service=app.test. application_name=node \
             nameserver={address}"
        )
    }

    #[tokio::test]
    async fn adds_new_nodes() {
        let server = Server::start().await;
        server.addresses("app.test.", &["10.0.0.1", "10.0.0.2"]);
        let mut cluster = Cluster::new("me@host.test", &topology(&server));
        cluster.round().await;
        cluster.check(&["node@10.0.0.1", "node@10.0.0.2"], &[]);
    }

    #[tokio::test]
    async fn removes_nodes() {
        let server = Server::start().await;
        server.addresses("app.test.", &["10.0.0.1", "10.0.0.2"]);
        let mut cluster = Cluster::new("me@host.test", &topology(&server));
        cluster.round().await;
        cluster.check(&["node@10.0.0.1", "node@10.0.0.2"], &[]);
        server.addresses("app.test.", &["10.0.0.1"]);
        cluster.round().await;
        cluster.check(&[], &["node@10.0.0.2"]);
    }

    #[tokio::test]
    async fn keeps_state() {
        let server = Server::start().await;
        server.addresses("app.test.", &["10.0.0.1", "10.0.0.2"]);
        let mut cluster = Cluster::new("me@host.test", &topology(&server));
        cluster.round().await;
        cluster.check(&["node@10.0.0.1", "node@10.0.0.2"], &[]);
        cluster.round().await;
        cluster.check(&[], &[]);
    }

    /// There the known nodes are cut off as well, which is not tested; here they stay.
    #[tokio::test]
    async fn does_not_connect_to_anything_if_name_is_not_resolved() {
        let server = Server::start().await;
        let mut cluster = Cluster::new("me@host.test", &topology(&server));
        cluster.round().await;
        cluster.check(&[], &[]);
        server.addresses("app.test.", &["10.0.0.1"]);
        cluster.round().await;
        cluster.check(&["node@10.0.0.1"], &[]);
        server.nothing("app.test.");
        cluster.round().await;
        cluster.check(&[], &[]);
    }
}

/// libcluster, test/kubernetes_dns_srv_test.exs.
mod kubernetes_dns_srv {
    use super::*;

    const NAME: &str = "elixir-plug-poc.default.svc.cluster.local.";
    const NODES: [&str; 2] = [
        "node@elixir-plug-poc-0.elixir-plug-poc.default.svc.cluster.local",
        "node@elixir-plug-poc-1.elixir-plug-poc.default.svc.cluster.local",
    ];

    fn cluster(server: &Server) -> Cluster {
        let address = server.address();
        let topology = format!(
            "strategy=Cluster.Strategy.Kubernetes.DNSSRV service=elixir-plug-poc namespace=default \
             application_name=node nameserver={address}"
        );
        // libcluster has no domain either where CLUSTER_DOMAIN is not set.
        let environment = [("CLUSTER_DOMAIN", "cluster.local.")];
        Cluster::with_environment("me@host.test", &topology, environment.into_iter().collect())
    }

    fn set(server: &Server, numbers: &[u8]) {
        let record = |number: &u8| {
            let text = format!("srv 4000 elixir-plug-poc-{number}.{NAME}");
            &*text.leak()
        };
        let records = numbers.iter().map(record).collect();
        server.set(NAME, RecordType::SRV, Say::Answer(1, records));
    }

    #[tokio::test]
    async fn adds_new_nodes() {
        let server = Server::start().await;
        set(&server, &[0, 1]);
        let mut cluster = cluster(&server);
        cluster.round().await;
        cluster.check(&NODES, &[]);
    }

    #[tokio::test]
    async fn removes_nodes() {
        let server = Server::start().await;
        set(&server, &[0, 1]);
        let mut cluster = cluster(&server);
        cluster.round().await;
        cluster.check(&NODES, &[]);
        set(&server, &[0]);
        cluster.round().await;
        cluster.check(&[], &NODES[1..]);
    }

    #[tokio::test]
    async fn keeps_state() {
        let server = Server::start().await;
        set(&server, &[0, 1]);
        let mut cluster = cluster(&server);
        cluster.round().await;
        cluster.check(&NODES, &[]);
        cluster.round().await;
        cluster.check(&[], &[]);
    }

    #[tokio::test]
    async fn does_not_connect_to_anything_if_name_is_not_resolved() {
        let server = Server::start().await;
        let mut cluster = cluster(&server);
        cluster.round().await;
        cluster.check(&[], &[]);
        set(&server, &[0]);
        cluster.round().await;
        cluster.check(&NODES[..1], &[]);
        server.nothing(NAME);
        cluster.round().await;
        cluster.check(&[], &[]);
    }
}

/// dns_cluster, test/dns_cluster_test.exs.
mod dns_cluster {
    use futures::FutureExt as _;

    use super::*;
    use crate::{DnsClusterConfig, Strategy};

    const KNOWN: &str = "fdaa:0:36c9:a7b:db:400e:1352:1";
    const NEW: &str = "fdaa:0:36c9:a7b:db:400e:1352:2";

    async fn server() -> Server {
        let server = Server::start().await;
        let both = Say::Answer(5, vec![KNOWN, NEW]);
        server.set("app.internal.", RecordType::AAAA, both);
        server.set("app.internal.", RecordType::A, Say::Nothing);
        server
    }

    fn topology(server: &Server, query: &str) -> String {
        format!(
            "strategy=DNSCluster query=\"{query}\" nameserver={}",
            server.address()
        )
    }

    fn parsed(text: &str) -> Result<DnsClusterConfig, crate::ConfigError> {
        match text.parse::<TopologyConfig>()?.strategy {
            Strategy::DnsCluster(config) => Ok(config),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn discovers_nodes() {
        let server = server().await;
        let mut cluster = Cluster::new("app@host.test", &topology(&server, "app.internal."));
        cluster.connected(&format!("app@{KNOWN}"));
        cluster.round().await;
        cluster.check(&[&format!("app@{NEW}")], &[]);
    }

    #[tokio::test]
    async fn discovers_nodes_with_differing_basenames_if_specified() {
        let server = server().await;
        let other = Say::Answer(5, vec!["fdaa:0:36c9:a7b:db:400e:1352:4"]);
        server.set("other.internal.", RecordType::AAAA, other);
        server.set("other.internal.", RecordType::A, Say::Nothing);
        let query = "app.internal. specified/other.internal.";
        let mut cluster = Cluster::new("app@host.test", &topology(&server, query));
        cluster.connected(&format!("app@{KNOWN}"));
        cluster.round().await;
        let specified = "specified@fdaa:0:36c9:a7b:db:400e:1352:4";
        cluster.check(&[&format!("app@{NEW}"), specified], &[]);
    }

    #[tokio::test]
    async fn discovers_nodes_with_a_list_of_queries() {
        let server = server().await;
        let text = format!(
            "name = \"a\"\nstrategy = \"dns_cluster\"\nquery = [\"app.internal.\"]\nnameserver = \"{}\"",
            server.address()
        );
        let topology: TopologyConfig = toml::from_str(&text).unwrap();
        let mut cluster = Cluster::new("app@host.test", &topology.to_string());
        cluster.connected(&format!("app@{KNOWN}"));
        cluster.round().await;
        cluster.check(&[&format!("app@{NEW}")], &[]);
    }

    #[tokio::test]
    async fn query_with_ignore_does_not_start_child() {
        let topology: TopologyConfig = "strategy=dns_cluster query=:ignore".parse().unwrap();
        let context = SourceContext::new("app@host.test".parse().unwrap());
        let mut source = topology.source(&context).unwrap();
        // Whoever asks once is answered.
        let nobody = enmesh_membership::Update::Snapshot(Vec::new());
        assert_eq!(source.next().now_or_never(), Some(nobody));
        assert_eq!(source.next().now_or_never(), None);
    }

    #[test]
    fn query_can_be_a_string() {
        let config = parsed("strategy=dns_cluster query=app.internal").unwrap();
        assert_eq!(config.queries.len(), 1);
        assert_eq!(config.queries[0].name(), "app.internal");
        assert_eq!(config.queries[0].basename(), None);
    }

    #[test]
    fn query_can_be_a_basename_and_a_query() {
        let config = parsed("strategy=dns_cluster query=app/app.internal").unwrap();
        assert_eq!(config.queries[0].name(), "app.internal");
        assert_eq!(config.queries[0].basename(), Some("app"));
    }

    #[test]
    fn query_can_be_a_list() {
        let config = parsed("strategy=dns_cluster query=\"app.internal b/b.internal\"").unwrap();
        let shown: Vec<_> = config.queries.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["app.internal", "b/b.internal"]);
    }

    #[test]
    fn other_terms_raise() {
        let many = "a.internal ".repeat(33);
        for query in [
            "",
            "1..2",
            "/app.internal",
            "a@b/app.internal",
            "10.0.0.1",
            &many,
        ] {
            parsed(&format!("strategy=dns_cluster query=\"{query}\"")).expect_err(query);
        }
        parsed("strategy=dns_cluster").unwrap_err();
        let number = "name = \"a\"\nstrategy = \"dns_cluster\"\nquery = [1.5]";
        toml::from_str::<TopologyConfig>(number).unwrap_err();
    }

    #[test]
    fn resource_types_can_be_a_subset() {
        let types = |text: &str| {
            let text = format!("strategy=dns_cluster query=app.internal {text}");
            parsed(&text).map(|config| config.resource_types.to_string())
        };
        assert_eq!(types("").unwrap(), "a,aaaa");
        assert_eq!(types("resource_types=a,srv").unwrap(), "a,srv");
        assert_eq!(types("resource_types=srv").unwrap(), "srv");
    }

    #[test]
    fn resource_types_outside_raise() {
        let text = "strategy=dns_cluster query=app.internal resource_types=a,mx";
        let message = parsed(text).unwrap_err().to_string();
        let expected = "`mx` is not allowed for key `resource_types`: one or more of a, aaaa and srv, as in a,aaaa";
        assert_eq!(message, expected);
    }

    #[test]
    fn no_resource_types_raise() {
        let empty = "name = \"a\"\nstrategy = \"dns_cluster\"\nquery = \"app.internal\"\nresource_types = []";
        let message = toml::from_str::<TopologyConfig>(empty).unwrap_err();
        assert!(message.to_string().contains("resource_types"), "{message}");
    }

    /// dns_cluster looks the targets up, so that names hold addresses.
    #[tokio::test]
    async fn services_are_asked_where_they_are_wanted() {
        let server = Server::start().await;
        let records = vec!["srv 80 web-0.internal."];
        server.set("app.internal.", RecordType::SRV, Say::Answer(5, records));
        server.addresses("web-0.internal.", &["10.0.0.1"]);
        let topology = topology(&server, "app.internal.") + " resource_types=a,aaaa,srv";
        let mut cluster = Cluster::new("app@10.0.0.9", &topology);
        cluster.round().await;
        cluster.check(&["app@10.0.0.1"], &[]);
    }

    #[test]
    fn the_interval_and_the_timeout_are_understood() {
        let keys = "interval=7000 connect_timeout=10000";
        let config = parsed(&format!("strategy=dns_cluster query=app.internal {keys}")).unwrap();
        assert_eq!(config.polling_interval, Duration::from_secs(7));
        assert_eq!(config.connect_timeout, Duration::from_secs(10));
    }
}
