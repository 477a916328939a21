//! What goes over a connection: a length, then that many bytes.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

/// Sends a frame.
pub(super) fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&(bytes.len() as u64).to_le_bytes())?;
    stream.write_all(bytes)
}

/// A frame that does not have the length that is due.
pub(super) enum Received {
    /// `into` is filled.
    Whole,
    /// Another number of bytes was announced.
    Length(usize),
}

/// Fills `into` with the next frame.
pub(super) fn read(mut stream: &TcpStream, into: &mut [u8]) -> io::Result<Received> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length) as usize;
    if length != into.len() {
        return Ok(Received::Length(length));
    }
    stream.read_exact(into)?;
    Ok(Received::Whole)
}
