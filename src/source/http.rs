//! A body from an HTTP endpoint, over TCP or a unix socket; connections are kept between errands.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use ureq::http::{Request, Response, Uri, header};

use super::client::Client;
use super::{Access, Body, Error, Location};
use crate::deadline::Deadline;

/// Text 0.0.4 before anything else, so that a server that speaks several formats gives the same keys as one that
/// speaks this one alone.
const ACCEPT: &str = "text/plain;version=0.0.4, application/json;q=0.9, application/vnd.spring-boot.actuator.v3+json;q=0.9, */*;q=0.1";
const MAX_REDIRECTS: usize = 5;

/// Asks the endpoint at `location`, and where it redirects to as far as that is allowed.
///
/// # Errors
/// [`Error`].
pub fn get(location: &Location, access: &Access<'_>, deadline: Deadline) -> Result<Body, Error> {
    let mut location = location.clone();
    for _ in 0..=MAX_REDIRECTS {
        let Location::Http { uri, socket } = &location else {
            return Err(Error::NotAllowed(location.to_string()));
        };
        let allowed = |allow: &[super::allow::Allow]| {
            allow.iter().any(|one| one.permits(uri, socket.as_deref()))
        };
        if access.allow.is_some_and(|allow| !allowed(allow)) {
            return Err(Error::NotAllowed(location.to_string()));
        }
        let response = ask(&location, uri, socket.as_deref(), access, deadline)?;
        let Some(target) = redirection(&response) else {
            return body(&location, response, access.source.max_bytes);
        };
        let target = location.redirected(&target)?;
        // A source's credentials and its leave to be read end where it redirects to another server.
        if access.allow.is_none() && !same_server(&location, &target) {
            return Err(Error::Failed {
                url: location.to_string(),
                why: format!("it redirects to {target}; make that the source's url if it is meant"),
            });
        }
        location = target;
    }
    Err(Error::Failed {
        url: location.to_string(),
        why: format!("more than {MAX_REDIRECTS} redirects"),
    })
}

/// Sends the request; a kept connection that broke is replaced once.
fn ask(
    location: &Location,
    uri: &Uri,
    socket: Option<&Path>,
    access: &Access<'_>,
    deadline: Deadline,
) -> Result<Response<ureq::Body>, Error> {
    let client = Client::of(socket, access.source.ca_file.as_deref());
    let mut retried = false;
    loop {
        let request = request(uri, access).map_err(|why| Error::Failed {
            url: location.to_string(),
            why,
        })?;
        let left = deadline.remaining().map_err(|error| Error::Timeout {
            url: location.to_string(),
            phase: error.to_string(),
        })?;
        let connections = client.connections();
        let request = client.agent.configure_request(request);
        match client.agent.run(request.timeout_global(Some(left)).build()) {
            Ok(response) => return Ok(response),
            Err(ureq::Error::Io(error)) if !retried && error.kind() != io::ErrorKind::TimedOut => {
                retried = client.connections() == connections;
                if !retried {
                    return Err(failure(location, ureq::Error::Io(error)));
                }
            }
            Err(error) => return Err(failure(location, error)),
        }
    }
}

fn request(uri: &Uri, access: &Access<'_>) -> Result<Request<()>, String> {
    let source = access.source;
    let mut request = Request::get(uri);
    let says = |name: &String| name.eq_ignore_ascii_case(header::ACCEPT.as_str());
    if !source.headers.keys().any(says) {
        request = request.header(header::ACCEPT, ACCEPT);
    }
    for (name, value) in &source.headers {
        request = request.header(name, value);
    }
    if let Some(path) = &source.bearer_token_file {
        let token = secret(path)?;
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if let Some(path) = &source.basic_auth_file {
        let credentials = BASE64_STANDARD.encode(secret(path)?);
        request = request.header(header::AUTHORIZATION, format!("Basic {credentials}"));
    }
    // The error never repeats a value, which may be a secret.
    request
        .body(())
        .map_err(|_| "a header of the source in courier.toml is none".to_owned())
}

/// The first line of a file that holds a secret.
fn secret(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(64 << 10).read_to_string(&mut text))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn redirection(response: &Response<ureq::Body>) -> Option<String> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?;
    location.to_str().ok().map(str::to_owned)
}

fn same_server(a: &Location, b: &Location) -> bool {
    let server = |location: &Location| match location {
        Location::Http { uri, socket } => Some((
            uri.scheme_str().map(str::to_owned),
            uri.host().map(str::to_ascii_lowercase),
            Location::port(uri),
            socket.clone(),
        )),
        Location::File(_) => None,
    };
    server(a) == server(b)
}

fn body(
    location: &Location,
    mut response: Response<ureq::Body>,
    max_bytes: u64,
) -> Result<Body, Error> {
    if !response.status().is_success() {
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or_default();
        return Err(Error::Failed {
            url: location.to_string(),
            why: format!("it answered {} {reason}", status.as_u16())
                .trim_end()
                .to_owned(),
        });
    }
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let expected = response.body().content_length().unwrap_or(64 << 10);
    let bytes = super::read_all(response.body_mut().as_reader(), expected, max_bytes)
        .map_err(|error| failure(location, ureq::Error::from(error)))?;
    let bytes = bytes.ok_or_else(|| Error::TooLarge {
        url: location.to_string(),
        max_bytes,
    })?;
    Ok(Body {
        bytes,
        content_type,
    })
}

fn failure(location: &Location, error: ureq::Error) -> Error {
    let url = location.to_string();
    match error {
        ureq::Error::Timeout(phase) => Error::Timeout {
            url,
            phase: phase.to_string(),
        },
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Error::Timeout {
            url,
            phase: error.to_string(),
        },
        ureq::Error::Io(error) => Error::Failed {
            url,
            why: error.to_string(),
        },
        error => Error::Failed {
            url,
            why: error.to_string(),
        },
    }
}
