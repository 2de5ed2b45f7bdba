// The filter: words and comparisons, all of which must hold.

// Results that can be compared, beside the settings.
export const RESULTS = {
  run: (row) => row.id, state: (row) => row.state, outcome: (row) => row.outcome, epochs: (row) => row.epochs, seconds: (row) => row.seconds,
  seconds_left: (row) => row.seconds_left, updated: (row) => row.updated, train_loss: (row) => row.train_loss,
  train_accuracy: (row) => row.train_accuracy, test_accuracy: (row) => row.test_accuracy, lambda_max: (row) => row.lambda_max,
  edge: (row) => row.edge, measurements: (row) => row.measurements ?? 0,
};
const SHORT = { lr: "training.learning_rate", eta: "training.learning_rate", batch: "training.batch_size", rho: "training.sam.rho", network: "model.arch" };

// The value that a key names, or a problem.
function resolve(key, settings) {
  if (RESULTS[key]) return { value: RESULTS[key] };
  const full = SHORT[key] && settings.includes(SHORT[key]) ? SHORT[key] : key;
  const found = settings.filter((name) => name === full || name.endsWith(`.${full}`));
  // The nearest to the root is meant: `name` of `data.name`, not of `training.optimizer.name`.
  const exact = found.includes(full) ? full : found[0];
  if (!exact) {
    const near = [...Object.keys(RESULTS), ...settings].filter((name) => name.includes(key.slice(0, 3)));
    return { problem: `no setting or result is called ‘${key}’${near.length ? `; there is ${near.slice(0, 4).join(", ")}` : ""}` };
  }
  if (found.length > 1 && exact !== full) return { problem: `‘${key}’ can mean ${found.join(" or ")}` };
  return { value: (row) => row.settings[exact] };
}

const TESTS = {
  "=": (order) => order === 0, "!=": (order) => order !== 0, "<": (order) => order < 0, "<=": (order) => order <= 0, ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};
// Below, at or above 0 as `found` is to `wanted`; NaN if they cannot be compared.
function compare(found, wanted) {
  if (found === null || found === undefined) return NaN;
  const number = wanted.endsWith("%") ? Number(wanted.slice(0, -1)) / 100 : Number(wanted);
  if (typeof found === "number") return Math.sign(found - number);
  const [a, b] = [String(found).toLowerCase(), wanted.toLowerCase()];
  return a < b ? -1 : a > b ? 1 : 0;
}

export function parseQuery(text, settings) {
  const tests = [], problems = [];
  for (const term of text.split(/\s+/).filter(Boolean)) {
    const [, key, sign, wanted] = /^([\w.]+)(<=|>=|!=|=|<|>)(.*)$/.exec(term) ?? [];
    if (!key) {
      const word = term.toLowerCase();
      tests.push((row) => row.text.includes(word));
      continue;
    }
    const { value, problem } = resolve(key, settings);
    if (problem) problems.push(problem);
    else if (wanted === "") problems.push(`${key}${sign} needs a value`);
    else tests.push((row) => TESTS[sign](compare(value(row), wanted)));
  }
  return { matches: (row) => tests.every((test) => test(row)), problem: problems.join("; ") };
}
