//! How the program ends while nobody reads its stderr, and the pipe is full.

use std::io::{PipeReader, Write, pipe};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::members::{free_port, member};
use crate::running::{Running, eventually, private_file};

/// How long the program waits for a reader; see docs/operating.md.
const FLUSH: Duration = Duration::from_secs(5);

/// A pipe that takes nothing any more, as the program's stderr.
fn stuck(command: &mut Command) -> PipeReader {
    let (reader, writer) = pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // It is full when this stands still, until the reader goes.
    std::thread::spawn(move || while filler.write_all(&[b'x'; 4096]).is_ok() {});
    std::thread::sleep(Duration::from_millis(200));
    command.stderr(Stdio::from(writer)).stdout(Stdio::null());
    reader
}

#[test]
fn a_second_signal_ends_the_wait_for_a_reader_who_has_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c\n");
    let port = free_port();
    let mut command = member("127.0.0.1", port, &cookie, &[], "text");
    let _reader = stuck(&mut command);
    let mut running = Running::of(command.spawn().unwrap());
    eventually("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    running.signal("TERM");
    eventually("its links are closed", || {
        TcpStream::connect(("127.0.0.1", port)).err()
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        running.child.try_wait().unwrap().is_none(),
        "it gives the reader a chance"
    );
    let second = Instant::now();
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(0));
    assert!(second.elapsed() < FLUSH - Duration::from_secs(1));
}

#[test]
fn what_failed_is_told_to_a_reader_who_has_stopped_for_a_while_only() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = private_file(directory.path(), "cookie", "c\n");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let more = ["--http-listen", taken.as_str()];
    for format in ["text", "json"] {
        let mut command = member("127.0.0.1", free_port(), &cookie, &more, format);
        let _reader = stuck(&mut command);
        let mut running = Running::of(command.spawn().unwrap());
        assert_eq!(running.ended().code(), Some(1), "{format}");
    }
}
