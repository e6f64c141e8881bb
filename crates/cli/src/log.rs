//! The log: records of `tracing` to stderr, one a line, for people or for programs.

mod fields;
mod json;
mod layer;
mod text;
mod writer;

use std::io::IsTerminal;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;
use crate::log::layer::LogLayer;
use crate::log::text::Colour;
use crate::log::writer::LogWriter;
use crate::on_event::EventQueue;

#[cfg(test)]
pub(crate) use crate::log::fields::Fields;
pub(crate) use crate::log::fields::Record;
pub(crate) use crate::log::json::render as json_line;
pub(crate) use crate::log::writer::LogGuard;

/// Starts logging for the whole process; the log is written out when the guard is dropped.
///
/// `level` holds for our own crates. Libraries are heard from `error` on: what a failed watch or
/// look-up means is said by our own records, once and with the way out.
/// Records of nodes that came and went go to `events` too, whatever the level.
pub(crate) fn start(format: LogFormat, level: LevelFilter, events: Option<EventQueue>) -> LogGuard {
    let stderr = std::io::stderr();
    let colour = if stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Colour::Yes
    } else {
        Colour::No
    };
    let render = match (format, colour) {
        (LogFormat::Json, _) => json::render,
        (LogFormat::Text, Colour::Yes) => text::render_coloured,
        (LogFormat::Text, Colour::No) => text::render_plain,
    };
    let (writer, guard) = LogWriter::start(stderr, render);
    let libraries = level.min(LevelFilter::ERROR);
    let heard = match events {
        Some(_) => level.max(EventQueue::LEVEL),
        None => level,
    };
    let targets = Targets::new()
        .with_default(libraries)
        .with_target("enmesh", heard);
    let layer = LogLayer::new(writer, render, level, events).with_filter(targets);
    // A second start in one process would be a mistake of ours, and the first log stays in use.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    guard
}
