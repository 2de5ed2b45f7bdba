//! Random images, for timing work that does not depend on the content of images.

use rand::RngExt as _;

use crate::datasets::DatasetName;
use crate::split::Split;
use crate::subset::stream;

/// The random stream of this module, distinct from those of `subset.rs`.
const IMAGES_STREAM: u64 = 0x696d_6167_6573_0000;

/// `count` examples with uniform pixels and labels, of the size and the classes of the data set `name`.
pub(super) fn split(name: DatasetName, count: usize, seed: u64) -> Split {
    let mut random = stream(seed, IMAGES_STREAM);
    let classes = u8::try_from(name.classes()).unwrap_or(u8::MAX);
    let pixels = (0..count * name.shape().len()).map(|_| random.random_range(0..=name.pixel_max())).collect();
    let labels = (0..count).map(|_| random.random_range(0..classes)).collect();
    Split { pixels, labels }
}
