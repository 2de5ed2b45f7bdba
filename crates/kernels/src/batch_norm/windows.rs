//! An epilogue of whole images of one channel, with vectors along the pixels.
//!
//! [`Epilogue::Relu`] has a little-endian `u16` for 16 pixels; bit `i` is set where `z > 0` at pixel `i`.
//! [`Epilogue::ReluMaxPool`] has one byte for each window. What they choose is as in [`crate::epilogue`].

use sharpness_backend::Epilogue;

use crate::epilogue::blocks::{choose, chosen};
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

/// The ReLU of [`record`].
struct Rectify<'a, S> {
    z: &'a [S],
    choice: &'a mut [u8],
    y: &'a mut [S],
}

impl<V: Lanes> Leaf<V> for Rectify<'_, V::Scalar> {
    #[inline(always)]
    fn run(self) {
        let ((z, z_rest), (y, y_rest)) = (self.z.as_chunks::<LANES>(), self.y.as_chunks_mut::<LANES>());
        let mut choices = self.choice.as_chunks_mut::<2>().0.iter_mut();
        for ((z, y), choice) in z.iter().zip(y).zip(&mut choices) {
            let (value, bits) = rectified(V::read(z));
            *choice = bits.to_le_bytes();
            value.write(y);
        }
        for choice in choices {
            let (value, bits) = rectified(V::read_few(z_rest));
            *choice = bits.to_le_bytes();
            value.write_few(y_rest);
        }
    }
}

/// The ReLU and where it lets pass.
#[inline(always)]
fn rectified<V: Lanes>(z: V) -> (V, u16) {
    let positive = z.greater(V::zero());
    // A NaN must stay one, so that a diverged run is seen.
    (z.keep(positive | z.nan()), positive)
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
        let (from, from_rest) = self.from.as_chunks::<LANES>();
        let (to, to_rest) = self.to.as_chunks_mut::<LANES>();
        let mut choices = self.choice.as_chunks::<2>().0.iter();
        for ((from, to), &choice) in from.iter().zip(to).zip(&mut choices) {
            V::read(from).keep(u16::from_le_bytes(choice)).write(to);
        }
        for &choice in choices {
            V::read_few(from_rest).keep(u16::from_le_bytes(choice)).write_few(to_rest);
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

/// Where 16 regular windows lie: their first element, and how many windows of the row come before it.
#[derive(Clone, Copy, Default)]
struct Place {
    first: usize,
    column: usize,
}

impl Windows {
    fn new((height, width): Image) -> Self {
        let row = width / 2;
        let even = height.is_multiple_of(2) && width.is_multiple_of(2);
        let regular = even && row > 0 && (LANES.is_multiple_of(row) || row.is_multiple_of(LANES));
        Self { image: (height, width), row, regular }
    }

    /// How many of `count` windows are read and written 16 at a time.
    #[inline(always)]
    const fn whole(self, count: usize) -> usize {
        if self.regular { count / LANES * LANES } else { 0 }
    }

    /// The elements of a window.
    #[inline(always)]
    const fn elements(self, window: usize) -> [usize; 4] {
        let ((height, width), row) = (self.image, window / self.row);
        let first = (row / (height / 2) * height + row % (height / 2) * 2) * width + window % self.row * 2;
        [first, first + 1, first + width, first + width + 1]
    }

    /// How far the third of the four vectors of regular windows lies from the first, and the runs of one row in them.
    #[inline(always)]
    const fn runs(self) -> (usize, usize) {
        if self.row < LANES { (2 * LANES, self.row) } else { (self.image.1, LANES) }
    }

    /// Moves to the next regular windows.
    #[inline(always)]
    const fn step(self, place: &mut Place) {
        place.first += 2 * LANES;
        place.column += LANES;
        if place.column >= self.row {
            // The lower row has been read with the upper one.
            place.first += self.runs().0;
            place.column = 0;
        }
    }

    /// The elements of 16 regular windows.
    #[inline(always)]
    fn load<V: Lanes>(self, z: &[V::Scalar], place: &mut Place) -> [V; 4] {
        let (below, run) = self.runs();
        let (upper, lower) = (&z[place.first..], &z[place.first + below..]);
        let (even_above, odd_above) = V::deinterleave(1, V::read(upper), V::read(&upper[LANES..]));
        let (even_below, odd_below) = V::deinterleave(1, V::read(lower), V::read(&lower[LANES..]));
        let (first, third) = V::deinterleave(run, even_above, even_below);
        let (second, fourth) = V::deinterleave(run, odd_above, odd_below);
        self.step(place);
        [first, second, third, fourth]
    }

    /// Overwrites the elements of 16 regular windows.
    #[inline(always)]
    fn store<V: Lanes>(self, window: [V; 4], z: &mut [V::Scalar], place: &mut Place) {
        let (below, run) = self.runs();
        let (even_above, even_below) = V::interleave(run, window[0], window[2]);
        let (odd_above, odd_below) = V::interleave(run, window[1], window[3]);
        let (first, second) = V::interleave(1, even_above, odd_above);
        let (third, fourth) = V::interleave(1, even_below, odd_below);
        let (upper, lower) = (place.first, place.first + below);
        first.write(&mut z[upper..]);
        second.write(&mut z[upper + LANES..]);
        third.write(&mut z[lower..]);
        fourth.write(&mut z[lower + LANES..]);
        self.step(place);
    }

    /// The elements of `count` windows from `start` on, wherever they lie.
    #[inline(always)]
    fn load_few<V: Lanes>(self, z: &[V::Scalar], start: usize, count: usize) -> [V; 4] {
        let mut lanes = [[V::Scalar::default(); LANES]; 4];
        for lane in 0..count {
            for (lanes, element) in lanes.iter_mut().zip(self.elements(start + lane)) {
                lanes[lane] = z[element];
            }
        }
        let mut window = [V::zero(); 4];
        for (element, lanes) in window.iter_mut().zip(&lanes) {
            *element = V::read(lanes);
        }
        window
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
        let whole = self.windows.whole(self.y.len());
        let ((y, y_rest), (choice, choice_rest)) =
            (self.y.split_at_mut(whole), self.choice.split_at_mut(whole));
        let mut place = Place::default();
        for (y, choice) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(choice.as_chunks_mut().0) {
            let (best, bytes) = choose(self.windows.load::<V>(self.z, &mut place), LANES);
            best.write(y);
            *choice = bytes.to_le_bytes();
        }
        let rest = y_rest.chunks_mut(LANES).zip(choice_rest.chunks_mut(LANES));
        for (i, (y, choice)) in rest.enumerate() {
            let (best, bytes) = choose(self.windows.load_few::<V>(self.z, whole + i * LANES, y.len()), LANES);
            best.write_few(y);
            choice.copy_from_slice(&bytes.to_le_bytes()[..choice.len()]);
        }
    }
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
        let whole = self.windows.whole(self.y.len());
        let ((y, y_rest), (choice, choice_rest)) = (self.y.split_at_mut(whole), self.choice.split_at(whole));
        let mut place = Place::default();
        for (y, choice) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(choice.as_chunks().0) {
            chosen(self.windows.load::<V>(self.z, &mut place), u128::from_le_bytes(*choice)).write(y);
        }
        let rest = y_rest.iter_mut().zip(choice_rest).enumerate();
        for (i, (y, &choice)) in rest {
            let element = self.windows.elements(whole + i).get(usize::from(choice)).copied();
            *y = element.map_or(V::Scalar::default(), |element| self.z[element]);
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
        let whole = self.windows.whole(self.y.len());
        let ((y, y_rest), (choice, choice_rest)) = (self.y.split_at(whole), self.choice.split_at(whole));
        let mut place = Place::default();
        for (y, choice) in y.as_chunks::<LANES>().0.iter().zip(choice.as_chunks().0) {
            let (value, bytes) = (V::read(y), u128::from_le_bytes(*choice));
            let mut window = [V::zero(); 4];
            for (element, z) in (0_u8..).zip(&mut window) {
                *z = value.keep(V::bytes_equal(bytes, element));
            }
            self.windows.store(window, self.z, &mut place);
        }
        // What follows is not all in windows.
        self.z[4 * whole..].fill(V::Scalar::default());
        for (i, (&y, &choice)) in y_rest.iter().zip(choice_rest).enumerate() {
            if let Some(&element) = self.windows.elements(whole + i).get(usize::from(choice)) {
                self.z[element] = y;
            }
        }
    }
}
