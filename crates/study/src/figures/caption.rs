//! The caption of a figure: runs, examples, batch norm, and every deviation from the paper.

use std::collections::{BTreeMap, BTreeSet};

use sharpness_runs::{FigureKind, Report};
use sharpness_training::Outcome;
use sharpness_training::measures::{BetweenIterates, BetweenIteratesOutcome};

use super::axis::label;
use super::data::Figure;

impl Figure {
    /// The caption: scale, runs, examples, the batch norm of the measurements, and deviations from the paper.
    pub fn caption(&self) -> String {
        let mut sentences = vec![self.title.clone(), self.runs()];
        sentences.extend(self.missing());
        sentences.extend(self.deviations());
        sentences.extend(self.edges());
        sentences.extend(self.pairs());
        sentences.extend(self.between_iterates());
        sentences.extend(self.products());
        sentences.extend(self.subsets());
        if self.spec.kind == FigureKind::Lines {
            let means = "Means over seeds, geometric for λ_max; bars are standard deviations, those of λ_max of its logarithm";
            sentences.push(means.to_owned());
        }
        if self.lines.iter().any(|line| line.is_published) {
            let faint =
                if self.spec.kind == FigureKind::Curves { "Faint curves" } else { "Hollow, faint points" };
            sentences.push(format!("{faint} are the published ones"));
        }
        let note = Some(&self.spec.note).filter(|note| !note.is_empty());
        let note = note.map_or_else(String::new, |note| format!(" {note}"));
        format!("{}.{note}", sentences.join(". "))
    }

    /// The number of runs, the data, and how λ_max was measured.
    fn runs(&self) -> String {
        let done = self.reports.len();
        let count = format!("{done} of {} runs", self.planned);
        if done == 0 {
            return count;
        }
        let data = self.distinct(|report| Some(report.config.data.name.to_string()));
        let trained = self.distinct(|report| Some(report.training.train_examples.to_string()));
        let target = self.distinct(|report| Some(label(100.0 * report.config.training.target_accuracy)));
        let measured = self.distinct(|report| Some(report.measurement.as_ref()?.examples.to_string()));
        let norm = self.distinct(|report| {
            let measured = report.measurement.as_ref()?;
            let chunk = measured.batch_norm_chunk.map(|chunk| format!(" statistics of chunks of {chunk}"));
            Some(format!("{}{}", measured.batch_norm, chunk.unwrap_or_default()))
        });
        let seeds = self.seeds();
        format!(
            "{count} ({seeds}) on {trained} training examples of {data}, until {target} % of them are right; λ_max on \
             {measured} of them, dropout off, batch norm: {norm}"
        )
    }

    /// The number of seeds, of which some settings may have fewer.
    fn seeds(&self) -> String {
        let most = self.reports.iter().map(|report| report.config.seed).collect::<BTreeSet<u64>>().len();
        match self.fewest_runs() {
            _ if most == 1 => "one seed".to_owned(),
            Some(least) if least < most => format!("{least} to {most} seeds"),
            _ => format!("{most} seeds"),
        }
    }

    /// Why no run is drawn although some are done.
    pub fn nothing_drawn(&self) -> Option<String> {
        let is_drawn = self.lines.iter().any(|line| !line.is_published && self.shows(line));
        let undrawn = self.undrawn().filter(|_| !is_drawn)?;
        Some(format!("No run can be drawn: of the {} that are done, {undrawn}", self.reports.len()))
    }

    /// The finished runs that are not drawn.
    fn missing(&self) -> Option<String> {
        self.nothing_drawn().or_else(|| Some(format!("Not drawn: {}", self.undrawn()?)))
    }

    /// Why runs are not drawn, with the number of runs for each reason.
    pub(super) fn undrawn(&self) -> Option<String> {
        let reason = |Report { training, measurement, .. }: &Report| match (self.spec.kind, training.outcome)
        {
            (FigureKind::Curves, _) if training.lambda_max.len() > 1 => None,
            (_, Outcome::Diverged) => Some("diverged"),
            (FigureKind::Curves, _) => Some("did not measure λ_max through training"),
            (_, Outcome::MaxEpochs | Outcome::Interrupted) => Some("ended below the target accuracy"),
            (_, Outcome::Converged) if measurement.is_none() => Some("have no measurement"),
            (_, Outcome::Converged) => None,
        };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in self.reports.iter().filter_map(reason) {
            *counts.entry(reason).or_default() += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        (!counts.is_empty()).then(|| counts.join(", "))
    }

    /// How the runs are smaller than the paper's.
    fn deviations(&self) -> Option<String> {
        let of = |report: &Report| {
            let config = &report.config;
            let mut smaller = Vec::new();
            if let Some(examples) = config.data.train_examples {
                smaller
                    .push(format!("{examples} of {} training examples", config.data.name.train_examples()));
            }
            if config.model.width_divisor != 1 {
                smaller.push(format!("widths / {}", config.model.width_divisor));
            }
            (!smaller.is_empty()).then(|| smaller.join(", "))
        };
        let smaller = self.distinct(of);
        (!smaller.is_empty()).then(|| format!("Smaller than the paper's: {smaller}"))
    }

    /// The meaning of the dashed lines.
    fn edges(&self) -> Option<String> {
        let formulas: Vec<String> = self.edges.iter().map(|edge| edge.formula()).collect();
        (!formulas.is_empty()).then(|| format!("Dashed: the edge of stability, {}", formulas.join("; ")))
    }

    /// Which points are joined.
    fn pairs(&self) -> Option<String> {
        let count = self.equal_lambda_pairs().len();
        let pairs = if count == 1 { "pair" } else { "pairs" };
        (count > 0).then(|| {
            format!("Lines join the means of {count} {pairs} of settings with small and large batches whose λ_max agree within a factor of 1.25")
        })
    }

    /// Where λ_max was searched between iterates, and where that changed it.
    fn between_iterates(&self) -> Option<String> {
        let found = self.reports.iter().filter_map(|report| {
            let between = report.measurement.as_ref()?.outcome::<BetweenIterates>()?;
            Some((report, between))
        });
        let found: Vec<_> = found.collect();
        let (first, _) = found.first()?;
        let arch = first.config.model.arch.name();
        let rates = |is_listed: fn(&BetweenIteratesOutcome) -> bool| {
            let listed = found.iter().filter(|(_, between)| is_listed(between));
            let mut rates: Vec<f64> =
                listed.map(|(report, _)| report.config.training.learning_rate).collect();
            rates.sort_by(f64::total_cmp);
            rates.dedup_by(|a, b| a.total_cmp(b).is_eq());
            rates.into_iter().map(label).collect::<Vec<String>>().join(", ")
        };
        let (searched, changed) = (rates(|_| true), rates(|between| between.at > 0.0));
        let where_it_changed = if changed.is_empty() {
            "which is at the last one everywhere".to_owned()
        } else {
            format!("which is beyond the last one at η = {changed}")
        };
        Some(format!(
            "λ_max of {arch} at η = {searched} is the largest at eight points up to the next iterate, {where_it_changed}"
        ))
    }

    /// The number of products of λ_max through training.
    fn products(&self) -> Option<String> {
        let mut medians: Vec<usize> =
            self.reports.iter().filter_map(|report| report.training.median_products()).collect();
        medians.sort_unstable();
        let median = medians.get(medians.len() / 2)?;
        let count: usize = self.reports.iter().map(|report| report.training.lambda_max.len()).sum();
        let rtol = self.distinct(|report| Some(label(report.config.training.through_training?)));
        Some(format!(
            "{count} measurements through training to a relative residual of {rtol}, each from the eigenvector before: \
             {median} products (median)"
        ))
    }

    /// How λ_max depends on the examples, if it was measured on several numbers of them.
    fn subsets(&self) -> Option<String> {
        let pairs = self.subset_sizes.values().filter_map(|sizes| Some((sizes.first()?, sizes.last()?)));
        let mut shares: Vec<f64> = pairs.map(|(few, many)| many.mean / few.mean).collect();
        shares.sort_by(f64::total_cmp);
        let (least, most) = (shares.first()?, shares.last()?);
        let median = shares.get(shares.len() / 2)?;
        let sizes = self.subset_sizes.values().next()?;
        let [few, many] = [sizes.first()?, sizes.last()?].map(|size| size.examples);
        let mut spreads: Vec<f64> = self
            .subset_sizes
            .values()
            .filter_map(|sizes| Some(sizes.first()?.deviation? / sizes.first()?.mean))
            .collect();
        spreads.sort_by(f64::total_cmp);
        let spread = spreads.get(spreads.len() / 2).map_or_else(String::new, |spread| {
            format!("; over disjoint subsets of {few} it spreads by {:.1} % (median)", 100.0 * spread)
        });
        let of_runs = match shares.len() {
            1 => "one run".to_owned(),
            runs => format!("median of {runs} runs, {least:.3} to {most:.3}"),
        };
        Some(format!(
            "On {many} training examples λ_max is {median:.3} times what it is on {few} ({of_runs}){spread}"
        ))
    }

    /// The distinct values of all reports.
    fn distinct(&self, of: impl Fn(&Report) -> Option<String>) -> String {
        let all: BTreeSet<String> = self.reports.iter().filter_map(of).collect();
        all.into_iter().collect::<Vec<_>>().join(" or ")
    }
}
