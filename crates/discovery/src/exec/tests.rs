use std::path::Path;
use std::time::Duration;

use enmesh_membership::FailureKind;

use super::*;
use crate::TopologyConfig;

fn context() -> SourceContext {
    SourceContext::new("own@h".parse().unwrap()).with_jitter(crate::Jitter::NONE)
}

fn source(script: &str) -> ExecSource {
    let config = ExecConfig::new(["sh", "-c", script]);
    let config = ExecConfig {
        polling_interval: Duration::from_millis(100),
        timeout: Duration::from_secs(5),
        ..config
    };
    ExecSource::new(config, &context())
}

/// The names of a whole list, or the kind and text of a failure.
async fn next(source: &mut ExecSource) -> Result<Vec<String>, (FailureKind, String)> {
    match source.next().await {
        Update::Snapshot(peers) => Ok(peers.iter().map(|seen| seen.name().to_string()).collect()),
        Update::Failed(failure) => Err((failure.kind(), failure.to_string())),
        other => panic!("{other:?}"),
    }
}

/// Waits until the file exists and holds a whole line.
async fn line_of(path: &Path) -> String {
    for _ in 0..500 {
        if let Ok(text) = std::fs::read_to_string(path)
            && text.ends_with('\n')
        {
            return text.trim().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} was never written", path.display());
}

/// Waits until there is no such process, or it is a zombie that waits for somebody else.
async fn is_gone(id: &str) {
    for _ in 0..500 {
        match std::fs::read_to_string(format!("/proc/{id}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => {}
            _ => return,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {id} lives on");
}

#[tokio::test]
async fn what_is_printed_is_the_whole_list() {
    let mut source = source("printf 'a@h\\nb@h 10.0.0.1:9'");
    assert_eq!(next(&mut source).await.unwrap(), ["a@h", "b@h"]);
    assert_eq!(next(&mut source).await.unwrap(), ["a@h", "b@h"]);
    let mut source = super::tests::source("echo '[{\"name\":\"a@h\"}]'; echo warning >&2");
    assert_eq!(next(&mut source).await.unwrap(), ["a@h"]);
}

#[tokio::test]
async fn a_failed_run_is_told_with_what_it_said() {
    let (kind, text) = next(&mut source("echo a@h; echo no credentials >&2; exit 3"))
        .await
        .unwrap_err();
    assert_eq!(kind, FailureKind::Other);
    assert_eq!(text, "sh: it ended with exit status: 3: no credentials");
    let (_, text) = next(&mut source("kill -9 $$")).await.unwrap_err();
    assert!(text.contains("signal: 9"), "{text}");
    let (kind, _) = next(&mut source("true")).await.unwrap_err();
    assert_eq!(kind, FailureKind::Empty);
    let (kind, text) = next(&mut source("echo nonsense")).await.unwrap_err();
    assert_eq!(kind, FailureKind::Malformed);
    assert!(
        text.starts_with("what sh printed: line 1: `nonsense`"),
        "{text}"
    );
    let mut absent = ExecSource::new(ExecConfig::new(["/no/such/program"]), &context());
    assert_eq!(
        next(&mut absent).await.unwrap_err().0,
        FailureKind::NotFound
    );
}

#[tokio::test]
async fn of_a_long_complaint_the_end_is_told() {
    let script = "i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1";
    let (_, text) = next(&mut source(script)).await.unwrap_err();
    assert!(text.ends_with("line 4999") && text.len() < 700, "{text}");
}

#[tokio::test]
async fn output_without_bound_is_cut_off() {
    let (kind, text) = next(&mut source(
        "while :; do echo aaaaaaaaaaaaaaaaaaaa@h; done | cat",
    ))
    .await
    .unwrap_err();
    assert_eq!(kind, FailureKind::Malformed, "{text}");
}

#[tokio::test]
async fn a_run_that_takes_too_long_ends_with_its_whole_group() {
    let directory = tempfile::tempdir().unwrap();
    let note = directory.path().join("child");
    let script = format!("sleep 1000 & echo $! > {}; wait", note.display());
    let mut source = source(&script);
    source.config.timeout = Duration::from_millis(500);
    let (kind, text) = next(&mut source).await.unwrap_err();
    assert_eq!(kind, FailureKind::TimedOut, "{text}");
    is_gone(&line_of(&note).await).await;
}

#[tokio::test]
async fn whatever_a_run_leaves_behind_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let note = directory.path().join("child");
    let script = format!("sleep 1000 & echo $! > {}; echo a@h", note.display());
    assert_eq!(next(&mut source(&script)).await.unwrap(), ["a@h"]);
    is_gone(&line_of(&note).await).await;
}

#[tokio::test]
async fn a_source_that_is_dropped_leaves_no_process() {
    let directory = tempfile::tempdir().unwrap();
    let note = directory.path().join("child");
    let script = format!("sleep 1000 & echo $! > {}; wait", note.display());
    let mut source = source(&script);
    let id = tokio::select! {
        update = source.next() => panic!("{update:?}"),
        id = line_of(&note) => id,
    };
    drop(source);
    is_gone(&id).await;
}

/// A caller that stops waiting and comes back finds the run that was going on.
#[tokio::test]
async fn there_are_never_two_runs_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let lock = directory.path().join("lock");
    let script = format!(
        "mkdir {0} || exit 1; sleep 0.3; rmdir {0}; echo a@h",
        lock.display()
    );
    let mut source = source(&script);
    let mut lists = 0;
    while lists < 3 {
        match tokio::time::timeout(Duration::from_millis(70), next(&mut source)).await {
            Ok(names) => {
                assert_eq!(names.unwrap(), ["a@h"]);
                lists += 1;
            }
            Err(_) => continue,
        }
    }
}

#[test]
fn a_command_is_words_or_a_list() {
    let command = |text: &str| match text.parse::<TopologyConfig>().unwrap().strategy {
        crate::Strategy::Exec(config) => config.command,
        other => panic!("{other:?}"),
    };
    assert_eq!(command("strategy=exec command=peers"), ["peers"]);
    let words = r#"strategy=exec command="/bin/peers  --zone a,b""#;
    assert_eq!(command(words), ["/bin/peers", "--zone", "a,b"]);
    let json = r#"strategy=exec command="[\"/bin/my peers\", \"\"]""#;
    assert_eq!(command(json), ["/bin/my peers", ""]);
    for bad in [
        "strategy=exec command=[]",
        "strategy=exec command=[1]",
        "strategy=exec command=\" \"",
        "strategy=exec command=a timeout=2h",
        "strategy=exec command=a polling_interval=1",
    ] {
        assert!(bad.parse::<TopologyConfig>().is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn any_command_is_read_back(command in proptest::collection::vec("[^\\x00]{1,12}", 1..5)) {
        let strategy = crate::Strategy::Exec(ExecConfig::new(command));
        let topology = TopologyConfig::new("x".parse().unwrap(), strategy);
        let read: TopologyConfig = topology.to_string().parse().unwrap();
        proptest::prop_assert_eq!(read, topology);
    }
}

/// A list that is cut is a part of the whole: who is left out has not left.
#[tokio::test]
async fn too_long_a_list_removes_nobody() {
    let mut source = source("seq -f 'a%g@h' 10001");
    match source.next().await {
        Update::Changed { present, gone } => assert_eq!((present.len(), gone.len()), (10_000, 0)),
        other => panic!("{other:?}"),
    }
}
