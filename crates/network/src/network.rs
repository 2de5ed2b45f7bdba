//! A network's loss as a function of one flat parameter vector: value and gradient on a batch.

use crate::backend::{Accumulate, Backend, Loss, Pixels, Shape, View, ViewMut};
use crate::graph::{Graph, SUMS, Setting, Tangents, Tape};
use crate::model::Model;
use crate::op::{Pass, TapeKind};
use crate::ops::BatchNorm2d;
use crate::parameters::Table;
use crate::ranks::Ranks;

/// A graph of ops that ends in one output per class, a loss, and the device that runs them; and the processes that share its sums over
/// examples.
#[derive(Debug)]
pub struct Network<B: Backend> {
    pub(crate) backend: B,
    pub(crate) graph: Graph<B>,
    pub(crate) loss: Loss,
    ranks: Ranks,
}

/// Sums over examples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// The sum of the examples' losses.
    pub loss: f64,
    /// The number of examples whose largest output is their label's.
    pub correct: f64,
}

impl Sums {
    /// Adds those of other examples.
    pub fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.correct += other.correct;
    }

    /// The means over `count` examples.
    #[must_use]
    pub fn mean(self, count: usize) -> Self {
        let count = count as f64;
        Self { loss: self.loss / count, correct: self.correct / count }
    }
}

/// One row of a table of layers.
#[derive(Clone, Debug)]
pub struct Layer {
    /// PyTorch's name.
    pub name: String,
    /// The kind of op.
    pub kind: &'static str,
    /// The shape of its output.
    pub output: Shape,
    /// The number of its parameters.
    pub parameters: usize,
    /// Floating-point operations of one example's value; a multiplication and an addition are two.
    pub flops: u64,
}

impl<B: Backend> Network<B> {
    /// The network that `graph` computes, with the given loss.
    ///
    /// # Panics
    /// If the graph has another number of inputs or outputs than one.
    pub fn new(backend: B, graph: Graph<B>, loss: Loss) -> Self {
        assert!(
            graph.inputs().len() == 1 && graph.output_values().len() == 1,
            "a loss of one output is trained on one input"
        );
        Self { backend, graph, loss, ranks: Ranks::default() }
    }

    /// The same network, whose sums over examples are shared by `ranks`.
    #[must_use]
    pub fn shared_by(self, ranks: Ranks) -> Self {
        Self { ranks, ..self }
    }

    /// The processes that share sums over examples.
    pub const fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// The network of `model` on `backend`, with the given loss.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn compile(model: &Model, backend: B, loss: Loss) -> Self {
        let graph = model.compile(&backend);
        Self::new(backend, graph, loss)
    }

    /// The device.
    pub const fn backend(&self) -> &B {
        &self.backend
    }

    /// The table of the parameters.
    pub const fn parameters(&self) -> &Table {
        self.graph.parameters()
    }

    /// The table of the running statistics of batch norm.
    pub const fn state(&self) -> &Table {
        self.graph.state()
    }

    /// The shape of an input image.
    pub fn input(&self) -> Shape {
        self.graph.inputs()[0]
    }

    /// The shape of the output.
    pub(crate) fn output(&self) -> Shape {
        self.graph.shape(self.output_value())
    }

    /// The number of the output among the values.
    pub(crate) fn output_value(&self) -> usize {
        self.graph.output_values()[0]
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.output().elements()
    }

    /// The layers, in order.
    pub fn layers(&self) -> Vec<Layer> {
        let layer = |node: &crate::graph::Node<B>| Layer {
            name: node.name.clone(),
            kind: node.op.kind(),
            output: node.output,
            parameters: node.op.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum(),
            flops: node.op.flops(&node.input_shapes),
        };
        self.graph.nodes().iter().map(layer).collect()
    }

    /// Bytes of [`Self::tape`].
    pub fn tape_bytes(&self, capacity: usize, kind: TapeKind) -> usize {
        self.graph.tape_bytes(&self.backend, capacity, kind)
    }

    /// Bytes of [`Self::tangents`].
    pub fn tangent_bytes(&self, capacity: usize) -> usize {
        self.graph.tangent_bytes(&self.backend, capacity)
    }

    /// Bytes to which scratch grows that all batches of up to `capacity` examples share.
    pub fn scratch_bytes(&self, capacity: usize) -> usize {
        self.graph.scratch_bytes(&self.backend, capacity)
    }

    /// A flat vector in the layout of the parameters, from host numbers.
    ///
    /// # Panics
    /// If `flat` has another length than the parameters.
    pub fn upload(&self, flat: &[f64]) -> B::Buffer {
        let mut buffer = self.backend.buffer(flat.len());
        self.backend.upload(flat, &mut buffer);
        buffer
    }

    /// A tape of the given kind for up to `capacity` examples.
    pub fn tape(&self, capacity: usize, kind: TapeKind) -> Tape<B> {
        self.graph.tape(&self.backend, capacity, kind)
    }

    /// Tangents for batches of up to `capacity` examples.
    pub fn tangents(&self, capacity: usize) -> Tangents<B> {
        self.graph.tangents(&self.backend, capacity)
    }

    /// Loads a batch onto the tape: `images: [n, c, h, w]`, labels, and the examples' numbers in the data set (dropout masks
    /// depend on them).
    ///
    /// # Panics
    /// If the lengths do not match, the batch exceeds the tape's capacity, or a label is no class.
    pub fn load(&self, tape: &mut Tape<B>, images: &[f64], labels: &[u32], examples: &[u32]) {
        let n = labels.len();
        self.load_labels(tape, labels, examples);
        assert_eq!(images.len(), n * self.input().elements(), "images do not match the network's input");
        self.backend.upload_images(self.input(), n, images, &mut tape.values[0]);
    }

    /// Loads a batch as [`Self::load`] does, with those of the images `pixels` that have the given numbers.
    ///
    /// # Panics
    /// As [`Self::load`]; if there is no such image.
    pub fn load_pixels(&self, tape: &mut Tape<B>, pixels: &Pixels<'_>, labels: &[u32], examples: &[u32]) {
        self.load_labels(tape, labels, examples);
        assert_eq!(pixels.mean.len(), self.input().elements(), "images do not match the network's input");
        self.backend.upload_pixels(self.input(), pixels, examples, &mut tape.values[0]);
    }

    fn load_labels(&self, tape: &mut Tape<B>, labels: &[u32], examples: &[u32]) {
        let n = labels.len();
        assert!(n <= tape.capacity(), "a batch of {n} examples does not fit a tape of {}", tape.capacity());
        assert_eq!(examples.len(), n, "every example has a number");
        assert!(
            labels.iter().all(|&l| (l as usize) < self.classes()),
            "a label is not a class of the network"
        );
        tape.n = n;
        self.backend.upload_integers(labels, &mut tape.labels);
        self.backend.upload_integers(examples, &mut tape.examples);
    }

    pub(crate) fn setting<'a>(
        &'a self,
        parameters: &'a B::Buffer,
        state: &'a B::Buffer,
        pass: &'a Pass,
    ) -> Setting<'a, B> {
        Setting { backend: &self.backend, pass, parameters, state }
    }

    /// The values of all ops and the losses of the tape's batch.
    ///
    /// # Panics
    /// If the tape is for products.
    pub fn value(&self, parameters: &B::Buffer, state: &B::Buffer, pass: &Pass, tape: &mut Tape<B>) -> Sums {
        assert_ne!(tape.kind(), TapeKind::Products, "a tape for products does not hold all values");
        self.graph.value(&self.setting(parameters, state, pass), tape);
        self.backend.clear(&mut tape.sums);
        let z = &tape.values[self.output_value()];
        self.backend.loss_value(self.loss, self.classes(), tape.n, z, &tape.labels, &mut tape.sums);
        self.sums(tape)
    }

    /// The sums of the tape's losses.
    pub(crate) fn sums(&self, tape: &Tape<B>) -> Sums {
        let mut sums = [0.0; SUMS];
        self.backend.read_into(&tape.sums, &mut sums);
        Sums { loss: sums[0], correct: sums[1] }
    }

    /// The values as [`Self::value`], and `out (+)= scale ·` the gradient of the **sum** of the losses: with
    /// `scale = 1 / N` the gradient of the mean over `N` examples, accumulated over micro-batches.
    ///
    /// # Panics
    /// If the tape is not for gradients; [`Linearization`](crate::Linearization) takes those for products.
    #[expect(
        clippy::too_many_arguments,
        reason = "a batch's gradient depends on all of these, and none belongs to another"
    )]
    pub fn gradient(
        &self,
        parameters: &B::Buffer,
        state: &B::Buffer,
        pass: &Pass,
        tape: &mut Tape<B>,
        scale: f64,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) -> Sums {
        assert_eq!(tape.kind(), TapeKind::Gradient, "a gradient needs a tape for gradients");
        self.linearize(parameters, state, pass, tape, scale, accumulate, out)
    }

    /// As [`Self::gradient`], on a tape for gradients or products with scratch.
    #[expect(clippy::too_many_arguments, reason = "as above")]
    pub(crate) fn linearize(
        &self,
        parameters: &B::Buffer,
        state: &B::Buffer,
        pass: &Pass,
        tape: &mut Tape<B>,
        scale: f64,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) -> Sums {
        self.graph.value(&self.setting(parameters, state, pass), tape);
        self.backend.clear(&mut tape.sums);
        let Tape { values, adjoints, labels, sums, n, .. } = tape;
        let (backend, loss, classes) = (&self.backend, self.loss, self.classes());
        let output = self.output_value();
        match (&values[output], &mut adjoints[output]) {
            (z, Some(dz)) => backend.loss_gradient(loss, classes, *n, z, labels, scale, sums, dz),
            (z, None) => backend.loss_value(loss, classes, *n, z, labels, sums),
        }
        self.graph.gradient(&self.setting(parameters, state, pass), tape, None, accumulate, out);
        self.sums(tape)
    }

    /// Moves the running statistics towards those of the tape's batch, after a training [`Self::value`] or
    /// [`Self::gradient`].
    pub fn update_state(&self, pass: &Pass, tape: &mut Tape<B>, state: &mut B::Buffer) {
        self.graph.update_state(&self.backend, pass, tape, state);
    }

    /// What the last training [`Self::value`] or [`Self::gradient`] adds to the running statistics, for
    /// [`Self::add_statistics`]: `[state]`.
    pub fn statistics(&self, pass: &Pass, tape: &mut Tape<B>) -> Vec<f64> {
        self.graph.statistics(&self.backend, pass, tape)
    }

    /// Moves the running statistics as [`Self::update_state`] does, bit for bit, after batches with these
    /// [`Self::statistics`], in order.
    ///
    /// # Panics
    /// If they are not of this network.
    pub fn add_statistics(&self, batches: &[f64], state: &mut B::Buffer) {
        let len = self.state().len();
        if len == 0 {
            return;
        }
        for batch in batches.chunks(len) {
            let mut moved = self.backend.download(View::new(state, 0, len));
            for (running, addend) in moved.iter_mut().zip(batch) {
                *running = (1.0 - BatchNorm2d::MOMENTUM) * *running + addend;
            }
            self.backend.upload(&moved, state);
        }
    }

    /// `y += x` for vectors in the layout of the parameters.
    pub(crate) fn add_vectors(&self, x: &B::Buffer, y: &mut B::Buffer) {
        let dim = self.parameters().len();
        let y = ViewMut::new(y, 0, dim);
        self.backend.linear_combination(&[(1.0, View::new(x, 0, dim))], Accumulate::Add, y);
    }

    /// The outputs of the last [`Self::value`]: `[n, classes]`.
    pub fn outputs(&self, tape: &Tape<B>) -> Vec<f64> {
        self.backend.download_activations(self.output(), tape.n, &tape.values[self.output_value()])
    }
}
