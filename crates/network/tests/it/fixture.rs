//! Golden files of `golden/` and the portable numbers that they speak of (see `golden/README.md`).

use std::path::PathBuf;

use serde_json::Value;
use sharpness_kernels::Cpu;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::{Activation, Backend, Shape};
use sharpness_network::{Network, Table, Weights, backend::Loss};

/// One golden file.
pub(crate) struct Golden(pub(crate) Value);

/// The value of `u(seed, i)` in [0, 1).
pub(crate) fn uniform(seed: u64, i: u64) -> f64 {
    let mut z =
        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add((i + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

/// The value of `s(seed, i)` in [-1, 1).
pub(crate) fn signed(seed: u64, i: u64) -> f64 {
    2.0 * uniform(seed, i) - 1.0
}

impl Golden {
    /// Reads `golden/<case>.json`; a missing file is a failure.
    pub(crate) fn read(case: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../golden/{case}.json"));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}; `cargo xtask golden` writes it", path.display()));
        Self(serde_json::from_str(&text).expect("a golden file is JSON"))
    }

    pub(crate) fn number(&self, key: &str) -> f64 {
        self.0[key].as_f64().unwrap_or_else(|| panic!("golden file has no number `{key}`"))
    }

    pub(crate) fn numbers(&self, key: &str) -> Vec<f64> {
        numbers(&self.0[key])
    }

    pub(crate) fn seed(&self, key: &str) -> u64 {
        self.0["seeds"][key].as_u64().unwrap_or_else(|| panic!("golden file has no seed `{key}`"))
    }

    fn shape(&self) -> Vec<usize> {
        numbers(&self.0["input_shape"]).iter().map(|&x| x as usize).collect()
    }

    /// The batch: images `[n, c, h, w]` and labels.
    pub(crate) fn batch(&self) -> (Vec<f64>, Vec<u32>) {
        let shape = self.shape();
        let elements: usize = shape.iter().product();
        let (scale, seed) = (self.number("image_scale"), self.seed("images"));
        let images = (0..elements as u64).map(|i| scale * signed(seed, i)).collect();
        let (classes, seed) = (self.number("classes"), self.seed("labels"));
        let labels = (0..shape[0] as u64).map(|i| (classes * uniform(seed, i)).floor() as u32).collect();
        (images, labels)
    }

    /// Whether batch norm uses running statistics.
    pub(crate) fn running(&self) -> bool {
        self.0["architecture"]["batch_norm"] == "running"
    }

    /// The network, in double precision.
    pub(crate) fn network(&self) -> Network<Cpu<f64>> {
        let a = &self.0["architecture"];
        let normed = a["batch_norm"].as_str().is_some_and(|mode| mode != "none");
        let name = format!("{}{}", a["name"].as_str().expect("a name"), if normed { "-bn" } else { "" });
        let arch =
            Architecture::ALL.into_iter().find(|arch| arch.name() == name).expect("a known architecture");
        let is_asked = |kind: &&Activation| a["activation"] == kind.name();
        let activation = Activation::ALL.iter().find(is_asked).copied().unwrap_or_default();
        let hidden = if a["hidden"].is_array() {
            numbers(&a["hidden"]).iter().map(|&x| x as usize).collect()
        } else {
            Vec::new()
        };
        let shape = self.shape();
        let model = ModelConfig { activation, hidden, ..ModelConfig::new(arch) };
        let model = model.model(Shape::new(shape[1], shape[2], shape[3]), self.number("classes") as usize);
        let loss = if self.0["loss_function"] == "squared_error" {
            Loss::SquaredError
        } else {
            Loss::SoftmaxCrossEntropy
        };
        Network::compile(&model.expect("the golden architecture builds"), Cpu::default(), loss)
    }

    /// The weights and running statistics, in the network's layout.
    pub(crate) fn weights<B: Backend>(&self, network: &Network<B>) -> Weights {
        let fill = |list: &str, seed: &str, table: &Table| {
            let list = self.0[list].as_array().expect("a list of tensors");
            assert_eq!(list.len(), table.tensors().len(), "the network has the golden file's tensors");
            let mut flat = vec![f64::NAN; table.len()];
            for (j, entry) in (0_u64..).zip(list) {
                let tensor = find(table, entry["name"].as_str().expect("a name"));
                let shape: Vec<usize> = numbers(&entry["shape"]).iter().map(|&x| x as usize).collect();
                assert_eq!(tensor.shape, shape, "shape of {}", tensor.name);
                let (offset, scale) = (entry["offset"].as_f64().unwrap(), entry["scale"].as_f64().unwrap());
                let values = flat[tensor.range()].iter_mut();
                (0_u64..).zip(values).for_each(|(i, x)| *x = offset + scale * signed(self.seed(seed) + j, i));
            }
            flat
        };
        let parameters = fill("parameters", "weights", network.parameters());
        Weights { parameters, state: fill("buffers", "running", network.state()) }
    }

    /// The direction of the products, in the network's layout.
    pub(crate) fn direction<B: Backend>(&self, network: &Network<B>) -> Vec<f64> {
        let listed: Vec<f64> =
            (0..network.parameters().len() as u64).map(|i| signed(self.seed("direction"), i)).collect();
        let mut flat = vec![f64::NAN; listed.len()];
        let mut start = 0;
        for tensor in self.listed(network) {
            flat[tensor.range()].copy_from_slice(&listed[start..start + tensor.len()]);
            start += tensor.len();
        }
        flat
    }

    fn listed<'n, B: Backend>(&self, network: &'n Network<B>) -> Vec<&'n sharpness_network::Tensor> {
        let list = self.0["parameters"].as_array().expect("a list of tensors");
        list.iter().map(|entry| find(network.parameters(), entry["name"].as_str().expect("a name"))).collect()
    }

    /// Asserts that `flat`, in the network's layout, has the digest `key`, to `tolerance` relative to its norm.
    pub(crate) fn assert_digest<B: Backend>(
        &self,
        key: &str,
        network: &Network<B>,
        flat: &[f64],
        tolerance: f64,
    ) {
        let listed: Vec<f64> =
            self.listed(network).iter().flat_map(|tensor| flat[tensor.range()].iter().copied()).collect();
        let digest = &self.0[key];
        let norm = digest["norm"].as_f64().unwrap_or_else(|| panic!("golden file has no digest `{key}`"));
        let own = listed.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert_close(&format!("{key} norm"), own, norm, tolerance * norm);
        for (p, expected) in (0_u64..).zip(numbers(&digest["dots"])) {
            let seed = self.seed("probes") + p;
            let dot: f64 = (0_u64..).zip(&listed).map(|(i, x)| signed(seed, i) * x).sum();
            assert_close(
                &format!("{key} probe {p}"),
                dot,
                expected,
                tolerance * norm * (listed.len() as f64).sqrt(),
            );
        }
        let (first, last) = (numbers(&digest["first"]), numbers(&digest["last"]));
        let tail = &listed[listed.len() - last.len()..];
        for (own, expected) in listed.iter().zip(&first).chain(tail.iter().zip(&last)) {
            assert_close(&format!("{key} element"), *own, *expected, tolerance * norm);
        }
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn find<'t>(table: &'t Table, name: &str) -> &'t sharpness_network::Tensor {
    table.tensors().iter().find(|t| t.name == name).unwrap_or_else(|| panic!("no tensor {name}"))
}

/// Asserts `|own - expected| <= tolerance`.
#[track_caller]
pub(crate) fn assert_close(label: &str, own: f64, expected: f64, tolerance: f64) {
    let error = (own - expected).abs();
    assert!(
        error <= tolerance,
        "{label}: {own} instead of {expected}, off by {error:e}, allowed {tolerance:e}"
    );
}
