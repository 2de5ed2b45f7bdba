//! Which tensor of a file belongs where in the network.
//!
//! Names decide where they can: as they stand, then without the prefixes that wrappers add. Otherwise [`Match::Order`] pairs whole
//! modules, or single tensors if the file names them in another way (`w1` for `fc1.weight`), and only where nothing is left to
//! chance: those of equal shapes are told apart by the numbers in their names alone, which must follow the order of the network
//! throughout the file.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rename::Rename;
use crate::parameters::Tensor;

/// Components that wrappers of PyTorch put into the names of what they wrap.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// At most this many names are listed on each side.
const LISTED: usize = 40;

/// How a file's tensors find their places in the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// By name: as it stands, or without the prefixes that wrappers such as `DataParallel` add.
    #[default]
    Name,
    /// By name where possible. Otherwise by module or tensor: those of equal shapes in the order of the numbers in their names. It
    /// is an error if these do not settle the order.
    Order,
}

/// Whether a tensor is a running statistic of batch norm.
pub(super) fn is_statistic(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("running_mean" | "running_var"))
}

/// A tensor of the file.
pub(super) struct Found<'a> {
    /// Its name in the file.
    pub(super) name: &'a str,
    pub(super) shape: &'a [usize],
}

/// A tensor of the file under the name that is compared with those of the network.
struct Named<'a> {
    name: String,
    shape: &'a [usize],
    /// Whether the user stated the name.
    is_stated: bool,
}

/// For each expected tensor the index of its partner in `found`, and what paired them; or what is wrong, in words.
pub(super) fn pair(
    expected: &[&Tensor],
    found: &[Found<'_>],
    matching: Match,
    renames: &[Rename],
) -> Result<(Vec<usize>, Match), String> {
    let named = renamed(expected, found, renames)?;
    if named.len() == expected.len() {
        if let Some(pairs) = by_name(expected, &named) {
            return Ok((pairs, Match::Name));
        }
        if matching == Match::Order
            && let Some(pairs) = by_order(expected, found, &named)?
        {
            return Ok((pairs, Match::Order));
        }
    }
    Err(differences(expected, &named, matching))
}

/// Gives tensors the names that the user stated for them or for their modules, the longest first.
fn renamed<'a>(
    expected: &[&Tensor],
    found: &[Found<'a>],
    renames: &[Rename],
) -> Result<Vec<Named<'a>>, String> {
    let is_repeated = |i: &usize| renames[..*i].iter().any(|earlier| earlier.file == renames[*i].file);
    if let Some(i) = (0..renames.len()).find(is_repeated) {
        return Err(format!("`{}` is renamed twice", renames[i].file));
    }
    let mut is_used = vec![false; renames.len()];
    let mut named = Vec::with_capacity(found.len());
    for Found { name, shape } in found {
        let rest = |rename: &Rename| {
            let rest = name.strip_prefix(rename.file.as_str())?;
            (rest.is_empty() || rest.starts_with('.')).then_some(rest)
        };
        let longest = (0..renames.len())
            .filter(|&i| rest(&renames[i]).is_some())
            .max_by_key(|&i| renames[i].file.len());
        let stated = longest.and_then(|i| Some((i, format!("{}{}", renames[i].network, rest(&renames[i])?))));
        if let Some((i, new)) = &stated {
            is_used[*i] = true;
            let Some(partner) = expected.iter().find(|tensor| tensor.name == *new) else {
                let names = listed(expected.iter().map(|tensor| tensor.name.clone()));
                return Err(format!("`{name}` is renamed `{new}`, but the network's tensors are {names}"));
            };
            if !same_shape(&partner.shape, shape) {
                let shapes = format!("{shape:?}, and `{new}` of the network has {:?}", partner.shape);
                return Err(format!("`{name}` is renamed `{new}`, but it has the shape {shapes}"));
            }
            if let Some(other) = named.iter().position(|one: &Named<'_>| one.is_stated && one.name == *new) {
                return Err(format!("`{}` and `{name}` are both renamed `{new}`", found[other].name));
            }
        }
        let is_stated = stated.is_some();
        named.push(Named {
            name: stated.map_or_else(|| (*name).to_owned(), |(_, new)| new),
            shape,
            is_stated,
        });
    }
    match is_used.iter().position(|is_used| !is_used) {
        None => Ok(named),
        Some(unused) => {
            let names = listed(found.iter().map(|one| one.name.to_owned()));
            Err(format!("no tensor or module `{}` to rename; the file has {names}", renames[unused].file))
        }
    }
}

/// Pairs by name: as the names stand, or without the components of wrappers and one prefix that all names share.
fn by_name(expected: &[&Tensor], named: &[Named<'_>]) -> Option<Vec<usize>> {
    let plain: Vec<String> = named.iter().map(|one| one.name.clone()).collect();
    let unwrapped = named.iter().map(|one| match one.is_stated {
        true => one.name.clone(),
        false => {
            let components: Vec<&str> = one.name.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
            components.join(".")
        }
    });
    let unwrapped: Vec<String> = unwrapped.collect();
    [plain, unwrapped].iter().find_map(|names| with_prefix(expected, named, names))
}

/// Pairs by name where every name that is not stated begins with the same prefix, perhaps an empty one.
fn with_prefix(expected: &[&Tensor], named: &[Named<'_>], names: &[String]) -> Option<Vec<usize>> {
    let index = |is_stated| -> BTreeMap<&str, usize> {
        let those = (0..named.len()).filter(|&i| named[i].is_stated == is_stated);
        those.map(|i| (names[i].as_str(), i)).collect()
    };
    let (stated, others) = (index(true), index(false));
    let first = expected.iter().find(|tensor| !stated.contains_key(tensor.name.as_str()));
    let prefixes: Vec<&str> = match first {
        None => vec![""],
        Some(first) => others.keys().filter_map(|name| name.strip_suffix(first.name.as_str())).collect(),
    };
    prefixes.into_iter().find_map(|prefix| {
        let partner = |tensor: &&Tensor| {
            let unstated = || others.get(format!("{prefix}{}", tensor.name).as_str());
            let i = *stated.get(tensor.name.as_str()).or_else(unstated)?;
            same_shape(&tensor.shape, named[i].shape).then_some(i)
        };
        expected.iter().map(partner).collect()
    })
}

/// A scalar may be stored with no dimension or with one.
fn same_shape(expected: &[usize], found: &[usize]) -> bool {
    expected == found || (expected == [1] && found.is_empty())
}

/// The tensors that share all of their names but the last component; or a single one, under its whole name.
struct Module<'a> {
    name: &'a str,
    /// Indices of its tensors, in the order of their last components.
    tensors: Vec<usize>,
}

/// The last component and the shape of each tensor of a module: what a module must share with its partner.
type Signature<'a> = Vec<(&'a str, &'a [usize])>;

/// A tensor of a module: the last component of its name, its shape, and its index.
type Member<'a> = (&'a str, &'a [usize], usize);

/// Splits the name of a tensor into that of its module and the last component.
type Split = fn(&str) -> (&str, &str);

/// The modules of `tensors`, each with its index, name and shape, by signature.
fn modules<'a>(
    tensors: &[(usize, &'a str, &'a [usize])],
    split: Split,
) -> BTreeMap<Signature<'a>, Vec<Module<'a>>> {
    let mut by_name: BTreeMap<&str, Vec<Member<'_>>> = BTreeMap::new();
    for &(index, name, shape) in tensors {
        let (module, last) = split(name);
        let shape: &[usize] = if shape.is_empty() { &[1] } else { shape };
        by_name.entry(module).or_default().push((last, shape, index));
    }
    let mut by_signature: BTreeMap<Signature<'_>, Vec<Module<'_>>> = BTreeMap::new();
    for (name, mut members) in by_name {
        members.sort_unstable();
        let signature = members.iter().map(|(last, shape, _)| (*last, *shape)).collect();
        let tensors = members.iter().map(|(_, _, index)| *index).collect();
        by_signature.entry(signature).or_default().push(Module { name, tensors });
    }
    by_signature
}

/// The last component of a name: what a tensor is to its module.
fn kind(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Pairs what is stated, and then module by module or tensor by tensor; none if shapes or their numbers differ.
fn by_order(
    expected: &[&Tensor],
    found: &[Found<'_>],
    named: &[Named<'_>],
) -> Result<Option<Vec<usize>>, String> {
    let mut pairs: Vec<Option<usize>> = expected
        .iter()
        .map(|tensor| named.iter().position(|one| one.is_stated && one.name == tensor.name))
        .collect();
    let free = (0..expected.len()).filter(|&i| pairs[i].is_none());
    let here: Vec<_> = free.map(|i| (i, expected[i].name.as_str(), expected[i].shape.as_slice())).collect();
    let free = (0..found.len()).filter(|&i| !named[i].is_stated);
    let there: Vec<_> = free.map(|i| (i, found[i].name, found[i].shape)).collect();
    let by_module: Split = |name| name.rsplit_once('.').unwrap_or(("", name));
    let by_tensor: Split = |name| (name, "");
    let groups = [by_module, by_tensor].into_iter().find_map(|split| {
        let (here, there) = (modules(&here, split), modules(&there, split));
        let sizes = |all: &BTreeMap<Signature<'_>, Vec<_>>| all.values().map(Vec::len).collect::<Vec<_>>();
        (here.keys().eq(there.keys()) && sizes(&here) == sizes(&there))
            .then(|| here.into_values().zip(there.into_values()))
    });
    let Some(groups) = groups else { return Ok(None) };
    let kinds = |module: &Module<'_>| -> Vec<&str> {
        module.tensors.iter().map(|&tensor| kind(&expected[tensor].name)).collect()
    };
    let mut paired: Vec<(Module<'_>, Module<'_>)> = Vec::new();
    for (mut here, mut there) in groups {
        // The network's own order is that of its tensors, the file's is that of the numbers in its names.
        here.sort_by_key(|module| module.tensors.iter().copied().min());
        there.sort_by(|a, b| natural(a.name).cmp(&natural(b.name)));
        let is_ordered = |pair: &[Module<'_>]| {
            skeleton(pair[0].name) == skeleton(pair[1].name) && natural(pair[0].name) < natural(pair[1].name)
        };
        // Numbers tell the layer, but not a weight of batch norm from a bias.
        let is_one_kind = here.iter().all(|module| kinds(module) == kinds(&here[0]));
        if !is_one_kind || !there.windows(2).all(is_ordered) {
            return Err(ambiguous(&there, &here));
        }
        paired.extend(here.into_iter().zip(there));
    }
    check_numbers(&mut paired)?;
    for (here, there) in &paired {
        for (&tensor, &partner) in here.tensors.iter().zip(&there.tensors) {
            let (kind_here, kind_there) = (kind(&expected[tensor].name), kind(found[partner].name));
            if kind_here != kind_there && expected.iter().any(|one| kind(&one.name) == kind_there) {
                // A layer without bias before a norm may have the shapes of one with a bias.
                return Ok(None);
            }
            pairs[tensor] = Some(partner);
        }
    }
    Ok(pairs.into_iter().collect())
}

/// Checks that names which differ in their numbers alone are numbered in the order of the network, whatever their shapes.
fn check_numbers<'a>(paired: &mut [(Module<'_>, Module<'a>)]) -> Result<(), String> {
    let key = |module: &Module<'a>| (skeleton(module.name), natural(module.name));
    paired.sort_by(|(_, a), (_, b)| key(a).cmp(&key(b)));
    for pair in paired.windows(2) {
        let [(here, there), (next_here, next_there)] = pair else { continue };
        if skeleton(there.name) == skeleton(next_there.name)
            && here.tensors.iter().min() > next_here.tensors.iter().min()
        {
            return Err(format!(
                "the numbers in its names do not follow the network's order: by shape, `{}` is `{}` and `{}` is `{}`, so that \
                 equal shapes may be out of order too. State the pairs: --rename {}={}, or a file of such lines with \
                 --rename-file",
                there.name, here.name, next_there.name, next_here.name, there.name, here.name
            ));
        }
    }
    Ok(())
}

fn ambiguous(there: &[Module<'_>], here: &[Module<'_>]) -> String {
    let names = |modules: &[Module<'_>]| listed(modules.iter().map(|module| format!("`{}`", module.name)));
    format!(
        "these have equal shapes, and numbers in their names do not tell which is which.\n  in the file: {}\n  \
         in the network: {}\n  state the pairs: --rename {}={}, or a file of such lines with --rename-file",
        names(there),
        names(here),
        there[0].name,
        here[0].name
    )
}

/// Text and the number after it, in turn. Numbers compare by their length without leading zeros, then by their digits.
type Natural<'a> = Vec<(&'a str, Option<(usize, &'a str)>)>;

/// A key that sorts `fc2` before `fc10`.
fn natural(mut name: &str) -> Natural<'_> {
    let mut key = Vec::new();
    while !name.is_empty() {
        let (text, rest) = name.split_at(name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len()));
        let (digits, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let number = digits.trim_start_matches('0');
        key.push((text, (!digits.is_empty()).then_some((number.len(), number))));
        name = rest;
    }
    key
}

/// What names have in common that differ in their numbers alone.
fn skeleton(name: &str) -> Vec<(&str, bool)> {
    natural(name).into_iter().map(|(text, number)| (text, number.is_some())).collect()
}

fn differences(expected: &[&Tensor], named: &[Named<'_>], matching: Match) -> String {
    let has = |tensor: &&&Tensor| {
        named.iter().any(|one| one.name == tensor.name && same_shape(&tensor.shape, one.shape))
    };
    let wanted = |one: &&Named<'_>| {
        expected.iter().any(|tensor| tensor.name == one.name && same_shape(&tensor.shape, one.shape))
    };
    let missing = expected.iter().filter(|tensor| !has(tensor));
    // A file's tensors come in no particular order.
    let mut surplus: Vec<&Named<'_>> = named.iter().filter(|one| !wanted(one)).collect();
    surplus.sort_by(|a, b| natural(&a.name).cmp(&natural(&b.name)));
    let statistics = expected.iter().filter(|tensor| is_statistic(&tensor.name)).count();
    let lacks_statistics_alone = statistics > 0
        && named.len() + statistics == expected.len()
        && !named.iter().any(|one| is_statistic(&one.name));
    let way_out = match matching {
        _ if lacks_statistics_alone => {
            "batch norm's running statistics are missing; --bn batch measures without them"
        }
        _ if named.len() != expected.len() => {
            "each tensor of the network needs one of the file, and none may be left over; check --arch and its options"
        }
        Match::Name => {
            "state the pairs with --rename FILE_NAME=NETWORK_NAME, or pair the rest by shape and number with --match order"
        }
        Match::Order => {
            "shapes or kinds of tensors differ, so no order pairs them; check --arch and its options, \
             or state the pairs with --rename FILE_NAME=NETWORK_NAME"
        }
    };
    format!(
        "{} tensors are expected and {} found.\n  expected but not found: {}\n  found but not expected: {}\n  {way_out}",
        expected.len(),
        named.len(),
        listed(missing.map(|tensor| format!("{} {:?}", tensor.name, tensor.shape))),
        listed(surplus.iter().map(|one| format!("{} {:?}", one.name, one.shape)))
    )
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match names.len() {
        0 => "none".to_owned(),
        n if n <= LISTED => names.join(", "),
        n => format!("{}, and {} more", names[..LISTED].join(", "), n - LISTED),
    }
}
