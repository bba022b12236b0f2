// The page's data and which of it is shown: all else takes its rows from `shownRows`, and calls `refresh` on a change.

const known = JSON.parse(document.getElementById('data').textContent);
known.rows.forEach((row, index) => { row.index = index; });

const DENSE = 'dense';
const FACETS = ['method', 'model', 'dataset'];
const state = {
  chosen: Object.fromEntries(FACETS.map((facet) => [facet, null])), // a set of values; null: all
  words: '',
  bestOnly: false,
  sort: { column: null, descending: false },
  page: 0,
};

// Axes of the frontier. `relative` ones are relative to each model's own dense model, so models are not compared on them.
const HORIZONTAL = {
  speedup: { label: 'measured speed-up', better: 1, relative: true, suffix: '×', setting: (row) => row.setting },
  milliseconds: { label: 'milliseconds per batch', better: -1, setting: (row) => row.setting },
  disk_bytes: { label: 'bytes on disk', better: -1 },
  parameters: { label: 'parameters', better: -1 },
  flops: { label: 'FLOPs of one forward pass', better: -1, setting: (row) => row.flopsLength },
  removed: { label: 'removed from the encoder', better: 1, relative: true },
};
const VERTICAL = {
  score: { label: 'score', of: (row) => row.figures.score },
  retention: { label: '% of the dense model’s score', of: (row) => scaled(row.figures.retention, 100) },
};

function scaled(stat, factor) {
  return stat && [stat[0] * factor, stat[1] === null ? null : stat[1] * factor];
}

function shownRows() {
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  return known.rows.filter((row) =>
    FACETS.every((facet) => allows(facet, row))
    && (!state.bestOnly || row.best.length > 0)
    && words.every((word) => searched(row).includes(word)));
}

// The dense models are shown whichever methods are chosen.
function allows(facet, row) {
  const values = state.chosen[facet];
  return values === null || values.has(row[facet]) || (facet === 'method' && row.dense);
}

function searched(row) {
  row.words ??= [row.label, row.model, row.dataset, row.sparsity, ...row.differs].join(' ').toLowerCase();
  return row.words;
}

/** The points that no other matches in both coordinates and exceeds in one, by increasing x. */
function pareto(points) {
  let [highest, beyond] = [-Infinity, NaN];
  const best = [];
  for (const point of [...points].sort((a, b) => b.x - a.x || b.y - a.y)) {
    if (point.y > highest || (point.y === highest && point.x === beyond)) {
      [highest, beyond] = [point.y, point.x];
      best.unshift(point);
    }
  }
  return best;
}

function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}

const unpacked = new Map();

/** The record of a run, by its index: the piece that contains it is unpacked on first use. */
async function recordOf(place) {
  const piece = Math.floor(place / known.pack);
  if (!unpacked.has(piece)) unpacked.set(piece, unpack(document.getElementById(`records-${piece}`).textContent));
  return (await unpacked.get(piece))[place % known.pack];
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return JSON.parse(await new Response(stream).text());
}
