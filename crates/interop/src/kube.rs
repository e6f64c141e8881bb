//! A real one-node Kubernetes out of plain processes: API server, kubelet with containerd, CoreDNS; no Docker.
//!
//! All that a cluster is lives in one network namespace, and what its kubelet does lives in a process and a mount namespace of
//! its own besides: when the first process of those ends, the kernel ends every container and takes every mount away.

mod access;
mod archive;
mod binaries;
mod boot;
mod case;
mod certificates;
mod cluster;
mod daemon;
mod deployment;
mod fault_logs;
mod faults;
mod helm;
mod image;
mod image_check;
mod neighbours;
mod node;
mod objects;
mod pod;
mod replay;
mod run;
mod scenarios;
mod settings;
mod testimony;
mod witness;
mod workload;

pub use access::Access;
pub use binaries::{build_kube, ensure_debian_packages, ensure_programs};
pub use case::{Case, Crew, Story};
pub use cluster::{Cluster, Lifetime, down};
pub use deployment::Deployment;
pub use fault_logs::FaultLogs;
pub use helm::build_helm;
pub use image::{Architecture, Image, Layer};
pub use image_check::CheckedImage;
pub use pod::Pod;
pub use replay::{Lived, Nodes, Rest, ensure_follows};
pub use run::runs_directory;
pub use scenarios::{Scenario, full, scenarios, scenarios_at_once};
pub use testimony::{Change, Life, Line, NodeLog};
pub use witness::Witness;
pub use workload::{Kind, Names, Workload};
