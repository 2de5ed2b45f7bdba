//! Flat vectors: `Device`, `Vectors`, `Elementwise` and `Update`.

use super::results::{BOTH, Results, all, flat};
use crate::{Activation, Adam, Backend, Sgd, Update, View, ViewMut};

/// Lengths around those of a vector and of a task.
const LENGTHS: [usize; 5] = [1, 15, 17, 1025, 16_385];

pub(super) fn results<B: Backend>(b: &B) -> Results {
    let mut r = Results::new(1);
    for len in LENGTHS {
        device(b, len, &mut r);
        vectors(b, len, &mut r);
        wide(b, len, &mut r);
        elementwise(b, len, &mut r);
        update(b, len, &mut r);
    }
    r
}

fn device<B: Backend>(b: &B, len: usize, r: &mut Results) {
    let x = r.vector(b, len);
    let middle = View::new(&x, len / 3, len - len / 3);
    r.push(format!("download of a range of {len}"), b.download(middle));
    r.push(format!("a new buffer of {len}"), b.download(all(&b.buffer(len), len)));
    let mut wide = b.wide(len);
    b.widen(all(&x, len), &mut wide);
    let mut out = vec![f64::NAN; len];
    b.read_into(&wide, &mut out);
    r.push(format!("read_into of {len}"), out);
    r.push(format!("read of {len}"), b.read(&wide));
    b.clear(&mut wide);
    r.push(format!("clear of {len}"), b.read(&wide));
}

fn vectors<B: Backend>(b: &B, len: usize, r: &mut Results) {
    let x: Vec<B::Buffer> = (0..3).map(|_| r.vector(b, len)).collect();
    // A range that does not begin the buffer.
    let start = len / 3;
    let view = |k: usize| View::new(&x[k], start, len - start);
    let before = r.numbers(len);
    for accumulate in BOTH {
        for count in 0..=3 {
            let terms: Vec<_> = [1.5, -0.25, 3.0].into_iter().zip((0..3).map(view)).take(count).collect();
            let mut y = flat(b, &before);
            b.linear_combination(&terms, accumulate, ViewMut::new(&mut y, start, len - start));
            r.push_flat(b, format!("linear_combination of {count} terms, {accumulate:?}, {len}"), len, &y);
        }
        let mut y = flat(b, &before);
        let numbers = [(View::new(&x[2], 0, 1), view(0)), (View::new(&x[1], len - 1, 1), view(1))];
        b.scaled_sum(&numbers, accumulate, ViewMut::new(&mut y, start, len - start));
        r.push_flat(b, format!("scaled_sum, {accumulate:?}, {len}"), len, &y);
        let mut y = flat(b, &before);
        b.multiply(view(0), view(1), accumulate, ViewMut::new(&mut y, start, len - start));
        r.push_flat(b, format!("multiply, {accumulate:?}, {len}"), len, &y);
    }
    let mut y = flat(b, &before);
    b.absolute_plus(view(0), 0.5, ViewMut::new(&mut y, start, len - start));
    r.push_flat(b, format!("absolute_plus of {len}"), len, &y);
}

fn wide<B: Backend>(b: &B, len: usize, r: &mut Results) {
    let (x, y) = (r.vector(b, len), r.vector(b, len));
    let (mut a, mut c, mut out) = (b.wide(len), b.wide(len), b.wide(len));
    b.dot(all(&x, len), all(&y, len), len - 1, &mut out);
    r.push(format!("dot of {len}"), b.read(&out));
    b.widen(all(&x, len), &mut a);
    b.widen(all(&y, len), &mut c);
    b.add_to_wide(all(&x, len), &mut c);
    r.push(format!("add_to_wide of {len}"), b.read(&c));
    b.add_wide(&a, &mut c);
    r.push(format!("add_wide of {len}"), b.read(&c));
    b.polynomial(&[(0.5, &[]), (2.0, &[&a]), (-1.0, &[&a, &c, &a])], &mut out);
    r.push(format!("polynomial of {len}"), b.read(&out));
    for accumulate in BOTH {
        let mut y = r.vector(b, len);
        b.narrow(&a, accumulate, ViewMut::new(&mut y, 0, len));
        r.push_flat(b, format!("narrow, {accumulate:?}, {len}"), len, &y);
    }
}

fn elementwise<B: Backend>(b: &B, len: usize, r: &mut Results) {
    let ties = r.ties(len);
    let random: Vec<f64> = r.numbers(len).iter().map(|x| 4.0 * x).collect();
    let mut not_a_number = ties.clone();
    not_a_number[len / 2] = f64::NAN;
    for (data, x) in [("ties", &ties), ("numbers", &random), ("a NaN", &not_a_number)] {
        let x = flat(b, x);
        let (v, a, c) = (r.vector(b, len), r.vector(b, len), r.vector(b, len));
        for &kind in Activation::ALL {
            let what = |method: &str| format!("{method} of {} and {data}, {len}", kind.name());
            let mut y = b.buffer(len);
            b.activation(kind, len, &x, &mut y);
            r.push_flat(b, what("activation"), len, &y);
            // What passes at a NaN is not part of the contract.
            for accumulate in BOTH.into_iter().filter(|_| data != "a NaN") {
                let mut y = r.vector(b, len);
                b.activation_first(kind, len, &x, &v, accumulate, &mut y);
                r.push_flat(b, what("activation_first"), len, &y);
                let mut y = r.vector(b, len);
                b.activation_second(kind, len, &x, &v, (&a, &c), accumulate, &mut y);
                r.push_flat(b, what("activation_second"), len, &y);
            }
        }
    }
}

fn update<B: Backend>(b: &B, len: usize, r: &mut Results) {
    let sgd = |momentum, nesterov| Sgd { learning_rate: 0.5, weight_decay: 0.125, momentum, nesterov };
    let betas = [0.75, 0.9375];
    let adam = Adam { learning_rate: 0.5, weight_decay: 0.125, betas, epsilon: 0.125, step: 3 };
    let sgd = [sgd(0.0, false), sgd(0.75, false), sgd(0.75, true)].map(Update::Sgd);
    for update in sgd.into_iter().chain([Update::Adam(adam)]) {
        let gradient = r.vector(b, len);
        let mut w = r.vector(b, len);
        // Adam takes the root of its second state.
        let squares = |r: &mut Results| r.numbers(len).iter().map(|x| x * x).collect::<Vec<_>>();
        let state = |i| if i == 0 { r.vector(b, len) } else { flat(b, &squares(r)) };
        let mut states: Vec<_> = (0..update.states()).map(state).collect();
        b.update(update, all(&gradient, len), &mut states, ViewMut::new(&mut w, 0, len));
        r.push_flat(b, format!("parameters after {update:?}, {len}"), len, &w);
        for (i, state) in states.iter().enumerate() {
            r.push_flat(b, format!("state {i} after {update:?}, {len}"), len, state);
        }
    }
}
