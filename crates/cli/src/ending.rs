//! How a program that keeps a log comes to its end.

use crate::config::LogFormat;
use crate::exit::Failure;
use crate::log::LogGuard;
use crate::signals::{Impatience, Signals};

/// Tells why the program failed, if it did, and waits until the log is read; whoever shows impatience, or has shown it, waits
/// for half a second.
///
/// A failure goes into the log, because stderr is the log's thread's: whoever wrote there as well would wait behind it without
/// an end for a reader who has stopped. In a log that only programs read it is a record of `say`'s, the line that they must not
/// miss.
pub(crate) async fn see_out(
    log: LogGuard,
    format: LogFormat,
    outcome: Result<Impatience, Failure>,
    say: impl FnOnce(&Failure),
) -> Result<(), Failure> {
    let failure = match outcome {
        Ok(mut impatience) => {
            log.end(impatience.shown()).await;
            return Ok(());
        }
        Err(failure) => failure,
    };
    match format {
        LogFormat::Text => log.write(format!("enmesh: {failure}\n")),
        LogFormat::Json => say(&failure),
    }
    let hurry = async {
        if !matches!(failure, Failure::Impatient) {
            match Signals::listen() {
                Ok(signals) => Impatience::new(signals, 0).shown().await,
                Err(_) => std::future::pending().await,
            }
        }
    };
    log.end(hurry).await;
    Err(Failure::Logged(Box::new(failure)))
}
