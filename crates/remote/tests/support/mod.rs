//! A web server of files in memory that can break off, know no ranges, or be gone.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use sha2::{Digest as _, Sha256};

/// What the server has and how it behaves.
#[derive(Default)]
pub(crate) struct Site {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Breaks each of the next answers off after so many bytes.
    pub(crate) breaks: Vec<usize>,
    /// Answers a range with everything.
    pub(crate) no_ranges: bool,
    /// Closes every connection without a word.
    pub(crate) gone: bool,
    /// Every GET: its path and its range.
    pub(crate) asked: Vec<(String, Option<usize>)>,
}

/// The running server.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) url: String,
    site: Arc<Mutex<Site>>,
}

impl Web {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let web = Self { url, site: Arc::default() };
        let serving = web.clone();
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| serving.answer(stream)));
        web
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Site) -> T) -> T {
        change(&mut self.site.lock().unwrap())
    }

    /// Puts the files of a model under `path`, and their manifest.
    pub(crate) fn publish(&self, path: &str, files: &[(&str, &[u8])]) {
        let line = |(name, bytes): &(&str, &[u8])| format!("{}  {name}\n", sha256(bytes));
        let manifest: String = files.iter().map(line).collect();
        self.with(|site| {
            for (name, bytes) in files {
                site.files.insert(format!("{path}/{name}"), bytes.to_vec());
            }
            site.files.insert(format!("{path}/SHA256SUMS"), manifest.into_bytes());
        });
    }

    /// The GETs since the last call, manifests left out.
    pub(crate) fn asked(&self) -> Vec<(String, Option<usize>)> {
        let asked = self.with(|site| std::mem::take(&mut site.asked));
        asked.into_iter().filter(|(path, _)| !path.ends_with("SHA256SUMS")).collect()
    }

    /// One request to a connection. Errors are those of a peer that has left, which is its own affair.
    fn answer(&self, stream: TcpStream) {
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let Some(request) = lines.next() else { return };
        let mut range = None;
        for line in lines.take_while(|line| !line.is_empty()) {
            if let Some(from) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                range = from.trim_end_matches('-').parse().ok();
            }
        }
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
        let (head, body) = self.with(|site| site.answer(method, path, range)).unwrap_or_default();
        let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body));
    }
}

impl Site {
    fn answer(&mut self, method: &str, path: String, range: Option<usize>) -> Option<(String, Vec<u8>)> {
        if self.gone {
            return None;
        }
        if method == "GET" {
            self.asked.push((path.clone(), range));
        }
        let Some(file) = self.files.get(&path) else {
            return Some((
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
                vec![],
            ));
        };
        let from = range.filter(|_| !self.no_ranges);
        let mut body = file[from.unwrap_or(0)..].to_vec();
        let status = from.map_or("200 OK".to_owned(), |from| {
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", file.len() - 1, file.len())
        });
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        if method == "HEAD" {
            body.clear();
        } else if !path.ends_with("SHA256SUMS") && !self.breaks.is_empty() {
            body.truncate(self.breaks.remove(0));
        }
        Some((head, body))
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
