//! A web server on loopback that gives each path a fixed answer.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::install_tls;

/// What a path answers: a whole HTTP/1.1 answer, after which the connection is closed. Other paths answer 404.
pub type Answers = HashMap<String, Vec<u8>>;

/// 200 with this body.
pub fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// 302 to this URL.
pub fn redirect(target: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

/// A status line without the version, such as `503 Service Unavailable`, and no body.
pub fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes()
}

/// A web server; it ends with the test's runtime.
#[derive(Debug)]
pub struct Web {
    port: u16,
    requests: Arc<AtomicUsize>,
    /// The authority that signed its certificate; none for plain http.
    pub ca_pem: Option<String>,
}

impl Web {
    /// Plain http; `answers` gets the port.
    ///
    /// # Panics
    /// When it cannot listen on loopback.
    pub async fn plain(answers: impl FnOnce(u16) -> Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = Arc::new(answers(listener.local_addr().unwrap().port()));
        Self::start(listener, None, move |stream| {
            let answers = Arc::clone(&answers);
            async move { answer(stream, &answers).await }
        })
    }

    /// https, with a certificate of an authority of its own.
    ///
    /// # Panics
    /// When it cannot listen on loopback.
    pub async fn tls(answers: Answers) -> Self {
        install_tls();
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = Arc::new(answers);
        Self::start(listener, Some(ca_certificate.pem()), move |stream| {
            let (answers, acceptor) = (Arc::clone(&answers), acceptor.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream, &answers).await;
                }
            }
        })
    }

    /// Serves each connection in a task of its own.
    fn start<F: Future<Output = ()> + Send + 'static>(
        listener: TcpListener,
        ca_pem: Option<String>,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Self {
            port,
            requests,
            ca_pem,
        }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.ca_pem.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// Number of connections so far: one per request.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers the only request of a connection.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: &Answers) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let missing = status("404 Not Found");
    let _ = stream
        .write_all(answers.get(path).unwrap_or(&missing))
        .await;
    let _ = stream.shutdown().await;
}
