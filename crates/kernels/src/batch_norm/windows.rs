//! An epilogue of whole images of one channel, with vectors along the pixels.
//!
//! [`Epilogue::Relu`] has a little-endian `u16` for 16 pixels; bit `i` is set where `z > 0` at pixel `i`.
//! [`Epilogue::ReluMaxPool`] has one byte for each window. What they choose is as in [`crate::epilogue`].

use crate::epilogue::{Epilogue, NOTHING};
use crate::simd::{LANES, Lanes, Leaf};

/// Height and width of an image before the epilogue.
pub(super) type Image = (usize, usize);

/// `y` = the epilogue of `z`, and `choice` = what it chose.
pub(super) fn record<V: Lanes>(
    epilogue: Epilogue,
    image: Image,
    z: &[V::Scalar],
    choice: &mut [u8],
    y: &mut [V::Scalar],
) {
    match epilogue {
        Epilogue::None => y.copy_from_slice(z),
        Epilogue::Relu => V::vectorize(Rectify { z, choice, y }),
        Epilogue::ReluMaxPool => V::vectorize(Choose { windows: Windows::new(image), z, choice, y }),
    }
}

/// `y` = what `choice` lets pass of `z`.
pub(super) fn gather<V: Lanes>(
    epilogue: Epilogue,
    image: Image,
    z: &[V::Scalar],
    choice: &[u8],
    y: &mut [V::Scalar],
) {
    match epilogue {
        Epilogue::None => y.copy_from_slice(z),
        Epilogue::Relu => V::vectorize(Mask { from: z, choice, to: y }),
        Epilogue::ReluMaxPool => V::vectorize(Gather { windows: Windows::new(image), z, choice, y }),
    }
}

/// `z` = each element of `y` where `choice` took it from, and zeros: the adjoint of [`gather`].
pub(super) fn scatter<V: Lanes>(
    epilogue: Epilogue,
    image: Image,
    y: &[V::Scalar],
    choice: &[u8],
    z: &mut [V::Scalar],
) {
    match epilogue {
        Epilogue::None => z.copy_from_slice(y),
        Epilogue::Relu => V::vectorize(Mask { from: y, choice, to: z }),
        Epilogue::ReluMaxPool => V::vectorize(Scatter { windows: Windows::new(image), y, choice, z }),
    }
}

/// The first 16 numbers of `x`, or all and zeros.
#[inline(always)]
fn read<V: Lanes>(x: &[V::Scalar]) -> V {
    if x.len() < LANES { V::read_few(x) } else { V::read(x) }
}

/// Overwrites the first 16 numbers of `x`, or all.
#[inline(always)]
fn write<V: Lanes>(value: V, x: &mut [V::Scalar]) {
    if x.len() < LANES { value.write_few(x) } else { value.write(x) }
}

/// The ReLU of [`record`].
struct Rectify<'a, S> {
    z: &'a [S],
    choice: &'a mut [u8],
    y: &'a mut [S],
}

impl<V: Lanes> Leaf<V> for Rectify<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let pixels = self.z.chunks(LANES).zip(self.y.chunks_mut(LANES));
        for ((z, y), choice) in pixels.zip(self.choice.chunks_exact_mut(2)) {
            let z = read::<V>(z);
            let positive = z.greater(V::zero());
            choice.copy_from_slice(&positive.to_le_bytes());
            // A NaN must stay one, so that a diverged run is seen.
            write(z.keep(positive | z.nan()), y);
        }
    }
}

/// The ReLU of [`gather`] and [`scatter`].
struct Mask<'a, S> {
    from: &'a [S],
    choice: &'a [u8],
    to: &'a mut [S],
}

impl<V: Lanes> Leaf<V> for Mask<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let pixels = self.from.chunks(LANES).zip(self.to.chunks_mut(LANES));
        for ((from, to), choice) in pixels.zip(self.choice.chunks_exact(2)) {
            write(read::<V>(from).keep(u16::from_le_bytes([choice[0], choice[1]])), to);
        }
    }
}

/// The 2x2 windows of images.
#[derive(Clone, Copy)]
struct Windows {
    image: Image,
    /// Windows of one row.
    row: usize,
    /// Whether 16 windows that begin at a multiple of 16 are the even and odd runs of four vectors.
    regular: bool,
}

impl Windows {
    fn new((height, width): Image) -> Self {
        let row = width / 2;
        let even = height.is_multiple_of(2) && width.is_multiple_of(2);
        let regular = even && row > 0 && (LANES.is_multiple_of(row) || row.is_multiple_of(LANES));
        Self { image: (height, width), row, regular }
    }

    /// The first element of a window.
    #[inline(always)]
    const fn first(self, window: usize) -> usize {
        let ((height, width), row) = (self.image, window / self.row);
        (row / (height / 2) * height + row % (height / 2) * 2) * width + window % self.row * 2
    }

    /// Where the elements of a window lie from its first one.
    #[inline(always)]
    const fn offsets(self) -> [usize; 4] {
        [0, 1, self.image.1, self.image.1 + 1]
    }

    /// Regular windows from `start` on: where their four vectors begin, and the runs of one row in them.
    #[inline(always)]
    const fn vectors(self, start: usize) -> ([usize; 4], usize) {
        if self.row < LANES {
            let a = 4 * start;
            return ([a, a + LANES, a + 2 * LANES, a + 3 * LANES], self.row);
        }
        let (a, b) = (self.first(start), self.first(start) + self.image.1);
        ([a, a + LANES, b, b + LANES], LANES)
    }

    /// The four elements of `count` windows from `start` on.
    #[inline(always)]
    fn load<V: Lanes>(self, z: &[V::Scalar], (start, count): (usize, usize)) -> [V; 4] {
        if self.regular && count == LANES {
            let ([a, b, c, d], run) = self.vectors(start);
            let (top, bottom) = (V::read(&z[a..]), V::read(&z[c..]));
            let (even_top, odd_top) = V::deinterleave(1, top, V::read(&z[b..]));
            let (even_bottom, odd_bottom) = V::deinterleave(1, bottom, V::read(&z[d..]));
            let (first, third) = V::deinterleave(run, even_top, even_bottom);
            let (second, fourth) = V::deinterleave(run, odd_top, odd_bottom);
            return [first, second, third, fourth];
        }
        let mut lanes = [[V::Scalar::default(); LANES]; 4];
        for lane in 0..count {
            let first = self.first(start + lane);
            for (lanes, offset) in lanes.iter_mut().zip(self.offsets()) {
                lanes[lane] = z[first + offset];
            }
        }
        let mut elements = [V::zero(); 4];
        for (element, lanes) in elements.iter_mut().zip(&lanes) {
            *element = V::read(lanes);
        }
        elements
    }

    /// Overwrites the four elements of `count` windows from `start` on.
    #[inline(always)]
    fn store<V: Lanes>(self, elements: [V; 4], z: &mut [V::Scalar], (start, count): (usize, usize)) {
        if self.regular && count == LANES {
            let ([a, b, c, d], run) = self.vectors(start);
            let (even_top, even_bottom) = V::interleave(run, elements[0], elements[2]);
            let (odd_top, odd_bottom) = V::interleave(run, elements[1], elements[3]);
            let (top, bottom) =
                (V::interleave(1, even_top, odd_top), V::interleave(1, even_bottom, odd_bottom));
            for (vector, at) in [(top.0, a), (top.1, b), (bottom.0, c), (bottom.1, d)] {
                vector.write(&mut z[at..]);
            }
            return;
        }
        let mut lanes = [V::Scalar::default(); LANES];
        for (element, offset) in elements.iter().zip(self.offsets()) {
            element.write(&mut lanes);
            for (lane, &value) in lanes.iter().enumerate().take(count) {
                z[self.first(start + lane) + offset] = value;
            }
        }
    }
}

/// The max pooling of [`record`].
struct Choose<'a, S> {
    windows: Windows,
    z: &'a [S],
    choice: &'a mut [u8],
    y: &'a mut [S],
}

impl<V: Lanes> Leaf<V> for Choose<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let outputs = self.y.chunks_mut(LANES).zip(self.choice.chunks_mut(LANES));
        for (i, (y, choice)) in outputs.enumerate() {
            let window = self.windows.load::<V>(self.z, (i * LANES, y.len()));
            let mut best = window[0];
            let mut bytes = 0;
            for (element, &z) in (1_u8..).zip(&window[1..]) {
                let better = z.greater(best) | (z.nan() & !best.nan());
                best = best.blend(better, z);
                let lanes = V::bytes(better);
                bytes = (bytes & !lanes) | (lanes & u128::from_le_bytes([element; LANES]));
            }
            let kept = best.greater(V::zero()) | best.nan();
            let bytes = (bytes | !V::bytes(kept)).to_le_bytes();
            choice.copy_from_slice(&bytes[..choice.len()]);
            write(best.keep(kept), y);
        }
    }
}

/// The choices of up to 16 windows.
#[inline(always)]
fn bytes_of(choice: &[u8]) -> u128 {
    let mut bytes = [NOTHING; LANES];
    bytes[..choice.len()].copy_from_slice(choice);
    u128::from_le_bytes(bytes)
}

/// The max pooling of [`gather`].
struct Gather<'a, S> {
    windows: Windows,
    z: &'a [S],
    choice: &'a [u8],
    y: &'a mut [S],
}

impl<V: Lanes> Leaf<V> for Gather<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let outputs = self.y.chunks_mut(LANES).zip(self.choice.chunks(LANES));
        for (i, (y, choice)) in outputs.enumerate() {
            let window = self.windows.load::<V>(self.z, (i * LANES, y.len()));
            let (mut chosen, bytes) = (V::zero(), bytes_of(choice));
            for (element, &z) in (0_u8..).zip(&window) {
                chosen = chosen.blend(V::bytes_equal(bytes, element), z);
            }
            write(chosen, y);
        }
    }
}

/// The max pooling of [`scatter`].
struct Scatter<'a, S> {
    windows: Windows,
    y: &'a [S],
    choice: &'a [u8],
    z: &'a mut [S],
}

impl<V: Lanes> Leaf<V> for Scatter<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        if !self.windows.regular {
            // Some elements may lie in no window.
            self.z.fill(V::Scalar::default());
        }
        let outputs = self.y.chunks(LANES).zip(self.choice.chunks(LANES));
        for (i, (y, choice)) in outputs.enumerate() {
            let (value, bytes) = (read::<V>(y), bytes_of(choice));
            let mut window = [V::zero(); 4];
            for (element, z) in (0_u8..).zip(&mut window) {
                *z = value.keep(V::bytes_equal(bytes, element));
            }
            self.windows.store(window, self.z, (i * LANES, y.len()));
        }
    }
}
