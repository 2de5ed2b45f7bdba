//! Activation functions. A new one is a type with its [`Function`], a variant, and a row in `ALL` and in `visit`, all in this file.

use serde::{Deserialize, Serialize};

use crate::Scalar;

/// A nonlinearity that is applied to every element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x Φ(x)` with the exact normal distribution function, by `erf` (Hendrycks and Gimpel 2016).
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
    /// `x σ(x)` with the logistic function `σ` (Elfwing, Uchibe, Doya 2018).
    Silu,
}

impl Activation {
    /// All of them, in the order of tables.
    pub const ALL: &[Self] = &[Self::Relu, Self::Gelu, Self::Tanh, Self::Silu];

    /// Calls `visitor` with the function, so that a loop over elements is compiled for it.
    #[inline]
    pub fn visit<V: Visitor>(self, visitor: V) -> V::Output {
        match self {
            Self::Relu => visitor.visit(Relu),
            Self::Gelu => visitor.visit(Gelu),
            Self::Tanh => visitor.visit(Tanh),
            Self::Silu => visitor.visit(Silu),
        }
    }

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        self.visit(Name)
    }

    /// Whether `f(c x) = c f(x)` for every `c > 0`.
    pub fn is_homogeneous(self) -> bool {
        self.visit(IsHomogeneous)
    }

    /// `f(x)`, `f'(x)` and `f''(x)`.
    pub fn derivatives<R: Scalar>(self, x: R) -> [R; 3] {
        self.visit(Derivatives(x))
    }
}

struct Name;

impl Visitor for Name {
    type Output = &'static str;
    fn visit<F: Function>(self, _: F) -> &'static str {
        F::NAME
    }
}

struct IsHomogeneous;

impl Visitor for IsHomogeneous {
    type Output = bool;
    fn visit<F: Function>(self, _: F) -> bool {
        F::IS_HOMOGENEOUS
    }
}

struct Derivatives<R>(R);

impl<R: Scalar> Visitor for Derivatives<R> {
    type Output = [R; 3];
    fn visit<F: Function>(self, _: F) -> [R; 3] {
        [F::value(self.0), F::first(self.0), F::second(self.0)]
    }
}

/// An activation function as a type.
///
/// A NaN stays one, so that a diverged run is seen.
pub trait Function: Copy + Send + Sync {
    /// The name on the command line and in files: the variant of [`Activation`] in kebab case.
    const NAME: &'static str;
    /// Whether `f(c x) = c f(x)` for every `c > 0`.
    const IS_HOMOGENEOUS: bool = false;

    /// `f(x)`.
    fn value<R: Scalar>(x: R) -> R;
    /// `f'(x)`.
    fn first<R: Scalar>(x: R) -> R;
    /// `f''(x)`.
    fn second<R: Scalar>(x: R) -> R;

    /// `f'(x) v`.
    #[inline]
    fn linear<R: Scalar>(x: R, v: R) -> R {
        Self::first(x) * v
    }

    /// `f'(x) v + f''(x) a b`.
    #[inline]
    fn curved<R: Scalar>(x: R, v: R, (a, b): (R, R)) -> R {
        Self::first(x) * v + Self::second(x) * a * b
    }
}

/// What [`Activation::visit`] calls.
pub trait Visitor {
    /// The result.
    type Output;
    /// Works with the function `F`.
    fn visit<F: Function>(self, function: F) -> Self::Output;
}

/// `max(x, 0)`. `f'(0) = 0`, and `f'' = 0` everywhere, are part of the contract.
#[derive(Clone, Copy, Debug)]
struct Relu;

impl Function for Relu {
    const NAME: &'static str = "relu";
    const IS_HOMOGENEOUS: bool = true;

    #[inline]
    fn value<R: Scalar>(x: R) -> R {
        if x <= R::ZERO { R::ZERO } else { x }
    }

    #[inline]
    fn first<R: Scalar>(x: R) -> R {
        if x > R::ZERO { R::ONE } else { R::ZERO }
    }

    #[inline]
    fn second<R: Scalar>(_: R) -> R {
        R::ZERO
    }

    // An element that does not pass contributes zero, whatever `v` is.
    #[inline]
    fn linear<R: Scalar>(x: R, v: R) -> R {
        if x > R::ZERO { v } else { R::ZERO }
    }

    #[inline]
    fn curved<R: Scalar>(x: R, v: R, _: (R, R)) -> R {
        Self::linear(x, v)
    }
}

/// `x Φ(x)`.
#[derive(Clone, Copy, Debug)]
struct Gelu;

/// Normal distribution function `Φ` and density `φ` at `x`.
#[inline]
fn normal<R: Scalar>(x: R) -> (R, R) {
    /// `1 / sqrt(2 pi)`.
    const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;
    let half = R::from_f64(0.5);
    let distribution = half * (R::ONE + (x * R::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf());
    let density = R::from_f64(DENSITY_AT_0) * (-half * x * x).exp();
    (distribution, density)
}

impl Function for Gelu {
    const NAME: &'static str = "gelu";

    #[inline]
    fn value<R: Scalar>(x: R) -> R {
        x * normal(x).0
    }

    #[inline]
    fn first<R: Scalar>(x: R) -> R {
        let (distribution, density) = normal(x);
        distribution + x * density
    }

    #[inline]
    fn second<R: Scalar>(x: R) -> R {
        (R::from_f64(2.0) - x * x) * normal(x).1
    }
}

/// Hyperbolic tangent.
#[derive(Clone, Copy, Debug)]
struct Tanh;

impl Function for Tanh {
    const NAME: &'static str = "tanh";

    #[inline]
    fn value<R: Scalar>(x: R) -> R {
        x.tanh()
    }

    #[inline]
    fn first<R: Scalar>(x: R) -> R {
        let y = x.tanh();
        R::ONE - y * y
    }

    #[inline]
    fn second<R: Scalar>(x: R) -> R {
        let y = x.tanh();
        R::from_f64(-2.0) * y * (R::ONE - y * y)
    }
}

/// `x σ(x)`.
#[derive(Clone, Copy, Debug)]
struct Silu;

/// `1 / (1 + e^-x)`.
#[inline]
fn logistic<R: Scalar>(x: R) -> R {
    R::ONE / (R::ONE + (-x).exp())
}

impl Function for Silu {
    const NAME: &'static str = "silu";

    #[inline]
    fn value<R: Scalar>(x: R) -> R {
        x * logistic(x)
    }

    // `σ' = σ (1 - σ)`, and `1 - σ(x) = σ(-x)` keeps its precision where `x` is large.
    #[inline]
    fn first<R: Scalar>(x: R) -> R {
        let (p, q) = (logistic(x), logistic(-x));
        p * (R::ONE + x * q)
    }

    #[inline]
    fn second<R: Scalar>(x: R) -> R {
        let (p, q) = (logistic(x), logistic(-x));
        p * q * (R::from_f64(2.0) + x * (q - p))
    }
}
