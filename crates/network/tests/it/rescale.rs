//! Rescaled layers: the same function, and the Hessian that follows from it.

use sharpness_curvature::SymmetricOperator as _;
use sharpness_kernels::Cpu;
use sharpness_network::RescaledLayers;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::Activation;
use sharpness_network::op::BatchNorm;
use sharpness_network::operators::Matrix;

use crate::fixture::{assert_close, signed};
use crate::tiny::{ALL, SEED, Tiny, shrunk};

type F64 = Tiny<Cpu<f64>>;

fn tiny(arch: Architecture, activation: Activation) -> F64 {
    let model = ModelConfig {
        dropout: if arch == Architecture::Mlp { 0.3 } else { 0.0 },
        ..shrunk(arch, activation)
    };
    F64::new(Cpu::default(), &model, 5, BatchNorm::Running, SEED)
}

/// What each parameter is multiplied by.
fn factors(tiny: &F64, layers: &RescaledLayers, alpha: f64) -> Vec<f64> {
    let factor = |name: &str| {
        let (module, tensor) = name.rsplit_once('.').unwrap();
        match tensor {
            _ if module == layers.multiplied => alpha,
            "weight" if module == layers.divided => 1.0 / alpha,
            _ => 1.0,
        }
    };
    let tensors = tiny.network.parameters().tensors();
    tensors.iter().flat_map(|tensor| std::iter::repeat_n(factor(&tensor.name), tensor.len())).collect()
}

#[test]
fn the_function_stays_and_its_derivatives_follow_the_chain_rule() {
    for (arch, pairs) in [(Architecture::Mlp, 2), (Architecture::Cnn, 2), (Architecture::Vgg11, 10)] {
        let original = tiny(arch, Activation::Relu);
        let layers = original.network.rescalable();
        assert_eq!(layers.len(), pairs, "{arch:?}: {layers:?}");
        for layers in layers {
            for alpha in [10.0, 0.3] {
                let label = format!("{arch:?}, {layers:?}, α = {alpha}");
                let mut rescaled = tiny(arch, Activation::Relu);
                rescaled.weights = original.network.rescale(&original.weights, &layers, alpha).unwrap();
                let factors = factors(&original, &layers, alpha);
                let mut old = original.curvature(Matrix::Hessian, ALL, ALL);
                let mut new = rescaled.curvature(Matrix::Hessian, ALL, ALL);
                assert_close(&label, new.loss(), old.loss(), 1e-12 * old.loss());
                // L'(D w) = L(w): the gradient is D⁻¹ g, and the Hessian is D⁻¹ H D⁻¹.
                let dim = factors.len();
                let v: Vec<f64> = (0..dim as u64).map(|i| signed(7, i)).collect();
                let scaled: Vec<f64> = v.iter().zip(&factors).map(|(v, f)| v / f).collect();
                let (mut product, mut expected) = (vec![0.0; dim], vec![0.0; dim]);
                old.apply(&scaled, &mut expected).unwrap();
                new.apply(&v, &mut product).unwrap();
                let size = expected.iter().zip(&factors).map(|(x, f)| (x / f).abs()).fold(0.0, f64::max);
                assert!(size > 0.0, "{label}: there is curvature");
                for i in 0..dim {
                    assert_close(&label, product[i], expected[i] / factors[i], 1e-11 * size);
                    assert_close(&label, new.gradient()[i] * factors[i], old.gradient()[i], 1e-11);
                }
            }
        }
    }
}

#[test]
fn one_changes_no_bit_and_two_no_bit_of_the_loss() {
    let original = tiny(Architecture::Mlp, Activation::Relu);
    let layers = &original.network.rescalable()[0];
    assert_eq!(original.network.rescale(&original.weights, layers, 1.0).unwrap(), original.weights, "α = 1");
    let mut doubled = tiny(Architecture::Mlp, Activation::Relu);
    doubled.weights = original.network.rescale(&original.weights, layers, 2.0).unwrap();
    assert_ne!(doubled.weights, original.weights, "other weights");
    let loss = |tiny: &F64| tiny.curvature(Matrix::Hessian, ALL, ALL).loss();
    assert_eq!(loss(&doubled).to_bits(), loss(&original).to_bits(), "the same loss");
}

#[test]
fn what_carries_no_factor_is_refused() {
    let refusal = |arch, activation, (multiplied, divided): (&str, &str), alpha| {
        let tiny = tiny(arch, activation);
        let layers = RescaledLayers { multiplied: multiplied.to_owned(), divided: divided.to_owned() };
        tiny.network.rescale(&tiny.weights, &layers, alpha).unwrap_err().to_string()
    };
    let (mlp, relu) = (Architecture::Mlp, Activation::Relu);
    for (arch, activation, layers, alpha, part) in [
        (mlp, Activation::Gelu, ("fc1", "fc2"), 2.0, "(gelu), through which no factor passes"),
        (mlp, Activation::Tanh, ("fc1", "fc2"), 2.0, "(tanh)"),
        (Architecture::CnnBn, relu, ("features.0", "features.4"), 2.0, "(batch_norm"),
        (Architecture::FixupResnet20, relu, ("conv1", "layer1.0.conv1"), 2.0, "no two layers"),
        (mlp, relu, ("fc1", "fc3"), 2.0, "the layer after `fc1` is `fc2`"),
        (mlp, relu, ("fc3", "fc1"), 2.0, "`fc3` does not go to one layer"),
        (mlp, relu, ("fc9", "fc2"), 2.0, "no layer `fc9`; layers to take: fc1,fc2; fc2,fc3"),
        (mlp, relu, ("fc1", "fc2"), 0.0, "positive and finite, got 0"),
        (mlp, relu, ("fc1", "fc2"), -2.0, "positive and finite"),
        (mlp, relu, ("fc1", "fc2"), f64::NAN, "positive and finite"),
        (mlp, relu, ("fc1", "fc2"), f64::INFINITY, "positive and finite"),
        (mlp, relu, ("fc1", "fc2"), 1e308, "out of the range of f64"),
    ] {
        let refusal = refusal(arch, activation, layers, alpha);
        assert!(refusal.contains(part), "{layers:?} by {alpha} must name `{part}`: {refusal}");
    }
}

#[test]
fn single_precision_has_its_own_range() {
    let model = shrunk(Architecture::Mlp, Activation::Relu);
    let single = Tiny::new(Cpu::<f32>::default(), &model, 5, BatchNorm::Running, SEED);
    let layers = &single.network.rescalable()[0];
    let refusal = single.network.rescale(&single.weights, layers, 1e39).unwrap_err().to_string();
    assert!(refusal.contains("of fc1 out of the range of f32"), "{refusal}");
}
