//! A web server inside the test process that can misbehave in every way that downloads must bear.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The path, with the leading slash.
    pub(crate) path: String,
    /// The first byte of the range, if one was asked for.
    pub(crate) start: Option<usize>,
}

/// What the server sends back.
pub(crate) struct Reply {
    /// Status code and phrase.
    pub(crate) status: &'static str,
    /// Header lines without line ends.
    pub(crate) headers: Vec<String>,
    /// The body; the connection is closed after it.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The whole of `content`, whatever range was asked for.
    pub(crate) fn whole(content: &[u8]) -> Self {
        Self {
            status: "200 OK",
            headers: vec![format!("Content-Length: {}", content.len())],
            body: content.to_owned(),
        }
    }

    /// `content` from `start` on as a partial response, or whole without a start.
    pub(crate) fn range(content: &[u8], start: Option<usize>) -> Self {
        match start {
            None => Self::whole(content),
            Some(start) if start >= content.len() => Self::empty("416 Range Not Satisfiable"),
            Some(start) => {
                let last = content.len() - 1;
                let mut reply = Self::whole(&content[start..]);
                reply.status = "206 Partial Content";
                reply.headers.push(format!("Content-Range: bytes {start}-{last}/{}", content.len()));
                reply
            }
        }
    }

    /// No content at all.
    pub(crate) fn empty(status: &'static str) -> Self {
        Self { status, headers: vec!["Content-Length: 0".to_owned()], body: Vec::new() }
    }

    /// The same headers, but the connection is cut after `bytes` of the body.
    pub(crate) fn cut(mut self, bytes: usize) -> Self {
        self.body.truncate(bytes);
        self
    }
}

/// A running server; it stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers every request with what `answer` makes of it.
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (kept, stopped) = (Arc::clone(&requests), Arc::clone(&is_stopped));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                let request = read_request(&stream);
                send(&stream, &answer(&request));
                kept.lock().unwrap().push(request);
            }
        });
        Self { address, requests, is_stopped, thread: Some(thread) }
    }

    /// The address to fetch from.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/data/", self.address)
    }

    /// The starts of the ranges that were asked for so far, one for each request.
    pub(crate) fn starts(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().iter().map(|request| request.start).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // A last connection wakes the thread, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(result.is_ok() || std::thread::panicking(), "the server thread panicked");
        }
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut start = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            start = Some(range.trim_end_matches('-').parse().unwrap());
        }
    }
    Request { path, start }
}

fn send(mut stream: &TcpStream, reply: &Reply) {
    let headers: String = reply.headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("HTTP/1.1 {}\r\n{headers}Connection: close\r\n\r\n", reply.status);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&reply.body).unwrap();
}
