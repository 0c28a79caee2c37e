//! Sends back what it receives, on a free loopback port, which it prints. A thread serves each connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{io, thread};

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    for connection in listener.incoming() {
        let connection = connection?;
        // The client decides when the connection ends, and how does not matter.
        thread::spawn(move || serve(connection));
    }
    Ok(())
}

fn serve(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    loop {
        match connection.read(&mut buffer)? {
            0 => return Ok(()),
            length => connection.write_all(&buffer[..length])?,
        }
    }
}
