//! The commands of a release beside its node.

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Pod, poll_until};

use crate::{Ports, SOON};

/// Somebody at a terminal, who waits for the prompt `$2` of the command `$1`, types the line `$3`, reads the answer `$4`, and leaves
/// by Ctrl-G and q. The lines of the screen are printed.
const AT_A_TERMINAL: &str = r#"
cd "$(mktemp -d)" && mkfifo keys || exit 1
TERM=xterm timeout 120 script -qefc "$1" screen <keys >/dev/null 2>&1 &
exec 3>keys
shows() {
    for _ in $(seq 240); do
        grep -qaF -e "$1" screen 2>/dev/null && return
        sleep 0.25
    done
    echo "the screen never shows $1:"
    cat screen
    exit 1
}
shows "$2"
printf '%s\r' "$3" >&3
shows "$4"
printf '\a' >&3
shows ' -->'
printf 'q\r' >&3
exec 3>&-
wait
cat screen
"#;

/// Lets somebody at a terminal talk with `command`.
pub(crate) fn talk(
    pod: &Pod<'_>,
    command: &str,
    prompt: &str,
    line: &str,
    answer: &str,
) -> Result<()> {
    let words = ["sh", "-c", AT_A_TERMINAL, "sh"];
    let told = [command, prompt, line, answer];
    let screen = pod.exec("beam", &[words, told].concat())?;
    ensure!(screen.contains(answer), "{screen}, wanted {answer}");
    Ok(())
}

/// `rpc`, `eval`, `pid` and `remote`, and nothing of them stays.
pub(crate) fn work(pod: &Pod<'_>, other: &Pod<'_>, ports: Ports) -> Result<()> {
    let command = |words: &[&str]| {
        let whole: Vec<_> = ["/app/bin/shop"].iter().chain(words).copied().collect();
        pod.exec("beam", &whole)
            .with_context(|| format!("{words:?}"))
    };
    let wanted = format!("{} sees {}", pod.node(), other.node());
    let ask = r##"IO.puts("#{node()} sees #{Enum.join(Node.list(), " ")}")"##;
    // The commands look their own node up in DNS, which may hear of it later than the agent.
    poll_until(&wanted, SOON, || {
        let seen = command(&["rpc", ask])?;
        ensure!(seen.trim() == wanted, "{seen}");
        Ok(())
    })?;
    let value = command(&["eval", "IO.inspect({node(), 6 * 7})"])?;
    ensure!(value.trim() == "{:nonode@nohost, 42}", "{value}");
    let pid = command(&["pid"])?;
    ensure!(pid.trim().parse::<u32>().is_ok(), "{pid}");
    let answer = format!("6 times 7 is 42 at {}", pod.node());
    let line = r##"IO.puts("6 times 7 is #{6 * 7} at #{node()}")"##;
    talk(pod, "/app/bin/shop remote", ")1>", line, &answer)?;
    if ports != Ports::Shared {
        let names = pod.exec("beam", &["epmd", "-names"])?;
        let listed = names.lines().filter(|line| line.starts_with("name "));
        ensure!(listed.count() == 1, "others are left: {names}");
    }
    for pod in [pod, other] {
        let log = pod.logs("beam")?;
        ensure!(
            !log.contains("rpc-") && !log.contains("rem-"),
            "commands reached the cluster: {log}"
        );
    }
    Ok(())
}
