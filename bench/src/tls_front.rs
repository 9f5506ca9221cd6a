//! TLS before the store, as DynamoDB has it, with a certificate of a root that was made for this run. It counts the
//! requests and, when told to, has the store say what each one consumes.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The roots that Amazon Linux trusts, here or where Debian keeps its own.
const SYSTEM_ROOTS: [&str; 2] = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];

/// One request that reached the store.
#[derive(Clone, Debug)]
pub struct Seen {
    pub operation: String,
    /// Read or write units. `None`: the store was not asked, or did not say.
    pub capacity: Option<f64>,
    /// From the request's last byte to the reply's last byte: the store's share of the function's time.
    pub took: Duration,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    asks_for_capacity: AtomicBool,
}

pub struct TlsFront {
    pub url: String,
    state: Arc<State>,
}

impl TlsFront {
    /// A front before the store at this URL, and its root, as PEM.
    pub async fn start(store: &str) -> io::Result<(Self, String)> {
        let (config, root) = certify().map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let state = Arc::new(State::default());
        let of_the_task = Arc::clone(&state);
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build();
        let client = client.map_err(io::Error::other)?;
        let store: Arc<str> = store.trim_end_matches('/').into();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _unset = stream.set_nodelay(true);
                let (state, client, store) = (Arc::clone(&of_the_task), client.clone(), Arc::clone(&store));
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| {
                        let (state, client, store) = (Arc::clone(&state), client.clone(), Arc::clone(&store));
                        async move { forward(&state, &client, &store, request).await }
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    let _ended = connection.await;
                });
            }
        });
        Ok((Self { url, state }, root))
    }

    /// Whether the store is asked what each request consumes. Not while times are taken.
    pub fn ask_for_capacity(&self, asks: bool) {
        self.state.asks_for_capacity.store(asks, Ordering::Relaxed);
    }

    /// The requests so far, and forgets them.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }
}

/// The system's roots, as PEM.
pub fn system_roots() -> Vec<u8> {
    SYSTEM_ROOTS.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default()
}

/// Writes what a function is to trust.
pub fn write_roots(path: &Path, trusted: &[u8], root: &str) -> Result<(), String> {
    fs::write(path, [trusted, root.as_bytes()].concat())
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn certify() -> Result<(ServerConfig, String), Box<dyn std::error::Error + Send + Sync>> {
    let mut root = CertificateParams::new(Vec::new())?;
    root.distinguished_name.push(DnType::CommonName, "benchmark root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &root)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, root.pem()))
}

async fn forward(
    state: &State,
    client: &reqwest::Client,
    store: &str,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let (mut parts, body) = request.into_parts();
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.split_once('.')).map_or("?", |(_, operation)| operation);
    let operation = operation.to_owned();
    let asks = state.asks_for_capacity.load(Ordering::Relaxed);
    let mut body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if asks {
        let mut json: Value = serde_json::from_slice(&body)?;
        json["ReturnConsumedCapacity"] = "TOTAL".into();
        body = serde_json::to_vec(&json)?.into();
        parts.headers.insert("content-length", body.len().into());
    }
    parts.uri = format!("{store}{}", parts.uri.path()).parse().map_err(io::Error::other)?;
    parts.headers.remove("host");
    let request = Request::from_parts(parts, body).try_into().map_err(io::Error::other)?;
    let sent = Instant::now();
    let reply = client.execute(request).await.map_err(io::Error::other)?;
    let (parts, body) = Response::from(reply).into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let took = sent.elapsed();
    let capacity = if asks {
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        json["ConsumedCapacity"]["CapacityUnits"].as_f64()
    } else {
        None
    };
    state.seen.lock().unwrap().push(Seen { operation, capacity, took });
    Ok(Response::from_parts(parts, Full::new(body)))
}
