//! Downloads one file: resumes by HTTP ranges (RFC 9110, section 14), verifies, and renames when complete.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use sharpness_network::files;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::file::{FetchedFile, Progress, RemoteFile};
use crate::{Error, Result};

/// The timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The timeout of the start of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may send nothing before the download fails.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// The size of a read from the network, in bytes.
const PIECE_BYTES: usize = 1 << 16;

/// Downloads into one folder.
pub(super) struct Client {
    agent: Agent,
    folder: PathBuf,
}

/// One file while it is being downloaded.
struct Transfer<'a> {
    file: &'a RemoteFile,
    url: String,
    part: PathBuf,
}

impl Client {
    /// Creates `folder` if necessary.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_per_read(Some(SILENCE_TIMEOUT))
            .build();
        Ok(Self { agent: config.into(), folder: folder.to_owned() })
    }

    /// Downloads one file into the folder unless it is already there.
    pub(super) fn fetch(
        &self,
        base_url: &str,
        file: &RemoteFile,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<FetchedFile> {
        let path = self.folder.join(&file.name);
        if path.is_file() && md5_of(&path)? == file.md5 {
            return Ok(FetchedFile { path, was_present: true });
        }
        let transfer = Transfer {
            file,
            url: format!("{}/{}", base_url.trim_end_matches('/'), file.name),
            part: self.folder.join(format!("{}.part", file.name)),
        };
        // A complete part was left by a process that ended just before it renamed the part.
        if !(transfer.part.is_file() && md5_of(&transfer.part)? == file.md5) {
            self.transfer(&transfer, progress)?;
            transfer.check()?;
        }
        fs::rename(&transfer.part, &path).map_err(Error::io("create", &path))?;
        sync_directory(&self.folder)?;
        Ok(FetchedFile { path, was_present: false })
    }

    /// Completes the part, from its end if the server supports ranges, otherwise from the start.
    fn transfer(&self, transfer: &Transfer<'_>, progress: &mut dyn FnMut(Progress<'_>)) -> Result<()> {
        let held_bytes = fs::metadata(&transfer.part).map_or(0, |metadata| metadata.len());
        let mut response = self.request(transfer, held_bytes)?;
        let mut is_continued =
            response.status() == StatusCode::PARTIAL_CONTENT && range_start(&response) == Some(held_bytes);
        let is_wrong_range = response.status() == StatusCode::RANGE_NOT_SATISFIABLE
            || response.status() == StatusCode::PARTIAL_CONTENT && !is_continued;
        if is_wrong_range {
            // The part does not match the file of the server.
            response = self.request(transfer, 0)?;
            is_continued = false;
        }
        if response.status() != StatusCode::OK && !is_continued {
            return Err(self.failed(transfer, format!("the server answered {}", response.status())));
        }
        transfer.receive(response, if is_continued { held_bytes } else { 0 }, progress)
    }

    /// Requests the bytes of the file from `start_byte`.
    fn request(&self, transfer: &Transfer<'_>, start_byte: u64) -> Result<Response<Body>> {
        let mut request = self.agent.get(&transfer.url);
        if start_byte > 0 {
            request = request.header(header::RANGE, format!("bytes={start_byte}-"));
        }
        request.call().map_err(|error| match error {
            ureq::Error::Io(error) => self.failed(transfer, error.to_string()),
            error => self.failed(transfer, error.to_string()),
        })
    }

    fn failed(&self, transfer: &Transfer<'_>, reason: String) -> Error {
        Error::Download { url: transfer.url.clone(), reason, folder: self.folder.clone() }
    }
}

impl Transfer<'_> {
    /// Writes the body of `response` after the first `held_bytes` of the part and syncs it.
    fn receive(
        &self,
        response: Response<Body>,
        held_bytes: u64,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<()> {
        let write_error = || Error::io("write", &self.part);
        let mut options = File::options();
        options.create(true).append(held_bytes > 0).write(true).truncate(held_bytes == 0);
        let mut part = files::open_to_write(&mut options, &self.part).map_err(write_error())?;

        let total_bytes = response.body().content_length().and_then(|length| length.checked_add(held_bytes));
        let mut body = response.into_body().into_reader();
        let mut piece = vec![0; PIECE_BYTES];
        let mut done_bytes = held_bytes;
        progress(Progress { file: &self.file.name, done_bytes, total_bytes });
        loop {
            let reason = match body.read(&mut piece) {
                Ok(0) if total_bytes.is_none_or(|total| done_bytes >= total) => break,
                Ok(0) => "the server closed the connection".to_owned(),
                Ok(n) => {
                    part.write_all(&piece[..n]).map_err(write_error())?;
                    done_bytes += n as u64;
                    progress(Progress { file: &self.file.name, done_bytes, total_bytes });
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error.to_string(),
            };
            let (url, part) = (self.url.clone(), self.part.clone());
            return Err(Error::Interrupted { url, received_bytes: done_bytes, reason, part });
        }
        part.sync_all().map_err(write_error())
    }

    /// Deletes the part if it is not the expected file.
    fn check(&self) -> Result<()> {
        let found = md5_of(&self.part)?;
        if found == self.file.md5 {
            return Ok(());
        }
        fs::remove_file(&self.part).map_err(Error::io("delete", &self.part))?;
        Err(Error::Checksum { url: self.url.clone(), expected: self.file.md5.clone(), found })
    }
}

/// The first byte of a partial response, from `Content-Range: bytes START-END/TOTAL`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// The MD5 checksum of a file in hexadecimal. Cost: one pass over the file, in pieces.
fn md5_of(path: &Path) -> Result<String> {
    let mut file = files::open_to_read(path).map_err(Error::io("open", path))?;
    let mut hash = Md5::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => hash.update(&piece[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path)(error)),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a rename in `folder` durable.
fn sync_directory(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))?;
    }
    Ok(())
}
