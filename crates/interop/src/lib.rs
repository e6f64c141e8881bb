//! Real peers for tests: OTP 25, 27 and 29, epmd, the `enmesh` program and a whole one-node Kubernetes.
//!
//! Everything runs as child processes in network namespaces that this crate makes, is known by its process id, and ends with
//! the value that stands for it. A process that is killed takes its children with it, so nothing outlives a test that panics.
//! The tests need root: network namespaces and chroots do.

mod authority;
mod beam;
mod coredns;
mod enmesh;
mod epmd;
mod example;
mod kube;
mod member_log;
mod netns;
mod output;
mod peers;
mod postgres;
mod process;
mod ratios;
mod release;

pub use authority::Authority;
pub use beam::Beam;
pub use coredns::CoreDns;
pub use enmesh::Enmesh;
pub use epmd::Epmd;
pub use example::{Example, example_program};
pub use kube::{
    Access, Architecture, Case, Change, CheckedImage, Cluster, Crew, Deployment, FaultLogs, Image,
    Kind, Layer, Life, Lifetime, Line, Lived, Names, NodeLog, Nodes, Pod, Rest, Scenario, Story,
    Witness, Workload, build_helm, build_kube, down, ensure_debian_packages, ensure_follows,
    ensure_programs, full, runs_directory, scenarios, scenarios_at_once,
};
pub use member_log::MemberLog;
pub use netns::NetNs;
pub use output::Output;
pub use peers::{Otp, ensure_chroot, ensure_release, verify_chroot, verify_release};
pub use postgres::{Postgres, ensure_postgres};
pub use process::{Process, poll_until};
pub use ratios::{Better, Measure, Ratios};
pub use release::{Releases, ensure_rebar3, verify_rebar3};

/// One test of each case for each release of OTP, so that they run side by side and fail by name.
#[macro_export]
macro_rules! for_each_release {
    ($($case:path as $name:ident),+ $(,)?) => {
        mod otp_25 { $(#[test] fn $name() { $case($crate::Otp::R25); })+ }
        mod otp_27 { $(#[test] fn $name() { $case($crate::Otp::R27); })+ }
        mod otp_29 { $(#[test] fn $name() { $case($crate::Otp::R29); })+ }
    };
}
