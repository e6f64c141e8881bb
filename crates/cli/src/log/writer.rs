//! A thread that writes the log, so that a reader who stopped reading holds up no link.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;
use tracing::Level;

use super::fields::{Fields, Record, Render};

/// Lines that wait to be written. When as many wait, further ones are lost and counted; a line
/// says how many as soon as writing goes on.
const MAX_WAITING_LINES: usize = 4096;
/// How long the end of the program waits for the last lines: a reader on a busy machine, as a
/// container's may be, may not come to them for seconds.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it waits yet for whoever shows impatience.
const HURRIED_TIMEOUT: Duration = Duration::from_millis(500);
/// How long it waits for room in the queue before it looks again.
const FLUSH_PAUSE: Duration = Duration::from_millis(2);
/// The thread formats nothing but the line on lost lines.
const STACK_BYTES: usize = 64 * 1024;

/// The sending end; cheap to clone, never waits.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    lines: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// Writes out what waits when it is dropped, within five seconds.
#[derive(Debug)]
pub(crate) struct LogGuard {
    lines: SyncSender<Message>,
    ended: Receiver<()>,
    patience: Duration,
}

#[derive(Debug)]
enum Message {
    Line(String),
    End,
}

impl LogWriter {
    /// Starts the thread, which writes to `out`.
    pub(crate) fn start(out: impl Write + Send + 'static, render: Render) -> (Self, LogGuard) {
        let (lines, waiting) = sync_channel(MAX_WAITING_LINES);
        let (end, ended) = sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Self {
            lines: lines.clone(),
            lost: Arc::clone(&lost),
        };
        let body = move || {
            write_lines(out, &waiting, &lost, render);
            let _ = end.send(());
        };
        thread::Builder::new()
            .name("enmesh-log".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(body)
            .expect("a process that cannot start one thread cannot run a member");
        let patience = FLUSH_TIMEOUT;
        (
            writer,
            LogGuard {
                lines,
                ended,
                patience,
            },
        )
    }

    /// Hands over one line.
    pub(crate) fn write(&self, line: String) {
        if self.lines.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl LogGuard {
    /// Writes one line as it is, behind all others.
    pub(crate) fn write(&self, line: String) {
        // A reader who has left room for nothing reads no last words.
        let _ = self.lines.try_send(Message::Line(line));
    }

    /// Writes out what waits, for half a second at most once `hurry` is over.
    pub(crate) async fn end(self, hurry: impl Future<Output = ()>) {
        let (over, ended) = oneshot::channel();
        let wait = move || {
            drop(self);
            let _ = over.send(());
        };
        // Where no thread is to be had, the guard is dropped here.
        drop(thread::Builder::new().stack_size(STACK_BYTES).spawn(wait));
        let hurried = async {
            hurry.await;
            tokio::time::sleep(HURRIED_TIMEOUT).await;
        };
        tokio::select! {
            // An error says that there was no thread.
            _ = ended => {}
            () = hurried => {}
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let deadline = Instant::now() + self.patience;
        // A full queue may have room in a moment; a reader who stopped never makes any.
        while self.lines.try_send(Message::End).is_err() {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(FLUSH_PAUSE);
        }
        // Both an end and a time-out are all that can be waited for.
        let _ = self
            .ended
            .recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

fn write_lines(mut out: impl Write, waiting: &Receiver<Message>, lost: &AtomicU64, render: Render) {
    while let Ok(Message::Line(line)) = waiting.recv() {
        // A closed stderr is no reason to stop the member.
        let _ = out.write_all(line.as_bytes());
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = out.write_all(render(&lost_record(count)).as_bytes());
        }
    }
    let _ = out.flush();
}

fn lost_record(count: u64) -> Record {
    let mut fields = Fields {
        message: "log lines lost".to_owned(),
        ..Fields::default()
    };
    fields.set("count", count.into());
    Record {
        time: SystemTime::now(),
        level: Level::WARN,
        fields,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::log::json;

    /// An output that takes nothing until the gate is opened.
    #[derive(Clone, Default)]
    struct Gated {
        gate: Arc<Mutex<()>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _open = self.gate.lock().unwrap();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_stopped_costs_lines_and_no_time() {
        let out = Gated::default();
        let closed = out.gate.lock().unwrap();
        let (writer, guard) = LogWriter::start(out.clone(), json::render);
        for _ in 0..MAX_WAITING_LINES + 10 {
            writer.write("x\n".to_owned());
        }
        drop(closed);
        // Wait for room, so that the guard's end finds its place in the queue.
        while writer
            .lines
            .try_send(Message::Line("last\n".to_owned()))
            .is_err()
        {
            thread::yield_now();
        }
        drop(guard);
        let written = String::from_utf8(out.written.lock().unwrap().clone()).unwrap();
        assert!(
            written.contains("\"message\":\"log lines lost\",\"count\":"),
            "{written}"
        );
        assert!(
            written.ends_with("last\n"),
            "the guard writes out what waits"
        );
    }

    #[test]
    fn a_reader_who_comes_late_gets_all() {
        let out = Gated::default();
        let closed = out.gate.lock().unwrap();
        let (writer, guard) = LogWriter::start(out.clone(), json::render);
        for line in ["one\n", "two\n"] {
            writer.write(line.to_owned());
        }
        let ending = thread::spawn(|| drop(guard));
        thread::sleep(Duration::from_millis(1500));
        drop(closed);
        ending.join().unwrap();
        assert_eq!(*out.written.lock().unwrap(), b"one\ntwo\n");
    }

    /// A guard over lines that nobody reads as long as the gate is closed.
    fn stuck(out: &Gated) -> LogGuard {
        let (writer, guard) = LogWriter::start(out.clone(), json::render);
        for _ in 0..MAX_WAITING_LINES + 10 {
            writer.write("x\n".to_owned());
        }
        guard
    }

    #[test]
    fn a_reader_who_never_reads_holds_up_the_end_for_a_while_only() {
        let out = Gated::default();
        let _closed = out.gate.lock().unwrap();
        let mut guard = stuck(&out);
        guard.patience = Duration::from_millis(300);
        let start = Instant::now();
        drop(guard);
        let took = start.elapsed();
        assert!(
            took >= Duration::from_millis(300),
            "it gives the reader a chance"
        );
        assert!(took < FLUSH_TIMEOUT, "and no more than one: {took:?}");
    }

    #[test]
    fn whoever_is_impatient_waits_for_half_a_second() {
        let out = Gated::default();
        let _closed = out.gate.lock().unwrap();
        let mut guard = stuck(&out);
        // Longer than the test may take.
        guard.patience = Duration::from_secs(600);
        let start = Instant::now();
        let hurried = guard.end(std::future::ready(()));
        crate::runtime::start().unwrap().block_on(hurried);
        let took = start.elapsed();
        assert!(took >= HURRIED_TIMEOUT, "the reader has a chance: {took:?}");
        assert!(took < Duration::from_secs(60), "{took:?}");
    }

    #[tokio::test]
    async fn the_end_waits_for_a_reader_and_no_longer() {
        let out = Gated::default();
        let (writer, guard) = LogWriter::start(out.clone(), json::render);
        writer.write("one\n".to_owned());
        guard.write("last words\n".to_owned());
        guard.end(std::future::pending()).await;
        assert_eq!(*out.written.lock().unwrap(), b"one\nlast words\n");
    }
}
