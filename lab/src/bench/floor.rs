use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{Error, Pod};

/// The least that a push can take: the same body fetched and the same bytes sent by bare sockets.
pub(crate) struct Floor {
    pod: Pod,
    /// Kept open, as the courier keeps it.
    application: TcpStream,
    /// The bytes of the application's answer.
    answer: usize,
    trapper: u16,
    /// The request as the courier wrote it, and its header.
    header: Vec<u8>,
    request: String,
}

const ASK: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

impl Floor {
    /// Takes over a frame that the courier sent.
    pub fn new(
        pod: &Pod,
        application: u16,
        trapper: u16,
        mut frame: Vec<u8>,
    ) -> Result<Self, Error> {
        let mut application = pod.connect(application)?;
        let answer = measure(&mut application).map_err(Error::io("the floor's fetch"))?;
        let request = frame.split_off(HEADER.min(frame.len()));
        let request = String::from_utf8(request).map_err(|error| Error::Answer {
            from: "courier push".into(),
            answer: error.to_string(),
        })?;
        Ok(Self {
            pod: pod.clone(),
            application,
            answer,
            trapper,
            header: frame,
            request,
        })
    }

    /// Runs one cycle and answers its time.
    pub fn run(&self) -> Result<Duration, Error> {
        let mut application = self
            .application
            .try_clone()
            .map_err(Error::io("the floor's socket"))?;
        let mut body = vec![0; self.answer];
        let frame = [&self.header, stamped(&self.request).as_bytes()].concat();
        let trapper = (Ipv4Addr::LOCALHOST, self.trapper);
        self.pod.inside(move || {
            let start = Instant::now();
            application.write_all(ASK)?;
            application.read_exact(&mut body)?;
            let mut trapper = TcpStream::connect(trapper)?;
            trapper.write_all(&frame)?;
            let mut header = [0; HEADER];
            trapper.read_exact(&mut header)?;
            let length = u32::from_le_bytes([header[5], header[6], header[7], header[8]]);
            trapper.take(length.into()).read_to_end(&mut Vec::new())?;
            Ok(start.elapsed())
        })
    }
}

const HEADER: usize = 13;

/// The bytes of the application's answer, head and all.
fn measure(application: &mut TcpStream) -> io::Result<usize> {
    application.write_all(ASK)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        application.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .and_then(|length| length.parse::<usize>().ok())
        .ok_or_else(|| io::Error::other("the body has no length"))?;
    application.read_exact(&mut vec![0; length])?;
    Ok(head.len() + length)
}

/// The request with a clock of now, in as many digits: Zabbix drops a second value of the same clock.
fn stamped(request: &str) -> String {
    let Some((_, stamp)) = request.split_once("\"clock\":") else {
        return request.to_owned();
    };
    let Some((_, ns)) = stamp.split_once(",\"ns\":") else {
        return request.to_owned();
    };
    let digits = ns.bytes().take_while(u8::is_ascii_digit).count();
    let old = &stamp[..stamp.len() - ns.len() + digits];
    // A clock before 1970 does not occur here; zero is as good as any.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let least = 10u32.pow(digits.saturating_sub(1) as u32);
    let ns = least + now.subsec_nanos() % (9 * least).max(1);
    request.replace(old, &format!("{},\"ns\":{ns}", now.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_the_clock_and_no_length() {
        let request = r#"{"data":[{"clock":1700000000,"ns":12,"key":"a"},{"clock":1700000000,"ns":12,"key":"b"}]}"#;
        let new = stamped(request);
        assert_eq!(new.len(), request.len());
        let parsed: serde_json::Value = serde_json::from_str(&new).unwrap();
        assert!(parsed["data"][1]["clock"].as_u64().unwrap() > 1_700_000_000);
        assert_eq!(parsed["data"][0]["ns"], parsed["data"][1]["ns"]);
    }
}
