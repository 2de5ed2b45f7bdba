//! Steps of stochastic gradient descent against their formulas, around the sizes of vectors and chunks.

use sharpness_backend::{Sgd, Update};
use sharpness_kernels::Real;
use sharpness_kernels::update::update;

use crate::data::{F32_ROUNDING, F64_ROUNDING, Random, assert_near, wide};

fn check<R: Real>(len: usize, rule: &Sgd, tolerance: f64) {
    let mut random = Random::new(31);
    let step = Update::Sgd(*rule);
    let mut w = random.vector::<R>(len);
    let mut states = vec![vec![R::ZERO; len]; step.states()];
    let (mut want_w, mut want_b) = (wide(&w), vec![0.0; len]);
    for _ in 0..2 {
        let gradient = random.vector::<R>(len);
        update(step, &gradient, &mut states, &mut w);
        for ((w, b), g) in want_w.iter_mut().zip(&mut want_b).zip(wide(&gradient)) {
            let g = g + rule.weight_decay * *w;
            *b = rule.momentum * *b + g;
            let direction = if rule.nesterov { g + rule.momentum * *b } else { *b };
            *w -= rule.learning_rate * direction;
        }
    }
    assert_near(&w, &want_w, tolerance, &format!("{len} parameters with {rule:?}"));
    assert_eq!(states.len(), usize::from(rule.momentum > 0.0), "momentum has a buffer");
    for b in &states {
        assert_near(b, &want_b, tolerance, &format!("the buffer of {rule:?}"));
    }
}

#[test]
fn steps_are_their_formulas() {
    for len in [0, 1, 15, 16, 17, 16_384, 16_385, 50_001] {
        for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
            for weight_decay in [0.0, 0.1] {
                let rule = Sgd { learning_rate: 0.05, weight_decay, momentum, nesterov };
                check::<f64>(len, &rule, F64_ROUNDING);
                check::<f32>(len, &rule, F32_ROUNDING);
            }
        }
    }
}

#[test]
#[should_panic(expected = "one length")]
fn other_lengths_are_refused() {
    let rule = Sgd { learning_rate: 0.05, weight_decay: 0.0, momentum: 0.0, nesterov: false };
    update(Update::Sgd(rule), &[0.0_f32; 3], &mut [], &mut [0.0; 4]);
}
