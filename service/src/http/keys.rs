//! API keys: several, from a file that is followed, compared in constant time.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::problem::Problem;

/// Who calls: the name of their key. Without keys all are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The key's name.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Making images.
    Caller,
    /// Managing models too.
    Administrator,
}

/// The keys, if any are asked for.
#[derive(Debug, Default)]
pub struct KeyRing {
    path: Option<PathBuf>,
    keys: RwLock<Vec<Key>>,
    followed: Mutex<Followed>,
}

/// What was seen of the file, as digests of its bytes.
#[derive(Debug, Default)]
struct Followed {
    /// What was read last, whether it could be used or not.
    read: [u8; 32],
    /// What was there at the last look.
    seen: [u8; 32],
}

/// A key is kept as its digest: all are of one length, and a memory dump does not show it.
#[derive(Clone, Debug)]
struct Key {
    caller: Caller,
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
    #[error("{} holds no key; write one a line, as `name:key`, `key` or `admin:name:key`", .0.display())]
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
        let ring = Self { path, ..Self::default() };
        ring.reload()?;
        Ok(ring)
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// When it cannot be used; the keys that were there stay.
    pub fn reload(&self) -> Result<(), KeysError> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = read(path)?;
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).read = digest(&text);
        self.take(path, &text)
    }

    /// Looks at the file, to be called every few seconds: reads it again where it has changed and been the same at two
    /// looks, so that one which is being written is left alone. Answers whether there are new keys.
    ///
    /// # Errors
    /// When it cannot be used; the keys that were there stay, and the same content is not told again.
    pub fn follow(&self) -> Result<bool, KeysError> {
        let Some(path) = &self.path else { return Ok(false) };
        // A file that is gone for a moment is being replaced; the keys stay.
        let Ok(text) = read(path) else { return Ok(false) };
        let now = digest(&text);
        {
            let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
            let settled = std::mem::replace(&mut followed.seen, now) == now;
            if !settled || followed.read == now {
                return Ok(false);
            }
            followed.read = now;
        }
        self.take(path, &text).map(|()| true)
    }

    fn take(&self, path: &Path, text: &[u8]) -> Result<(), KeysError> {
        let text = std::str::from_utf8(text).map_err(|error| KeysError::Read {
            path: path.to_owned(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
        })?;
        let keys = parse_keys(path, text)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
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
            return Ok(Caller { name: "anonymous".into(), role: Role::Caller });
        }
        let given = given_key(headers).ok_or_else(|| {
            Problem::unauthorized("send your key as `Authorization: Bearer KEY` or `X-Api-Key: KEY`")
        })?;
        let digest = digest(given);
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        // Every key is looked at, so that the time taken tells nothing.
        let known = keys.iter().fold(None, |known, key| {
            if bool::from(key.digest.ct_eq(&digest)) { Some(key.caller.clone()) } else { known }
        });
        known.ok_or_else(|| Problem::unauthorized("this key is not known; ask the operator for one"))
    }
}

/// Characters of the shortest key.
const SHORTEST_KEY: usize = 16;

fn given_key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let bearer = bearer.and_then(|value| {
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key.trim_ascii())
    });
    bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()))
}

fn read(path: &Path) -> Result<Vec<u8>, KeysError> {
    fs::read(path).map_err(|source| KeysError::Read { path: path.to_owned(), source })
}

fn parse_keys(path: &Path, text: &str) -> Result<Vec<Key>, KeysError> {
    let mut keys = Vec::new();
    for (index, line) in text.lines().map(trimmed).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let (role, named) = match line.split_once(':') {
            Some((role, named)) if trimmed(role) == "admin" => (Role::Administrator, trimmed(named)),
            _ => (Role::Caller, line),
        };
        let (name, key) = match named.split_once(':') {
            Some((name, key)) => (trimmed(name).to_owned(), trimmed(key)),
            None => (format!("key {number}"), named),
        };
        if key.chars().count() < SHORTEST_KEY {
            return Err(KeysError::Short { path: path.to_owned(), line: number });
        }
        keys.push(Key { caller: Caller { name: name.into(), role }, digest: digest(key.as_bytes()) });
    }
    if keys.is_empty() { Err(KeysError::Empty(path.to_owned())) } else { Ok(keys) }
}

/// Without white space around it, or the mark that some editors begin a file with.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
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
        let name = |headers| ring.caller(&headers).map(|caller| caller.name.to_string());
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

    #[test]
    fn a_file_that_changes_is_read_once_it_has_settled_and_a_useless_one_is_told_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| fs::write(file.path(), text).unwrap();
        write("alice:0123456789abcdef");
        let ring = KeyRing::open(Some(file.path().to_owned())).unwrap();
        let knows = |key| ring.caller(&headers("x-api-key", key)).is_ok();
        assert!(!ring.follow().unwrap() && !ring.follow().unwrap(), "nothing has changed");

        write("bob:fedcba98765");
        assert!(!ring.follow().unwrap(), "it may be half written");
        write("bob:fedcba9876543210");
        assert!(!ring.follow().unwrap() && knows("0123456789abcdef"));
        assert!(ring.follow().unwrap() && knows("fedcba9876543210") && !knows("0123456789abcdef"));

        write("bob:short");
        assert!(!ring.follow().unwrap());
        assert!(ring.follow().unwrap_err().to_string().contains("line 1"));
        assert!(!ring.follow().unwrap() && knows("fedcba9876543210"), "told once, and the keys stay");
        fs::remove_file(file.path()).unwrap();
        assert!(!ring.follow().unwrap() && knows("fedcba9876543210"), "it is being replaced");
    }

    #[test]
    fn keys_are_read_without_what_surrounds_them_and_with_their_role() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "\u{feff}bob: 0123456789abcdefX\n spaced :\tabcdefghijklmnop \r\nx:aaaaaaaaaaaaaaaa:bbbb\n\
                    admin:ops:a-key-of-operators\nadmin: nameless-operators-key\n";
        write!(file, "{text}").unwrap();
        let ring = KeyRing::open(Some(file.path().to_owned())).unwrap();
        for (key, name, role) in [
            ("0123456789abcdefX", "bob", Role::Caller),
            ("abcdefghijklmnop", "spaced", Role::Caller),
            ("aaaaaaaaaaaaaaaa:bbbb", "x", Role::Caller),
            ("a-key-of-operators", "ops", Role::Administrator),
            ("nameless-operators-key", "key 5", Role::Administrator),
        ] {
            let caller = ring.caller(&headers("x-api-key", key)).unwrap();
            assert_eq!((&*caller.name, caller.role), (name, role));
        }
        fs::write(file.path(), "bob: 123456789012345\n").unwrap();
        assert!(ring.reload().is_err(), "15 characters and a space are no 16");
    }
}
