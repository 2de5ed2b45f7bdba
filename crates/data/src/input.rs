//! The bytes of a data file, plain or gzipped, read once from front to back. Errors name the offset where
//! the file is not what it should be.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use md5::{Digest as _, Md5};
use sharpness_network::files;

use crate::{Error, Result};

/// The size of the largest data file, in bytes. The largest official one has 170 MB.
const LIMIT: u64 = 1 << 30;
/// The size of a read from the disk, in bytes.
pub(super) const BUFFER_BYTES: usize = 1 << 18;

/// A stream of bytes with its name and offset. Memory: one buffer, whatever the file says.
pub(super) struct Input<'a> {
    file: PathBuf,
    content: Box<dyn Read + 'a>,
    offset: u64,
    unpacked: bool,
}

impl<'a> Input<'a> {
    /// Opens a file and unpacks its content if it starts like a gzip file.
    pub(super) fn open(path: &Path) -> Result<Input<'static>> {
        let mut file = BufReader::with_capacity(BUFFER_BYTES, open_file(path)?);
        let start = file.fill_buf().map_err(Error::io("read", path))?;
        let packed = start.starts_with(&[0x1f, 0x8b]);
        let content: Box<dyn Read> = if packed { Box::new(Gunzip::new(file)) } else { Box::new(file) };
        Ok(Input { file: path.to_owned(), content, offset: 0, unpacked: packed })
    }

    /// Reads `content`, which is already unpacked, under the name `file`.
    pub(super) fn new(file: PathBuf, content: impl Read + 'a) -> Self {
        Self { file, content: Box::new(content), offset: 0, unpacked: false }
    }

    /// Overwrites the whole of `buffer` with the next bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the content ends before or is corrupt; `what` says what the bytes are.
    pub(super) fn fill(&mut self, mut buffer: &mut [u8], what: &str) -> Result<()> {
        while !buffer.is_empty() {
            let missing = buffer.len();
            let expected = || format!("{missing} more {} of {what}", plural("byte", missing));
            match self.next(buffer, expected)? {
                0 => return Err(self.malformed(self.offset, expected(), "the end of the file".to_owned())),
                n => buffer = &mut buffer[n..],
            }
        }
        Ok(())
    }

    /// The name of the file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The MD5 checksum of the rest, in hexadecimal; for a gzip file, of the unpacked content.
    pub(super) fn md5(mut self) -> Result<String> {
        let mut hash = Md5::new();
        let mut piece = vec![0; BUFFER_BYTES];
        loop {
            match self.next(&mut piece, || "more of the file".to_owned())? {
                0 => break Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
                n => hash.update(&piece[..n]),
            }
        }
    }

    /// Checks that nothing follows; for a gzip file, this also verifies its checksum.
    pub(super) fn finish(mut self) -> Result<()> {
        let expected = || "the end of the file".to_owned();
        let offset = self.offset;
        match self.next(&mut [0], expected)? {
            0 => Ok(()),
            _ => Err(self.malformed(offset, expected(), "more bytes".to_owned())),
        }
    }

    /// The error for content at `offset` that is not what the format asks for.
    pub(super) fn malformed(&self, offset: u64, expected: String, found: String) -> Error {
        Error::Malformed { file: self.file.clone(), offset, unpacked: self.unpacked, expected, found }
    }

    /// The number of bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads at most `buffer.len()` bytes and returns how many; 0 at the end.
    fn next(&mut self, buffer: &mut [u8], expected: impl Fn() -> String) -> Result<usize> {
        loop {
            match self.content.read(buffer) {
                Ok(n) => {
                    self.offset += n as u64;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_corruption(&error) => {
                    return Err(self.malformed(
                        self.offset,
                        expected(),
                        format!("corrupt packed data ({error})"),
                    ));
                }
                Err(source) => return Err(Error::Io { action: "read", path: self.file.clone(), source }),
            }
        }
    }
}

/// The content of a gzip file: that of all its members, possibly followed by zeros, which gzip also accepts. Tapes and
/// blocks of a fixed size pad files this way.
pub(super) struct Gunzip<R> {
    /// The member that is being read; none at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gunzip<R> {
    pub(super) fn new(packed: R) -> Self {
        Self { member: Some(GzDecoder::new(packed)) }
    }

    /// The member that begins after the zeros in `rest`.
    fn next_member(mut rest: R) -> io::Result<Option<GzDecoder<R>>> {
        loop {
            let held = match rest.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                held => held?,
            };
            match (held.len(), held.iter().position(|&byte| byte != 0)) {
                (0, _) => return Ok(None),
                (zeros, None) => rest.consume(zeros),
                (_, Some(zeros)) => {
                    rest.consume(zeros);
                    return Ok(Some(GzDecoder::new(rest)));
                }
            }
        }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let n = member.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            self.member =
                self.member.take().map_or(Ok(None), |ended| Self::next_member(ended.into_inner()))?;
        }
        Ok(0)
    }
}

/// Opens a data file for reading.
pub(super) fn open_file(path: &Path) -> Result<Take<File>> {
    files::open(path, LIMIT).map_err(Error::io("open", path))
}

/// Whether a read failed because of the file's content and not because of the disk. The decoders of gzip
/// and tar report corrupt content as an [`io::Error`] without a code of the operating system.
pub(super) fn is_corruption(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

fn plural(noun: &str, count: usize) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}
