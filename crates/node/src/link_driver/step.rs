//! What a link waits for: a step of the socket, of the manager, of the queue or of the clock.

use std::io;

use bytes::BytesMut;
use enmesh_proto::{Output, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What came first.
pub(super) enum Step {
    Verdict(Option<Verdict>),
    Written(io::Result<usize>),
    Read(io::Result<usize>),
    Queued,
    Timeout,
}

/// Whether the connection ended without having taken all that was sent.
pub(super) fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut};

    matches!(
        error.kind(),
        ConnectionReset | ConnectionAborted | BrokenPipe | TimedOut
    )
}

/// Reads or writes, whichever is possible; if both are, the one that was not done last. Cancel
/// safe.
pub(super) async fn transfer<R, W>(
    reader: &mut R,
    inbox: &mut BytesMut,
    reading: bool,
    writer: &mut W,
    outbox: &mut Output,
    reads_first: bool,
) -> Step
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let writing = !outbox.is_empty();
    let read = reader.read_buf(inbox);
    let write = writer.write_buf(outbox);
    if reads_first {
        tokio::select! {
            biased;
            read = read, if reading => Step::Read(read),
            written = write, if writing => Step::Written(written),
            else => std::future::pending().await,
        }
    } else {
        tokio::select! {
            biased;
            written = write, if writing => Step::Written(written),
            read = read, if reading => Step::Read(read),
            else => std::future::pending().await,
        }
    }
}
