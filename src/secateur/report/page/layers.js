// What is left in each layer: for all rows on the table's current page, and for one row in its details.

const PARTS = {
  heads: { label: 'heads', dense: 'denseHeads' },
  units: { label: 'FFN units', dense: 'denseUnits' },
};
const MOST_ROWS = 60;
const STILL = { ...PLOTLY, displayModeBar: false };

function buildLayers() {
  fillSelect('part', PARTS, refresh);
}

function drawLayers(rows) {
  const part = document.getElementById('part').value;
  const drawn = rows.filter((row) => row.layers && !row.dense).slice(0, MOST_ROWS);
  const deepest = Math.max(0, ...drawn.map((row) => row.layers[part].length));
  const cells = drawn.map((row) => fractions(row, part));
  document.getElementById('layers').hidden = !drawn.length;
  const { axis, layout } = layoutOf({ height: 90 + 24 * Math.max(2, drawn.length), margin: { l: 20, r: 20, t: 10, b: 50 } });
  Plotly.react('layers', drawn.length ? [{
    type: 'heatmap', z: cells.map((row) => Array.from({ length: deepest }, (_, layer) => row[layer] ?? null)), zmin: 0, zmax: 1,
    y: drawn.map((_, place) => place), xgap: 1, ygap: 1, hoverinfo: 'text', hoverongaps: false,
    text: drawn.map((row) => Array.from({ length: deepest }, (_, layer) => layerText(row, part, layer))),
    colorscale: [[0, css('--ground')], [1, css('--accent')]],
    colorbar: { title: { text: 'left' }, thickness: 12, outlinewidth: 0 },
  }] : [], {
    ...layout,
    xaxis: { ...axis, title: { text: 'layer' }, dtick: deepest > 12 ? 2 : 1, showgrid: false },
    yaxis: {
      ...axis, autorange: 'reversed', showgrid: false, tickvals: drawn.map((_, place) => place),
      ticktext: drawn.map((row) => plain(clipped(`${rowTitle(row)} · ${row.model} · ${row.dataset}`))),
    },
  }, STILL);
  document.getElementById('layers-note').textContent = drawn.length
    ? `Relative to the dense model, mean over seeds; layers are numbered from 0. Compressed rows on the table’s current page with figures for each layer, at most ${MOST_ROWS}.`
    : 'None of the rows shown has figures for each layer.';
}

/** The fraction left in each layer, relative to the same layer of the dense model, or its largest if depths differ. */
function fractions(row, part) {
  const before = row.layers[PARTS[part].dense];
  const most = Math.max(1, ...before);
  const aligned = before.length === row.layers[part].length;
  return row.layers[part].map((left, layer) => left / ((aligned ? before[layer] : most) || 1));
}

function layerText(row, part, layer) {
  const left = row.layers[part][layer];
  if (left === undefined) return '';
  return `${plain(rowTitle(row))}<br>layer ${layer}: ${Number(left.toFixed(1))} ${PARTS[part].label}`;
}

function clipped(text, most = 60) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** Draws one row's layers into `place`, as bars before and after compression. */
function drawOwnLayers(place, row) {
  const { axis, layout } = layoutOf({
    height: 240, margin: { l: 50, r: 10, t: 24, b: 40 }, grid: { rows: 1, columns: 2, pattern: 'independent' },
    barmode: 'overlay', showlegend: false,
  });
  const bars = (part, number, values, colour, name) => ({
    type: 'bar', xaxis: `x${number}`, yaxis: `y${number}`, x: values.map((_, layer) => layer), y: values, marker: { color: colour },
    hoverinfo: 'text', hovertext: values.map((value, layer) => `layer ${layer}: ${Number(value.toFixed(1))} ${PARTS[part].label} ${name}`),
  });
  const names = Object.keys(PARTS);
  const traces = names.flatMap((part, index) => [
    bars(part, index + 1, row.layers[PARTS[part].dense], css('--line'), 'of the dense model'),
    bars(part, index + 1, row.layers[part], colourOf(row.method), 'left'),
  ]);
  names.forEach((part, index) => {
    const number = index ? index + 1 : '';
    layout[`xaxis${number}`] = { ...axis, title: { text: 'layer' }, dtick: row.layers[part].length > 12 ? 2 : 1 };
    layout[`yaxis${number}`] = { ...axis, title: { text: PARTS[part].label } };
  });
  Plotly.newPlot(place, traces, layout, STILL);
}
