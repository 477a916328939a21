//! The HTTP client: connections are kept and new ones opened as needed, as a busy caller's are.

use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderValue, Method, Request, StatusCode, Uri, header, uri::Scheme},
};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{End, mix::Call};
use crate::outcome::Mistake;

/// An answer larger than this is no picture of ours.
const MOST_BYTES: usize = 256 << 20;
/// What every PNG begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Sends requests to one server. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<HttpConnector, Body>,
    base: String,
    key: Option<HeaderValue>,
    /// A request that has no answer after this long is lost.
    patience: Duration,
}

impl Client {
    /// Of the server at `url`, with its API key, if it needs one.
    ///
    /// # Errors
    /// When the address or the key cannot be used.
    pub fn new(url: &str, key: Option<&str>, patience: Duration) -> anyhow::Result<Self> {
        let uri: Option<Uri> = url.parse().ok();
        let spoken = |uri: &Uri| uri.scheme() == Some(&Scheme::HTTP) && uri.authority().is_some();
        if !uri.as_ref().is_some_and(spoken) {
            return Err(Mistake::error(format!("--url is `{url}`; write it as http://HOST:PORT")));
        }
        let key = key.map(|key| format!("Bearer {key}").parse()).transpose();
        let key = key.map_err(|_| Mistake::error("the API key has characters that no header can hold"))?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(patience));
        let http =
            legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { http, base: url.trim_end_matches('/').to_owned(), key, patience })
    }

    /// The JSON at a path.
    ///
    /// # Errors
    /// When there is none.
    pub async fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("{}{path}", self.base);
        let request = self.request(Method::GET, &url).body(Body::empty())?;
        let (status, body) =
            timeout(self.patience, self.exchange(request)).await.with_context(|| format!("ask {url}"))??;
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => {
                return Err(Mistake::error("the server wants a key; give --key-file"));
            }
            status => bail!("{url} answered {status}"),
        }
        serde_json::from_slice(&body).with_context(|| format!("{url} is no Spadework server"))
    }

    /// Sends a call and reads its answer whole.
    pub async fn send(&self, call: &Call) -> End {
        let url = format!("{}/synthesize?{}", self.base, call.query);
        let request = self.request(Method::POST, &url).header(header::CONTENT_TYPE, call.content_type);
        let Ok(request) = request.body(Body::from(call.body.clone())) else {
            return End::Lost(format!("{url} is no address"));
        };
        match timeout(self.patience, self.exchange(request)).await {
            Err(_) => End::Lost(format!("no answer within {:?}", self.patience)),
            Ok(Err(error)) => End::Lost(format!("{error:#}")),
            Ok(Ok((StatusCode::OK, body))) if !body.starts_with(PNG) => {
                End::Lost("200 without a picture".to_owned())
            }
            Ok(Ok((status, _))) => End::Status(status.as_u16()),
        }
    }

    fn request(&self, method: Method, url: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(url);
        match &self.key {
            Some(key) => request.header(header::AUTHORIZATION, key),
            None => request,
        }
    }

    async fn exchange(&self, request: Request<Body>) -> anyhow::Result<(StatusCode, Bytes)> {
        let response = self.http.request(request).await?;
        let (parts, body) = response.into_parts();
        Ok((parts.status, to_bytes(Body::new(body), MOST_BYTES).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused() {
        let client = |url| Client::new(url, None, Duration::from_secs(1));
        assert!(client("http://127.0.0.1:8080/").is_ok());
        for url in ["", "127.0.0.1:8080", "https://example.com", "http://"] {
            assert!(client(url).err().unwrap().to_string().contains("http://HOST:PORT"), "{url}");
        }
    }
}
