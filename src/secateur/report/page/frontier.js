// Score against speed, size or FLOPs: a panel for each data set, a colour for each method, and the frontier.

const PANELS = 12; // maximum: more would be illegible; the filters choose among data sets
const PANEL_HEIGHT = 340;
const MOST_BARS = 600; // maximum number of points with error bars: more bars would hide each other

function buildFrontier() {
  fillSelect('horizontal', HORIZONTAL, refresh);
  fillSelect('vertical', VERTICAL, refresh);
  const plot = document.getElementById('frontier');
  Plotly.newPlot(plot, [], {}, PLOTLY).then(() => plot.on('plotly_click', ({ points }) => {
    const row = known.rows[points[0].customdata];
    if (row) openDetails(row);
  }));
}

function drawFrontier(rows) {
  const key = document.getElementById('horizontal').value;
  const [x, y] = [HORIZONTAL[key], VERTICAL[document.getElementById('vertical').value]];
  const points = rows.flatMap((row) => pointOf(row, key, y));
  const panels = [...groupBy(points, ({ row }) => JSON.stringify([row.dataset, row.metric])).values()];
  panels.sort((a, b) => b.length - a.length);
  const drawn = panels.slice(0, PANELS);
  const across = Math.min(drawn.length, document.body.clientWidth > 1100 ? 3 : document.body.clientWidth > 700 ? 2 : 1) || 1;
  const legend = new Set();
  const bars = points.length <= MOST_BARS;
  const traces = drawn.flatMap((panel, place) => tracesOf(panel, { key, x, y, place, legend, bars }));
  Plotly.react('frontier', traces, frontierLayout(drawn, { x, y, across }), PLOTLY);
  document.getElementById('frontier-note').textContent = frontierNote(points, panels, x);
}

function pointOf(row, key, y) {
  const [across, up] = [row.figures[key], y.of(row)];
  return across && up ? [{ row, x: across[0], y: up[0], xSpread: across[1] ?? 0, ySpread: up[1] ?? 0 }] : [];
}

function tracesOf(panel, { key, x, y, place, legend, bars }) {
  const axes = { xaxis: `x${place + 1}`, yaxis: `y${place + 1}` };
  const comparable = ({ row }) => JSON.stringify([x.relative ? row.model : '', row.data, x.setting?.(row)]);
  const once = (name) => !legend.has(name) && Boolean(legend.add(name));
  const lines = [...groupBy(panel, comparable).values()].map((points) =>
    pareto(points.map((point) => ({ ...point, x: x.better * point.x }))));
  const named = (name) => ({ name: plain(name), legendgroup: plain(name), showlegend: once(name), ...axes });
  return [
    ...lines.filter((line) => line.length > 1).map((line) => ({
      ...named('frontier'), mode: 'lines', hoverinfo: 'skip', line: { color: css('--faint'), width: 1.5, dash: 'dot' },
      x: line.map((point) => x.better * point.x), y: line.map((point) => point.y),
    })),
    ...[...groupBy(panel, ({ row }) => row.method)].map(([method, points]) => ({
      ...named(method), mode: 'markers', ...markersOf(method, points), ...(bars ? barsOf(points) : {}),
      customdata: points.map(({ row }) => row.index),
    })),
    ...publishedOf(panel, key, y).map((trace) => ({ ...named('published'), ...trace })),
  ];
}

function markersOf(method, points) {
  const { symbol } = known.looks[method];
  return {
    x: points.map((point) => point.x), y: points.map((point) => point.y), hoverinfo: 'text',
    hovertext: points.map(({ row }) => hoverText(row)),
    marker: { color: colourOf(method), symbol, size: symbol === 'star' ? 14 : 10, line: { color: css('--paper'), width: 1 } },
  };
}

function barsOf(points) {
  const bar = (array) => ({ array, thickness: 1, width: 3, visible: array.some(Boolean) });
  return { error_x: bar(points.map((point) => point.xSpread)), error_y: bar(points.map((point) => point.ySpread)) };
}

function publishedOf(panel, key, y) {
  const points = panel.filter(({ row }) => key === 'speedup' && row.published?.speedup);
  if (!points.length) return [];
  const height = (its) => (y === VERTICAL.score ? its.score : 100 * its.retention);
  return [{
    mode: 'markers', hoverinfo: 'text', x: points.map(({ row }) => row.published.speedup),
    y: points.map(({ row }) => height(row.published)), customdata: points.map(({ row }) => row.index),
    hovertext: points.map(({ row }) => `<b>published</b><br>${plain(publishedText(row.published))}`),
    marker: { symbol: 'diamond-open', size: 11, color: css('--ink'), line: { width: 2 } },
  }];
}

function publishedText(its) {
  const speed = its.speedup === null ? '' : `, ${its.speedup.toFixed(2)}× on its hardware`;
  return `${its.score.toFixed(1)} of ${its.dense.toFixed(1)}${speed} (${its.source}, ${its.statistic})`;
}

function hoverText(row) {
  const { figures } = row;
  return [
    `<b>${plain(rowTitle(row))}</b>`,
    `${plain(row.model)} on ${plain(row.dataset)}`,
    `${plain(row.metric)} ${scoreText(figures.score)}, ${withSpread(scaled(figures.retention, 100), decimals(1))} % kept`,
    figures.speedup ? `${withSpread(figures.speedup, decimals(2))}× as fast (${plain(row.setting)}${row.documentsKept ? ', documents kept' : ''})` : '',
    figures.disk_bytes ? `${short(figures.disk_bytes[0])} bytes${figures.flops ? `, ${short(figures.flops[0])} FLOPs` : ''}` : '',
    row.dense ? '' : `n = ${row.n}; click for its runs`,
    ...row.differs.slice(0, 4).map(plain),
  ].filter(Boolean).join('<br>');
}

function frontierLayout(panels, { x, y, across }) {
  const down = Math.ceil(panels.length / across) || 1;
  const { axis, layout } = layoutOf({
    grid: { rows: down, columns: across, pattern: 'independent', xgap: 0.12, ygap: 0.3 },
    height: down * PANEL_HEIGHT + 70, margin: { l: 56, r: 16, t: 34, b: 84 },
    legend: { orientation: 'h', y: -58 / (down * PANEL_HEIGHT - 48), yanchor: 'top' }, // below the axes' titles
    annotations: panels.map(([{ row }], place) => ({
      text: `<b>${plain(row.dataset)}</b>`, showarrow: false, xref: `x${place + 1} domain`, yref: `y${place + 1} domain`,
      x: 0, y: 1.01, xanchor: 'left', yanchor: 'bottom', font: { size: 14 },
    })),
  });
  panels.forEach(([{ row }], place) => {
    const name = place ? String(place + 1) : '';
    layout[`xaxis${name}`] = { ...axis, title: { text: x.label, font: { size: 12 } }, ticksuffix: x.suffix ?? '', exponentformat: 'SI' };
    layout[`yaxis${name}`] = { ...axis, title: { text: y === VERTICAL.score ? plain(row.metric) : y.label, font: { size: 12 } } };
  });
  return layout;
}

function frontierNote(points, panels, x) {
  if (!points.length) return 'None of the rows shown has both figures.';
  const settings = x.setting ? [...new Set(points.map(({ row }) => x.setting(row)))] : [];
  const measured = settings.length === 1 ? ` At ${settings[0]}${typeof settings[0] === 'number' ? ' tokens' : ''}.` : '';
  const several = settings.length > 1 ? ' Rows measured at different settings, or on different data, have separate frontiers.' : '';
  const bars = points.length <= MOST_BARS ? ' Bars: one standard deviation over seeds.' : '';
  const hidden = panels.length > PANELS ? ` ${panels.length - PANELS} further data sets have no panel: use the filters to choose.` : '';
  const beside = points.some(({ row }) => row.besideOthers) ? ' Some timings were taken while other jobs were running.' : '';
  return `Dotted line: rows${x.relative ? ' of one model' : ''} that no other beats in both figures.${bars}${measured}${several}${beside}${hidden}`;
}
