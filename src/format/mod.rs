//! What a body means: each format reads a body and tells a [`Collector`](crate::metric::Collector) what is in it.

pub mod dropwizard;
mod leaf;

/// What a source's body is, in the words of `courier.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Found out by content type and shape.
    #[default]
    Auto,
    /// Dropwizard Metrics' JSON.
    Dropwizard,
    /// Spring Boot Actuator's `/actuator/metrics`.
    Actuator,
    /// Prometheus text 0.0.4 or OpenMetrics 1.0.
    Prometheus,
    /// Any other JSON, by its leaves.
    Json,
}
