//! The architectures: parameter counts, names, beginnings, and errors for options that cannot be.

use sharpness_kernels::Cpu;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::{Loss, Shape};
use sharpness_network::{Error, Model, Network, Weights};

const CIFAR: Shape = Shape::new(3, 32, 32);

fn network(model: &ModelConfig, input: Shape) -> Network<Cpu<f32>> {
    let model = model.model(input, 10).expect("the architecture builds");
    Network::compile(&model, Cpu::default(), Loss::SoftmaxCrossEntropy)
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let count = |arch, input| network(&ModelConfig::new(arch), input).parameters().len();
    assert_eq!(count(Architecture::Vgg11, CIFAR), 9_750_922, "VGG-11");
    assert_eq!(count(Architecture::Vgg11Bn, CIFAR), 9_756_426, "VGG-11 with batch norm");
    assert_eq!(count(Architecture::FixupResnet32, CIFAR), 461_959, "Fixup ResNet-32");
    assert_eq!(count(Architecture::Mlp, Shape::new(1, 28, 28)), 269_322, "MLP 784-256-256-10");
}

#[test]
fn depth_of_a_fixup_resnet_is_its_number_of_weight_layers() {
    let depths = [
        (Architecture::FixupResnet20, 20),
        (Architecture::FixupResnet32, 32),
        (Architecture::FixupResnet44, 44),
        (Architecture::FixupResnet56, 56),
    ];
    for (arch, depth) in depths {
        let layers = network(&ModelConfig::new(arch), CIFAR).layers();
        let weighted = layers.iter().filter(|l| l.kind.contains("conv2d") || l.kind == "linear").count();
        assert_eq!(weighted, depth, "{}", arch.name());
    }
}

#[test]
fn names_are_those_of_pytorch() {
    let name = |arch, index: usize| {
        network(&ModelConfig::new(arch), CIFAR).parameters().tensors()[index].name.clone()
    };
    assert_eq!(name(Architecture::Vgg11, 2), "features.3.weight", "a pooling counts");
    assert_eq!(name(Architecture::Vgg11, 20), "classifier.4.weight", "a nonlinearity counts");
    assert_eq!(name(Architecture::Vgg11Bn, 2), "features.1.weight", "batch norm follows its convolution");
    assert_eq!(name(Architecture::FixupResnet32, 2), "layer1.0.bias1a", "a scalar has its own name");
}

#[test]
fn the_seed_decides_the_beginning() {
    let network = network(&ModelConfig::new(Architecture::Cnn), CIFAR);
    let weights = Weights::initial(&network, 3);
    assert_eq!(weights, Weights::initial(&network, 3), "the same seed gives the same weights");
    assert_ne!(weights, Weights::initial(&network, 4), "another seed gives other weights");
}

#[test]
fn weights_begin_as_the_protocol_says() {
    let vgg = network(&ModelConfig::new(Architecture::Vgg11), CIFAR);
    let weights = Weights::initial(&vgg, 0).parameters;
    for tensor in vgg.parameters().tensors().iter().filter(|t| t.name.starts_with("features")) {
        let values = &weights[tensor.range()];
        if tensor.name.ends_with("bias") {
            assert!(values.iter().all(|x| x.abs() == 0.0), "{} is not zero", tensor.name);
            continue;
        }
        let variance = values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64;
        let expected = 2.0 / (9.0 * tensor.shape[0] as f64);
        // The relative deviation of a sample variance is sqrt(2 / n); n is at least 1,728.
        let error = (variance / expected - 1.0).abs();
        assert!(error < 6.0 * (2.0 / values.len() as f64).sqrt(), "{}: variance off by {error}", tensor.name);
    }
    let fixup = network(&ModelConfig::new(Architecture::FixupResnet32), CIFAR);
    let weights = Weights::initial(&fixup, 0).parameters;
    let zero = ["conv2.weight", "fc.weight", "fc.bias"];
    for tensor in fixup.parameters().tensors().iter().filter(|t| zero.iter().any(|z| t.name.ends_with(z))) {
        assert!(weights[tensor.range()].iter().all(|x| x.abs() == 0.0), "{} is not zero", tensor.name);
    }
}

#[test]
fn impossible_options_are_errors_that_name_the_way_out() {
    let graph = |config: &ModelConfig, input| config.model(input, 10);
    let text = |result: Result<Model, Error>| result.map(|_| ()).unwrap_err().to_string();
    let small = graph(&ModelConfig::new(Architecture::Vgg11), Shape::new(1, 28, 28));
    assert!(text(small).contains("at least 32x32"), "VGG-11 says what it needs");
    let dropout = ModelConfig { dropout: 0.5, ..ModelConfig::new(Architecture::Vgg11) };
    assert!(text(graph(&dropout, CIFAR)).contains("only mlp"), "dropout says where it belongs");
    let dropout = ModelConfig { dropout: 1.0, ..ModelConfig::new(Architecture::Mlp) };
    assert!(text(graph(&dropout, CIFAR)).contains("below 1"), "dropout says its range");
    let hidden = ModelConfig { hidden: vec![0], ..ModelConfig::new(Architecture::Mlp) };
    assert!(text(graph(&hidden, CIFAR)).contains("between 1"), "hidden widths say their range");
    let tiny = graph(&ModelConfig::new(Architecture::Cnn), Shape::new(1, 2, 2));
    assert!(text(tiny).contains("features.5"), "an image that is too small names the layer");
}

#[test]
fn an_op_takes_each_value_once() {
    let mut model = Model::default();
    let input = model.input("images", CIFAR);
    let error = model.push("twice", sharpness_network::ops::Add, &[input, input]).unwrap_err();
    assert!(error.to_string().contains("each value once"), "{error}");
}
