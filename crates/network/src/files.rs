//! Opening files that users or other programs made. Only regular files are opened, so that a named pipe cannot hang the
//! program, and only a stated number of bytes is read, so that an endless file cannot fill its memory.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _, Take};
use std::path::Path;

/// Opens the regular file at `path` for reading. Symbolic links are followed.
///
/// # Errors
/// If there is something other than a regular file, named in the message, or the system refuses.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    // Opening a device may act on it, so look first.
    if let Ok(metadata) = fs::metadata(path) {
        check_regular(&metadata)?;
    }
    // A pipe may have taken its place since, and opening one would wait for its other end.
    #[cfg(unix)]
    let flags = libc::O_NONBLOCK;
    #[cfg(not(unix))]
    let flags = 0;
    open_regular(File::options().read(true), path, flags)
}

/// Opens the regular file at `path` as `options` say, which allow writing. Symbolic links are refused: they may lead to any file
/// of the user's.
///
/// # Errors
/// As [`open_to_read`].
pub fn open_to_write(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    check_to_write(path)?;
    // Neither a pipe nor a link may have taken its place since.
    #[cfg(unix)]
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    #[cfg(not(unix))]
    let flags = 0;
    open_regular(options, path, flags)
}

#[cfg_attr(not(unix), expect(unused_variables, reason = "there are no such flags"))]
fn open_regular(options: &mut OpenOptions, path: &Path, flags: i32) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags);
    let file = options.open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens the regular file at `path` for reading at most `limit` bytes.
///
/// # Errors
/// As [`open_to_read`]; if the file is larger than `limit`.
pub fn open(path: &Path, limit: u64) -> io::Result<Take<File>> {
    let file = open_to_read(path)?;
    if file.metadata()?.len() > limit { Err(too_large(limit)) } else { Ok(file.take(limit)) }
}

/// The content of the regular file at `path`, which has at most `limit` bytes.
///
/// # Errors
/// As [`open`]; if it cannot be read, or grows beyond `limit` meanwhile.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = open(path, limit)?;
    // One byte more shows that the file has more.
    file.set_limit(limit.saturating_add(1));
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    if content.len() as u64 > limit { Err(too_large(limit)) } else { Ok(content) }
}

/// As [`read`], for a text.
///
/// # Errors
/// As there; if the content is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        io::Error::new(io::ErrorKind::InvalidData, format!("byte {offset} is not UTF-8 text"))
    })
}

/// Accepts a path that may be written or replaced: a regular file is there, or nothing that can be looked at.
///
/// # Errors
/// If something else is there, such as a symbolic link, named in the message.
pub fn check_to_write(path: &Path) -> io::Result<()> {
    fs::symlink_metadata(path).map_or(Ok(()), |metadata| check_regular(&metadata))
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let problem = format!("this is {}, not a regular file", kind(metadata.file_type()));
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        return "a directory";
    } else if found.is_symlink() {
        return "a symbolic link";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;

        if found.is_fifo() {
            return "a pipe";
        } else if found.is_socket() {
            return "a socket";
        } else if found.is_char_device() || found.is_block_device() {
            return "a device";
        }
    }
    "something else"
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("the file has more than {limit} bytes, the most that is read"),
    )
}
