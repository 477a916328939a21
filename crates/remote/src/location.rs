//! A URL to the store behind it. Credentials and endpoints come from the variables that each cloud's own tools read.

use std::{sync::Arc, time::Duration};

use object_store::{
    ClientConfigKey, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    http::HttpBuilder,
    path::Path,
};
use url::{Position, Url};

use crate::{RemoteError, manifest::is_model_name};

/// How long a store may be silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(20);
/// How long one request is tried again. A server that starts without its store must not wait for minutes.
const RETRY_FOR: Duration = Duration::from_secs(10);
/// How long one request may take in all. Weights take as long as they take; only silence is an error.
const LONGEST: &str = "6h";

/// A place of models.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    /// For people.
    pub(crate) shown: String,
    /// Its last part: the model's name, if it is one.
    pub(crate) name: String,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) prefix: Path,
    /// Whether folders can be listed; a web server has no way to.
    pub(crate) lists: bool,
}

impl Location {
    /// Makes the store's client; asks nothing of the store.
    pub(crate) fn parse(text: &str) -> Result<Self, RemoteError> {
        let wrong = |reason: String| RemoteError::Url { url: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("it names no host or bucket".to_owned()))?;
        let shown =
            format!("{}://{}{}", url.scheme(), authority(&url, host), url.path().trim_end_matches('/'));
        if url.query().is_some() || url.password().is_some() || !url.username().is_empty() {
            // It is not repeated here: what is secret in it would end up in the log.
            let reason = "it carries a query or credentials, which are not sent".to_owned();
            return Err(RemoteError::Url { url: shown, reason });
        }
        let prefix = Path::from_url_path(url.path()).map_err(|error| wrong(error.to_string()))?;
        let last = prefix.parts().next_back().map(|part| part.as_ref().to_owned());
        let name = last.unwrap_or_else(|| host.to_owned());
        if !is_model_name(&name) {
            return Err(wrong(format!("`{name}` cannot be a model's name")));
        }
        let store = client(&url).ok_or_else(|| wrong(format!("`{}` is no store", url.scheme())))?;
        let store = store.map_err(|source| RemoteError::Client { url: shown.clone(), source })?;
        Ok(Self { shown, name, store, prefix, lists: !url.scheme().starts_with("http") })
    }

    /// The path of a file below the place.
    pub(crate) fn path(&self, folder: Option<&str>, file: &str) -> Path {
        let folder = folder.map_or_else(|| self.prefix.clone(), |folder| self.prefix.clone().join(folder));
        folder.join(file)
    }

    /// A file below the place, for messages.
    pub(crate) fn show(&self, folder: Option<&str>, file: &str) -> String {
        folder.map_or_else(
            || format!("{}/{file}", self.shown),
            |folder| format!("{}/{folder}/{file}", self.shown),
        )
    }
}

fn authority(url: &Url, host: &str) -> String {
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The client for a scheme; none for an unknown one.
fn client(url: &Url) -> Option<object_store::Result<Arc<dyn ObjectStore>>> {
    fn shared(store: impl ObjectStore) -> Arc<dyn ObjectStore> {
        Arc::new(store)
    }
    let retry = RetryConfig { max_retries: 4, retry_timeout: RETRY_FOR, ..RetryConfig::default() };
    let silence = format!("{}s", SILENCE.as_secs());
    Some(match url.scheme() {
        "s3" => AmazonS3Builder::from_env()
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), LONGEST)
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ReadTimeout), silence)
            .with_url(url.as_str())
            .with_retry(retry)
            .build()
            .map(shared),
        "gs" => GoogleCloudStorageBuilder::from_env()
            .with_config(GoogleConfigKey::Client(ClientConfigKey::Timeout), LONGEST)
            .with_config(GoogleConfigKey::Client(ClientConfigKey::ReadTimeout), silence)
            .with_url(url.as_str())
            .with_retry(retry)
            .build()
            .map(shared),
        "az" => MicrosoftAzureBuilder::from_env()
            .with_config(AzureConfigKey::Client(ClientConfigKey::Timeout), LONGEST)
            .with_config(AzureConfigKey::Client(ClientConfigKey::ReadTimeout), silence)
            .with_url(url.as_str())
            .with_retry(retry)
            .build()
            .map(shared),
        "https" | "http" => HttpBuilder::new()
            .with_config(ClientConfigKey::Timeout, LONGEST)
            .with_config(ClientConfigKey::ReadTimeout, silence)
            .with_config(ClientConfigKey::AllowHttp, (url.scheme() == "http").to_string())
            .with_url(&url[..Position::BeforePath])
            .with_retry(retry)
            .build()
            .map(shared),
        _ => return None,
    })
}

/// Lets this process speak TLS. The clients that are used here look the implementation up where the whole process has
/// it; a second call changes nothing.
pub fn install_tls() {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_has_its_store() {
        install_tls();
        for (url, name, lists) in [
            ("s3://bucket/models/", "models", true),
            ("gs://bucket", "bucket", true),
            ("https://example.com:8443/models/land", "land", false),
        ] {
            let location = Location::parse(url).unwrap();
            assert_eq!((location.name.as_str(), location.lists), (name, lists), "{url}");
        }
        let web = Location::parse("https://example.com/a%20b/c/").unwrap();
        assert_eq!(web.show(Some("m"), "config.json"), "https://example.com/a%20b/c/m/config.json");
        assert_eq!(web.path(Some("m"), "config.json").as_ref(), "a b/c/m/config.json");
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_write() {
        for url in ["ftp://host/models", "s3:///models", "s3://", "https://"] {
            let said = Location::parse(url).unwrap_err().to_string();
            assert!(said.contains(url) && said.contains("s3://bucket/path"), "{said}");
        }
        for url in ["https://user:secret@host/m", "https://host/m?token=secret"] {
            let said = Location::parse(url).unwrap_err().to_string();
            assert!(said.contains("credentials") && !said.contains("secret"), "{said}");
        }
    }
}
