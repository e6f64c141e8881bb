//! Who may read the API: a ServiceAccount with a Role that a test can give and take away.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::settings::token_kubeconfig;

/// A ServiceAccount that may list and watch pods, endpoints and endpoint slices of its namespace, while it is granted.
#[derive(Clone, Debug)]
pub struct Access {
    namespace: String,
    account: String,
}

impl Access {
    /// Makes the account, and grants it the Role.
    pub fn grant(cluster: &Cluster, namespace: &str, account: &str) -> Result<Self> {
        let access = Self {
            namespace: namespace.to_owned(),
            account: account.to_owned(),
        };
        let metadata = json!({"name": account, "namespace": namespace});
        cluster
            .apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}))?;
        access.restore(cluster)?;
        Ok(access)
    }

    /// Takes the Role away; the account and its tokens stay.
    ///
    /// A watch that runs already goes on: only a new request is refused.
    pub fn revoke(&self, cluster: &Cluster) -> Result<()> {
        cluster
            .kubectl([
                "delete",
                "role,rolebinding",
                &self.account,
                "--namespace",
                &self.namespace,
            ])
            .map(drop)
    }

    /// Gives the Role (back).
    pub fn restore(&self, cluster: &Cluster) -> Result<()> {
        self.allow(cluster, &["pods", "endpoints", "endpointslices"])
    }

    /// Gives a Role for these resources and no others.
    pub fn allow(&self, cluster: &Cluster, resources: &[&str]) -> Result<()> {
        let group = "rbac.authorization.k8s.io";
        let version = "rbac.authorization.k8s.io/v1";
        let metadata = json!({"name": self.account, "namespace": self.namespace});
        let verbs = ["list", "watch"];
        let rule = |resource: &&str| {
            let group = match *resource {
                "endpointslices" => "discovery.k8s.io",
                _ => "",
            };
            json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        };
        let rules: Vec<Value> = resources.iter().map(rule).collect();
        cluster.apply(&json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                {
                    "apiVersion": version,
                    "kind": "Role",
                    "metadata": metadata,
                    "rules": rules,
                },
                {
                    "apiVersion": version,
                    "kind": "RoleBinding",
                    "metadata": metadata,
                    "subjects": [{"kind": "ServiceAccount", "name": self.account, "namespace": self.namespace}],
                    "roleRef": {"apiGroup": group, "kind": "Role", "name": self.account},
                },
            ],
        }))
    }

    /// A kubeconfig with a token of the account, for a program outside of the pods.
    pub fn kubeconfig(&self, cluster: &Cluster) -> Result<PathBuf> {
        let token = cluster.kubectl([
            "create",
            "token",
            &self.account,
            "--namespace",
            &self.namespace,
        ])?;
        let text = token_kubeconfig(&cluster.keys(), &self.namespace, token.trim()).to_string();
        let path = cluster
            .keys()
            .join(format!("{}-{}.kubeconfig", self.namespace, self.account));
        fs::write(&path, text)?;
        Ok(path)
    }
}
