//! Where traces are sent: `--otlp-endpoint`, or the variables that every OpenTelemetry program reads.

use std::time::Duration;

use axum::http::Uri;
use clap::Args;
use opentelemetry::{Key, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};

use super::{Exporting, Traces};
use crate::outcome::Mistake;

/// How long a stop waits for the last spans to be sent.
pub(super) const LAST_SEND: Duration = Duration::from_secs(3);
/// Where a collector takes traces, below its endpoint.
const PATH: &str = "/v1/traces";

/// Where traces are sent.
#[derive(Clone, Debug, Default, Args)]
pub struct TraceArgs {
    /// OpenTelemetry collector to send traces to over OTLP (http/protobuf), such as `http://localhost:4318`; the standard OTEL_* variables are read too
    #[arg(long, env = "SPADEWORK_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

impl Traces {
    /// Sends to the endpoint that is configured; nothing without one.
    ///
    /// # Errors
    /// When it is no URL, or another protocol is asked for.
    pub fn start(args: &TraceArgs) -> anyhow::Result<Self> {
        let Some(endpoint) = configured(args, |name| std::env::var(name).ok())? else {
            return Ok(Self::default());
        };
        spadework_remote::install_tls();
        let mut exporter = SpanExporter::builder().with_http();
        if let Endpoint::Given(url) = endpoint {
            exporter = exporter.with_endpoint(url);
        }
        let exporter =
            exporter.build().map_err(|error| Mistake::error(format!("traces cannot be sent: {error}")))?;
        let provider =
            SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build();
        let tracer = provider.tracer("spadework");
        Ok(Self(Some(Exporting { provider, tracer })))
    }
}

/// Where to send.
#[derive(Debug, PartialEq, Eq)]
enum Endpoint {
    /// There.
    Given(String),
    /// Where the exporter finds it in the environment.
    Standard,
}

/// The endpoint that is configured, if one is and nothing forbids it.
fn configured(
    args: &TraceArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<Endpoint>> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let endpoint = match args.otlp_endpoint.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => Endpoint::Given(traces_url(url)?),
        None if endpoints.iter().any(|name| set(name).is_some()) => Endpoint::Standard,
        None => return Ok(None),
    };
    let protocols = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    match protocols.iter().find_map(|name| Some((*name, set(name)?))) {
        Some((name, protocol)) if protocol != "http/protobuf" => Err(Mistake::error(format!(
            "{name} is `{protocol}`; traces are sent as http/protobuf, which collectors take on port 4318"
        ))),
        _ => Ok(Some(endpoint).filter(|_| !disabled)),
    }
}

fn traces_url(endpoint: &str) -> anyhow::Result<String> {
    let wrong = || {
        Mistake::error(format!("--otlp-endpoint `{endpoint}` is no URL; write it as http://collector:4318"))
    };
    let url: Uri = endpoint.parse().map_err(|_| wrong())?;
    if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    let endpoint = endpoint.trim_end_matches('/');
    Ok(if endpoint.ends_with(PATH) { endpoint.to_owned() } else { format!("{endpoint}{PATH}") })
}

/// What the environment says of this service; its name, where that says none.
fn resource() -> Resource {
    let resource = Resource::builder().build();
    let named = resource
        .get(&Key::new("service.name"))
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    if named {
        return resource;
    }
    Resource::builder().with_service_name("spadework").build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(endpoint: &str) -> TraceArgs {
        TraceArgs { otlp_endpoint: Some(endpoint.to_owned()) }
    }

    #[test]
    fn an_endpoint_turns_traces_on_and_the_standard_variables_count() {
        let with = |args: TraceArgs, set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            configured(&args, variable).map_err(|error| error.to_string())
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        assert_eq!(with(TraceArgs::default(), &[]), Ok(None));
        assert_eq!(with(TraceArgs::default(), &[endpoint]), Ok(Some(Endpoint::Standard)));
        assert_eq!(with(TraceArgs::default(), &[endpoint, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        assert_eq!(with(TraceArgs::default(), &[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
        let url = |url: &str| Ok(Some(Endpoint::Given(url.to_owned())));
        assert_eq!(with(given("http://c:4318/"), &[]), url("http://c:4318/v1/traces"));
        assert_eq!(with(given("https://c/x/v1/traces"), &[]), url("https://c/x/v1/traces"));
        for (args, set, said) in [
            (given("collector:4318"), vec![], "no URL"),
            (given("grpc://c:4317"), vec![], "no URL"),
            (TraceArgs::default(), vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "4318"),
        ] {
            let error = with(args, &set).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
