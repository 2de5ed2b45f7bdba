//! The matrix product at the heart of all contractions: a few rows of the left factor times 16 or 32 columns of the right one.
#![expect(unsafe_code, reason = "the innermost loops load and store through pointers")]

use crate::simd::{LANES, Lanes, Leaf};

/// `c (+)= a b` for a tile of `rows x (16 vectors)` that stays in registers.
///
/// The sum runs over `blocks` blocks of `inner` steps. At step `k` of block `j`, element `r` of the left column is
/// `a[j * a_block + k * a_step + r * a_row]`, where `a_row` is 16 or 1, and vector `v` of the right row is
/// `b[v][(j * inner + k) * b_step ..][..16]`. Row `r` of the result is `c[r * c_row ..][..16 * vectors]`.
#[derive(Debug)]
pub(crate) struct Product<'a, S> {
    pub(crate) a: &'a [S],
    pub(crate) a_block: usize,
    pub(crate) a_step: usize,
    /// Numbers from both factors to those of the product that comes next, which are fetched meanwhile; 0 where they are not known.
    pub(crate) next: usize,
    pub(crate) b: [&'a [S]; 2],
    pub(crate) b_step: usize,
    pub(crate) blocks: usize,
    pub(crate) inner: usize,
    pub(crate) c: &'a mut [S],
    pub(crate) c_row: usize,
    /// Whether the product is added to what `c` holds.
    pub(crate) add: bool,
}

impl<S> Product<'_, S> {
    /// Rows of the left factor lie 16 numbers apart.
    pub(crate) fn spread_rows<V: Lanes<Scalar = S>>(self, rows: usize, vectors: usize) {
        self.check(rows, vectors, LANES);
        // SAFETY: the check passed.
        unsafe { dispatch::<V, LANES>(rows, vectors, self) };
    }

    /// Rows of the left factor lie side by side.
    pub(crate) fn adjacent_rows<V: Lanes<Scalar = S>>(self, rows: usize, vectors: usize) {
        self.check(rows, vectors, 1);
        // SAFETY: the check passed.
        unsafe { dispatch::<V, 1>(rows, vectors, self) };
    }

    fn check(&self, rows: usize, vectors: usize, a_row: usize) {
        assert!(rows > 0 && (1..=2).contains(&vectors), "a tile has rows, and one or two vectors");
        assert!(self.blocks > 0 && self.inner > 0, "a product has at least one step");
        let last = (self.blocks - 1) * self.a_block + (self.inner - 1) * self.a_step + (rows - 1) * a_row;
        assert!(last < self.a.len(), "the left factor holds all steps");
        let last = (self.blocks * self.inner - 1) * self.b_step + LANES;
        assert!(self.b[..vectors].iter().all(|b| last <= b.len()), "the right factor holds all steps");
        assert!((rows - 1) * self.c_row + vectors * LANES <= self.c.len(), "the result holds the tile");
    }
}

/// The rows of the tiles into which `rows` are cut, as evenly as the registers allow: for tile `i` of `count`, its first row and
/// the one after its last.
pub(crate) fn cut(rows: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = rows.div_ceil(most);
    (0..count).map(move |i| rows * i / count..rows * (i + 1) / count)
}

/// Runs `p` with the kernel of its size.
///
/// # Safety
/// [`Product::check`] passed for `rows`, `vectors` and `ROW`.
unsafe fn dispatch<V: Lanes, const ROW: usize>(rows: usize, vectors: usize, p: Product<'_, V::Scalar>) {
    macro_rules! kernels {
        ($($r:literal)*) => {
            match (rows, vectors) {
                $(($r, 1) => V::vectorize(Tile::<_, $r, 1, ROW>(p)),)*
                $(($r, 2) if V::TILE.1 == 2 => V::vectorize(Tile::<_, $r, 2, ROW>(p)),)*
                _ => unreachable!("a tile has at most as many rows and vectors as the lanes allow"),
            }
        };
    }
    kernels!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// The loop of [`tile`]. Only [`dispatch`] has one, of a product that was checked for its size.
struct Tile<'a, S, const R: usize, const N: usize, const ROW: usize>(Product<'a, S>);

impl<V: Lanes, const R: usize, const N: usize, const ROW: usize> Leaf<V> for Tile<'_, V::Scalar, R, N, ROW> {
    #[inline(always)]
    fn run(self) {
        // SAFETY: as its type says, the product was checked.
        unsafe { tile::<V, R, N, ROW>(self.0) };
    }
}

/// The kernel for `R` rows and `N` vectors.
///
/// # Safety
/// [`Product::check`] passed for `R`, `N` and `ROW`.
#[inline(always)]
unsafe fn tile<V: Lanes, const R: usize, const N: usize, const ROW: usize>(p: Product<'_, V::Scalar>) {
    let mut sums = [[V::zero(); N]; R];
    let mut b = [p.b[0].as_ptr(); N];
    for (b, vectors) in b.iter_mut().zip(p.b) {
        *b = vectors.as_ptr();
    }
    for block in 0..p.blocks {
        let mut a = p.a[block * p.a_block..].as_ptr();
        if ROW == LANES {
            // The steps of a block share the lines of its rows.
            for r in 0..R {
                V::prefetch(a.wrapping_add(r * ROW + p.next));
            }
        }
        for _ in 0..p.inner {
            if ROW != LANES {
                V::prefetch(a.wrapping_add(p.next));
                for b in b {
                    V::prefetch(b.wrapping_add(p.next));
                }
            }
            // SAFETY: `Product::check` has shown that both factors hold all steps of all rows and vectors.
            unsafe {
                let mut row = [V::zero(); N];
                for (vector, &b) in row.iter_mut().zip(&b) {
                    *vector = V::load(b);
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(*a.add(r * ROW));
                    for (sum, &vector) in sums.iter_mut().zip(&row) {
                        *sum = x.mul_add(vector, *sum);
                    }
                }
            }
            a = a.wrapping_add(p.a_step);
            for b in &mut b {
                *b = b.wrapping_add(p.b_step);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        let c = p.c[r * p.c_row..].as_mut_ptr();
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: `Product::check` has shown that the result holds the tile.
            unsafe {
                let c = c.add(v * LANES);
                let sum = if p.add { V::load(c).add(sum) } else { sum };
                sum.store(c);
            }
        }
    }
}
