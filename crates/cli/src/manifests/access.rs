//! Who the pods are to the API, and what they may read there.

use serde_json::{Value, json};

use super::settings::{Lookup, Settings};

/// The account, whose token is in the pods alone that ask the API.
pub(super) fn account(settings: &Settings) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(settings),
        "automountServiceAccountToken": false,
    })
}

/// The Role and its binding: list and watch of what the lookup reads; nothing where DNS is asked.
pub(super) fn role(settings: &Settings) -> Option<(Value, Value)> {
    let slices = json!({
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["list", "watch"],
    });
    let core =
        |resource| json!({"apiGroups": [""], "resources": [resource], "verbs": ["list", "watch"]});
    let rules = match settings.lookup {
        Lookup::Endpointslices => vec![slices],
        Lookup::Endpoints => vec![core("endpoints")],
        Lookup::Pods => vec![core("pods")],
        Lookup::Auto => vec![slices, core("endpoints"), core("pods")],
        Lookup::Dns | Lookup::Srv => return None,
    };
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata(settings),
        "rules": rules,
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(settings),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": settings.name},
        "subjects": [{"kind": "ServiceAccount", "name": settings.name, "namespace": settings.namespace}],
    });
    Some((role, binding))
}

/// The Secret of the cookie. It is immutable: a second one would split the cluster.
pub(super) fn secret(settings: &Settings, cookie: &str) -> Value {
    let mut metadata = metadata(settings);
    metadata["name"] = settings.cookie_secret().into();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "immutable": true,
        "stringData": {"cookie": cookie},
    })
}

/// The name that all objects share, and the label by which they are one.
pub(super) fn metadata(settings: &Settings) -> Value {
    json!({
        "name": settings.name,
        "namespace": settings.namespace,
        "labels": {"app": settings.name},
    })
}
