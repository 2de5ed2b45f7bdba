//! Drives the rules of one op directly: buffers, slots and targets made by hand, with room that no rule may touch.

use std::cell::RefCell;
use std::ops::Range;

use sharpness_kernels::{Cpu, Real};
use sharpness_network::backend::{Accumulate, Device, Shape, View};
use sharpness_network::op::{Context, Direction, Gradients, Op, Point, Saved, Scratch, Slots, TapeKind};

use crate::cases::Case;

/// Elements before and after the op's own ranges in flat vectors.
const MARGIN: usize = 3;

/// A point, a direction or a gradient in the joint space of an op's inputs and parameters.
#[derive(Clone, Debug)]
pub(crate) struct Joint {
    /// One vector per input; `None` is zero as a direction, and "not wanted" as a target.
    pub(crate) x: Vec<Option<Vec<f64>>>,
    /// All parameters in order.
    pub(crate) w: Vec<f64>,
}

impl Joint {
    /// `self + scale · other`.
    pub(crate) fn plus(&self, scale: f64, other: &Self) -> Self {
        let x = self.x.iter().zip(&other.x).map(|(a, b)| match (a, b) {
            (Some(a), Some(b)) => Some(combine(a, scale, b)),
            (a, _) => a.clone(),
        });
        Self { x: x.collect(), w: combine(&self.w, scale, &other.w) }
    }

    pub(crate) fn dot(&self, other: &Self) -> f64 {
        let of_x = self.x.iter().zip(&other.x).filter_map(|(a, b)| Some(dot(a.as_ref()?, b.as_ref()?)));
        of_x.sum::<f64>() + dot(&self.w, &other.w)
    }

    /// All elements; those of a missing input are missing.
    pub(crate) fn flat(&self) -> Vec<f64> {
        self.x.iter().flatten().flatten().chain(&self.w).copied().collect()
    }

    pub(crate) fn without_x(&self) -> Self {
        Self { x: vec![None; self.x.len()], w: self.w.clone() }
    }

    /// The same shape with one value everywhere.
    pub(crate) fn filled(&self, value: f64) -> Self {
        let x = self.x.iter().map(|x| x.as_ref().map(|x| vec![value; x.len()])).collect();
        Self { x, w: vec![value; self.w.len()] }
    }
}

pub(crate) fn combine(a: &[f64], scale: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + scale * b).collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Asserts `‖got - want‖ <= tolerance · max(‖want‖, 1)`: test data are of order 1, and some gradients are zero.
#[track_caller]
pub(crate) fn assert_near(got: &[f64], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    let error = norm(&combine(got, -1.0, want));
    let allowed = tolerance * norm(want).max(1.0);
    assert!(error <= allowed, "{what}: off by {error:e} where {allowed:e} is allowed");
}

/// SplitMix64 (Steele, Lea, Flood 2014), written here so that test data never change.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Numbers that `f32` holds, uniform on `[-1, 1)`.
    pub(crate) fn vector(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| (self.word() >> 40) as f64 / f64::from(1 << 23) - 1.0).collect()
    }

    /// Evenly spaced numbers between -2 and 2 in random order: no two tie, none is zero, and `f32` holds them. The distance is a
    /// power of two, at least 1/256 up to 1024 numbers.
    pub(crate) fn separated(&mut self, len: usize) -> Vec<f64> {
        let mut keys: Vec<(u64, usize)> = (0..len).map(|i| (self.word(), i)).collect();
        keys.sort_unstable();
        let middle = (len / 2) as f64 - 0.5;
        keys.iter().map(|(_, rank)| 4.0 * (*rank as f64 - middle) / len.next_power_of_two() as f64).collect()
    }
}

/// Random operands of a case: a point, three directions, an adjoint of the output and its direction.
#[derive(Debug)]
pub(crate) struct Operands {
    pub(crate) at: Joint,
    pub(crate) dot: Joint,
    pub(crate) other: Joint,
    pub(crate) dy: Vec<f64>,
    pub(crate) dy_dot: Vec<f64>,
}

/// One op of one case with its by-products.
#[derive(Debug)]
pub(crate) struct Rules<'a, R: Real> {
    op: &'a dyn Op<Cpu<R>>,
    case: &'a Case,
    backend: Cpu<R>,
    output: Shape,
    examples: Vec<u32>,
    saved: Saved<Cpu<R>>,
    scratch: RefCell<Scratch<Cpu<R>>>,
    ranges: Vec<Range<usize>>,
    state: Vec<R>,
    state_ranges: Vec<Range<usize>>,
}

/// Consecutive ranges for the tensors, after the margin.
fn ranges(specs: &[sharpness_network::op::TensorSpec]) -> Vec<Range<usize>> {
    let mut end = MARGIN;
    let lengths = specs.iter().map(|spec| spec.shape.iter().product::<usize>());
    let next = lengths.map(|len| {
        end += len;
        end - len..end
    });
    next.collect()
}

/// The numbers with something that is not a number on both sides.
fn padded<R: Real>(before: usize, x: &[f64], after: usize) -> Vec<R> {
    let nan = |count| std::iter::repeat_n(f64::NAN, count);
    nan(before).chain(x.iter().copied()).chain(nan(after)).map(R::from_f64).collect()
}

/// The inverse of [`padded`], which also sees that the surroundings are as they were.
#[track_caller]
fn unpadded<R: Real>(before: usize, x: &[R], after: usize, name: &str) -> Vec<f64> {
    let (head, tail) = (&x[..before], &x[x.len() - after..]);
    assert!(head.iter().chain(tail).all(|x| x.is_nan()), "{name}: a rule wrote beyond its range");
    x[before..x.len() - after].iter().map(|x| x.to_f64()).collect()
}

impl<'a, R: Real> Rules<'a, R> {
    pub(crate) fn new(op: &'a dyn Op<Cpu<R>>, case: &'a Case) -> Self {
        let backend = Cpu::default();
        let shape = op.output(&case.inputs).expect("the cases are possible");
        let sizes = op.operands(&backend, case.n + 1, &case.inputs);
        let [input, output, adjoint] =
            [sizes.input, sizes.output, sizes.output].map(|len| backend.buffer(len));
        let scratch = Scratch { input, output, adjoint };
        let saved = op.saved(&backend, case.n + 1, &case.inputs, TapeKind::Products);
        let saved = Saved::new(&backend, &saved);
        let (ranges, state_ranges) = (ranges(&op.parameters()), ranges(&op.state()));
        let len = state_ranges.last().map_or(0, |r| r.end - MARGIN);
        // Running means and variances that are neither zero nor one.
        let state: Vec<f64> = Random(99).vector(len).iter().map(|u| 1.2 + 0.5 * u).collect();
        let state = padded(MARGIN, &state, MARGIN);
        let examples = (0..).map(|i| 7 * i + 2).take(case.n).collect();
        let scratch = RefCell::new(scratch);
        Self { op, case, backend, output: shape, examples, saved, scratch, ranges, state, state_ranges }
    }

    pub(crate) fn operands(&self, seed: u64) -> Operands {
        let mut random = Random(seed);
        let n = self.case.n;
        let w = self.ranges.last().map_or(0, |r| r.end - MARGIN);
        let mut joint = |draw: fn(&mut Random, usize) -> Vec<f64>| {
            let x = self.case.inputs.iter().map(|s| Some(draw(&mut random, n * s.elements()))).collect();
            Joint { x, w: random.vector(w) }
        };
        let (at, dot, other) = (joint(Random::separated), joint(Random::vector), joint(Random::vector));
        let mut vector = || random.vector(n * self.output.elements());
        Operands { at, dot, other, dy: vector(), dy_dot: vector() }
    }

    /// An activation of the case's examples in a buffer with room for one more.
    fn activation(&self, shape: Shape, x: &[f64]) -> Vec<R> {
        assert_eq!(x.len(), self.case.n * shape.elements(), "an activation of the case");
        padded(0, x, shape.elements())
    }

    fn output_of(&self, y: &[R]) -> Vec<f64> {
        unpadded(0, y, self.output.elements(), &self.case.name)
    }

    fn inputs(&self, joint: &Joint) -> Vec<Option<Vec<R>>> {
        let of = |(x, shape): (&Option<Vec<f64>>, &Shape)| x.as_ref().map(|x| self.activation(*shape, x));
        joint.x.iter().zip(&self.case.inputs).map(of).collect()
    }

    /// Calls `f` with the op at the point `at`, in a sweep that keeps its operands or one that does not.
    fn at<T>(
        &mut self,
        at: &Joint,
        keeps: bool,
        f: impl FnOnce(&dyn Op<Cpu<R>>, &Context<'_, Cpu<R>>, &Point<'_, Cpu<R>>, &mut Saved<Cpu<R>>) -> T,
    ) -> T {
        let x = self.inputs(at);
        let x: Vec<&Vec<R>> = x.iter().flatten().collect();
        let w = padded(MARGIN, &at.w, MARGIN);
        let (w, state) = (views(&w, &self.ranges), views(&self.state, &self.state_ranges));
        let cx = Context {
            backend: &self.backend,
            pass: &self.case.pass,
            n: self.case.n,
            examples: &self.examples,
            inputs: &self.case.inputs,
            output: self.output,
            scratch: &self.scratch,
            keeps,
        };
        f(self.op, &cx, &Point { x: &x, w: &w, state: &state }, &mut self.saved)
    }

    pub(crate) fn value(&mut self, at: &Joint) -> Vec<f64> {
        let mut y = self.blank();
        self.at(at, true, |op, cx, at, saved| op.value(cx, at, saved, &mut y));
        self.output_of(&y)
    }

    /// A buffer of the output that holds nothing yet.
    fn blank(&self) -> Vec<R> {
        padded(0, &[], (self.case.n + 1) * self.output.elements())
    }

    /// The tangent after the value.
    pub(crate) fn tangent(&mut self, at: &Joint, dot: &Joint) -> Vec<f64> {
        self.value(at);
        let (x_dot, w_dot) = (self.inputs(dot), padded(MARGIN, &dot.w, MARGIN));
        let x_dot: Vec<Option<&Vec<R>>> = x_dot.iter().map(Option::as_ref).collect();
        let ranges = self.ranges.clone();
        let direction = Direction { x: &x_dot, w: &views(&w_dot, &ranges) };
        let mut y_dot = self.blank();
        self.at(at, false, |op, cx, at, saved| op.tangent(cx, at, saved, &direction, &mut y_dot));
        self.output_of(&y_dot)
    }

    /// The gradient after the value, into targets that hold `before`.
    pub(crate) fn gradient(
        &mut self,
        at: &Joint,
        dy: &[f64],
        before: &Joint,
        accumulate: Accumulate,
    ) -> Joint {
        self.value(at);
        let dy = self.activation(self.output, dy);
        self.with_targets(at, before, (true, accumulate), |op, cx, at, saved, out| {
            op.gradient(cx, at, saved, &dy, out)
        })
    }

    /// The gradient's tangent after the value, the gradient and the tangent, into targets that hold `before`.
    pub(crate) fn gradient_tangent(
        &mut self,
        at: &Joint,
        (dy, dy_dot): (&[f64], &[f64]),
        dot: &Joint,
        before: &Joint,
        accumulate: Accumulate,
    ) -> Joint {
        self.gradient(at, dy, &before.filled(f64::NAN), Accumulate::Set);
        self.tangent(at, dot);
        let (x_dot, w_dot) = (self.inputs(dot), padded(MARGIN, &dot.w, MARGIN));
        let x_dot: Vec<Option<&Vec<R>>> = x_dot.iter().map(Option::as_ref).collect();
        let ranges = self.ranges.clone();
        let direction = Direction { x: &x_dot, w: &views(&w_dot, &ranges) };
        let (dy, dy_dot) = (self.activation(self.output, dy), self.activation(self.output, dy_dot));
        self.with_targets(at, before, (false, accumulate), |op, cx, at, saved, out| {
            op.gradient_tangent(cx, at, saved, (&dy, &dy_dot), &direction, out);
        })
    }

    fn with_targets(
        &mut self,
        at: &Joint,
        before: &Joint,
        (keeps, accumulate): (bool, Accumulate),
        rule: impl FnOnce(
            &dyn Op<Cpu<R>>,
            &Context<'_, Cpu<R>>,
            &Point<'_, Cpu<R>>,
            &mut Saved<Cpu<R>>,
            &mut Gradients<'_, Cpu<R>>,
        ),
    ) -> Joint {
        let (mut x, mut w) = (self.inputs(before), padded(MARGIN, &before.w, MARGIN));
        let ranges = self.ranges.clone();
        let targets = x.iter_mut().map(|x| x.as_mut().map(|x| (x, accumulate))).collect();
        let slots = Slots { buffer: &mut w, ranges: &ranges };
        let mut out = Gradients { x: targets, w: slots, accumulate };
        self.at(at, keeps, |op, cx, at, saved| rule(op, cx, at, saved, &mut out));
        drop(out);
        let name = &self.case.name;
        let input = |(x, shape): (&Option<Vec<R>>, &Shape)| {
            x.as_ref().map(|x| unpadded(0, x, shape.elements(), name))
        };
        Joint {
            x: x.iter().zip(&self.case.inputs).map(input).collect(),
            w: unpadded(MARGIN, &w, MARGIN, name),
        }
    }
}

fn views<'a, R>(buffer: &'a Vec<R>, ranges: &[Range<usize>]) -> Vec<View<'a, Vec<R>>> {
    ranges.iter().map(|r| View::new(buffer, r.start, r.len())).collect()
}
