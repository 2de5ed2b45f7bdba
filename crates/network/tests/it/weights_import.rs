//! Foreign files of weights: other names, other types, other formats. What is read is right or refused.

use std::path::PathBuf;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use sharpness_kernels::Cpu;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::{Loss, Shape};
use sharpness_network::{Error, Import, Imported, Match, Network, Rename, Weights};

type Net = Network<Cpu<f64>>;

fn network(model: &ModelConfig, shape: Shape) -> Net {
    let model = model.model(shape, 10).expect("the architecture builds");
    Network::compile(&model, Cpu::default(), Loss::SoftmaxCrossEntropy)
}

/// VGG-11 whose classifier and last convolutions are equally wide, as in the published network.
fn vgg() -> Net {
    network(
        &ModelConfig { width_divisor: 16, ..ModelConfig::new(Architecture::Vgg11) },
        Shape::new(3, 32, 32),
    )
}

/// VGG-11 as published.
fn full_vgg() -> Net {
    network(&ModelConfig::new(Architecture::Vgg11), Shape::new(3, 32, 32))
}

fn fixup() -> Net {
    network(&ModelConfig::new(Architecture::FixupResnet20), Shape::new(3, 32, 32))
}

/// A perceptron whose hidden layers have equal shapes.
fn mlp(layers: usize) -> Net {
    network(
        &ModelConfig { hidden: vec![64; layers], ..ModelConfig::new(Architecture::Mlp) },
        Shape::new(1, 8, 8),
    )
}

fn cnn_bn() -> Net {
    network(&ModelConfig::new(Architecture::CnnBn), Shape::new(1, 8, 8))
}

/// A tensor of a file: name, type, shape, bytes.
type Raw = (String, Dtype, Vec<usize>, Vec<u8>);

/// The tensors of `weights` in double precision under the names that `rename` gives; without name they are left out.
fn tensors(network: &Net, weights: &Weights, rename: impl Fn(&str) -> Option<String>) -> Vec<Raw> {
    let tables = [(network.parameters(), &weights.parameters), (network.state(), &weights.state)];
    let all = tables.into_iter().flat_map(|(table, flat)| table.tensors().iter().map(move |one| (one, flat)));
    let raw = |(tensor, flat): (&sharpness_network::Tensor, &Vec<f64>)| {
        let bytes = flat[tensor.range()].iter().flat_map(|x| x.to_le_bytes()).collect();
        Some((rename(&tensor.name)?, Dtype::F64, tensor.shape.clone(), bytes))
    };
    all.filter_map(raw).collect()
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("foreign.safetensors");
    std::fs::write(&path, bytes).expect("a file");
    (folder, path)
}

fn import_raw(network: &Net, raw: &[Raw], import: &Import) -> Result<Imported, Error> {
    let views = raw.iter().map(|(name, dtype, shape, bytes)| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"))
    });
    let (_folder, path) = written(&safetensors::serialize(views, None).expect("a file"));
    Weights::import(&path, network, import, "the network")
}

/// Imports the weights of an initialization under other names, and asserts that they are right if they are read at all.
#[track_caller]
fn import(network: &Net, rename: impl Fn(&str) -> String, import: &Import) -> Result<Imported, String> {
    let weights = Weights::initial(network, 7);
    let raw = tensors(network, &weights, |name| Some(rename(name)));
    let imported = import_raw(network, &raw, import).map_err(|error| error.to_string())?;
    assert!(imported.weights == weights, "tensors were paired wrongly: {:?}", imported.origin.pairs);
    for pair in &imported.origin.pairs {
        assert_eq!(pair.file, rename(&pair.network), "the pairs that are told are those that were used");
    }
    Ok(imported)
}

fn by(matching: Match) -> Import {
    Import { matching, ..Import::default() }
}

fn renaming(matching: Match, pairs: &[&str]) -> Import {
    let renames = pairs.iter().map(|pair| pair.parse().expect("a pair")).collect();
    Import { matching, renames, ..Import::default() }
}

/// Replaces the module of a name, and keeps the tensor's own.
fn with_module(name: &str, rename: impl Fn(&str) -> String) -> String {
    let (module, tensor) = name.rsplit_once('.').expect("a dotted name");
    format!("{}.{tensor}", rename(module))
}

/// The place of a module of VGG-11 among its eleven layers.
fn layer_of_vgg(module: &str) -> usize {
    let modules = [
        "features.0",
        "features.3",
        "features.6",
        "features.8",
        "features.11",
        "features.13",
        "features.16",
        "features.18",
        "classifier.0",
        "classifier.2",
        "classifier.4",
    ];
    modules.iter().position(|known| *known == module).unwrap_or_else(|| panic!("VGG-11 has no {module}"))
}

fn layer_of_mlp(module: &str) -> usize {
    module.strip_prefix("fc").and_then(|number| number.parse().ok()).expect("a layer of an MLP")
}

fn number_of(name: &str) -> usize {
    layer_of_mlp(name.split('.').next().expect("a module"))
}

/// What a tensor is to its module: `weight`, `bias`.
fn kind_of(name: &str) -> &str {
    name.rsplit('.').next().expect("a last component")
}

#[test]
fn prefixes_of_wrappers_and_common_ones_do_not_matter() {
    for prefix in [
        "",
        "module.",
        "_orig_mod.",
        "model.",
        "module._orig_mod.",
        "model.model.",
        "net.",
        "backbone.encoder.",
        "net_",
    ] {
        for network in [vgg(), mlp(3), cnn_bn(), fixup()] {
            let imported = import(&network, |name| format!("{prefix}{name}"), &Import::default());
            assert_eq!(imported.map(|one| one.origin.matched), Ok(Match::Name), "prefix {prefix}");
        }
    }
    let inside = |name: &str| {
        name.replace("features.", "features.module.").replace("classifier.", "classifier._orig_mod.")
    };
    import(&vgg(), inside, &Import::default()).expect("wrapped parts of a network");
}

#[test]
fn equal_shapes_pair_by_the_numbers_in_their_names() {
    let order = by(Match::Order);
    // Ten and more: as text, fc10 comes before fc2.
    for network in [mlp(12), vgg(), full_vgg()] {
        let imported = import(&network, str::to_owned, &order).expect("the network's own names");
        assert_eq!(imported.origin.matched, Match::Name, "names that fit are taken");
    }
    for rename in [
        |n: usize| format!("h{n}"),
        // Most names are names of the network, too, but of the next layer.
        |n| format!("fc{}", n - 1),
        |n| format!("net.{}", 2 * n),
        |n| format!("block{}.{}.lin", n / 4, n % 4),
    ] {
        let imported =
            import(&mlp(12), |name| with_module(name, |module| rename(layer_of_mlp(module))), &order);
        assert_eq!(imported.map(|one| one.origin.matched), Ok(Match::Order), "as {}", rename(1));
    }
    let torchvision =
        |name: &str| name.replace("classifier.2.", "classifier.3.").replace("classifier.4.", "classifier.6.");
    import(&full_vgg(), torchvision, &order).expect("features and classifier have biases of equal shapes");
    let vgg_bn = network(&ModelConfig::new(Architecture::Vgg11Bn), Shape::new(3, 32, 32));
    import(&vgg_bn, torchvision, &order).expect("batch norm in between");
    let stages = |name: &str| name.replace("layer", "stage").replace("conv", "c");
    import(&fixup(), stages, &order).expect("numbers of stages, blocks and layers");
    let counted = |module: &str| match layer_of_vgg(module) {
        layer @ 0..8 => format!("conv{}", layer + 1),
        layer => format!("a{}", layer - 8),
    };
    import(&vgg(), |name| with_module(name, counted), &order)
        .expect("the classifier comes first in the alphabet");
    let sequential = |module: &str| (3 * layer_of_vgg(module)).to_string();
    import(&vgg(), |name| with_module(name, sequential), &order).expect("one sequence of numbers");
}

#[test]
fn what_names_leave_open_is_refused_with_the_candidates() {
    let order = by(Match::Order);
    let greek = ["", "alpha", "beta", "gamma", "delta"];
    let names = |name: &str| with_module(name, |module| greek[layer_of_mlp(module)].to_owned());
    let text = import(&mlp(3), names, &order).expect_err("nothing tells alpha from beta");
    for part in ["`alpha`, `beta`, `gamma`", "`fc1`, `fc2`, `fc3`", "--rename alpha=fc1", "--rename-file"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let by_name = import(&mlp(3), names, &Import::default()).expect_err("other names");
    for part in ["fc1.weight [64, 64]", "alpha.weight [64, 64]", "--match order", "--rename"] {
        assert!(by_name.contains(part), "`{part}` is not in: {by_name}");
    }
    // Zeros in front make no order, a name with and one without a number make none, and descending numbers contradict it.
    let names: [fn(usize) -> String; 4] = [
        |n| format!("l{}{}", "0".repeat(n), 1),
        |n| if n == 1 { "layer".to_owned() } else { format!("layer{n}") },
        |n| format!("up{}", 9 - n),
        |n| format!("{}.layer", ["", "x1", "y1", "x2", "y2"][n]),
    ];
    for rename in names {
        let text = import(&mlp(3), |name| with_module(name, |module| rename(layer_of_mlp(module))), &order);
        assert!(text.as_ref().is_err_and(|text| text.contains("--rename")), "as {}: {text:?}", rename(2));
    }
}

#[test]
fn tensors_named_without_modules_pair_if_shapes_and_numbers_settle_it() {
    let order = by(Match::Order);
    let flat = |name: &str| format!("{}{}", &kind_of(name)[..1], number_of(name));
    let suffixed = |name: &str| format!("layer{}_{}", number_of(name), kind_of(name));
    let numbered = |name: &str| format!("p{}", 2 * number_of(name) + usize::from(kind_of(name) == "bias"));
    for imported in [
        import(&mlp(12), flat, &order),
        import(&mlp(12), suffixed, &order),
        import(&mlp(12), numbered, &order),
    ] {
        assert_eq!(imported.map(|one| one.origin.matched), Ok(Match::Order), "one order is possible");
    }
    let distinct = network(
        &ModelConfig { hidden: vec![32, 16], ..ModelConfig::new(Architecture::Mlp) },
        Shape::new(1, 8, 8),
    );
    let letters = |name: &str| format!("{}{}", ["", "z", "m", "a"][number_of(name)], &kind_of(name)[..1]);
    import(&distinct, letters, &order).expect("every shape is there once");

    let letters =
        |name: &str| format!("{}{}", ["", "z", "m", "k", "a"][number_of(name)], &kind_of(name)[..1]);
    let text = import(&mlp(3), letters, &order).expect_err("equal shapes without numbers");
    for part in ["`kb`, `mb`, `zb`", "`fc1.bias`, `fc2.bias`, `fc3.bias`", "--rename kb=fc1.bias"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let place = |name: &str| {
        let cnn = cnn_bn();
        let tables = [cnn.parameters().tensors(), cnn.state().tensors()].concat();
        format!("p{}", tables.iter().position(|one| one.name == name).expect("a tensor"))
    };
    let text = import(&cnn_bn(), place, &order).expect_err("weights of batch norm look like its biases");
    assert!(text.contains("--rename"), "{text}");
    // A scale of a norm in the place of a bias.
    let scales = |name: &str| name.replace("fc1.weight", "in.w").replace("fc2.bias", "norm.weight");
    let text = import(&distinct, scales, &order).expect_err("a weight is no bias");
    assert!(text.contains("norm.weight [16]") && text.contains("--rename"), "{text}");
}

/// Shuffled and odd names: the helper asserts that whatever is read is right.
#[test]
fn no_naming_is_paired_wrongly() {
    let mut read = 0;
    for seed in 0..200_usize {
        // A permutation of eleven layers by a stride that is prime to eleven.
        let place = |layer: usize| (layer * (1 + seed % 10) + seed / 10) % 11;
        let letter = |layer: usize| char::from(b'a' + u8::try_from(place(layer)).expect("a small number"));
        let rename = |module: &str| {
            let layer = layer_of_vgg(module);
            match seed % 4 {
                0 => format!("{}.{}", letter(layer), layer),
                1 => format!("m.{}", letter(layer)),
                2 => format!("part{}.{}", layer / 4, layer % 4),
                _ if layer < 8 => format!("z.{layer}"),
                _ => format!("a.{layer}"),
            }
        };
        read += usize::from(import(&vgg(), |name| with_module(name, rename), &by(Match::Order)).is_ok());
    }
    assert_eq!(read, 100, "those whose numbers tell the order are read");
}

#[test]
fn stated_pairs_settle_what_is_open() {
    let greek = ["", "alpha", "beta", "gamma", "delta"];
    let names = |name: &str| with_module(name, |module| greek[layer_of_mlp(module)].to_owned());
    let all = ["alpha=fc1", "beta=fc2", "gamma=fc3", "delta.weight=fc4.weight", "delta.bias=fc4.bias"];
    let imported = import(&mlp(3), names, &renaming(Match::Name, &all)).expect("every pair is stated");
    assert_eq!(imported.origin.matched, Match::Name, "stated names are names");
    import(&mlp(3), names, &renaming(Match::Order, &["alpha=fc1", "gamma=fc3"])).expect("the rest is forced");
    let prefixed = |name: &str| {
        if name.starts_with("fc1.") { name.replace("fc1", "stem") } else { format!("net.{name}") }
    };
    import(&mlp(3), prefixed, &renaming(Match::Name, &["stem=fc1"])).expect("the others share a prefix");
    for (pairs, part) in [
        (&["alpha=fc9"][..], "is renamed `fc9."),
        (&["alpha=fc4"], "the shape"),
        (&["alpha=fc1", "beta=fc1"], "are both renamed"),
        (&["alpha=fc1", "alpha=fc2"], "renamed twice"),
        (&["omega=fc1"], "no tensor or module `omega`"),
        (&["alph=fc1"], "no tensor or module `alph`"),
    ] {
        let text = import(&mlp(3), names, &renaming(Match::Order, pairs)).expect_err("a pair that cannot be");
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn pairs_are_read_line_by_line() {
    let parsed = Rename::parse_lines("# a comment\n\n net.0 = fc1 \nx=y.weight=fc2.weight\n").expect("lines");
    let pair = |file: &str, network: &str| Rename { file: file.to_owned(), network: network.to_owned() };
    assert_eq!(parsed, [pair("net.0", "fc1"), pair("x=y.weight", "fc2.weight")], "two pairs");
    for text in ["net.0", "=fc1", "net.0="] {
        let problem = Rename::parse_lines(&format!("a=b\n{text}")).expect_err("no pair");
        assert!(problem.starts_with("line 2: ") && problem.contains(text), "{problem}");
    }
}

#[test]
fn half_precisions_are_read() {
    let network = mlp(1);
    let mut weights = Weights::initial(&network, 3);
    // Both formats have these: eighths, the smallest and the largest numbers of each.
    for (i, x) in weights.parameters.iter_mut().enumerate() {
        *x = (i % 31) as f64 / 8.0 - 1.5;
    }
    weights.parameters[..4].copy_from_slice(&[2.0_f64.powi(-14), -2.0, 1.0, 0.0]);
    let full = tensors(&network, &weights, |name| Some(name.to_owned()));
    let converted = |dtype, to_bytes: fn(f64) -> [u8; 2]| -> Vec<Raw> {
        let convert = |(name, _, shape, bytes): &Raw| {
            let numbers = bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b));
            (name.clone(), dtype, shape.clone(), numbers.flat_map(to_bytes).collect())
        };
        full.iter().map(convert).collect()
    };
    for raw in [
        converted(Dtype::F16, |x| f16::from_f64(x).to_le_bytes()),
        converted(Dtype::BF16, |x| bf16::from_f64(x).to_le_bytes()),
    ] {
        let imported = import_raw(&network, &raw, &Import::default()).expect("a file in half precision");
        assert!(imported.weights == weights, "{:?}", raw[0].1);
    }
    let mut subnormal = converted(Dtype::F16, |x| f16::from_f64(x).to_le_bytes());
    subnormal[0].3[..2].copy_from_slice(&[1, 0]);
    let imported = import_raw(&network, &subnormal, &Import::default()).expect("the smallest number");
    assert!((imported.weights.parameters[0] - 2.0_f64.powi(-24)).abs() <= 0.0, "2^-24");
}

#[test]
fn counters_and_tensors_without_elements_are_passed_over() {
    let (network, weights) = (mlp(2), Weights::initial(&mlp(2), 3));
    let mut raw = tensors(&network, &weights, |name| Some(format!("module.{name}")));
    raw.push(("n_averaged".to_owned(), Dtype::I64, vec![], vec![0; 8]));
    raw.push(("empty".to_owned(), Dtype::F32, vec![0], vec![]));
    raw.push(("module.fc1.extra".to_owned(), Dtype::U8, vec![3, 0, 2], vec![]));
    let imported = import_raw(&network, &raw, &Import::default()).expect("an averaged model");
    assert!(imported.weights == weights, "the weights themselves");
}

#[test]
fn running_statistics_may_be_missing_where_they_are_not_used() {
    let (network, mut weights) = (cnn_bn(), Weights::initial(&cnn_bn(), 3));
    weights.state.iter_mut().for_each(|x| *x += 0.5);
    let raw = tensors(&network, &weights, |name| (!name.contains("running")).then(|| name.to_owned()));
    let optional = Import { statistics_optional: true, ..Import::default() };
    let imported = import_raw(&network, &raw, &optional).expect("no statistics");
    assert_eq!(imported.weights.parameters, weights.parameters, "the parameters are the file's");
    assert_eq!(
        imported.weights.state,
        Weights::initial(&network, 0).state,
        "the statistics are the initial ones"
    );
    let text = import_raw(&network, &raw, &Import::default()).expect_err("they are needed").to_string();
    assert!(text.contains("running_mean") && text.contains("--bn batch"), "{text}");
    let wrapped: Vec<Raw> =
        raw.iter().cloned().map(|one| (format!("module.{}", one.0), one.1, one.2, one.3)).collect();
    let text = import_raw(&network, &wrapped, &Import::default()).expect_err("they are needed").to_string();
    assert!(text.contains("--bn batch"), "{text}");
    let all = tensors(&network, &weights, |name| Some(name.to_owned()));
    assert!(import_raw(&network, &all, &optional).expect("all").weights == weights, "present ones are read");
    let some = tensors(&network, &weights, |name| (!name.contains("1.running")).then(|| name.to_owned()));
    let one_more = [all.as_slice(), &[("ema".to_owned(), Dtype::F64, vec![1], vec![0; 8])]].concat();
    let text = import_raw(&network, &one_more, &optional).expect_err("a tensor too many").to_string();
    assert!(text.contains("expected: ema [1]") && !text.contains("--match"), "no pairing helps: {text}");
    import_raw(&network, &some, &optional).expect_err("one layer without statistics is a damaged file");
}

#[test]
fn files_of_other_formats_are_named_with_the_way_out() {
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n".as_slice();
    for (bytes, parts) in [
        (lfs, ["Git LFS pointer", "git lfs pull"]),
        (b"\n<!DOCTYPE html>\n<html lang=en>", ["HTML page", "download the file itself"]),
        (b"<HTML><head>", ["HTML page", "download"]),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error>", ["XML", "download"]),
        (b"PK\x03\x04\x00\x00archive/data.pkl", ["torch.save", "safetensors.torch.save_file"]),
        (
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
            ["torch.save", "safetensors.torch.save_file"],
        ),
        (b"\x80\x05\x95", ["pickle", "safetensors.torch.save_file"]),
        (b"GGUF\x03\x00\x00\x00", ["GGUF", "safetensors"]),
        (b"\x89HDF\r\n\x1a\n\x00", ["HDF5", "safetensors"]),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", ["NumPy", "safetensors"]),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", ["gzip", "gunzip"]),
    ] {
        // A file may be too large for the network, too.
        for padding in [0, 300 << 20] {
            let (_folder, path) = written(bytes);
            let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
            file.set_len(bytes.len() as u64 + padding).expect("zeros");
            let text = Weights::read(&path, &mlp(1), "mlp").expect_err("no safetensors").to_string();
            for part in parts {
                assert!(text.contains(part), "`{part}` is not in: {text}");
            }
        }
    }
    // A header of 640 bytes begins as a pickle does.
    let header = format!("{:<640}", "{}");
    let (_folder, path) = written(&[640_u64.to_le_bytes().as_slice(), header.as_bytes()].concat());
    let text = Weights::read(&path, &mlp(1), "mlp").expect_err("no tensor").to_string();
    assert!(text.contains("0 found"), "this is safetensors: {text}");
    let (_folder, path) = written(&[640_u64.to_le_bytes().as_slice(), &header.as_bytes()[..300]].concat());
    let text = Weights::read(&path, &mlp(1), "mlp").expect_err("a truncated header").to_string();
    assert!(text.contains("the file has 308 bytes"), "this is damaged safetensors: {text}");
}

#[test]
fn an_initialization_is_told_from_other_weights() {
    for network in [vgg(), mlp(2), cnn_bn()] {
        let mut weights = Weights::initial(&network, 11);
        assert!(weights.can_be_initial(&network), "an initialization");
        let bias =
            network.parameters().tensors().iter().find(|one| one.name.ends_with("bias")).expect("a bias");
        weights.parameters[bias.offset] += 0.5;
        assert!(!weights.can_be_initial(&network), "a bias that no initialization has");
    }
}
