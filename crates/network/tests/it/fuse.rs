//! A network computes the same, fused or not, on the CPU and on the reference.

use sharpness_curvature::SymmetricOperator as _;
use sharpness_kernels::Cpu;
use sharpness_network::Network;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::{Activation, Backend, Loss, Reference, Shape};
use sharpness_network::op::BatchNorm;
use sharpness_network::operators::Matrix;

use crate::tiny::{ALL, SEED, Tiny, model, shrunk};

/// Rounding of sums of a few thousand products, relative to the norm.
const ROUNDING: f64 = 1e-11;

/// The loss, its gradient, and a product with its Hessian.
fn measured<B: Backend>(tiny: &Tiny<B>) -> [Vec<f64>; 3] {
    let mut operator = tiny.curvature(Matrix::Hessian, 3, ALL);
    let v: Vec<f64> = (0_u32..).map(|i| f64::from(i).sin()).take(operator.dim()).collect();
    let mut product = vec![0.0; v.len()];
    operator.apply(&v, &mut product).unwrap();
    [vec![operator.loss()], operator.gradient().to_vec(), product]
}

/// The network on a few examples.
fn tiny<B: Backend>(network: Network<B>) -> Tiny<B> {
    Tiny::around(network, 5, BatchNorm::Batch, SEED)
}

fn check(config: &ModelConfig) {
    let (model, loss) = (model(config), Loss::SoftmaxCrossEntropy);
    let name = format!("{} with {}", config.arch.name(), config.activation.name());
    let fused = tiny(Network::compile(&model, Cpu::<f64>::default(), loss));
    let plain = tiny(Network::new(Cpu::<f64>::default(), model.compile_plain(), loss));
    let reference = tiny(Network::compile(&model, Reference, loss));
    let layers = plain.network.layers().len();
    assert_eq!(layers, reference.network.layers().len(), "{name}: the reference fuses nothing");
    let is_fused = config.activation == Activation::Relu;
    assert_eq!(fused.network.layers().len() < layers, is_fused, "{name}: ReLUs are fused");
    let want = measured(&reference);
    for (got, way) in [(measured(&fused), "fused"), (measured(&plain), "unfused")] {
        for ((got, want), what) in got.iter().zip(&want).zip(["loss", "gradient", "product"]) {
            let error = got.iter().zip(want).map(|(g, w)| (g - w).powi(2)).sum::<f64>().sqrt();
            let size = want.iter().map(|w| w * w).sum::<f64>().sqrt();
            assert!(error <= ROUNDING * size, "{name}, {way}: the {what} is off by {error:e} of {size:e}");
        }
    }
}

#[test]
fn fusing_changes_nothing_but_rounding() {
    for arch in Architecture::ALL {
        for activation in [Activation::Relu, Activation::Silu] {
            check(&shrunk(arch, activation));
        }
    }
}

#[test]
fn relu_networks_have_the_fused_layers_of_their_architecture() {
    let kinds = |arch, activation| {
        let config = ModelConfig { activation, ..ModelConfig::new(arch) };
        let model = config.model(Shape::new(3, 32, 32), 10).unwrap();
        let network = Network::compile(&model, Cpu::<f32>::default(), Loss::SoftmaxCrossEntropy);
        network.layers().into_iter().map(|layer| format!("{} {}", layer.name, layer.kind)).collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(Architecture::CnnBn, Activation::Relu),
        [
            "features.0 conv2d",
            "features.1 batch_norm+relu+pool",
            "features.4 conv2d",
            "features.5 batch_norm+relu+pool",
            "flatten flatten",
            "classifier linear",
        ]
    );
    assert_eq!(
        kinds(Architecture::Mlp, Activation::Relu),
        ["flatten flatten", "fc1 linear+relu", "fc2 linear+relu", "fc3 linear",]
    );
    let fixup = kinds(Architecture::FixupResnet20, Activation::Relu);
    assert_eq!(
        fixup[..3],
        [
            "conv1 conv2d+bias+relu",
            "layer1.0.conv1 bias+conv2d+bias+relu",
            "layer1.0.conv2 bias+conv2d+scale+bias+add+relu",
        ]
    );
    assert_eq!(
        fixup[7..11],
        [
            "layer2.0.bias1a scalar_bias",
            "layer2.0.conv1 conv2d+bias+relu",
            "layer2.0.shortcut subsample",
            "layer2.0.conv2 bias+conv2d+scale+bias+add+relu",
        ]
    );
    assert_eq!(
        kinds(Architecture::Cnn, Activation::Gelu)[..3],
        ["features.0 conv2d", "features.1 gelu", "features.2 max_pool",]
    );
}
