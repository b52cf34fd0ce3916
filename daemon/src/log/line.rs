//! Makes one line of each event, in the form that was settled on. Whatever a peer put into a value,
//! it stays within its line and its quotes.

use std::{cell::Cell, path::Path, sync::Arc};

use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    fields::Fields,
    gather,
    logrus::{self, Entry},
    names::Form,
    readable,
    scope::Scope,
    sink::Sink,
    spire,
};

/// The layer that writes lines to the sink.
#[derive(Debug)]
pub(super) struct Lines {
    form: Form,
    source_location: bool,
    sink: Arc<Sink>,
}

impl Lines {
    pub(super) fn new(form: Form, source_location: bool, sink: Arc<Sink>) -> Self {
        Self {
            form,
            source_location,
            sink,
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::of_span(attributes.fields().len());
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Absent in the midst of another event, and at the end of a thread.
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        self.write(event, &context, &mut scratch);
        let _ = SCRATCH.try_with(|kept| kept.set(scratch));
    }
}

impl Lines {
    fn write<S>(&self, event: &Event<'_>, context: &Context<'_, S>, scratch: &mut Scratch)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Scratch { fields, line } = scratch;
        fields.clear(MOST_KEPT);
        line.clear();
        line.shrink_to(MOST_KEPT);
        event.record(fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_outer(outer);
            }
        }
        if self.form.is_of_spire() {
            Scope::tell_current(&mut |name, value| fields.add_unsaid(name, value));
        }
        let metadata = event.metadata();
        if self.source_location {
            self.locate(metadata, fields);
        }
        let entry = Entry {
            level: *metadata.level(),
            event: spire::find(metadata.name()),
            fields,
        };
        match self.form {
            Form::Readable => {
                readable::write(line, *metadata.level(), fields, self.sink.colour());
            }
            Form::Text(fraction) => logrus::text(line, fraction, &entry),
            Form::Json => logrus::json(line, &entry),
        }
        let urgent = *metadata.level() <= Level::WARN;
        gather::write(&self.sink, line, urgent);
    }
}

impl Lines {
    fn locate(&self, metadata: &Metadata<'_>, fields: &mut Fields) {
        let (Some(file), Some(row)) = (metadata.file(), metadata.line()) else {
            return;
        };
        if self.form.is_of_spire() {
            let name = Path::new(file).file_name().unwrap_or_default().display();
            fields.add("file", format_args!("{name}:{row}"));
            fields.add("func", metadata.target());
        } else {
            fields.add("file", format_args!("{file}:{row}"));
        }
    }
}

/// What a line is made in, kept from one line to the next.
#[derive(Debug, Default)]
struct Scratch {
    fields: Fields,
    line: String,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// Of a line of unusual length, what the next one finds.
const MOST_KEPT: usize = 4096;
