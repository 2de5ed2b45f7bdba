// What is shown, kept in the address, so that a reload or a link shows the same.

const known = new URLSearchParams(location.search);
// A page in a file may not be allowed to change its address.
function write() {
  const text = known.toString();
  try {
    history.replaceState(null, "", `${location.pathname}${text ? `?${text}` : ""}${location.hash}`);
  } catch (problem) {
    console.debug("the address stays as it is", problem);
  }
}
export const shown = (name, fallback = "") => known.get(name) ?? fallback;
export const shownList = (name) => shown(name).split(",").filter(Boolean);

// Keeps values; an empty one is left out.
export function show(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null || value === false) known.delete(name);
    else known.set(name, value === true ? "1" : String(value));
  }
  write();
}
