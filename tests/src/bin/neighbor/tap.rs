//! Listens in on the cables of a host.

use std::io::{Read as _, Write as _};

use socket2::{Domain, Protocol, Socket, Type};

/// Prints what passes on every interface but loopback, each frame as a line; what is not readable
/// is a dot.
pub(super) fn tap() {
    let protocol = Protocol::from(i32::from(EVERY_PROTOCOL.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).unwrap();
    println!("listening");
    let mut frame = [0; 65_536];
    loop {
        let length = (&socket).read(&mut frame).unwrap();
        let frame = &frame[..length];
        // On loopback nobody has an address.
        if frame.starts_with(&[0; 12]) {
            continue;
        }
        let readable = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        };
        let text: String = frame.iter().map(readable).collect();
        println!("{text}");
        std::io::stdout().flush().unwrap();
    }
}

/// `ETH_P_ALL`.
const EVERY_PROTOCOL: u16 = 3;
