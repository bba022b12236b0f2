// The table: sorted by any column, a hundred rows at a time.

const PER_PAGE = 100;
const figureColumn = (name, label, format) => ({
  name, label, number: true, value: (row) => row.figures[name]?.[0], text: (row) => withSpread(row.figures[name], format),
});
// A value that is the same in all rows is shown once, next to the heading.
const nameColumn = (name, label) => ({
  name, label, constant: new Set(known.rows.map((row) => row[name])).size === 1, value: (row) => row[name], text: (row) => row[name],
});
const COLUMNS = [
  { name: 'method', label: 'method', value: (row) => row.label, text: (row) => row.label },
  nameColumn('model', 'model'),
  nameColumn('dataset', 'data set'),
  { name: 'sparsity', label: 'sparsity', number: true, value: (row) => row.sparsity, text: amount },
  { name: 'n', label: 'n', number: true, value: (row) => row.n, text: (row) => String(row.n) },
  nameColumn('metric', 'metric'),
  { name: 'score', label: 'score', number: true, value: (row) => row.figures.score?.[0], text: (row) => scoreText(row.figures.score) },
  { name: 'retention', label: 'kept %', number: true, value: (row) => row.figures.retention?.[0],
    text: (row) => withSpread(scaled(row.figures.retention, 100), decimals(1)) },
  { name: 'published', label: 'published', number: true, optional: true, value: (row) => row.published?.score,
    text: (row) => (row.published ? row.published.score.toFixed(1) : '–') },
  figureColumn('removed', 'removed', decimals(2)),
  { ...figureColumn('zeroed', 'zeroed', decimals(2)), optional: true, value: (row) => (row.figures.zeroed?.[0] >= 0.005 ? row.figures.zeroed[0] : null) },
  figureColumn('parameters', 'params', short),
  figureColumn('flops', 'FLOPs', short),
  figureColumn('disk_bytes', 'bytes', short),
  figureColumn('milliseconds', 'ms', (value, mean = value) => value.toFixed(mean < 100 ? 1 : 0)),
  figureColumn('speedup', 'speed-up', decimals(2)),
  { name: 'best', label: 'frontier', value: (row) => row.best.join(' ') || null, text: (row) => row.best.join(', ') },
];

function sortedRows(rows) {
  const column = COLUMNS.find(({ name }) => name === state.sort.column);
  if (!column) return rows;
  const direction = state.sort.descending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [column.value(one) ?? null, column.value(other) ?? null];
    if (a === null || b === null) return (a === null) - (b === null); // unknown values come last in either direction
    return direction * (column.number ? a - b : a.localeCompare(b));
  });
}

function drawTable(rows) {
  const columns = COLUMNS.filter((column) => !column.constant && (!column.optional || rows.some((row) => (column.value(row) ?? null) !== null)));
  const pages = Math.max(1, Math.ceil(rows.length / PER_PAGE));
  state.page = Math.min(state.page, pages - 1);
  const visible = sortedRows(rows).slice(state.page * PER_PAGE, (state.page + 1) * PER_PAGE);
  document.getElementById('table').replaceChildren(
    element('thead', {}, element('tr', {}, ...columns.map(headerOf))),
    element('tbody', {}, ...visible.map((row) => lineOf(row, columns))),
  );
  document.getElementById('count').textContent = `${rows.length} of ${known.rows.length} rows${constants()}`;
  drawPager(pages);
  document.getElementById('table-note').textContent = tableNote(rows);
  return visible;
}

function constants() {
  const texts = COLUMNS.filter(({ constant }) => constant).map(({ label, text }) => `${label} ${text(known.rows[0])}`);
  return texts.length ? `, all of ${texts.join(', ')}` : '';
}

function headerOf(column) {
  const { sort } = state;
  const order = sort.column === column.name ? (sort.descending ? 'descending' : 'ascending') : 'none';
  const click = () => {
    // Numbers in descending order first, names in ascending order; a second click reverses.
    const descending = sort.column === column.name ? !sort.descending : Boolean(column.number);
    state.sort = { column: column.name, descending };
    state.page = 0;
    refreshTable();
    document.querySelector(`#table th[data-column="${column.name}"] button`).focus();
  };
  return element('th', { scope: 'col', class: column.number ? null : 'text', 'aria-sort': order, 'data-column': column.name },
    element('button', { type: 'button', onclick: click }, column.label));
}

function lineOf(row, columns) {
  const open = () => openDetails(row);
  return element('tr', { class: row.dense ? 'dense opens' : 'opens', onclick: open, 'data-row': row.index },
    ...columns.map((column) => cellOf(row, column, open)));
}

function cellOf(row, column, open) {
  if (column.name === 'method') {
    const name = element('button', { type: 'button', class: 'link', onclick: (event) => { event.stopPropagation(); open(); } }, row.label);
    return element('td', { class: 'text' }, swatch(row.method), name, row.differs.length ? element('small', {}, clipped(row.differs.join(', '), 160)) : null);
  }
  const text = column.text(row);
  const [mean, spread] = column.number ? text.split(' ± ') : [text];
  return element('td', { class: `${column.number ? '' : 'text '}${column.name === 'best' ? 'best' : ''}` }, mean,
    spread ? element('span', { class: 'spread' }, ` ± ${spread}`) : null);
}

function drawPager(pages) {
  const turn = (step) => () => { state.page += step; refreshTable(); };
  document.getElementById('pager').replaceChildren(...(pages === 1 ? [] : [
    element('button', { type: 'button', disabled: state.page === 0, onclick: turn(-1) }, 'previous'),
    `${state.page + 1} of ${pages}`,
    element('button', { type: 'button', disabled: state.page === pages - 1, onclick: turn(1) }, 'next'),
  ]));
}

function tableNote(rows) {
  const settings = [...new Set(rows.filter((row) => !row.dense && row.setting).map((row) => row.setting))];
  const devices = [...new Set(rows.flatMap((row) => row.devices))];
  const measured = settings.length ? ` Speed-up and ms: ${settings.slice(0, 3).join('; ')}${settings.length > 3 ? ' and others' : ''} (${devices.slice(0, 3).join('; ')}).` : '';
  const kept = [...new Set(rows.filter((row) => row.documentsKept).map((row) => row.method))];
  const served = kept.length ? ` Times and FLOPs of ${kept.join(', ')}: with the documents' states kept.` : '';
  const published = rows.some((row) => row.published) ? ' Published: by the paper, in the same setting; not measured here.' : '';
  return `n seeds, mean ± standard deviation; kept % and speed-up are against the dense model.${measured}${served}${published}`;
}
