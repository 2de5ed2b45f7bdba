//! The four rules over the channels, one task each: sums over a channel, then its result.
#![expect(unsafe_code, reason = "tasks write their channels of several outputs")]

use sharpness_backend::{Accumulate, Epilogue, Scalar};

use super::loops::{Combine, Moments, Products, Term};
use super::norm::{BatchNorm, Pair, PairMut, Point, Target};
use super::windows::{gather, record, scatter};
use crate::Real;
use crate::disjoint::Disjoint;
use crate::parallel::tasks;
use crate::simd::{Lanes, Task};
use crate::workspace::Workspace;

/// The operands of [`BatchNorm::value`].
pub(super) struct Value<'a, R> {
    pub(super) norm: &'a BatchNorm,
    pub(super) x: &'a [R],
    pub(super) gamma: &'a [R],
    pub(super) beta: &'a [R],
    pub(super) statistics: PairMut<'a>,
    pub(super) choice: &'a mut [u8],
    pub(super) y: &'a mut [R],
    pub(super) workspace: &'a Workspace<R>,
}

/// The operands of [`BatchNorm::gradient`].
pub(super) struct Gradient<'a, R> {
    pub(super) norm: &'a BatchNorm,
    pub(super) at: Point<'a, R>,
    pub(super) dy: &'a [R],
    pub(super) sums: PairMut<'a>,
    pub(super) dx: Target<'a, R>,
    pub(super) workspace: &'a Workspace<R>,
}

/// The operands of [`BatchNorm::tangent`].
pub(super) struct Tangent<'a, R> {
    pub(super) norm: &'a BatchNorm,
    pub(super) at: Point<'a, R>,
    pub(super) x_dot: Option<&'a [R]>,
    pub(super) dot: (&'a [R], &'a [R]),
    pub(super) means: PairMut<'a>,
    pub(super) y_dot: &'a mut [R],
    pub(super) workspace: &'a Workspace<R>,
}

/// The operands of [`BatchNorm::gradient_tangent`].
pub(super) struct GradientTangent<'a, R> {
    pub(super) norm: &'a BatchNorm,
    pub(super) at: Point<'a, R>,
    pub(super) known: (Pair<'a>, Pair<'a>),
    pub(super) adjoint: (&'a [R], &'a [R]),
    pub(super) x_dot: Option<&'a [R]>,
    pub(super) gamma_dot: &'a [R],
    pub(super) sums: PairMut<'a>,
    pub(super) dx: Target<'a, R>,
    pub(super) workspace: &'a Workspace<R>,
}

/// Outputs whose parts are those of the channels.
struct Outputs<'a, T>(Disjoint<'a, T>, usize);

impl<'a, T> Outputs<'a, T> {
    /// `len` elements for each channel.
    fn new(slice: &'a mut [T], len: usize) -> Self {
        Self(Disjoint::new(slice), len)
    }

    /// The part of channel `c`.
    ///
    /// # Safety
    /// Only one task asks for a channel, once.
    #[expect(clippy::mut_from_ref, reason = "channels are disjoint")]
    unsafe fn channel(&self, c: usize) -> &mut [T] {
        // SAFETY: as the caller promises; the parts of two channels do not overlap.
        unsafe { self.0.part(c * self.1, self.1) }
    }
}

/// Two numbers for each channel.
struct PairOutputs<'a>(Outputs<'a, f64>, Outputs<'a, f64>);

impl<'a> PairOutputs<'a> {
    fn new((first, second): PairMut<'a>) -> Self {
        Self(Outputs::new(first, 1), Outputs::new(second, 1))
    }

    /// The numbers of channel `c`.
    ///
    /// # Safety
    /// As [`Outputs::channel`].
    #[expect(clippy::mut_from_ref, reason = "channels are disjoint")]
    unsafe fn channel(&self, c: usize) -> (&mut f64, &mut f64) {
        // SAFETY: as the caller promises.
        unsafe { (&mut self.0.channel(c)[0], &mut self.1.channel(c)[0]) }
    }
}

/// One channel of a batch norm.
#[derive(Clone, Copy)]
struct Channel<'a, R> {
    norm: &'a BatchNorm,
    x: &'a [R],
    choice: &'a [u8],
    mean: f64,
    /// `(σ² + ε)^(-1/2)`.
    s: f64,
    /// `γ s`.
    k: f64,
}

/// A factor of a multiple of `v - centre`, where `v` is a channel's part of an input, or `Eᵀ` of its part of an output.
#[derive(Clone, Copy)]
struct Multiple<'a, R> {
    factor: f64,
    centre: f64,
    v: Operand<'a, R>,
}

#[derive(Clone, Copy)]
enum Operand<'a, R> {
    Input(&'a [R]),
    Output(&'a [R]),
}

impl BatchNorm {
    /// The elements of channel `c` of an input.
    fn input<'a, R>(&self, x: &'a [R], c: usize) -> &'a [R] {
        &x[c * self.channel()..][..self.channel()]
    }

    /// The elements of channel `c` of an output, as an operand.
    fn output<'a, R>(&self, y: &'a [R], c: usize) -> Operand<'a, R> {
        Operand::Output(&y[c * self.channel_outputs()..][..self.channel_outputs()])
    }

    /// The mean of a sum over a channel.
    fn mean(&self, sum: f64) -> f64 {
        sum / u32::try_from(self.channel()).map_or(f64::INFINITY, f64::from)
    }

    /// The means of two sums over a channel.
    fn means(&self, (first, second): (f64, f64)) -> (f64, f64) {
        (self.mean(first), self.mean(second))
    }

    fn at<'a, R: Real>(&'a self, at: &Point<'a, R>, c: usize) -> Channel<'a, R> {
        let choice = &at.choice[c * self.channel_choices()..][..self.channel_choices()];
        Channel::new(self, self.input(at.x, c), choice, (at.mean[c], at.variance[c]), at.gamma[c])
    }
}

impl<'a, R: Real> Channel<'a, R> {
    fn new(
        norm: &'a BatchNorm,
        x: &'a [R],
        choice: &'a [u8],
        (mean, variance): (f64, f64),
        gamma: R,
    ) -> Self {
        let s = 1.0 / (variance + norm.epsilon).sqrt();
        Self { norm, x, choice, mean, s, k: gamma.to_f64() * s }
    }

    /// The part of an operand in block `i` of `len` elements, in `staging` where the epilogue has to be undone.
    fn block<'b, V: Lanes<Scalar = R>>(
        &self,
        v: Operand<'b, R>,
        (i, len): (usize, usize),
        staging: &'b mut [R],
    ) -> &'b [R] {
        let (elements, outputs) = self.norm.block();
        let y = match v {
            Operand::Input(x) => return &x[i * elements..][..len],
            Operand::Output(y) if self.norm.epilogue == Epilogue::None => return &y[i * elements..][..len],
            Operand::Output(y) => &y[i * outputs..((i + 1) * outputs).min(y.len())],
        };
        let z = &mut staging[..len];
        let choice = &self.choice[self.norm.choices(i * elements, i * outputs)..];
        let image = (self.norm.size.height, self.norm.size.width);
        scatter::<V>(self.norm.epilogue, image, y, &choice[..self.norm.choices(len, y.len())], z);
        z
    }

    /// `Σ v` and `Σ v (x - centre)`.
    fn products<V: Lanes<Scalar = R>>(
        &self,
        v: Operand<'_, R>,
        (x, centre): (&[R], f64),
        staging: &mut [R],
    ) -> (f64, f64) {
        let (rounded, mut sums) = (R::from_f64(centre), [[0.0; _]; 2]);
        for (i, x) in x.chunks(self.norm.block().0).enumerate() {
            let z = self.block::<V>(v, (i, x.len()), staging);
            V::vectorize(Products { z, x, centre: rounded, sums: &mut sums });
        }
        let [sum, product] = sums.map(|lanes| lanes.iter().sum::<f64>());
        (sum, product + (rounded.to_f64() - centre) * sum)
    }

    /// `Σ v` and `Σ v s (x - μ)`.
    fn sums<V: Lanes<Scalar = R>>(&self, v: Operand<'_, R>, staging: &mut [R]) -> (f64, f64) {
        let (sum, product) = self.products::<V>(v, (self.x, self.mean), staging);
        (sum, self.s * product)
    }

    /// `factor (x - μ)`.
    const fn deviation(&self, factor: f64) -> Multiple<'a, R> {
        Multiple { factor, centre: self.mean, v: Operand::Input(self.x) }
    }

    /// `y (+)=` the multiples and `offset` in block `i`.
    fn combine<V: Lanes<Scalar = R>, const K: usize>(
        &self,
        multiples: &[Multiple<'_, R>; K],
        offset: f64,
        i: usize,
        mut staging: &mut [R],
        (y, accumulate): (&mut [R], Accumulate),
    ) {
        let len = y.len();
        let (mut terms, mut offset) = ([Term { factor: R::ZERO, x: &[][..], centre: R::ZERO }; K], offset);
        for (term, multiple) in terms.iter_mut().zip(multiples) {
            let (factor, centre) = (multiple.factor, R::from_f64(multiple.centre));
            offset += factor * (centre.to_f64() - multiple.centre);
            let (own, others) = staging.split_at_mut(match multiple.v {
                Operand::Output(_) if self.norm.epilogue != Epilogue::None => len,
                _ => 0,
            });
            staging = others;
            *term =
                Term { factor: R::from_f64(factor), x: self.block::<V>(multiple.v, (i, len), own), centre };
        }
        V::vectorize(Combine { terms, offset: R::from_f64(offset), accumulate, y });
    }

    /// `x̄ (+)=` the multiples.
    fn write_input<V: Lanes<Scalar = R>, const K: usize>(
        &self,
        multiples: &[Multiple<'_, R>; K],
        staging: &mut [R],
        (x, accumulate): (&mut [R], Accumulate),
    ) {
        for (i, x) in x.chunks_mut(self.norm.block().0).enumerate() {
            self.combine::<V, K>(multiples, 0.0, i, staging, (x, accumulate));
        }
    }

    /// `y` = the epilogue of the multiples and `offset`; `choose` applies it to a block.
    fn write_output<V: Lanes<Scalar = R>, const K: usize>(
        &self,
        multiples: &[Multiple<'_, R>; K],
        offset: f64,
        staging: &mut [R],
        y: &mut [R],
        mut choose: impl FnMut(usize, &[R], &mut [R]),
    ) {
        let (elements, outputs) = self.norm.block();
        for (i, y) in y.chunks_mut(outputs).enumerate() {
            if self.norm.epilogue == Epilogue::None {
                self.combine::<V, K>(multiples, offset, i, staging, (y, Accumulate::Set));
                continue;
            }
            let len = elements.min(self.x.len() - i * elements);
            let z = &mut staging[..len];
            self.combine::<V, K>(multiples, offset, i, &mut [], (z, Accumulate::Set));
            choose(i, z, y);
        }
    }

    /// Writes `ẏ`.
    fn write_tangent<V: Lanes<Scalar = R>, const K: usize>(
        &self,
        multiples: &[Multiple<'_, R>; K],
        offset: f64,
        staging: &mut [R],
        y_dot: &mut [R],
    ) {
        let (norm, image) = (self.norm, (self.norm.size.height, self.norm.size.width));
        let (elements, outputs) = norm.block();
        self.write_output::<V, K>(multiples, offset, staging, y_dot, |i, z, y| {
            let choice = &self.choice[norm.choices(i * elements, i * outputs)..];
            gather::<V>(norm.epilogue, image, z, &choice[..norm.choices(z.len(), y.len())], y);
        });
    }
}

/// The mean and the variance of a channel.
fn statistics<V: Lanes>(norm: &BatchNorm, x: &[V::Scalar]) -> (f64, f64) {
    let (mut mean, mut variance) = (0.0, 0.0);
    // The second pass is over deviations from the mean, which lose no digits when they are squared.
    for _ in 0..2 {
        let (centre, mut sums) = (V::Scalar::from_f64(mean), [[0.0; _]; 2]);
        V::vectorize(Moments { x, centre, sums: &mut sums });
        let [first, second] = sums.map(|lanes| norm.mean(lanes.iter().sum()));
        mean = centre.to_f64() + first;
        variance = second - first * first;
    }
    (mean, variance)
}

impl<R: Real> Task<R> for Value<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { norm, x, gamma, beta, workspace, .. } = self;
        let choice = Outputs::new(self.choice, norm.channel_choices());
        let y = Outputs::new(self.y, norm.channel_outputs());
        let moments = PairOutputs::new(self.statistics);
        tasks(norm.size.channels, norm.size.elements(), |c| {
            // SAFETY: this task is the only one of this channel.
            let ((mean, variance), choice, y) =
                unsafe { (moments.channel(c), choice.channel(c), y.channel(c)) };
            let x = norm.input(x, c);
            if norm.of_batch {
                (*mean, *variance) = statistics::<V>(norm, x);
            }
            let channel = Channel::new(norm, x, &[], (*mean, *variance), gamma[c]);
            let image = (norm.size.height, norm.size.width);
            let (elements, outputs) = norm.block();
            workspace.with(norm.staging_len(), |staging| {
                let multiples = [channel.deviation(channel.k)];
                channel.write_output::<V, 1>(&multiples, beta[c].to_f64(), staging, y, |i, z, y| {
                    let choice = &mut choice[norm.choices(i * elements, i * outputs)..];
                    record::<V>(norm.epilogue, image, z, &mut choice[..norm.choices(z.len(), y.len())], y);
                });
            });
        });
    }
}

impl<R: Real> Task<R> for Gradient<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { norm, at, dy, workspace, .. } = self;
        let (sums, dx) =
            (PairOutputs::new(self.sums), self.dx.map(|(dx, how)| (Outputs::new(dx, norm.channel()), how)));
        tasks(norm.size.channels, norm.size.elements(), |index| {
            let (channel, z) = (norm.at(&at, index), norm.output(dy, index));
            // SAFETY: this task is the only one of this channel.
            let (beta, gamma) = unsafe { sums.channel(index) };
            workspace.with(norm.staging_len(), |staging| {
                (*beta, *gamma) = channel.sums::<V>(z, staging);
                let Some((dx, how)) = &dx else { return };
                // SAFETY: as above.
                let dx = (unsafe { dx.channel(index) }, *how);
                let Channel { k, s, .. } = channel;
                if norm.of_batch {
                    let (a, c) = norm.means((*beta, *gamma));
                    let terms = [Multiple { factor: k, centre: a, v: z }, channel.deviation(-k * c * s)];
                    channel.write_input::<V, 2>(&terms, staging, dx);
                } else {
                    channel.write_input::<V, 1>(&[Multiple { factor: k, centre: 0.0, v: z }], staging, dx);
                }
            });
        });
    }
}

impl<R: Real> Task<R> for Tangent<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { norm, at, x_dot, dot, workspace, .. } = self;
        let (means, y_dot) = (PairOutputs::new(self.means), Outputs::new(self.y_dot, norm.channel_outputs()));
        tasks(norm.size.channels, norm.size.elements(), |c| {
            let channel = norm.at(&at, c);
            // SAFETY: this task is the only one of this channel.
            let ((p, m), y_dot) = unsafe { (means.channel(c), y_dot.channel(c)) };
            let (gamma_dot, beta_dot) = (dot.0[c].to_f64(), dot.1[c].to_f64());
            workspace.with(norm.staging_len(), |staging| {
                let x_dot = x_dot.map(|x_dot| Operand::Input(norm.input(x_dot, c)));
                (*p, *m) = match x_dot {
                    Some(x_dot) if norm.of_batch => norm.means(channel.sums::<V>(x_dot, staging)),
                    _ => (0.0, 0.0),
                };
                let own = channel.deviation((gamma_dot - channel.k * *m) * channel.s);
                if let Some(v) = x_dot {
                    let terms = [Multiple { factor: channel.k, centre: *p, v }, own];
                    channel.write_tangent::<V, 2>(&terms, beta_dot, staging, y_dot);
                } else {
                    channel.write_tangent::<V, 1>(&[own], beta_dot, staging, y_dot);
                }
            });
        });
    }
}

impl<R: Real> Task<R> for GradientTangent<'_, R> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { norm, at, known, adjoint, x_dot, gamma_dot, workspace, .. } = self;
        let (sums, dx) =
            (PairOutputs::new(self.sums), self.dx.map(|(dx, how)| (Outputs::new(dx, norm.channel()), how)));
        tasks(norm.size.channels, norm.size.elements(), |index| {
            let channel = norm.at(&at, index);
            let (z, z_dot) = (norm.output(adjoint.0, index), norm.output(adjoint.1, index));
            let x_dot = x_dot.map(|x_dot| norm.input(x_dot, index));
            let ((beta, gamma), (p, m)) = known;
            let ((a, c), (p, m)) = (norm.means((beta[index], gamma[index])), (p[index], m[index]));
            // SAFETY: this task is the only one of this channel.
            let (d_beta, d_gamma) = unsafe { sums.channel(index) };
            let Channel { k, s, .. } = channel;
            workspace.with(norm.staging_len(), |staging| {
                // Sums: N e, N f and N q.
                let (e, f) = channel.sums::<V>(z_dot, staging);
                let q = x_dot.map_or(0.0, |x_dot| channel.products::<V>(z, (x_dot, p), staging).1);
                (*d_beta, *d_gamma) = (e, f + s * (q - m * gamma[index]));
                let (e, c_dot) = norm.means((*d_beta, *d_gamma));
                let Some((dx, how)) = &dx else { return };
                // SAFETY: as above.
                let dx = (unsafe { dx.channel(index) }, *how);
                let k_dot = gamma_dot[index].to_f64() * s - k * s * m;
                let of = |factor, centre, v| Multiple { factor, centre, v };
                if !norm.of_batch {
                    let terms = [of(k_dot, 0.0, z), of(k, 0.0, z_dot)];
                    return channel.write_input::<V, 2>(&terms, staging, dx);
                }
                let own = channel.deviation(-(k_dot * c + k * c_dot - k * c * s * m) * s);
                let terms = [of(k_dot, a, z), of(k, e, z_dot), own];
                match x_dot {
                    Some(x_dot) => {
                        let [first, second, own] = terms;
                        let terms = [first, second, of(-k * c * s, p, Operand::Input(x_dot)), own];
                        channel.write_input::<V, 4>(&terms, staging, dx);
                    }
                    None => channel.write_input::<V, 3>(&terms, staging, dx),
                }
            });
        });
    }
}
