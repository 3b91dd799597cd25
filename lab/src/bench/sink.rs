use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

/// Stands in for a trapper where no server's time is wanted: it takes every request, says so, and hands the request on,
/// frame and all.
pub(crate) fn sink(listener: TcpListener) -> Receiver<Vec<u8>> {
    let (sender, requests) = channel();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // Nobody may wait for the request, and a client that hangs up has none.
            let _ = take(connection).map(|request| sender.send(request));
        }
    });
    requests
}

const HEADER: usize = 13;

fn take(mut connection: TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; HEADER];
    connection.read_exact(&mut frame)?;
    let length = u32::from_le_bytes([frame[5], frame[6], frame[7], frame[8]]);
    Read::by_ref(&mut connection)
        .take(length.into())
        .read_to_end(&mut frame)?;
    let answer = br#"{"response":"success","info":"processed: 1; failed: 0; total: 1; seconds spent: 0.000001"}"#;
    let mut reply = b"ZBXD\x01".to_vec();
    reply.extend((answer.len() as u64).to_le_bytes());
    reply.extend(answer);
    connection.write_all(&reply)?;
    Ok(frame)
}
