//! Which roots the connection to the store trusts.
//!
//! To parse all the roots of a system takes more than all the rest of a start. DynamoDB's certificates come from Amazon's own
//! five, so a client of AWS's endpoint trusts those. A certificate that comes from none of them is an alarm, not an outage:
//! from then on the process trusts the system's roots, as any other client does.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::config::{RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use rustls::CertificateError;

/// The roots of Amazon Trust Services.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon_roots.pem");

/// The HTTP client for the store at this endpoint, where `None` is AWS's own.
pub(crate) fn http_client(endpoint: Option<&str>) -> Option<SharedHttpClient> {
    match endpoint {
        Some(endpoint) if !is_plain(endpoint) => https(TrustStore::default()),
        // Without TLS no root is asked for: the fewest will do.
        _ => with_fallback(TrustStore::empty().with_pem_certificate(AMAZON_ROOTS), TrustStore::default()),
    }
}

fn is_plain(endpoint: &str) -> bool {
    endpoint.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
}

fn with_fallback(known: TrustStore, system: TrustStore) -> Option<SharedHttpClient> {
    Some(SharedHttpClient::new(WithFallback {
        known: https(known)?,
        system: https(system)?,
        distrusts_known: Arc::default(),
    }))
}

/// The SDK's default client, but for the roots, and for ring, which is smaller than its aws-lc and starts sooner. The roots are
/// read when the first connection is made.
fn https(roots: TrustStore) -> Option<SharedHttpClient> {
    let context = TlsContext::builder().with_trust_store(roots).build().ok()?;
    Some(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context.clone())
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    }))
}

/// Two clients: the second is used once the first has met a certificate of an unknown root.
#[derive(Debug)]
struct WithFallback {
    known: SharedHttpClient,
    system: SharedHttpClient,
    distrusts_known: Arc<AtomicBool>,
}

impl HttpClient for WithFallback {
    /// The SDK asks for each attempt. So the retry of the attempt that met the certificate already uses the system's roots.
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        if self.distrusts_known.load(Ordering::Relaxed) {
            return self.system.http_connector(settings, components);
        }
        SharedHttpConnector::new(Watched {
            connector: self.known.http_connector(settings, components),
            distrusts_known: Arc::clone(&self.distrusts_known),
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.known.connector_metadata()
    }
}

#[derive(Debug)]
struct Watched {
    connector: SharedHttpConnector,
    distrusts_known: Arc<AtomicBool>,
}

impl HttpConnector for Watched {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let response = self.connector.call(request);
        let distrusts_known = Arc::clone(&self.distrusts_known);
        HttpConnectorFuture::new(async move {
            let response = response.await;
            if let Err(error) = &response
                && is_of_an_unknown_root(error)
                && !distrusts_known.swap(true, Ordering::Relaxed)
            {
                tracing::warn!(
                    "the store's certificate comes from none of Amazon's known roots: trusting the system's roots"
                );
            }
            response
        })
    }
}

fn is_of_an_unknown_root(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return *reason == CertificateError::UnknownIssuer;
        }
        next = match error.downcast_ref::<io::Error>().map(io::Error::get_ref) {
            // An I/O error's source is the source of what it holds, and so skips what it holds.
            Some(Some(held)) => Some(held),
            Some(None) => None,
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lambda::client::from_sdk_config;
    use crate::lambda::logging::tests::Lines;
    use crate::lambda::logging::{LogFormat, subscriber};
    use crate::table::store::Store;
    use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
    use aws_types::SdkConfig;
    use domain::time::Timestamp;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use sha2::{Digest, Sha256};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tracing::instrument::WithSubscriber;
    use tracing::level_filters::LevelFilter;

    const WARNING: &str =
        "the store's certificate comes from none of Amazon's known roots: trusting the system's roots";

    fn amazon() -> TrustStore {
        TrustStore::empty().with_pem_certificate(AMAZON_ROOTS)
    }

    fn roots_of(issuer: &CertifiedIssuer<'_, KeyPair>) -> TrustStore {
        TrustStore::empty().with_pem_certificate(issuer.pem())
    }

    fn private_issuer() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// A store that finds no item, with a certificate of this issuer.
    async fn store(issuer: &CertifiedIssuer<'_, KeyPair>) -> String {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = vec![0; 16 * 1024];
                while let Ok(1..) = stream.read(&mut request).await {
                    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    stream.write_all(response).await.unwrap();
                }
            }
        });
        format!("https://localhost:{port}")
    }

    /// Whether a function with this client reaches the store, by the n-th of so many requests; and its log.
    async fn ask(endpoint: &str, client: SharedHttpClient, requests: usize) -> (Vec<bool>, String) {
        let credentials = Credentials::new("test", "test", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(crate::lambda::client::behavior_version())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(endpoint)
            .http_client(client)
            .build();
        let store = Store::new(from_sdk_config(&config), "workspaces".to_owned());
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(LogFormat::Text, LevelFilter::INFO, move || writer.clone());
        let mut reached = Vec::new();
        async {
            for _ in 0..requests {
                reached.push(store.warm_up().await.is_ok());
            }
        }
        .with_subscriber(subscriber)
        .await;
        (reached, lines.text())
    }

    #[tokio::test]
    async fn a_certificate_of_a_new_root_is_an_alarm_and_no_outage() {
        let issuer = private_issuer();
        let endpoint = store(&issuer).await;
        let client = with_fallback(amazon(), roots_of(&issuer)).unwrap();
        let (reached, log) = ask(&endpoint, client, 3).await;
        assert_eq!(reached, [true; 3], "{log}");
        assert_eq!(log.matches(WARNING).count(), 1, "{log}");
        assert!(log.contains("WARN"), "{log}");
    }

    #[tokio::test]
    async fn a_known_root_is_no_alarm() {
        let issuer = private_issuer();
        let endpoint = store(&issuer).await;
        let client = with_fallback(roots_of(&issuer), TrustStore::empty()).unwrap();
        assert_eq!(ask(&endpoint, client, 2).await, (vec![true; 2], String::new()));
    }

    #[tokio::test]
    async fn a_certificate_of_no_root_at_all_is_refused() {
        let endpoint = store(&private_issuer()).await;
        let client = with_fallback(amazon(), roots_of(&private_issuer())).unwrap();
        let (reached, log) = ask(&endpoint, client, 2).await;
        assert_eq!(reached, [false; 2], "{log}");
        assert_eq!(log.matches(WARNING).count(), 1, "{log}");
    }

    /// Only the system's roots can know another endpoint's.
    #[tokio::test]
    async fn another_endpoint_is_asked_with_the_system_s_roots() {
        let endpoint = store(&private_issuer()).await;
        let client = http_client(Some(&endpoint)).unwrap();
        assert_eq!(ask(&endpoint, client, 1).await, (vec![false], String::new()));
        assert!(is_plain("HTTP://127.0.0.1:8000") && !is_plain("https://127.0.0.1:8000") && !is_plain("a"));
    }

    /// What an operator compares with <https://www.amazontrust.com/repository/>.
    #[test]
    fn each_root_is_the_published_one_and_lives_for_another_year() {
        let now = Timestamp::now().rfc3339();
        let (year, rest) = now.split_once('-').unwrap();
        let in_a_year = format!("{}-{rest}", year.parse::<u32>().unwrap() + 1);
        let text = std::str::from_utf8(AMAZON_ROOTS).unwrap();
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(AMAZON_ROOTS).collect::<Result<_, _>>().unwrap();
        let all = |label| text.lines().filter_map(move |line| line.strip_prefix(label));
        let said = all("sha256: ").zip(all("expires: "));
        assert_eq!((certificates.len(), said.clone().count()), (5, 5));
        for (certificate, (sha256, expires)) in certificates.iter().zip(said) {
            assert_eq!(hex(&Sha256::digest(certificate)), sha256);
            assert_eq!(last_day(certificate), expires, "{sha256}");
            assert!(expires > in_a_year.as_str(), "{sha256} expires on {expires}: is there a successor?");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The second of the certificate's two times, each a UTCTime of DER: YYMMDDhhmmssZ.
    fn last_day(certificate: &[u8]) -> String {
        let time = certificate.windows(15).filter_map(|bytes| bytes.strip_prefix(&[0x17, 13])).nth(1);
        let digits: Vec<_> =
            time.unwrap()[..6].chunks(2).map(|two| std::str::from_utf8(two).unwrap()).collect();
        format!("20{}", digits.join("-"))
    }
}
