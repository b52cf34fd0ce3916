//! What is told of connections and requests: the access log, and traces.

use anyhow::{Context as _, bail, ensure};
use signet_daemon::spans::{Collector, CollectorProtocol};
use signet_mesh::Percent;

use super::file::{AccessLog, Tracing};
use crate::trace::Propagators;

/// The access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessLogConfig {
    /// The form of its lines.
    pub format: AccessLogFormat,
    /// How many lines there are of what ended well; of all else there is each.
    pub sampling: Percent,
}

/// The form of the lines of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Lines of the log, in its form.
    Signet,
    /// Istio's default text.
    IstioText,
    /// JSON with Istio's names.
    IstioJson,
}

/// Where spans go, and of how many requests there are any.
#[derive(Clone, Debug)]
pub struct TracingConfig {
    /// Who takes spans.
    pub(crate) collectors: Vec<Collector>,
    /// How many of the requests are recorded of which nobody has decided that.
    pub(crate) sampling: Percent,
    /// In which forms a trace is handed on.
    pub(crate) propagators: Propagators,
}

pub(super) fn access_log(written: Option<&AccessLog>) -> anyhow::Result<AccessLogConfig> {
    let Some(written) = written else {
        return Ok(AccessLogConfig {
            format: AccessLogFormat::Signet,
            sampling: Percent::ALL,
        });
    };
    let (format, encoding) = (written.format.as_deref(), written.encoding.as_deref());
    let format = match (format.unwrap_or("signet"), encoding) {
        ("signet", None) => AccessLogFormat::Signet,
        ("signet", Some(_)) => bail!(
            "accessLog.encoding: lines of the format `signet` are those of the log; set \
             `logFormat: json`, or `accessLog.format: istio`"
        ),
        ("istio", None | Some("text")) => AccessLogFormat::IstioText,
        ("istio", Some("json")) => AccessLogFormat::IstioJson,
        ("istio", Some(other)) => {
            bail!("accessLog.encoding: {other:?} is unknown; write `text` or `json`")
        }
        (other, _) => bail!("accessLog.format: {other:?} is unknown; write `signet` or `istio`"),
    };
    let sampling = percent("accessLog.samplingPercentage", written.sampling_percentage)?;
    Ok(AccessLogConfig {
        format,
        sampling: sampling.unwrap_or(Percent::ALL),
    })
}

pub(super) fn tracing(written: &Tracing) -> anyhow::Result<TracingConfig> {
    let otlp = written.otlp.as_ref();
    let zipkin = written.zipkin.as_ref();
    let given = [
        (CollectorProtocol::Otlp, otlp),
        (CollectorProtocol::Zipkin, zipkin),
    ];
    let mut collectors = Vec::new();
    for (protocol, given) in given {
        let Some(given) = given else {
            continue;
        };
        let collector = Collector::parse(protocol, &given.endpoint);
        let name = protocol.as_str();
        collectors.push(collector.with_context(|| format!("tracing.{name}.endpoint"))?);
    }
    ensure!(
        !collectors.is_empty(),
        "tracing: says nobody who takes spans; write `otlp: {{ endpoint: http://127.0.0.1:4317 }}` \
         or `zipkin: {{ endpoint: http://127.0.0.1:9411 }}`"
    );
    let sampling = percent(
        "tracing.randomSamplingPercentage",
        written.random_sampling_percentage,
    )?;
    Ok(TracingConfig {
        collectors,
        sampling: sampling.unwrap_or_else(|| Percent::whole(SAMPLING)),
        propagators: propagators(written.propagators.as_deref())?,
    })
}

/// OpenTelemetry's names of them (`OTEL_PROPAGATORS`).
fn propagators(names: Option<&[String]>) -> anyhow::Result<Propagators> {
    let Some(names) = names else {
        return Ok(Propagators {
            w3c: true,
            ..Propagators::default()
        });
    };
    let mut propagators = Propagators::default();
    for name in names {
        let one = match name.as_str() {
            "tracecontext" => &mut propagators.w3c,
            "b3" => &mut propagators.b3,
            "b3multi" => &mut propagators.b3_multi,
            other => bail!(
                "tracing.propagators: {other:?} is unknown; write `tracecontext`, `b3` or `b3multi`"
            ),
        };
        *one = true;
    }
    ensure!(
        propagators != Propagators::default(),
        "tracing.propagators: is empty, so that no trace could be handed on; write `[tracecontext]`"
    );
    Ok(propagators)
}

fn percent(name: &str, given: Option<f64>) -> anyhow::Result<Option<Percent>> {
    let Some(given) = given else {
        return Ok(None);
    };
    let percent = Percent::parse(&given.to_string());
    let percent = percent.with_context(|| {
        format!("{name}: {given} is no share that can be kept; write 0, or from 0.0001 to 100")
    })?;
    Ok(Some(percent))
}

/// Istio's `PILOT_TRACE_SAMPLING`, in percent.
const SAMPLING: u32 = 1;
