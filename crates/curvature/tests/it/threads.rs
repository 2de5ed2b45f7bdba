//! Results do not depend on the number of threads.

use sharpness_curvature::{EigenParams, SymmetricOperator, lanczos, spectra::Diagonal};

/// A diagonal operator that can claim single precision.
struct Marked(Diagonal, bool);

impl SymmetricOperator for Marked {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), sharpness_curvature::ApplyError> {
        self.0.apply(v, out)
    }

    fn is_single(&self) -> bool {
        self.1
    }
}

#[test]
fn threads_change_no_bit() {
    let dim = 100_001;
    let eigenvalues: Vec<f64> = (0..dim).map(|i| (-1e-2 * f64::from(i)).exp()).collect();
    for single in [false, true] {
        let solve = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut op = Marked(Diagonal(eigenvalues.clone()), single);
            // A basis of about 18 or 33 vectors, so that the solver restarts.
            let params =
                EigenParams { rtol: 1e-5, memory_bytes: 20 * 8 * op.dim(), ..EigenParams::default() };
            pool.install(|| lanczos(&mut op, &params, &mut |_| ()).unwrap())
        };
        let (one, three) = (solve(1), solve(3));
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(one.products, three.products, "products");
        assert_eq!(one.spectrum_bounds, three.spectrum_bounds, "bounds");
        assert_eq!(bits(&[one.pairs[0].value]), bits(&[three.pairs[0].value]), "value");
        assert!(bits(&one.pairs[0].vector) == bits(&three.pairs[0].vector), "vector");
        assert!(one.products > 33, "{} products do not restart", one.products);
    }
}
