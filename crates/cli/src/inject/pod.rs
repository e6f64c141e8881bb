//! The agent in a pod of the user's.

use serde_json::{Value, json};

use super::InjectError;
use crate::manifests::{
    CONTAINER, COOKIE_VOLUME, EPMD_CONTAINER, Epmd, HTTP_PORT, INSTALLER, Kind, Mode, POD_FACTS,
    Settings, TLS_VOLUME, TOOLS_VOLUME, install, pod_facts, shared_port, tools_mount, word,
};

/// Where the sidecar finds the cookie's file, if the pod's volumes have no group: it alone mounts the volume.
const MODE_WITHOUT_GROUP: u32 = 0o444;
/// The same where they have one.
const MODE_WITH_GROUP: u32 = 0o400;

/// The Secret of the cookie.
#[derive(Clone, Debug)]
pub(super) struct CookieSecret {
    /// Its name.
    pub(super) name: String,
    /// The key in it.
    pub(super) key: String,
}

/// What is put into one workload.
#[derive(Debug)]
pub(super) struct Injection<'a> {
    /// Kind and name, for errors.
    pub(super) workload: &'a str,
    /// What the agent needs to know.
    pub(super) settings: &'a Settings,
    /// Where the cookie is.
    pub(super) cookie: &'a CookieSecret,
    /// The account of pods that have none of their own.
    pub(super) account: &'a str,
    /// Whether the pods get a subdomain for names that have one; a StatefulSet gives them its own.
    pub(super) sets_subdomain: bool,
    /// Whether the agent is a container like any other.
    pub(super) plain: bool,
    /// Whether the user's containers get the program as well.
    pub(super) with_env: bool,
}

/// Who the pods are to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// The account that the manifests make, as they were before.
    Known(String),
    /// The same, where it was `default` until now.
    Given {
        /// Its name.
        name: String,
        /// Whether the pods have no imagePullSecrets but those of their account.
        pulls_by_account: bool,
    },
    /// Another one of the user's.
    Own(String),
    /// Whoever they were: the API is not asked.
    Unneeded,
}

impl Injection<'_> {
    /// Puts everything in; tells of the pod's account. The pod is as it was before, or of no use, after an error.
    pub(super) fn put_into(&self, pod: &mut Value) -> Result<Account, InjectError> {
        self.check_lists(pod)?;
        self.take_out(pod)?;
        self.check_port(pod)?;
        self.add_environment(list(pod, "containers"))?;
        let mut native = Vec::new();
        if self.settings.epmd == Epmd::Sidecar {
            native.push(self.settings.epmd_container());
        }
        if self.with_env {
            native.push(install(self.settings));
            list(pod, "volumes").push(json!({"name": TOOLS_VOLUME, "emptyDir": {}}));
        }
        let mut agent = self.settings.container(Kind::Agent);
        if self.plain {
            if let Some(fields) = agent.as_object_mut() {
                fields.remove("restartPolicy");
            }
            list(pod, "containers").push(agent);
        } else {
            native.push(agent);
        }
        // Ours come first, so that whatever the user's init containers do, the agent is there.
        list(pod, "initContainers").splice(0..0, native);
        let has_group = !pod["securityContext"]["fsGroup"].is_null();
        let mode = if has_group {
            MODE_WITH_GROUP
        } else {
            MODE_WITHOUT_GROUP
        };
        let (name, key) = (&self.cookie.name, &self.cookie.key);
        let volumes = self.settings.volumes(name, key, mode);
        list(pod, "volumes").extend(volumes);
        for key in ["initContainers", "volumes"] {
            if list(pod, key).is_empty()
                && let Some(fields) = pod.as_object_mut()
            {
                fields.remove(key);
            }
        }
        if self.settings.mode == Mode::Pod && self.sets_subdomain && pod["subdomain"].is_null() {
            pod["subdomain"] = self.settings.service.as_str().into();
        }
        self.give_account(pod)
    }

    /// What is added to must be lists of objects: whatever else stands there would be lost.
    fn check_lists(&self, pod: &Value) -> Result<(), InjectError> {
        let lists = ["containers", "initContainers", "volumes"];
        let mut all: Vec<(String, &Value)> = lists
            .iter()
            .map(|key| ((*key).to_owned(), &pod[key]))
            .collect();
        for key in &lists[..2] {
            for container in pod[key].as_array().into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or_default();
                let inner = ["env", "ports", "volumeMounts"];
                all.extend(
                    inner.map(|key| (format!("{key} of container {name}"), &container[key])),
                );
            }
        }
        let is_list = |value: &Value| match value {
            Value::Null => true,
            Value::Array(items) => items.iter().all(Value::is_object),
            _ => false,
        };
        match all.into_iter().find(|(_, value)| !is_list(value)) {
            Some((what, _)) => Err(InjectError::NoList {
                workload: self.workload.to_owned(),
                what,
            }),
            None => Ok(()),
        }
    }

    /// Takes out what an earlier injection has put in; what is the user's own and in the way is an error.
    fn take_out(&self, pod: &mut Value) -> Result<(), InjectError> {
        let ours = [
            (CONTAINER, "agent"),
            (EPMD_CONTAINER, "epmd"),
            (INSTALLER, "install"),
        ];
        for key in ["containers", "initContainers"] {
            let containers = list(pod, key);
            containers.retain(|container| {
                !ours
                    .iter()
                    .any(|(name, word)| container["name"] == *name && container["args"][0] == *word)
            });
            let needed = |name: &str| name == CONTAINER || self.adds(name);
            let taken = containers
                .iter()
                .filter_map(|container| container["name"].as_str())
                .find(|name| needed(name));
            if let Some(name) = taken {
                return Err(self.taken(format!("a container {name}"), "give it another name"));
            }
            for container in containers {
                let mounts = container
                    .get_mut("volumeMounts")
                    .and_then(Value::as_array_mut);
                let had_program = mounts.is_some_and(|mounts| {
                    let before = mounts.len();
                    mounts.retain(|mount| *mount != tools_mount());
                    mounts.len() < before
                });
                // Names are the user's to change; this was right for the agent that is taken out alone.
                if had_program {
                    list(container, "env").retain(|variable| !shared_port().contains(variable));
                }
            }
        }
        let volumes = list(pod, "volumes");
        volumes.retain(|volume| !is_our_volume(volume));
        let taken = volumes
            .iter()
            .filter_map(|volume| volume["name"].as_str())
            .find(|name| [COOKIE_VOLUME, TLS_VOLUME, TOOLS_VOLUME].contains(name));
        match taken {
            Some(name) => Err(self.taken(format!("a volume {name}"), "give it another name")),
            None => Ok(()),
        }
    }

    fn adds(&self, container: &str) -> bool {
        match container {
            EPMD_CONTAINER => self.settings.epmd == Epmd::Sidecar,
            INSTALLER => self.with_env,
            _ => false,
        }
    }

    /// The probes' port must be nobody else's.
    fn check_port(&self, pod: &Value) -> Result<(), InjectError> {
        let containers = ["containers", "initContainers"];
        let containers = containers.iter().filter_map(|key| pod[key].as_array());
        let mut ports = containers
            .flatten()
            .filter_map(|container| container["ports"].as_array())
            .flatten();
        if ports.any(|port| port["containerPort"] == HTTP_PORT) {
            let what = format!("port {HTTP_PORT}");
            return Err(self.taken(
                what,
                "the agent answers probes there; take another for yours",
            ));
        }
        Ok(())
    }

    /// Tells the user's containers what the kubelet knows of the pod.
    fn add_environment(&self, containers: &mut [Value]) -> Result<(), InjectError> {
        for container in containers {
            let facts = POD_FACTS.iter().zip(pod_facts());
            for ((name, path), fact) in facts {
                let there = list(container, "env")
                    .iter()
                    .find(|variable| variable["name"] == *name);
                match there {
                    Some(own) if own["valueFrom"]["fieldRef"]["fieldPath"] == *path => {}
                    Some(_) => {
                        let what = format!("a variable {name}");
                        return Err(self.taken(what, "let it say what the pod's is, by a fieldRef"));
                    }
                    None => list(container, "env").push(fact),
                }
            }
            if self.with_env {
                let mut variables = self.settings.naming();
                if self.settings.epmd == Epmd::None {
                    variables.extend(shared_port());
                }
                for variable in variables {
                    let name = &variable["name"];
                    if !list(container, "env")
                        .iter()
                        .any(|own| own["name"] == *name)
                    {
                        list(container, "env").push(variable.clone());
                    }
                }
                list(container, "volumeMounts").push(tools_mount());
            }
        }
        Ok(())
    }

    /// The account of the pod; the one of the manifests if it has none of its own.
    fn give_account(&self, pod: &mut Value) -> Result<Account, InjectError> {
        if !self.settings.lookup.asks_api() {
            return Ok(Account::Unneeded);
        }
        if pod["automountServiceAccountToken"] == false {
            return Err(InjectError::NoToken {
                workload: self.workload.to_owned(),
                lookup: word(&self.settings.lookup),
            });
        }
        // The account of the manifests gives its token to none that does not ask for it.
        pod["automountServiceAccountToken"] = true.into();
        let own = pod["serviceAccountName"]
            .as_str()
            .filter(|name| *name != "default");
        Ok(match own {
            Some(own) if own == self.account => Account::Known(own.to_owned()),
            Some(own) => Account::Own(own.to_owned()),
            None => {
                pod["serviceAccountName"] = self.account.into();
                let secrets = pod["imagePullSecrets"].as_array();
                Account::Given {
                    name: self.account.to_owned(),
                    pulls_by_account: secrets.is_none_or(Vec::is_empty),
                }
            }
        })
    }

    fn taken(&self, what: String, next: &'static str) -> InjectError {
        InjectError::Taken {
            workload: self.workload.to_owned(),
            what,
            next,
        }
    }
}

/// Whether a volume has both the name and the form of one of ours.
fn is_our_volume(volume: &Value) -> bool {
    match volume["name"].as_str() {
        Some(COOKIE_VOLUME) => volume["secret"]["items"][0]["path"] == "cookie",
        Some(TLS_VOLUME) => {
            volume["secret"].is_object() || volume["csi"]["driver"] == "csi.cert-manager.io"
        }
        Some(TOOLS_VOLUME) => volume["emptyDir"].is_object(),
        _ => false,
    }
}

/// The list of this key, made if there is none.
fn list<'a>(object: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    let value = &mut object[key];
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().expect("it is a list by now")
}
