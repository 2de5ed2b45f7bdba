//! Architectures: they build graphs and know no mathematics.

mod cnn;
mod fixup_resnet;
mod mlp;
mod vgg;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::backend::{Activation, Backend, Epilogue, Shape};
use crate::graph::{Graph, Value};
use crate::op::{Init, Op};
use crate::ops::{BatchNorm2d, Convolution, Elementwise, Linear, MaxPool};

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

impl Architecture {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 9] = [
        Self::Vgg11,
        Self::Vgg11Bn,
        Self::FixupResnet20,
        Self::FixupResnet32,
        Self::FixupResnet44,
        Self::FixupResnet56,
        Self::Mlp,
        Self::Cnn,
        Self::CnnBn,
    ];

    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vgg11 => "vgg11",
            Self::Vgg11Bn => "vgg11-bn",
            Self::FixupResnet20 => "fixup-resnet20",
            Self::FixupResnet32 => "fixup-resnet32",
            Self::FixupResnet44 => "fixup-resnet44",
            Self::FixupResnet56 => "fixup-resnet56",
            Self::Mlp => "mlp",
            Self::Cnn => "cnn",
            Self::CnnBn => "cnn-bn",
        }
    }

    /// Whether the network has batch norm.
    pub const fn has_batch_norm(self) -> bool {
        matches!(self, Self::Vgg11Bn | Self::CnnBn)
    }
}

/// The widest hidden layer of an MLP, and the most of them.
const MOST_WIDTH: usize = 1 << 20;
const MOST_LAYERS: usize = 64;

/// A network to build: the architecture and its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
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

impl Model {
    /// The published network: ReLU, two hidden layers of 256 in an MLP, no dropout.
    pub fn new(arch: Architecture) -> Self {
        Self { arch, activation: Activation::Relu, hidden: vec![256, 256], dropout: 0.0, width_divisor: 1 }
    }

    /// The graph for images of shape `input` and `classes` outputs.
    ///
    /// # Errors
    /// If an option is out of range, does not belong to the architecture, or the images are too small.
    #[inline(never)]
    pub fn graph<B: Backend>(&self, input: Shape, classes: usize) -> Result<Graph<B>, Error> {
        self.check()?;
        let mut graph = Graph::new(input);
        match self.arch {
            Architecture::Vgg11 | Architecture::Vgg11Bn => vgg::build(self, &mut graph, classes)?,
            Architecture::FixupResnet20 => fixup_resnet::build(self, &mut graph, 3, classes)?,
            Architecture::FixupResnet32 => fixup_resnet::build(self, &mut graph, 5, classes)?,
            Architecture::FixupResnet44 => fixup_resnet::build(self, &mut graph, 7, classes)?,
            Architecture::FixupResnet56 => fixup_resnet::build(self, &mut graph, 9, classes)?,
            Architecture::Mlp => mlp::build(self, &mut graph, classes)?,
            Architecture::Cnn | Architecture::CnnBn => cnn::build(self, &mut graph, classes)?,
        }
        Ok(graph)
    }

    fn check(&self) -> Result<(), Error> {
        let (option, problem) = if !(0.0..1.0).contains(&self.dropout) {
            ("dropout", format!("must be at least 0 and below 1, got {}", self.dropout))
        } else if self.dropout > 0.0 && self.arch != Architecture::Mlp {
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

    /// A linear layer with PyTorch's beginning, and the ReLU in its pass where that is the nonlinearity.
    fn hidden_layer(&self, features_in: usize, features_out: usize) -> Linear {
        let epilogue = if self.activation == Activation::Relu { Epilogue::Relu } else { Epilogue::None };
        Linear { epilogue, ..Linear::torch_default(features_in, features_out) }
    }

    /// A published width, divided.
    fn width(&self, published: usize) -> usize {
        (published / self.width_divisor).max(1)
    }
}

fn to_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// PyTorch's default for a convolution: uniform within `1 / sqrt(fan in)`.
fn torch_default(channels_in: usize, kernel: usize) -> Init {
    Init::Uniform(1.0 / to_f64(channels_in * kernel * kernel).sqrt())
}

/// Modules of a PyTorch `Sequential`, which counts them.
struct Sequential<'a, B: Backend> {
    graph: &'a mut Graph<B>,
    prefix: &'static str,
    index: usize,
    value: Value,
}

impl<'a, B: Backend> Sequential<'a, B> {
    const fn new(graph: &'a mut Graph<B>, prefix: &'static str, value: Value) -> Self {
        Self { graph, prefix, index: 0, value }
    }

    fn push(&mut self, op: impl Op<B> + 'static) -> Result<(), Error> {
        let name = format!("{}.{}", self.prefix, self.index);
        self.value = self.graph.push(name, op, &[self.value])?;
        self.index += 1;
        Ok(())
    }

    /// A 3x3 convolution that keeps the image's size, batch norm where the architecture has it, the nonlinearity, and where asked
    /// for a 2x2 max pooling. A ReLU and a pooling after it are made in the pass of the batch norm, or of the convolution where there
    /// is none; they count as modules.
    fn push_convolution(
        &mut self,
        model: &Model,
        channels: usize,
        (weight, bias): (Init, Init),
        is_pooled: bool,
    ) -> Result<(), Error> {
        let input = self.graph.shape(self.value);
        // An image that is too small to be pooled is an error of the pooling's own module.
        let has_windows = input.height() > 1 && input.width() > 1;
        let last = match (model.activation == Activation::Relu, is_pooled && has_windows) {
            (false, _) => Epilogue::None,
            (true, false) => Epilogue::Relu,
            (true, true) => Epilogue::ReluMaxPool,
        };
        let normed = model.arch.has_batch_norm();
        self.push(Convolution {
            channels_in: input.channels(),
            channels_out: channels,
            kernel: 3,
            stride: 1,
            padding: 1,
            weight,
            bias: Some(bias),
            epilogue: if normed { Epilogue::None } else { last },
        })?;
        if normed {
            self.push(BatchNorm2d { channels, epilogue: last })?;
        }
        match last {
            Epilogue::None => self.push(Elementwise(model.activation))?,
            Epilogue::Relu | Epilogue::ReluMaxPool => self.index += 1,
        }
        match last {
            Epilogue::ReluMaxPool => self.index += 1,
            Epilogue::None | Epilogue::Relu if is_pooled => self.push(MaxPool { kernel: 2, stride: 2 })?,
            Epilogue::None | Epilogue::Relu => {}
        }
        Ok(())
    }

    /// A linear layer and the nonlinearity; a ReLU is made in the pass of the layer, and counts as a module.
    fn push_hidden(&mut self, model: &Model, features: usize) -> Result<(), Error> {
        let features_in = self.graph.shape(self.value).channels();
        self.push(model.hidden_layer(features_in, features))?;
        if model.activation == Activation::Relu {
            self.index += 1;
            return Ok(());
        }
        self.push(Elementwise(model.activation))
    }
}
