use super::*;

fn account() -> tempfile::TempDir {
    let account = tempfile::tempdir().unwrap();
    let ca = rcgen::generate_simple_self_signed(["kubernetes".to_owned()]).unwrap();
    for (file, content) in [
        ("token", "secret"),
        ("namespace", "prod\n"),
        ("ca.crt", &ca.cert.pem()),
    ] {
        std::fs::write(account.path().join(file), content).unwrap();
    }
    account
}

fn kubeconfig(folder: &Path, server: &str, more: &str) -> PathBuf {
    let path = folder.join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: '{server}'{more}}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u, namespace: dev}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn config(account: &Path) -> KubernetesConfig {
    KubernetesConfig {
        service_account_path: account.to_owned(),
        ..KubernetesConfig::default()
    }
}

fn in_pod() -> Environment {
    [
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "6443"),
    ]
    .into_iter()
    .collect()
}

async fn found(config: &KubernetesConfig, environment: &Environment) -> Config {
    locate(config, environment, None, "cluster.local")
        .await
        .unwrap()
}

async fn refusal(config: &KubernetesConfig, environment: &Environment) -> String {
    locate(config, environment, None, "cluster.local")
        .await
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn a_pod_uses_its_service_account_and_the_environment_s_address() {
    let account = account();
    let api = found(&config(account.path()), &in_pod()).await;
    assert_eq!(api.cluster_url, "https://10.96.0.1:6443/");
    assert_eq!(api.default_namespace, "prod");
    assert_eq!(
        api.auth_info.token_file.unwrap(),
        account.path().join("token").to_str().unwrap()
    );
    assert_eq!(api.root_cert.unwrap().len(), 1);
    assert_eq!(api.root_cert_file.unwrap(), account.path().join("ca.crt"));
    assert!(!api.accept_invalid_certs && !api.default_retry);
}

#[tokio::test]
async fn an_ipv6_address_of_the_environment_gets_brackets() {
    let account = account();
    let environment = [("KUBERNETES_SERVICE_HOST", "fd00::1")]
        .into_iter()
        .collect();
    let api = found(&config(account.path()), &environment).await;
    assert_eq!(api.cluster_url, "https://[fd00::1]:443/");
}

/// libcluster goes on without verification and sends the token all the same.
#[tokio::test]
async fn a_pod_without_a_ca_is_refused() {
    let account = account();
    std::fs::remove_file(account.path().join("ca.crt")).unwrap();
    let text = refusal(&config(account.path()), &in_pod()).await;
    assert!(
        text.starts_with("cannot use the service account in "),
        "{text}"
    );
}

#[tokio::test]
async fn the_pod_goes_before_the_environment_s_kubeconfig_and_the_key_before_both() {
    let account = account();
    let folder = tempfile::tempdir().unwrap();
    let path = kubeconfig(folder.path(), "https://127.0.0.1:7443", "");
    let mut environment = vec![("KUBECONFIG", path.to_str().unwrap())];
    let config = config(account.path());
    let outside = environment.clone().into_iter().collect();
    let api = found(&config, &outside).await;
    assert_eq!(
        (api.cluster_url.port_u16(), api.default_namespace.as_str()),
        (Some(7443), "dev")
    );
    environment.push(("KUBERNETES_SERVICE_HOST", "10.96.0.1"));
    let inside = environment.into_iter().collect();
    assert_eq!(
        found(&config, &inside).await.cluster_url,
        "https://10.96.0.1:443/"
    );
    let config = KubernetesConfig {
        kubeconfig: Some(path),
        ..config
    };
    assert_eq!(
        found(&config, &inside).await.cluster_url.port_u16(),
        Some(7443)
    );
}

#[tokio::test]
async fn the_home_directory_s_kubeconfig_comes_last() {
    let home = tempfile::tempdir().unwrap();
    let environment: Environment = [("HOME", home.path().to_str().unwrap())]
        .into_iter()
        .collect();
    let config = config(Path::new("/nonexistent"));
    let text = refusal(&config, &environment).await;
    assert!(text.starts_with("found no Kubernetes API: "), "{text}");
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    kubeconfig(&home.path().join(".kube"), "https://127.0.0.1:7443", "");
    assert_eq!(
        found(&config, &environment).await.cluster_url.port_u16(),
        Some(7443)
    );
}

#[tokio::test]
async fn the_master_option_names_another_server() {
    let account = account();
    for (master, uri) in [
        (
            "kubernetes.default.svc",
            "https://kubernetes.default.svc.cluster.local/",
        ),
        ("api.example.org.", "https://api.example.org/"),
        ("10.0.0.1:6443", "https://10.0.0.1:6443/"),
        (
            "https://api.example.org:6443/",
            "https://api.example.org:6443/",
        ),
    ] {
        let config = KubernetesConfig {
            master: Some(master.to_owned()),
            ..config(account.path())
        };
        for environment in [in_pod(), Environment::default()] {
            assert_eq!(found(&config, &environment).await.cluster_url, uri);
        }
    }
}

#[tokio::test]
async fn the_configured_namespace_goes_before_all_others() {
    let account = account();
    let config = config(account.path());
    let api = locate(&config, &in_pod(), Some("apps"), "cluster.local").await;
    assert_eq!(api.unwrap().default_namespace, "apps");
    std::fs::remove_file(account.path().join("namespace")).unwrap();
    assert_eq!(found(&config, &in_pod()).await.default_namespace, "default");
}

#[tokio::test]
async fn a_server_that_nobody_verified_gets_no_token() {
    let folder = tempfile::tempdir().unwrap();
    for (server, more, words) in [
        (
            "https://10.0.0.1",
            ", insecure-skip-tls-verify: true",
            "insecure-skip-tls-verify",
        ),
        ("http://10.0.0.1:8080", "", "is not https"),
    ] {
        let path = kubeconfig(folder.path(), server, more);
        let config = KubernetesConfig {
            kubeconfig: Some(path),
            ..KubernetesConfig::default()
        };
        let text = refusal(&config, &Environment::default()).await;
        assert!(text.contains(words), "{text}");
    }
    // A proxy on this machine, as `kubectl proxy` is one, may speak plainly.
    let path = kubeconfig(folder.path(), "http://127.0.0.1:8001", "");
    let config = KubernetesConfig {
        kubeconfig: Some(path),
        ..KubernetesConfig::default()
    };
    assert_eq!(
        found(&config, &Environment::default())
            .await
            .cluster_url
            .port_u16(),
        Some(8001)
    );
}

/// A kubeconfig of two clusters, of which `near` is the current one.
fn of_two_contexts(folder: &Path) -> PathBuf {
    let path = folder.join("two");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: near\n\
         clusters: [{name: n, cluster: {server: 'https://127.0.0.1:1'}},\n\
         {name: f, cluster: {server: 'https://127.0.0.1:2'}}]\n\
         users: [{name: n, user: {token: near-token}}, {name: f, user: {token: far-token}}]\n\
         contexts: [{name: near, context: {cluster: n, user: n}},\n\
         {name: far, context: {cluster: f, user: f, namespace: there}},\n\
         {name: broken, context: {cluster: gone, user: f}}]\n";
    std::fs::write(&path, text).unwrap();
    path
}

fn with_context(kubeconfig: Option<&Path>, context: &str) -> KubernetesConfig {
    KubernetesConfig {
        kubeconfig: kubeconfig.map(Path::to_owned),
        kubeconfig_context: Some(context.to_owned()),
        ..KubernetesConfig::default()
    }
}

#[tokio::test]
async fn a_context_names_the_cluster_the_user_and_the_namespace() {
    use kube::config::AuthInfo;

    let folder = tempfile::tempdir().unwrap();
    let path = of_two_contexts(folder.path());
    let has_token = |auth: &AuthInfo, expected: &str| {
        let text = serde_json::to_string(auth).unwrap();
        assert!(text.contains(expected), "{text}");
    };
    let nowhere = Environment::default();
    let api = found(&with_context(Some(&path), "far"), &nowhere).await;
    assert_eq!(api.cluster_url.port_u16(), Some(2));
    assert_eq!(api.default_namespace, "there");
    has_token(&api.auth_info, "far-token");
    let current = KubernetesConfig {
        kubeconfig_context: None,
        ..with_context(Some(&path), "far")
    };
    let api = found(&current, &nowhere).await;
    assert_eq!(api.cluster_url.port_u16(), Some(1));
    assert_eq!(api.default_namespace, "default");
    has_token(&api.auth_info, "near-token");
}

#[tokio::test]
async fn a_context_makes_a_kubeconfig_go_before_the_service_account() {
    let account = account();
    let folder = tempfile::tempdir().unwrap();
    let two = of_two_contexts(folder.path());
    let other = kubeconfig(folder.path(), "https://127.0.0.1:3", "");
    // Of several files the first that has a value counts, as for kubectl.
    let paths = std::env::join_paths([&other, &two]).unwrap();
    let mut environment: Vec<_> = vec![
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBECONFIG", paths.to_str().unwrap()),
    ];
    let config = KubernetesConfig {
        kubeconfig_context: Some("far".to_owned()),
        ..config(account.path())
    };
    let api = found(&config, &environment.iter().copied().collect()).await;
    assert_eq!(api.cluster_url.port_u16(), Some(2));
    environment.pop();
    let text = refusal(&config, &environment.into_iter().collect()).await;
    assert!(text.contains("there is no kubeconfig"), "{text}");
}

#[tokio::test]
async fn a_context_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = of_two_contexts(folder.path());
    for (context, word) in [("elsewhere", "elsewhere"), ("broken", "gone")] {
        let config = with_context(Some(&path), context);
        let error = locate(&config, &Environment::default(), None, "cluster.local")
            .await
            .unwrap_err();
        let text = crate::kubernetes::failure::chain(&error);
        assert!(text.contains(word) && text.contains("two"), "{text}");
    }
}

#[tokio::test]
async fn a_proxy_is_refused_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    for (more, refused) in [
        (", proxy-url: 'http://me:hush@10.0.0.1:3128'", true),
        (", proxy-url: 'socks5://10.0.0.1'", true),
        (", proxy-url: ''", false),
        ("", false),
    ] {
        let path = kubeconfig(folder.path(), "https://10.0.0.1", more);
        let config = KubernetesConfig {
            kubeconfig: Some(path),
            ..KubernetesConfig::default()
        };
        let outcome = locate(&config, &Environment::default(), None, "cluster.local").await;
        match outcome {
            Ok(api) => assert!(!refused && api.proxy_url.is_none(), "{more}"),
            Err(error) => {
                let text = format!("{error} {error:?}");
                assert!(
                    refused && text.contains("proxies are not supported"),
                    "{text}"
                );
                assert!(!text.contains("hush"), "{text}");
            }
        }
    }
}
