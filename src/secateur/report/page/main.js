// Putting it together, once the page is read.

function refresh() {
  const rows = shownRows();
  drawFrontier(rows);
  drawLayers(drawTable(rows));
}

/** Sorting and turning pages change no picture but that of the page's layers. */
function refreshTable() {
  drawLayers(drawTable(shownRows()));
}

function describe() {
  const count = (number, name) => `${number.toLocaleString('en')} ${name}${number === 1 ? '' : 's'}`;
  const statuses = [...groupBy(known.unfinished, ({ status }) => status)].map(([status, its]) => `${its.length} ${status}`);
  document.getElementById('title').textContent = known.title;
  document.getElementById('summary').textContent = [
    count(known.runs.length, 'finished run'), count(known.rows.filter((row) => !row.dense).length, 'setting'), ...statuses,
  ].join(', ');
  document.getElementById('footer').textContent = `Written ${known.written.slice(0, 16).replace('T', ' ')} by secateur ${known.version} from records alone; this file needs no network.`;
}

function listUnfinished() {
  document.getElementById('unfinished').hidden = !known.unfinished.length;
  document.getElementById('unfinished-table').replaceChildren(
    element('thead', {}, element('tr', {}, ...['status', 'run', 'reason'].map((name) => element('th', { class: 'text' }, name)))),
    element('tbody', {}, ...known.unfinished.map(({ status, name, reason }) => element('tr', {},
      element('td', { class: `text ${status}` }, status),
      element('td', { class: 'text wide' }, name),
      element('td', { class: 'text wide' }, reason)))),
  );
}

describe();
listUnfinished();
buildFilters();
buildFrontier();
buildLayers();
refresh();
dark.addEventListener('change', refresh);
