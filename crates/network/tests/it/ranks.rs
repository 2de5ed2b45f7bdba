//! Operators have the same bits on any number of ranks.

use std::cell::Cell;

use sharpness_curvature::SymmetricOperator as _;
use sharpness_kernels::Cpu;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::{Activation, Backend};
use sharpness_network::op::BatchNorm;
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_network::{Error, Ranks};

use crate::fixture::signed;
use crate::thread_ranks::on_ranks;
use crate::tiny::{SEED, Tiny, shrunk};

/// Loss, accuracy, gradient, and two products at once with every matrix.
fn bits<B: Backend>(tiny: &Tiny<B>, chunks: Chunks) -> Vec<u64> {
    let (network, weights) = (&tiny.network, &tiny.weights);
    let mut operator =
        Curvature::new(network, Matrix::Hessian, weights, tiny.pass, tiny.data.all(), chunks, &|| false)
            .unwrap();
    let mut found = vec![operator.loss(), operator.accuracy()];
    found.extend(operator.gradient());
    let dim = operator.dim();
    let direction = |seed| (0..dim as u64).map(|i| signed(seed, i)).collect::<Vec<f64>>();
    let (u, v) = (direction(1), direction(2));
    let all =
        [Matrix::Hessian, Matrix::GaussNewton, Matrix::EmpiricalFisher, Matrix::MonteCarloFisher { seed: 3 }];
    for matrix in all {
        operator.set_matrix(matrix);
        let [mut first, mut second] = [vec![f64::NAN; dim], vec![f64::NAN; dim]];
        operator.apply_block(&[&u, &v], &mut [&mut first, &mut second]).unwrap();
        found.extend(first.into_iter().chain(second));
    }
    found.iter().map(|x| x.to_bits()).collect()
}

fn check<B: Backend>(
    backend: fn() -> B,
    arch: Architecture,
    batch_norm: BatchNorm,
    examples: u64,
    chunk: usize,
) {
    let tiny = |ranks: &Ranks| {
        let mut tiny = Tiny::new(backend(), &shrunk(arch, Activation::Relu), examples, batch_norm, SEED);
        tiny.network = tiny.network.shared_by(ranks.clone());
        tiny
    };
    let few = |tiny: &Tiny<B>| Curvature::bytes(&tiny.network, examples as usize, chunk, 1);
    let alone = tiny(&Ranks::default());
    let expected = bits(&alone, Chunks { examples: chunk, memory_bytes: 0 });
    for size in 1..=7 {
        let all = on_ranks(size, |ranks| {
            let tiny = tiny(ranks);
            let few = few(&tiny);
            [usize::MAX, few].map(|memory_bytes| bits(&tiny, Chunks { examples: chunk, memory_bytes }))
        });
        let label = format!("{arch:?}, {examples} examples in chunks of {chunk}, {size} ranks");
        assert!(all.iter().flatten().all(|bits| *bits == expected), "{label}");
    }
}

#[test]
fn products_have_the_same_bits_on_any_number_of_ranks() {
    for (examples, chunk) in [(1, 1), (7, 3), (23, 1), (70, 1)] {
        check(Cpu::<f32>::default, Architecture::Mlp, BatchNorm::Running, examples, chunk);
    }
    check(Cpu::<f64>::default, Architecture::Mlp, BatchNorm::Running, 19, 2);
    check(Cpu::<f32>::default, Architecture::CnnBn, BatchNorm::Batch, 19, 3);
}

#[test]
fn a_stop_on_one_rank_stops_all_at_the_same_product() {
    let all = on_ranks(3, |ranks| {
        let mut tiny = Tiny::new(
            Cpu::<f64>::default(),
            &shrunk(Architecture::Mlp, Activation::Relu),
            12,
            BatchNorm::Running,
            SEED,
        );
        tiny.network = tiny.network.shared_by(ranks.clone());
        let asked = Cell::new(0);
        // Rank 1 has four chunks: this stops it in the middle of its third product.
        let stop = || {
            asked.set(asked.get() + 1);
            ranks.rank() == 1 && asked.get() > 4 * 3 + 2
        };
        let chunks = Chunks { examples: 1, memory_bytes: 0 };
        let (network, weights, data) = (&tiny.network, &tiny.weights, tiny.data.all());
        let mut operator =
            Curvature::new(network, Matrix::Hessian, weights, tiny.pass, data, chunks, &stop).unwrap();
        let (v, mut out) = (vec![1.0; operator.dim()], vec![0.0; operator.dim()]);
        let mut products = 0;
        loop {
            match operator.apply(&v, &mut out) {
                Ok(()) => products += 1,
                Err(error) => {
                    assert!(matches!(error.downcast_ref(), Some(Error::Stopped)), "{error}");
                    return products;
                }
            }
        }
    });
    assert_eq!(all, [2, 2, 2], "products before the stop");
}

#[test]
fn words_and_bytes_reach_every_rank() {
    for size in [1, 2, 5] {
        let all = on_ranks(size, |ranks| {
            let rank = ranks.rank() as u64;
            let own: Vec<u64> = (0..rank).collect();
            let text = "x".repeat(3 * ranks.rank());
            let is_third = ranks.any(rank == 2);
            (ranks.gather(&own), ranks.gather_bytes(text.as_bytes()), ranks.from_first(&[rank + 7]), is_third)
        });
        for (words, bytes, first, is_third) in all {
            assert_eq!(words, (0..size as u64).map(|rank| (0..rank).collect()).collect::<Vec<Vec<u64>>>());
            assert_eq!(
                bytes.iter().map(Vec::len).collect::<Vec<_>>(),
                (0..size).map(|r| 3 * r).collect::<Vec<_>>()
            );
            assert_eq!((first, is_third), (vec![7], size > 2), "{size} ranks");
        }
    }
}
