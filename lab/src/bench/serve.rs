use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

use super::body::Body;

/// When each request came.
pub(crate) type Served = Receiver<Instant>;

/// Answers `GET /metrics` and `GET /prometheus` from memory until the process ends, so that no application's own time
/// counts.
pub(crate) fn serve(listener: TcpListener, body: &Body) -> Served {
    let answer = |content_type: &str, body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let json = answer("application/json", &body.dropwizard);
    let text = answer("text/plain; version=0.0.4; charset=utf-8", &body.prometheus);
    let answers = Arc::new((json, text));
    let (asked, served) = channel();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let (answers, asked) = (Arc::clone(&answers), asked.clone());
            // A client that hangs up ends its own connection only.
            thread::spawn(move || converse(connection, &answers, &asked).ok());
        }
    });
    served
}

/// Answers every request of one connection.
fn converse(
    mut connection: TcpStream,
    (json, text): &(String, String),
    asked: &Sender<Instant>,
) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut requests = BufReader::new(connection.try_clone()?);
    loop {
        let mut first = String::new();
        if requests.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut last = false;
        loop {
            let mut line = String::new();
            requests.read_line(&mut line)?;
            last |= line.trim().eq_ignore_ascii_case("connection: close");
            if line.trim().is_empty() {
                break;
            }
        }
        // Nobody may want to know.
        let _ = asked.send(Instant::now());
        let answer = if first.starts_with("GET /prometheus ") {
            text
        } else {
            json
        };
        connection.write_all(answer.as_bytes())?;
        if last {
            return Ok(());
        }
    }
}
