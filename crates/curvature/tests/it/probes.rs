//! Estimates that share products.

use std::ops::Range;

use sharpness_curvature::spectra::{Diagonal, with_eigenvalues};
use sharpness_curvature::{
    ApplyError, DenseOperator, Error, HutchinsonEstimate, HutchinsonParams, Probes, ProbesParams,
    SymmetricOperator, squared_frobenius_norm, trace,
};

fn eigenvalues() -> Vec<f64> {
    [vec![90.0, 50.0, -30.0], (0..197).map(|i| (0.1 * f64::from(i)).sin()).collect()].concat()
}

fn operator() -> DenseOperator {
    with_eigenvalues(&eigenvalues(), 4).expect("a valid request")
}

/// Two blocks, the first of two parts.
fn blocks() -> Vec<Vec<Range<usize>>> {
    vec![vec![0..30, 100..150], vec![30..100]]
}

fn probes(block: usize) -> Probes {
    Probes::new(200, ProbesParams { seed: 3, block, blocks: blocks(), diagonal_probes: 40 })
        .expect("a valid request")
}

/// Everything that `probes` estimates, in the order of `order`.
fn all(probes: &mut Probes, op: &mut DenseOperator, order: [usize; 4]) -> Vec<Vec<f64>> {
    let mut found = vec![Vec::new(); 4];
    let numbers = |e: &HutchinsonEstimate| vec![e.value, e.standard_error, e.probes as f64];
    for what in order {
        found[what] = match what {
            0 => numbers(&probes.trace(op, 0.2, 500, &mut |_| ()).expect("a valid request")),
            1 => numbers(&probes.squared_frobenius_norm(op, 0.1, 500, &mut |_| ()).expect("a valid request")),
            2 => probes
                .block_traces(op, 0.2, 60, &mut |_| ())
                .expect("a valid request")
                .iter()
                .flat_map(numbers)
                .collect(),
            _ => {
                let diagonal = probes.diagonal(op, &mut |_| ()).expect("a valid request");
                [diagonal.values, diagonal.standard_errors].concat()
            }
        }
    }
    found
}

#[test]
fn results_depend_neither_on_the_order_nor_on_the_block() {
    let mut op = operator();
    let first = all(&mut probes(1), &mut op, [0, 1, 2, 3]);
    for (block, order) in [(1, [3, 2, 1, 0]), (7, [1, 0, 3, 2]), (64, [2, 3, 0, 1])] {
        assert_eq!(all(&mut probes(block), &mut op, order), first, "blocks of {block} in order {order:?}");
    }
    let params = |rtol| HutchinsonParams { rtol, max_probes: 500, block: 5, seed: 3 };
    let alone = trace(&mut op, &params(0.2), &mut |_| ()).unwrap();
    assert_eq!(first[0], [alone.value, alone.standard_error, alone.probes as f64], "trace");
    let alone = squared_frobenius_norm(&mut op, &params(0.1), &mut |_| ()).unwrap();
    assert_eq!(first[1], [alone.value, alone.standard_error, alone.probes as f64], "squared_frobenius_norm");
}

#[test]
fn later_estimates_take_only_further_products() {
    let mut op = operator();
    let mut probes = probes(8);
    let trace = probes.trace(&mut op, 0.0, 100, &mut |_| ()).unwrap();
    assert_eq!((trace.probes, probes.products()), (100, 100), "{trace:?}");
    probes.diagonal(&mut op, &mut |_| panic!("no product is needed")).unwrap();
    let mut reports = 0;
    probes.squared_frobenius_norm(&mut op, 0.0, 90, &mut |_| reports += 1).unwrap();
    assert_eq!((probes.products(), reports), (100, 1), "fewer probes");
    probes.squared_frobenius_norm(&mut op, 0.0, 103, &mut |_| ()).unwrap();
    assert_eq!(probes.products(), 103, "three more probes");
}

#[test]
fn block_traces_and_the_diagonal_are_those_of_the_matrix() {
    let mut op = operator();
    let entries: Vec<f64> = (0..200).map(|i| op.entries()[201 * i]).collect();
    let sums: Vec<f64> =
        blocks().into_iter().map(|block| block.into_iter().flatten().map(|i| entries[i]).sum()).collect();
    let (mut near, mut near_entries, seeds) = ([0; 2], 0, 200);
    for seed in 0..seeds {
        let params = ProbesParams { seed, block: 10, blocks: blocks(), diagonal_probes: 60 };
        let mut probes = Probes::new(200, params).unwrap();
        let traces = probes.block_traces(&mut op, 0.0, 60, &mut |_| ()).unwrap();
        for ((near, found), sum) in near.iter_mut().zip(&traces).zip(&sums) {
            *near += u64::from((found.value - sum).abs() < 2.0 * found.standard_error);
        }
        let found = probes.diagonal(&mut op, &mut |_| ()).unwrap();
        let errors = found.values.iter().zip(&entries).map(|(value, entry)| (value - entry).abs());
        let near = errors.zip(&found.standard_errors).filter(|(error, stated)| *error < 2.0 * **stated);
        near_entries += near.count() as u64;
    }
    let is_95_percent = |near, of| (0.90..0.99).contains(&(near as f64 / of as f64));
    assert!(near.iter().all(|near| is_95_percent(*near, seeds)), "{near:?} of {seeds} traces are near");
    assert!(is_95_percent(near_entries, 200 * seeds), "{near_entries} of {} entries are near", 200 * seeds);
}

#[test]
fn the_diagonal_of_a_diagonal_operator_is_exact() {
    let mut op = Diagonal(eigenvalues());
    let found = probes(3).diagonal(&mut op, &mut |_| ()).unwrap();
    assert_eq!(found.values, eigenvalues());
    assert!(found.standard_errors.iter().all(|error| *error <= 0.0), "{:?}", found.standard_errors);
}

/// Fails at its product number `at`, from 1, once.
struct Failing {
    operator: DenseOperator,
    at: usize,
}

impl SymmetricOperator for Failing {
    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        self.at = self.at.wrapping_sub(1);
        if self.at == 0 { Err("interrupted".into()) } else { self.operator.apply(v, out) }
    }
}

#[test]
fn a_failed_product_changes_no_later_result() {
    let mut op = Failing { operator: operator(), at: 11 };
    let mut probes = probes(4);
    let error = probes.trace(&mut op, 0.0, 20, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Operator(_)), "{error}");
    assert_eq!(probes.products(), 8, "the products before the failure");
    let again = probes.trace(&mut op, 0.0, 20, &mut |_| ()).unwrap();
    let params = HutchinsonParams { rtol: 0.0, max_probes: 20, block: 1, seed: 3 };
    assert_eq!(again, trace(&mut op, &params, &mut |_| ()).unwrap());
}

#[test]
fn impossible_requests_are_errors() {
    let new = |dim, block, blocks, diagonal_probes| {
        Probes::new(dim, ProbesParams { seed: 0, block, blocks, diagonal_probes }).unwrap_err()
    };
    assert!(matches!(new(0, 1, vec![], 0), Error::NoDimension), "no dimension");
    assert!(matches!(new(9, 0, vec![], 0), Error::Probes { .. }), "no block of products");
    assert!(matches!(new(9, 1, vec![], 1), Error::Probes { .. }), "one probe");
    assert!(matches!(new(9, 1, vec![vec![]], 0), Error::NoDimension), "an empty block");
    for ranges in [vec![0..2, 2..10], vec![3..5, 4..6], vec![5..6, 1..2], vec![0..1, 2..2]] {
        let error = new(9, 1, vec![ranges.clone()], 0);
        assert!(matches!(error, Error::Range { dim: 9, .. }), "{ranges:?}: {error}");
    }
    let error = probes(1).trace(&mut Diagonal(vec![1.0; 3]), 0.1, 10, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Dimension { dim: 3, expected: 200 }), "{error}");
    let mut without = Probes::new(3, ProbesParams::default()).unwrap();
    let error = without.diagonal(&mut Diagonal(vec![1.0; 3]), &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Probes { .. }), "{error}");
    assert!(without.block_traces(&mut Diagonal(vec![1.0; 3]), 0.1, 9, &mut |_| ()).unwrap().is_empty());
    let error = without.trace(&mut Diagonal(vec![f64::NAN; 3]), 0.1, 9, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::NonFinite { product: 1 }), "{error}");
}
