//! Downloads from a local server: whole, resumed, wrong, refused.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use sharpness_data::fetch::{FetchedFile, RemoteFile, Source, fetch};
use sharpness_data::{DatasetName, Error, Locations, Result};
use tempfile::TempDir;

use crate::server::{Reply, Server};

/// The MD5 checksum of [`content`], from `md5sum`.
const MD5: &str = "415d6e662118c229c6ad3f950c24702a";
const LEN: usize = 200_000;

fn content() -> Vec<u8> {
    (0..=250).cycle().take(LEN).collect()
}

fn source(base_url: &str) -> Source {
    let file = RemoteFile { name: "file.bin".to_owned(), md5: MD5.to_owned() };
    Source { base_url: base_url.to_owned(), files: vec![file] }
}

fn fetch_into(folder: &Path, server: &Server) -> Result<FetchedFile> {
    source(&server.base_url()).fetch(folder, &mut |_| {}).map(|mut files| files.remove(0))
}

#[track_caller]
fn assert_complete(folder: &Path) {
    assert!(fs::read(folder.join("file.bin")).unwrap() == content(), "the file holds other bytes");
    assert!(!folder.join("file.bin.part").exists(), "the part was left behind");
}

#[test]
fn a_whole_file_arrives_once_with_progress() {
    let server = Server::start(|request| {
        assert_eq!(request.path, "/data/file.bin", "the path asked for");
        Reply::range(&content(), request.start)
    });
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("made/on/the/way");
    let mut seen = Vec::new();
    let files = source(&server.base_url())
        .fetch(&folder, &mut |progress| {
            assert_eq!(progress.file, "file.bin", "file of the progress");
            assert_eq!(progress.total_bytes, Some(LEN as u64), "size of the file");
            seen.push(progress.done_bytes);
        })
        .unwrap();
    assert_eq!(files, [FetchedFile { path: folder.join("file.bin"), was_present: false }], "files");
    assert_complete(&folder);
    assert!(seen.is_sorted() && seen.len() > 3, "progress goes up in pieces: {seen:?}");
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&(LEN as u64))), "progress from 0 to the end");

    assert!(fetch_into(&folder, &server).unwrap().was_present, "a present file is not downloaded again");
    assert_eq!(server.starts(), [None], "one request in all");
    fs::write(folder.join("file.bin"), "damaged").unwrap();
    assert!(!fetch_into(&folder, &server).unwrap().was_present, "a damaged file is downloaded again");
    assert_complete(&folder);
}

#[test]
fn a_cut_download_goes_on_where_it_ended() {
    let server = Server::start(|request| {
        let reply = Reply::range(&content(), request.start);
        if request.start.is_none() { reply.cut(70_000) } else { reply }
    });
    let folder = TempDir::new().unwrap();
    let error = fetch_into(folder.path(), &server).unwrap_err();
    let Error::Interrupted { received_bytes: 70_000, .. } = error else { panic!("another error: {error:?}") };
    let text = error.to_string();
    for words in ["/data/file.bin", "70000 bytes", "file.bin.part", "run the same command again"] {
        assert!(text.contains(words), "'{words}' is not in: {text}");
    }
    assert!(!folder.path().join("file.bin").exists(), "an incomplete file got its name");

    fetch_into(folder.path(), &server).unwrap();
    assert_complete(folder.path());
    assert_eq!(server.starts(), [None, Some(70_000)], "ranges asked for");
}

#[test]
fn a_server_without_ranges_makes_it_start_over() {
    let server = Server::start(|_| Reply::whole(&content()));
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file.bin.part"), &content()[..1000]).unwrap();
    fetch_into(folder.path(), &server).unwrap();
    assert_complete(folder.path());
    assert_eq!(server.starts(), [Some(1000)], "ranges asked for");
}

#[test]
fn a_part_that_does_not_fit_makes_it_start_over() {
    let honest = Server::start(|request| Reply::range(&content(), request.start));
    // A server that answers with another range than was asked for.
    let confused = Server::start(|request| Reply::range(&content(), request.start.map(|start| start + 1)));
    for (server, part_len) in [(honest, LEN + 5), (confused, 1000)] {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("file.bin.part"), vec![1; part_len]).unwrap();
        fetch_into(folder.path(), &server).unwrap();
        assert_complete(folder.path());
        assert_eq!(server.starts(), [Some(part_len), None], "ranges asked for");
    }
}

#[test]
fn a_whole_part_only_needs_its_name() {
    let server = Server::start(|_| Reply::empty("500 Internal Server Error"));
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file.bin.part"), content()).unwrap();
    fetch_into(folder.path(), &server).unwrap();
    assert_complete(folder.path());
    assert_eq!(server.starts(), [], "nothing was asked for");
}

#[test]
fn wrong_bytes_are_deleted_and_named() {
    let server = Server::start(|_| Reply::whole(b"something else"));
    let folder = TempDir::new().unwrap();
    let error = fetch_into(folder.path(), &server).unwrap_err();
    let Error::Checksum { expected, found, .. } = &error else { panic!("another error: {error:?}") };
    assert_eq!(expected, MD5, "expected checksum");
    // From: printf 'something else' | md5sum
    assert_eq!(found, "6c7ba9c5a141421e1c03cb9807c97c74", "found checksum");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "files left in the folder");
}

#[test]
fn refusals_name_the_address_the_reason_and_the_way_out() {
    let missing = Server::start(|_| Reply::empty("404 Not Found"));
    let closed_port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let folder = TempDir::new().unwrap();
    let part = folder.path().join("file.bin.part");
    for (base_url, reason) in [
        (missing.base_url(), "the server answered 404 Not Found"),
        (format!("http://{closed_port}"), "refused"),
        ("no address".to_owned(), ""),
    ] {
        fs::write(&part, "begun").unwrap();
        let error = source(&base_url).fetch(folder.path(), &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::Download { .. }), "another error for {base_url}: {error:?}");
        let text = error.to_string();
        let address = format!("{}/file.bin", base_url.trim_end_matches('/'));
        let by_hand = format!("by hand into {}", folder.path().display());
        for words in [&address, reason, &by_hand] {
            assert!(text.to_lowercase().contains(&words.to_lowercase()), "'{words}' is not in: {text}");
        }
        assert_eq!(fs::read(&part).unwrap(), b"begun", "the part is kept when the server does not answer");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = source("http://127.0.0.1:9").fetch(&file.join("below"), &mut |_| {}).unwrap_err();
    assert!(
        matches!(&error, Error::Io { action: "create", path, .. } if *path == file.join("below")),
        "{error:?}"
    );
}

#[test]
fn every_official_source_goes_where_it_is_searched() {
    let server = Server::start(|_| Reply::empty("404 Not Found"));
    let cache = TempDir::new().unwrap();
    let locations = Locations { cache_dir: Some(cache.path().to_owned()), ..Locations::default() };
    for name in [DatasetName::FashionMnist, DatasetName::Mnist, DatasetName::Cifar10] {
        let error = fetch(name, Some(&server.base_url()), cache.path(), &mut |_| {}).unwrap_err();
        let Error::Download { folder, .. } = error else { panic!("another error for {name}: {error:?}") };
        for file in Source::official(name).unwrap().files {
            assert!(
                file.md5.len() == 32 && file.md5.chars().all(|c| c.is_ascii_hexdigit()),
                "checksum of {}",
                file.name
            );
            fs::write(folder.join(file.name), "").unwrap();
        }
        assert!(locations.find(name).is_ok(), "{name} is not found in {}", folder.display());
    }
    let error = fetch(DatasetName::Digits, None, cache.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::NothingToFetch { .. }), "another error: {error:?}");
}
