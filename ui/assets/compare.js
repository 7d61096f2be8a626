// What a comparison makes, by the rules that core has written into `comparisons` and `fewestCells`.

// Of an axis and a number of references: {rows (0: as many as are given), problem, out: {variant id: why it stays out}}.
window.kontext.comparison = (axis, references) => comparisons[axis][Math.min(references, comparisons[axis].length - 1)];

// [variant id, pictures] for each that takes part; none where there is nothing to compare.
window.kontext.terms = ({ variants, axis, seeds, wordings }, references, pictures) => {
  const { rows, problem, out } = window.kontext.comparison(axis, references);
  const count = rows || { seeds: seeds.length, prompts: 1 + wordings.length }[axis];
  const part = variants.filter((id) => !(id in out));
  return problem || part.length * count < fewestCells ? [] : part.map((id) => [id, count * pictures]);
};

// What the rest of the form holds: {variant, references, prompt}. It may be told before there is anybody to hear it.
{
  const held = { variant: null, references: 0, prompt: "" };
  let hear = () => {};
  window.kontext.comparing = (known) => { const before = { ...held }; hear(Object.assign(held, known), before); };
  window.kontext.onComparing = (heard) => { hear = heard; return held; };
}
