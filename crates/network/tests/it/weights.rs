//! Weights files: round trips, PyTorch's habits, and files that are not what they should be.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::tensor::{Dtype, TensorView};
use sharpness_kernels::Cpu;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::{Loss, Shape};
use sharpness_network::{Network, Weights};

fn network() -> Network<Cpu<f32>> {
    let model = ModelConfig::new(Architecture::CnnBn).model(Shape::new(1, 8, 8), 10);
    Network::compile(&model.expect("the architecture builds"), Cpu::default(), Loss::SoftmaxCrossEntropy)
}

/// A file with the network's tensors under other names, in `f64`, with PyTorch's batch counter beside them.
fn file(rename: impl Fn(&str) -> String, weights: &Weights) -> Vec<u8> {
    let network = network();
    let tables = [(network.parameters(), &weights.parameters), (network.state(), &weights.state)];
    let mut data = vec![("features.1.num_batches_tracked".to_owned(), Dtype::I64, vec![], vec![0; 8])];
    for (table, flat) in tables {
        for tensor in table.tensors() {
            let bytes = flat[tensor.range()].iter().flat_map(|x| x.to_le_bytes()).collect();
            data.push((rename(&tensor.name), Dtype::F64, tensor.shape.clone(), bytes));
        }
    }
    let views = data.iter().map(|(name, dtype, shape, bytes): &(_, _, _, Vec<u8>)| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize(views, None).expect("a file")
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, bytes).expect("a file");
    (folder, path)
}

/// What reading `bytes` says is wrong.
fn problem(bytes: &[u8]) -> String {
    let (_folder, path) = written(bytes);
    let text = Weights::read(&path, &network(), "cnn-bn").unwrap_err().to_string();
    assert!(text.contains("weights.safetensors"), "the error names the file: {text}");
    text
}

#[test]
fn a_round_trip_keeps_every_bit() {
    let network = network();
    let mut weights = Weights::initial(&network, 5);
    // An f32 network's weights are f32 values.
    weights.parameters.iter_mut().for_each(|x| *x = f64::from(*x as f32));
    let (_folder, path) = written(&weights.to_bytes(&network, BTreeMap::new()).expect("bytes"));
    assert_eq!(Weights::read(&path, &network, "cnn-bn").expect("weights"), weights, "round trip");
}

#[test]
fn pytorch_names_and_counters_are_read() {
    let weights = Weights::initial(&network(), 6);
    let (_folder, path) = written(&file(str::to_owned, &weights));
    assert_eq!(Weights::read(&path, &network(), "cnn-bn").expect("weights"), weights, "by name");
}

#[test]
fn a_number_that_is_not_finite_is_named() {
    let mut weights = Weights::initial(&network(), 8);
    weights.parameters[3] = f64::NAN;
    let text = problem(&file(str::to_owned, &weights));
    assert!(text.contains("features.0.weight") && text.contains("element 3"), "{text}");
}

#[test]
fn damaged_files_are_errors() {
    let bytes = file(str::to_owned, &Weights::initial(&network(), 9));
    for len in [0, 1, 7, 8, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        problem(&bytes[..len]);
    }
    problem(&[u64::MAX.to_le_bytes().as_slice(), b"{}"].concat());
    problem(&[2_u64.to_le_bytes().as_slice(), b"[]"].concat());
    // Every byte of the header turned over: an error or the same tensors, never a panic.
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    for i in 0..header {
        let mut bytes = bytes.clone();
        bytes[i] ^= 0x15;
        let (_folder, path) = written(&bytes);
        let _ = Weights::read(&path, &network(), "cnn-bn");
    }
}

#[test]
fn a_missing_file_and_a_folder_are_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path().join("none.safetensors"), folder.path().to_owned()] {
        let text = Weights::read(&path, &network(), "cnn-bn").unwrap_err().to_string();
        assert!(text.contains("cannot read"), "{text}");
    }
}

#[test]
fn a_file_far_larger_than_the_network_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("huge.safetensors");
    let file = std::fs::File::create(&path).expect("a file");
    file.set_len(1 << 40).expect("a sparse file");
    let text = Weights::read(&path, &network(), "cnn-bn").unwrap_err().to_string();
    assert!(text.contains("the most that is read"), "{text}");
}
