//! An HTTP proxy in front of an S3 server that loses, cuts, refuses and changes what a rule tells it to.
//!
//! It works on raw bytes: a request goes on as it came (its signature holds), and an answer is in hand as a whole before
//! anything is done to it. Every connection carries one request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Part(u32),
    Complete,
    Abort,
    ListParts,
    ListUploads,
    List,
    Put,
    Head,
    Get,
    Delete,
}

/// A request that passed by.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) op: Op,
    /// Request line and headers.
    pub(crate) head: String,
    /// How many requests of this kind there were before.
    pub(crate) before: usize,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

type Edit = Box<dyn Fn(&str) -> String + Send>;

/// What is done with a request.
pub(crate) enum Act {
    /// Nothing.
    Pass,
    /// The server never hears of it, and the connection closes.
    Drop,
    /// The server does what it asks, and the connection closes without an answer.
    Lose,
    /// The server does what it asks, and the answer's body ends after so many bytes.
    Cut(usize),
    /// The server never hears of it; status and body are these.
    Answer(u16, String),
    /// The server does what it asks; status and body are these.
    AnswerAfter(u16, String),
    /// The head of the server's answer is changed.
    Edit(Edit),
    /// One bit of the request's body is flipped on its way.
    Flip,
    /// Passes on once the other side of the proxy says so.
    Hold(Arc<Notify>),
}

/// `<Error>` with this code.
pub(crate) fn refusal(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>said the proxy</Message></Error>"
    )
}

type Rule = dyn Fn(&Request) -> Act + Send + Sync;

/// A running proxy; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    rule: Box<Rule>,
    seen: Mutex<Vec<Request>>,
    answered: Notify,
    parts_now: AtomicUsize,
    parts_most: AtomicUsize,
}

impl Proxy {
    pub(crate) async fn start(upstream: &str, rule: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            rule: Box::new(rule),
            seen: Mutex::default(),
            answered: Notify::new(),
            parts_now: AtomicUsize::new(0),
            parts_most: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    // A client may go away in the middle; that is its right.
                    let _ = serve(&shared, connection).await;
                    shared.answered.notify_waiters();
                });
            }
        });
        Self { endpoint, shared }
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, op: Op) -> usize {
        self.seen().iter().filter(|request| request.op == op).count()
    }

    /// The most parts that were on their way at one time.
    pub(crate) fn parts_at_once(&self) -> usize {
        self.shared.parts_most.load(Ordering::SeqCst)
    }

    /// Waits until so many requests of this kind have come.
    pub(crate) async fn wait_for(&self, op: Op, count: usize) {
        loop {
            let answered = self.shared.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if self.count(op) >= count {
                return;
            }
            answered.await;
        }
    }
}

async fn serve(shared: &Shared, mut client: TcpStream) -> std::io::Result<()> {
    let (head, mut body) = read_message(&mut client, true).await?;
    let op = operation(head.lines().next().unwrap_or_default());
    let request = {
        let mut seen = shared.seen.lock().unwrap();
        let before = seen.iter().filter(|request| same_kind(request.op, op)).count();
        let request = Request { op, head: head.clone(), before };
        seen.push(request.clone());
        request
    };
    let is_part = matches!(op, Op::Part(_));
    if is_part {
        let now = shared.parts_now.fetch_add(1, Ordering::SeqCst) + 1;
        shared.parts_most.fetch_max(now, Ordering::SeqCst);
    }
    let act = (shared.rule)(&request);
    match &act {
        Act::Flip => *body.last_mut().expect("a body to flip a bit of") ^= 1,
        Act::Hold(go) => go.notified().await,
        _ => {}
    }
    let outcome = answer(shared, &head, &body, act, op, &mut client).await;
    if is_part {
        shared.parts_now.fetch_sub(1, Ordering::SeqCst);
    }
    outcome
}

async fn answer(
    shared: &Shared,
    head: &str,
    body: &[u8],
    act: Act,
    op: Op,
    client: &mut TcpStream,
) -> std::io::Result<()> {
    let made = |status: u16, body: &str| {
        format!(
            "HTTP/1.1 {status} Made\r\ncontent-type: application/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    match act {
        Act::Drop => return Ok(()),
        Act::Answer(status, body) => return client.write_all(made(status, &body).as_bytes()).await,
        _ => {}
    }
    let (answer_head, answer_body) = forward(&shared.upstream, head, body, op == Op::Head).await?;
    match act {
        Act::Lose => Ok(()),
        Act::AnswerAfter(status, body) => client.write_all(made(status, &body).as_bytes()).await,
        Act::Cut(bytes) => {
            client.write_all(answer_head.as_bytes()).await?;
            client.write_all(&answer_body[..bytes.min(answer_body.len())]).await
        }
        Act::Edit(edit) => {
            client.write_all(edit(&answer_head).as_bytes()).await?;
            client.write_all(&answer_body).await
        }
        _ => {
            client.write_all(answer_head.as_bytes()).await?;
            client.write_all(&answer_body).await
        }
    }
}

async fn forward(upstream: &str, head: &str, body: &[u8], bodiless: bool) -> std::io::Result<(String, Vec<u8>)> {
    let mut server = TcpStream::connect(upstream).await?;
    let kept: Vec<&str> = head
        .trim_end()
        .lines()
        .filter(|line| !["connection:", "expect:"].iter().any(|name| line.to_ascii_lowercase().starts_with(name)))
        .collect();
    server.write_all(format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n")).as_bytes()).await?;
    server.write_all(body).await?;
    let mut answer = Vec::new();
    if bodiless {
        return Ok((read_head(&mut server, &mut answer).await?, Vec::new()));
    }
    server.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len() - 4) + 4;
    let body = answer.split_off(end);
    Ok((String::from_utf8_lossy(&answer).into_owned(), body))
}

/// Reads until the empty line; what came after it is left in `rest`.
async fn read_head(stream: &mut TcpStream, rest: &mut Vec<u8>) -> std::io::Result<String> {
    loop {
        if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            let after = rest.split_off(end + 4);
            let head = String::from_utf8_lossy(&std::mem::replace(rest, after)).into_owned();
            return Ok(head);
        }
        if stream.read_buf(rest).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn read_message(stream: &mut TcpStream, server: bool) -> std::io::Result<(String, Vec<u8>)> {
    let mut body = Vec::new();
    let head = read_head(stream, &mut body).await?;
    let lower = head.to_ascii_lowercase();
    if server && lower.contains("expect: 100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((head, body))
}

fn operation(line: &str) -> Op {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let has = |name: &str| query.split('&').any(|pair| pair == name || pair.starts_with(&format!("{name}=")));
    let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber=")).and_then(|text| text.parse().ok());
    match method {
        "POST" if has("uploads") => Op::Create,
        "POST" => Op::Complete,
        "PUT" if has("uploadId") => Op::Part(number.expect("a part has a number")),
        "PUT" => Op::Put,
        "DELETE" if has("uploadId") => Op::Abort,
        "DELETE" => Op::Delete,
        "HEAD" => Op::Head,
        "GET" if has("uploadId") => Op::ListParts,
        "GET" if has("uploads") => Op::ListUploads,
        "GET" if path.trim_matches('/').contains('/') => Op::Get,
        "GET" => Op::List,
        other => panic!("the proxy does not know {other}"),
    }
}

fn same_kind(one: Op, other: Op) -> bool {
    std::mem::discriminant(&one) == std::mem::discriminant(&other)
}
