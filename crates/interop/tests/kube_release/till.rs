//! A release of rebar3 in pods: named by `enmesh env`, clustered by the sidecar, and each command of its script at work.

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Kind, Names, Otp, Pod, Workload, poll_until};
use serde_json::json;

use crate::commands::talk;
use crate::{Ports, SOON, image_name, insert, the_vm_sees, with_program};

/// The release with one Erlang and one way to be found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Till {
    name: &'static str,
    otp: Otp,
    names: Names,
    ports: Ports,
}

/// The script of docs/releases.md, for the start and for every command.
const RUN: &str = "/till/run.sh";
/// The start by a file of variables.
const BY_FILE: &str = r#"
/opt/enmesh/enmesh env --format env --cookie-file /etc/enmesh/cookie >/tmp/variables || exit 1
while IFS= read -r line; do export "$line"; done </tmp/variables
exec /till/bin/till foreground"#;

impl Till {
    /// Each OTP; one with an epmd, and told by `--format env`.
    pub(crate) const ALL: [Self; 3] = [
        Self::new("rebar3-25", Otp::R25, Names::Ip, Ports::Shared),
        Self::new("rebar3-27", Otp::R27, Names::Pod, Ports::Any),
        Self::new("rebar3-29", Otp::R29, Names::Hostname, Ports::Shared),
    ];

    const fn new(name: &'static str, otp: Otp, names: Names, ports: Ports) -> Self {
        Self {
            name,
            otp,
            names,
            ports,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn tell(self, cluster: &Cluster, namespace: &str) -> Result<()> {
        let till = Workload::new("till", Kind::Steered(self.otp))
            .names(self.names)
            .replicas(2)
            .args(self.ports.flags().iter().copied())
            .env("ENMESH_NAME", "till")
            .patch_pods(|template| {
                with_program(template, self.names, self.ports);
                let spec = &mut template["spec"];
                let volume = json!({"name": "tmp", "emptyDir": {}});
                insert(&mut spec["volumes"], volume);
                let container = &mut spec["containers"][0];
                container["image"] = json!(image_name(self.otp));
                container["command"] = match self.ports {
                    Ports::Any => json!(["sh", "-c", BY_FILE]),
                    _ => json!([RUN, "foreground"]),
                };
                container["securityContext"] = json!({"readOnlyRootFilesystem": true});
                let mount = json!({"name": "tmp", "mountPath": "/tmp"});
                insert(&mut container["volumeMounts"], mount);
                let out = json!({"name": "RELX_OUT_FILE_PATH", "value": "/tmp"});
                insert(&mut container["env"], out);
            });
        let till = till.start(cluster, namespace)?;
        till.wait_whole(SOON)?;
        let pods = till.pods()?;
        let [first, second] = &pods[..] else {
            anyhow::bail!("two pods, not {pods:?}");
        };
        the_vm_sees(first, second)?;
        the_vm_sees(second, first)?;
        self.commands_work(first, second)?;
        for pod in &pods {
            let log = pod.logs("beam")?;
            let ups = log.matches(" up ").count();
            ensure!(ups == 1, "others than the one peer came: {log}");
            ensure!(!log.contains(" down "), "a link fell: {log}");
        }
        Ok(())
    }

    /// `ping`, `rpc`, `eval`, `pid` and `remote_console`, in shells that know nothing but the container's variables.
    fn commands_work(self, pod: &Pod<'_>, other: &Pod<'_>) -> Result<()> {
        let command = |words: &[&str]| {
            let said = pod.exec("beam", &[&[RUN], words].concat());
            let said = said.with_context(|| format!("{words:?}"))?;
            Ok::<_, anyhow::Error>(said.trim().to_owned())
        };
        // The commands look their own node up in DNS, which may hear of it later than the agent.
        poll_until("the release answers", SOON, || {
            let said = command(&["ping"])?;
            ensure!(said == "pong", "{said}");
            Ok(())
        })?;
        let said = command(&["rpc", "erlang", "nodes"])?;
        ensure!(said == format!("['{}']", other.node()), "{said}");
        let said = command(&["eval", "{node(), 6 * 7}."])?;
        let wanted = format!("{{'{}',42}}", pod.node());
        ensure!(said.replace(' ', "") == wanted, "{said}, not {wanted}");
        let pid = command(&["pid"])?;
        ensure!(pid.parse::<u32>().is_ok(), "{pid}");
        let answer = format!("6 times 7 is 42 at {}", pod.node());
        let line = r#"io:format("6 times 7 is ~b at ~s~n", [6 * 7, node()])."#;
        talk(pod, &format!("{RUN} remote_console"), ")1>", line, &answer)?;
        let names = pod.exec("beam", &["sh", "-c", "epmd -names 2>&1 || true"])?;
        if self.ports == Ports::Shared {
            ensure!(names.contains("Cannot connect"), "an epmd runs: {names}");
        } else {
            let listed = names.lines().filter(|line| line.starts_with("name "));
            ensure!(listed.count() == 1, "others are left: {names}");
        }
        Ok(())
    }
}
