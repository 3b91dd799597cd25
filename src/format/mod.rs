//! What a body means: each format reads a body and tells a [`Collector`](crate::metric::Collector) what is in it.

pub mod dropwizard;
mod leaf;
