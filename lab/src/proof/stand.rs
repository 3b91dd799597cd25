//! What the proofs stand on: trapper items, and stand-ins that inject faults.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use serde_json::json;

use crate::{Error, Lab, Pod, image::Recipe};

/// The port that the server takes values on.
pub const TRAPPER: u16 = 10051;

/// A body of Dropwizard's, of `values` counters `c0`, `c1`, ... that all hold `number`.
pub fn body(values: usize, number: u64) -> String {
    let counters: serde_json::Map<_, _> = (0..values)
        .map(|i| (format!("c{i}"), json!({ "count": number })))
        .collect();
    json!({"version": "4.0.0", "gauges": {}, "counters": counters}).to_string()
}

/// Makes the host `lab` with the trapper items that a [`body`] fills, and answers its id.
pub fn host(lab: &Lab, values: usize) -> Result<String, Error> {
    let host = lab.api().create_host("lab", &["Lab"], &[], &[])?;
    let items: Vec<_> = (0..values)
        .map(|i| {
            json!({
                "hostid": host, "name": format!("c{i}"), "key_": format!("counter[c{i}.count]"), "type": 2,
                "value_type": 3, "history": "90d", "trends": "0",
            })
        })
        .collect();
    lab.api().call("item.create", json!(items))?;
    lab.reload_config_cache()?;
    Ok(host)
}

/// The image of an agent with valgrind and libfaketime beside it.
pub fn debug_image() -> Recipe {
    Recipe {
        name: "debug",
        tag: "bookworm".into(),
        suite: "bookworm",
        folder: "images/debug",
        copies: &["images/run"],
        arguments: Vec::new(),
    }
}

/// Serves every connection to a port of the pod by `behave`, as long as this process lives.
pub fn serve(
    pod: &Pod,
    port: u16,
    behave: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) -> Result<u16, Error> {
    let listener: TcpListener = pod.listen(port)?;
    let port = listener
        .local_addr()
        .map_err(Error::io("a stand-in's address"))?
        .port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let behave = behave.clone();
            // A peer that goes away is what this is about.
            thread::spawn(move || drop(behave(stream)));
        }
    });
    Ok(port)
}

/// A request, header and all.
pub fn request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 13];
    stream.read_exact(&mut frame)?;
    let length = u32::from_le_bytes([frame[5], frame[6], frame[7], frame[8]]);
    stream.take(length.into()).read_to_end(&mut frame)?;
    Ok(frame)
}

/// A behaviour: it takes everything and never says anything.
pub fn silent(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0; 4096];
    while stream.read(&mut request)? > 0 {}
    Ok(())
}

/// A behaviour: a web server's answer to anything.
pub fn http(
    status: &'static str,
    body: String,
) -> impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static {
    move |mut stream| {
        // A request of the courier's is far smaller.
        let mut request = [0; 4096];
        let _ = stream.read(&mut request)?;
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
    }
}
