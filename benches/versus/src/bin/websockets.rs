//! Sends messages over WebSockets and counts what comes back: `websockets PORT PATH CONNECTIONS SECONDS`.
//!
//! The next message is sent when the one before is back. Prints what `benches/serve/wrk.lua` prints.

use std::{
    env, io,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const LENGTH: u8 = 32;

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(measure())
}

async fn measure() -> io::Result<()> {
    let arguments: Vec<_> = env::args().collect();
    let [_, port, path, connections, seconds] = &arguments[..] else {
        panic!("usage: websockets PORT PATH CONNECTIONS SECONDS");
    };
    let number = |text: &str| text.parse().expect("a number");
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(seconds.parse().expect("a number"));
    let mut talks = JoinSet::new();
    for _ in 0..number(connections) {
        talks.spawn(talk(number(port), path.clone(), end));
    }
    let mut times = Vec::new();
    let mut failed = 0;
    while let Some(talked) = talks.join_next().await {
        match talked.expect("a conversation does not panic") {
            Ok(these) => times.extend(these),
            Err(_) => failed += 1,
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    times.sort_unstable();
    let percentile = |part: usize| {
        times
            .get(times.len() * part / 100)
            .map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    println!(
        r#"{{"count": {}, "seconds": {seconds}, "p50": {}, "p99": {}, "failed": {failed}}}"#,
        times.len(),
        percentile(50),
        percentile(99)
    );
    Ok(())
}

/// One connection. Gives how long each message took to come back.
async fn talk(port: u16, path: String, end: Instant) -> io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let handshake = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(handshake.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    // A masked text frame, whose mask changes nothing, and the frame that comes back.
    let mut message = vec![0x81, 0x80 | LENGTH, 0, 0, 0, 0];
    message.resize(6 + usize::from(LENGTH), b'x');
    let mut answer = vec![0; 2 + usize::from(LENGTH)];
    let mut times = Vec::new();
    while Instant::now() < end {
        let begin = Instant::now();
        stream.write_all(&message).await?;
        stream.read_exact(&mut answer).await?;
        times.push(begin.elapsed());
    }
    Ok(times)
}
