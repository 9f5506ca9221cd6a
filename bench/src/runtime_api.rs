//! The Lambda Runtime API, for one function process at a time. Blocking and without a framework, so that little else
//! than the function is in the times.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the next step of a function is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// One invocation's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// From sending the event to the answer's last byte received.
    pub took: Duration,
    pub body: Vec<u8>,
    /// Whether it came as a function error.
    pub is_error: bool,
}

/// What the process has asked for and answered so far.
#[derive(Default)]
struct State {
    events: VecDeque<Vec<u8>>,
    /// When the process asked for its first event: its init is over.
    ready: Option<Instant>,
    sent: Option<Instant>,
    answers: Vec<Answer>,
    /// Whether it waits for an event that is not there.
    idle: bool,
    closed: bool,
}

/// A Runtime API on an address of its own.
pub struct RuntimeApi {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl RuntimeApi {
    pub fn start(events: Vec<Vec<u8>>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = State { events: events.into(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let of_the_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_the_thread.state.lock().unwrap().closed {
                    break;
                }
                let shared = Arc::clone(&of_the_thread);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self { address, shared })
    }

    /// Waits until the process has answered all events and asks for another.
    pub fn wait_until_idle(&self) -> bool {
        let state = self.shared.state.lock().unwrap();
        let (state, _) =
            self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !state.idle).unwrap();
        state.idle
    }

    /// Gives the idle process more to do.
    pub fn send(&self, events: Vec<Vec<u8>>) {
        let mut state = self.shared.state.lock().unwrap();
        state.events.extend(events);
        state.idle = false;
        self.shared.changed.notify_all();
    }

    pub fn ready(&self) -> Option<Instant> {
        self.shared.state.lock().unwrap().ready
    }

    pub fn take_answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.shared.state.lock().unwrap().answers)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().closed = true;
        self.shared.changed.notify_all();
        // Wakes the accepting thread, so that it ends.
        let _woken = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// One connection, until the process closes it.
    fn serve(&self, stream: TcpStream) {
        let _unset = stream.set_nodelay(true);
        let Ok(mut writer) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        while let Ok(Some((path, body))) = read_request(&mut reader) {
            let received = Instant::now();
            let written = if path.ends_with("/invocation/next") {
                let Some(event) = self.next_event(received) else { return };
                let response = next_response(&event);
                // Before it is written: afterwards, the answer may be there before this thread goes on.
                self.state.lock().unwrap().sent = Some(Instant::now());
                writer.write_all(&response)
            } else {
                self.keep_answer(received, body, path.ends_with("/error"));
                writer.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{\"status\":\"OK\"}\n")
            };
            if written.is_err() {
                return;
            }
        }
    }

    fn next_event(&self, received: Instant) -> Option<Vec<u8>> {
        let mut state = self.state.lock().unwrap();
        state.ready.get_or_insert(received);
        loop {
            if state.closed {
                return None;
            }
            if let Some(event) = state.events.pop_front() {
                return Some(event);
            }
            state.idle = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
    }

    fn keep_answer(&self, received: Instant, body: Vec<u8>, is_error: bool) {
        let mut state = self.state.lock().unwrap();
        let took = state.sent.map_or(Duration::ZERO, |sent| received.duration_since(sent));
        state.answers.push(Answer { took, body, is_error });
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else {
        let length = headers.get("content-length").map_or(Ok(0), |length| length.parse());
        body.resize(length.map_err(io::Error::other)?, 0);
        reader.read_exact(&mut body)?;
    }
    Ok(Some((path, body)))
}

fn next_response(event: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = (now + Duration::from_secs(10)).as_millis();
    let id = uuid::Uuid::new_v4();
    let mut response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: {id}\r\n\
         lambda-runtime-deadline-ms: {deadline}\r\nlambda-runtime-trace-id: Root=1-6920b70c-5e3f0a9c41d2b87604c1aa1c\r\n\
         lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:bench\r\n\
         content-length: {}\r\n\r\n",
        event.len(),
    )
    .into_bytes();
    response.extend_from_slice(event);
    response
}
