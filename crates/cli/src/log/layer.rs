//! Collects what `tracing` says into records.

use std::time::SystemTime;

use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Fields, Record, Render};
use super::writer::LogWriter;

/// The layer that renders each event, with the fields of the spans around it, and hands the line
/// to the writer. It never waits.
#[derive(Debug)]
pub(crate) struct LogLayer {
    writer: LogWriter,
    render: Render,
}

impl LogLayer {
    pub(crate) fn new(writer: LogWriter, render: Render) -> Self {
        Self { writer, render }
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
        self.writer.write((self.render)(&record));
    }
}
