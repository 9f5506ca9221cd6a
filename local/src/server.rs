//! Accepts connections and passes each request to the HTTP API or to the Invoke API. No client can block the server:
//! headers and bodies must arrive in time.
//!
//! `axum::serve` is not used: it sets no time limit for headers, and waits without end for connections to close.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::gateway::Gateway;
use crate::invoke_api::{self, InvokeApi};

/// How long a request's headers may take to arrive, and how long an idle connection stays open.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stopping server waits for running requests.
const GRACE: Duration = Duration::from_secs(5);
/// The pause after a failed accept, for example when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The two APIs that requests are for.
pub struct Apis {
    /// Requests over HTTP.
    pub gateway: Gateway,
    /// Direct invocations.
    pub invoke_api: InvokeApi,
}

/// A running server. It ends when it is stopped or dropped.
pub struct Server {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    /// Serves the APIs on this listener.
    pub fn start(listener: TcpListener, apis: Apis) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, running: tokio::spawn(serve(listener, Arc::new(apis), stopped)) }
    }

    /// Finishes the running requests, for a few seconds at most, and stops.
    pub async fn stop(self) {
        drop(self.stop);
        let _ended = self.running.await;
    }
}

async fn serve(listener: TcpListener, apis: Arc<Apis>, mut stopped: oneshot::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let _best_effort = stream.set_nodelay(true);
                    let apis = Arc::clone(&apis);
                    let service = service_fn(move |request| {
                        let apis = Arc::clone(&apis);
                        async move { Ok::<_, Infallible>(dispatch(request, peer, &apis).await) }
                    });
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEADER_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), service);
                    connections.spawn(graceful.watch(connection));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    // Connections that are still open after that are aborted when the set is dropped.
    let _in_time = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

async fn dispatch(request: Request<Incoming>, peer: SocketAddr, apis: &Apis) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match invoke_api::named_function(request.method(), &path) {
        Some(named) => apis.invoke_api.answer(named, request).await,
        None => apis.gateway.answer(request, peer).await,
    }
}
