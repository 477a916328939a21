//! API keys: several, from a file, read again on demand, compared in constant time.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::problem::Problem;

/// Who calls: the name of their key. Without keys all are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller(pub Arc<str>);

/// The keys, if any are asked for.
#[derive(Debug, Default)]
pub struct KeyRing {
    path: Option<PathBuf>,
    keys: RwLock<Vec<Key>>,
}

/// A key is kept as its digest: all are of one length, and a memory dump does not show it.
#[derive(Clone, Debug)]
struct Key {
    name: Arc<str>,
    digest: [u8; 32],
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It cannot be read.
    #[error("read the keys in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There are no keys in it, which would shut everybody out.
    #[error("{} holds no key; write one a line, as `name:key` or `key`", .0.display())]
    Empty(PathBuf),
    /// A key is too short to be a secret.
    #[error("{}: the key in line {line} has less than 16 characters; make a longer one", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl KeyRing {
    /// The keys in `path`; without a path everybody may call.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(path: Option<PathBuf>) -> Result<Self, KeysError> {
        let keys = path.as_deref().map(read_keys).transpose()?.unwrap_or_default();
        Ok(Self { path, keys: RwLock::new(keys) })
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// When it cannot be used; the keys that were there stay.
    pub fn reload(&self) -> Result<(), KeysError> {
        if let Some(path) = &self.path {
            let keys = read_keys(path)?;
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        }
        Ok(())
    }

    /// Whether a key is needed.
    pub fn asks(&self) -> bool {
        self.path.is_some()
    }

    /// Who sends these headers.
    ///
    /// # Errors
    /// When a key is needed and there is none, or none that is known.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if !self.asks() {
            return Ok(Caller("anonymous".into()));
        }
        let given = given_key(headers).ok_or_else(|| {
            Problem::unauthorized("send your key as `Authorization: Bearer KEY` or `X-Api-Key: KEY`")
        })?;
        let digest = digest(given);
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        // Every key is looked at, so that the time taken tells nothing.
        let known = keys.iter().fold(None, |known, key| {
            if bool::from(key.digest.ct_eq(&digest)) { Some(key.name.clone()) } else { known }
        });
        known
            .map(Caller)
            .ok_or_else(|| Problem::unauthorized("this key is not known; ask the operator for one"))
    }
}

fn given_key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let bearer = bearer.and_then(|value| {
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key.trim_ascii())
    });
    bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()))
}

fn read_keys(path: &Path) -> Result<Vec<Key>, KeysError> {
    let text =
        fs::read_to_string(path).map_err(|source| KeysError::Read { path: path.to_owned(), source })?;
    let mut keys = Vec::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let (name, key) =
            line.split_once(':').map_or((format!("key {number}"), line), |(name, key)| (name.into(), key));
        if key.len() < 16 {
            return Err(KeysError::Short { path: path.to_owned(), line: number });
        }
        keys.push(Key { name: name.into(), digest: digest(key.as_bytes()) });
    }
    if keys.is_empty() { Err(KeysError::Empty(path.to_owned())) } else { Ok(keys) }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
    }

    #[test]
    fn a_key_is_taken_from_either_header_and_replaced_by_a_reload() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "# comment\nalice:0123456789abcdef\nplain-key-without-name").unwrap();
        let ring = KeyRing::open(Some(file.path().to_owned())).unwrap();
        let name = |headers| ring.caller(&headers).map(|caller| caller.0.to_string());
        assert_eq!(name(headers("authorization", "bearer 0123456789abcdef")).unwrap(), "alice");
        assert_eq!(name(headers("x-api-key", "plain-key-without-name")).unwrap(), "key 3");
        assert!(name(headers("x-api-key", "0123456789abcdeg")).is_err());
        assert!(name(headers("authorization", "Basic")).is_err());
        assert!(name(HeaderMap::new()).is_err());

        fs::write(file.path(), "bob:another-long-key-1").unwrap();
        ring.reload().unwrap();
        assert!(name(headers("x-api-key", "0123456789abcdef")).is_err());
        assert_eq!(name(headers("x-api-key", "another-long-key-1")).unwrap(), "bob");

        fs::write(file.path(), "bob:short").unwrap();
        assert!(ring.reload().unwrap_err().to_string().contains("line 1"));
        assert!(name(headers("x-api-key", "another-long-key-1")).is_ok());
    }
}
