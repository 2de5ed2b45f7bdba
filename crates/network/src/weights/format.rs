//! What a file is that is not safetensors, by how it begins, and the way to the weights.

const CONVERT: &str =
    "convert it in Python: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')";
const DOWNLOAD: &str =
    "servers send one for a file that needs a login or has moved; download the file itself";

/// Each beginning that is known, in lower case, with what it is of and what to do.
const KNOWN: [(&[u8], &str, &str); 13] = [
    (
        b"version https://git-lfs",
        "a Git LFS pointer in place of the file",
        "get the file itself with `git lfs pull`",
    ),
    (b"<!doctype html", "an HTML page", DOWNLOAD),
    (b"<html", "an HTML page", DOWNLOAD),
    (b"<?xml", "an XML document", DOWNLOAD),
    (b"pk\x03\x04", "a zip archive, as torch.save and numpy.savez write (.pth, .pt, .npz)", CONVERT),
    (b"\x80\x02", "a Python pickle, as torch.save wrote before PyTorch 1.6 (.pth, .pt)", CONVERT),
    (b"\x80\x03", "a Python pickle", CONVERT),
    (b"\x80\x04", "a Python pickle", CONVERT),
    (b"\x80\x05", "a Python pickle", CONVERT),
    (b"gguf", "a GGUF file", "export the original weights as safetensors"),
    (b"\x89hdf\r\n\x1a\n", "an HDF5 file, as Keras writes (.h5)", "export the weights as safetensors"),
    (b"\x93numpy", "a NumPy array (.npy)", "write all tensors with safetensors.numpy.save_file"),
    (b"\x1f\x8b", "a gzip file", "unpack it with gunzip"),
];

/// What a file that begins with `head` is, and the way out; none if it is nothing known.
pub(super) fn describe(head: &[u8]) -> Option<String> {
    // A safetensors file, if a damaged one: the length of its header may look like the beginning of a pickle.
    if head.get(8) == Some(&b'{') {
        return None;
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |start: &[u8], with: &[u8]| {
        start.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    let known = KNOWN.iter().find(|(with, ..)| begins(head, with) || begins(text, with));
    known.map(|(_, what, way_out)| format!("it is {what}; {way_out}"))
}
