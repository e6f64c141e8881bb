//! Collects what `tracing` says into records.

use std::time::SystemTime;

use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Fields, Record, Render};
use super::writer::LogWriter;
use crate::on_event::EventQueue;

/// The layer that renders each event, with the fields of the spans around it, and hands the line
/// to the writer. It never waits.
#[derive(Debug)]
pub(crate) struct LogLayer {
    writer: LogWriter,
    render: Render,
    /// The least severe level that is written.
    level: LevelFilter,
    events: Option<EventQueue>,
}

impl LogLayer {
    pub(crate) fn new(
        writer: LogWriter,
        render: Render,
        level: LevelFilter,
        events: Option<EventQueue>,
    ) -> Self {
        Self {
            writer,
            render,
            level,
            events,
        }
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &SpanRecord<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        // From the innermost span outwards: the nearer word counts.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.inherit(outer);
            }
        }
        let metadata = event.metadata();
        if !metadata.target().starts_with("enmesh") {
            fields.set("target", metadata.target().into());
        }
        let record = Record {
            time: SystemTime::now(),
            level: *metadata.level(),
            fields,
        };
        if let Some(events) = &self.events {
            events.offer(&record);
        }
        // Libraries have passed a filter of their own; ours may be heard for the events' sake.
        if record.level <= self.level || !metadata.target().starts_with("enmesh") {
            self.writer.write((self.render)(&record));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::log::json;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The one record that `say` logs, without its time.
    fn check(say: impl FnOnce(), expected: &Value) {
        let out = Shared::default();
        let (writer, guard) = LogWriter::start(out.clone(), json::render);
        let layer = LogLayer::new(writer, json::render, LevelFilter::TRACE, None);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, say);
        drop(guard);
        let mut record: Value = serde_json::from_slice(&out.0.lock().unwrap()).unwrap();
        let time = record.as_object_mut().unwrap().remove("timestamp").unwrap();
        humantime::parse_rfc3339(time.as_str().unwrap()).unwrap();
        assert_eq!(&record, expected);
    }

    #[test]
    fn lists_are_written_as_lists() {
        check(
            || tracing::info!(node = "b@h", topology = "", cluster = %"b,x@h c@h", "node connected"),
            &json!({
                "level": "INFO",
                "message": "node connected",
                "node": "b@h",
                "topology": [],
                "cluster": ["b,x@h", "c@h"],
            }),
        );
    }

    #[test]
    fn the_nearer_word_counts_and_spans_may_learn_later() {
        check(
            || {
                let outer = tracing::info_span!("source", source = "web", node = "outer");
                let _outer = outer.enter();
                let inner =
                    tracing::info_span!("link", port = tracing::field::Empty, node = "inner");
                let _inner = inner.enter();
                inner.record("port", 4370);
                tracing::warn!(secure = false, "odd");
            },
            &json!({
                "level": "WARN",
                "message": "odd",
                "secure": false,
                "port": 4370,
                "node": "inner",
                "source": "web",
            }),
        );
    }

    #[test]
    fn an_error_is_written_with_its_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);

        check(
            || {
                let error = Outer(std::io::Error::other("inner"));
                tracing::error!(error = &error as &dyn std::error::Error, "failed");
            },
            &json!({ "level": "ERROR", "message": "failed", "error": "outer: inner" }),
        );
    }

    #[test]
    fn a_library_is_named_and_a_field_cannot_pass_for_the_level() {
        check(
            || tracing::error!(target: "kube_client", level = "INFO", timestamp = 1, "odd"),
            &json!({ "level": "ERROR", "message": "odd", "target": "kube_client" }),
        );
    }
}
