//! Three bilinear forms for convolution with three taps along one axis: `y = Aᵀ [(G w) ⊙ (Bᵀ x)]`, and their adjoints.
//!
//! In two dimensions each matrix acts on both axes (Lavin and Gray 2016, equation 8). The adjoints of the same form give the
//! gradients: `x̄ = B [(G w) ⊙ (A ȳ)]` and `w̄ = Gᵀ [(Bᵀ x) ⊙ (A ȳ)]`, so that all three contractions share transformed operands.

use std::marker::PhantomData;

use sharpness_backend::Scalar;

use crate::simd::Lanes;

/// A form that makes `OUT` outputs of `IN` inputs with `POINTS` multiplications. Every method is one matrix.
pub(super) trait Form<const IN: usize, const POINTS: usize, const OUT: usize>: 'static {
    /// `Bᵀ x`.
    fn input<V: Lanes>(x: [V; IN]) -> [V; POINTS];
    /// `B v`.
    fn input_adjoint<V: Lanes>(v: [V; POINTS]) -> [V; IN];
    /// `G w`.
    fn weight<V: Lanes>(w: [V; 3]) -> [V; POINTS];
    /// `Gᵀ u`.
    fn weight_adjoint<V: Lanes>(u: [V; POINTS]) -> [V; 3];
    /// `Aᵀ m`.
    fn output<V: Lanes>(m: [V; POINTS]) -> [V; OUT];
    /// `A y`.
    fn output_adjoint<V: Lanes>(y: [V; OUT]) -> [V; POINTS];
}

/// A matrix that multiplies `I` vectors.
///
/// A type rather than a closure, so that it is always compiled into the loop that uses it.
pub(super) trait Matrix<const I: usize, const O: usize>: Copy + Sync {
    /// The product with `x`.
    fn apply<V: Lanes>(self, x: [V; I]) -> [V; O];
}

/// The matrices of a form as values.
macro_rules! matrices {
    ($($name:ident = $method:ident: $from:tt -> $to:tt;)*) => {$(
        #[doc = concat!("[`Form::", stringify!($method), "`].")]
        pub(super) struct $name<F, const I: usize, const P: usize, const O: usize>(pub(super) PhantomData<fn(F)>);

        impl<F, const I: usize, const P: usize, const O: usize> Clone for $name<F, I, P, O> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<F, const I: usize, const P: usize, const O: usize> Copy for $name<F, I, P, O> {}

        impl<F: Form<I, P, O>, const I: usize, const P: usize, const O: usize> Matrix<$from, $to> for $name<F, I, P, O> {
            #[inline(always)]
            fn apply<V: Lanes>(self, x: [V; $from]) -> [V; $to] {
                F::$method(x)
            }
        }
    )*};
}

matrices! {
    Input = input: I -> P;
    InputAdjoint = input_adjoint: P -> I;
    Weight = weight: 3 -> P;
    WeightAdjoint = weight_adjoint: P -> 3;
    Output = output: P -> O;
    OutputAdjoint = output_adjoint: O -> P;
}

/// All lanes the constant `c`.
#[inline(always)]
fn constant<V: Lanes>(c: f64) -> V {
    V::splat(V::Scalar::from_f64(c))
}

/// `F(4, 3)` with the points 0, ±5/8, ±11/8 and ∞: half the error of the usual 0, ±1, ±2, ∞.
pub(super) struct F4;

/// The points' magnitudes `a` and `b`, their squares, and the normalisations `Π_j (p_i - p_j)` of the rows of `G`.
mod f4 {
    pub(super) const A: f64 = 0.625;
    pub(super) const B: f64 = 1.375;
    pub(super) const AA: f64 = A * A;
    pub(super) const BB: f64 = B * B;
    pub(super) const N0: f64 = AA * BB;
    pub(super) const NA: f64 = 2.0 * AA * (AA - BB);
    pub(super) const NB: f64 = 2.0 * BB * (BB - AA);
}

impl Form<6, 6, 4> for F4 {
    #[inline(always)]
    fn input<V: Lanes>(x: [V; 6]) -> [V; 6] {
        let (a, b) = (constant::<V>(f4::A), constant::<V>(f4::B));
        let (minus_aa, minus_bb) = (constant::<V>(-f4::AA), constant::<V>(-f4::BB));
        let (product, minus_sum) = (constant::<V>(f4::N0), constant::<V>(-f4::AA - f4::BB));
        let (even_a, odd_a) = (x[2].mul_add(minus_bb, x[4]), x[1].mul_add(minus_bb, x[3]).mul(a));
        let (even_b, odd_b) = (x[2].mul_add(minus_aa, x[4]), x[1].mul_add(minus_aa, x[3]).mul(b));
        [
            x[0].mul_add(product, x[2].mul_add(minus_sum, x[4])),
            even_a.add(odd_a),
            even_a.sub(odd_a),
            even_b.add(odd_b),
            even_b.sub(odd_b),
            x[1].mul_add(product, x[3].mul_add(minus_sum, x[5])),
        ]
    }
    #[inline(always)]
    fn input_adjoint<V: Lanes>(v: [V; 6]) -> [V; 6] {
        let (minus_aa, minus_bb) = (constant::<V>(-f4::AA), constant::<V>(-f4::BB));
        let (product, minus_sum) = (constant::<V>(f4::N0), constant::<V>(-f4::AA - f4::BB));
        let (sum_a, odd_a) = (v[1].add(v[2]), v[1].sub(v[2]).mul(constant(f4::A)));
        let (sum_b, odd_b) = (v[3].add(v[4]), v[3].sub(v[4]).mul(constant(f4::B)));
        [
            v[0].mul(product),
            v[5].mul_add(product, odd_a.mul_add(minus_bb, odd_b.mul(minus_aa))),
            v[0].mul_add(minus_sum, sum_a.mul_add(minus_bb, sum_b.mul(minus_aa))),
            v[5].mul_add(minus_sum, odd_a.add(odd_b)),
            v[0].add(sum_a.add(sum_b)),
            v[5],
        ]
    }
    #[inline(always)]
    fn weight<V: Lanes>(w: [V; 3]) -> [V; 6] {
        let even_a = w[0].mul_add(constant(1.0 / f4::NA), w[2].mul(constant(f4::AA / f4::NA)));
        let even_b = w[0].mul_add(constant(1.0 / f4::NB), w[2].mul(constant(f4::BB / f4::NB)));
        let odd_a = w[1].mul(constant(f4::A / f4::NA));
        let odd_b = w[1].mul(constant(f4::B / f4::NB));
        let zero = w[0].mul(constant(1.0 / f4::N0));
        [zero, even_a.add(odd_a), even_a.sub(odd_a), even_b.add(odd_b), even_b.sub(odd_b), w[2]]
    }
    #[inline(always)]
    fn weight_adjoint<V: Lanes>(u: [V; 6]) -> [V; 3] {
        let (sum_a, odd_a) = (u[1].add(u[2]), u[1].sub(u[2]));
        let (sum_b, odd_b) = (u[3].add(u[4]), u[3].sub(u[4]));
        let sums = sum_a.mul_add(constant(1.0 / f4::NA), sum_b.mul(constant(1.0 / f4::NB)));
        let squares = sum_a.mul_add(constant(f4::AA / f4::NA), sum_b.mul(constant(f4::BB / f4::NB)));
        [
            u[0].mul_add(constant(1.0 / f4::N0), sums),
            odd_a.mul_add(constant(f4::A / f4::NA), odd_b.mul(constant(f4::B / f4::NB))),
            u[5].add(squares),
        ]
    }
    #[inline(always)]
    fn output<V: Lanes>(m: [V; 6]) -> [V; 4] {
        let (sum_a, odd_a) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum_b, odd_b) = (m[3].add(m[4]), m[3].sub(m[4]));
        let (odd_a, odd_b) = (odd_a.mul(constant(f4::A)), odd_b.mul(constant(f4::B)));
        [
            m[0].add(sum_a.add(sum_b)),
            odd_a.add(odd_b),
            sum_a.mul_add(constant(f4::AA), sum_b.mul(constant(f4::BB))),
            odd_a.mul_add(constant(f4::AA), odd_b.mul_add(constant(f4::BB), m[5])),
        ]
    }
    #[inline(always)]
    fn output_adjoint<V: Lanes>(y: [V; 4]) -> [V; 6] {
        let even_a = y[2].mul_add(constant(f4::AA), y[0]);
        let even_b = y[2].mul_add(constant(f4::BB), y[0]);
        let odd_a = y[3].mul_add(constant(f4::AA), y[1]).mul(constant(f4::A));
        let odd_b = y[3].mul_add(constant(f4::BB), y[1]).mul(constant(f4::B));
        [y[0], even_a.add(odd_a), even_a.sub(odd_a), even_b.add(odd_b), even_b.sub(odd_b), y[3]]
    }
}

/// `F(2, 3)` with the points 0, ±1 and ∞.
pub(super) struct F2;

impl Form<4, 4, 2> for F2 {
    #[inline(always)]
    fn input<V: Lanes>(x: [V; 4]) -> [V; 4] {
        [x[0].sub(x[2]), x[1].add(x[2]), x[2].sub(x[1]), x[1].sub(x[3])]
    }
    #[inline(always)]
    fn input_adjoint<V: Lanes>(v: [V; 4]) -> [V; 4] {
        [v[0], v[1].sub(v[2]).add(v[3]), v[1].add(v[2]).sub(v[0]), V::zero().sub(v[3])]
    }
    #[inline(always)]
    fn weight<V: Lanes>(w: [V; 3]) -> [V; 4] {
        let half = constant(0.5);
        let (even, odd) = (w[0].add(w[2]).mul(half), w[1].mul(half));
        [w[0], even.add(odd), even.sub(odd), w[2]]
    }
    #[inline(always)]
    fn weight_adjoint<V: Lanes>(u: [V; 4]) -> [V; 3] {
        let half = constant(0.5);
        let (even, odd) = (u[1].add(u[2]).mul(half), u[1].sub(u[2]).mul(half));
        [u[0].add(even), odd, u[3].add(even)]
    }
    #[inline(always)]
    fn output<V: Lanes>(m: [V; 4]) -> [V; 2] {
        [m[0].add(m[1]).add(m[2]), m[1].sub(m[2]).sub(m[3])]
    }
    #[inline(always)]
    fn output_adjoint<V: Lanes>(y: [V; 2]) -> [V; 4] {
        [y[0], y[0].add(y[1]), y[0].sub(y[1]), V::zero().sub(y[1])]
    }
}

/// Two pixels between zeros: `y₀ = w₁ x₀ + w₂ x₁`, `y₁ = w₀ x₀ + w₁ x₁` is a Toeplitz matrix times a vector, which takes three
/// multiplications: `w₁ (x₀ + x₁)`, `(w₂ - w₁) x₁` and `(w₀ - w₁) x₀`.
pub(super) struct Toeplitz2;

impl Form<2, 3, 2> for Toeplitz2 {
    #[inline(always)]
    fn input<V: Lanes>(x: [V; 2]) -> [V; 3] {
        [x[0].add(x[1]), x[1], x[0]]
    }
    #[inline(always)]
    fn input_adjoint<V: Lanes>(v: [V; 3]) -> [V; 2] {
        [v[0].add(v[2]), v[0].add(v[1])]
    }
    #[inline(always)]
    fn weight<V: Lanes>(w: [V; 3]) -> [V; 3] {
        [w[1], w[2].sub(w[1]), w[0].sub(w[1])]
    }
    #[inline(always)]
    fn weight_adjoint<V: Lanes>(u: [V; 3]) -> [V; 3] {
        [u[2], u[0].sub(u[1]).sub(u[2]), u[1]]
    }
    #[inline(always)]
    fn output<V: Lanes>(m: [V; 3]) -> [V; 2] {
        [m[0].add(m[1]), m[0].add(m[2])]
    }
    #[inline(always)]
    fn output_adjoint<V: Lanes>(y: [V; 2]) -> [V; 3] {
        [y[0].add(y[1]), y[0], y[1]]
    }
}
