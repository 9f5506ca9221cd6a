//! Connections: accepts them, reads requests, and hands each to the HTTP API or to the Invoke API. No client can hold
//! the server up: headers and bodies have to arrive in time, and a connection that breaks takes nothing with it.

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

/// For a request's headers; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// For requests that are being answered when the server is stopped.
const GRACE: Duration = Duration::from_secs(5);
/// Before the next try when no connection could be accepted, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What requests are handed to.
pub struct Apis {
    /// Requests over HTTP.
    pub gateway: Gateway,
    /// Direct invocations.
    pub invoke_api: InvokeApi,
}

/// A server that runs until it is stopped or dropped.
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

    /// Answers what it is answering, for some seconds at most, and ends.
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
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    // What is left after that is aborted when the set is dropped.
    let _in_time = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

async fn dispatch(request: Request<Incoming>, peer: SocketAddr, apis: &Apis) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match invoke_api::named_function(request.method(), &path) {
        Some(named) => apis.invoke_api.answer(named, request).await,
        None => apis.gateway.answer(request, peer).await,
    }
}
