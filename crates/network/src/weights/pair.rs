//! Which tensor of a file belongs where.

use std::collections::BTreeMap;

use safetensors::tensor::TensorView;

use super::Match;
use crate::parameters::Tensor;

/// For each expected tensor, the index of its partner in `found`; or what differs, in words.
pub(super) fn pair(
    expected: &[&Tensor],
    found: &[(String, TensorView<'_>)],
    matching: Match,
) -> Result<Vec<usize>, String> {
    let names: Vec<(&str, &[usize])> =
        found.iter().map(|(name, view)| (name.as_str(), view.shape())).collect();
    let pairs = match matching {
        Match::Name => by_name(expected, &names),
        Match::Order => by_order(expected, &names),
    };
    match pairs {
        Some(pairs) if found.len() == expected.len() => Ok(pairs),
        _ => Err(differences(expected, &names, matching)),
    }
}

fn by_name(expected: &[&Tensor], found: &[(&str, &[usize])]) -> Option<Vec<usize>> {
    let index: BTreeMap<&str, usize> = found.iter().enumerate().map(|(i, (name, _))| (*name, i)).collect();
    let partner = |tensor: &&Tensor| {
        let i = *index.get(tensor.name.as_str())?;
        same_shape(&tensor.shape, found[i].1).then_some(i)
    };
    expected.iter().map(partner).collect()
}

/// A scalar may be stored with no dimension or with one.
fn same_shape(expected: &[usize], found: &[usize]) -> bool {
    expected == found || (expected == [1] && found.is_empty())
}

/// The last part of a name: what kind of tensor it is within its module.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A key that sorts `features.3` before `features.10`.
fn natural(name: &str) -> Vec<(u64, &str)> {
    name.split('.').map(|part| (part.parse().unwrap_or(u64::MAX), part)).collect()
}

fn by_order(expected: &[&Tensor], found: &[(&str, &[usize])]) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|&i| natural(found[i].0));
    let mut free: BTreeMap<(&str, Vec<usize>), std::collections::VecDeque<usize>> = BTreeMap::new();
    for i in order {
        free.entry((last(found[i].0), found[i].1.to_vec())).or_default().push_back(i);
    }
    let mut partner = |name, shape: &[usize]| free.get_mut(&(last(name), shape.to_vec()))?.pop_front();
    expected.iter().map(|tensor| partner(&tensor.name, &tensor.shape)).collect()
}

/// Names of at most this many tensors are listed on each side.
const LISTED: usize = 12;

fn differences(expected: &[&Tensor], found: &[(&str, &[usize])], matching: Match) -> String {
    let has = |name: &str, shape: &[usize]| found.iter().any(|(n, s)| *n == name && same_shape(shape, s));
    let wants =
        |name: &str, shape: &[usize]| expected.iter().any(|t| t.name == name && same_shape(&t.shape, shape));
    let missing: Vec<String> = expected
        .iter()
        .filter(|t| !has(&t.name, &t.shape))
        .map(|t| format!("{} {:?}", t.name, t.shape))
        .collect();
    // A file's tensors come in no particular order.
    let mut surplus: Vec<_> = found.iter().filter(|(n, s)| !wants(n, s)).collect();
    surplus.sort_by_key(|(n, _)| natural(n));
    let surplus: Vec<String> = surplus.iter().map(|(n, s)| format!("{n} {s:?}")).collect();
    let way_out = match matching {
        Match::Name => "rename the tensors, or pair them by order and shape with --match order",
        Match::Order => {
            "no order pairs these: shapes or numbers of tensors differ; check --arch and its options"
        }
    };
    format!(
        "{} tensors are expected and {} found.\n  expected but not found: {}\n  found but not expected: {}\n  {way_out}",
        expected.len(),
        found.len(),
        listed(&missing),
        listed(&surplus)
    )
}

fn listed(names: &[String]) -> String {
    match names.len() {
        0 => "none".to_owned(),
        n if n <= LISTED => names.join(", "),
        n => format!("{}, and {} more", names[..LISTED].join(", "), n - LISTED),
    }
}
