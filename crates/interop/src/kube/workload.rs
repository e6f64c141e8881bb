//! What is to run in pods, and under which names.

use std::fmt;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::cluster::Cluster;
use super::deployment::Deployment;
use super::image::Image;
use super::objects;
use crate::peers::Otp;

/// epmd's port in every pod.
pub(super) const EPMD_PORT: u16 = 4369;
/// The port of the distribution in every pod.
pub(super) const DIST_PORT: u16 = 9100;

/// What runs in each pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Rust member from the shipped image, in the container `enmesh`.
    Member,
    /// An Erlang node alone, in the container `beam`. It logs who comes and goes in the words of a member.
    Beam(Otp),
    /// The same, steered by `enmesh agent` as a native sidecar, the container `enmesh`.
    Steered(Otp),
}

impl Kind {
    fn otp(self) -> Option<Otp> {
        match self {
            Self::Member => None,
            Self::Beam(otp) | Self::Steered(otp) => Some(otp),
        }
    }

    pub(super) fn beam_image(self) -> String {
        self.otp().map_or_else(String::new, Image::beam_name)
    }

    /// The container whose log tells who came and went.
    pub(super) fn teller(self) -> &'static str {
        match self {
            Self::Beam(_) => "beam",
            Self::Member | Self::Steered(_) => "enmesh",
        }
    }
}

/// What stands in the names of nodes after the `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Names {
    /// The pod's address.
    Ip,
    /// `10-1-2-3.NAMESPACE.pod.DOMAIN`
    Dns,
    /// `10-1-2-3.SERVICE.NAMESPACE.svc.DOMAIN`
    Srv,
    /// `POD.SERVICE.NAMESPACE.svc.DOMAIN`, of a Deployment.
    Pod,
    /// The same, of a StatefulSet.
    Hostname,
}

impl Names {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ip, Self::Dns, Self::Srv, Self::Pod, Self::Hostname];

    /// What the option `mode` and `--name-mode` call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Dns => "dns",
            Self::Srv => "srv",
            Self::Pod => "pod",
            Self::Hostname => "hostname",
        }
    }

    /// The whole name of a pod's node; base name and Service are both `group`.
    pub(super) fn node_name(
        self,
        group: &str,
        namespace: &str,
        ip: &str,
        dashed_ip: &str,
        pod: &str,
    ) -> String {
        let svc = format!("{group}.{namespace}.svc.cluster.local");
        match self {
            Self::Ip => format!("{group}@{ip}"),
            Self::Dns => format!("{group}@{dashed_ip}.{namespace}.pod.cluster.local"),
            Self::Srv => format!("{group}@{dashed_ip}.{svc}"),
            Self::Pod | Self::Hostname => format!("{group}@{pod}.{svc}"),
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

type Patch<'a> = Box<dyn Fn(&mut Value) + 'a>;

/// What is to be deployed: a Deployment (or StatefulSet), its headless Service, account, Role and cookie.
///
/// Everything has the workload's name, but for the Service, which has the group's. All pods have the labels `app=GROUP` and
/// `workload=NAME`. Their ports are 4369 for epmd and 9100 for the distribution.
pub struct Workload<'a> {
    pub(super) name: String,
    pub(super) group: String,
    pub(super) kind: Kind,
    pub(super) names: Names,
    lookup: String,
    topology: Option<String>,
    pub(super) replicas: u32,
    pub(super) cookie: String,
    pub(super) env: Vec<(String, String)>,
    pub(super) args: Vec<String>,
    patches: Vec<Patch<'a>>,
}

impl<'a> Workload<'a> {
    /// One pod, named by its address, which finds the others of its group by endpoint slices.
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            group: name.to_owned(),
            kind,
            names: Names::Ip,
            lookup: "endpointslices".to_owned(),
            topology: None,
            replicas: 1,
            cookie: "secret".to_owned(),
            env: Vec::new(),
            args: Vec::new(),
            patches: Vec::new(),
        }
    }

    /// Other workloads of the same group and namespace are of the same cluster: one Service, one base name (both called
    /// so), one label `app`.
    pub fn group(mut self, group: &str) -> Self {
        group.clone_into(&mut self.group);
        self
    }

    /// Other names.
    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// `endpointslices`, `endpoints`, `pods`, `auto`, or `dns` and `srv` for those that ask the cluster's DNS.
    pub fn lookup(mut self, lookup: &str) -> Self {
        lookup.clone_into(&mut self.lookup);
        self
    }

    /// A topology in full, as `--topology` takes it; it goes before [`Workload::lookup`].
    pub fn topology(mut self, topology: &str) -> Self {
        self.topology = Some(topology.to_owned());
        self
    }

    /// How many pods there are at first.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Another cookie than `secret`.
    pub fn cookie(mut self, cookie: &str) -> Self {
        cookie.clone_into(&mut self.cookie);
        self
    }

    /// A variable of all containers. `ERL_ARGS` is added to the command line of `erl`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Further flags of `enmesh run` or `enmesh agent`.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// A last change to the List of objects, before it is applied.
    pub fn patch(mut self, patch: impl Fn(&mut Value) + 'a) -> Self {
        self.patches.push(Box::new(patch));
        self
    }

    /// The same for the template of the pods alone: its `metadata` and `spec`.
    pub fn patch_pods(self, patch: impl Fn(&mut Value) + 'a) -> Self {
        self.patch(move |list| {
            for item in list["items"].as_array_mut().into_iter().flatten() {
                if let Some(template) = item.pointer_mut("/spec/template") {
                    patch(template);
                }
            }
        })
    }

    /// The List of objects as [`Workload::start`] applies it.
    pub fn objects(&self, namespace: &str) -> Value {
        let mut list = objects::list(self, namespace);
        for patch in &self.patches {
            patch(&mut list);
        }
        list
    }

    /// Makes the namespace if it is missing, imports the images that the cluster has not, applies the objects and waits until
    /// all pods are ready.
    pub fn start<'c>(&self, cluster: &'c Cluster, namespace: &str) -> Result<Deployment<'c>> {
        let deployment = self.begin(cluster, namespace)?;
        deployment.wait_ready(self.replicas)?;
        Ok(deployment)
    }

    /// The same without waiting for the pods.
    pub fn begin<'c>(&self, cluster: &'c Cluster, namespace: &str) -> Result<Deployment<'c>> {
        self.refuse_what_cannot_meet()?;
        if !matches!(self.kind, Kind::Beam(_)) {
            cluster.ensure_image(&Image::enmesh()?)?;
        }
        if let Some(otp) = self.kind.otp() {
            cluster.ensure_image(&Image::beam(otp)?)?;
        }
        cluster.ensure_namespace(namespace)?;
        cluster.apply(&self.objects(namespace))?;
        Ok(Deployment::of(cluster, self, namespace))
    }

    /// What somebody else has applied under these names and labels.
    pub fn applied<'c>(&self, cluster: &'c Cluster, namespace: &str) -> Deployment<'c> {
        Deployment::of(cluster, self, namespace)
    }

    /// A lookup that makes other names than the pods have would find nobody.
    fn refuse_what_cannot_meet(&self) -> Result<()> {
        let meets = match self.lookup.as_str() {
            _ if self.topology.is_some() => true,
            "dns" => self.names == Names::Ip,
            "srv" => matches!(self.names, Names::Srv | Names::Pod | Names::Hostname),
            _ => true,
        };
        let (lookup, names) = (&self.lookup, self.names);
        ensure!(meets, "lookup {lookup} does not make names of mode {names}");
        Ok(())
    }

    /// What kind of object makes the pods.
    pub(super) fn controller(&self) -> &'static str {
        match self.names {
            Names::Hostname => "StatefulSet",
            _ => "Deployment",
        }
    }

    /// The topology, as `--topology` takes it.
    pub(super) fn topology_in(&self, namespace: &str) -> String {
        if let Some(topology) = &self.topology {
            return topology.clone();
        }
        let (group, mode) = (&self.group, self.names);
        match self.lookup.as_str() {
            "dns" => format!("strategy=kubernetes_dns service={group} application_name={group}"),
            "srv" => format!(
                "strategy=kubernetes_dns_srv service={group} namespace={namespace} \
                 application_name={group}"
            ),
            lookup => format!(
                "strategy=kubernetes kubernetes_ip_lookup_mode={lookup} mode={mode} \
                 kubernetes_service_name={group} kubernetes_selector=app={group} \
                 kubernetes_node_basename={group}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_that_makes_other_names_is_refused() {
        let workload = |lookup: &str, names| {
            Workload::new("web", Kind::Member)
                .lookup(lookup)
                .names(names)
        };
        for (lookup, names, good) in [
            ("dns", Names::Ip, true),
            ("dns", Names::Srv, false),
            ("srv", Names::Pod, true),
            ("srv", Names::Ip, false),
            ("auto", Names::Dns, true),
        ] {
            let outcome = workload(lookup, names).refuse_what_cannot_meet();
            assert_eq!(outcome.is_ok(), good, "{lookup} {names}");
        }
        let own = workload("dns", Names::Srv).topology("strategy=epmd hosts=a@b");
        assert!(own.refuse_what_cannot_meet().is_ok());
    }

    #[test]
    fn patches_see_the_list_and_the_template_of_the_pods() {
        let workload = Workload::new("web", Kind::Steered(Otp::R27))
            .patch(|list| list["items"][0]["metadata"]["name"] = "other".into())
            .patch_pods(|template| template["spec"]["hostNetwork"] = true.into());
        let list = workload.objects("here");
        assert_eq!(list["items"][0]["metadata"]["name"], "other");
        let pod = &list["items"][5]["spec"]["template"]["spec"];
        assert_eq!(pod["hostNetwork"], true);
        assert_eq!(pod["initContainers"][0]["restartPolicy"], "Always");
        assert_eq!(pod["containers"][0]["name"], "beam");
    }
}
