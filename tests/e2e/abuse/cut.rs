//! Requests and answers that end at any of their bytes.

use std::{io::Write as _, net::Shutdown, time::Duration};

use super::{
    a_neighbour_is_answered, answer,
    application::{ANSWER, Application},
    connect, get,
};
use crate::testbed::{Bed, Pair};

const POST: &str = "POST /post HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn a_request_that_breaks_off_at_any_byte_does_not_arrive_and_harms_nobody() {
    let bed = Bed::new();
    let (application, port) = Application::start();
    let pair = Pair::start(&bed, "HTTP", port);
    for port in [pair.outbound, pair.inbound] {
        for length in 0..POST.len() {
            for is_reset in [false, true] {
                let mut stream = connect(port);
                stream.write_all(&POST.as_bytes()[..length]).unwrap();
                let socket = socket2::SockRef::from(&stream);
                match is_reset {
                    true => socket.set_linger(Some(Duration::ZERO)).unwrap(),
                    false => stream.shutdown(Shutdown::Write).unwrap(),
                }
            }
        }
        a_neighbour_is_answered(pair.outbound);
        assert_eq!(application.take(), ["/hello"]);
        // All of it arrives, once.
        let text = answer(port, &POST.replace("host:", "connection: close\r\nhost:"));
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
        assert_eq!(application.take(), ["/post"]);
    }
}

#[test]
fn an_answer_that_breaks_off_at_any_byte_is_never_taken_for_whole() {
    let bed = Bed::new();
    let (application, port) = Application::start();
    let pair = Pair::start(&bed, "HTTP", port);
    let head = ANSWER.len() - "hello".len();
    for length in 0..=ANSWER.len() {
        let path = format!("/cut/{length}");
        let text = answer(pair.outbound, &get(&path));
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{length}: {text}");
        let (status, body) = text.split_once("\r\n\r\n").unwrap();
        // What has come of an answer may be passed on before it is known that there is no more.
        if length < head || (length < ANSWER.len() && status.starts_with("HTTP/1.1 503")) {
            assert!(status.starts_with("HTTP/1.1 503"), "{length}: {text}");
        } else {
            assert!(status.starts_with("HTTP/1.1 200"), "{length}: {text}");
            assert!(status.contains("content-length: 5"), "{length}: {text}");
            assert_eq!(body, &ANSWER[head..length]);
        }
        assert_eq!(application.take(), [path], "asked once");
    }
    a_neighbour_is_answered(pair.outbound);
}
