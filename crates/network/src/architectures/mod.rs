//! Architectures: they describe networks in plain ops and know no mathematics. A new one is a file, and a name and a row here.

mod cnn;
mod fixup_resnet;
mod mlp;
mod options;
mod sequential;
mod vgg;

use serde::{Deserialize, Serialize};

use crate::backend::{Activation, Shape};
use crate::{Error, Model};
use options::Options;

/// A family of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each name is the architecture's own")]
pub enum Architecture {
    Vgg11,
    Vgg11Bn,
    FixupResnet20,
    FixupResnet32,
    FixupResnet44,
    FixupResnet56,
    Mlp,
    Cnn,
    CnnBn,
}

/// The architecture and its options.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub arch: Architecture,
    /// The nonlinearity.
    pub activation: Activation,
    /// Widths of the hidden layers of an MLP.
    pub hidden: Vec<usize>,
    /// The dropout probability after each hidden layer of an MLP.
    pub dropout: f64,
    /// All widths of a convolutional network are divided by this; 1 is the published network.
    pub width_divisor: usize,
}

/// What is known of an architecture.
struct Row {
    arch: Architecture,
    /// The name on the command line and in files.
    name: &'static str,
    build: fn(&Options<'_>, Shape, usize) -> Result<Model, Error>,
    has_batch_norm: bool,
    has_dropout: bool,
}

impl Row {
    const fn new(
        arch: Architecture,
        name: &'static str,
        build: fn(&Options<'_>, Shape, usize) -> Result<Model, Error>,
    ) -> Self {
        Self { arch, name, build, has_batch_norm: false, has_dropout: false }
    }
}

/// All of them, in the order of tables.
const TABLE: [Row; 9] = [
    Row::new(Architecture::Vgg11, "vgg11", vgg::build),
    Row { has_batch_norm: true, ..Row::new(Architecture::Vgg11Bn, "vgg11-bn", vgg::build) },
    Row::new(Architecture::FixupResnet20, "fixup-resnet20", fixup_resnet::build::<3>),
    Row::new(Architecture::FixupResnet32, "fixup-resnet32", fixup_resnet::build::<5>),
    Row::new(Architecture::FixupResnet44, "fixup-resnet44", fixup_resnet::build::<7>),
    Row::new(Architecture::FixupResnet56, "fixup-resnet56", fixup_resnet::build::<9>),
    Row { has_dropout: true, ..Row::new(Architecture::Mlp, "mlp", mlp::build) },
    Row::new(Architecture::Cnn, "cnn", cnn::build),
    Row { has_batch_norm: true, ..Row::new(Architecture::CnnBn, "cnn-bn", cnn::build) },
];

impl Architecture {
    /// All of them, in the order of tables.
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::Vgg11; TABLE.len()];
        let mut i = 0;
        while i < TABLE.len() {
            all[i] = TABLE[i].arch;
            i += 1;
        }
        all
    };

    fn row(self) -> &'static Row {
        TABLE.iter().find(|row| row.arch == self).expect("each architecture has a row")
    }

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether the network has batch norm.
    pub fn has_batch_norm(self) -> bool {
        self.row().has_batch_norm
    }
}

/// The widest hidden layer of an MLP, and the most of them.
const MOST_WIDTH: usize = 1 << 20;
const MOST_LAYERS: usize = 64;

impl ModelConfig {
    /// The published network: ReLU, two hidden layers of 256 in an MLP, no dropout.
    pub fn new(arch: Architecture) -> Self {
        Self { arch, activation: Activation::Relu, hidden: vec![256, 256], dropout: 0.0, width_divisor: 1 }
    }

    /// The network for images of shape `input` with `classes` outputs.
    ///
    /// # Errors
    /// If an option is out of range, does not belong to the architecture, or the images are too small.
    pub fn model(&self, input: Shape, classes: usize) -> Result<Model, Error> {
        self.check()?;
        let row = self.arch.row();
        let options = Options {
            arch: row.name,
            batch_norm: row.has_batch_norm,
            activation: self.activation,
            hidden: &self.hidden,
            dropout: self.dropout,
            width_divisor: self.width_divisor,
        };
        (row.build)(&options, input, classes)
    }

    fn check(&self) -> Result<(), Error> {
        let (option, problem) = if !(0.0..1.0).contains(&self.dropout) {
            ("dropout", format!("must be at least 0 and below 1, got {}", self.dropout))
        } else if self.dropout > 0.0 && !self.arch.row().has_dropout {
            ("dropout", format!("cannot be used with {}: only mlp has dropout", self.arch.name()))
        } else if let Some(width) = self.hidden.iter().find(|width| !(1..=MOST_WIDTH).contains(*width)) {
            ("hidden", format!("must have widths between 1 and {MOST_WIDTH}, got {width}"))
        } else if self.hidden.len() > MOST_LAYERS {
            ("hidden", format!("must have at most {MOST_LAYERS} layers, got {}", self.hidden.len()))
        } else if self.width_divisor == 0 {
            ("width_divisor", "must be at least 1, got 0".to_owned())
        } else {
            return Ok(());
        };
        Err(Error::Option { option, problem })
    }
}
